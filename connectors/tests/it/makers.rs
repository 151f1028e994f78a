//! What the shipped makers ask for, warn of and print.

use std::sync::Arc;

use jiff::civil::date;
use regflow_connectors::{Catalog, Connector, check_serial};

use crate::support::details;

fn connector(id: &str) -> Arc<Connector> {
    let catalog = Catalog::builtin().unwrap().with_sandbox(Some("http://127.0.0.1:8099".parse().unwrap()));
    Arc::clone(catalog.get(id).unwrap())
}

#[test]
fn the_serials_of_the_brief_are_not_warned_about() {
    for (id, serial) in [
        ("norrland", "NO12345678"),
        ("brightwell", "BW24-118205"),
        ("kestrel", "K204815162"),
        ("castello", "2025-FRN-04417"),
        ("aurora", "AB04C9E17F2A"),
        ("veloce", "WV7K20QX41"),
        ("hartmann", "18873"),
        ("generic", "anything at all"),
    ] {
        assert_eq!(check_serial(&connector(id), serial), None, "{id}");
    }
}

#[test]
fn an_odd_serial_is_warned_about_with_what_may_be_meant() {
    let mut details = details();
    details.product.serial = "K2O481516Z".into();
    let warnings = connector("kestrel").warnings(&details);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].field, "product.serial");
    assert_eq!(
        warnings[0].problem,
        "does not look like a serial number of Kestrel Tools: K and nine digits, such as K204815162; did you mean K204815162?"
    );
    details.product.serial = String::new();
    assert_eq!(connector("kestrel").warnings(&details), []);
}

#[test]
fn what_a_maker_cannot_do_without_is_named() {
    let mut details = details();
    details.purchase.date = None;
    let missing: Vec<String> =
        connector("norrland").missing(&details).into_iter().map(|problem| problem.field).collect();
    assert_eq!(missing, ["purchase.date"]);
    assert_eq!(connector("norrland").required(), ["product.serial", "purchase.date"]);
}

#[test]
fn the_last_day_is_counted_from_the_purchase() {
    let bought = date(2026, 1, 1);
    assert_eq!(connector("norrland").register_by_purchase(bought), Some(date(2026, 3, 2)));
    assert_eq!(connector("castello").register_by_purchase(bought), Some(date(2026, 4, 1)));
    assert_eq!(connector("aurora").register_by_purchase(bought), Some(date(2026, 1, 31)));
    assert_eq!(connector("generic").register_by_purchase(bought), None);
}

#[test]
fn the_guide_is_filled_in_and_leaves_out_what_nobody_gave() {
    let view = connector("castello").manual_view(&details()).unwrap();
    assert_eq!(view.maker_name, "Castello Cucina");
    assert_eq!(view.link.as_deref(), Some("http://127.0.0.1:8099/castello/registrazione"));
    let fields: Vec<(&str, &str)> =
        view.fields.iter().map(|field| (field.label.as_str(), field.value.as_str())).collect();
    assert!(fields.contains(&("Data di acquisto", "02.10.2026")), "{fields:?}");
    assert!(fields.contains(&("Cognome", "van der Ångström")), "{fields:?}");
    assert!(!fields.iter().any(|(label, _)| *label == "Telefono"), "{fields:?}");
}

#[test]
fn the_generic_guide_speaks_of_the_brand() {
    let mut details = details();
    details.product.brand = "{{ owner.email }} & Co".into();
    let view = connector("generic").manual_view(&details).unwrap();
    assert!(view.steps[1].contains("\"{{ owner.email }} & Co product registration\""), "{}", view.steps[1]);
    assert_eq!(view.link, None);
}

#[test]
fn a_form_is_filled_in_and_keeps_its_shape() {
    let recipe = connector("castello").form_recipe(&details()).unwrap();
    assert_eq!(recipe.url, "http://127.0.0.1:8099/castello/registrazione");
    assert_eq!(recipe.steps.len(), 3);
    let value = |step: usize, selector: &str| {
        let field = recipe.steps[step].fields.iter().find(|field| field.selectors[0] == selector).unwrap();
        field.value.clone()
    };
    assert_eq!(value(0, "#family"), "altro");
    assert_eq!((value(1, "#day"), value(1, "#month"), value(1, "#year")), ("2".into(), "10".into(), "2026".into()));
    assert_eq!(value(2, "#firstname"), "Zoë");
    assert_eq!(value(2, "#marketing"), "false");
    assert_eq!(value(2, "#phone"), "");
}

#[test]
fn a_value_of_the_person_is_no_address_and_no_template() {
    let mut details = details();
    details.product.model = "sandbox:///veloce {{ owner.email }}".into();
    let recipe = connector("veloce").form_recipe(&details).unwrap();
    assert_eq!(recipe.steps[0].fields[1].value, "sandbox:///veloce {{ owner.email }}");
}

#[test]
fn a_value_of_the_person_stays_in_its_place_of_the_forms_address() {
    let text = Catalog::built_in_file("veloce").unwrap();
    let address = "https://forms.example.com/register?m={{ product.model }}&lang=en";
    let text = text.replace("sandbox:///veloce/register", address);
    let mut details = details();
    details.product.model = "a&b=1#x /..".into();
    let recipe = Connector::parse("veloce.toml", &text).unwrap().form_recipe(&details).unwrap();
    assert_eq!(recipe.url, "https://forms.example.com/register?m=a%26b%3D1%23x%20%2F..&lang=en");
}

#[test]
fn every_maker_can_be_filled_in_with_as_little_as_it_requires() {
    let catalog = Catalog::builtin().unwrap().with_sandbox(Some("http://127.0.0.1:8099".parse().unwrap()));
    let bare = events::Details::default();
    for connector in catalog.iter() {
        assert!(connector.manual_view(&bare).is_ok(), "{}", connector.id());
    }
}
