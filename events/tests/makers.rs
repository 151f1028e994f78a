//! Given what happened with a maker, then this is due, admitted, or told: the guards and the health rules as short stories.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::time::Duration;

use regflow_events::event::{AttemptFailed, AttemptStarted, AttemptSucceeded, MakerThrottled};
use regflow_events::maker_event::{
    CircuitForced, CircuitHalfOpened, CircuitReleased, OperatorsMailed, Paused, Resumed,
};
use regflow_events::record::{Record, hash_of};
use regflow_events::{
    Actor, Admission, AlertKind, CheckResult, CircuitPolicy, Drift, DriftKind, ErrorKind, Event, Guards, HealthPolicy,
    HealthState, Maker, MakerEvent, MakerPolicy, Method, RateLimit, RecordId, Refill, RegistrationId, Shard, Stored,
    StoredMaker, Timestamp, WhenOpen, vitals,
};
use uuid::Uuid;

const API: Method = Method::Api;

fn at(second: u64) -> Timestamp {
    Timestamp(1_790_000_000_000_000).plus(Duration::from_secs(second))
}

/// A maker and the log that tells of it.
struct Story {
    guards: Guards,
    sequence: u64,
    registrations: u128,
}

impl Story {
    fn of(policy: MakerPolicy) -> Self {
        Self { guards: Guards::new([("norrland", policy)]), sequence: 0, registrations: 0 }
    }

    fn maker(&self) -> &Maker {
        self.guards.find("norrland").unwrap()
    }

    fn record<F>(&mut self, second: u64, events: Vec<F>) -> Record<F> {
        self.sequence += 1;
        let id = RecordId(Uuid::from_u128(u128::from(self.sequence)));
        let actor = Actor::Operator("ada".into());
        Record { id, at: at(second), actor, cause: None, trace: None, previous: None, events }
    }

    /// Facts about the registration with this number.
    fn told(&mut self, registration: u128, second: u64, events: Vec<Event>) {
        let record = self.record(second, events);
        let hash = hash_of(&record.encode().unwrap());
        let registration = RegistrationId(Uuid::from_u128(registration));
        self.guards.take(&Stored { sequence: self.sequence, shard: Shard(1), registration, record, hash });
    }

    /// Facts about the maker.
    fn noted(&mut self, second: u64, events: Vec<MakerEvent>) {
        let record = self.record(second, events);
        let hash = hash_of(&record.encode().unwrap());
        let connector = "norrland".to_owned();
        self.guards.take_maker(&StoredMaker { sequence: self.sequence, connector, record, hash });
    }

    fn started(&mut self, second: u64) -> u128 {
        self.registrations += 1;
        let started = AttemptStarted { attempt: 1, method: API, connector: "norrland".into(), sends: None };
        self.told(self.registrations, second, vec![started.into()]);
        self.registrations
    }

    fn failed(&mut self, second: u64, kind: ErrorKind) {
        let id = self.started(second);
        let failed = AttemptFailed { attempt: 1, kind, detail: String::new(), latency_ms: 40, evidence: None };
        self.told(id, second, vec![failed.into()]);
    }

    fn succeeded(&mut self, second: u64, latency_ms: u32) {
        let id = self.started(second);
        let done =
            AttemptSucceeded { attempt: 1, already_registered: false, latency_ms, evidence: None, received: None };
        self.told(id, second, vec![done.into()]);
    }

    /// Stores what the circuits ask for at this moment.
    fn settled(&mut self, second: u64) -> Vec<&'static str> {
        let due = self.maker().due(at(second));
        let names = due.iter().map(MakerEvent::name).collect();
        if !due.is_empty() {
            self.noted(second, due);
        }
        names
    }

    /// A round of health checks.
    fn checked(&mut self, second: u64, api: CheckResult, form: Option<CheckResult>) -> Vec<MakerEvent> {
        let events = vitals::round(self.maker(), Some(api), form, at(second));
        self.noted(second, events.clone());
        events
    }

    fn admission(&self, second: u64) -> Admission {
        self.maker().admission(API, at(second), 0)
    }
}

