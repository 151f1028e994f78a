//! A fold that goes on from a snapshot is the fold of the whole log, and a snapshot in doubt is refused.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::civil::date;
use proptest::prelude::*;
use regflow_events::event::*;
use regflow_events::maker_event::{self, Condition, MakerEvent as Fact};
use regflow_events::record::{Record, TraceContext, hash_of};
use regflow_events::snapshot::{self, Doubt, Origin, Rules, SCHEMA, Unwritable};
use regflow_events::{
    Actor, AlertKind, CheckResult, Drift, DriftKind, ErrorKind, Event, FieldProblem, ForgetReason, Forgetting, Guards,
    HealthState, HoldReason, Link, MailPreference, MakerEvent, MakerPolicy, ManualReason, Method, ObjectRef, OwnerMail,
    PersonKeyId, Priority, RateLimit, RecordHash, RecordId, Refill, Registration, RegistrationId, Shard, SkipReason,
    Snapshot, Stage, Stored, StoredMaker, Timestamp,
};
use uuid::Uuid;

const STREAM: i64 = 1_700_000_000_000_000_000;
const START: Timestamp = Timestamp(1_790_000_000_000_000);
/// Of the catalog, but for the last one, which has left it.
const MAKERS: [&str; 3] = ["norrland", "kestrel", "gone"];

fn rules() -> Rules {
    Rules::of("as they are")
}

fn policies() -> Vec<(&'static str, MakerPolicy)> {
    let limit = |max, seconds, refill| RateLimit { max, per: Duration::from_secs(seconds), refill };
    let limits = vec![limit(3, 60, Refill::Interval), limit(4, 100, Refill::Smooth)];
    vec![(MAKERS[0], MakerPolicy { limits, ..MakerPolicy::default() }), (MAKERS[1], MakerPolicy::default())]
}

/// What stands at one place of the log.
#[derive(Debug, Clone)]
enum Item {
    Registration(Stored),
    Maker(StoredMaker),
}

/// The fold: makers, and every registration that ever was.
#[derive(Debug, Clone, PartialEq)]
struct Fold {
    guards: Guards,
    open: BTreeMap<RegistrationId, Arc<Registration>>,
    last: Link,
}

impl Fold {
    fn nothing() -> Self {
        let last = Link { sequence: 0, hash: RecordHash([0; 32]) };
        Self { guards: Guards::new(policies()), open: BTreeMap::new(), last }
    }

    fn take(&mut self, item: &Item) {
        match item {
            Item::Registration(stored) => {
                self.guards.take(stored);
                self.last = stored.link();
                match self.open.get_mut(&stored.registration) {
                    Some(registration) => Arc::make_mut(registration).apply(stored).unwrap(),
                    None => drop(self.open.insert(stored.registration, Arc::new(Registration::begin(stored).unwrap()))),
                }
            }
            Item::Maker(stored) => {
                self.guards.take_maker(stored);
                self.last = stored.link();
            }
        }
    }

    fn snapshot(&self) -> Snapshot {
        let origin = Origin { incarnation: STREAM, rules: rules(), last: self.last };
        let open = self.open.values().cloned().collect();
        Snapshot { origin, guards: self.guards.clone(), open, to_be_read: Vec::new(), alarms: Vec::new() }
    }

    fn restored(snapshot: Snapshot) -> Self {
        let open = snapshot.open.into_iter().map(|registration| (registration.id, registration)).collect();
        Self { guards: snapshot.guards, open, last: snapshot.origin.last }
    }
}

fn bytes_of(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    let put = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<_, Unwritable>(())
    };
    snapshot::encode(snapshot, put).unwrap();
    bytes
}

fn read(bytes: &[u8]) -> Result<Snapshot, Doubt> {
    snapshot::decode(bytes, (STREAM, rules()), policies())
}

/// One thing that happens: what, to whom, with which maker, how, and how long after the one before.
#[derive(Debug, Clone)]
struct Happening {
    what: u8,
    who: u8,
    maker: usize,
    kind: ErrorKind,
    method: Method,
    seconds: u64,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let kinds = prop::sample::select(ErrorKind::ALL);
    let methods = prop::sample::select(vec![Method::Api, Method::AutomationReliable]);
    let one = (0..30_u8, 0..5_u8, 0..MAKERS.len(), kinds, methods, 0..90_u64);
    let one =
        one.prop_map(|(what, who, maker, kind, method, seconds)| Happening { what, who, maker, kind, method, seconds });
    prop::collection::vec(one, 1..60)
}

/// The log that holds what happened.
#[derive(Default)]
struct Log {
    items: Vec<Item>,
    now: u64,
    lasts: BTreeMap<u8, (Link, u32)>,
}

