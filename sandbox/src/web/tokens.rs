//! OAuth2 access tokens that the sandbox has given out.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long a token is good.
pub(crate) const LIFETIME: Duration = Duration::from_secs(3600);
/// All tokens are withdrawn when one more than this is asked for.
const TOKENS_MAX: usize = 10_000;

/// The tokens and the moments when they end.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    ends: Mutex<HashMap<String, Instant>>,
}

impl Tokens {
    pub(crate) fn issue(&self, now: Instant) -> String {
        let token = format!("kt_{}", hex::encode(rand::random::<[u8; 20]>()));
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if ends.len() >= TOKENS_MAX {
            ends.clear();
        }
        ends.insert(token.clone(), now + LIFETIME);
        token
    }

    pub(crate) fn good(&self, token: &str, now: Instant) -> bool {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).get(token).is_some_and(|end| now < *end)
    }

    /// Withdraws all tokens, so that the next call must ask for a new one.
    pub(crate) fn withdraw(&self) {
        self.ends.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_for_its_hour_only() {
        let (tokens, now) = (Tokens::default(), Instant::now());
        let token = tokens.issue(now);
        assert!(tokens.good(&token, now + LIFETIME - Duration::from_secs(1)));
        assert!(!tokens.good(&token, now + LIFETIME));
        assert!(!tokens.good("kt_invented", now));
    }
}
