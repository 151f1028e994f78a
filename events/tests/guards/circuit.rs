//! The circuit: its drawn timeline, its corners, and whatever else may happen to it.

use std::time::Duration;

use proptest::prelude::*;
use regflow_events::CircuitFact::{self, Closed, Forced, HalfOpened, Opened, Released};
use regflow_events::Verdict::{self, Failure, Neither, Success};
use regflow_events::{
    AttemptKey, Circuit, CircuitPhase, CircuitPolicy, ErrorKind, Gate, RegistrationId, Timestamp, verdict_of,
};
use uuid::Uuid;

/// A circuit with the drawn policy, and its owner, who stores what is due.
#[derive(Default)]
struct Story {
    circuit: Circuit,
    policy: CircuitPolicy,
    attempts: u32,
    facts: Vec<(u32, CircuitFact)>,
}

const fn at(seconds: u32) -> Timestamp {
    Timestamp(1_800_000_000_000_000 + seconds as i64 * 1_000_000)
}

impl Story {
    /// After five failures in the seconds 0 to 4 and a minute's pause, at second 64.
    fn half_open() -> Self {
        let mut story = Self::default();
        (0..5).for_each(|second| story.tries(second, Failure));
        story.tick(64);
        assert_eq!(story.facts, [(4, Opened { until: at(64), failures: 5 }), (64, HalfOpened)]);
        story
    }

    fn gate(&self, second: u32) -> Gate {
        self.circuit.gate(at(second), &self.policy)
    }

    fn tick(&mut self, second: u32) {
        while let Some(fact) = self.circuit.due(at(second), &self.policy) {
            self.stores(second, fact);
        }
    }

    fn stores(&mut self, second: u32, fact: CircuitFact) {
        self.circuit.apply(fact, at(second));
        self.facts.push((second, fact));
    }

    fn starts(&mut self) -> AttemptKey {
        self.attempts += 1;
        let key = AttemptKey { registration: RegistrationId(Uuid::from_u128(7)), attempt: self.attempts };
        self.circuit.on_started(key);
        key
    }

    fn ends(&mut self, second: u32, key: AttemptKey, verdict: Verdict) {
        self.circuit.on_ended(key, verdict, at(second), &self.policy);
        self.tick(second);
    }

    /// Starts and ends an attempt within a second.
    fn tries(&mut self, second: u32, verdict: Verdict) {
        self.tick(second);
        let key = self.starts();
        self.ends(second, key, verdict);
    }
}

#[test]
fn the_drawn_timeline_holds_to_the_second() {
    let mut story = Story::default();
    [0, 5].into_iter().for_each(|second| story.tries(second, Success));
    [10, 15, 20, 25, 30].into_iter().for_each(|second| story.tries(second, Failure));
    assert_eq!(story.facts, [(30, Opened { until: at(90), failures: 5 })]);
    for second in [30, 35, 40, 89] {
        story.tick(second);
        assert_eq!(story.gate(second), Gate::Open { until: Some(at(90)) });
    }
    assert_eq!(story.circuit.next_change(), Some(at(90)));
    for (second, successes) in [(90, 1), (95, 2)] {
        story.tries(second, Success);
        let view = story.circuit.view();
        assert_eq!((view.phase, view.successes), (CircuitPhase::HalfOpen, successes));
    }
    story.tries(100, Success);
    assert_eq!(story.facts[1..], [(90, HalfOpened), (100, Closed)]);
    assert_eq!(story.gate(100), Gate::Pass);
}

#[test]
fn nothing_passes_between_the_last_failure_and_the_stored_fact() {
    let mut story = Story::default();
    let keys: Vec<_> = (0..7).map(|_| story.starts()).collect();
    keys[..5].iter().for_each(|key| story.circuit.on_ended(*key, Failure, at(3), &story.policy));
    assert_eq!(story.gate(3), Gate::Open { until: Some(at(63)) });
    // what ends later changes nothing, not even a success
    story.circuit.on_ended(keys[5], Success, at(4), &story.policy);
    story.circuit.on_ended(keys[6], Failure, at(5), &story.policy);
    assert_eq!(story.circuit.due(at(5), &story.policy), Some(Opened { until: at(63), failures: 5 }));
}

