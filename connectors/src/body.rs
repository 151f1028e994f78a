//! The body of a maker's request: a tree with expressions at its leaves, compiled once; absent values leave no trace.

use minijinja::value::Value;
use serde::Serialize;
use url::form_urlencoded;

use crate::expression::{Expression, Names, TemplateError, is_absent};
use crate::template::{Template, text_of};

/// A compiled body.
#[derive(Debug)]
pub(crate) enum Body {
    Json(Node),
    /// Form-encoded pairs.
    Form(Vec<(String, Template)>),
}

/// A node of a JSON body.
#[derive(Debug)]
pub(crate) enum Node {
    /// Never changes: kept as the bytes that are sent.
    Constant(Vec<u8>),
    Leaf(Template),
    /// Each key as the bytes `"key":`.
    Table(Vec<(Vec<u8>, Node)>),
    List(Vec<Node>),
}

/// Where in the tree something is wrong, and what.
pub(crate) type BodyMistake = (Vec<String>, String);

impl Body {
    pub(crate) const fn content_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }

    /// All that it evaluates.
    pub(crate) fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Json(node) => node.expressions(),
            Self::Form(pairs) => pairs.iter().flat_map(|(_, template)| template.expressions()).collect(),
        }
    }

    pub(crate) fn bytes(&self, names: &dyn Names) -> Result<Vec<u8>, TemplateError> {
        /// Longer than most bodies, so that most need one allocation.
        const USUAL_BYTES: usize = 512;
        match self {
            Self::Json(node) => {
                let mut out = Vec::with_capacity(USUAL_BYTES);
                if !node.write(&mut out, names)? {
                    out.extend_from_slice(b"{}");
                }
                Ok(out)
            }
            Self::Form(pairs) => {
                let mut form = form_urlencoded::Serializer::new(String::with_capacity(USUAL_BYTES));
                for (name, template) in pairs {
                    let value = template.value(names)?;
                    if !is_absent(&value) {
                        form.append_pair(name, &text_of(&value));
                    }
                }
                Ok(form.finish().into_bytes())
            }
        }
    }
}

impl Node {
    /// Compiles a value of a catalog file.
    pub(crate) fn compile(value: &toml::Value) -> Result<Self, BodyMistake> {
        compile_at(value, &mut Vec::new())
    }

    fn expressions(&self) -> Vec<&Expression> {
        match self {
            Self::Constant(_) => Vec::new(),
            Self::Leaf(template) => template.expressions().collect(),
            Self::Table(entries) => entries.iter().flat_map(|(_, node)| node.expressions()).collect(),
            Self::List(nodes) => nodes.iter().flat_map(Self::expressions).collect(),
        }
    }

    /// Writes the node as JSON; false when there was nothing to write.
    fn write(&self, out: &mut Vec<u8>, names: &dyn Names) -> Result<bool, TemplateError> {
        match self {
            Self::Constant(bytes) => {
                out.extend_from_slice(bytes);
                Ok(true)
            }
            Self::Leaf(template) => write_value(out, &template.value(names)?),
            Self::Table(entries) => {
                write_all(out, (b'{', b'}'), entries.iter().map(|(key, node)| (&key[..], node)), names)
            }
            Self::List(nodes) => write_all(out, (b'[', b']'), nodes.iter().map(|node| (&b""[..], node)), names),
        }
    }
}

/// The pairs of a form-encoded body: flat, because the encoding is.
pub(crate) fn compile_form(table: &toml::Table) -> Result<Body, BodyMistake> {
    let mut pairs = Vec::with_capacity(table.len());
    for (name, value) in table {
        let text = match value {
            toml::Value::String(text) => text.clone(),
            toml::Value::Integer(number) => number.to_string(),
            toml::Value::Float(number) => number.to_string(),
            toml::Value::Boolean(truth) => truth.to_string(),
            toml::Value::Datetime(time) => time.to_string(),
            toml::Value::Array(_) | toml::Value::Table(_) => {
                let text = "a form-encoded body is flat; write one key for each field".to_owned();
                return Err((vec![name.clone()], text));
            }
        };
        let template = Template::compile(&text).map_err(|text| (vec![name.clone()], format!("the template {text}")))?;
        pairs.push((name.clone(), template));
    }
    Ok(Body::Form(pairs))
}