impl Log {
    fn of(happenings: &[Happening]) -> Vec<Item> {
        let mut log = Self::default();
        for happening in happenings {
            log.now += happening.seconds;
            if happening.what < 16 {
                log.of_registration(happening);
            } else {
                log.of_maker(happening);
            }
        }
        log.items
    }

    fn record<F>(&self, events: Vec<F>, previous: Option<Link>) -> Record<F> {
        let id = RecordId(Uuid::from_u128(self.items.len() as u128 + 1));
        let (at, actor) = (START.plus(Duration::from_secs(self.now)), Actor::Operator("ada".into()));
        Record { id, at, actor, cause: None, trace: None, previous, events }
    }

    fn of_registration(&mut self, happening: &Happening) {
        let known = self.lasts.get(&happening.who).copied();
        let mut attempt = known.map_or(0, |(_, attempt)| attempt);
        let events = match known {
            None => vec![submitted(happening).into()],
            Some(_) => {
                attempt += u32::from(happening.what <= 3);
                told(happening, attempt, START.plus(Duration::from_secs(self.now)))
            }
        };
        let record = self.record(events, known.map(|(link, _)| link));
        let (sequence, hash) = (self.items.len() as u64 + 1, hash_of(&record.encode().unwrap()));
        let registration = RegistrationId(Uuid::from_u128(u128::from(happening.who)));
        let stored = Stored { sequence, shard: Shard(1), registration, record, hash };
        self.lasts.insert(happening.who, (stored.link(), attempt));
        self.items.push(Item::Registration(stored));
    }

    fn of_maker(&mut self, happening: &Happening) {
        let facts = facts(happening, START.plus(Duration::from_secs(self.now)), self.items.len() as u64);
        let record = self.record(facts, None);
        let (sequence, hash) = (self.items.len() as u64 + 1, hash_of(&record.encode().unwrap()));
        let connector = MAKERS[happening.maker].to_owned();
        self.items.push(Item::Maker(StoredMaker { sequence, connector, record, hash }));
    }
}

fn submitted(happening: &Happening) -> Submitted {
    Submitted {
        tenant: "shop".into(),
        request_id: Some(happening.who.to_string()),
        connector: MAKERS[happening.maker].into(),
        brand: "b".into(),
        model: "m".into(),
        purchased_on: Some(date(2026, 11, 2)),
        priority: Priority::Normal,
        owner_ref: [happening.who; 16],
        person_key: PersonKeyId(Uuid::from_u128(5)),
        sealed: vec![happening.who; 300],
        proof: None,
        register_by: None,
        mail: MailPreference::All,
    }
}

/// What is told of a registration whose last attempt has this number.
fn told(happening: &Happening, attempt: u32, now: Timestamp) -> Vec<Event> {
    let Happening { kind, method, maker, .. } = *happening;
    let until = now.plus(Duration::from_secs(45));
    let failed: Event = AttemptFailed { attempt, kind, detail: "told".into(), latency_ms: 40, evidence: None }.into();
    match happening.what {
        0..=3 => vec![AttemptStarted { attempt, method, connector: MAKERS[maker].into(), sends: None }.into()],
        4 | 5 => vec![
            AttemptSucceeded { attempt, already_registered: false, latency_ms: 30, evidence: None, received: None }
                .into(),
            RegistrationSucceeded { method, confirmation: Some("code".into()) }.into(),
        ],
        6 | 7 => vec![failed, RetryScheduled { method, at: until }.into()],
        8 => vec![failed, MakerThrottled { until }.into()],
        9 => vec![AttemptRepeated { attempt, sends: None }.into()],
        10 => vec![Held { method, reason: HoldReason::RateLimit, until: Some(until) }.into()],
        11 => vec![failed, ManualRequired { reason: ManualReason::Captcha }.into()],
        12 => vec![PacketFailed { detail: "told".into(), retry_at: Some(until) }.into()],
        13 => vec![PersonForgotten { reason: ForgetReason::PersonAsked }.into()],
        14 => vec![
            OutcomeUnknown { attempt, detail: "told".into() }.into(),
            LookupScheduled { attempt, at: until, sends: None }.into(),
        ],
        _ => vec![RetryRequested { from: Some(method), reason: None }.into()],
    }
}

