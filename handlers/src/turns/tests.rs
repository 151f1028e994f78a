//! The queue in simulated time: who waits how long, and what the guards let through.

use std::collections::BinaryHeap;

use events::event::{AttemptFailed, AttemptStarted, AttemptSucceeded, Submitted};
use events::maker_event::{CircuitHalfOpened, CircuitOpened};
use events::{
    Actor, CircuitPolicy, Concurrency, ErrorKind, Link, MailPreference, MakerPolicy, PersonKeyId, RateLimit, Record,
    RecordHash, RecordId, Refill, Shard, Stage,
};
use uuid::Uuid;

use super::*;

const START: Timestamp = Timestamp(1_790_000_000_000_000);

fn at(second: u64) -> Timestamp {
    START.plus(Duration::from_secs(second))
}

fn registration(number: u64, connector: &str, class: Priority, submitted_at: Timestamp) -> Registration {
    let submitted = Submitted {
        tenant: "default".into(),
        request_id: None,
        connector: connector.into(),
        brand: "b".into(),
        model: "m".into(),
        purchased_on: None,
        priority: class,
        owner_ref: [1; 16],
        person_key: PersonKeyId(Uuid::from_u128(1)),
        sealed: vec![1],
        proof: None,
        register_by: None,
        mail: MailPreference::ManualOnly,
    };
    Registration::begin(&stored(number, submitted_at, submitted.into())).expect("it begins with a submission")
}

fn stored(number: u64, at: Timestamp, event: events::Event) -> Stored {
    let id = RecordId(Uuid::from_u128(u128::from(number)));
    let record = Record { id, at, actor: Actor::System, cause: None, trace: None, previous: None, events: vec![event] };
    let registration = RegistrationId(Uuid::from_u128(u128::from(number)));
    Stored { sequence: number, shard: Shard(1), registration, record, hash: RecordHash([0; 32]) }
}

/// Makers with a policy each, and the attempts that are under way with them.
struct World {
    turns: Turns,
    waiting: HashMap<RegistrationId, Registration>,
    under_way: BinaryHeap<std::cmp::Reverse<(Timestamp, RegistrationId)>>,
    given: HashMap<RegistrationId, Turn>,
    sequence: Sequence,
    number: u64,
}

impl World {
    fn of(policies: &[(&str, MakerPolicy)], ageing: Ageing) -> Self {
        let guards = Guards::new(policies.iter().map(|(name, policy)| (*name, policy.clone())));
        Self {
            turns: Turns::new(guards, ageing),
            waiting: HashMap::new(),
            under_way: BinaryHeap::new(),
            given: HashMap::new(),
            sequence: 0,
            number: 0,
        }
    }

    fn submit(&mut self, connector: &str, class: Priority, now: Timestamp) -> RegistrationId {
        self.number += 1;
        let registration = registration(self.number, connector, class, now);
        let id = registration.id;
        self.turns.join(&registration, Method::AutomationReliable, None);
        self.waiting.insert(id, registration);
        id
    }

    /// Gives every turn that may be given; each attempt takes `service`.
    fn run(&mut self, bound: usize, service: Duration, now: Timestamp) -> Vec<RegistrationId> {
        while self.under_way.peek().is_some_and(|std::cmp::Reverse((end, _))| *end <= now) {
            let Some(std::cmp::Reverse((_, id))) = self.under_way.pop() else { break };
            if let Some(turn) = self.given.remove(&id) {
                let mut after = self.waiting.remove(&id).expect("it was under way");
                after.attempts = 1;
                after.stage = Stage::Succeeded { method: Method::AutomationReliable, confirmation: None };
                self.turns.over(&turn, Some(&after));
            }
        }
        let mut begun = Vec::new();
        while let Some(mut turn) = self.turns.next(Lane::Form, bound, now) {
            let registration = self.waiting[&turn.id].clone();
            self.turns.grant(&mut turn, &registration, now);
            self.sequence += 1;
            let (method, connector) = (Method::AutomationReliable, registration.connector.clone());
            let started = AttemptStarted { attempt: 1, method, connector, sends: None };
            let mut record = stored(self.sequence, now, started.into());
            record.registration = turn.id;
            self.turns.take(&record);
            self.given.insert(turn.id, turn);
            self.under_way.push(std::cmp::Reverse((now.plus(service), turn.id)));
            begun.push(turn.id);
        }
        begun
    }
}

