//! The three pages of Castello's form: what each wants, and how its fields are read.

use axum::extract::Multipart;
use jiff::civil::Date;
use serde_json::{Map, Value, json};

use super::MAKER;
use crate::checks::{Checks, text};
use crate::desk::Problem;
use crate::web::forms::Visitor;

/// A receipt may be this large; the page says so too.
const RECEIPT_BYTES_MAX: usize = 5 * 1024 * 1024;

/// One page of the form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Product,
    Purchase,
    Owner,
}

impl Step {
    pub(super) fn number(self) -> u8 {
        self as u8 + 1
    }

    pub(super) fn check(self, fields: &Value) -> Result<(), Vec<Problem>> {
        let mut checks = Checks::of(fields);
        match self {
            Step::Product => checks
                .present("/family", "family")
                .present("/model", "model")
                .serial(MAKER, "/serial", "serial")
                .passed(),
            Step::Purchase => checks.present("/shop", "shop").purchased_on(purchased(fields), "date").map(|_| ()),
            Step::Owner => check_owner(&mut checks, fields).passed(),
        }
    }
}

fn check_owner<'a, 'b>(checks: &'b mut Checks<'a>, fields: &Value) -> &'b mut Checks<'a> {
    checks
        .present("/firstname", "firstname")
        .present("/lastname", "lastname")
        .email("/email", "email")
        .present("/street", "street")
        .present("/zip", "zip")
        .present("/city", "city")
        .present("/country", "country")
        .ticked("/terms", "terms");
    if text(fields, "/email") == text(fields, "/email_confirm") {
        return checks;
    }
    checks.problem("email_confirm", "mismatch", "Gli indirizzi e-mail non coincidono.")
}

/// The date that the three selects make, if it exists: 31 November does not.
pub(super) fn purchased(fields: &Value) -> Option<Date> {
    let year = text(fields, "/year").parse().ok()?;
    let month = text(fields, "/month").parse().ok()?;
    let day = text(fields, "/day").parse().ok()?;
    Date::new(year, month, day).ok()
}

/// Whether the visitor has done the pages before `step`.
pub(super) fn reached(visitor: &Visitor, step: Step) -> bool {
    let fields = &visitor.session.fields;
    match step {
        Step::Product => true,
        Step::Purchase => fields.contains_key("serial"),
        Step::Owner => fields.contains_key("serial") && fields.contains_key("shop"),
    }
}

/// The fields of a multipart form; of a file its name, type and size. Nothing when it cannot be read or is too large.
pub(super) async fn read_multipart(mut form: Multipart) -> Option<Value> {
    let mut fields = Map::new();
    while let Some(part) = form.next_field().await.ok()? {
        let name = part.name()?.to_owned();
        let file = part
            .file_name()
            .map(|file_name| (file_name.to_owned(), part.content_type().unwrap_or_default().to_owned()));
        let bytes = part.bytes().await.ok()?;
        let value = match file {
            Some((file_name, _)) if file_name.is_empty() => continue,
            Some(_) if bytes.len() > RECEIPT_BYTES_MAX => return None,
            Some((file_name, kind)) => json!({ "filename": file_name, "content_type": kind, "size": bytes.len() }),
            None => Value::String(String::from_utf8_lossy(&bytes).into_owned()),
        };
        fields.insert(name, value);
    }
    Some(Value::Object(fields))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_date_that_exists_is_read_from_the_selects() {
        let selected = |day: &str, month: &str| purchased(&json!({ "day": day, "month": month, "year": "2026" }));
        assert_eq!(selected("30", "9"), Some(jiff::civil::date(2026, 9, 30)));
        assert_eq!(selected("31", "9"), None);
        assert_eq!(selected("", "9"), None);
    }
}
