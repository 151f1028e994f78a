//! What a person hands over: product, purchase, owner; and what of it can be refused at the door.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::str::FromStr;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::outcome::FieldProblem;

/// Longest value of a short field, in characters.
pub const FIELD_CHARS_MAX: usize = 200;
/// Most maker-specific extra fields of one registration.
pub const EXTRA_FIELDS_MAX: usize = 20;

/// All that is known of one registration, in clear. Lives in memory and on its way to the maker; stored only sealed.
///
/// What is sealed today is this shape, as version 2; versions that were written never change. Before a field is added, copy
/// the structs as they are to a file of that version (as `details_v1.rs`) and give `seal.rs` the next number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Details {
    /// The product.
    pub product: Product,
    /// Its purchase.
    pub purchase: Purchase,
    /// Whose it is.
    pub owner: Owner,
    /// Whether the owner wants the maker's advertising; never assumed.
    pub marketing_consent: bool,
    /// Fields that only some makers ask for, by their name in the catalog.
    pub extra: BTreeMap<String, String>,
}

/// The thing to register.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Product {
    /// Brand as people write it.
    pub brand: String,
    /// Model name or number.
    pub model: String,
    /// Serial number as on the type plate; empty when there is none.
    pub serial: String,
}

/// Where and when it was bought.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Purchase {
    /// Day of purchase.
    pub date: Option<Date>,
    /// Shop.
    pub shop: Option<String>,
    /// Price as people write it, with its currency.
    pub price: Option<String>,
    /// Day on which it was installed; some makers count from it.
    pub installed_on: Option<Date>,
    /// Day on which it was delivered; some makers count from it.
    pub delivered_on: Option<Date>,
}

/// The person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Owner {
    /// Full name.
    pub name: String,
    /// E-mail address.
    pub email: String,
    /// Telephone.
    pub phone: Option<String>,
    /// Postal address.
    pub address: Address,
}

/// A postal address; parts that are not known stay empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct Address {
    /// Street and number.
    pub street: Option<String>,
    /// Postal code.
    pub postal_code: Option<String>,
    /// Town.
    pub city: Option<String>,
    /// ISO 3166-1 alpha-2, upper case.
    pub country: Option<String>,
}

/// Those without which nothing is taken, whoever the maker is.
pub const ALWAYS: [&str; 4] = ["product.brand", "product.model", "owner.name", "owner.email"];

/// Names of the fields, as clients, catalogs and error messages spell them.
pub const FIELDS: &[&str] = &[
    "product.brand",
    "product.model",
    "product.serial",
    "purchase.date",
    "purchase.shop",
    "purchase.price",
    "purchase.installation_date",
    "purchase.delivery_date",
    "owner.name",
    "owner.email",
    "owner.phone",
    "owner.address.street",
    "owner.address.postal_code",
    "owner.address.city",
    "owner.address.country",
];