fn names(events: &[MakerEvent]) -> Vec<&'static str> {
    events.iter().map(MakerEvent::name).collect()
}

fn well() -> CheckResult {
    CheckResult::well(Vec::new(), 20)
}

fn state(events: &[MakerEvent]) -> HealthState {
    let MakerEvent::HealthChecked(checked) = &events[0] else { panic!("a round begins with what was found") };
    checked.state
}

fn conditions(events: &[MakerEvent]) -> Vec<AlertKind> {
    let MakerEvent::HealthChecked(checked) = &events[0] else { panic!("a round begins with what was found") };
    checked.conditions.iter().map(|condition| condition.kind).collect()
}

#[test]
fn five_failures_in_the_log_open_the_circuit_and_a_minute_later_one_probe_may_pass() {
    let mut story = Story::of(MakerPolicy::default());
    (0..5).for_each(|second| story.failed(second, ErrorKind::Server));
    assert_eq!(story.admission(4), Admission::CircuitOpen(Some(at(64))));
    assert_eq!((story.settled(4), story.settled(5)), (vec!["circuit_opened"], vec![]));
    assert_eq!(story.maker().next_change(), Some(at(64)));
    assert_eq!((story.settled(63), story.settled(64)), (vec![], vec!["circuit_half_opened"]));
    assert_eq!(story.admission(64), Admission::Probe);
    story.started(64);
    assert_eq!(story.admission(64), Admission::Probing);
}

#[test]
fn a_crash_between_the_fifth_failure_and_its_record_opens_the_circuit_after_the_restart() {
    let mut story = Story::of(MakerPolicy::default());
    (0..5).for_each(|second| story.failed(second, ErrorKind::Timeout));
    assert_eq!(story.settled(400), ["circuit_opened"]);
}

#[test]
fn wrong_data_a_captcha_and_our_own_faults_count_for_nothing() {
    let mut story = Story::of(MakerPolicy::default());
    for kind in [ErrorKind::Validation, ErrorKind::Captcha, ErrorKind::Internal, ErrorKind::UnknownOutcome] {
        (0..9).for_each(|second| story.failed(second, kind));
    }
    assert_eq!((story.admission(9), story.settled(9)), (Admission::Free, vec![]));
}

#[test]
fn a_probe_whose_owner_died_gives_its_place_back_when_its_attempt_ends_as_unknown() {
    let mut story = Story::of(MakerPolicy::default());
    (0..5).for_each(|second| story.failed(second, ErrorKind::Server));
    story.settled(4);
    story.noted(64, vec![CircuitHalfOpened { method: API }.into()]);
    let probe = story.started(64);
    let unknown =
        AttemptFailed { attempt: 1, kind: ErrorKind::UnknownOutcome, detail: "".into(), latency_ms: 0, evidence: None };
    story.told(probe, 70, vec![unknown.into()]);
    assert_eq!(story.admission(70), Admission::Probe);
}

#[test]
fn tokens_are_taken_by_attempts_in_the_log_so_a_restart_does_not_refill_them() {
    let limits = vec![RateLimit { max: 3, per: Duration::from_secs(60), refill: Refill::Interval }];
    let policy = MakerPolicy { limits, ..MakerPolicy::default() };
    let mut story = Story::of(policy);
    for second in [0, 10, 20] {
        story.succeeded(second, 5);
    }
    assert_eq!((story.admission(21), story.admission(60)), (Admission::RateLimited(at(60)), Admission::Free));
}

#[test]
fn a_maker_that_asks_for_patience_gets_it_from_all_registrations() {
    let mut story = Story::of(MakerPolicy::default());
    let id = story.started(0);
    let kind = ErrorKind::RateLimited;
    let failed = AttemptFailed { attempt: 1, kind, detail: String::new(), latency_ms: 4, evidence: None };
    story.told(id, 1, vec![failed.into(), MakerThrottled { until: at(31) }.into()]);
    assert_eq!((story.admission(30), story.admission(31)), (Admission::RateLimited(at(31)), Admission::Free));
}

