//! Flow 6: a maker gets no more calls than its file allows, in any window, across restarts; what has no token waits.

use proto::v1::RegistrationState as State;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode};

use crate::support::{Service, Stage, product};

/// A window at the maker may be so much shorter than ours: a call takes its time to get there.
const ON_THE_WAY_S: f64 = 0.15;

async fn submitted(service: &mut Service, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for n in 0..count {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NR000000{n:02}"))).await.id);
    }
    ids
}

/// The most arrivals in any window of so many seconds.
fn most_in(window_s: f64, arrivals: &[f64]) -> usize {
    let within = |from: &f64| arrivals.iter().filter(|at| *at >= from && **at - from < window_s).count();
    arrivals.iter().map(within).max().unwrap_or(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sixth_waits_until_the_interval_ends_and_none_is_dropped() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[], "[[limits]]\nmax = 5\nper_s = 3\nrefill = \"interval\"");
    let mut service = stage.start().await;
    let ids = submitted(&mut service, 12).await;
    let waiting = service.wait_for_state(&ids[11], State::Waiting).await;
    let reason = waiting.waiting.unwrap();
    assert!(reason.reason.contains("rate limit") && reason.until.is_some(), "{reason:?}");
    assert_eq!(stage.arrivals(Maker::Norrland).len(), 5);
    for id in &ids {
        assert_eq!(service.wait_for_state(id, State::Success).await.attempts, 1);
    }
    let arrivals = stage.arrivals(Maker::Norrland);
    assert_eq!(arrivals.len(), 12);
    assert!(arrivals[5] >= 3.0 - ON_THE_WAY_S && arrivals[10] >= 6.0 - ON_THE_WAY_S, "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_smooth_limit_holds_in_every_window_and_so_does_a_second_one() {
    let stage = Stage::new().await;
    let limits = "[[limits]]\nmax = 2\nper_s = 1\n[[limits]]\nmax = 5\nper_s = 4";
    stage.maker("norrland", &[], limits);
    let mut service = stage.start().await;
    for id in submitted(&mut service, 11).await {
        service.wait_for_state(&id, State::Success).await;
    }
    let arrivals = stage.arrivals(Maker::Norrland);
    let most = (most_in(1.0 - ON_THE_WAY_S, &arrivals), most_in(4.0 - ON_THE_WAY_S, &arrivals));
    assert_eq!(most, (2, 5), "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_does_not_refill_the_bucket() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[], "[[limits]]\nmax = 3\nper_s = 12");
    let mut service = stage.start().await;
    for id in submitted(&mut service, 3).await {
        service.wait_for_state(&id, State::Success).await;
    }
    service.crash().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NR00000099")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let arrivals = stage.arrivals(Maker::Norrland);
    assert!(arrivals[3] >= 12.0 - ON_THE_WAY_S, "{arrivals:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_makers_retry_after_holds_back_all_of_its_registrations() {
    let stage = Stage::new().await;
    let mode = Mode::RateLimited { retry_after_s: Some(3) };
    stage.fault(Maker::Norrland, Fault { times: Some(1), ..Fault::lasting(mode) });
    let mut service = stage.start().await;
    let first = service.submit(product("Norrland", "VK 200", "NR00000001")).await.id;
    service.wait_for(&first, |r| r.attempts == 1 && r.state() == State::Waiting).await;
    let second = service.submit(product("Norrland", "VK 200", "NR00000002")).await.id;
    for id in [first, second] {
        service.wait_for_state(&id, State::Success).await;
    }
    let arrivals = stage.arrivals(Maker::Norrland);
    assert!(arrivals[1] >= 3.0 - ON_THE_WAY_S, "{arrivals:?}");
}