fn facts(happening: &Happening, now: Timestamp, before: u64) -> Vec<Fact> {
    let (method, reason) = (happening.method, "their release".to_owned());
    let kind = AlertKind::FormDrift;
    match happening.what {
        16 | 17 => {
            let until = now.plus(Duration::from_secs(60));
            vec![maker_event::CircuitOpened { method, until, failures: 5 }.into()]
        }
        18 | 19 => vec![maker_event::CircuitHalfOpened { method }.into()],
        20 => vec![maker_event::CircuitClosed { method }.into()],
        21 => vec![maker_event::CircuitForced { method, open: true, reason }.into()],
        22 => vec![maker_event::CircuitReleased { method, reason }.into()],
        23 => vec![maker_event::Paused { method: Some(method), reason }.into()],
        24 => vec![maker_event::Resumed { method: None, reason }.into()],
        25 => vec![
            checked(kind).into(),
            maker_event::AlertRaised { kind, detail: "it drifts".into() }.into(),
            maker_event::IncidentOpened { state: HealthState::Down, detail: "it is down".into() }.into(),
        ],
        26 => vec![maker_event::AlertCleared { kind }.into()],
        27 => vec![maker_event::IncidentClosed { opened_at: now }.into()],
        28 => vec![checked(AlertKind::Down).into()],
        _ => vec![maker_event::OperatorsMailed { of: before }.into()],
    }
}

fn checked(kind: AlertKind) -> maker_event::HealthChecked {
    let drift = Drift { kind: DriftKind::Renamed, field: "serial".into(), detail: "renamed".into() };
    let conditions = vec![Condition { kind, detail: "it is so".into() }];
    let (api, form) = (Some(CheckResult::failed("no answer", 9)), Some(CheckResult::well(vec![drift], 8)));
    maker_event::HealthChecked { api, form, state: HealthState::Degraded, conditions }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn going_on_from_a_snapshot_is_the_same_as_folding_everything(happenings in happenings(), cut in 0..60_usize) {
        let log = Log::of(&happenings);
        let (before, behind) = log.split_at(cut.min(log.len()));
        let mut whole = Fold::nothing();
        before.iter().for_each(|item| whole.take(item));
        let mut restored = Fold::restored(read(&bytes_of(&whole.snapshot())).unwrap());
        prop_assert_eq!(&restored, &whole);
        for item in behind {
            whole.take(item);
            restored.take(item);
        }
        prop_assert_eq!(restored, whole);
    }

    #[test]
    fn any_bytes_are_refused_or_read_but_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..300), honest: bool) {
        if honest {
            // as far as the hash can tell
            let begin = [b"RFENGINE".as_slice(), &SCHEMA.to_le_bytes()].concat();
            bytes.splice(0..0, begin);
            let hash = regflow_events::record::hash_of(&bytes);
            bytes.extend_from_slice(&hash.0);
        }
        prop_assert!(read(&bytes).is_err());
    }
}

/// Makers in each state that a circuit, a limit and the vitals can be in.
fn full() -> Fold {
    let happened = |what, who, maker, method, seconds| {
        let kind = ErrorKind::Server;
        Happening { what, who, maker, kind, method, seconds }
    };
    let (api, form) = (Method::Api, Method::AutomationReliable);
    let story = [
        happened(0, 0, 0, api, 0),
        happened(0, 0, 0, api, 1),
        happened(6, 0, 0, api, 2),
        happened(0, 0, 0, api, 3),
        happened(8, 0, 0, api, 4),
        happened(16, 0, 0, api, 1),
        happened(18, 0, 0, form, 1),
        happened(0, 0, 0, form, 1),
        happened(21, 0, 1, api, 1),
        happened(23, 0, 2, form, 1),
        happened(25, 0, 2, form, 1),
    ];
    let mut fold = Fold::nothing();
    Log::of(&story).iter().for_each(|item| fold.take(item));
    fold
}

/// A registration in which each field has another value.
fn registration(stage: Stage) -> Arc<Registration> {
    Arc::new(Registration {
        id: RegistrationId(Uuid::from_u128(1)),
        shard: Shard(2),
        tenant: "tenant".into(),
        request_id: Some("request".into()),
        connector: "connector".into(),
        brand: "brand".into(),
        model: "model".into(),
        purchased_on: Some(date(2026, 11, 2)),
        register_by: Some(date(2026, 12, 2)),
        deadline_alerted: true,
        priority: Priority::High,
        owner_ref: [3; 16],
        person_key: PersonKeyId(Uuid::from_u128(4)),
        sealed: vec![16; 20].into(),
        proof: Some(ObjectRef { name: "object".into(), sha256: vec![1; 32], size_bytes: 10 }),
        submitted_at: Timestamp(5),
        updated_at: Timestamp(6),
        attempts: 7,
        tries: 8,
        in_doubt: true,
        mail: MailPreference::All,
        owner_mail: Some(OwnerMail { registered_at: Timestamp(17), not_before: Some(Timestamp(18)), failures: 15 }),
        stage,
        forgetting: Some(Forgetting::Done),
        last: Link { sequence: 9, hash: RecordHash([10; 32]) },
        last_record: RecordId(Uuid::from_u128(11)),
        trace: Some(TraceContext { trace_id: [12; 16], span_id: [13; 8], flags: 1 }),
    })
}

