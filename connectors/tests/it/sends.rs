//! Only declared fields leave, and what an attempt will send is known before: random connectors and random details, by API in
//! many cases and by a form in a real browser in a few.

use std::cell::Cell;
use std::sync::Arc;

use axum::response::{Html, IntoResponse};
use events::details::FIELDS;
use events::{Details, Method, Outcome};
use jiff::civil::Date;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use regflow_connectors::Connector;

use crate::support::{Maker, Seen, answer, client, request};

/// Cases by API, and by form; the first can be had as many as wanted by `REGFLOW_SENDS_CASES`.
const API_CASES: u32 = 200;
const FORM_CASES: u32 = 3;
/// Fields that only this maker asks for.
const EXTRA: [&str; 2] = ["extra.colour", "extra.size"];

/// What is drawn for one field.
#[derive(Debug, Clone)]
struct Draw {
    name: String,
    declared: bool,
    present: bool,
    /// Whether a template reads it, and how: in a leaf of its own, within a text, behind a filter.
    used: Option<usize>,
    value: String,
}

fn draws() -> impl Strategy<Value = Vec<Draw>> {
    let names: Vec<String> = FIELDS.iter().chain(&EXTRA).map(ToString::to_string).collect();
    let one = (any::<bool>(), any::<bool>(), 0_usize..4, "[a-z]{12}", 1_i16..28);
    proptest::collection::vec(one, names.len()).prop_map(move |drawn| {
        let drawn = names.iter().zip(drawn).enumerate();
        drawn
            .map(|(place, (name, (declared, present, used, text, day)))| {
                draw(place, name, declared, present, used, text, day)
            })
            .collect()
    })
}

fn draw(place: usize, name: &str, declared: bool, present: bool, used: usize, text: String, day: i16) -> Draw {
    // a year for each date, so that none is found in another
    let value = if is_date(name) { format!("20{}-03-{day:02}", 21 + place) } else { text };
    Draw { name: name.to_owned(), declared, present, used: (declared && used < 3).then_some(used), value }
}

fn is_date(name: &str) -> bool {
    name.ends_with("date")
}

fn details(draws: &[Draw]) -> Details {
    let mut details = Details::default();
    for draw in draws.iter().filter(|draw| draw.present) {
        let (value, address) = (draw.value.clone(), &mut details.owner.address);
        let day = value.parse::<Date>().ok();
        match draw.name.as_str() {
            "product.brand" => details.product.brand = value,
            "product.model" => details.product.model = value,
            "product.serial" => details.product.serial = value,
            "purchase.date" => details.purchase.date = day,
            "purchase.shop" => details.purchase.shop = Some(value),
            "purchase.price" => details.purchase.price = Some(value),
            "purchase.installation_date" => details.purchase.installed_on = day,
            "purchase.delivery_date" => details.purchase.delivered_on = day,
            "owner.name" => details.owner.name = value,
            "owner.email" => details.owner.email = value,
            "owner.phone" => details.owner.phone = Some(value),
            "owner.address.street" => address.street = Some(value),
            "owner.address.postal_code" => address.postal_code = Some(value),
            "owner.address.city" => address.city = Some(value),
            "owner.address.country" => address.country = Some(value),
            other => {
                details.extra.insert(other.trim_start_matches("extra.").to_owned(), value);
            }
        }
    }
    details
}

fn template(draw: &Draw) -> Option<String> {
    let name = &draw.name;
    Some(match draw.used? {
        0 => format!("{{{{ {name} }}}}"),
        1 => format!("No. {{{{ {name} }}}} of ours"),
        _ => format!("{{{{ {name} | default('none') }}}}"),
    })
}

/// The head of a file that declares what was drawn.
fn head(draws: &[Draw], ladder: &str) -> String {
    let declared: Vec<String> = draws.iter().filter(|d| d.declared).map(|d| format!("{:?}", d.name)).collect();
    format!(
        "name = \"Acme\"\nbrands = [\"Acme\"]\nnetwork = \"private\"\nsends = [{}]\nladder = [\"{ladder}\", \"ASSISTED_MANUAL\"]\n\
         [manual]\nsteps = [\"Go there.\"]\n",
        declared.join(", ")
    )
}

