//! The makers' APIs: happy, refused, duplicate, repeated with the same key, looked up.

use regflow_sandbox::Maker;
use regflow_sandbox::ledger::{Count, Filter};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::support::{World, both, world};

#[tokio::test]
async fn norrland_registers_and_says_until_when() {
    let world = world().await;
    let (status, body) = world.norrland("NO12345678", "k1").await;
    assert_eq!(
        (status, &body["status"], &body["warrantyUntil"]),
        (StatusCode::CREATED, &json!("registered"), &json!("2031-10-02"))
    );
    assert!(body["registrationId"].as_str().unwrap().starts_with("NR-"));
    let entries = world.sandbox.ledger().entries(&Filter::product(Maker::Norrland, "NO12345678"), 10);
    assert_eq!(entries[0].fields["customer"]["lastName"], "Nygård");
    assert_eq!(entries[0].idempotency_key.as_deref(), Some("k1"));
}

#[tokio::test]
async fn norrland_gives_the_same_answer_to_the_same_key_and_409_to_another() {
    let world = world().await;
    let first = world.norrland("NO12345678", "k1").await;
    assert_eq!(world.norrland("NO12345678", "k1").await, first);
    let (status, body) = world.norrland("NO12345678", "k2").await;
    assert_eq!((status, &body["code"]), (StatusCode::CONFLICT, &json!("ALREADY_REGISTERED")));
    assert_eq!(body["registrationId"], first.1["registrationId"]);
    let count = world.sandbox.ledger().count(&Filter::product(Maker::Norrland, "NO12345678"));
    assert_eq!(count, Count { total: 3, accepted: 1 });
}

#[tokio::test]
async fn norrland_names_the_field_that_it_refuses() {
    let world = world().await;
    let (status, body) = world.norrland("12345678", "k1").await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(
        (&body["errors"][0]["field"], &body["errors"][0]["code"]),
        (&json!("product.serialNumber"), &json!("invalid_format"))
    );
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CREATED, "a refused key is still free");
}

