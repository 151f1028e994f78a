//! Stops, crashes and lost views: the log carries on where it was.

use std::time::{Duration, Instant};

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode};
use serde_json::Value;

use crate::support::{PATIENCE, Stage, files_with, product};

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_waits_survives_a_clean_stop() {
    let stage = Stage::new().await;
    stage.fault(Maker::Norrland, Stage::answers(503, Some(1)));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL80000001")).await.id;
    let waiting = service.wait_for(&id, |r| r.attempts == 1 && r.state() != State::Processing).await;
    assert_eq!(waiting.state(), State::Waiting, "{waiting:?}");
    assert!(waiting.waiting.is_some());
    assert_eq!(service.stop().await, Some(0));

    let mut service = stage.start().await;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.attempts, stage.accepted("NL80000001")), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_in_the_middle_of_a_call_the_call_is_repeated_with_its_key_where_the_maker_tells_repeats_apart() {
    let stage = Stage::new().await;
    stage.fault(Maker::Norrland, Fault::lasting(Mode::Hang));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL80000002")).await.id;
    service.wait_for(&id, |r| r.attempts == 1).await;
    service.crash().await;

    stage.sandbox.faults().clear();
    let mut service = stage.start().await;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.attempts, stage.accepted("NL80000002")), (1, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_in_the_middle_of_a_call_that_must_not_be_repeated_a_person_is_asked() {
    let stage = Stage::new().await;
    stage.fault(Maker::Kestrel, Fault::lasting(Mode::Hang));
    let mut service = stage.start().await;
    let id = service.submit(product("Kestrel", "Impact Driver", "K800000003")).await.id;
    service.wait_for(&id, |r| r.attempts == 1).await;
    service.crash().await;

    stage.sandbox.faults().clear();
    let mut service = stage.start().await;
    service.wait_for_state(&id, State::OutcomeUnknown).await;
    assert_eq!(stage.accepted("K800000003"), 0);
    let done = service.client.complete(v1::CompleteRequest { id, ..Default::default() }).await.unwrap();
    assert_eq!(done.into_inner().state(), State::UserCompleted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_that_dies_is_started_again_and_everything_ends_well() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Norrland", "VK 200", "NL80000004")).await.id;
    service.wait_for_state(&first, State::Success).await;
    service.signal_nats("KILL");
    let request =
        v1::SubmitRequest { request_id: "after-the-fall".into(), ..product("Norrland", "VK 200", "NL80000005") };
    let id = loop {
        if let Ok(answer) = service.client.submit(request.clone()).await {
            break answer.into_inner().registration.unwrap().id;
        }
    };
    service.wait_for_state(&id, State::Success).await;
    assert_eq!(service.get(&first).await.state(), State::Success);
    assert_eq!(stage.accepted("NL80000005"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_does_not_hold_up_a_stop() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut updates = service.client.watch(v1::WatchRequest::default()).await.unwrap().into_inner();
    let stopped = tokio::time::timeout(PATIENCE / 6, service.stop()).await;
    assert_eq!(stopped.expect("it stops although somebody watches"), Some(0));
    assert!(updates.message().await.is_ok_and(|update| update.is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleting_the_views_loses_nothing() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL80000006")).await.id;
    let before = service.wait_for_state(&id, State::Success).await;
    assert_eq!(service.stop().await, Some(0));
    std::fs::remove_dir_all(stage.data.path().join("views")).unwrap();
    let mut service = stage.start().await;
    assert_eq!(service.wait_for_state(&id, State::Success).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_made_once_for_its_owner_only_and_a_missing_one_is_not_papered_over() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new().await;
    let service = stage.start().await;
    let path = stage.data.path().join("master.key");
    let key = std::fs::read_to_string(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(service.stop().await, Some(0));
    let service = stage.start().await;
    assert_eq!(std::fs::read_to_string(&path).unwrap(), key);
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(files_with(stage.data.path(), &[key.trim()]), [path]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nats_server_that_stores_nothing_any_more_is_started_again_and_until_then_the_service_is_not_ready() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let nats_pid = || {
        let text = std::fs::read_to_string(stage.data.path().join("service.json")).unwrap();
        serde_json::from_str::<Value>(&text).unwrap()["nats_pid"].as_u64()
    };
    let (ready, before, deadline) = (format!("{}/readyz", service.http), nats_pid(), Instant::now() + PATIENCE);
    let is_ready = || async { reqwest::get(&ready).await.unwrap().status().as_u16() == 200 };
    assert!(is_ready().await);
    service.signal_nats("STOP");
    let mut was_ready = true;
    let id = loop {
        match service.client.submit(product("Norrland", "VK 200", "NL80000009")).await {
            Ok(answer) => break answer.into_inner().registration.unwrap().id,
            Err(status) => assert_eq!(status.code(), tonic::Code::Unavailable, "{status}"),
        }
        was_ready &= is_ready().await;
        assert!(Instant::now() < deadline, "it is never started again");
    };
    assert!(!was_ready, "it said all the time that it can work");
    service.wait_for_state(&id, State::Success).await;
    while !is_ready().await || nats_pid() == before {
        assert!(Instant::now() < deadline, "{before:?} {:?}", nats_pid());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(service.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_whose_master_key_is_missing_is_not_given_another_one() {
    let stage = Stage::new().await;
    assert_eq!(stage.start().await.stop().await, Some(0));
    let key = stage.data.path().join("master.key");
    std::fs::remove_file(&key).unwrap();
    let output = stage.command().output().await.unwrap();
    let says = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && says.contains("put the key back") && !key.exists(), "{says}");
}
