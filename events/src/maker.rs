//! One maker as the log tells it: circuits, tokens, attempts of the last hour, pauses, health. Nothing else changes it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bucket::Bucket;
use crate::circuit::{AttemptKey, Circuit, CircuitFact, Gate, Verdict, verdict_of};
use crate::id::{RecordId, Sequence};
use crate::maker_event::{CircuitClosed, CircuitHalfOpened, CircuitOpened, MakerEvent};
use crate::outcome::ErrorKind;
use crate::policy::MakerPolicy;
use crate::record::{Actor, Link, StoredMaker};
use crate::time::Timestamp;
use crate::vitals::Vitals;
use crate::words::Method;

/// What is older is no news to operators.
const NEWS_MAX: Duration = Duration::from_secs(24 * 3600);
/// The methods that have a circuit.
pub const GUARDED: [Method; 2] = [Method::Api, Method::AutomationReliable];

/// What the events of one maker, and the attempts with it, add up to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Maker {
    /// Its connector.
    pub connector: String,
    /// How it is treated: as the catalog of this start says, never as a snapshot does.
    #[serde(skip)]
    pub policy: MakerPolicy,
    /// Its last record: what the next one is fenced by and chained to.
    pub last: Option<Link>,
    /// The id of that record.
    pub last_record: Option<RecordId>,
    /// Its tokens.
    pub bucket: Bucket,
    /// How it is doing.
    pub vitals: Vitals,
    circuits: [Circuit; 2],
    pauses: [Option<Pause>; 2],
    /// By record: when, and what operators should know of it.
    #[serde(with = "crate::snapshot::unmailed")]
    unmailed: BTreeMap<Sequence, (Timestamp, Vec<MakerEvent>)>,
}

/// An operator's pause.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Since when.
    pub since: Timestamp,
    /// Who.
    pub by: Actor,
    /// Why.
    pub reason: String,
}

/// Whether a method may be tried now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Free,
    /// One probe may.
    Probe,
    /// A probe is out; what it finds decides.
    Probing,
    /// The circuit is open.
    CircuitOpen(Option<Timestamp>),
    /// No token is left.
    RateLimited(Timestamp),
    /// An operator paused it.
    Paused,
}

impl Maker {
    /// A maker of whom nothing is known yet.
    #[must_use]
    pub fn new(connector: &str, policy: MakerPolicy) -> Self {
        Self {
            connector: connector.to_owned(),
            bucket: Bucket::new(&policy.limits),
            policy,
            last: None,
            last_record: None,
            vitals: Vitals::default(),
            circuits: Default::default(),
            pauses: [None, None],
            unmailed: BTreeMap::new(),
        }
    }

    /// The circuit of a method; the manual one has none.
    #[must_use]
    pub fn circuit(&self, method: Method) -> Option<&Circuit> {
        index(method).map(|index| &self.circuits[index])
    }

    /// The pause of a method, if it is paused.
    #[must_use]
    pub fn pause(&self, method: Method) -> Option<&Pause> {
        self.pauses[index(method)?].as_ref()
    }

    /// Whether `method` may be tried at `now`, when `reserved` attempts were let through and have not started yet.
    #[must_use]
    pub fn admission(&self, method: Method, now: Timestamp, reserved: u32) -> Admission {
        let Some(index) = index(method) else { return Admission::Free };
        if self.pauses[index].is_some() {
            return Admission::Paused;
        }
        let admitted = match self.circuits[index].gate(now, &self.policy.circuit) {
            Gate::Pass => Admission::Free,
            Gate::Probe => Admission::Probe,
            Gate::Probing => return Admission::Probing,
            Gate::Open { until } => return Admission::CircuitOpen(until),
        };
        if self.bucket.available(now, reserved) == 0 {
            return Admission::RateLimited(self.bucket.next_token(now, reserved));
        }
        admitted
    }

