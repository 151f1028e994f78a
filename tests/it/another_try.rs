//! Another try at once: a failure whose retry is due keeps its turn, where the maker's guards let it (decision 21).

use proto::v1::RegistrationState as State;
use sandbox::Maker;
use sandbox::faults::Fault;

use crate::support::{Service, Stage, product};

/// Norrland with so many tries, none of which waits.
fn without_pause(stage: &Stage, tries: &str, more: &str) {
    let tries = format!("tries_max = {tries}");
    let changes =
        [("tries_max = 4", tries.as_str()), ("base_ms = 1_000", "base_ms = 0"), ("cap_ms = 60_000", "cap_ms = 0")];
    stage.maker("norrland", &changes, more);
}

async fn submitted(service: &mut Service, serial: &str) -> String {
    service.submit(product("norrland", "VK 200", serial)).await.id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_that_is_due_at_once_begins_in_the_record_of_the_failure() {
    let stage = Stage::new().await;
    without_pause(&stage, "2", "");
    stage.fault(Maker::Norrland, Stage::answers(503, Some(1)));
    let mut service = stage.start().await;
    let id = submitted(&mut service, "NL70000001").await;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!(done.attempts, 2);
    assert_eq!(
        service.story(&id).await,
        [
            vec!["submitted", "dispatched", "attempt_started"],
            vec!["attempt_failed", "retry_scheduled", "attempt_started"],
            vec!["attempt_succeeded", "registration_succeeded"]
        ]
    );
    let keys: Vec<_> = stage.ledger().into_iter().map(|entry| entry.idempotency_key).collect();
    assert!(keys.len() == 2 && keys[0] == keys[1], "one key for a run of tries: {keys:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fifth_failure_in_a_row_ends_it_and_opens_the_circuit() {
    let stage = Stage::new().await;
    without_pause(&stage, "20", "");
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let mut service = stage.start().await;
    let id = submitted(&mut service, "NL70000002").await;
    service.wait_for_state(&id, State::Waiting).await;
    assert_eq!(stage.arrivals(Maker::Norrland).len(), 5);
    let kept = vec!["attempt_failed", "retry_scheduled", "attempt_started"];
    let mut told = vec![vec!["submitted", "dispatched", "attempt_started"]];
    told.extend(vec![kept; 4]);
    told.extend([vec!["attempt_failed", "retry_scheduled"], vec!["held"]]);
    assert_eq!(service.story(&id).await, told);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_the_next_try_waits_for_one() {
    let stage = Stage::new().await;
    without_pause(&stage, "3", "[[limits]]\nmax = 2\nper_s = 2\nrefill = \"interval\"");
    stage.fault(Maker::Norrland, Stage::answers(503, Some(2)));
    let mut service = stage.start().await;
    let id = submitted(&mut service, "NL70000003").await;
    service.wait_for_state(&id, State::Success).await;
    let story = service.story(&id).await;
    assert_eq!(story[1], ["attempt_failed", "retry_scheduled", "attempt_started"]);
    assert_eq!(story[2], ["attempt_failed", "retry_scheduled"], "{story:?}");
    let arrivals = stage.arrivals(Maker::Norrland);
    assert!(arrivals.len() == 3 && arrivals[2] >= 1.8, "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_that_fail_once_each_are_registered_once_each_with_two_calls() {
    let stage = Stage::new().await;
    without_pause(&stage, "2", "[circuit]\nfailures = 1_000");
    stage.fault(Maker::Norrland, Fault { once_each: true, ..Stage::answers(503, None) });
    let mut service = stage.start().await;
    let serial = |n: usize| format!("NL7100{n:04}");
    let requests = (0..50).map(|n| product("norrland", "VK 200", &serial(n))).collect();
    let answer = service.client.submit_batch(proto::v1::SubmitBatchRequest { requests }).await.unwrap().into_inner();
    let mut kept = 0;
    for (n, result) in answer.results.into_iter().enumerate() {
        let Some(proto::v1::submit_result::Result::Submitted(submitted)) = result.result else { panic!("{result:?}") };
        let id = submitted.registration.unwrap().id;
        assert_eq!(service.wait_for_state(&id, State::Success).await.attempts, 2);
        assert_eq!(stage.accepted(&serial(n)), 1);
        let story = service.story(&id).await;
        kept += usize::from(story.contains(&vec![
            "attempt_failed".into(),
            "retry_scheduled".into(),
            "attempt_started".into(),
        ]));
    }
    assert_eq!(stage.arrivals(Maker::Norrland).len(), 100);
    assert!(kept >= 40, "only {kept} of 50 kept their turn");
}
