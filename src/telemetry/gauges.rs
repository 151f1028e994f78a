//! What stands at this moment: queues, circuits, tokens, the view, browsers. Looked at every few seconds; readers get the
//! last look, so that many of them cost the engine no more than one.

use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use std::time::Duration;

use events::circuit::CircuitPhase;
use handlers::{EngineHandle, MakerStatus, World};
use opentelemetry::metrics::{AsyncInstrument, Meter};
use opentelemetry::{KeyValue, global};

use crate::grpc::Views;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

static LOOK: LazyLock<RwLock<Arc<Look>>> = LazyLock::new(RwLock::default);

/// Numbers with their labels.
type Points = Vec<(f64, Vec<KeyValue>)>;

#[derive(Default)]
struct Look {
    waiting: Points,
    oldest: Points,
    under_way: Points,
    circuits: Points,
    tokens: Points,
    lag: Points,
    browsers: Points,
    registrations: Points,
    leader: Points,
    verified: Points,
    unverified: Points,
    head_age: Points,
    read_only: Points,
    broken: Points,
}

/// Looks until it is dropped.
pub async fn watch(world: Arc<World>, views: Arc<Views>, engine: EngineHandle) {
    announce(&global::meter("regflow"));
    loop {
        let look = Arc::new(look(&world, &views, &engine).await);
        *LOOK.write().unwrap_or_else(PoisonError::into_inner) = look;
        tokio::time::sleep(EVERY).await;
    }
}

async fn look(world: &World, views: &Views, engine: &EngineHandle) -> Look {
    let mut look = Look::default();
    let now = world.now();
    for maker in engine.makers().await {
        of_maker(&mut look, &maker, now);
    }
    // a server that is away leaves a gap, not a guess
    if let Ok(head) = world.log.head().await {
        let behind = head.last_sequence.saturating_sub(views.status.position());
        look.lag.push((float(behind), Vec::new()));
        let unverified = head.last_sequence.saturating_sub(world.trust.status().verified);
        look.unverified.push((float(unverified), Vec::new()));
    }
    let (in_use, all) = world.browsers.in_use();
    let state = |word| vec![KeyValue::new("regflow.state", word)];
    look.browsers.push((float(in_use as u64), state("in_use")));
    look.browsers.push((float(all.saturating_sub(in_use) as u64), state("free")));
    let counts = views.status.counts();
    for status in events::Status::ALL {
        look.registrations.push((float(counts.of(*status)), state(status.as_str())));
    }
    of_trust(&mut look, world, now);
    look.leader.push((if world.lease.is_held() { 1.0 } else { 0.0 }, Vec::new()));
    look
}

fn of_trust(look: &mut Look, world: &World, now: events::Timestamp) {
    let status = world.trust.status();
    look.verified.push((float(status.verified), Vec::new()));
    look.broken.push((float(status.broken), Vec::new()));
    look.read_only.push((if status.trouble.is_some() { 1.0 } else { 0.0 }, Vec::new()));
    if let Some(head) = status.head {
        look.head_age.push((now.since(head.at).as_secs_f64(), Vec::new()));
    }
}

fn of_maker(look: &mut Look, maker: &MakerStatus, now: events::Timestamp) {
    let name = KeyValue::new("regflow.maker", maker.connector.clone());
    for method in &maker.methods {
        let labels = [name.clone(), KeyValue::new("regflow.method", method.method.as_str())];
        look.waiting.push((float(method.waiting as u64), labels.to_vec()));
        look.under_way.push((f64::from(method.under_way), labels.to_vec()));
        for (priority, since) in &method.oldest {
            let mut labels = labels.to_vec();
            labels.push(KeyValue::new("regflow.priority", priority.as_str()));
            look.oldest.push((now.since(*since).as_secs_f64(), labels));
        }
        for phase in [CircuitPhase::Closed, CircuitPhase::Open, CircuitPhase::HalfOpen] {
            let mut labels = labels.to_vec();
            labels.push(KeyValue::new("regflow.circuit.state", phase.as_str()));
            look.circuits.push((if method.circuit.phase == phase { 1.0 } else { 0.0 }, labels));
        }
    }
    for level in &maker.levels {
        let limit = format!("{}/{}s", level.limit.max, level.limit.per.as_secs_f64());
        look.tokens.push((f64::from(level.left), vec![name.clone(), KeyValue::new("regflow.limit", limit)]));
    }
}

/// Prometheus knows no other numbers.
#[expect(clippy::cast_precision_loss, reason = "a count of 2^53 is not reached")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn announce(meter: &Meter) {
    let gauge = |name: &'static str, unit: &'static str, what: &'static str, of: fn(&Look) -> &Points| {
        let observe = move |instrument: &dyn AsyncInstrument<f64>| {
            let look = LOOK.read().unwrap_or_else(PoisonError::into_inner).clone();
            for (number, labels) in of(&look) {
                instrument.observe(*number, labels);
            }
        };
        let _kept_by_its_provider =
            meter.f64_observable_gauge(name).with_unit(unit).with_description(what).with_callback(observe).build();
    };
    gauge("regflow.queue.waiting", "{registration}", "Registrations that wait for their turn.", |look| &look.waiting);
    gauge("regflow.queue.oldest", "s", "How long the longest waiting of each class has waited.", |look| &look.oldest);
    gauge("regflow.attempt.under_way", "{attempt}", "Attempts under way.", |look| &look.under_way);
    gauge("regflow.circuit.state", "", "1 for the state that the circuit is in.", |look| &look.circuits);
    gauge("regflow.rate_limit.tokens", "{token}", "Attempts that the maker's limits leave.", |look| &look.tokens);
    gauge("regflow.view.lag", "{record}", "Records that the status view has not taken in.", |look| &look.lag);
    gauge("regflow.browser.sessions", "{session}", "Browser sessions.", |look| &look.browsers);
    gauge("regflow.registration.count", "{registration}", "Registrations by state.", |look| &look.registrations);
    gauge("regflow.log.verified", "{message}", "Up to where the log is verified.", |look| &look.verified);
    gauge("regflow.log.unverified", "{message}", "Messages that are not verified yet.", |look| &look.unverified);
    gauge("regflow.log.head.age", "s", "Since when the newest head of the log is signed.", |look| &look.head_age);
    gauge("regflow.log.read_only", "", "1 while the log takes nothing, until an operator decides.", |look| {
        &look.read_only
    });
    gauge("regflow.log.broken_links", "{record}", "Records that name no predecessor of theirs.", |look| &look.broken);
    gauge("regflow.leader", "", "1 in the process that does the work.", |look| &look.leader);
}
