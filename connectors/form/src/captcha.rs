//! Knows a captcha when one stands before a form, also inside closed shadow roots and frames.
//!
//! The page's own scripts cannot see into a closed shadow root, so we read the browser's snapshot of the whole pierced
//! document: flat lists (`DOM.getDocument` fails on pages nested some 250 deep, this does not).

use std::sync::LazyLock;

use serde_json::Value;

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

/// Selectors of those that are in plain sight of a page's own scripts.
pub(crate) static IN_SIGHT: LazyLock<Vec<String>> = LazyLock::new(|| {
    let widgets = WIDGETS.iter().flat_map(|widget| [format!(".{widget}"), (*widget).to_owned()]);
    widgets.chain(FRAMES.iter().map(|part| format!("iframe[src*=\"{part}\"]"))).collect()
});

/// The first widget or frame of a captcha in a result of CDP's `DOMSnapshot.captureSnapshot`.
pub(crate) fn read(snapshot: &Value) -> Option<&'static str> {
    let strings = Strings(snapshot.get("strings").and_then(Value::as_array));
    let nodes = list(snapshot, "documents").iter().filter_map(|document| document.get("nodes"));
    nodes.into_iter().find_map(|nodes| {
        let mut elements = list(nodes, "nodeName").iter().zip(list(nodes, "attributes"));
        elements.find_map(|(name, attributes)| {
            let attributes = attributes.as_array().map_or(&[][..], Vec::as_slice);
            sign_of(strings.get(Some(name)), attributes, &strings)
        })
    })
}

fn sign_of(name: &str, attributes: &[Value], strings: &Strings<'_>) -> Option<&'static str> {
    let widget = WIDGETS.iter().find(|widget| name.eq_ignore_ascii_case(widget)).copied();
    let mut pairs = attributes.chunks_exact(2);
    widget.or_else(|| {
        pairs.find_map(|pair| match (strings.get(pair.first()), strings.get(pair.get(1))) {
            ("class", classes) => widget_in(classes),
            ("src", source) if name.eq_ignore_ascii_case("iframe") => {
                FRAMES.iter().find(|part| source.contains(*part)).copied()
            }
            _ => None,
        })
    })
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
            assert!(read(&page(name, key, value)).is_some(), "{name} {key}={value}");
        }
    }

    #[test]
    fn words_about_captchas_are_no_captcha() {
        for (name, key, value) in [
            ("DIV", "class", "g-recaptcha-notice"),
            ("A", "href", "https://www.google.com/recaptcha/about/"),
            ("DIV", "title", "g-recaptcha"),
        ] {
            assert_eq!(read(&page(name, key, value)), None, "{name} {key}={value}");
        }
    }

    #[test]
    fn a_snapshot_that_makes_no_sense_shows_nothing() {
        assert_eq!(read(&json!({ "documents": [{ "nodes": { "nodeName": [7], "attributes": [[-1, 9, 3]] } }] })), None);
    }
}
