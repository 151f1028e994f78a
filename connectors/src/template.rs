//! Texts with `{{ expression }}` in them. There is no other syntax, so a value is only ever a value.

use minijinja::value::Value;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::expression::{Expression, Names, TemplateError, is_absent};

/// All but the unreserved characters of RFC 3986: a value can neither end a path segment nor begin a query.
const URL_VALUE: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A compiled text.
#[derive(Debug)]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Value(Expression),
}

impl Template {
    /// Compiles; the text of a failure fits after "the template".
    pub(crate) fn compile(source: &str) -> Result<Self, String> {
        if source.contains("{%") || source.contains("{#") {
            return Err("may hold only {{ expressions }}; blocks and comments are not known here".to_owned());
        }
        let mut pieces = Vec::new();
        let mut rest = source;
        while let Some((text, tail)) = rest.split_once("{{") {
            let Some((expression, after)) = tail.split_once("}}") else {
                return Err("opens an expression with {{ and never closes it with }}".to_owned());
            };
            push_text(&mut pieces, text);
            pieces.push(Piece::Value(Expression::compile(expression)?));
            rest = after;
        }
        push_text(&mut pieces, rest);
        Ok(Self { pieces })
    }

    /// The text itself when there is no expression in it.
    pub(crate) fn constant(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    pub(crate) fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Text(_) => None,
            Piece::Value(expression) => Some(expression),
        })
    }

    /// A lone expression keeps its type and may be absent; with text around it, it becomes text.
    pub(crate) fn value(&self, names: &dyn Names) -> Result<Value, TemplateError> {
        match self.pieces.as_slice() {
            [Piece::Value(expression)] => expression.eval(names),
            _ => self.text(names).map(Value::from),
        }
    }

    /// The text; absent values are empty.
    pub(crate) fn text(&self, names: &dyn Names) -> Result<String, TemplateError> {
        let mut text = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(constant) => text.push_str(constant),
                Piece::Value(expression) => push_value(&mut text, &expression.eval(names)?),
            }
        }
        Ok(text)
    }

    /// A part of a URL: each value percent-encoded. Empty values and `..` are refused, they would lead elsewhere.
    pub(crate) fn url(&self, names: &dyn Names) -> Result<String, TemplateError> {
        let mut url = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(constant) => url.push_str(constant),
                Piece::Value(expression) => {
                    let mut text = String::new();
                    push_value(&mut text, &expression.eval(names)?);
                    if matches!(text.as_str(), "" | "." | "..") {
                        return Err(expression.error("the value has no place in an address"));
                    }
                    url.extend(utf8_percent_encode(&text, URL_VALUE));
                }
            }
        }
        Ok(url)
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    if !text.is_empty() {
        pieces.push(Piece::Text(text.to_owned()));
    }
}

fn push_value(text: &mut String, value: &Value) {
    if !is_absent(value) {
        text.push_str(&text_of(value));
    }
}

/// A value as makers' forms and people write it: the engine prints truth as Python does, `True`.
pub(crate) fn text_of(value: &Value) -> String {
    match bool::try_from(value.clone()) {
        Ok(truth) => truth.to_string(),
        Err(_) => value.to_string(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Names with one serial that tries everything.
    pub(crate) struct Serial(pub(crate) &'static str);

    impl Names for Serial {
        fn get(&self, path: &str) -> Value {
            if path == "product.serial" { Value::from(self.0) } else { Value::UNDEFINED }
        }
        fn root(&self, _: &[String]) -> Value {
            Value::from_pairs([("product", Value::from_pairs([("serial", Value::from(self.0))]))])
        }
    }

    fn template(source: &str) -> Template {
        Template::compile(source).unwrap_or_else(|text| panic!("{text}"))
    }

    #[test]
    fn a_value_is_never_read_as_a_template() {
        let names = Serial("{{ owner.email }}");
        assert_eq!(template("No. {{ product.serial }}").text(&names).as_deref(), Ok("No. {{ owner.email }}"));
    }

    #[test]
    fn a_value_stays_inside_its_segment_of_an_address() {
        let names = Serial("A/../b?x=1&y#z %");
        let url = template("/products/{{ product.serial }}?full=1").url(&names);
        assert_eq!(url.as_deref(), Ok("/products/A%2F..%2Fb%3Fx%3D1%26y%23z%20%25?full=1"));
    }

    #[test]
    fn a_value_that_leads_elsewhere_is_refused() {
        for serial in ["", ".", ".."] {
            assert!(template("/products/{{ product.serial }}").url(&Serial(serial)).is_err(), "{serial:?}");
        }
    }

    #[test]
    fn what_is_not_closed_or_not_known_is_refused() {
        assert!(Template::compile("{{ product.serial").is_err_and(|text| text.contains("never closes")));
        assert!(Template::compile("{% if x %}").is_err_and(|text| text.contains("only {{ expressions }}")));
        assert!(Template::compile("{{ product. }}").is_err_and(|text| text.contains("cannot be read")));
    }
}
