//! The checks that every maker makes on what it receives: fields present, serial, e-mail and purchase date in order.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use serde_json::Value;

use crate::desk::Problem;
use crate::maker::Maker;

/// Longer than any field of a warranty card.
const FIELD_BYTES_MAX: usize = 2_000;

/// Collects the mistakes of one submission.
pub(crate) struct Checks<'a> {
    fields: &'a Value,
    problems: Vec<Problem>,
}

impl<'a> Checks<'a> {
    pub(crate) fn of(fields: &'a Value) -> Self {
        Checks { fields, problems: Vec::new() }
    }

    /// The text at a JSON pointer must be there. `field` is the maker's word for it in its answer.
    pub(crate) fn present(&mut self, pointer: &str, field: &'static str) -> &mut Self {
        let found = text(self.fields, pointer);
        if found.trim().is_empty() {
            self.problem(field, "missing", "This field is required.")
        } else if found.len() > FIELD_BYTES_MAX {
            self.problem(field, "too_long", "This field is too long.")
        } else {
            self
        }
    }

    pub(crate) fn email(&mut self, pointer: &str, field: &'static str) -> &mut Self {
        if looks_like_email(text(self.fields, pointer)) {
            self
        } else {
            self.problem(field, "invalid_email", "This is not an e-mail address.")
        }
    }

    pub(crate) fn serial(&mut self, maker: Maker, pointer: &str, field: &'static str) -> &mut Self {
        let rule = &maker.profile().serial;
        if rule.accepts(text(self.fields, pointer)) {
            return self;
        }
        let message = format!("Not a serial number of {}; it looks like {}.", maker.name(), rule.example);
        self.problem(field, "invalid_format", message)
    }

    /// A checkbox that must be ticked.
    pub(crate) fn ticked(&mut self, pointer: &str, field: &'static str) -> &mut Self {
        if text(self.fields, pointer).is_empty() {
            self.problem(field, "must_accept", "Please accept the terms.")
        } else {
            self
        }
    }

    pub(crate) fn problem(&mut self, field: &'static str, code: &'static str, message: impl Into<String>) -> &mut Self {
        self.problems.push(Problem { field, code, message: message.into() });
        self
    }

    /// The purchase date, written as `format` says (`%Y-%m-%d`), and with it the end of all checks.
    pub(crate) fn purchased(&mut self, pointer: &str, field: &'static str, format: &str) -> Result<Date, Vec<Problem>> {
        let written = text(self.fields, pointer);
        self.purchased_on(Date::strptime(format, written).ok(), field)
    }

    /// The same for a date that was put together from several fields.
    pub(crate) fn purchased_on(&mut self, date: Option<Date>, field: &'static str) -> Result<Date, Vec<Problem>> {
        match date {
            None => self.problem(field, "invalid_date", "This is not a date that we can read."),
            Some(date) if date > latest_purchase() => self.problem(field, "in_future", "This date is in the future."),
            Some(date) if self.problems.is_empty() => return Ok(date),
            Some(_) => self,
        };
        Err(std::mem::take(&mut self.problems))
    }

    /// The end of all checks where no date is asked for.
    pub(crate) fn passed(&mut self) -> Result<(), Vec<Problem>> {
        if self.problems.is_empty() { Ok(()) } else { Err(std::mem::take(&mut self.problems)) }
    }
}

/// The text at a JSON pointer; empty when there is none.
pub(crate) fn text<'a>(fields: &'a Value, pointer: &str) -> &'a str {
    fields.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// Tomorrow in UTC, because it may be tomorrow already where the buyer lives.
fn latest_purchase() -> Date {
    let today = Timestamp::now().to_zoned(TimeZone::UTC).date();
    today.checked_add(1.day()).unwrap_or(today)
}

fn looks_like_email(text: &str) -> bool {
    text.split_once('@').is_some_and(|(local, domain)| {
        !local.is_empty()
            && domain.contains('.')
            && !domain.starts_with('.')
            && !domain.ends_with('.')
            && !text.contains(char::is_whitespace)
            && !domain.contains('@')
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let fields = json!({ "serial": "nonsense", "email": "no at sign", "on": "31.11.2026" });
        let problems = Checks::of(&fields)
            .present("/name", "name")
            .serial(Maker::Aurora, "/serial", "serial")
            .email("/email", "email")
            .purchased("/on", "on", "%d.%m.%Y")
            .expect_err("four mistakes");
        let named: Vec<_> = problems.iter().map(|problem| (problem.field, problem.code)).collect();
        let expected =
            [("name", "missing"), ("serial", "invalid_format"), ("email", "invalid_email"), ("on", "invalid_date")];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_purchase_in_the_future_is_refused() {
        let fields = json!({ "on": "2999-01-01" });
        let problems = Checks::of(&fields).purchased("/on", "on", "%Y-%m-%d").expect_err("a date to come");
        assert_eq!(problems[0].code, "in_future");
    }

    #[test]
    fn a_sound_submission_gives_the_date() {
        let fields = json!({ "name": "Ζωή", "email": "zoe@example.org", "on": "2026-10-03" });
        let date =
            Checks::of(&fields).present("/name", "name").email("/email", "email").purchased("/on", "on", "%Y-%m-%d");
        assert_eq!(date, Ok(jiff::civil::date(2026, 10, 3)));
    }
}
