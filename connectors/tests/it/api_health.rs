//! The health of makers' APIs, asked of the sandbox as it is and as faults make it.

use events::CheckResult;
use regflow_connectors::Catalog;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use serde_json::json;

use crate::support::{Maker as Played, World, answer, client, world};

async fn check(world: &World, id: &str) -> Option<CheckResult> {
    client().check_health(world.catalog.get(id).unwrap()).await
}

async fn failure(world: &World, id: &str) -> String {
    check(world, id).await.unwrap().failure.unwrap()
}

#[tokio::test]
async fn every_maker_with_an_api_says_that_it_is_well() {
    let world = world().await;
    for connector in world.catalog.iter() {
        let checked = check(&world, connector.id()).await;
        let has_api = connector.ladder().contains(&events::Method::Api);
        assert_eq!(checked.map(|result| result.failure), has_api.then_some(None), "{}", connector.id());
    }
}

#[tokio::test]
async fn a_maker_that_is_unwell_is_quoted_with_its_status() {
    let world = world().await;
    world.fault(Maker::Norrland, Fault::lasting(Mode::Status { status: 503, retry_after_s: None }).at(Scope::Api));
    assert_eq!(failure(&world, "norrland").await, "the maker answered 503");
    world.fault(Maker::Brightwell, Fault::lasting(Mode::RateLimited { retry_after_s: Some(5) }));
    assert_eq!(failure(&world, "brightwell").await, "the maker answered 429");
    assert_eq!(check(&world, "aurora").await.unwrap().failure, None);
}

#[tokio::test]
async fn a_slow_maker_is_well_and_its_latency_is_told() {
    let world = world().await;
    world.fault(Maker::Kestrel, Fault::lasting(Mode::Latency { ms: 150 }));
    let checked = check(&world, "kestrel").await.unwrap();
    assert_eq!(checked.failure, None);
    assert!(checked.latency_ms >= 150, "{}", checked.latency_ms);
}

#[tokio::test]
async fn a_maker_that_cannot_be_reached_is_not_well() {
    let world = world().await;
    let gone = Catalog::builtin().unwrap().with_sandbox(Some("http://127.0.0.1:9/".parse().unwrap()));
    let checked = client().check_health(gone.get("norrland").unwrap()).await.unwrap();
    assert_eq!(checked.failure.as_deref(), Some("the maker could not be reached"));
    drop(world);
}

#[tokio::test]
async fn nothing_is_asked_where_there_is_nothing_to_ask() {
    let nowhere = Catalog::builtin().unwrap().with_sandbox(None);
    assert_eq!(client().check_health(nowhere.get("norrland").unwrap()).await, None);
    assert_eq!(client().check_health(nowhere.get("hartmann").unwrap()).await, None);
}

#[tokio::test]
async fn the_question_shows_who_we_are_and_nothing_else() {
    let maker = Played::start(|_, _| answer(204, json!({}))).await;
    let checked = client().check_health(&maker.connector("norrland")).await.unwrap();
    assert_eq!(checked.failure, None);
    let seen = &maker.seen()[0];
    assert_eq!((seen.method.as_str(), seen.path.as_str(), seen.body.as_str()), ("GET", "/norrland/api/v1/health", ""));
    assert_eq!(seen.header("x-api-key"), Some("norrland-test-key"));
}

#[tokio::test]
async fn a_token_that_wore_out_is_fetched_anew_and_is_no_illness() {
    let maker = Played::start(|seen, before| match seen.path.as_str() {
        "/kestrel/oauth/token" => answer(200, json!({ "access_token": format!("t{before}"), "expires_in": 3600 })),
        _ if seen.header("authorization") == Some("Bearer t0") => answer(401, json!({})),
        _ => answer(200, json!({ "pong": true })),
    })
    .await;
    assert_eq!(client().check_health(&maker.connector("kestrel")).await.unwrap().failure, None);
    assert_eq!(maker.seen().len(), 4);
}