fn by_api(draws: &[Draw], url: &str) -> Connector {
    let leaves: Vec<String> = draws
        .iter()
        .enumerate()
        .filter_map(|(place, draw)| Some(format!("f{place} = {:?}\n", template(draw)?)))
        .collect();
    let text = format!(
        "{}[api]\nbase_url = \"{url}\"\npath = \"/register\"\ntimeout_ms = 5000\n[api.body.json]\nfixed = 1\n{}[api.success]\nstatus = [200]\n",
        head(draws, "API"),
        leaves.concat()
    );
    Connector::parse("acme.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

fn by_form(draws: &[Draw], url: &str) -> Connector {
    let fields: Vec<String> = draws
        .iter()
        .enumerate()
        .filter_map(|(place, draw)| {
            Some(format!("[[form.steps.fields]]\nselectors = [\"#f{place}\"]\nvalue = {:?}\n", template(draw)?))
        })
        .collect();
    let text = format!(
        "{}[form]\nurl = \"{url}/form\"\nsuccess = {{ selector = \".done\" }}\n[[form.steps]]\nname = \"one\"\nsubmit = [\"button\"]\n{}",
        head(draws, "AUTOMATION_RELIABLE"),
        fields.concat()
    );
    Connector::parse("acme.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{text}"))
}

/// The form asks for everything, whatever the connector fills in.
fn page() -> String {
    let inputs: Vec<String> = (0..FIELDS.len() + EXTRA.len()).map(|n| format!("<input id=f{n} name=f{n}>")).collect();
    format!(
        "<!doctype html><title>Acme</title><form method=post action=/form>{}<button>Go</button></form>",
        inputs.concat()
    )
}

/// The fields that were told of are those in what arrived, and no other value is in any part of it.
fn judge(draws: &[Draw], connector: &Connector, method: Method, details: &Details, arrived: &[Seen]) {
    let told = connector.sending(method, details, false).unwrap();
    assert!(connector.sends().len() >= told.fields.names().len());
    let whole: String = arrived.iter().map(|seen| format!("{} {:?} {}", seen.path, seen.headers, seen.body)).collect();
    let names = told.fields.names();
    for draw in draws {
        let is_told = names.contains(&draw.name);
        assert_eq!(is_told, draw.present && draw.used.is_some(), "{}", draw.name);
        assert_eq!(
            is_told,
            draw.present && whole.contains(&draw.value),
            "{}: told {names:?}, arrived {whole}",
            draw.name
        );
        assert!(draw.declared || !whole.contains(&draw.value), "{} is not declared: {whole}", draw.name);
    }
}

#[test]
fn by_api_only_declared_fields_arrive_and_all_of_them_were_told_of_before() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let maker = runtime.block_on(Maker::start(|_, _| answer(200, serde_json::json!({}))));
    let (client, cases) = (client(), std::env::var("REGFLOW_SENDS_CASES").ok().and_then(|text| text.parse().ok()));
    let config = Config { cases: cases.unwrap_or(API_CASES), failure_persistence: None, ..Config::default() };
    let arrived = Cell::new(0);
    TestRunner::new(config)
        .run(&draws(), |draws| {
            let (connector, details) = (by_api(&draws, &maker.url), details(&draws));
            let outcome = runtime.block_on(client.register(&connector, &request(&details)));
            assert!(matches!(outcome, Outcome::Registered { .. }), "{outcome:?}");
            judge(&draws, &connector, Method::Api, &details, &maker.seen()[arrived.get()..]);
            arrived.set(maker.seen().len());
            Ok(())
        })
        .unwrap();
    assert_eq!(maker.seen().len(), arrived.get());
    assert!(arrived.get() >= 1, "some cases were tried");
}

#[test]
fn by_form_only_declared_fields_arrive_and_all_of_them_were_told_of_before() {
    let runtime = &crate::forms::RUNTIME;
    let maker = runtime.block_on(Maker::start(|seen, _| match seen.method.as_str() {
        "POST" => Html("<!doctype html><title>Acme</title><p class=done>Thanks".to_owned()).into_response(),
        _ => Html(page()).into_response(),
    }));
    let config = Config { cases: FORM_CASES, failure_persistence: None, ..Config::default() };
    let arrived = Cell::new(0);
    TestRunner::new(config)
        .run(&draws(), |draws| {
            let (connector, details) = (by_form(&draws, &maker.url), details(&draws));
            let recipe = connector.form_recipe(&details).unwrap();
            let report = runtime.block_on(crate::forms::BROWSERS.run(&recipe, Vec::new(), Arc::new(|| true)));
            assert!(matches!(report.outcome, Outcome::Registered { .. }), "{report:?}");
            judge(&draws, &connector, Method::AutomationReliable, &details, &maker.seen()[arrived.get()..]);
            arrived.set(maker.seen().len());
            Ok(())
        })
        .unwrap();
    assert!(maker.seen().iter().filter(|seen| seen.method == "POST").count() >= FORM_CASES as usize);
}

#[test]
fn the_shipped_makers_tell_what_they_send_and_what_they_ask() {
    let catalog =
        regflow_connectors::Catalog::builtin().unwrap().with_sandbox(Some("http://127.0.0.1:9".parse().unwrap()));
    let connector = |id: &str| Connector::clone(catalog.get(id).unwrap());
    let details = crate::support::details();
    let by_api = connector("norrland").sending(Method::Api, &details, true).unwrap();
    assert_eq!(by_api.to, "127.0.0.1:9");
    let wanted = [
        "product.model",
        "product.serial",
        "purchase.date",
        "owner.name",
        "owner.email",
        "owner.address.city",
        "owner.address.country",
        "marketing_consent",
    ];
    assert_eq!(by_api.fields.names(), wanted, "what the owner did not give is not told of");
    let by_form = |has_proof| connector("castello").sending(Method::AutomationReliable, &details, has_proof).unwrap();
    assert!(by_form(true).fields.names().contains(&"proof_of_purchase".to_owned()));
    assert!(!by_form(false).fields.names().contains(&"proof_of_purchase".to_owned()));
    assert!(!by_form(true).fields.names().contains(&"marketing_consent".to_owned()), "an unticked box sends nothing");
    assert_eq!(connector("brightwell").asking().unwrap().fields.names(), ["product.serial"]);
    assert_eq!(connector("castello").asking(), None);
    assert_eq!(connector("hartmann").sending(Method::AssistedManual, &details, true), None);
}
