//! Outcomes that nobody knows: a maker that can be asked is asked, and nothing is registered twice.

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode};

use crate::support::{Service, Stage, product};

/// Brightwell as a maker that does not tell repeats apart, but can be asked.
async fn can_only_be_asked(fault: Fault) -> (Stage, Service) {
    let stage = Stage::new().await;
    stage.brightwell_can_only_be_asked(fault);
    let service = stage.start().await;
    (stage, service)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reply_that_is_lost_after_the_commit_is_found_by_asking() {
    let (stage, mut service) = can_only_be_asked(Stage::loses_an_answer()).await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000401")).await.id;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.method(), done.attempts, stage.accepted("BW26-000401")), (v1::Method::Api, 1, 1));
    let story = service.story(&id).await.concat();
    let expected = ["outcome_unknown", "lookup_scheduled", "attempt_succeeded", "registration_succeeded"];
    assert_eq!(story[story.len() - 4..], expected, "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_timed_out_and_came_to_nothing_is_made_again_once_the_maker_says_so() {
    let (stage, mut service) = can_only_be_asked(Fault { times: Some(1), ..Fault::lasting(Mode::Hang) }).await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000402")).await.id;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.method(), done.attempts, stage.accepted("BW26-000402")), (v1::Method::Api, 2, 1));
    let story = service.story(&id).await.concat();
    let asked = story.iter().filter(|name| *name == "lookup_scheduled").count();
    assert!(asked == 2 && story.contains(&"found_unregistered".to_owned()), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_a_crash_cut_off_is_asked_about_after_the_restart_and_not_repeated_blindly() {
    let (stage, mut service) = can_only_be_asked(Fault::lasting(Mode::Hang)).await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000403")).await.id;
    service.wait_for(&id, |r| r.attempts == 1).await;
    service.crash().await;
    stage.sandbox.faults().clear();
    let mut service = stage.start().await;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.attempts, stage.accepted("BW26-000403")), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_resolves_what_no_maker_can_tell() {
    let stage = Stage::new().await;
    stage.maker("kestrel", &[], "");
    stage.fault(Maker::Kestrel, Stage::loses_an_answer());
    let mut service = stage.start().await;
    let id = service.submit(product("Kestrel", "Impact Driver", "K920000001")).await.id;
    service.wait_for_state(&id, State::OutcomeUnknown).await;
    let complete = v1::CompleteRequest { id, confirmation: "KT-1".into(), ..Default::default() };
    let done = service.client.complete(complete).await.unwrap().into_inner();
    assert_eq!((done.state(), stage.accepted("K920000001")), (State::UserCompleted, 1));
}