#[test]
fn a_pause_holds_one_method_or_all_until_resumed_and_says_who_and_why() {
    let mut story = Story::of(MakerPolicy::default());
    story.noted(0, vec![Paused { method: None, reason: "new API key".into() }.into()]);
    let pause = story.maker().pause(Method::AutomationReliable).unwrap();
    assert_eq!((pause.reason.as_str(), &pause.by), ("new API key", &Actor::Operator("ada".into())));
    assert_eq!(story.admission(1), Admission::Paused);
    story.noted(2, vec![Resumed { method: Some(API), reason: "it is in".into() }.into()]);
    assert_eq!(story.admission(3), Admission::Free);
    assert!(story.maker().pause(Method::AutomationReliable).is_some());
}

#[test]
fn an_operator_may_hold_a_circuit_open_and_let_it_go() {
    let mut story = Story::of(MakerPolicy::default());
    story.noted(0, vec![CircuitForced { method: API, open: true, reason: "wrong prices".into() }.into()]);
    assert_eq!((story.admission(900), story.maker().next_change()), (Admission::CircuitOpen(None), None));
    story.noted(901, vec![CircuitReleased { method: API, reason: "mended".into() }.into()]);
    assert_eq!(story.admission(901), Admission::Free);
}

#[test]
fn thresholds_of_the_connector_hold() {
    let circuit =
        CircuitPolicy { failures: 2, open_for: Duration::from_secs(7), successes: 1, when_open: WhenOpen::Wait };
    let mut story = Story::of(MakerPolicy { circuit, ..MakerPolicy::default() });
    story.failed(0, ErrorKind::Server);
    story.failed(1, ErrorKind::Server);
    assert_eq!(story.admission(1), Admission::CircuitOpen(Some(at(8))));
}

#[test]
fn few_attempts_say_nothing_and_many_failed_ones_make_it_degraded_or_down() {
    for (well_ones, failed_ones, expected) in [
        (1, 4, HealthState::Healthy),
        (9, 1, HealthState::Healthy),
        (7, 3, HealthState::Degraded),
        (4, 6, HealthState::Down),
    ] {
        let mut story = Story::of(MakerPolicy::default());
        // failures first and no five in a row, so that the circuit stays out of it
        for number in 0..failed_ones {
            story.failed(number, ErrorKind::Captcha);
        }
        (0..well_ones).for_each(|second| story.succeeded(second, 5));
        assert_eq!(state(&story.checked(60, well(), None)), expected, "{well_ones} well, {failed_ones} failed");
    }
}

#[test]
fn attempts_of_more_than_an_hour_ago_are_forgotten() {
    let mut story = Story::of(MakerPolicy::default());
    (0..10).for_each(|second| story.failed(second, ErrorKind::Captcha));
    assert_eq!(state(&story.checked(60, well(), None)), HealthState::Down);
    assert_eq!(state(&story.checked(3_700, well(), None)), HealthState::Healthy);
}

#[test]
fn an_open_circuit_or_three_failed_checks_in_a_row_mean_down() {
    let mut story = Story::of(MakerPolicy::default());
    (0..5).for_each(|second| story.failed(second, ErrorKind::Server));
    story.settled(4);
    assert_eq!(state(&story.checked(10, well(), None)), HealthState::Down);

    let mut story = Story::of(MakerPolicy::default());
    let down = || CheckResult::failed("the maker answered 503", 9);
    let states: Vec<_> = (0..3).map(|round| state(&story.checked(round * 300, down(), None))).collect();
    assert_eq!(states, [HealthState::Healthy, HealthState::Healthy, HealthState::Down]);
}