fn compile_at(value: &toml::Value, path: &mut Vec<String>) -> Result<Node, BodyMistake> {
    match value {
        toml::Value::String(text) => compile_text(text, path),
        toml::Value::Datetime(time) => constant(&time.to_string(), path),
        toml::Value::Integer(number) => constant(number, path),
        toml::Value::Float(number) => constant(number, path),
        toml::Value::Boolean(truth) => constant(truth, path),
        toml::Value::Array(values) => {
            let nodes = values.iter().enumerate().map(|(place, value)| below(value, place.to_string(), path));
            nodes.collect::<Result<_, _>>().map(Node::List)
        }
        toml::Value::Table(table) => {
            let entries = table.iter().map(|(name, value)| {
                let node = below(value, name.clone(), path)?;
                let mut key = json_bytes(name).map_err(|text| (path.clone(), text))?;
                key.push(b':');
                Ok((key, node))
            });
            entries.collect::<Result<_, _>>().map(Node::Table)
        }
    }
}

fn below(value: &toml::Value, step: String, path: &mut Vec<String>) -> Result<Node, BodyMistake> {
    path.push(step);
    let node = compile_at(value, path)?;
    path.pop();
    Ok(node)
}

fn compile_text(text: &str, path: &[String]) -> Result<Node, BodyMistake> {
    let template = Template::compile(text).map_err(|text| (path.to_vec(), format!("the template {text}")))?;
    match template.constant() {
        Some(text) => constant(&text, path),
        None => Ok(Node::Leaf(template)),
    }
}

fn constant<T: Serialize>(value: &T, path: &[String]) -> Result<Node, BodyMistake> {
    json_bytes(value).map(Node::Constant).map_err(|text| (path.to_vec(), text))
}

fn json_bytes<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, String> {
    serde_json::to_vec(value).map_err(|error| format!("this value has no form in JSON: {error}"))
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<bool, TemplateError> {
    if is_absent(value) {
        return Ok(false);
    }
    serde_json::to_writer(&mut *out, value).map_err(|_| TemplateError {
        expression: "body".to_owned(),
        reason: "the value has no form in JSON".to_owned(),
    })?;
    Ok(true)
}

/// Writes what is there between the brackets; when nothing is, takes the brackets back.
fn write_all<'n>(
    out: &mut Vec<u8>,
    (open, close): (u8, u8),
    entries: impl Iterator<Item = (&'n [u8], &'n Node)>,
    names: &dyn Names,
) -> Result<bool, TemplateError> {
    let start = out.len();
    out.push(open);
    for (key, node) in entries {
        let before = out.len();
        if before > start + 1 {
            out.push(b',');
        }
        out.extend_from_slice(key);
        if !node.write(out, names)? {
            out.truncate(before);
        }
    }
    if out.len() == start + 1 {
        out.truncate(start);
        return Ok(false);
    }
    out.push(close);
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::tests::Serial;

    fn json(source: &str, serial: &'static str) -> String {
        let table: toml::Value = toml::Value::Table(source.parse().unwrap_or_else(|error| panic!("{error}")));
        let node = Node::compile(&table).unwrap_or_else(|(path, text)| panic!("{path:?}: {text}"));
        let bytes = Body::Json(node).bytes(&Serial(serial)).unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&bytes).into_owned()
    }

    #[test]
    fn a_value_cannot_break_out_of_its_leaf() {
        let body = json("a = '{{ product.serial }}'", r#"x","admin":true,"y":"{{ 1 }}"#);
        assert_eq!(body, r#"{"a":"x\",\"admin\":true,\"y\":\"{{ 1 }}"}"#);
    }

    #[test]
    fn absent_values_and_tables_of_nothing_leave_no_trace() {
        let body = json("z.b = '{{ owner.phone }}'\na = [ '{{ owner.name }}', '{{ product.serial }}' ]\nc = 1", "S");
        assert_eq!(body, r#"{"a":["S"],"c":1}"#);
        assert_eq!(json("a = '{{ owner.phone }}'", "S"), "{}");
    }

    #[test]
    fn constants_keep_their_types() {
        assert_eq!(
            json("a = true\nb = 2.5\nc = 'x'\nd = 'No {{ product.serial }}'", "S"),
            r#"{"a":true,"b":2.5,"c":"x","d":"No S"}"#
        );
    }

    #[test]
    fn a_form_body_is_encoded_and_flat() {
        let table: toml::Table =
            "a = '{{ product.serial }}'\nb = '{{ owner.name }}'\nc = 1\nd = '{{ 1 == 1 }}'".parse().unwrap_or_default();
        let body = compile_form(&table).unwrap_or_else(|(_, text)| panic!("{text}"));
        let bytes = body.bytes(&Serial("x&c=2 é")).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(String::from_utf8_lossy(&bytes), "a=x%26c%3D2+%C3%A9&c=1&d=true");
        let nested: toml::Table = "a.b = 1".parse().unwrap_or_default();
        assert!(compile_form(&nested).is_err_and(|(path, text)| path == ["a"] && text.contains("flat")));
    }
}