fn one_at_a_time() -> MakerPolicy {
    MakerPolicy { concurrency: Concurrency { api: 1, form: 1 }, ..MakerPolicy::default() }
}

#[test]
fn under_a_flood_of_high_on_all_makers_no_low_waits_longer_than_its_bound() {
    let ageing = Ageing {
        normal_after: Duration::from_secs(60),
        normal_every: 4,
        low_after: Duration::from_secs(120),
        low_every: 8,
    };
    let makers = [("one", one_at_a_time()), ("two", one_at_a_time()), ("three", one_at_a_time())];
    let mut world = World::of(&makers, ageing);
    let service = Duration::from_secs(10);
    // what `waits::turn_max` says: three lines share a lane with one place
    let turn = service * u32::try_from(3 * LINE_TURN_EVERY).expect("small");
    let bound = events::line::longest_wait(&ageing, Priority::Low, 0, turn);
    let (mut low, mut waited) = (HashMap::new(), Vec::new());
    for second in 0..24_000 {
        let now = at(second);
        if second % 5 == 0 {
            for maker in ["one", "two", "three"] {
                world.submit(maker, Priority::High, now);
            }
        }
        // as rarely as the bound speaks of one of its class
        if second % 3_000 == 0 {
            low.insert(world.submit("two", Priority::Low, now), now);
        }
        for id in world.run(1, service, now) {
            waited.extend(low.remove(&id).map(|since: Timestamp| now.since(since)));
        }
    }
    assert!(waited.len() >= 7, "only {} of them had their turn", waited.len());
    assert!(waited.iter().all(|wait| *wait <= bound), "{waited:?}, bound {bound:?}");
}

#[test]
fn a_token_is_taken_when_a_turn_is_given_and_not_only_when_the_log_says_so() {
    let limits = vec![RateLimit { max: 2, per: Duration::from_secs(60), refill: Refill::Smooth }];
    let policy = MakerPolicy { limits, concurrency: Concurrency { api: 9, form: 9 }, ..MakerPolicy::default() };
    let mut world = World::of(&[("one", policy)], Ageing::default());
    for _ in 0..5 {
        world.submit("one", Priority::Normal, at(0));
    }
    let mut granted = 0;
    while let Some(mut turn) = world.turns.next(Lane::Form, 9, at(0)) {
        let registration = world.waiting[&turn.id].clone();
        world.turns.grant(&mut turn, &registration, at(0));
        granted += 1;
    }
    assert_eq!((granted, world.turns.next_opening(at(1))), (2, Some(at(61))));
}

#[test]
fn a_turn_that_came_to_nothing_gives_its_token_and_its_probe_back() {
    let limits = vec![RateLimit { max: 1, per: Duration::from_secs(60), refill: Refill::Interval }];
    let mut world = World::of(&[("one", MakerPolicy { limits, ..MakerPolicy::default() })], Ageing::default());
    let id = world.submit("one", Priority::Normal, at(0));
    let mut turn = world.turns.next(Lane::Form, 9, at(0)).expect("a turn");
    let registration = world.waiting[&id].clone();
    world.turns.grant(&mut turn, &registration, at(0));
    world.submit("one", Priority::Normal, at(0));
    assert_eq!(world.turns.next(Lane::Form, 9, at(0)), None);
    world.turns.over(&turn, Some(&registration));
    world.turns.pass_over(registration.last.sequence);
    assert!(world.turns.next(Lane::Form, 9, at(0)).is_some());
}

#[test]
fn after_a_failure_nothing_is_let_through_before_the_log_is_folded_up_to_it() {
    let circuit = CircuitPolicy { failures: 1, ..CircuitPolicy::default() };
    let mut world = World::of(&[("one", MakerPolicy { circuit, ..MakerPolicy::default() })], Ageing::default());
    let id = world.submit("one", Priority::Normal, at(0));
    world.submit("one", Priority::Normal, at(0));
    let mut turn = world.turns.next(Lane::Form, 1, at(0)).expect("a turn");
    let mut after = world.waiting[&id].clone();
    world.turns.grant(&mut turn, &after, at(0));
    after.attempts = 1;
    after.last = Link { sequence: 7, hash: RecordHash([0; 32]) };
    world.turns.over(&turn, Some(&after));
    assert_eq!(world.turns.next(Lane::Form, 1, at(0)), None);
    world.turns.pass_over(7);
    assert!(world.turns.next(Lane::Form, 1, at(0)).is_some());
}

