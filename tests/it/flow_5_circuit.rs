//! Flow 5: the circuit of a maker's method opens, lets one probe through, and closes; nothing that waits burns a try.

use std::time::Duration;

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};

use crate::support::{Service, Stage, product};

/// One try each, and a circuit that stays open for two seconds.
const QUICK: &[(&str, &str)] = &[("tries_max = 4", "tries_max = 1")];
const CIRCUIT: &str = "[circuit]\nopen_s = 2";

/// Five failures with Norrland, whose only automatic method is its API.
async fn tripped(stage: &Stage) -> Service {
    stage.maker("norrland", QUICK, CIRCUIT);
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let mut service = stage.start().await;
    for n in 0..5 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NC0000000{n}"))).await.id;
        service.wait_for_state(&id, State::ManualRequired).await;
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn five_failures_open_it_what_comes_then_waits_with_a_reason_and_drains_when_the_maker_is_back() {
    let stage = Stage::new().await;
    let mut service = tripped(&stage).await;
    let calls = stage.arrivals(Maker::Norrland).len();
    let mut ids = Vec::new();
    for n in 10..20 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NC000000{n}"))).await.id);
    }
    let waiting = service.wait_for_state(&ids[0], State::Waiting).await;
    let reason = waiting.waiting.unwrap();
    assert!(reason.reason.contains("circuit") && reason.until.is_some(), "{reason:?}");
    assert_eq!((waiting.attempts, stage.arrivals(Maker::Norrland).len()), (0, calls));

    stage.sandbox.faults().clear();
    for id in &ids {
        let done = service.wait_for_state(id, State::Success).await;
        assert_eq!((done.method(), done.attempts), (v1::Method::Api, 1));
    }
    let story = service.story(&ids[0]).await.concat();
    assert!(story.contains(&"held".to_owned()), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_maker_that_stays_down_gets_one_probe_at_a_time_however_many_wait() {
    let stage = Stage::new().await;
    let mut service = tripped(&stage).await;
    for n in 10..30 {
        service.submit(product("Norrland", "VK 200", &format!("NC000000{n}"))).await;
    }
    // three probes, two seconds apart; without the circuit all twenty would have called at once
    let before = stage.arrivals(Maker::Norrland).len();
    tokio::time::sleep(Duration::from_millis(6_500)).await;
    let probes = stage.arrivals(Maker::Norrland).split_off(before);
    assert!((2..=3).contains(&probes.len()), "{probes:?}");
    assert!(probes.windows(2).all(|pair| pair[1] - pair[0] >= 1.9), "{probes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_half_open_twenty_callers_pass_one_after_the_other_until_three_succeeded() {
    let stage = Stage::new().await;
    let mut service = tripped(&stage).await;
    let mut ids = Vec::new();
    for n in 10..30 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NC000000{n}"))).await.id);
    }
    service.wait_for_state(&ids[19], State::Waiting).await;
    let before = stage.arrivals(Maker::Norrland).len();
    stage.fault(Maker::Norrland, Fault::lasting(Mode::Latency { ms: 300 }));
    for id in &ids {
        service.wait_for_state(id, State::Success).await;
    }
    let arrivals = stage.arrivals(Maker::Norrland).split_off(before);
    let gaps: Vec<f64> = arrivals.windows(2).map(|pair| pair[1] - pair[0]).collect();
    // each of the first three had to end before the next one began; the others came together
    assert!(gaps[0] >= 0.29 && gaps[1] >= 0.29, "{gaps:?}");
    assert!(gaps[3..].iter().sum::<f64>() < 2.0, "{gaps:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_another_method_is_left_a_registration_goes_on_to_it_at_once() {
    let stage = Stage::new().await;
    stage.maker("brightwell", &[("tries_max = 3", "tries_max = 1")], "[circuit]\nfailures = 2\nopen_s = 60");
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    let mut service = stage.start().await;
    for n in 0..2 {
        let id = service.submit(product("Brightwell", "Monitor 5", &format!("BW26-00010{n}"))).await.id;
        service.wait_for_state(&id, State::Success).await;
    }
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000109")).await.id;
    let done = service.wait_for_state(&id, State::Success).await;
    assert_eq!((done.method(), done.attempts), (v1::Method::AutomationReliable, 1));
    let story = service.story(&id).await.concat();
    assert!(story.contains(&"method_skipped".to_owned()), "{story:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_stays_open_across_a_crash() {
    let stage = Stage::new().await;
    stage.maker("norrland", QUICK, "[circuit]\nopen_s = 600");
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let mut service = stage.start().await;
    for n in 0..5 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NC0000010{n}"))).await.id;
        service.wait_for_state(&id, State::ManualRequired).await;
    }
    service.crash().await;
    stage.sandbox.faults().clear();
    let mut service = stage.start().await;
    let calls = stage.arrivals(Maker::Norrland).len();
    let id = service.submit(product("Norrland", "VK 200", "NC00000199")).await.id;
    service.wait_for_state(&id, State::Waiting).await;
    assert_eq!(stage.arrivals(Maker::Norrland).len(), calls);
}
