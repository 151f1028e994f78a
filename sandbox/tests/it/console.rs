//! The sandbox's own pages and the ledger's JSON; the start and the end.

use std::time::Duration;

use regflow_sandbox::{Options, SandboxError, start};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::world;

#[tokio::test]
async fn the_index_links_to_every_form() {
    let world = world().await;
    let page = world.get("/").await.text().await.unwrap();
    for path in [
        "/castello/registrazione",
        "/brightwell/register",
        "/aurora/register",
        "/veloce/register",
        "/hartmann/garantie",
        "/mail",
        "/_sandbox",
    ] {
        assert!(page.contains(&format!("href=\"{path}\"")), "{path} is missing in {page}");
    }
}

#[tokio::test]
async fn the_ledger_is_a_table_for_people_and_json_for_tests() {
    let world = world().await;
    world.norrland("NO12345678", "k1").await;
    world.norrland("bad<serial>", "k2").await;
    let page = world.get("/_sandbox").await.text().await.unwrap();
    assert!(page.contains("registered</span>") && page.contains("bad&lt;serial&gt;"), "{page}");
    let ledger: Value = world.get("/_sandbox/ledger?maker=norrland&serial=NO12345678").await.json().await.unwrap();
    assert_eq!((&ledger["total"], &ledger["accepted"]), (&json!(1), &json!(1)));
    let entry = &ledger["entries"][0];
    assert_eq!((&entry["maker"], &entry["method"], &entry["status"]), (&json!("norrland"), &json!("api"), &json!(201)));
    assert_eq!(entry["fields"]["product"]["model"], "Fjell 600");
    let cleared = world.client.delete(world.sandbox.url("/_sandbox/ledger")).send().await.unwrap();
    assert_eq!(cleared.status(), StatusCode::NO_CONTENT);
    let ledger: Value = world.get("/_sandbox/ledger").await.json().await.unwrap();
    assert_eq!(ledger["entries"], json!([]));
}

#[tokio::test]
async fn the_shutdown_ends_even_what_hangs() {
    let shutdown = CancellationToken::new();
    let sandbox = start(Options::default(), shutdown.clone()).await.unwrap();
    let idle = tokio::net::TcpStream::connect(sandbox.smtp_addr).await.unwrap();
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(5), sandbox.stopped()).await.unwrap();
    assert!(tokio::net::TcpStream::connect(sandbox.http_addr).await.is_err());
    drop(idle);
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let world = world().await;
    let options = Options { http: world.sandbox.http_addr, ..Options::default() };
    let error = start(options, CancellationToken::new()).await.err().unwrap();
    assert!(matches!(error, SandboxError::Bind { what: "HTTP", .. }), "{error}");
}