#[test]
fn the_manual_lane_goes_by_class_and_then_by_submission() {
    let mut world = World::of(&[], Ageing::default());
    for (number, class) in [(1, Priority::Low), (2, Priority::Normal), (3, Priority::High), (4, Priority::Normal)] {
        world.turns.queue(&registration(number, "one", class, at(number)), Lane::Manual);
    }
    let order: Vec<_> =
        std::iter::from_fn(|| world.turns.next(Lane::Manual, 9, at(9))).map(|turn| turn.id.0.as_u128()).collect();
    assert_eq!(order, [3, 2, 4, 1]);
}

/// Somebody who is about to arrive at this maker.
fn arriving(number: u64, connector: &str) -> Registration {
    registration(number, connector, Priority::Normal, START)
}

#[test]
fn whoever_arrives_is_let_through_at_once_when_nothing_stands_before_it() {
    let mut world = World::of(&[("free", MakerPolicy::default())], Ageing::default());
    let turn = world.turns.admit(&arriving(1, "free"), Method::Api, 2, START).expect("there is a place");
    assert_eq!((turn.lane, turn.attempt), (Lane::Api, Some(1)));
    assert!(world.turns.admit(&arriving(2, "free"), Method::Api, 2, START).is_some());
    assert_eq!(world.turns.admit(&arriving(3, "free"), Method::Api, 2, START), None, "both places are taken");
    world.turns.over(&turn, None);
    assert!(world.turns.admit(&arriving(3, "free"), Method::Api, 2, START).is_some(), "one was given back");
}

#[test]
fn whoever_arrives_passes_nobody_who_stands_in_line() {
    let mut world = World::of(&[("free", MakerPolicy::default())], Ageing::default());
    let waits = arriving(1, "free");
    let place = world.turns.join(&waits, Method::Api, None);
    assert_eq!(world.turns.admit(&arriving(2, "free"), Method::Api, 8, START), None);
    world.turns.leave(&waits, place);
    assert!(world.turns.admit(&arriving(2, "free"), Method::Api, 8, START).is_some());
}

#[test]
fn whoever_arrives_takes_a_token_and_without_one_stands_in_line() {
    let limits = vec![RateLimit { max: 1, per: Duration::from_secs(60), refill: Refill::Interval }];
    let mut world = World::of(&[("slow", MakerPolicy { limits, ..MakerPolicy::default() })], Ageing::default());
    let turn = world.turns.admit(&arriving(1, "slow"), Method::Api, 8, START).expect("there is a token");
    assert_eq!(world.turns.admit(&arriving(2, "slow"), Method::Api, 8, START), None);
    // it was not stored after all: its token is there for the next one
    world.turns.over(&turn, None);
    assert!(world.turns.admit(&arriving(2, "slow"), Method::Api, 8, START).is_some());
}

#[test]
fn places_are_soon_free_while_as_many_turns_end_within_a_second() {
    let mut world = World::of(&[("free", MakerPolicy::default())], Ageing::default());
    let turn = world.turns.admit(&arriving(1, "free"), Method::Api, 2, START).expect("there is a place");
    assert!(!world.turns.flows(2, START));
    world.turns.over(&turn, None);
    assert!(!world.turns.flows(2, at(1)), "one of two in a second");
    (0..2).for_each(|_| world.turns.over(&turn, None));
    assert!(world.turns.flows(2, at(1)) && world.turns.flows(2, at(2)));
    assert!(!world.turns.flows(2, at(3)), "nothing ended since");
}

/// The story of one API call after the other with makers whose retries have no pause.
impl World {
    fn arrive(&mut self, number: u64, connector: &str) -> (Turn, Registration) {
        let mut registration = arriving(number, connector);
        let turn = self.turns.admit(&registration, Method::Api, 9, START).expect("it is let through");
        self.begun(&turn, &mut registration);
        (turn, registration)
    }

    /// The start of an attempt is stored and folded.
    fn begun(&mut self, turn: &Turn, registration: &mut Registration) {
        registration.attempts = turn.attempt.expect("an attempt");
        registration.stage = Stage::Attempting { method: Method::Api };
        let (attempt, connector) = (registration.attempts, registration.connector.clone());
        let started = AttemptStarted { attempt, method: Method::Api, connector, sends: None };
        self.folds(registration, started.into());
    }

    fn folds(&mut self, registration: &mut Registration, event: events::Event) {
        self.sequence += 1;
        let mut record = stored(self.sequence, START, event);
        record.registration = registration.id;
        registration.last = record.link();
        self.turns.take(&record);
    }

