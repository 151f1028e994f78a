//! Two processes on one NATS: one works, the other stands by and takes over, also from one that was only stopped.

use std::path::Path;
use std::time::{Duration, Instant};

use proto::v1::RegistrationState as State;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode};
use tokio::process::Command;

use crate::nats::Nats;
use crate::support::{Service, Stage, product, signal};

const MASTER_KEY: &str = "0707070707070707070707070707070707070707070707070707070707070707";
/// From the death of the one to the first call of the other.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);

/// A `serve` command beside others on the same NATS, with a data folder of its own.
fn beside(stage: &Stage, nats: &Nats, data: &Path) -> Command {
    let mut command = stage.command();
    command
        .env("REGFLOW__SERVER__DATA", data)
        .env("REGFLOW__NATS__URL", &nats.url)
        .env("REGFLOW__NATS__MONITOR_URL", &nats.monitor_url)
        .env("REGFLOW_MASTER_KEY", MASTER_KEY);
    command
}

struct Pair {
    stage: Stage,
    _nats: Nats,
    /// Works.
    first: Service,
    /// Stands by.
    second: Service,
    _data: [tempfile::TempDir; 2],
}

impl Pair {
    async fn start(stage: Stage) -> Self {
        let nats = Nats::start("always");
        let data = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let mut first = stage.start_at(data[0].path(), &mut beside(&stage, &nats, data[0].path())).await;
        // it owns the work once something is done
        let id = first.submit(product("Kestrel", "Impact Driver", "K900000000")).await.id;
        first.wait_for_state(&id, State::Success).await;
        let second = stage.start_at(data[1].path(), &mut beside(&stage, &nats, data[1].path())).await;
        Self { stage, _nats: nats, first, second, _data: data }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_takes_over_within_ten_seconds_of_a_kill_with_bucket_and_circuit_unharmed() {
    let stage = Stage::new().await;
    stage.maker(
        "norrland",
        &[("tries_max = 4", "tries_max = 1")],
        "[[limits]]\nmax = 6\nper_s = 25\n[circuit]\nopen_s = 40",
    );
    stage.maker("brightwell", &[("tries_max = 3", "tries_max = 1")], "[circuit]\nopen_s = 600\nwhen_open = \"wait\"");
    let mut pair = Pair::start(stage).await;
    for n in 0..6 {
        let id = pair.first.submit(product("Norrland", "VK 200", &format!("NT0000000{n}"))).await.id;
        pair.first.wait_for_state(&id, State::Success).await;
    }
    let waits = pair.first.submit(product("Norrland", "VK 200", "NT00000009")).await.id;
    pair.first.wait_for_state(&waits, State::Waiting).await;
    pair.stage.fault(Maker::Brightwell, Stage::answers(503, None).at(sandbox::faults::Scope::Api));
    for n in 0..5 {
        let id = pair.first.submit(product("Brightwell", "Monitor 5", &format!("BW26-00030{n}"))).await.id;
        pair.first.wait_for(&id, |r| r.attempts >= 1 && r.state() != State::Processing).await;
    }
    let behind = pair.first.submit(product("Brightwell", "Monitor 5", "BW26-000309")).await.id;
    pair.first.wait_for_state(&behind, State::Waiting).await;
    let calls = pair.stage.arrivals(Maker::Brightwell).len();

    pair.first.crash().await;
    let killed = Instant::now();
    let id = pair.second.submit(product("Kestrel", "Impact Driver", "K900000001")).await.id;
    pair.second.wait_for_state(&id, State::Success).await;
    println!("taken over after {:?}", killed.elapsed());
    assert!(killed.elapsed() < TAKEOVER_MAX, "it took {:?}", killed.elapsed());

    // the bucket was empty, and it still is
    pair.second.wait_for_state(&waits, State::Success).await;
    let arrivals = pair.stage.arrivals(Maker::Norrland);
    assert!(arrivals.len() == 7 && arrivals[6] >= 24.8, "{arrivals:?}");
    // the circuit was open, and it still is
    assert_eq!(pair.second.get(&behind).await.state(), State::Waiting);
    assert_eq!(pair.stage.arrivals(Maker::Brightwell).len(), calls);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_was_stopped_in_the_middle_of_a_call_and_comes_back_attempts_nothing_twice() {
    let stage = Stage::new().await;
    let mut pair = Pair::start(stage).await;
    // each call takes a while, so that many are under way when the process is stopped
    pair.stage.fault(Maker::Norrland, Fault::lasting(Mode::Latency { ms: 400 }));
    pair.stage.fault(Maker::Kestrel, Fault::lasting(Mode::Latency { ms: 400 }));
    let mut ids = Vec::new();
    for n in 0..20 {
        ids.push(pair.first.submit(product("Norrland", "VK 200", &format!("NS000000{n:02}"))).await.id);
        ids.push(pair.first.submit(product("Kestrel", "Impact Driver", &format!("K9100000{n:02}"))).await.id);
    }
    let first = pair.first.child.id().unwrap();
    signal(first, "STOP");
    let stopped = Instant::now();
    let id = pair.second.submit(product("Norrland", "VK 200", "NS00000099")).await.id;
    pair.second.wait_for_state(&id, State::Success).await;
    assert!(stopped.elapsed() < TAKEOVER_MAX, "it took {:?}", stopped.elapsed());
    signal(first, "CONT");
    for id in &ids {
        let settled = pair
            .second
            .wait_for(id, |r| matches!(r.state(), State::Success | State::OutcomeUnknown | State::ManualRequired));
        settled.await;
    }
    for n in 0..20 {
        for serial in [format!("NS000000{n:02}"), format!("K9100000{n:02}")] {
            assert!(pair.stage.accepted(&serial) <= 1, "{serial} was registered twice");
        }
    }
    // whoever does not hold the lease does nothing
    let id = pair.first.submit(product("Norrland", "VK 200", "NS00000098")).await.id;
    pair.second.wait_for_state(&id, State::Success).await;
}