impl Details {
    /// The value of a field of [`FIELDS`], or of `extra.<name>`; nothing when it is absent or empty. Days are written as ISO 8601.
    #[must_use]
    pub fn field(&self, path: &str) -> Option<Cow<'_, str>> {
        let (address, purchase) = (&self.owner.address, &self.purchase);
        let day = |day: Option<Date>| day.map(|day| Cow::Owned(day.to_string()));
        let value = match path {
            "product.brand" => Some(&self.product.brand),
            "product.model" => Some(&self.product.model),
            "product.serial" => Some(&self.product.serial),
            "purchase.date" => return day(purchase.date),
            "purchase.shop" => purchase.shop.as_ref(),
            "purchase.price" => purchase.price.as_ref(),
            "purchase.installation_date" => return day(purchase.installed_on),
            "purchase.delivery_date" => return day(purchase.delivered_on),
            "owner.name" => Some(&self.owner.name),
            "owner.email" => Some(&self.owner.email),
            "owner.phone" => self.owner.phone.as_ref(),
            "owner.address.street" => address.street.as_ref(),
            "owner.address.postal_code" => address.postal_code.as_ref(),
            "owner.address.city" => address.city.as_ref(),
            "owner.address.country" => address.country.as_ref(),
            other => other.strip_prefix("extra.").and_then(|name| self.extra.get(name)),
        };
        value.filter(|text| !text.is_empty()).map(|text| Cow::Borrowed(text.as_str()))
    }

    /// Everything that is wrong with it, whatever the maker; empty when it can be accepted.
    #[must_use]
    pub fn problems(&self, today: Date) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        for path in ALWAYS {
            if self.field(path).is_none_or(|value| value.trim().is_empty()) {
                problems.push(FieldProblem::new(path, "is missing; please give it"));
            }
        }
        for path in FIELDS {
            problems.extend(self.field(path).and_then(|value| text_problem(path, &value)));
        }
        problems.extend(self.extra_problems());
        problems.extend(self.form_problems(today));
        problems
    }

    /// The fields of `required` that are not there.
    #[must_use]
    pub fn missing(&self, required: &[String], maker: &str) -> Vec<FieldProblem> {
        required
            .iter()
            .filter(|path| self.field(path).is_none())
            .map(|path| FieldProblem::new(path.clone(), format!("is missing; {maker} asks for it")))
            .collect()
    }

    /// The names of the fields in which the two differ.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let mut names: Vec<String> = FIELDS.iter().map(ToString::to_string).collect();
        names.extend(self.extra.keys().chain(other.extra.keys()).map(|name| format!("extra.{name}")));
        names.sort();
        names.dedup();
        names.retain(|name| self.field(name) != other.field(name));
        if self.marketing_consent != other.marketing_consent {
            names.push("marketing_consent".to_owned());
        }
        names
    }

    fn extra_problems(&self) -> Vec<FieldProblem> {
        if self.extra.len() > EXTRA_FIELDS_MAX {
            let text = format!("has {} entries; at most {EXTRA_FIELDS_MAX} are taken", self.extra.len());
            return vec![FieldProblem::new("extra", text)];
        }
        let named = |name: &String| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        let mut problems = Vec::new();
        for (place, (name, value)) in self.extra.iter().enumerate() {
            if named(name) {
                problems.extend(text_problem(&format!("extra.{name}"), value));
            } else {
                let text = format!("has a bad name at entry {}; use letters, digits and _", place + 1);
                problems.push(FieldProblem::new("extra", text));
            }
        }
        problems
    }

    fn form_problems(&self, today: Date) -> Vec<FieldProblem> {
        let mut problems = Vec::new();
        if !self.owner.email.is_empty() && email_address::EmailAddress::from_str(&self.owner.email).is_err() {
            problems.push(FieldProblem::new("owner.email", "is no e-mail address; write it like ada@example.org"));
        }
        problems.extend(self.purchase.problems(today));
        let country = self.owner.address.country.as_deref();
        if country.is_some_and(|code| code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase())) {
            let text = "is no country code; write ISO 3166-1 alpha-2 such as DE";
            problems.push(FieldProblem::new("owner.address.country", text));
        }
        problems
    }
}

impl Purchase {
    /// What is wrong with its days: nothing of it lies in the future, and nothing comes before the purchase.
    fn problems(&self, today: Date) -> Vec<FieldProblem> {
        let days = [
            ("purchase.date", self.date),
            ("purchase.installation_date", self.installed_on),
            ("purchase.delivery_date", self.delivered_on),
        ];
        let problem = |(field, day): (&str, Option<Date>)| {
            let day = day?;
            if day > today {
                return Some(FieldProblem::new(field, format!("lies in the future; today is {today}")));
            }
            let early = self.date.is_some_and(|purchased| day < purchased);
            early.then(|| FieldProblem::new(field, "lies before `purchase.date`; correct the one that is wrong"))
        };
        days.into_iter().filter_map(problem).collect()
    }
}

/// What is wrong with the characters or the length of one value, if anything.
#[must_use]
pub fn text_problem(path: &str, value: &str) -> Option<FieldProblem> {
    if let Some((place, found)) = value.chars().enumerate().find(|(_, c)| is_forbidden(*c)) {
        let text =
            format!("has the unprintable character U+{:04X} at place {}; remove it", u32::from(found), place + 1);
        return Some(FieldProblem::new(path, text));
    }
    let length = value.chars().count();
    (length > FIELD_CHARS_MAX)
        .then(|| FieldProblem::new(path, format!("has {length} characters; at most {FIELD_CHARS_MAX} are taken")))
}

