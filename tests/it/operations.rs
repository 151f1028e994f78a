//! What an operator relies on: a NATS server of their own, health, reflection, the benchmark's report.

use proto::v1::RegistrationState as State;
use serde_json::{Value, json};
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::nats::Nats;
use crate::support::{Stage, product, regflow};

#[tokio::test(flavor = "multi_thread")]
async fn a_given_server_is_used_when_its_writes_are_safe_and_refused_when_nobody_can_tell() {
    let (stage, nats) = (Stage::new().await, Nats::start("always"));
    let mut unproven = stage.command();
    let output = unproven.env("REGFLOW__NATS__URL", &nats.url).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("writes are not safe here") && text.contains("nats.monitor_url"), "{text}");

    let mut proven = stage.command();
    proven.env("REGFLOW__NATS__URL", &nats.url).env("REGFLOW__NATS__MONITOR_URL", &nats.monitor_url);
    let mut service = stage.start_with(proven).await;
    let id = service.submit(product("Norrland", "VK 200", "NL12000001")).await.id;
    service.wait_for_state(&id, State::Success).await;
    assert_eq!(service.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_can_lose_writes_is_refused_with_the_remedy_unless_that_is_accepted() {
    let (stage, nats) = (Stage::new().await, Nats::start("2m"));
    let command = || {
        let mut command = stage.command();
        command.env("REGFLOW__NATS__URL", &nats.url).env("REGFLOW__NATS__MONITOR_URL", &nats.monitor_url);
        command
    };
    let output = command().output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("without `sync_interval: always`") && text.contains("relaxed"), "{text}");

    let mut relaxed = command();
    relaxed.env("REGFLOW__NATS__DURABILITY", "relaxed");
    let mut service = stage.start_with(relaxed).await;
    let id = service.submit(product("Norrland", "VK 200", "NL12000002")).await.id;
    service.wait_for_state(&id, State::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_serving_and_reflection_names_the_services() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let channel = Endpoint::from_shared(service.grpc.clone()).unwrap().connect().await.unwrap();
    let mut health = HealthClient::new(channel.clone());
    for name in ["regflow.v1.Registrations", "regflow.v1.Audit"] {
        let request = HealthCheckRequest { service: name.to_owned() };
        let answer: HealthCheckResponse = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{name}");
    }
    let mut reflection = ServerReflectionClient::new(channel);
    let list = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream::once(list)).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap().message_response.unwrap();
    let MessageResponse::ListServicesResponse(services) = answer else { panic!("{answer:?}") };
    let names: Vec<String> = services.service.into_iter().map(|service| service.name).collect();
    assert!(names.iter().any(|name| name == "regflow.v1.Registrations"), "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_prints_one_object_with_all_its_keys() {
    let report = bench(&["--registrations", "300", "--batch", "50"]).await;
    assert_eq!((&report["scenario"], &report["durable"]), (&json!("happy"), &json!(true)));
    for key in [
        "/registrations_per_second",
        "/submit_ms/p50",
        "/submit_ms/p99",
        "/end_to_end_ms/p50",
        "/end_to_end_ms/p99",
        "/cpu_ms_per_registration/regflow",
        "/cpu_ms_per_registration/nats_server",
        "/peak_rss_mb/regflow",
        "/disk_bytes_per_registration",
        "/raw_server_messages_per_second",
    ] {
        assert!(report.pointer(key).and_then(Value::as_f64).is_some_and(|value| value > 0.0), "{key} in {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_benchmark_lets_registrations_arrive_at_a_rate_and_counts_those_that_are_refused() {
    let report = bench(&["--registrations", "100", "--batch", "10", "--rate", "50"]).await;
    assert_eq!((&report["scenario"], &report["offered_per_second"]), (&json!("open_loop"), &json!(50)));
    assert_eq!(report["refused"], 0);
    // the last ten are due after 1.8 s
    assert!(report["registrations_per_second"].as_f64().is_some_and(|rate| rate <= 56.0), "{report}");
}

async fn bench(arguments: &[&str]) -> Value {
    let mut command = regflow();
    command.arg("bench").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)))
}