#[test]
fn time_alone_lets_no_probe_through() {
    let mut story = Story::default();
    (0..5).for_each(|second| story.tries(second, Failure));
    assert_eq!(story.circuit.due(at(63), &story.policy), None);
    assert_eq!(story.circuit.due(at(64), &story.policy), Some(HalfOpened));
    assert_eq!(story.gate(64), Gate::Open { until: Some(at(64)) });
}

#[test]
fn one_success_and_then_one_failure_while_half_open_open_it_again() {
    let mut story = Story::half_open();
    story.tries(64, Success);
    let probe = story.starts();
    story.circuit.on_ended(probe, Failure, at(70), &story.policy);
    assert_eq!(story.gate(70), Gate::Open { until: Some(at(130)) });
    story.tick(70);
    assert_eq!(story.facts[2..], [(70, Opened { until: at(130), failures: 1 })]);
}

#[test]
fn of_twenty_callers_at_the_moment_of_half_open_one_passes() {
    let mut story = Story::half_open();
    let mut passed = 0;
    for _ in 0..20 {
        if story.gate(64) == Gate::Probe {
            story.starts();
            passed += 1;
        }
    }
    assert_eq!((passed, story.gate(64)), (1, Gate::Probing));
}

#[test]
fn a_success_between_failures_begins_the_count_anew() {
    let mut story = Story::default();
    for verdict in [Failure, Failure, Failure, Failure, Success, Failure, Failure, Failure, Failure] {
        story.tries(1, verdict);
    }
    assert_eq!((story.gate(1), story.circuit.view().failures), (Gate::Pass, 4));
}

#[test]
fn what_says_nothing_about_the_maker_neither_counts_nor_mends() {
    let silent = [ErrorKind::Validation, ErrorKind::Captcha, ErrorKind::FormChanged, ErrorKind::LoginRequired];
    let mut story = Story::default();
    (0..4).for_each(|second| story.tries(second, Failure));
    silent.into_iter().for_each(|kind| story.tries(5, verdict_of(kind)));
    assert_eq!((story.gate(5), story.circuit.view().failures), (Gate::Pass, 4));
    story.tries(6, verdict_of(ErrorKind::Timeout));
    assert_eq!(story.facts, [(6, Opened { until: at(66), failures: 5 })]);
}

#[test]
fn a_verdict_is_a_failure_for_just_the_kinds_that_count() {
    for kind in ErrorKind::ALL {
        assert_eq!(verdict_of(*kind) == Failure, kind.counts_toward_circuit(), "{kind}");
        assert_ne!(verdict_of(*kind), Success);
    }
}

#[test]
fn a_probe_whose_owner_died_makes_room_for_the_next() {
    let mut story = Story::half_open();
    story.tries(64, Success);
    let probe = story.starts();
    assert_eq!(story.circuit.view().probe, Some(probe));
    story.ends(80, probe, Neither);
    assert_eq!((story.gate(80), story.circuit.view().successes), (Gate::Probe, 1));
}

#[test]
fn an_attempt_from_before_it_opened_decides_nothing_later() {
    let mut story = Story::default();
    let old = story.starts();
    (0..5).for_each(|second| story.tries(second, Failure));
    story.ends(10, old, Success);
    assert_eq!(story.circuit.view().phase, CircuitPhase::Open);
    let slow = story.starts();
    story.tick(64);
    let probe = story.starts();
    story.ends(65, slow, Failure);
    assert_eq!((story.gate(65), story.circuit.view().probe), (Gate::Probing, Some(probe)));
}

#[test]
fn an_operators_decision_stands_until_it_is_taken_back() {
    let mut story = Story::half_open();
    story.stores(65, Forced { open: true });
    assert_eq!((story.gate(999), story.circuit.next_change()), (Gate::Open { until: None }, None));
    story.stores(70, Forced { open: false });
    story.stores(71, Opened { until: at(131), failures: 5 });
    (72..90).for_each(|second| story.tries(second, Failure));
    let view = story.circuit.view();
    assert_eq!((view.phase, view.forced, view.failures), (CircuitPhase::Closed, true, 0));
    assert_eq!((view.since, story.gate(90)), (Some(at(70)), Gate::Pass));
    story.stores(91, Released);
    (92..96).for_each(|second| story.tries(second, Failure));
    assert_eq!((story.gate(96), story.circuit.view().forced), (Gate::Pass, false));
    story.tries(97, Failure);
    assert_eq!(story.gate(97), Gate::Open { until: Some(at(157)) });
}

