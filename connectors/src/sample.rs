//! Registrations that were never made: every template is tried on them when its file is loaded.

use events::Details;
use jiff::civil::Date;

/// The serial number where the maker's look is not known.
pub(crate) const SERIAL: &str = "S1";

/// A registration that has the named fields and no others.
pub(crate) fn details(names: &[String], serial: &str) -> Details {
    let mut details = Details::default();
    for name in names {
        fill(&mut details, name, serial);
    }
    details
}

fn fill(details: &mut Details, name: &str, serial: &str) {
    let address = &mut details.owner.address;
    match name {
        "product.brand" => details.product.brand = "Sample".into(),
        "product.model" => details.product.model = "Model 1".into(),
        "product.serial" => details.product.serial = serial.into(),
        "purchase.date" => details.purchase.date = Some(Date::constant(2026, 1, 31)),
        "purchase.shop" => details.purchase.shop = Some("Corner Shop".into()),
        "purchase.price" => details.purchase.price = Some("199.00 EUR".into()),
        "purchase.installation_date" => details.purchase.installed_on = Some(Date::constant(2026, 2, 7)),
        "purchase.delivery_date" => details.purchase.delivered_on = Some(Date::constant(2026, 2, 3)),
        "owner.name" => details.owner.name = "Ada van der Sample".into(),
        "owner.email" => details.owner.email = "ada@example.org".into(),
        "owner.phone" => details.owner.phone = Some("+49 30 000000".into()),
        "owner.address.street" => address.street = Some("Example Street 1".into()),
        "owner.address.postal_code" => address.postal_code = Some("10115".into()),
        "owner.address.city" => address.city = Some("Berlin".into()),
        "owner.address.country" => address.country = Some("DE".into()),
        other => {
            if let Some(extra) = other.strip_prefix("extra.") {
                details.extra.insert(extra.to_owned(), "sample".to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use events::details::FIELDS;

    use super::*;

    #[test]
    fn every_field_of_the_vocabulary_can_be_filled() {
        let names: Vec<String> = FIELDS.iter().map(ToString::to_string).collect();
        let sample = details(&names, "S1");
        for name in FIELDS {
            assert!(sample.field(name).is_some(), "{name}");
        }
    }
}
