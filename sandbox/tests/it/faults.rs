//! Faults on demand, as the makers' clients feel them.

use std::time::{Duration, Instant};

use regflow_sandbox::Maker;
use regflow_sandbox::ledger::{Count, Filter};
use reqwest::StatusCode;
use serde_json::json;

use crate::support::{Browser, world};

/// A request is in the ledger within this time.
const NOTED_MAX: Duration = Duration::from_secs(5);

#[tokio::test]
async fn a_counted_503_ends_after_its_count_and_spares_health_checks() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "status", "status": 503, "times": 2, "retry_after_s": 7 })).await;
    assert_eq!(world.get("/norrland/api/v1/health").await.status(), StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CREATED);
    let entries = world.sandbox.ledger().entries(&Filter::product(Maker::Norrland, "NO12345678"), 10);
    let seen: Vec<(u16, bool)> = entries.iter().map(|entry| (entry.status, entry.accepted)).collect();
    assert_eq!(seen, [(503, false), (503, false), (201, true)]);
}

#[tokio::test]
async fn a_lasting_outage_is_seen_by_health_checks_until_it_is_cleared() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "status", "status": 503 })).await;
    assert_eq!(world.get("/norrland/api/v1/health").await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(world.get("/aurora/v2/health").await.status(), StatusCode::OK);
    world.client.delete(world.sandbox.url("/_sandbox/faults")).send().await.unwrap();
    assert_eq!(world.get("/norrland/api/v1/health").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_rate_limit_says_when_to_come_back() {
    let world = world().await;
    world.fault("kestrel", json!({ "mode": "rate_limited", "retry_after_s": 30 })).await;
    let response = world.client.post(world.sandbox.url("/kestrel/api/warranty")).body("").send().await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "30");
}

#[tokio::test]
async fn drop_after_commit_registers_but_does_not_answer() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "drop_after_commit", "times": 1 })).await;
    assert!(world.try_norrland("NO12345678", "k1").await.is_err());
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CREATED, "the same key finds the answer");
    let count = world.sandbox.ledger().count(&Filter::product(Maker::Norrland, "NO12345678"));
    assert_eq!(count, Count { total: 2, accepted: 1 });
}

#[tokio::test]
async fn a_hanging_maker_takes_the_request_and_answers_nothing() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "hang" })).await;
    let noted = async {
        while world.sandbox.ledger().count(&Filter::default()).total == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        answer = world.try_norrland("NO12345678", "k1") => panic!("it answered: {answer:?}"),
        noted = tokio::time::timeout(NOTED_MAX, noted) => noted.unwrap(),
    }
    let entry = world.sandbox.ledger().entries(&Filter::default(), 1).pop().unwrap();
    assert_eq!((entry.status, entry.accepted, &*entry.serial), (0, false, "NO12345678"));
}

#[tokio::test]
async fn latency_delays_the_answer() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "latency", "ms": 150, "times": 1 })).await;
    let began = Instant::now();
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CREATED);
    assert!(began.elapsed() >= Duration::from_millis(150));
}

