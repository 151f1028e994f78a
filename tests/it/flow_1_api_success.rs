//! Flow 1: the maker's API takes it.

use proto::v1::{self, RegistrationState as State};
use tonic::Code;
use tonic_types::StatusExt;

use crate::support::{Stage, files, files_with, product};

#[tokio::test(flavor = "multi_thread")]
async fn a_product_whose_turn_comes_at_once_is_registered_by_the_makers_api_in_two_records() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let accepted = service.submit(product("norrland", "VK 200", "NL10000001")).await;
    assert_eq!((accepted.state(), accepted.maker.as_str()), (State::Processing, "norrland"));

    let done = service.wait_for_state(&accepted.id, State::Success).await;
    assert_eq!(done.method(), v1::Method::Api);
    assert!(done.confirmation().starts_with("NR-"), "{}", done.confirmation());
    assert_eq!(
        service.story(&accepted.id).await,
        [vec!["submitted", "dispatched", "attempt_started"], vec!["attempt_succeeded", "registration_succeeded"]]
    );

    let entries = stage.ledger();
    assert_eq!((entries.len(), stage.accepted("NL10000001")), (1, 1));
    assert!(entries[0].idempotency_key.as_deref().is_some_and(|key| key.starts_with(&accepted.id)));
    assert_eq!(service.stop().await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_must_wait_is_stored_first_and_begun_when_its_turn_comes() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut operations = v1::operations_client::OperationsClient::new(service.channel().await);
    let (maker, operator, reason) = ("norrland".to_owned(), "ada".to_owned(), "their maintenance".to_owned());
    let pause = v1::PauseRequest { maker, operator, reason, ..Default::default() };
    operations.pause(pause.clone()).await.unwrap();
    let accepted = service.submit(product("norrland", "VK 200", "NL10000009")).await;
    assert_eq!(accepted.state(), State::Pending);
    let v1::PauseRequest { maker, operator, reason, .. } = pause;
    operations.resume(v1::ResumeRequest { maker, operator, reason, ..Default::default() }).await.unwrap();
    service.wait_for_state(&accepted.id, State::Success).await;
    let story = service.story(&accepted.id).await;
    assert_eq!(story[0], ["submitted"]);
    assert!(story.contains(&vec!["dispatched".to_owned(), "attempt_started".to_owned()]), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_names_the_hash_of_the_one_before() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Kestrel", "Impact Driver", "K123456789")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let history = service.history(&id).await;
    assert_eq!(history.len(), 2);
    assert!(history[0].previous_hash.is_empty());
    for pair in history.windows(2) {
        assert_eq!((pair[1].previous_sequence, &pair[1].previous_hash), (pair[0].sequence, &pair[0].hash));
        assert_eq!(pair[1].cause, pair[0].record_id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_gets_the_same_answer_and_another_one_is_told_what_differs() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let request = v1::SubmitRequest { request_id: "order-17".into(), ..product("Norrland", "VK 200", "NL10000002") };
    let first = service.submit(request.clone()).await;
    service.wait_for_state(&first.id, State::Success).await;

    let again = service.client.submit(request.clone()).await.unwrap().into_inner();
    assert!(again.repeated_request);
    assert_eq!(again.registration.unwrap().id, first.id);

    let other_serial =
        v1::SubmitRequest { request_id: "order-17".into(), ..product("Norrland", "VK 200", "NL10000003") };
    let other_brand = v1::SubmitRequest { request_id: "order-17".into(), ..product("Kestrel", "VK 200", "NL10000002") };
    for (other, field) in [(other_serial, "product.serial"), (other_brand, "product.brand")] {
        let refused = service.client.submit(other).await.unwrap_err();
        assert_eq!(refused.code(), Code::AlreadyExists, "{refused}");
        let details = refused.get_error_details();
        assert_eq!(details.bad_request().unwrap().field_violations[0].field, field);
    }
    assert_eq!(stage.accepted("NL10000002"), 1);
    assert_eq!(stage.accepted("NL10000003"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_product_in_its_place() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut requests: Vec<_> = (0..60).map(|n| product("Norrland", "VK 200", &format!("NL2000{n:04}"))).collect();
    requests[7].owner = None;
    let answer = service.client.submit_batch(v1::SubmitBatchRequest { requests }).await.unwrap().into_inner();
    assert_eq!(answer.results.len(), 60);
    for (place, result) in answer.results.into_iter().enumerate() {
        match result.result.unwrap() {
            v1::submit_result::Result::Submitted(submitted) => {
                let id = submitted.registration.unwrap().id;
                service.wait_for_state(&id, State::Success).await;
                assert_eq!(stage.accepted(&format!("NL2000{place:04}")), 1);
            }
            v1::submit_result::Result::Error(error) => {
                assert_eq!((place, error.code), (7, Code::InvalidArgument as i32));
                assert!(error.message.contains("owner.name"), "{}", error.message);
            }
        }
    }
    let page = v1::ListRequest { states: vec![State::Success.into()], page_size: 25, ..Default::default() };
    let first = service.client.list(page.clone()).await.unwrap().into_inner();
    assert_eq!((first.registrations.len(), first.total_size), (25, 59));
    let mut seen: Vec<String> = first.registrations.into_iter().map(|r| r.id).collect();
    let mut token = first.next_page_token;
    while !token.is_empty() {
        let next =
            service.client.list(v1::ListRequest { page_token: token, ..page.clone() }).await.unwrap().into_inner();
        seen.extend(next.registrations.into_iter().map(|r| r.id));
        token = next.next_page_token;
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 59);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_request_id_twice_in_a_batch_with_two_makers_is_stored_once() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let with_id = |request| v1::SubmitRequest { request_id: "twice".into(), ..request };
    let requests = vec![
        with_id(product("Norrland", "VK 200", "NL10000008")),
        with_id(product("Kestrel", "Impact Driver", "K123456780")),
        with_id(product("Norrland", "VK 200", "NL10000008")),
    ];
    let answer = service.client.submit_batch(v1::SubmitBatchRequest { requests }).await.unwrap().into_inner();
    let ids: Vec<String> = answer
        .results
        .iter()
        .filter_map(|result| match &result.result {
            Some(v1::submit_result::Result::Submitted(submitted)) => {
                submitted.registration.as_ref().map(|r| r.id.clone())
            }
            Some(v1::submit_result::Result::Error(_)) | None => None,
        })
        .collect();
    assert!((1..=2).contains(&ids.len()) && ids.iter().all(|id| *id == ids[0]), "{answer:?}");
    service.wait_for_state(&ids[0], State::Success).await;
    assert_eq!(stage.accepted("NL10000008") + stage.accepted("K123456780"), 1);
    let all = service.client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.registrations.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_after_a_write_shows_the_write_when_it_names_its_sequence() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    for n in 0..20 {
        let accepted = service.submit(product("Norrland", "VK 200", &format!("NL3000{n:04}"))).await;
        let request = v1::GetRequest { id: accepted.id.clone(), min_sequence: accepted.sequence };
        let seen = service.client.get(request).await.unwrap().into_inner();
        assert!(seen.sequence >= accepted.sequence);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_watcher_sees_every_step_from_its_sequence_on() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let accepted = service.submit(product("Norrland", "VK 200", "NL40000001")).await;
    service.wait_for_state(&accepted.id, State::Success).await;
    let watch = v1::WatchRequest { id: accepted.id.clone(), after_sequence: Some(0), ..Default::default() };
    let mut updates = service.client.watch(watch).await.unwrap().into_inner();
    let mut names = Vec::new();
    while names.last().map(String::as_str) != Some("registration_succeeded") {
        let update = tokio::time::timeout(crate::support::PATIENCE, updates.message()).await.unwrap().unwrap().unwrap();
        names.extend(update.events.into_iter().map(|event| event.name));
    }
    assert_eq!(names, ["submitted", "dispatched", "attempt_started", "attempt_succeeded", "registration_succeeded"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_personal_data_stands_in_clear_in_any_file() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut ids = Vec::new();
    for (brand, serial) in [("Norrland", "NL50000001"), ("Hartmann", "H-77-CANARY")] {
        ids.push(service.submit(product(brand, "VK 200", serial)).await.id);
    }
    service.wait_for_state(&ids[0], State::Success).await;
    service.wait_for_packet(&ids[1]).await;
    assert_eq!(service.stop().await, Some(0));
    assert!(!files(stage.data.path()).is_empty());
    let canaries =
        ["Canary-M", "zoe.canary", "Lindenstra", "5550199", "NL50000001", "H-77-CANARY", "1.249,00", "chenstudio"];
    assert_eq!(files_with(stage.data.path(), &canaries), Vec::<std::path::PathBuf>::new());
}
