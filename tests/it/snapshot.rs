//! The engine's snapshot: a start goes on from it, with the same state, and where it is in doubt folds the log instead.

use std::fs::File;
use std::path::PathBuf;
use std::time::Instant;

use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, CircuitState, RegistrationState as State, WaitKind};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use serde_json::Value;

use crate::support::{PATIENCE, POLL, Service, Stage, product};

/// No round of health checks comes in between, and a circuit or a token stays as it is.
const LONG: &str = "[health]\nevery_s = 86_400\n[circuit]\nopen_s = 600";
const FOLDED: &str = "the engine has folded the log";
const SET_ASIDE: &str = "the engine's snapshot is set aside; the log is folded from its beginning";

/// A stage whose makers' guards stay closed for the length of a test.
async fn stage() -> Stage {
    let stage = Stage::new().await;
    stage.maker("norrland", &[("tries_max = 4", "tries_max = 1")], LONG);
    stage.maker("kestrel", &[("max = 100\nper_s = 60", "max = 1\nper_s = 600")], LONG);
    stage.maker("brightwell", &[("base_ms = 500\ncap_ms = 30_000", "base_ms = 90_000\ncap_ms = 90_000")], LONG);
    stage
}

fn snapshot(stage: &Stage) -> PathBuf {
    stage.data.path().join("engine.snapshot")
}

/// A service whose log lines go to a file, and that file.
async fn start(stage: &Stage, name: &str) -> (Service, PathBuf) {
    let path = stage.data.path().join(format!("{name}.log"));
    let mut command = stage.command();
    command.env("REGFLOW__LOG__LEVEL", "info").env("REGFLOW__LOG__FORMAT", "json");
    command.env("REGFLOW__ENGINE__DRAIN_TIMEOUT_S", "1").env("REGFLOW__ENGINE__LOOKUP_FIRST_MS", "3000");
    command.stderr(File::create(&path).unwrap());
    (stage.start_with(command).await, path)
}

/// The log line that says this, if there is one.
fn line(path: &PathBuf, message: &str) -> Option<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines.into_iter().find(|line| line["message"] == message)
}

/// Behind which record the fold began, and up to which it then had come.
fn folded(path: &PathBuf) -> (u64, u64) {
    let line = line(path, FOLDED).unwrap();
    (line["behind"].as_u64().unwrap(), line["position"].as_u64().unwrap())
}

async fn makers(service: &Service) -> Vec<v1::MakerStatus> {
    let mut operations = OperationsClient::new(service.channel().await);
    let makers = operations.list_makers(v1::ListMakersRequest::default()).await.unwrap().into_inner().makers;
    // a maker that was never checked is checked some time after the start, whatever that was
    makers.into_iter().map(|maker| v1::MakerStatus { next_check_time: None, ..maker }).collect()
}

async fn explain(service: &mut Service, id: &str) -> v1::Explanation {
    service.client.explain(v1::ExplainRequest { id: id.to_owned() }).await.unwrap().into_inner()
}

/// Waits until it waits for this kind of thing and its history says so.
async fn waits_for(service: &mut Service, id: &str, kind: WaitKind) -> v1::Explanation {
    let asked = Instant::now();
    loop {
        let seen = explain(service, id).await;
        let waiting = seen.registration.as_ref().is_some_and(|registration| registration.state() == State::Waiting);
        if waiting && seen.waits_for.as_ref().is_some_and(|waits| waits.kind() == kind) {
            return seen;
        }
        assert!(asked.elapsed() < PATIENCE, "never {kind:?}: {seen:#?}");
        tokio::time::sleep(POLL).await;
    }
}

/// One that waits for each kind of thing: a circuit, a token, a time, an operator.
async fn waiting(stage: &Stage, service: &mut Service) -> Vec<(String, WaitKind)> {
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    stage.fault(Maker::Brightwell, Stage::answers(503, Some(1)).at(Scope::Api));
    for n in 0..5 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NS0000000{n}"))).await.id;
        service.wait_for_state(&id, State::ManualRequired).await;
    }
    let id = service.submit(product("Kestrel", "Impact Driver", "K900000001")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let retried = service.submit(product("Brightwell", "Monitor 5", "BW26-000301")).await.id;
    waits_for(service, &retried, WaitKind::Time).await;
    let mut operations = OperationsClient::new(service.channel().await);
    let (maker, reason, operator) = ("brightwell".into(), "their maintenance".into(), "ada".into());
    operations.pause(v1::PauseRequest { maker, reason, operator, ..Default::default() }).await.unwrap();

    let mut ids = vec![(retried, WaitKind::Time)];
    for (request, kind) in [
        (product("Norrland", "VK 200", "NS00000010"), WaitKind::Circuit),
        (product("Kestrel", "Impact Driver", "K900000002"), WaitKind::Token),
        (product("Brightwell", "Monitor 5", "BW26-000302"), WaitKind::Operator),
    ] {
        let id = service.submit(request).await.id;
        waits_for(service, &id, kind).await;
        ids.push((id, kind));
    }
    ids
}