#[tokio::test]
async fn norrland_looks_up_what_it_registered() {
    let world = world().await;
    let (_, registered) = world.norrland("NO12345678", "k1").await;
    let look_up = async |serial: &str| {
        let url = world.sandbox.url(&format!("/norrland/api/v1/products/{serial}"));
        both(world.client.get(url).header("x-api-key", "norrland-test-key").send().await.unwrap()).await
    };
    assert_eq!(look_up("NO12345678").await, (StatusCode::OK, registered));
    assert_eq!(look_up("NO99999999").await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_api_refuses_wrong_credentials_and_says_it_is_healthy_without() {
    let world = world().await;
    let paths = [
        "/norrland/api/v1/products/register",
        "/brightwell/registrations",
        "/kestrel/api/warranty",
        "/aurora/v2/register",
    ];
    for path in paths {
        let response = world.client.post(world.sandbox.url(path)).json(&json!({})).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path}");
    }
    for path in ["/norrland/api/v1/health", "/brightwell/status", "/kestrel/api/ping", "/aurora/v2/health"] {
        assert_eq!(world.get(path).await.status(), StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn brightwell_registers_then_says_duplicate_with_200() {
    let world = world().await;
    let (status, body) = world.brightwell("Tower 5", "BW24-118205").await;
    assert_eq!((status, &body["ok"]), (StatusCode::OK, &json!(true)));
    let again = json!({ "ok": false, "error": "duplicate", "code": body["code"] });
    assert_eq!(world.brightwell("Tower 5", "BW24-118205").await, (StatusCode::OK, again));
    let (status, body) = world.brightwell("Tower 5", "24-118205").await;
    assert_eq!((status, &body["error"]), (StatusCode::BAD_REQUEST, &json!("serial_invalid")));
    let url = world.sandbox.url("/brightwell/registrations?serial=BW24-118205");
    let found = world.client.get(url).bearer_auth("brightwell-test-token").send().await.unwrap();
    assert_eq!(both(found).await.1["ok"], true);
}

#[tokio::test]
async fn brightwell_cannot_take_vintage_models_by_api() {
    let world = world().await;
    for _ in 0..2 {
        let (status, body) = world.brightwell("Studio One-V", "BW19-000417").await;
        assert_eq!((status, &body["message"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("legacy backend unavailable")));
    }
    assert_eq!(world.brightwell("Studio One", "BW19-000417").await.1["ok"], true);
}

async fn kestrel_token(world: &World) -> String {
    let form =
        [("grant_type", "client_credentials"), ("client_id", "kestrel-client"), ("client_secret", "kestrel-secret")];
    let response = world.client.post(world.sandbox.url("/kestrel/oauth/token")).form(&form).send().await.unwrap();
    let (_, body) = both(response).await;
    assert_eq!((&body["token_type"], &body["expires_in"]), (&json!("Bearer"), &json!(3600)));
    body["access_token"].as_str().unwrap().to_owned()
}

async fn kestrel(world: &World, token: &str, serial: &str) -> (StatusCode, Value) {
    let form = [
        ("model", "K-Drill 18"),
        ("serial_no", serial),
        ("purchase_date", "2026-09-30"),
        ("full_name", "José Núñez"),
        ("email", "jose@example.com"),
    ];
    let request = world.client.post(world.sandbox.url("/kestrel/api/warranty")).bearer_auth(token).form(&form);
    both(request.header("idempotency-key", "k1").send().await.unwrap()).await
}

#[tokio::test]
async fn kestrel_wants_a_token_and_knows_no_idempotency() {
    let world = world().await;
    let token = kestrel_token(&world).await;
    let (status, body) = kestrel(&world, &token, "K204815162").await;
    assert_eq!((status, &body["result"]["state"]), (StatusCode::OK, &json!("ACTIVE")));
    let (status, body) = kestrel(&world, &token, "K204815162").await;
    assert_eq!((status, &body["result"]["state"]), (StatusCode::CONFLICT, &json!("ALREADY_ACTIVE")));
    let (status, body) = kestrel(&world, &token, "K-2048").await;
    assert_eq!((status, &body["result"]["state"]), (StatusCode::BAD_REQUEST, &json!("REJECTED")));
    assert!(body["result"]["problems"]["serial_no"].is_string());
}

#[tokio::test]
async fn kestrel_refuses_a_withdrawn_token_and_a_wrong_secret() {
    let world = world().await;
    let token = kestrel_token(&world).await;
    world.client.delete(world.sandbox.url("/_sandbox/tokens")).send().await.unwrap();
    assert_eq!(kestrel(&world, &token, "K204815162").await.0, StatusCode::UNAUTHORIZED);
    let url = world.sandbox.url("/kestrel/oauth/token");
    let grant = [("grant_type", "client_credentials")];
    let basic = async |secret: &str| {
        world.client.post(&url).basic_auth("kestrel-client", Some(secret)).form(&grant).send().await.unwrap().status()
    };
    assert_eq!(basic("kestrel-secret").await, StatusCode::OK);
    assert_eq!(basic("wrong").await, StatusCode::UNAUTHORIZED);
}

async fn aurora(world: &World, serial: &str, city: &str, key: &str) -> (StatusCode, Value) {
    let parent = json!({ "name": "Ελένη Παπαδοπούλου", "email": "eleni@example.org", "postalCode": "105 57", "city": city, "street": "Ερμού 12", "country": "GR" });
    let body = json!({ "sku": "Luna cot", "serial": serial, "boughtOn": "2026-11-01", "parent": parent });
    let request =
        world.client.post(world.sandbox.url("/aurora/v2/register")).basic_auth("aurora", Some("aurora-secret"));
    both(request.header("idempotency-key", key).json(&body).send().await.unwrap()).await
}

#[tokio::test]
async fn aurora_wants_the_whole_address() {
    let world = world().await;
    let (status, body) = aurora(&world, "AB04C9E17F2A", "", "k1").await;
    assert_eq!((status, &body["detail"][0]["loc"]), (StatusCode::UNPROCESSABLE_ENTITY, &json!(["parent", "city"])));
    let first = aurora(&world, "AB04C9E17F2A", "Αθήνα", "k1").await;
    assert_eq!(first.0, StatusCode::CREATED);
    assert_eq!(aurora(&world, "AB04C9E17F2A", "Αθήνα", "k1").await, first);
    assert_eq!(aurora(&world, "AB04C9E17F2A", "Αθήνα", "k2").await.0, StatusCode::CONFLICT);
}

#[tokio::test]
async fn a_body_that_is_no_json_or_too_long_is_refused() {
    let world = world().await;
    let url = world.sandbox.url("/norrland/api/v1/products/register");
    let send = async |body: String| {
        let request = world.client.post(&url).header("x-api-key", "norrland-test-key").body(body);
        request.send().await.unwrap().status()
    };
    assert_eq!(send("[1]".to_owned()).await, StatusCode::BAD_REQUEST);
    assert_eq!(send("x".repeat(70_000)).await, StatusCode::PAYLOAD_TOO_LARGE);
}
