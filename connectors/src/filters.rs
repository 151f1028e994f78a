//! The filters that catalog files may use beside those of the template language.
//!
//! Absent values pass through, so that an absent field stays absent; no error here repeats a value.

use std::borrow::Cow;

use jiff::civil::Date;
use minijinja::{Error, ErrorKind, Value};

/// Words that begin a family name rather than end a given name, lower case as people write them.
const PARTICLES: &[&str] = &[
    "van", "von", "vom", "zu", "zum", "zur", "der", "den", "de", "del", "della", "di", "da", "dos", "du", "la", "le",
    "af", "av", "ten", "ter",
];

/// `owner.name | first_name`: "Ludwig" of "Ludwig van Beethoven"; a name of one word is both first and last.
pub(crate) fn first_name(name: &Value) -> Value {
    map_text(name, |name| split_name(name).0)
}

/// `owner.name | last_name`: "van Beethoven" of "Ludwig van Beethoven", "Öberg" of "Öberg, Åsa".
pub(crate) fn last_name(name: &Value) -> Value {
    map_text(name, |name| split_name(name).1)
}

/// `owner.phone | digits`: what is left when only digits may stay.
pub(crate) fn digits(text: &Value) -> Value {
    map_text(text, |text| text.chars().filter(char::is_ascii_digit).collect())
}

/// `purchase.date | date("%d.%m.%Y")`, with the conversions of `strftime`.
pub(crate) fn date(day: &Value, format: &str) -> Result<Value, Error> {
    let Some(text) = day.as_str() else { return Ok(Value::UNDEFINED) };
    let day: Date = text.parse().map_err(|_| invalid("the value is no date of the form YYYY-MM-DD"))?;
    jiff::fmt::strtime::format(format, day).map(Value::from).map_err(|_| invalid("the date format is not understood"))
}

fn invalid(what: &'static str) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

fn map_text<'v>(value: &'v Value, change: impl FnOnce(&'v str) -> Cow<'v, str>) -> Value {
    value.as_str().map_or(Value::UNDEFINED, |text| Value::from(change(text)))
}

/// Given and family name.
fn split_name(name: &str) -> (Cow<'_, str>, Cow<'_, str>) {
    if let Some((last, first)) = name.split_once(',') {
        return (first.trim().into(), last.trim().into());
    }
    let words: Vec<&str> = name.split_whitespace().collect();
    match words.as_slice() {
        [] => ("".into(), "".into()),
        [only] => ((*only).into(), (*only).into()),
        [first, last] => ((*first).into(), (*last).into()),
        [_, rest @ ..] => {
            let family = rest.iter().position(|word| PARTICLES.contains(word)).unwrap_or(rest.len() - 1) + 1;
            (words[..family].join(" ").into(), words[family..].join(" ").into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_as_their_owners_would() {
        for (name, first, last) in [
            ("Åsa Öberg", "Åsa", "Öberg"),
            ("Ludwig van Beethoven", "Ludwig", "van Beethoven"),
            ("Anna Maria Rossi", "Anna Maria", "Rossi"),
            ("Öberg, Åsa", "Åsa", "Öberg"),
            ("Maria von der Leyen", "Maria", "von der Leyen"),
            ("Björk", "Björk", "Björk"),
            ("Ada  de", "Ada", "de"),
        ] {
            assert_eq!(split_name(name), (first.into(), last.into()), "{name}");
        }
    }

    #[test]
    fn a_date_is_written_as_the_maker_wants_it() {
        let day = Value::from("2026-03-09");
        assert_eq!(
            date(&day, "%d.%m.%Y").ok().and_then(|v| v.as_str().map(str::to_owned)).as_deref(),
            Some("09.03.2026")
        );
        assert!(date(&Value::from("yesterday"), "%d").is_err());
        assert!(date(&Value::UNDEFINED, "%d").is_ok_and(|value| value.is_undefined()));
    }
}
