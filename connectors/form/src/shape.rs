//! What of a form's first page must stay the same for a recipe to work: where it is sent, and its fields.

use serde::Deserialize;

use crate::page::{RawField, RawForm};

/// A part of an id with so many digits in a row is a counter or a time.
const DIGITS_IN_A_ROW: usize = 4;
/// A part of an id that is so long, all hexadecimal and mixed of digits and letters is drawn.
const HEX_LENGTH: usize = 6;
/// A part of an id that changes so often between digits and letters is drawn.
const CHANGES: usize = 3;

/// The shape of a form. Texts for people, order of attributes, styles and drawn ids are no part of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormShape {
    /// Where it is sent: the path, after `//` and the host when that is another one than the page's.
    pub action: String,
    /// Whether a captcha stands before it.
    #[serde(default)]
    pub captcha: bool,
    /// Whether a login page stands in its place.
    #[serde(default)]
    pub login: bool,
    /// What people can fill in, in the order of the page. Buttons and hidden fields (anti-forgery tokens) are left out.
    #[serde(default)]
    pub fields: Vec<FormField>,
}

/// One field of a form.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FormField {
    /// Its name, else its id; empty when it has no name and an id that is drawn anew each time.
    #[serde(default)]
    pub name: String,
    /// Its type in HTML: `text`, `email`, `date`, `select`, `checkbox`, `textarea` and so on.
    pub kind: String,
    /// What stands before it; only to know it again when it has another name.
    #[serde(default)]
    pub label: String,
    /// Whether the page wants it filled in.
    #[serde(default)]
    pub required: bool,
}

impl FormShape {
    /// The form as the page has it; the buttons or boxes of one group are one field.
    pub(crate) fn of(form: RawForm, captcha: bool, login: bool) -> Self {
        let mut fields: Vec<FormField> = Vec::with_capacity(form.fields.len());
        for field in form.fields.into_iter().map(FormField::of) {
            match fields.iter_mut().find(|known| known.is_group_of(&field)) {
                Some(known) => known.required |= field.required,
                None => fields.push(field),
            }
        }
        Self { action: form.action, captcha, login, fields }
    }

    /// Whether all fields of `baseline` that have a name are there by that name.
    pub(crate) fn has_all_of(&self, baseline: &Self) -> bool {
        let named = baseline.fields.iter().filter(|field| !field.name.is_empty());
        named.into_iter().all(|wanted| self.fields.iter().any(|field| field.name == wanted.name))
    }
}

impl FormField {
    fn of(raw: RawField) -> Self {
        let id = if looks_drawn(&raw.id) { String::new() } else { raw.id };
        let name = if raw.name.is_empty() { id } else { raw.name };
        let printable = |text: String| text.chars().filter(|c| !c.is_control()).collect();
        Self { name: printable(name), kind: raw.kind, label: printable(raw.label), required: raw.required }
    }

    fn is_group_of(&self, other: &Self) -> bool {
        !self.name.is_empty() && (&self.name, &self.kind) == (&other.name, &other.kind)
    }
}

/// Whether an id was made by a machine for this one page view: `input-8f3a91c2`, `ember1042`, `:r3:`.
fn looks_drawn(id: &str) -> bool {
    id.contains(':') || id.split(|c: char| !c.is_ascii_alphanumeric()).any(part_looks_drawn)
}

fn part_looks_drawn(part: &str) -> bool {
    let digit = |byte: &u8| byte.is_ascii_digit();
    let bytes = part.as_bytes();
    let mixed = bytes.iter().any(digit) && !bytes.iter().all(digit);
    let hex = bytes.len() >= HEX_LENGTH && bytes.iter().all(u8::is_ascii_hexdigit);
    let changes = bytes.windows(2).filter(|pair| pair[0].is_ascii_digit() != pair[1].is_ascii_digit()).count();
    let counted = bytes.windows(DIGITS_IN_A_ROW).any(|run| run.iter().all(digit));
    counted || (mixed && (hex || changes >= CHANGES))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_machines_are_told_from_ids_of_people() {
        for drawn in
            ["input-8f3a91c2", "ember1042", ":r3:", "f_1732618273", "x7k2q9", "b5c1d9e0-11aa-4f00-8000-00aa00bb00cc"]
        {
            assert!(looks_drawn(drawn), "{drawn}");
        }
        for chosen in
            ["serial", "serial_number", "address-line-2", "field_12", "input_1_3", "email2", "purchaseDate", ""]
        {
            assert!(!looks_drawn(chosen), "{chosen}");
        }
    }

    #[test]
    fn the_buttons_of_one_group_are_one_field() {
        let radio = |required| RawField {
            name: "place".into(),
            id: String::new(),
            kind: "radio".into(),
            label: "Bought".into(),
            required,
        };
        let raw = RawForm { action: "/".into(), fields: vec![radio(false), radio(true)], whole: true };
        let shape = FormShape::of(raw, false, false);
        assert_eq!(shape.fields.len(), 1);
        assert!(shape.fields[0].required);
    }
}
