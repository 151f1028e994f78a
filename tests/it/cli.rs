//! The command line against a running service: what it prints, as text and as JSON, and its exit codes.

use proto::v1::RegistrationState as State;
use serde_json::Value;

use crate::support::{Service, Stage, product, regflow};

/// Runs a command against the service: exit code, standard output, standard error.
async fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    let output = regflow().args(args).env("REGFLOW_SERVER", &service.grpc).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

async fn json(service: &Service, args: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = run(service, &[args, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_handed_over_followed_and_its_history_printed() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let submit = [
        "submit",
        "--brand",
        "Norrland",
        "--model",
        "VK 200",
        "--serial",
        "NL90000001",
        "--purchased",
        "2026-11-02",
        "--name",
        "Ada Example",
        "--email",
        "ada@example.org",
        "--wait",
    ];
    let done = json(&service, &submit).await.remove(0);
    assert_eq!(
        (done["state"].as_str(), done["method"].as_str()),
        (Some("REGISTRATION_STATE_SUCCESS"), Some("METHOD_API"))
    );
    let id = done["id"].as_str().unwrap();
    assert_eq!(json(&service, &["status", id]).await[0]["confirmation"], done["confirmation"]);
    assert_eq!(json(&service, &["list", "--state", "success"]).await[0]["id"], id);
    let history = json(&service, &["audit", id]).await;
    assert_eq!(history.len(), 3);
    assert_eq!(history[2]["events"][1]["name"], "registration_succeeded");
    let updates = json(&service, &["watch", id, "--after", "0"]).await;
    assert_eq!(updates.last().unwrap()["registration"]["state"], "REGISTRATION_STATE_SUCCESS");
    let (_, text, _) = run(&service, &["audit", id]).await;
    assert!(text.contains("registration_succeeded"), "{text}");
    assert!(!text.contains("Ada Example"), "{text}");
    service.wait_for_state(id, State::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_one_is_retried_cancelled_and_completed_from_the_shell() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Hartmann", "Kaffeemühle", "HS-3")).await.id;
    let second = service.submit(product("Hartmann", "Kaffeemühle", "HS-4")).await.id;
    service.wait_for_packet(&first).await;
    service.wait_for_packet(&second).await;
    assert_eq!(
        json(&service, &["complete", &first, "--code", "HS-OK"]).await[0]["state"],
        "REGISTRATION_STATE_USER_COMPLETED"
    );
    assert_eq!(
        json(&service, &["cancel", &second, "--reason", "sold"]).await[0]["state"],
        "REGISTRATION_STATE_CANCELLED"
    );
    assert_eq!(json(&service, &["retry", &second]).await[0]["state"], "REGISTRATION_STATE_PENDING");
    service.wait_for_packet(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_the_documented_ones() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL90000002")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let unknown = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d";
    assert_eq!(run(&service, &["status", &id]).await.0, 0);
    assert_eq!(run(&service, &["frobnicate"]).await.0, 2);
    let bad = ["submit", "--brand", "Norrland", "--model", "VK 200", "--name", "Ada", "--email", "nobody"];
    let (code, _, stderr) = run(&service, &bad).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("owner.email is no e-mail address; write it like ada@example.org"), "{stderr}");
    assert_eq!(run(&service, &["status", unknown]).await.0, 3);
    assert_eq!(run(&service, &["complete", &id]).await.0, 4);
    let nobody_there = regflow().args(["status", unknown, "--server", "http://127.0.0.1:9"]).output().await.unwrap();
    assert_eq!(nobody_there.status.code(), Some(5));
}
