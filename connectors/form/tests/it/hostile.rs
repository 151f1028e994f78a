//! Hostile values typed into a maker's form: received as they are, and never obeyed.

use events::details::text_problem;
use outbound::Reach;
use regflow_form::{Field, FieldKind, Recipe};

use crate::site::{Site, html, page, thanks};
use crate::{confirmation, try_with_recipe};

#[path = "../../../../tests/hostile/values.rs"]
mod values;

/// What intake takes; it refuses the rest by the name of the field.
fn taken() -> Vec<String> {
    let values: Vec<String> = values::all().into_iter().filter(|value| text_problem("x", value).is_none()).collect();
    assert!(values.len() > 200, "{}", values.len());
    values
}

/// Fills one form with all values and sends it; what the maker received, in the form's order.
fn received(values: &[String], kind: FieldKind) -> Vec<String> {
    let inputs: String = (0..values.len()).map(|n| format!("<textarea name=f{n}></textarea>")).collect();
    let script = "<script>window.alert = window.confirm = window.prompt = () => document.title = 'obeyed'</script>";
    let form = html(&format!("{script}<form method=post>{inputs}<button>Send</button></form>"));
    let site = Site::new(move |request| match request.method.as_str() {
        "POST" => thanks(),
        _ => page(&form),
    });
    let field = |(n, value): (usize, &String)| Field {
        selectors: vec![format!("[name=f{n}]")],
        kind,
        value: value.clone(),
        field: None,
        optional: false,
    };
    let mut recipe: Recipe = crate::recipe(
        "url = 'BASE/'\nsuccess = { text_contains = 'thank you' }\n[[steps]]\nname = 'all'\nsubmit = ['button']",
        &site.base,
    );
    assert_eq!(recipe.reach, Reach::Private);
    recipe.steps[0].fields = values.iter().enumerate().map(field).collect();
    confirmation(&try_with_recipe(&recipe));
    let posted = site.posted();
    assert_eq!(posted.len(), 1, "it is sent once");
    url::form_urlencoded::parse(posted[0].as_bytes()).map(|(_, value)| value.into_owned()).collect()
}

#[test]
fn every_hostile_value_that_intake_takes_is_received_as_it_is() {
    let values = taken();
    for (got, given) in received(&values, FieldKind::Text).iter().zip(&values) {
        assert_eq!(got, given);
    }
}

#[test]
fn a_value_that_is_typed_key_by_key_is_received_as_it_is() {
    // a key for each character takes its time
    let values: Vec<String> = taken().into_iter().filter(|value| value.len() < 40).step_by(8).collect();
    assert!(values.len() >= 20, "{}", values.len());
    // characters of private use are keys to the driver, and are left out
    let typed = |value: &String| value.replace(|c: char| ('\u{e000}'..='\u{f8ff}').contains(&c), "");
    let expected: Vec<String> = values.iter().map(typed).collect();
    assert_eq!(received(&values, FieldKind::Typed), expected);
}