/// Control characters, bidirectional controls (UAX #9) and non-characters (Unicode 23.7): they do harm in mails, PDFs and logs.
fn is_forbidden(c: char) -> bool {
    let code = u32::from(c);
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
        || (0xFDD0..=0xFDEF).contains(&code)
        || code & 0xFFFE == 0xFFFE
}

#[cfg(test)]
mod tests {
    use super::*;

    const TODAY: Date = Date::constant(2026, 11, 23);

    fn good() -> Details {
        let product = Product { brand: "Norrland".into(), model: "VK 200".into(), serial: "NL12345678".into() };
        let mut details = Details { product, ..Details::default() };
        details.owner.name = "Åsa Öberg".into();
        details.owner.email = "asa@example.org".into();
        details
    }

    fn fields(details: &Details) -> Vec<String> {
        details.problems(TODAY).into_iter().map(|problem| problem.field).collect()
    }

    #[test]
    fn good_details_have_no_problems() {
        assert_eq!(fields(&good()), Vec::<String>::new());
    }

    #[test]
    fn each_missing_field_is_named() {
        assert_eq!(fields(&Details::default()), ["product.brand", "product.model", "owner.name", "owner.email"]);
    }

    #[test]
    fn a_control_character_is_named_with_its_place() {
        let mut details = good();
        details.owner.name = "Eve\r\nBcc: x".into();
        let problems = details.problems(TODAY);
        assert_eq!(problems[0].field, "owner.name");
        assert!(problems[0].problem.contains("U+000D at place 4"), "{}", problems[0].problem);
    }

    #[test]
    fn bidi_controls_and_non_characters_are_refused() {
        for bad in ['\u{202E}', '\u{2066}', '\u{FFFF}', '\u{FDD0}', '\u{1FFFE}'] {
            let mut details = good();
            details.product.model = format!("x{bad}");
            assert_eq!(fields(&details), ["product.model"], "{bad:?}");
        }
    }

    #[test]
    fn a_purchase_in_the_future_a_bad_mail_and_a_bad_country_are_refused() {
        let mut details = good();
        details.purchase.date = Some(TODAY.tomorrow().expect("a day later"));
        details.owner.email = "nobody".into();
        details.owner.address.country = Some("Germany".into());
        assert_eq!(fields(&details), ["owner.email", "purchase.date", "owner.address.country"]);
    }

    #[test]
    fn an_installation_or_delivery_before_the_purchase_or_in_the_future_is_refused() {
        let mut details = good();
        details.purchase.date = Some(TODAY.yesterday().expect("a day before"));
        (details.purchase.installed_on, details.purchase.delivered_on) = (Some(TODAY), Some(TODAY));
        assert_eq!(fields(&details), Vec::<String>::new());

        details.purchase.installed_on = Some(TODAY.tomorrow().expect("a day later"));
        details.purchase.delivered_on = Some(Date::constant(2026, 11, 21));
        assert_eq!(fields(&details), ["purchase.installation_date", "purchase.delivery_date"]);
        let text = &details.problems(TODAY)[1].problem;
        assert_eq!(text, "lies before `purchase.date`; correct the one that is wrong");
    }

    #[test]
    fn a_changed_installation_is_a_difference_and_a_missing_one_is_asked_for() {
        let mut other = good();
        other.purchase.installed_on = Some(TODAY);
        assert_eq!(good().differences(&other), ["purchase.installation_date"]);
        let required = ["purchase.installation_date".to_owned()];
        assert_eq!(other.missing(&required, "Acme"), []);
        assert_eq!(good().missing(&required, "Acme").len(), 1);
    }

    #[test]
    fn differences_are_named_not_shown() {
        let mut other = good();
        other.product.serial = "other".into();
        other.extra.insert("colour".into(), "red".into());
        assert_eq!(good().differences(&other), ["extra.colour", "product.serial"]);
    }
}
