//! Each way to show who we are, and what happens when the maker does not believe it.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::response::Response;
use events::ErrorKind;
use regflow_connectors::Connector;
use serde_json::json;

use crate::support::{Maker, Seen, answer, client, details, failure, kind, norrland_ok, registered, request};

fn warranty() -> Response {
    answer(200, json!({ "result": { "warranty_no": "KT-1", "state": "ACTIVE" } }))
}

fn own(maker: &Maker, auth: &str) -> Connector {
    let text = format!(
        "name = 'Acme'\nbrands = ['Acme']\nnetwork = 'private'\nsends = ['product.serial']\nladder = ['API', 'ASSISTED_MANUAL']\n\
         [manual]\nsteps = ['x']\n[api]\nbase_url = '{}'\npath = '/r?v=1'\ntimeout_ms = 5000\n[api.auth]\n{auth}\n\
         [api.body.json]\ns = '{{{{ product.serial }}}}'\n[api.success]\nstatus = [200]\n",
        maker.url
    );
    Connector::parse("acme.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

#[tokio::test]
async fn a_key_goes_into_its_header() {
    let maker = Maker::start(|_, _| norrland_ok()).await;
    client().register(&maker.connector("norrland"), &request(&details())).await;
    assert_eq!(maker.seen()[0].header("x-api-key"), Some("norrland-test-key"));
}

#[tokio::test]
async fn a_bearer_token_and_a_password_go_into_authorization() {
    let maker = Maker::start(|_, _| answer(201, json!({ "confirmationNumber": "AU-1" }))).await;
    client().register(&maker.connector("brightwell"), &request(&details())).await;
    assert_eq!(client().register(&maker.connector("aurora"), &request(&details())).await, registered("AU-1"));
    assert_eq!(maker.seen()[0].header("authorization"), Some("Bearer brightwell-test-token"));
    assert_eq!(maker.seen()[1].header("authorization"), Some("Basic YXVyb3JhOmF1cm9yYS1zZWNyZXQ="));
}

#[tokio::test]
async fn a_key_from_a_file_goes_into_the_query_and_is_read_again_after_a_401() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    std::fs::write(&path, "old & tired\n").unwrap();
    let maker = Maker::start(|_, before| answer(if before == 0 { 401 } else { 200 }, json!({}))).await;
    let connector = own(&maker, &format!("api_key = {{ query = 'key', secret = {{ file = '{}' }} }}", path.display()));
    let client = client();
    assert_eq!(kind(client.register(&connector, &request(&details())).await), ErrorKind::Auth);
    std::fs::write(&path, "fresh").unwrap();
    client.register(&connector, &request(&details())).await;
    assert_eq!(maker.seen()[0].path, "/r?v=1&key=old+%26+tired");
    assert_eq!(maker.seen()[1].path, "/r?v=1&key=fresh");
}

#[tokio::test]
async fn a_secret_that_is_not_there_is_named_and_nothing_is_sent() {
    let maker = Maker::start(|_, _| answer(200, json!({}))).await;
    let connector = own(&maker, "bearer = { secret = { env = 'ACME_TOKEN' } }");
    let failure = failure(client().register(&connector, &request(&details())).await);
    assert_eq!(
        (failure.kind, failure.detail.as_str()),
        (ErrorKind::Auth, "the environment variable ACME_TOKEN is not set")
    );
    assert_eq!(maker.seen().len(), 0);
}

#[tokio::test]
async fn refused_credentials_are_an_auth_failure() {
    for status in [401, 403] {
        let maker = Maker::start(move |_, _| answer(status, json!({ "code": "UNAUTHORIZED" }))).await;
        assert_eq!(kind(client().register(&maker.connector("norrland"), &request(&details())).await), ErrorKind::Auth);
    }
}

fn is_token(seen: &Seen) -> bool {
    seen.path == "/kestrel/oauth/token"
}

#[tokio::test]
async fn one_token_serves_many_calls() {
    let maker = Maker::start(|seen, _| match is_token(seen) {
        true => answer(200, json!({ "access_token": "t1", "token_type": "Bearer", "expires_in": 3600 })),
        false => warranty(),
    })
    .await;
    let (client, connector, details) = (client(), maker.connector("kestrel"), details());
    let calls = (0..20).map(|_| async { client.register(&connector, &request(&details)).await });
    let outcomes = futures::future::join_all(calls).await;
    assert!(outcomes.iter().all(|outcome| *outcome == registered("KT-1")), "{outcomes:?}");
    let seen = maker.seen();
    let tokens: Vec<&Seen> = seen.iter().filter(|seen| is_token(seen)).collect();
    assert_eq!(tokens.len(), 1);
    assert_eq!(tokens[0].body, "grant_type=client_credentials");
    assert_eq!(tokens[0].header("authorization"), Some("Basic a2VzdHJlbC1jbGllbnQ6a2VzdHJlbC1zZWNyZXQ="));
    assert!(seen.iter().filter(|seen| !is_token(seen)).all(|seen| seen.header("authorization") == Some("Bearer t1")));
}

#[tokio::test]
async fn a_worn_out_token_is_renewed_and_the_call_repeated_once() {
    static TOKENS: AtomicUsize = AtomicUsize::new(0);
    let maker = Maker::start(|seen, _| match (is_token(seen), seen.header("authorization")) {
        (true, _) => {
            let number = TOKENS.fetch_add(1, Ordering::SeqCst);
            answer(200, json!({ "access_token": format!("t{number}"), "expires_in": 3600 }))
        }
        (false, Some("Bearer t1")) => warranty(),
        (false, _) => answer(401, json!({ "error": "invalid_token" })),
    })
    .await;
    let (client, connector) = (client(), maker.connector("kestrel"));
    assert_eq!(client.register(&connector, &request(&details())).await, registered("KT-1"));
    assert_eq!(client.register(&connector, &request(&details())).await, registered("KT-1"));
    let paths: Vec<bool> = maker.seen().iter().map(is_token).collect();
    assert_eq!(paths, [true, false, true, false, false], "token, refused, token, taken; then the second token serves");
}

#[tokio::test]
async fn a_token_that_cannot_be_renewed_leaves_written_that_the_maker_had_answered() {
    let maker = Maker::start(|seen, before| match (is_token(seen), before) {
        (true, 0) => answer(200, json!({ "access_token": "t0", "expires_in": 3600 })),
        (true, _) => answer(503, json!({})),
        (false, _) => answer(401, json!({ "error": "invalid_token" })),
    })
    .await;
    let failure = failure(client().register(&maker.connector("kestrel"), &request(&details())).await);
    assert_eq!(failure.kind, ErrorKind::Server);
    assert_eq!(failure.detail, "the maker answered 401 to the old token; the token endpoint answered 503");
}

#[tokio::test]
async fn a_token_past_its_life_is_fetched_anew() {
    let maker = Maker::start(|seen, _| match is_token(seen) {
        true => answer(200, json!({ "access_token": "t1", "expires_in": 0 })),
        false => warranty(),
    })
    .await;
    let (client, connector) = (client(), maker.connector("kestrel"));
    client.register(&connector, &request(&details())).await;
    client.register(&connector, &request(&details())).await;
    assert_eq!(maker.seen().iter().filter(|seen| is_token(seen)).count(), 2);
}

#[tokio::test]
async fn a_token_endpoint_that_fails_leaves_no_doubt_about_the_registration() {
    for (status, wanted) in
        [(401, ErrorKind::Auth), (400, ErrorKind::Auth), (503, ErrorKind::Server), (429, ErrorKind::RateLimited)]
    {
        let maker = Maker::start(move |_, _| answer(status, json!({}))).await;
        assert_eq!(
            kind(client().register(&maker.connector("kestrel"), &request(&details())).await),
            wanted,
            "{status}"
        );
        assert_eq!(maker.seen().len(), 1);
    }
    let maker = Maker::start(|_, _| answer(200, json!({ "token": "wrong key" }))).await;
    assert_eq!(kind(client().register(&maker.connector("kestrel"), &request(&details())).await), ErrorKind::Auth);
}