#[test]
fn stored_facts_alone_lead_to_the_same_phase() {
    let mut story = Story::half_open();
    [(64, Success), (65, Failure), (125, Success), (126, Success), (127, Success)]
        .into_iter()
        .for_each(|(second, verdict)| story.tries(second, verdict));
    let mut replayed = Circuit::default();
    let mut phases = Vec::new();
    for (second, fact) in story.facts {
        replayed.apply(fact, at(second));
        phases.push(replayed.view().phase.as_str());
    }
    assert_eq!(phases, ["OPEN", "HALF_OPEN", "OPEN", "HALF_OPEN", "CLOSED"]);
}

#[test]
fn a_fact_that_is_stored_twice_lets_no_second_probe_through() {
    let mut story = Story::half_open();
    let probe = story.starts();
    story.stores(65, HalfOpened);
    assert_eq!((story.gate(65), story.circuit.view().probe), (Gate::Probing, Some(probe)));
}

#[test]
fn an_attempt_that_did_not_ask_the_gate_is_no_probe() {
    let mut story = Story::half_open();
    let probe = story.starts();
    let intruder = story.starts();
    story.ends(65, intruder, Failure);
    assert_eq!((story.gate(65), story.circuit.view().probe), (Gate::Probing, Some(probe)));
}

#[test]
fn a_policy_of_zeros_counts_as_one_of_ones() {
    let policy =
        CircuitPolicy { failures: 0, successes: 0, open_for: Duration::from_secs(1), ..CircuitPolicy::default() };
    let mut story = Story { policy, ..Story::default() };
    assert_eq!(story.gate(0), Gate::Pass);
    story.tries(0, Failure);
    story.tries(1, Success);
    assert_eq!(story.facts, [(0, Opened { until: at(1), failures: 1 }), (1, HalfOpened), (1, Closed)]);
}

/// What may happen to a circuit whose owner asks the gate before it starts an attempt.
#[derive(Debug, Clone)]
enum Happens {
    Start,
    End(prop::sample::Index, Verdict),
    Pass(u32),
    Operator(CircuitFact),
}

fn happens() -> impl Strategy<Value = Happens> {
    let verdict = prop_oneof![3 => Just(Success), 5 => Just(Failure), 1 => Just(Neither)];
    let operator = prop_oneof![Just(Forced { open: true }), Just(Forced { open: false }), Just(Released)];
    prop_oneof![
        8 => Just(Happens::Start),
        8 => (any::<prop::sample::Index>(), verdict).prop_map(|(which, verdict)| Happens::End(which, verdict)),
        4 => (1_u32..40).prop_map(Happens::Pass),
        1 => operator.prop_map(Happens::Operator),
    ]
}

/// What is known without the circuit: who is under way, what ended, what was stored.
#[derive(Default)]
struct Witness {
    story: Story,
    now: u32,
    /// Attempts under way; whether each began as a probe of the present HALF_OPEN.
    under_way: Vec<(AttemptKey, bool)>,
    /// Counted ends since the last stored fact; while HALF_OPEN those of probes only.
    ends: Vec<Verdict>,
}

impl Witness {
    fn sees(&mut self, happens: Happens) {
        match happens {
            Happens::Pass(seconds) => self.now += seconds,
            Happens::Operator(fact) => self.stores(fact),
            Happens::Start => self.starts(),
            Happens::End(which, verdict) if !self.under_way.is_empty() => {
                let (key, probe) = self.under_way.swap_remove(which.index(self.under_way.len()));
                self.ends(key, probe, verdict);
            }
            Happens::End(..) => {}
        }
        while let Some(fact) = self.story.circuit.due(at(self.now), &self.story.policy) {
            self.expects(fact);
            self.stores(fact);
        }
    }