    fn failure_is_folded(&mut self, registration: &mut Registration, attempt: u32) {
        let kind = ErrorKind::Server;
        let failed = AttemptFailed { attempt, kind, detail: String::new(), latency_ms: 1, evidence: None };
        self.folds(registration, failed.into());
    }

    /// It failed and may be tried again now; nothing of that is folded.
    fn keeps(&mut self, turn: &Turn, registration: &Registration, bound: usize) -> Option<Turn> {
        let failed = Failed { after: registration, kind: ErrorKind::Server, method: Method::Api, last_day: None };
        self.turns.keep(turn, &failed, bound, START)
    }

    fn waits(&mut self, number: u64, connector: &str, class: Priority) {
        self.turns.join(&registration(number, connector, class, START), Method::Api, None);
    }
}

fn circuit_of(failures: u32) -> MakerPolicy {
    MakerPolicy { circuit: CircuitPolicy { failures, ..CircuitPolicy::default() }, ..MakerPolicy::default() }
}

#[test]
fn whoever_fails_and_may_try_again_at_once_keeps_its_turn_and_its_place() {
    let mut world = World::of(&[("one", MakerPolicy::default())], Ageing::default());
    let (turn, mut registration) = world.arrive(1, "one");
    let kept = world.keeps(&turn, &registration, 1).expect("nobody is before it");
    assert_eq!((kept.lane, kept.attempt, kept.line), (Lane::Api, Some(2), turn.line));
    assert!(!world.turns.has_room(Lane::Api, 1), "it has the place that it had");
    world.failure_is_folded(&mut registration, 1);
    world.begun(&kept, &mut registration);
    registration.stage = Stage::Succeeded { method: Method::Api, confirmation: None };
    world.turns.over(&kept, Some(&registration));
    assert!(world.turns.has_room(Lane::Api, 1));
    assert!(world.turns.failed.is_empty() && world.turns.grants.is_empty());
}

#[test]
fn nobody_keeps_a_turn_that_the_line_would_give_to_another() {
    let mut world = World::of(&[("one", MakerPolicy::default())], Ageing::default());
    let (turn, registration) = world.arrive(1, "one");
    world.waits(2, "one", Priority::Normal);
    let kept = world.keeps(&turn, &registration, 1).expect("it came first, of its class");
    world.waits(3, "one", Priority::High);
    let again = Registration { attempts: 2, ..registration };
    assert_eq!(world.keeps(&kept, &again, 1), None, "HIGH goes first");
    assert_eq!(world.turns.next(Lane::Api, 1, START), None, "it has its place until its failure is stored");
    // counted already, so the line need not wait until it is folded
    world.turns.over(&kept, Some(&Registration { last: Link { sequence: 99, ..again.last }, ..again }));
    assert_eq!(world.turns.next(Lane::Api, 1, START).map(|turn| turn.id.0.as_u128()), Some(3));
}

#[test]
fn a_line_of_another_maker_that_is_before_it_gets_the_place() {
    let mut world = World::of(&[("one", MakerPolicy::default()), ("two", MakerPolicy::default())], Ageing::default());
    let (turn, registration) = world.arrive(1, "one");
    world.waits(2, "two", Priority::Normal);
    assert_eq!(world.keeps(&turn, &registration, 1), None, "the line of two waits for longer");
    assert!(world.turns.next(Lane::Api, 2, START).is_some(), "a second place is free");
    assert!(world.keeps(&turn, &registration, 2).is_some(), "nobody is left before it");
}

#[test]
fn who_waits_too_long_has_its_share_of_turns_that_could_be_kept() {
    let ageing = Ageing { low_after: Duration::ZERO, low_every: 4, ..Ageing::default() };
    let mut world = World::of(&[("one", circuit_of(100))], ageing);
    let (mut turn, mut registration) = world.arrive(1, "one");
    world.waits(2, "one", Priority::Low);
    let mut kept = 0;
    while let Some(again) = world.keeps(&turn, &registration, 1) {
        (turn, kept) = (again, kept + 1);
        world.begun(&turn, &mut registration);
    }
    assert_eq!(kept, 3, "every fourth turn is LOW's");
}

