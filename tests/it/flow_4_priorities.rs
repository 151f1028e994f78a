//! Flow 4: what waits comes to its turn by class, by its last day inside a class, and fairly between tenants.

use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, Priority, RegistrationState as State};
use sandbox::Maker;
use sandbox::ledger::Filter;
use tonic::transport::Channel;

use crate::support::{Service, Stage, days_ago, product};

/// Norrland takes one call at a time, so that its ledger shows the order of turns.
async fn one_at_a_time() -> (Stage, Service) {
    let stage = Stage::new().await;
    stage.maker("norrland", &[], "[concurrency]\napi = 1");
    let service = stage.start().await;
    (stage, service)
}

async fn operations(service: &Service) -> OperationsClient<Channel> {
    OperationsClient::new(service.channel().await)
}

async fn pause(service: &Service) {
    let request = v1::PauseRequest {
        maker: "norrland".into(),
        reason: "gathering a queue".into(),
        operator: "ada".into(),
        ..Default::default()
    };
    operations(service).await.pause(request).await.unwrap();
}

async fn resume(service: &Service) {
    let request = v1::ResumeRequest {
        maker: "norrland".into(),
        reason: "the queue is there".into(),
        operator: "ada".into(),
        ..Default::default()
    };
    operations(service).await.resume(request).await.unwrap();
}

/// Submits them while Norrland is paused, resumes it, and gives the order in which they arrived there.
async fn order_of(stage: &Stage, service: &mut Service, requests: Vec<v1::SubmitRequest>) -> Vec<String> {
    pause(service).await;
    let mut ids = Vec::new();
    for request in requests {
        ids.push(service.submit(request).await.id);
    }
    for id in &ids {
        service.wait_for(id, |r| r.state() == State::Waiting && r.waiting.is_some()).await;
    }
    resume(service).await;
    for id in &ids {
        service.wait_for_state(id, State::Success).await;
    }
    let filter = Filter { maker: Some(Maker::Norrland.slug().to_owned()), ..Filter::default() };
    let mut entries = stage.sandbox.ledger().entries(&filter, 1_000);
    entries.sort_by_key(|entry| entry.at);
    entries.iter().map(|entry| entry.serial.to_string()).collect()
}

fn of_class(serial: &str, priority: Priority) -> v1::SubmitRequest {
    v1::SubmitRequest { priority: priority.into(), ..product("Norrland", "VK 200", serial) }
}

#[tokio::test(flavor = "multi_thread")]
async fn high_goes_before_normal_and_normal_before_low_and_a_pause_loses_none() {
    let (stage, mut service) = one_at_a_time().await;
    let requests = vec![
        of_class("LO00000001", Priority::Low),
        of_class("NO00000001", Priority::Normal),
        of_class("HI00000001", Priority::High),
        of_class("LO00000002", Priority::Low),
        of_class("HI00000002", Priority::High),
        of_class("NO00000002", Priority::Normal),
    ];
    let order = order_of(&stage, &mut service, requests).await;
    assert_eq!(order, ["HI00000001", "HI00000002", "NO00000001", "NO00000002", "LO00000001", "LO00000002"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn inside_a_class_the_earliest_last_day_goes_first() {
    let (stage, mut service) = one_at_a_time().await;
    let bought = |serial: &str, days: i64| {
        let mut request = product("Norrland", "VK 200", serial);
        if let Some(purchase) = &mut request.purchase {
            purchase.date = days_ago(days).to_string();
        }
        request
    };
    let requests = vec![bought("DA00000003", 5), bought("DA00000001", 40), bought("DA00000002", 20)];
    let order = order_of(&stage, &mut service, requests).await;
    assert_eq!(order, ["DA00000001", "DA00000002", "DA00000003"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_with_a_flood_does_not_keep_another_one_waiting() {
    let (stage, mut service) = one_at_a_time().await;
    let of_tenant = |tenant: &str, serial: String| v1::SubmitRequest {
        tenant: tenant.into(),
        ..product("Norrland", "VK 200", &serial)
    };
    let mut requests: Vec<_> = (0..12).map(|n| of_tenant("flood", format!("FL000000{n:02}"))).collect();
    requests.push(of_tenant("shop", "SH00000001".into()));
    requests.push(of_tenant("shop", "SH00000002".into()));
    let order = order_of(&stage, &mut service, requests).await;
    let place = |serial: &str| order.iter().position(|arrived| arrived == serial).unwrap();
    assert!(place("SH00000001") <= 2 && place("SH00000002") <= 4, "{order:?}");
}
