//! Knows a captcha when one stands before a form, also inside closed shadow roots and frames.
//!
//! The page's own scripts cannot see into a closed shadow root, so we read the browser's snapshot of the whole pierced
//! document: flat lists (`DOM.getDocument` fails on pages nested some 250 deep, this does not).

use std::collections::BTreeSet;

use serde_json::Value;
use url::Url;

/// Classes (and element names) of the widgets that makers put before forms.
const WIDGETS: &[&str] = &[
    "g-recaptcha",
    "grecaptcha-badge",
    "h-captcha",
    "cf-turnstile",
    "frc-captcha",
    "mtcaptcha",
    "geetest_captcha",
    "altcha-widget",
    "amzn-captcha-modal",
];
/// Parts of the addresses of their frames.
const FRAMES: &[&str] = &[
    "/recaptcha/",
    "hcaptcha.com/",
    "challenges.cloudflare.com/",
    "arkoselabs.com/",
    "funcaptcha.com/",
    "geo.captcha-delivery.com/",
    "mtcaptcha.com/",
];

/// What a snapshot shows beside the form.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Surroundings {
    /// The first widget or frame of a captcha.
    pub(crate) captcha: Option<&'static str>,
    /// Every origin whose documents or frames are on the page.
    pub(crate) origins: BTreeSet<String>,
}

/// Reads a result of CDP's `DOMSnapshot.captureSnapshot`.
pub(crate) fn read(snapshot: &Value) -> Surroundings {
    let mut seen = Surroundings::default();
    let strings = Strings(snapshot.get("strings").and_then(Value::as_array));
    for document in list(snapshot, "documents") {
        seen.note_origin(strings.get(document.get("documentURL")));
        let Some(nodes) = document.get("nodes") else { continue };
        let names = list(nodes, "nodeName");
        for (name, attributes) in names.iter().zip(list(nodes, "attributes")) {
            let attributes = attributes.as_array().map_or(&[][..], Vec::as_slice);
            seen.note_element(strings.get(Some(name)), attributes, &strings);
        }
    }
    seen
}

impl Surroundings {
    fn note_element(&mut self, name: &str, attributes: &[Value], strings: &Strings<'_>) {
        let is_frame = name.eq_ignore_ascii_case("iframe");
        let widget = WIDGETS.iter().find(|widget| name.eq_ignore_ascii_case(widget)).copied();
        self.captcha = self.captcha.or(widget);
        for pair in attributes.chunks_exact(2) {
            let (key, value) = (strings.get(pair.first()), strings.get(pair.get(1)));
            if key == "class" {
                self.captcha = self.captcha.or_else(|| widget_in(value));
            } else if is_frame && key == "src" {
                self.captcha = self.captcha.or_else(|| FRAMES.iter().find(|part| value.contains(*part)).copied());
                self.note_origin(value);
            }
        }
    }

    /// Remembers whose storage this page may have used.
    pub(crate) fn note_origin(&mut self, url: &str) {
        self.origins.extend(origin_of(url));
    }
}

/// The origin of a web address.
pub(crate) fn origin_of(url: &str) -> Option<String> {
    let origin = Url::parse(url).ok()?.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

fn widget_in(classes: &str) -> Option<&'static str> {
    classes.split_whitespace().find_map(|class| WIDGETS.iter().find(|widget| class == **widget).copied())
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

struct Strings<'a>(Option<&'a Vec<Value>>);

impl Strings<'_> {
    // An index of -1 stands for nothing.
    fn get(&self, index: Option<&Value>) -> &str {
        let at = index.and_then(Value::as_u64).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| self.0?.get(at)?.as_str()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn page(name: &str, key: &str, value: &str) -> Value {
        json!({
            "strings": ["https://maker.example/form?x=1", name, key, value],
            "documents": [{ "documentURL": 0, "nodes": { "nodeName": [1], "attributes": [[2, 3]] } }],
        })
    }

    #[test]
    fn widgets_are_known_by_class_and_element_and_frames_by_address() {
        for (name, key, value) in [
            ("DIV", "class", "big g-recaptcha"),
            ("DIV", "class", "h-captcha"),
            ("DIV", "class", "cf-turnstile"),
            ("ALTCHA-WIDGET", "id", "x"),
            ("IFRAME", "src", "https://www.google.com/recaptcha/api2/anchor?k=1"),
            ("IFRAME", "src", "https://challenges.cloudflare.com/turnstile"),
        ] {
            assert!(read(&page(name, key, value)).captcha.is_some(), "{name} {key}={value}");
        }
    }

    #[test]
    fn words_about_captchas_are_no_captcha() {
        for (name, key, value) in [
            ("DIV", "class", "g-recaptcha-notice"),
            ("A", "href", "https://www.google.com/recaptcha/about/"),
            ("DIV", "title", "g-recaptcha"),
        ] {
            assert_eq!(read(&page(name, key, value)).captcha, None, "{name} {key}={value}");
        }
    }

    #[test]
    fn documents_and_frames_name_the_origins_to_clean() {
        let seen = read(&page("IFRAME", "src", "https://ads.example:8443/x"));
        let want = ["https://ads.example:8443", "https://maker.example"].map(str::to_owned);
        assert_eq!(seen.origins, BTreeSet::from(want));
        assert_eq!(origin_of("about:blank"), None);
    }

    #[test]
    fn a_snapshot_that_makes_no_sense_shows_nothing() {
        assert_eq!(
            read(&json!({ "documents": [{ "nodes": { "nodeName": [7], "attributes": [[-1, 9, 3]] } }] })),
            Surroundings::default()
        );
    }
}
