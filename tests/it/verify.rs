//! The log is verified while the service runs, a log that was changed makes it read-only, and an operator decides.

use std::path::Path;
use std::process::Output;

use bus::{EventLog, FollowItem};
use events::{Event, Timestamp};
use proto::v1::audit_client::AuditClient;
use proto::v1::{self, RegistrationState as State};
use serde_json::Value;
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{PATIENCE, POLL, Service, Stage, product, regflow};

async fn verify(args: &[&str]) -> (Output, Value) {
    let output = regflow().arg("verify").args(args).arg("--json").output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output, serde_json::from_str(&text).unwrap_or_default())
}

async fn state(service: &Service) -> v1::LogState {
    let mut audit = AuditClient::connect(service.grpc.clone()).await.unwrap();
    audit.get_log_state(v1::GetLogStateRequest {}).await.unwrap().into_inner()
}

/// Waits until the log is in a state.
async fn wait_for(service: &Service, fact: impl Fn(&v1::LogState) -> bool) -> v1::LogState {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let seen = state(service).await;
        if fact(&seen) {
            return seen;
        }
        assert!(std::time::Instant::now() < deadline, "never seen: {seen:?}");
        tokio::time::sleep(POLL).await;
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_verified_while_it_grows_and_after_a_stop_by_the_folder_alone() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL85000001")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let seen = wait_for(&service, |state| state.verified >= 3).await;
    assert!(!seen.read_only && seen.broken_links == 0, "{seen:?}");
    let (output, report) = verify(&["--server", &service.grpc]).await;
    assert_eq!((output.status.code(), &report["good"]), (Some(0), &Value::Bool(true)), "{report}");
    assert_eq!(report["key"], seen.key);
    let views = report["views"].as_array().unwrap();
    assert!(views.len() == 2 && views.iter().all(|view| view["good"] == true && view["records"] != "0"), "{report}");
    assert_eq!(service.stop().await, Some(0));

    // the stop has signed all of it
    let data = stage.data.path().to_str().unwrap();
    let key = regflow().args(["verify", "--print-key", "--data", data]).output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&key.stdout).trim(), seen.key);
    let (output, report) = verify(&["--data", data, "--key", &seen.key]).await;
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert_eq!(report["messages"], report["signed"], "{report}");
    assert!(report["messages"].as_str().unwrap().parse::<u64>().unwrap() >= 3, "{report}");
    assert_eq!(report["compared"], report["messages"]);
    let other = events::NoteSigner::new("regflow.invalid/log", &[5; 32]).unwrap().verifier().to_string();
    let (output, report) = verify(&["--data", data, "--key", &other]).await;
    assert_eq!((output.status.code(), &report["firstFlaws"][0]["kind"]), (Some(1), &"bad_head".into()), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_rewind_nothing_is_taken_or_sent_until_an_operator_accepts_the_log() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Norrland", "VK 200", "NL85000002")).await.id;
    service.wait_for_state(&first, State::Success).await;
    assert_eq!(service.stop().await, Some(0));
    let store = stage.data.path().join("nats/jetstream/$G/streams/EVENTS");
    let older = tempfile::tempdir().unwrap();
    copy(&store, older.path());
    let mut service = stage.start().await;
    let second = service.submit(product("Norrland", "VK 200", "NL85000003")).await.id;
    let done = service.wait_for_state(&second, State::Success).await;
    assert_eq!(service.stop().await, Some(0));
    std::fs::remove_dir_all(&store).unwrap();
    copy(older.path(), &store);

    let mut service = stage.start().await;
    let seen = wait_for(&service, |state| state.read_only).await;
    assert!(seen.first_bad > 2 && seen.first_bad <= done.sequence, "{seen:?}");
    let sent = stage.ledger().len();
    let refused = service.client.submit(product("Norrland", "VK 200", "NL85000004")).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    assert_eq!(refused.get_details_error_info().unwrap().reason, "LOG_READ_ONLY");
    assert!(refused.message().contains("regflow verify"), "{refused}");
    assert_eq!(service.get(&second).await.state(), State::Success, "what was seen is still shown");
    let ready: Value = reqwest::get(format!("{}/readyz", service.http)).await.unwrap().json().await.unwrap();
    assert_eq!((&ready["status"], &ready["log"]), (&"ready".into(), &"read_only".into()));
    let (output, report) = verify(&["--server", &service.grpc]).await;
    assert_eq!(output.status.code(), Some(1), "{report}");
    assert_eq!(report["firstFlaws"][0]["sequence"], seen.first_bad.to_string());
    assert_eq!(service.stop().await, Some(0));

    let mut service = stage.start().await;
    assert!(state(&service).await.read_only, "it is remembered");
    assert_eq!(stage.ledger().len(), sent);
    let accept = ["verify", "--accept", "--reason", "the disk was replaced", "--operator", "eva", "--server"];
    let accepted = regflow().args(accept).arg(&service.grpc).output().await.unwrap();
    assert!(accepted.status.success(), "{}", String::from_utf8_lossy(&accepted.stderr));
    let again = std::fs::read_to_string(stage.data.path().join("trust/journal")).unwrap();
    assert!(again.contains("the disk was replaced") && again.contains("eva"), "{again}");
    // it has started anew in the same process, at new addresses
    service = comes_back(&stage, service).await;
    wait_for(&service, |state| state.era == 1 && !state.read_only).await;
    let third = service.submit(product("Norrland", "VK 200", "NL85000005")).await.id;
    service.wait_for_state(&third, State::Success).await;
    assert_eq!(service.stop().await, Some(0));
    let (output, report) = verify(&["--data", stage.data.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(0), "{report}");
}

/// The same process at the addresses that it has now.
async fn comes_back(stage: &Stage, before: Service) -> Service {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let file = std::fs::read_to_string(stage.data.path().join("service.json")).unwrap_or_default();
        match serde_json::from_str::<Value>(&file) {
            Ok(file) if file["grpc"] != before.grpc.as_str() => return before.moved_to(&file).await,
            Ok(_) | Err(_) => assert!(std::time::Instant::now() < deadline, "it did not come back"),
        }
        tokio::time::sleep(POLL).await;
    }
}

