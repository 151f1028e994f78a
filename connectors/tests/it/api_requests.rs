//! What leaves for a maker: the body, the address, the headers, and nothing that is not declared.

use regflow_connectors::{Connector, Lookup};
use serde_json::json;

use crate::support::{KEY, Maker, answer, client, details, norrland_ok, registered, request};

#[tokio::test]
async fn a_json_maker_gets_the_tree_of_its_file() {
    let maker = Maker::start(|_, _| norrland_ok()).await;
    let outcome = client().register(&maker.connector("norrland"), &request(&details())).await;
    assert_eq!(outcome, registered("NR-1"));
    let seen = &maker.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str()), ("POST", "/norrland/api/v1/products/register"));
    assert_eq!(seen.header("content-type"), Some("application/json"));
    assert_eq!(seen.header("idempotency-key"), Some(KEY));
    let body = json!({
        "product": { "model": "Fjell 600", "serialNumber": "NO12345678", "purchaseDate": "2026-10-02" },
        "customer": {
            "firstName": "Zoë", "lastName": "van der Ångström", "email": "zoe@example.org",
            "address": { "city": "København", "country": "DK" },
        },
        "externalRef": KEY,
        "marketingOptIn": false,
    });
    assert_eq!(seen.json(), body);
}

#[tokio::test]
async fn a_form_encoded_maker_gets_pairs_and_no_key_it_does_not_know() {
    let maker = Maker::start(|seen, _| match seen.path.as_str() {
        "/kestrel/oauth/token" => answer(200, json!({ "access_token": "t1", "expires_in": 3600 })),
        _ => answer(200, json!({ "result": { "warranty_no": "KT-1", "state": "ACTIVE" } })),
    })
    .await;
    let mut details = details();
    details.product.model = "K18 & friends=1".into();
    assert_eq!(client().register(&maker.connector("kestrel"), &request(&details)).await, registered("KT-1"));
    let seen = &maker.seen()[1];
    assert_eq!(seen.header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(seen.header("idempotency-key"), None);
    let pairs: Vec<(String, String)> = url::form_urlencoded::parse(seen.body.as_bytes()).into_owned().collect();
    let pair = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
    assert_eq!(pair("model"), Some("K18 & friends=1"));
    assert_eq!(pair("dealer"), Some("Elhuset"));
    assert_eq!(pair("phone"), None);
    assert_eq!(pairs.len(), 6);
}

#[tokio::test]
async fn a_field_that_is_not_declared_does_not_leave() {
    let maker = Maker::start(|_, _| answer(200, json!({ "ok": true, "code": "BW-1" }))).await;
    let mut details = details();
    details.owner.phone = Some("+45 99 88 77 66".into());
    details.owner.address.street = Some("Hemmelig Allé 3".into());
    details.extra.insert("note".into(), "confidential".into());
    client().register(&maker.connector("brightwell"), &request(&details)).await;
    let sent = format!("{:?}", maker.seen());
    for secret in ["99 88", "Hemmelig", "confidential", "Elhuset", "København"] {
        assert!(!sent.contains(secret), "{secret} in {sent}");
    }
}

#[tokio::test]
async fn hostile_values_stay_values() {
    let maker = Maker::start(|_, _| norrland_ok()).await;
    let mut details = details();
    details.product.serial = "X\",\"marketingOptIn\":true,\"x\":\"".into();
    details.product.model = "{{ owner.email }} {% if 1 %}".into();
    client().register(&maker.connector("norrland"), &request(&details)).await;
    let body = maker.seen()[0].json();
    assert_eq!(body["product"]["serialNumber"], details.product.serial);
    assert_eq!(body["product"]["model"], details.product.model);
    assert_eq!(body["marketingOptIn"], false);
}

#[tokio::test]
async fn a_lookup_asks_by_serial_and_never_leaves_its_place() {
    let maker = Maker::start(|seen, _| match seen.path.as_str() {
        "/norrland/api/v1/products/NO12345678" => answer(200, json!({ "registrationId": "NR-9" })),
        _ => answer(404, json!({ "code": "NOT_FOUND" })),
    })
    .await;
    let (client, connector) = (client(), maker.connector("norrland"));
    let found = client.lookup(&connector, &request(&details())).await;
    assert_eq!(found, Lookup::Registered { confirmation: Some("NR-9".into()) });
    let mut other = details();
    other.product.serial = "a/../../b?x=1".into();
    assert_eq!(client.lookup(&connector, &request(&other)).await, Lookup::NotRegistered);
    assert_eq!(maker.seen()[1].path, "/norrland/api/v1/products/a%2F..%2F..%2Fb%3Fx%3D1");
    other.product.serial = "..".into();
    assert!(matches!(client.lookup(&connector, &request(&other)).await, Lookup::Failed(_)));
    assert_eq!(maker.seen().len(), 2, "an address that leads elsewhere is not asked");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let maker = Maker::start(|_, _| crate::support::plain(307, ("location", "/elsewhere"), "")).await;
    let outcome = client().register(&maker.connector("norrland"), &request(&details())).await;
    assert_eq!(crate::support::kind(outcome), events::ErrorKind::FormChanged);
    assert_eq!(maker.seen().len(), 1);
}

#[tokio::test]
async fn a_connector_without_an_api_says_so() {
    let connector = Connector::clone(regflow_connectors::Catalog::builtin().unwrap().get("hartmann").unwrap());
    let failure = crate::support::failure(client().register(&connector, &request(&details())).await);
    assert_eq!((failure.kind, failure.detail.as_str()), (events::ErrorKind::FormChanged, "the connector has no API"));
}
