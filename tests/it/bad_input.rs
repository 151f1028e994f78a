//! Bad input and a missing NATS: a clear error, nothing stored.

use std::time::Instant;

use proto::v1::{self, RegistrationState as State};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::support::{PATIENCE, Service, Stage, product, regflow};

async fn refused(service: &mut Service, request: v1::SubmitRequest) -> Status {
    service.client.submit(request).await.expect_err("it is refused")
}

fn fields(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    details.bad_request().map(|b| b.field_violations.iter().map(|v| v.field.clone()).collect()).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_bad_field_is_named_and_nothing_is_stored() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let good = || product("Norrland", "VK 200", "NL70000001");
    let with_owner = |name: &str, email: &str| {
        let mut request = good();
        let owner = request.owner.as_mut().unwrap();
        (owner.name, owner.email) = (name.to_owned(), email.to_owned());
        request
    };
    let with_date = |date: &str| {
        let mut request = good();
        request.purchase.as_mut().unwrap().date = date.to_owned();
        request
    };
    let oversized = v1::ProofOfPurchase { content: vec![b'x'; 3 * 1024 * 1024 + 1].into(), ..Default::default() };
    for (request, field) in [
        (v1::SubmitRequest::default(), "product.brand"),
        (with_owner("", "a@example.org"), "owner.name"),
        (with_owner("Eve\r\nBcc: all@example.org", "a@example.org"), "owner.name"),
        (with_owner("Eve", "nobody"), "owner.email"),
        (with_date("2999-01-01"), "purchase.date"),
        (with_date("2.11.2026"), "purchase.date"),
        (v1::SubmitRequest { tenant: "A B".into(), ..good() }, "tenant"),
        (v1::SubmitRequest { request_id: "ä".into(), ..good() }, "request_id"),
        (v1::SubmitRequest { proof_of_purchase: Some(oversized), ..good() }, "proof_of_purchase"),
    ] {
        let status = refused(&mut service, request).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{field}: {status}");
        assert!(fields(&status).contains(&field.to_owned()), "{field}: {:?}", fields(&status));
    }
    let all = service.client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.registrations.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_ids_and_bodies_over_the_limit_are_refused() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let unknown = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".to_owned();
    let get = v1::GetRequest { id: unknown.clone(), min_sequence: 0 };
    assert_eq!(service.client.get(get).await.unwrap_err().code(), Code::NotFound);
    let complete = v1::CompleteRequest { id: unknown, ..Default::default() };
    assert_eq!(service.client.complete(complete).await.unwrap_err().code(), Code::NotFound);
    let nonsense = service.client.get(v1::GetRequest { id: "17".into(), min_sequence: 0 }).await.unwrap_err();
    assert_eq!((nonsense.code(), fields(&nonsense)), (Code::InvalidArgument, vec!["id".to_owned()]));

    let huge = v1::ProofOfPurchase { content: vec![b'x'; 32 * 1024 * 1024].into(), ..Default::default() };
    let request = v1::SubmitRequest { proof_of_purchase: Some(huge), ..product("Norrland", "VK 200", "NL70000002") };
    assert_eq!(refused(&mut service, request).await.code(), Code::OutOfRange);
    let batch = v1::SubmitBatchRequest { requests: vec![v1::SubmitRequest::default(); 1_001] };
    assert_eq!(service.client.submit_batch(batch).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nats_frozen_a_submission_is_unavailable_within_its_deadline_and_works_again_after() {
    let stage = Stage::new().await;
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__SUBMIT_TIMEOUT_MS", "1500");
    let mut service = stage.start_with(command).await;
    let before = service.submit(product("Norrland", "VK 200", "NL70000003")).await.id;
    service.wait_for_state(&before, State::Success).await;

    service.signal_nats("STOP");
    let asked = Instant::now();
    let request =
        v1::SubmitRequest { request_id: "while-frozen".into(), ..product("Norrland", "VK 200", "NL70000004") };
    let status = refused(&mut service, request.clone()).await;
    let waited = asked.elapsed();
    service.signal_nats("CONT");
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert!(waited < PATIENCE / 4, "{waited:?}");
    assert!(status.get_error_details().retry_info().is_some());

    let deadline = Instant::now() + PATIENCE;
    let id = loop {
        match service.client.submit(request.clone()).await {
            Ok(answer) => break answer.into_inner().registration.unwrap().id,
            Err(status) => assert!(Instant::now() < deadline, "it never came back: {status}"),
        }
    };
    service.wait_for_state(&id, State::Success).await;
    assert_eq!(stage.accepted("NL70000004"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_catalog_file_stops_the_start_with_its_place() {
    let stage = Stage::new().await;
    let catalog = tempfile::tempdir().unwrap();
    std::fs::write(catalog.path().join("acme.toml"), "name = \"Acme\"\nbrands = [\"Acme\"]\nladdr = [\"API\"]\n")
        .unwrap();
    let mut command = stage.command();
    let output = command.env("REGFLOW__CATALOG__FOLDER", catalog.path()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("acme.toml:3:1"), "{text}");
    assert!(text.contains("laddr"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_setting_stops_the_start_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.toml");
    std::fs::write(&path, "[server]\ngrcp = \"127.0.0.1:1\"\n").unwrap();
    let output = regflow().args(["serve", "--config"]).arg(&path).output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("mine.toml:2: unknown key `server.grcp`; the nearest known one is `server.grpc`"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_font_that_is_none_stops_the_start_with_its_file() {
    let (stage, fonts) = (Stage::new().await, tempfile::tempdir().unwrap());
    std::fs::write(fonts.path().join("broken.ttf"), "no font").unwrap();
    let mut command = stage.command();
    let output = command.env("REGFLOW__PACKET__FONTS", fonts.path()).output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(text.contains("broken.ttf\": not a font"), "{text}");
}