/// What the status view takes in of the log in a data folder, and which stream it is.
async fn records_of(data: &Path) -> (i64, Vec<events::Stored>) {
    let options = bus::EmbeddedOptions { data_dir: data.join("nats"), ..bus::EmbeddedOptions::default() };
    let server = bus::Embedded::start(options).await.unwrap();
    let log = bus::ReadOnlyLog::open(&server.client_url(), bus::ReadOptions::default()).await.unwrap();
    let (head, mut follow, mut records, mut at) = (log.head().await.unwrap(), log.follow(0).await.unwrap(), vec![], 0);
    while at < head.last_sequence {
        for item in follow.next_page(100, PATIENCE).await.unwrap().items {
            at = item.sequence();
            if let FollowItem::Record(stored) = item {
                records.push(std::sync::Arc::unwrap_or_clone(stored));
            }
        }
    }
    server.stop().await;
    (head.incarnation.0, records)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_view_that_holds_something_else_than_the_log_makes_of_it_is_named_with_its_first_registration() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Norrland", "VK 200", "NL85000006")).await.id;
    service.wait_for_state(&first, State::Success).await;
    let second = service.submit(product("Norrland", "VK 200", "NL85000007")).await.id;
    service.wait_for_state(&second, State::Success).await;
    assert_eq!(service.stop().await, Some(0));

    // the same view, but for one confirmation code
    let (incarnation, mut records) = records_of(stage.data.path()).await;
    let codes = records.iter_mut().filter(|stored| stored.registration.to_string() == second);
    for event in codes.flat_map(|stored| &mut stored.record.events) {
        if let Event::RegistrationSucceeded(done) = event {
            done.confirmation = Some("NR-FORGED00".to_owned());
        }
    }
    let folder = stage.data.path().join("views/status");
    std::fs::remove_dir_all(&folder).unwrap();
    let view = projections::StatusView::open(&folder, incarnation, Timestamp(0)).unwrap().view;
    view.apply(&records).unwrap();
    view.tick().unwrap();
    drop(view);

    let (output, report) = verify(&["--data", stage.data.path().to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(1), "{report}");
    let views = report["views"].as_array().unwrap();
    let status = views.iter().find(|view| view["name"] == "status").unwrap();
    assert!(status["good"] != true && status.to_string().contains(&second), "{report}");
    assert!(!status.to_string().contains(&first), "{report}");
    assert!(views.iter().any(|view| view["name"] == "analytics" && view["good"] == true), "{report}");
}