fn of_every_stage() -> Vec<Arc<Registration>> {
    let (method, reason, kind, at) = (Method::Api, ManualReason::Captcha, ErrorKind::Server, START);
    let stages = [
        Stage::Fresh { from: Some(method) },
        Stage::Attempting { method },
        Stage::Backoff { method, until: at, after: kind },
        Stage::MethodFailed { method, kind },
        Stage::Held { method, reason: HoldReason::RateLimit, until: Some(at), retry_after: Some(kind) },
        Stage::Skipped { method, reason: SkipReason::CircuitOpen },
        Stage::Unknown { attempt: 1, method, ask_at: Some(at), asked: 2 },
        Stage::PacketDue { reason, not_before: Some(at), failures: 2 },
        Stage::PacketStuck { reason },
        Stage::PacketSent { reason, opened: true },
        Stage::NeedsCorrection { fields: vec![FieldProblem::new("field", "problem")] },
        Stage::Succeeded { method, confirmation: Some("code".into()) },
        Stage::Completed { confirmation: None },
        Stage::Cancelled,
        Stage::Expired { last_day: date(2026, 12, 2) },
    ];
    stages.into_iter().map(registration).collect()
}

fn of_everything() -> Snapshot {
    let (id, shard) = (RegistrationId(Uuid::from_u128(20)), Shard(21));
    let (to_be_read, alarms) = (vec![(id, shard)], vec![(Timestamp(22), id, shard)]);
    Snapshot { open: of_every_stage(), to_be_read, alarms, ..full().snapshot() }
}

#[test]
fn everything_reads_back() {
    let (written, again) = (of_everything(), read(&bytes_of(&of_everything())).unwrap());
    assert_eq!((again.origin, &again.guards, &again.open), (written.origin, &written.guards, &written.open));
    assert_eq!((again.to_be_read, again.alarms), (written.to_be_read, written.alarms));
}

#[test]
fn the_bytes_are_those_of_the_schema() {
    let hash = hash_of(&bytes_of(&of_everything()));
    // when it changes, old snapshots would be misread: give SCHEMA a new number and write the new hash here
    assert_eq!((SCHEMA, format!("{hash:?}").as_str()), (1, "c956e03ed33b1963"));
}

#[test]
fn a_snapshot_with_one_flipped_bit_or_cut_short_is_refused_wherever_that_is() {
    let bytes = bytes_of(&full().snapshot());
    for place in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[place] ^= 0x10;
        assert!(read(&changed).is_err(), "byte {place}");
        assert!(read(&bytes[..place]).is_err(), "{place} bytes");
    }
    assert_eq!(read(&[bytes.as_slice(), &[0]].concat()).err(), Some(Doubt::Damaged));
}

#[test]
fn a_snapshot_of_another_stream_or_by_other_rules_or_in_another_schema_says_so() {
    let bytes = bytes_of(&full().snapshot());
    let read_as = |stream, rules| snapshot::decode(&bytes, (stream, rules), policies()).err();
    assert_eq!(read_as(STREAM, rules()), None);
    assert_eq!(read_as(STREAM + 1, rules()), Some(Doubt::OtherStream));
    assert_eq!(read_as(STREAM, Rules::of("as they were")), Some(Doubt::OtherRules));
    let mut other = bytes.clone();
    other[8] = 9;
    assert_eq!(read(&other).err(), Some(Doubt::OtherSchema(9)));
}

#[test]
fn a_large_one_comes_in_pieces_and_an_error_stops_it() {
    let open = std::iter::repeat_n(registration(Stage::Cancelled), 1_000).collect();
    let large = Snapshot { open, ..full().snapshot() };
    let mut pieces = Vec::new();
    let put = |piece: &[u8]| {
        pieces.push(piece.len());
        if pieces.len() < 3 { Ok(()) } else { Err(Unwritable) }
    };
    assert_eq!(snapshot::encode(&large, put), Err(Unwritable));
    assert!(pieces.len() == 3 && pieces.iter().all(|bytes| (1..200_000).contains(bytes)), "{pieces:?}");
}

#[test]
fn what_operators_were_not_told_is_told_after_a_restart_with_the_policies_of_today() {
    let restored = read(&bytes_of(&full().snapshot())).unwrap();
    let told = |guards: &Guards| guards.find("gone").unwrap().unmailed().map(|(of, events)| (of, events.to_vec()));
    let expected: Option<(u64, Vec<MakerEvent>)> = told(&full().guards);
    assert!(expected.is_some());
    assert_eq!(told(&restored.guards), expected);
    assert_eq!(restored.guards.find(MAKERS[0]).unwrap().policy, policies()[0].1);
}