#[tokio::test]
async fn already_registered_is_answered_without_registering() {
    let world = world().await;
    world.fault("norrland", json!({ "mode": "already_registered", "times": 1 })).await;
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CONFLICT);
    assert_eq!(world.norrland("NO12345678", "k1").await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn api_and_form_fail_apart() {
    let world = world().await;
    world.fault("aurora", json!({ "mode": "status", "status": 500, "scope": "api" })).await;
    world.fault("aurora", json!({ "mode": "captcha" })).await;
    assert_eq!(world.get("/aurora/v2/health").await.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let mut browser = Browser::new(&world);
    let page = browser.open("/aurora/register").await;
    assert!(page.status == StatusCode::OK && page.html.contains("g-recaptcha"), "{}", page.html);
    let page = browser.submit("/aurora/register", &[("serial", "AB04C9E17F2A")]).await;
    assert!(
        page.html.contains("data-field=\"g-recaptcha-response\"") || page.html.contains("not a robot"),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn a_renamed_field_is_known_only_by_its_new_name() {
    let world = world().await;
    world.fault("castello", json!({ "mode": "rename_field", "from": "serial", "to": "matricola" })).await;
    let mut browser = Browser::new(&world);
    let page = browser.open("/castello/registrazione").await;
    assert!(page.html.contains("name=\"matricola\"") && !page.html.contains("name=\"serial\""), "{}", page.html);
    let old = [("family", "forni"), ("model", "Forno 90"), ("serial", "2025-FRN-04417")];
    assert_eq!(browser.submit("/castello/registrazione", &old).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    let new = [("family", "forni"), ("model", "Forno 90"), ("matricola", "2025-FRN-04417")];
    assert_eq!(browser.submit("/castello/registrazione", &new).await.path, "/castello/registrazione/acquisto");
}

#[tokio::test]
async fn a_field_is_added_removed_or_demanded_until_the_fault_is_cleared() {
    let world = world().await;
    let page = async || Browser::new(&world).open("/brightwell/register").await.html;
    let usual = page().await;
    world.fault("brightwell", json!({ "mode": "add_field", "name": "fax" })).await;
    assert!(page().await.contains("name=\"fax\" required"));
    world.fault("brightwell", json!({ "mode": "remove_field", "name": "country" })).await;
    assert!(!page().await.contains("name=\"country\""));
    world.fault("brightwell", json!({ "mode": "toggle_required", "name": "newsletter" })).await;
    assert!(page().await.contains("name=\"newsletter\" value=\"1\" required>"));
    world.fault("brightwell", json!({ "mode": "none" })).await;
    let without_token =
        |html: &str| html.lines().filter(|line| !line.contains("csrf_token")).collect::<Vec<_>>().join("\n");
    assert_eq!(without_token(&page().await), without_token(&usual));
}

#[tokio::test]
async fn a_login_wall_stands_before_the_form() {
    let world = world().await;
    world.fault("brightwell", json!({ "mode": "login_wall" })).await;
    let page = Browser::new(&world).open("/brightwell/register").await;
    assert!(page.html.contains("type=\"password\"") && !page.html.contains("serial_number"), "{}", page.html);
}

#[tokio::test]
async fn a_form_dropped_after_the_commit_has_registered() {
    let world = world().await;
    world.fault("brightwell", json!({ "mode": "drop_after_commit", "times": 1, "scope": "form" })).await;
    let mut browser = Browser::new(&world);
    browser.open("/brightwell/register").await;
    let fields = [
        ("product_model", "Tower 5"),
        ("serial_number", "BW24-118205"),
        ("purchase_date", "2026-10-20"),
        ("name", "Zoë"),
        ("email", "zoe@example.org"),
        ("country", "DK"),
    ];
    assert!(browser.try_submit("/brightwell/register", &fields).await.is_err());
    assert_eq!(world.sandbox.ledger().count(&Filter::product(Maker::Brightwell, "BW24-118205")).accepted, 1);
}

#[tokio::test]
async fn an_unsound_fault_is_refused_with_a_reason() {
    let world = world().await;
    let set = async |target: &str, fault: serde_json::Value| {
        let url = world.sandbox.url(&format!("/_sandbox/faults/{target}"));
        world.client.post(url).json(&fault).send().await.unwrap().status()
    };
    assert_eq!(set("nobody", json!({ "mode": "hang" })).await, StatusCode::NOT_FOUND);
    assert_eq!(set("aurora", json!({ "mode": "explode" })).await, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(set("aurora", json!({ "mode": "status", "status": 200 })).await, StatusCode::UNPROCESSABLE_ENTITY);
    let rename = json!({ "mode": "rename_field", "from": "a", "to": "\"><script>" });
    assert_eq!(set("aurora", rename).await, StatusCode::UNPROCESSABLE_ENTITY);
    let added = json!({ "mode": "add_field", "name": "a b" });
    assert_eq!(set("aurora", added).await, StatusCode::UNPROCESSABLE_ENTITY);
}
