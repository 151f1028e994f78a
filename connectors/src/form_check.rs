//! The health of a maker's form: looked at in the real browser, never submitted, and compared with the baseline of its file.
//!
//! Only the first page is seen: the pages after it come after something was sent.

use std::time::Duration;

use events::CheckResult;
use form::{Browsers, FormField, FormLook, FormShape, LookError, drift};

use crate::connector::Connector;

/// Looks at the first page of the connector's form and names what differs from its baseline; without a baseline nothing can
/// differ. A drifted form that can be reached went well.
///
/// Nothing comes back when nothing was learned of the maker: the connector has no form that can be reached, or our own
/// browser failed (which is logged).
pub async fn check_form(connector: &Connector, browsers: &Browsers) -> Option<CheckResult> {
    let recipe = connector.form_sample()?;
    let FormLook { shape, latency } = browsers.look(&recipe).await;
    let latency_ms = millis(latency);
    match shape {
        Ok(seen) => Some(CheckResult::well(drifted(connector, &seen), latency_ms)),
        Err(LookError::Page(failure)) => Some(CheckResult::failed(failure.detail, latency_ms)),
        Err(LookError::Browser(error)) => {
            tracing::warn!(connector = connector.id(), %error, "a form was not looked at because our browser failed");
            None
        }
    }
}

fn drifted(connector: &Connector, seen: &FormShape) -> Vec<events::Drift> {
    connector.form_baseline().map(|baseline| drift(baseline, seen)).unwrap_or_default()
}

fn millis(latency: Duration) -> u32 {
    u32::try_from(latency.as_millis()).unwrap_or(u32::MAX)
}

/// A `[form.baseline]` section that says what was seen, for those who write a connector. A table of its
/// own: it may stand anywhere in the file between two others.
#[must_use]
pub fn baseline_toml(shape: &FormShape) -> String {
    let mut lines = vec!["[form.baseline]".to_owned(), format!("action = {}", quoted(&shape.action))];
    for (key, holds) in [("captcha", shape.captcha), ("login", shape.login)] {
        if holds {
            lines.push(format!("{key} = true"));
        }
    }
    lines.push("fields = [".to_owned());
    lines.extend(shape.fields.iter().map(|field| format!("    {{ {} }},", keys(field))));
    lines.join("\n") + "\n]\n"
}

/// What holds of a field, on one line.
fn keys(field: &FormField) -> String {
    let texts = [("name", &field.name), ("kind", &field.kind), ("label", &field.label)];
    let given = texts.into_iter().filter(|(key, text)| *key == "kind" || !text.is_empty());
    let mut keys: Vec<String> = given.map(|(key, text)| format!("{key} = {}", quoted(text))).collect();
    if field.required {
        keys.push("required = true".to_owned());
    }
    keys.join(", ")
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(serde::Deserialize)]
    struct File {
        form: Form,
    }

    #[derive(serde::Deserialize)]
    struct Form {
        baseline: FormShape,
    }

    #[test]
    fn what_is_printed_reads_back_whatever_the_page_says() {
        let field = |name: &str, label: &str, required| FormField {
            name: name.into(),
            kind: "text".into(),
            label: label.into(),
            required,
        };
        let shape = FormShape {
            action: "/a\"b\\c".into(),
            captcha: true,
            login: false,
            fields: vec![
                field("serial", "No. \"on\" the plate'", true),
                field("", "Größe\u{7f}", false),
                field("x", "", false),
            ],
        };
        let text = baseline_toml(&shape);
        let read: File = toml::from_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"));
        assert_eq!(read.form.baseline, shape);
    }

    #[test]
    fn what_is_printed_says_only_what_holds() {
        let shape = FormShape { action: "/r".into(), fields: vec![FormField::default()], ..FormShape::default() };
        let wanted = "[form.baseline]\naction = \"/r\"\nfields = [\n    { kind = \"\" },\n]\n";
        assert_eq!(baseline_toml(&shape), wanted);
    }
}