    /// Whether the circuit of `method` stays as it is when so many failures are taken in that ended and are not folded yet.
    #[must_use]
    pub fn bears(&self, method: Method, failures: u32) -> bool {
        self.circuit(method).is_none_or(|circuit| circuit.bears(failures, &self.policy.circuit))
    }

    /// The facts about its circuits that must be stored now.
    #[must_use]
    pub fn due(&self, now: Timestamp) -> Vec<MakerEvent> {
        let due = |(circuit, method): (&Circuit, Method)| stored_as(circuit.due(now, &self.policy.circuit)?, method);
        self.circuits.iter().zip(GUARDED).filter_map(due).collect()
    }

    /// When time alone changes one of its circuits.
    #[must_use]
    pub fn next_change(&self) -> Option<Timestamp> {
        self.circuits.iter().filter_map(Circuit::next_change).min()
    }

    /// The oldest record that operators were not mailed yet, and what they should know of it.
    #[must_use]
    pub fn unmailed(&self) -> Option<(Sequence, &[MakerEvent])> {
        self.unmailed.first_key_value().map(|(sequence, (_, events))| (*sequence, events.as_slice()))
    }

    /// An attempt with it began.
    pub fn on_started(&mut self, method: Method, key: AttemptKey, at: Timestamp) {
        self.bucket.take(at);
        if let Some(index) = index(method) {
            self.circuits[index].on_started(key);
        }
    }

    /// The same attempt is made once more after a crash.
    pub fn on_repeated(&mut self, at: Timestamp) {
        self.bucket.take(at);
    }

    /// An attempt ended well.
    pub fn on_success(&mut self, method: Method, key: AttemptKey, latency_ms: u32, at: Timestamp) {
        self.vitals.on_attempt(true, latency_ms, at);
        self.conclude(method, key, Verdict::Success, at);
    }

    /// An attempt failed.
    pub fn on_failure(&mut self, method: Method, key: AttemptKey, kind: ErrorKind, latency_ms: u32, at: Timestamp) {
        // it works as it should when it refuses wrong data, and our own faults are not its
        if !matches!(kind, ErrorKind::Validation | ErrorKind::Internal) {
            self.vitals.on_attempt(false, latency_ms, at);
        }
        self.conclude(method, key, verdict_of(kind), at);
    }

    fn conclude(&mut self, method: Method, key: AttemptKey, verdict: Verdict, at: Timestamp) {
        if let Some(index) = index(method) {
            self.circuits[index].on_ended(key, verdict, at, &self.policy.circuit);
        }
    }

    /// Takes in its next record; one that was taken in before is passed over.
    pub fn apply(&mut self, stored: &StoredMaker) {
        if self.last.is_some_and(|last| stored.sequence <= last.sequence) {
            return;
        }
        for event in &stored.record.events {
            self.evolve(event, stored);
        }
        // nobody wants old news, for example when operators are named for the first time
        let at = stored.record.at;
        self.unmailed.retain(|_, (since, _)| at.since(*since) < NEWS_MAX);
        let told: Vec<_> = stored.record.events.iter().filter(|event| is_for_operators(event)).cloned().collect();
        if !told.is_empty() {
            self.unmailed.insert(stored.sequence, (at, told));
        }
        self.last = Some(stored.link());
        self.last_record = Some(stored.record.id);
    }