/// What the service tells of makers and of those that wait.
async fn told(service: &mut Service, ids: &[(String, WaitKind)]) -> (Vec<v1::MakerStatus>, Vec<v1::Explanation>) {
    let mut explanations = Vec::new();
    for (id, kind) in ids {
        explanations.push(waits_for(service, id, *kind).await);
    }
    (makers(service).await, explanations)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_behind_a_clean_stop_or_a_crash_folds_only_what_came_since_and_tells_the_same() {
    let stage = stage().await;
    let (mut service, log) = start(&stage, "first").await;
    assert_eq!(folded(&log).0, 0);
    let ids = waiting(&stage, &mut service).await;
    let before = told(&mut service, &ids).await;
    let norrland = before.0.iter().find(|maker| maker.maker == "norrland").unwrap();
    assert_eq!(norrland.methods[0].circuit.as_ref().unwrap().state(), CircuitState::Open);
    assert_eq!(service.stop().await, Some(0));

    let (mut service, log) = start(&stage, "second").await;
    let (behind, position) = folded(&log);
    assert!(behind > 20 && behind == position, "{behind} {position}");
    assert_eq!(told(&mut service, &ids).await, before);

    // what comes now is not in the snapshot, and the crash leaves no time to write another
    let mut all = ids.clone();
    for n in 0..3 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NS0000002{n}"))).await.id;
        waits_for(&mut service, &id, WaitKind::Circuit).await;
        all.push((id, WaitKind::Circuit));
    }
    let before = told(&mut service, &all).await;
    service.crash().await;
    let (mut service, log) = start(&stage, "third").await;
    assert_eq!(folded(&log).0, behind);
    assert!(folded(&log).1 >= position + 6, "{:?} {position}", folded(&log));
    assert_eq!(told(&mut service, &all).await, before);

    // and it all goes on
    stage.sandbox.faults().clear();
    let mut operations = OperationsClient::new(service.channel().await);
    let (maker, reason, operator) = ("brightwell".into(), "they are back".into(), "ada".into());
    operations.resume(v1::ResumeRequest { maker, reason, operator, ..Default::default() }).await.unwrap();
    service.wait_for_state(&all[3].0, State::Success).await;
    assert_eq!(stage.accepted("BW26-000302"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_with_one_flipped_byte_is_set_aside_and_all_is_as_it_was() {
    let stage = stage().await;
    let (mut service, _) = start(&stage, "first").await;
    let ids = waiting(&stage, &mut service).await;
    let before = told(&mut service, &ids).await;
    assert_eq!(service.stop().await, Some(0));
    let mut bytes = std::fs::read(snapshot(&stage)).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(snapshot(&stage), &bytes).unwrap();

    let (mut service, log) = start(&stage, "second").await;
    let aside = line(&log, SET_ASIDE).unwrap();
    assert_eq!(aside["why"], "it is damaged");
    assert_eq!(std::fs::read(aside["path"].as_str().unwrap()).unwrap(), bytes);
    assert_eq!(folded(&log).0, 0);
    assert_eq!(told(&mut service, &ids).await, before);
    assert_eq!(service.stop().await, Some(0));
    let (_service, log) = start(&stage, "third").await;
    assert!(folded(&log).0 > 0, "another one was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_was_with_its_driver_at_the_stop_is_read_anew_and_another_catalog_folds_the_log() {
    let stage = Stage::new().await;
    stage.fault(Maker::Norrland, Fault::lasting(Mode::Hang));
    let (mut service, _) = start(&stage, "first").await;
    let id = service.submit(product("Norrland", "VK 200", "NS00000031")).await.id;
    service.wait_for(&id, |registration| registration.attempts == 1).await;
    assert_eq!(service.stop().await, Some(0));

    stage.sandbox.faults().clear();
    let (mut service, log) = start(&stage, "second").await;
    assert!(folded(&log).0 > 0);
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.attempts, stage.accepted("NS00000031")), (1, 1));
    assert_eq!(service.stop().await, Some(0));

    stage.maker("norrland", &[("days = 60", "days = 50")], "");
    let (_service, log) = start(&stage, "third").await;
    assert_eq!(line(&log, SET_ASIDE).unwrap()["why"], "it was made by another program, or for another catalog");
    assert_eq!(folded(&log).0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_rests_until_a_time_wakes_by_the_snapshot_and_without_the_setting_none_is_written() {
    let stage = Stage::new().await;
    stage.brightwell_can_only_be_asked(Stage::loses_an_answer());
    let (mut service, _) = start(&stage, "first").await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000311")).await.id;
    service.wait_for(&id, |seen| seen.state() == State::OutcomeUnknown && seen.waiting.is_some()).await;
    assert_eq!(service.stop().await, Some(0));

    let (mut service, log) = start(&stage, "second").await;
    let (behind, position) = folded(&log);
    assert!(behind > 0 && behind == position, "{behind} {position}");
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.attempts, stage.accepted("BW26-000311")), (1, 1));
    assert_eq!(service.stop().await, Some(0));

    std::fs::remove_file(snapshot(&stage)).unwrap();
    let mut command = stage.command();
    command.env("REGFLOW__ENGINE__SNAPSHOT_EVERY_MS", "0");
    let mut service = stage.start_with(command).await;
    assert_eq!(service.wait_for_state(&id, State::Success).await.attempts, 1);
    assert_eq!(service.stop().await, Some(0));
    assert!(!snapshot(&stage).exists());
}
