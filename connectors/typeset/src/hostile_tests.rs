//! Hostile values on paper: each is printed as itself, or refused by the name of its field.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use jiff::Timestamp;
use packet::{FIELDS_MAX, PacketData, PacketError, PacketField};

use crate::{PacketRenderer, frames, render};

/// From here on a value may not fit on the rest of a page.
const LONG_BYTES: usize = 200;

#[path = "../../../tests/hostile/values.rs"]
mod values;

fn with(values: &[String]) -> PacketData {
    let mut data: PacketData = serde_json::from_str(include_str!("../examples/packet.json")).expect("it is drawn");
    let field = |value: &String| PacketField { label: "label".to_owned(), value: value.clone(), note: None };
    data.fields = values.iter().map(field).collect();
    data
}

/// Without white space, which lines break at, and without signs that are never drawn (default ignorable code points).
fn without_space(text: &str) -> String {
    let is_drawn = |c: &char| {
        !matches!(c, '\u{AD}' | '\u{34F}' | '\u{115F}' | '\u{1160}' | '\u{200B}'..='\u{200F}' | '\u{2060}'..='\u{206F}')
            && !matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{FFF0}'..='\u{FFFB}' | '\u{E0000}'..='\u{E0FFF}')
    };
    text.chars().filter(|c| !c.is_whitespace()).filter(is_drawn).collect()
}

#[test]
fn each_hostile_value_is_printed_as_itself_or_refused_by_the_name_of_its_field() {
    let (renderer, at) = (PacketRenderer::new(None).expect("it is drawn"), Timestamp::UNIX_EPOCH);
    let (printable, refused): (Vec<String>, Vec<String>) =
        values::all().into_iter().partition(|value| with(std::slice::from_ref(value)).check().is_ok());
    assert!(printable.len() > 200 && refused.len() > 40, "{} and {}", printable.len(), refused.len());
    for value in &refused {
        let error = renderer.render(&with(std::slice::from_ref(value)), at).unwrap_err();
        let named = matches!(&error, PacketError::BadText { field } | PacketError::TooLong { field, .. } if field == "fields[0].value");
        assert!(named, "{value:?}: {error}");
    }
    let mut literal = 0;
    // a long one is alone on its page: where a page ends, its foot stands between the halves of a value
    let (long, short): (Vec<String>, Vec<String>) = printable.into_iter().partition(|value| value.len() > LONG_BYTES);
    for values in short.chunks(FIELDS_MAX).chain(long.chunks(1)) {
        let data = with(values);
        let (text, missing) = renderer.words_of(&data, at);
        for (place, value) in values.iter().enumerate() {
            // signs that no font has become blanks, and the packet names the field
            if !missing.contains(&format!("fields[{place}].value")) {
                assert!(text.contains(&without_space(value)), "{value:?} is not printed as itself");
                literal += 1;
            }
        }
        assert!(!text.contains("PDF-1.") && text.contains("Stepbystep"), "the rest of the page is there");
    }
    assert!(literal > 180, "only {literal} were compared");
}

#[test]
fn a_hostile_value_in_any_other_field_stays_text() {
    let (renderer, at) = (PacketRenderer::new(None).expect("it is drawn"), Timestamp::UNIX_EPOCH);
    for value in
        ["#panic()", "]#panic()[", "#read(\"/etc/passwd\")", "*b* _i_ $x$ <l> @r", "= h", "\\u{202e}", "{{ 7*7 }}"]
    {
        let mut data = with(&[]);
        data.fields = with(&["x".to_owned()]).fields;
        let mut names = Vec::new();
        for (name, text) in data.texts_mut() {
            if name != "link" && name != "maker.website" {
                *text = format!("{value} {name}");
                names.push(name);
            }
        }
        let (text, _) = renderer.words_of(&data, at);
        for name in names {
            assert!(text.contains(&without_space(&format!("{value} {name}"))), "{value} in {name}");
        }
    }
    // a link holds no code either: it is an address or it is refused
    let mut data = with(&[]);
    data.link = Some("https://maker.example/#panic()?x=]%22)".to_owned());
    assert!(renderer.render(&data, at).is_ok());
}

impl PacketRenderer {
    /// All text of the laid-out pages without its white space, and the fields with blanks in them.
    fn words_of(&self, data: &PacketData, at: Timestamp) -> (String, Vec<String>) {
        let (document, missing) = render::laid_out(self, data, at).expect("it is drawn");
        let mut text = String::new();
        frames::each_text(&document, &mut |item, _left| text.push_str(&item.text));
        (without_space(&text), missing)
    }
}
