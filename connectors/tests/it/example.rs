//! The connectors that people copy: examples/maker.toml, and the whole ones of docs/connectors.md.

use events::{ErrorKind, FieldProblem, Method};
use regflow_connectors::{ApiClient, ApiOptions, Connector};
use serde_json::json;

use crate::support::{KEY, Maker, answer, details, failure, kind, registered, request};

const EXAMPLE: &str = include_str!("../../../examples/maker.toml");
const PAGE: &str = include_str!("../../../docs/connectors.md");

fn connector(file_name: &str, text: &str) -> Connector {
    Connector::parse(file_name, text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// The example, with its maker in the own house.
fn at_home(maker: &Maker) -> Connector {
    let text = EXAMPLE.replace("https://api.quillmark.example/v1", &maker.url);
    connector("maker.toml", &format!("network = \"private\"\n{text}"))
}

fn client() -> ApiClient {
    ApiClient::new(ApiOptions { environment: |_| Some("token-1".to_owned()), ..ApiOptions::default() }).unwrap()
}

#[test]
fn the_example_that_people_copy_is_a_connector_as_it_stands() {
    let example = connector("examples/maker.toml", EXAMPLE);
    assert_eq!(example.id(), "maker");
    assert_eq!(example.ladder(), [Method::Api, Method::AssistedManual]);
}

#[test]
fn the_whole_connectors_of_the_documentation_have_no_mistakes() {
    let blocks = PAGE.split("```toml\n").skip(1).filter_map(|part| part.split_once("```"));
    let whole: Vec<&str> = blocks.map(|(block, _)| block).filter(|block| block.starts_with("name = ")).collect();
    let ladders: Vec<_> =
        whole.iter().map(|block| connector("makers/quillmark.toml", block).ladder().to_vec()).collect();
    assert_eq!(ladders, [vec![Method::AssistedManual], vec![Method::Api, Method::AssistedManual]]);
}

#[tokio::test]
async fn the_example_sends_what_its_body_says() {
    let maker = Maker::start(|_, _| answer(201, json!({ "code": "QK-1" }))).await;
    let outcome = client().register(&at_home(&maker), &request(&details())).await;
    assert_eq!(outcome, registered("QK-1"));
    let seen = &maker.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/registrations"));
    assert_eq!(seen.header("authorization"), Some("Bearer token-1"));
    assert_eq!(seen.header("idempotency-key"), Some(KEY));
    let body = json!({
        "model": "Fjell 600", "serial": "NO12345678", "purchased_on": "02.10.2026", "shop": "Elhuset",
        "owner": {
            "first_name": "Zoë", "last_name": "van der Ångström", "email": "zoe@example.org", "country": "DK",
        },
        "newsletter": false, "source": "regflow",
    });
    assert_eq!(seen.json(), body);
}

#[tokio::test]
async fn the_example_names_the_fields_that_its_maker_refuses() {
    let refusal = json!({ "error": { "fields": [{ "name": "owner.email", "text": "no such mailbox" }] } });
    let maker = Maker::start(move |_, _| answer(422, refusal.clone())).await;
    let failed = failure(client().register(&at_home(&maker), &request(&details())).await);
    assert_eq!(failed.kind, ErrorKind::Validation);
    assert_eq!(failed.fields, [FieldProblem::new("owner.email", "Quillmark Kitchen says: no such mailbox")]);
}

#[tokio::test]
async fn a_request_that_the_examples_maker_does_not_understand_is_no_mistake_of_the_owner() {
    let maker = Maker::start(|_, _| answer(400, json!({ "error": { "message": "unknown version" } }))).await;
    let outcome = client().register(&at_home(&maker), &request(&details())).await;
    assert_eq!(kind(outcome), ErrorKind::FormChanged);
}