#[test]
fn failures_count_before_they_are_folded_and_the_one_that_opens_the_circuit_ends_the_turn() {
    let mut world = World::of(&[("one", circuit_of(2))], Ageing::default());
    let (first, mut one) = world.arrive(1, "one");
    let (second, mut two) = world.arrive(2, "one");
    assert!(world.keeps(&first, &one, 9).is_some(), "one of two");
    let (third, _) = world.arrive(3, "one");
    assert_eq!(world.keeps(&second, &two, 9), None, "two of two");
    assert_eq!(world.turns.admit(&arriving(4, "one"), Method::Api, 9, START), None);
    world.failure_is_folded(&mut one, 1);
    assert_eq!(world.turns.admit(&arriving(4, "one"), Method::Api, 9, START), None);
    world.failure_is_folded(&mut two, 1);
    let key = third.line.expect("a line");
    let open = |world: &World| world.turns.maker(key).admission(Method::Api, START, 0);
    assert!(matches!(open(&world), Admission::CircuitOpen(_)), "{:?}", open(&world));
    assert!(world.turns.failed.is_empty());
}

#[test]
fn a_success_between_makes_room_for_more_failures_once_it_is_folded() {
    let mut world = World::of(&[("one", circuit_of(2))], Ageing::default());
    let (first, mut one) = world.arrive(1, "one");
    let (second, mut two) = world.arrive(2, "one");
    assert!(world.keeps(&first, &one, 9).is_some());
    world.failure_is_folded(&mut one, 1);
    let succeeded =
        AttemptSucceeded { attempt: 1, already_registered: false, latency_ms: 1, evidence: None, received: None };
    world.folds(&mut two, succeeded.into());
    world.turns.over(&second, Some(&two));
    let (third, three) = world.arrive(3, "one");
    assert!(world.keeps(&third, &three, 9).is_some(), "it is the first in a row again");
}

#[test]
fn the_next_try_takes_a_token_and_without_one_stands_in_line() {
    let limits = vec![RateLimit { max: 2, per: Duration::from_secs(60), refill: Refill::Interval }];
    let mut world = World::of(&[("slow", MakerPolicy { limits, ..MakerPolicy::default() })], Ageing::default());
    let (turn, registration) = world.arrive(1, "slow");
    let kept = world.keeps(&turn, &registration, 9).expect("there is a second token");
    let again = Registration { attempts: 2, ..registration.clone() };
    assert_eq!(world.keeps(&kept, &again, 9), None);
    assert_eq!(world.turns.admit(&arriving(2, "slow"), Method::Api, 9, START), None);
}

#[test]
fn a_kept_turn_that_came_to_nothing_gives_back_its_token_and_counts_no_failure() {
    let limits = vec![RateLimit { max: 2, per: Duration::from_secs(60), refill: Refill::Interval }];
    let mut world = World::of(&[("slow", MakerPolicy { limits, ..circuit_of(2) })], Ageing::default());
    let (turn, registration) = world.arrive(1, "slow");
    let kept = world.keeps(&turn, &registration, 9).expect("a turn");
    assert_eq!(world.turns.admit(&arriving(2, "slow"), Method::Api, 9, START), None);
    // its outcome was refused as late: somebody else's stands in the log
    world.turns.over(&kept, Some(&registration));
    assert!(world.turns.failed.is_empty() && world.turns.grants.is_empty());
    assert!(world.turns.admit(&arriving(2, "slow"), Method::Api, 9, START).is_some());
}

#[test]
fn a_probe_that_fails_keeps_nothing() {
    let mut world = World::of(&[("one", circuit_of(1))], Ageing::default());
    let (turn, mut registration) = world.arrive(1, "one");
    world.failure_is_folded(&mut registration, 1);
    world.turns.over(&turn, Some(&registration));
    half_open(&mut world, "one");
    let (probe, registration) = world.arrive(2, "one");
    assert_eq!(world.keeps(&probe, &registration, 9), None);
}

/// The circuit of a maker's API opened, and lets a probe through now.
fn half_open(world: &mut World, connector: &str) {
    let opened = CircuitOpened { method: Method::Api, until: START, failures: 1 };
    for event in [opened.into(), CircuitHalfOpened { method: Method::Api }.into()] {
        world.sequence += 1;
        let (id, at, actor) = (RecordId(Uuid::from_u128(u128::from(world.sequence))), START, Actor::System);
        let record = Record { id, at, actor, cause: None, trace: None, previous: None, events: vec![event] };
        let (sequence, hash) = (world.sequence, RecordHash([0; 32]));
        world.turns.take_maker(&StoredMaker { sequence, connector: connector.into(), record, hash });
    }
}
