//! Flow 2: the API fails, the web form takes it; filled in by real Chromium.

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};

use crate::support::{BOUGHT_DAYS_AGO, Stage, days_ago, product};

#[tokio::test(flavor = "multi_thread")]
async fn after_the_apis_retries_the_form_is_filled_and_a_screenshot_kept() {
    let stage = Stage::new().await;
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    let mut service = stage.start().await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000001")).await.id;

    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!(done.method(), v1::Method::AutomationReliable);
    assert!(done.confirmation().starts_with("BW-"), "{}", done.confirmation());
    assert!(done.evidence.starts_with("evidence/"), "{:?}", done.evidence);

    let names = service.story(&id).await.concat();
    let failures = names.iter().filter(|name| *name == "attempt_failed").count();
    let retries = names.iter().filter(|name| *name == "retry_scheduled").count();
    assert_eq!((failures, retries), (3, 2), "{names:?}");
    assert_eq!(stage.accepted("BW26-000001"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_lost_after_the_commit_is_found_again_by_the_same_key_and_not_by_the_form() {
    let stage = Stage::new().await;
    stage.fault(Maker::Brightwell, Fault::lasting(Mode::DropAfterCommit).at(Scope::Api));
    let mut service = stage.start().await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000002")).await.id;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.method(), done.attempts), (v1::Method::Api, 2));
    assert_eq!(stage.accepted("BW26-000002"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_three_steps_with_split_dates_takes_the_receipt_and_no_advertising() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let receipt = v1::ProofOfPurchase {
        filename: "receipt.pdf".into(),
        content_type: "application/pdf".into(),
        content: b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n".to_vec().into(),
    };
    let request = v1::SubmitRequest {
        proof_of_purchase: Some(receipt),
        ..product("La Castello", "Espresso 9", "1234-ABC-56789")
    };
    let id = service.submit(request).await.id;

    let done = service.wait_for_state(&id, State::Success).await;
    assert!(done.confirmation().starts_with("CC-"), "{}", done.confirmation());
    let entries = stage.ledger();
    let accepted = entries.iter().find(|entry| entry.accepted).unwrap();
    let field = |name: &str| accepted.fields.get(name).map(ToString::to_string).unwrap_or_default();
    let bought = days_ago(BOUGHT_DAYS_AGO);
    for (name, part) in
        [("day", bought.day().to_string()), ("month", bought.month().to_string()), ("year", bought.year().to_string())]
    {
        assert!(field(name).contains(&part), "{name}: {:?}", accepted.fields);
    }
    assert!(!field("receipt").is_empty(), "{:?}", accepted.fields);
    assert!(field("marketing").is_empty() || field("marketing").contains("false"), "{:?}", accepted.fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_receipt_survives_a_repeated_request_and_a_correction() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let receipt = v1::ProofOfPurchase { content: b"\xFF\xD8\xFF\xE0 receipt".to_vec().into(), ..Default::default() };
    let request = v1::SubmitRequest {
        request_id: "with-receipt".into(),
        proof_of_purchase: Some(receipt),
        ..product("Castello", "Espresso 9", "WRONG")
    };
    let id = service.submit(request.clone()).await.id;
    assert_eq!(service.submit(request).await.id, id);
    service.wait_for_state(&id, State::NeedsCorrection).await;

    let other_brand = v1::Product { brand: "Kestrel".into(), ..Default::default() };
    let correction = |product| Some(v1::Correction { product: Some(product), ..Default::default() });
    let refused = v1::RetryRequest { id: id.clone(), correction: correction(other_brand), ..Default::default() };
    assert!(service.client.retry(refused).await.unwrap_err().message().contains("product.brand"));

    let mended = v1::Product { serial: "1234-ABC-56791".into(), ..Default::default() };
    let retry = v1::RetryRequest { id: id.clone(), correction: correction(mended), ..Default::default() };
    service.client.retry(retry).await.unwrap();
    service.wait_for_state(&id, State::Success).await;
    let accepted = stage.ledger().into_iter().find(|entry| entry.accepted).unwrap();
    assert!(accepted.fields["receipt"].to_string().contains("proof-of-purchase.jpg"), "{:?}", accepted.fields);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_serial_that_the_form_refuses_asks_for_its_correction_and_the_mended_one_goes_through() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Castello", "Espresso 9", "WRONG")).await.id;
    let refused = service.wait_for_state(&id, State::NeedsCorrection).await;
    assert_eq!(refused.corrections[0].field, "product.serial", "{refused:?}");

    let mended = v1::Correction {
        product: Some(v1::Product { serial: "1234-ABC-56790".into(), ..Default::default() }),
        ..Default::default()
    };
    let retry = v1::RetryRequest { id: id.clone(), correction: Some(mended), ..Default::default() };
    service.client.retry(retry).await.unwrap();
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!(done.method(), v1::Method::AutomationReliable);
    assert_eq!(stage.accepted("1234-ABC-56790"), 1);
}
