//! Reading what came in: JSON bodies, form-encoded bodies, keys and cookies.

use axum::http::HeaderMap;
use axum::http::header::{CONTENT_TYPE, COOKIE};
use serde_json::{Map, Value};
use url::form_urlencoded;

/// An API body may be this long.
pub(crate) const API_BODY_BYTES_MAX: usize = 64 * 1024;
/// A form with its uploads may be this long.
pub(crate) const FORM_BODY_BYTES_MAX: usize = 12 * 1024 * 1024;

/// A JSON object, or nothing.
pub(crate) fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok().filter(Value::is_object)
}

/// Form-encoded pairs as an object of strings; of a repeated name the last one counts.
pub(crate) fn pairs(body: &[u8]) -> Value {
    let fields: Map<String, Value> = form_urlencoded::parse(body)
        .map(|(name, text)| (name.into_owned(), Value::String(text.into_owned())))
        .collect();
    Value::Object(fields)
}

/// Whatever can be made of a body whose request was turned away, for the ledger.
pub(crate) fn anything(headers: &HeaderMap, body: &[u8]) -> Value {
    match headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default() {
        kind if kind.starts_with("application/json") => json(body).unwrap_or_default(),
        kind if kind.starts_with("application/x-www-form-urlencoded") => pairs(body),
        _ => Value::Null,
    }
}

/// The `Idempotency-Key` header, with or without the quotes of the draft standard.
pub(crate) fn idempotency_key(headers: &HeaderMap) -> Option<String> {
    let key = header(headers, "idempotency-key").trim_matches('"');
    (!key.is_empty()).then(|| key.to_owned())
}

/// A header's text; empty when it is absent or not text.
pub(crate) fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The value of a cookie.
pub(crate) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, HeaderValue::from_static("theme=dark; castello_session=abc ;x=1"));
        assert_eq!(cookie(&headers, "castello_session"), Some("abc"));
        assert_eq!(cookie(&headers, "session"), None);
    }

    #[test]
    fn an_idempotency_key_loses_its_quotes() {
        let mut headers = HeaderMap::new();
        headers.insert("idempotency-key", HeaderValue::from_static("\"8e03978e\""));
        assert_eq!(idempotency_key(&headers).as_deref(), Some("8e03978e"));
        assert_eq!(idempotency_key(&HeaderMap::new()), None);
    }

    #[test]
    fn form_pairs_are_decoded() {
        assert_eq!(pairs(b"full_name=Zo%C3%AB+B&x="), serde_json::json!({ "full_name": "Zoë B", "x": "" }));
    }
}
