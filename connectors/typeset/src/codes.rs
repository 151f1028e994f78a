//! The QR codes of the latest links: a maker's link is the same in all its packets, and choosing a code's mask takes longer than
//! anything else about a packet that is not layout.

use std::sync::{Mutex, MutexGuard, PoisonError};

use typst::foundations::Bytes;
use url::Url;

use crate::qr;

/// Links whose codes are kept; makers whose packets are drawn at the same time.
const CODES_MAX: usize = 16;

/// What is kept, the latest last.
#[derive(Default)]
pub(crate) struct Codes {
    kept: Mutex<Vec<(Url, Option<Bytes>)>>,
}

impl Codes {
    /// The code of a link as SVG, drawn when it is not one of the latest.
    pub(crate) fn svg(&self, url: &Url) -> Option<Bytes> {
        let mut kept = self.kept();
        let known = kept.iter().position(|(link, _)| link == url);
        let entry = known.map(|place| kept.remove(place));
        let (url, svg) = entry.unwrap_or_else(|| (url.clone(), qr::svg(url).map(Bytes::from_string)));
        if kept.len() == CODES_MAX {
            kept.remove(0);
        }
        kept.push((url, svg.clone()));
        svg
    }

    /// A link may say something of a person.
    pub(crate) fn forget(&self) {
        self.kept().clear();
    }

    /// A panic while it was held leaves it whole, or short of one.
    fn kept(&self) -> MutexGuard<'_, Vec<(Url, Option<Bytes>)>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn url(number: usize) -> Url {
        Url::parse(&format!("https://veloce.example/{number}")).unwrap()
    }

    fn kept(codes: &Codes) -> Vec<Url> {
        codes.kept().iter().map(|(url, _)| url.clone()).collect()
    }

    #[test]
    fn a_kept_code_is_that_of_its_link() {
        let codes = Codes::default();
        for number in [1, 2, 1, 2] {
            assert_eq!(codes.svg(&url(number)), qr::svg(&url(number)).map(Bytes::from_string));
        }
        assert_eq!(kept(&codes), [url(1), url(2)]);
    }

    #[test]
    fn the_link_that_was_not_used_for_longest_goes_first() {
        let codes = Codes::default();
        for number in (0..CODES_MAX).chain([0, CODES_MAX]) {
            codes.svg(&url(number));
        }
        let expected: Vec<Url> = (2..CODES_MAX).chain([0, CODES_MAX]).map(url).collect();
        assert_eq!(kept(&codes), expected);
        codes.forget();
        assert_eq!(kept(&codes), []);
    }
}