    fn evolve(&mut self, event: &MakerEvent, stored: &StoredMaker) {
        let at = stored.record.at;
        match event {
            MakerEvent::CircuitOpened(opened) => {
                let fact = CircuitFact::Opened { until: opened.until, failures: opened.failures };
                self.circuit_fact(opened.method, fact, at);
            }
            MakerEvent::CircuitHalfOpened(half) => self.circuit_fact(half.method, CircuitFact::HalfOpened, at),
            MakerEvent::CircuitClosed(closed) => self.circuit_fact(closed.method, CircuitFact::Closed, at),
            MakerEvent::CircuitForced(forced) => {
                self.circuit_fact(forced.method, CircuitFact::Forced { open: forced.open }, at);
            }
            MakerEvent::CircuitReleased(released) => self.circuit_fact(released.method, CircuitFact::Released, at),
            MakerEvent::Paused(paused) => {
                let (by, reason) = (stored.record.actor.clone(), paused.reason.clone());
                self.set_pause(paused.method, Some(&Pause { since: at, by, reason }));
            }
            MakerEvent::Resumed(resumed) => self.set_pause(resumed.method, None),
            MakerEvent::OperatorsMailed(mailed) => {
                self.unmailed.remove(&mailed.of);
            }
            MakerEvent::HealthChecked(_)
            | MakerEvent::AlertRaised(_)
            | MakerEvent::AlertCleared(_)
            | MakerEvent::IncidentOpened(_)
            | MakerEvent::IncidentClosed(_) => self.vitals.apply(event, at),
        }
    }

    fn circuit_fact(&mut self, method: Method, fact: CircuitFact, at: Timestamp) {
        if let Some(index) = index(method) {
            self.circuits[index].apply(fact, at);
        }
    }

    fn set_pause(&mut self, method: Option<Method>, pause: Option<&Pause>) {
        for guarded in GUARDED {
            if let (true, Some(index)) = (method.is_none_or(|method| method == guarded), index(guarded)) {
                self.pauses[index] = pause.cloned();
            }
        }
    }

    /// When the next round of health checks is due: spread by the connector's name and the last record, so that makers
    /// are not all checked at once.
    #[must_use]
    pub fn next_check(&self) -> Option<Timestamp> {
        let every = self.policy.health.every;
        let seed = self.last.map_or(0, |link| u64::from(link.hash.0[0])) + u64::from(name_byte(&self.connector));
        let spread = every.mul_f64((seed % 256) as f64 / 255.0 / 5.0);
        let checked = self.vitals.checked_at()?;
        Some(checked.plus(every - every / 10 + spread))
    }

    /// How long a maker that was never checked waits for its first round after a start.
    #[must_use]
    pub fn first_check_after(&self) -> Duration {
        self.policy.health.every.mul_f64(f64::from(name_byte(&self.connector)) / 255.0 / 10.0)
    }
}

fn name_byte(connector: &str) -> u8 {
    blake3::hash(connector.as_bytes()).as_bytes()[0]
}

const fn index(method: Method) -> Option<usize> {
    match method {
        Method::Api => Some(0),
        Method::AutomationReliable => Some(1),
        Method::AssistedManual => None,
    }
}

/// The event of a transition that the circuit itself asks for; operators' facts are never asked for.
fn stored_as(fact: CircuitFact, method: Method) -> Option<MakerEvent> {
    match fact {
        CircuitFact::Opened { until, failures } => Some(CircuitOpened { method, until, failures }.into()),
        CircuitFact::HalfOpened => Some(CircuitHalfOpened { method }.into()),
        CircuitFact::Closed => Some(CircuitClosed { method }.into()),
        CircuitFact::Forced { .. } | CircuitFact::Released => None,
    }
}

/// Whether operators are mailed what a record with this event says.
#[must_use]
pub const fn is_for_operators(event: &MakerEvent) -> bool {
    match event {
        MakerEvent::AlertRaised(_)
        | MakerEvent::AlertCleared(_)
        | MakerEvent::IncidentOpened(_)
        | MakerEvent::IncidentClosed(_) => true,
        MakerEvent::CircuitOpened(_)
        | MakerEvent::CircuitHalfOpened(_)
        | MakerEvent::CircuitClosed(_)
        | MakerEvent::CircuitForced(_)
        | MakerEvent::CircuitReleased(_)
        | MakerEvent::Paused(_)
        | MakerEvent::Resumed(_)
        | MakerEvent::HealthChecked(_)
        | MakerEvent::OperatorsMailed(_) => false,
    }
}
