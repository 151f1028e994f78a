//! What an operator relies on: a NATS server of their own, health, reflection.

use proto::v1::RegistrationState as State;
use tonic::transport::Endpoint;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use crate::nats::Nats;
use crate::support::{Stage, product};

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