#[test]
fn people_are_told_after_two_rounds_and_told_the_end_after_two_good_ones() {
    let mut story = Story::of(MakerPolicy::default());
    let drift = Drift { kind: DriftKind::Renamed, field: "serial".into(), detail: "`serial` is now `sn`".into() };
    let drifted = || Some(CheckResult::well(vec![drift.clone()], 300));
    assert_eq!(names(&story.checked(0, well(), drifted())), ["health_checked"]);
    let second = story.checked(300, well(), drifted());
    assert_eq!(names(&second), ["health_checked", "alert_raised"]);
    let MakerEvent::AlertRaised(alert) = &second[1] else { panic!() };
    assert_eq!((alert.kind, alert.detail.as_str()), (AlertKind::FormDrift, "`serial` is now `sn`"));
    assert_eq!(names(&story.checked(600, well(), drifted())), ["health_checked"]);
    // one good round between bad ones is no end
    assert_eq!(names(&story.checked(900, well(), None)), ["health_checked"]);
    assert_eq!(names(&story.checked(1_200, well(), drifted())), ["health_checked"]);
    assert_eq!(names(&story.checked(1_500, well(), None)), ["health_checked"]);
    assert_eq!(names(&story.checked(1_800, well(), None)), ["health_checked", "alert_cleared"]);
}

#[test]
fn an_incident_begins_when_it_is_ill_for_two_rounds_and_ends_with_two_healthy_ones() {
    let health = HealthPolicy { checks_failed: 1, ..HealthPolicy::default() };
    let mut story = Story::of(MakerPolicy { health, ..MakerPolicy::default() });
    let down = || CheckResult::failed("the maker answered 503", 9);
    story.checked(0, down(), None);
    let told = names(&story.checked(300, down(), None));
    assert!(told.contains(&"incident_opened") && told.contains(&"alert_raised"), "{told:?}");
    assert_eq!(story.maker().vitals.incident().unwrap().state, HealthState::Down);
    story.checked(600, well(), None);
    let told = names(&story.checked(900, well(), None));
    assert!(told.contains(&"incident_closed") && told.contains(&"alert_cleared"), "{told:?}");
    assert!(story.maker().vitals.incident().is_none() && story.maker().vitals.raised().is_empty());
}

#[test]
fn success_rate_latency_and_failures_in_a_row_each_have_their_alert() {
    let mut story = Story::of(MakerPolicy::default());
    (0..4).for_each(|second| story.failed(second, ErrorKind::Captcha));
    (0..16).for_each(|second| story.succeeded(second, 121_000));
    assert_eq!(conditions(&story.checked(60, well(), None)), [AlertKind::SuccessRateLow, AlertKind::LatencyHigh]);
    (0..5).for_each(|second| story.failed(second, ErrorKind::Captcha));
    let found = conditions(&story.checked(120, well(), None));
    assert_eq!(found, [AlertKind::SuccessRateCritical, AlertKind::LatencyHigh, AlertKind::FailuresInARow]);
}

#[test]
fn what_operators_should_know_waits_until_they_were_mailed() {
    let health = HealthPolicy { checks_failed: 1, alert_after: 1, ..HealthPolicy::default() };
    let mut story = Story::of(MakerPolicy { health, ..MakerPolicy::default() });
    story.checked(0, CheckResult::failed("503", 9), None);
    let (of, told) = story.maker().unmailed().unwrap();
    assert!(told.iter().all(|event| event.name() != "health_checked") && !told.is_empty());
    story.noted(1, vec![OperatorsMailed { of }.into()]);
    assert_eq!(story.maker().unmailed(), None);
}

#[test]
fn checks_come_about_every_five_minutes_and_not_all_at_once() {
    let mut story = Story::of(MakerPolicy::default());
    assert_eq!(story.maker().next_check(), None);
    story.checked(0, well(), None);
    let next = story.maker().next_check().unwrap().since(at(0)).as_secs();
    assert!((270..=330).contains(&next), "{next} s");
    assert!(story.maker().first_check_after() <= Duration::from_secs(30));
}