    fn starts(&mut self) {
        let gate = self.story.gate(self.now);
        if matches!(gate, Gate::Pass | Gate::Probe) {
            let key = self.story.starts();
            self.under_way.push((key, gate == Gate::Probe));
        }
        let probes = self.under_way.iter().filter(|(_, probe)| *probe).count();
        assert!(probes <= 1, "{probes} probes at once");
    }

    fn ends(&mut self, key: AttemptKey, probe: bool, verdict: Verdict) {
        let view = self.story.circuit.view();
        let heard = probe || view.phase == CircuitPhase::Closed;
        if heard && !view.forced && verdict != Neither {
            self.ends.push(verdict);
        }
        self.story.circuit.on_ended(key, verdict, at(self.now), &self.story.policy);
    }

    fn stores(&mut self, fact: CircuitFact) {
        self.ends.clear();
        self.under_way.iter_mut().for_each(|(_, probe)| *probe = false);
        self.story.stores(self.now, fact);
    }

    /// A fact falls due at the very end that makes it true, and not without one.
    fn expects(&self, fact: CircuitFact) {
        let (view, policy) = (self.story.circuit.view(), &self.story.policy);
        let in_a_row = |verdict| self.ends.iter().rev().take_while(|end| **end == verdict).count() as u32;
        let expected = match view.phase {
            CircuitPhase::Closed if in_a_row(Failure) == policy.failures => {
                Opened { until: at(self.now).plus(policy.open_for), failures: policy.failures }
            }
            CircuitPhase::HalfOpen if in_a_row(Failure) == 1 => {
                Opened { until: at(self.now).plus(policy.open_for), failures: 1 }
            }
            CircuitPhase::HalfOpen if in_a_row(Success) == policy.successes => Closed,
            CircuitPhase::Open if view.until.is_some_and(|until| until <= at(self.now)) => HalfOpened,
            CircuitPhase::Closed | CircuitPhase::Open | CircuitPhase::HalfOpen => panic!("{fact:?} from {view:?}"),
        };
        assert_eq!(fact, expected);
    }

    /// What should have fallen due has.
    fn rests(&self) {
        let (view, policy) = (self.story.circuit.view(), &self.story.policy);
        let failures = self.ends.iter().rev().take_while(|end| **end == Failure).count() as u32;
        match view.phase {
            CircuitPhase::Closed => assert!(failures < policy.failures && view.failures == failures),
            CircuitPhase::HalfOpen => assert!(failures == 0 && view.successes == self.ends.len() as u32),
            CircuitPhase::Open => assert!(view.forced || view.until.is_some_and(|until| until > at(self.now))),
        }
    }
}

proptest! {
    #[test]
    fn whatever_happens_it_opens_probes_and_closes_just_when_it_should(
        (failures, successes) in (1_u32..6, 1_u32..4),
        all in prop::collection::vec(happens(), 1..200),
    ) {
        let mut witness = Witness::default();
        (witness.story.policy.failures, witness.story.policy.successes) = (failures, successes);
        let mut replayed = Circuit::default();
        for one in all {
            let stored = witness.story.facts.len();
            witness.sees(one);
            witness.rests();
            witness.story.facts[stored..].iter().for_each(|(second, fact)| replayed.apply(*fact, at(*second)));
            prop_assert_eq!(replayed.view().phase, witness.story.circuit.view().phase);
        }
    }
}

#[test]
fn failures_that_are_not_folded_yet_are_borne_until_they_could_open_it() {
    let mut story = Story::default();
    (0..3).for_each(|second| story.tries(second, Failure));
    assert!(story.circuit.bears(1, &story.policy) && !story.circuit.bears(2, &story.policy), "three of five");
    story.tries(3, Success);
    assert!(story.circuit.bears(4, &story.policy) && !story.circuit.bears(u32::MAX, &story.policy));
    let half_open = Story::half_open();
    assert!(half_open.circuit.bears(0, &half_open.policy) && !half_open.circuit.bears(1, &half_open.policy));
    story.stores(4, Forced { open: false });
    assert!(story.circuit.bears(1_000, &story.policy), "an operator holds it");
}
