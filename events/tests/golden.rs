//! The bytes of every version that was ever written stay readable for ever: one golden file a version in tests/golden.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::path::PathBuf;

use jiff::civil::date;
use proptest::prelude::*;
use regflow_events::event::{
    AttemptFailed, AttemptRepeated, AttemptStarted, AttemptSucceeded, Cancelled, Corrected, CorrectionNeeded,
    DeadlineNear, Dispatched, Expired, FoundUnregistered, Held, LeftInDoubt, LookupGivenUp, LookupScheduled,
    MakerThrottled, ManualRequired, MethodSkipped, OutcomeUnknown, OwnerMailFailed, OwnerMailed, PacketFailed,
    PacketOpened, PacketSent, PersonErased, PersonForgotten, RegistrationSucceeded, RetryRequested, RetryScheduled,
    Submitted, UserCompleted,
};
use regflow_events::fact::Fact;
use regflow_events::maker_event::{
    AlertCleared, AlertRaised, CircuitClosed, CircuitForced, CircuitHalfOpened, CircuitOpened, CircuitReleased,
    Condition, HealthChecked, IncidentClosed, IncidentOpened, OperatorsMailed, Paused, Resumed,
};
use regflow_events::record::{RECORD_BYTES_MAX, Record, RecordError, TraceContext};
use regflow_events::{
    Actor, AlertKind, CheckResult, Drift, DriftKind, ErrorKind, Event, FieldProblem, ForgetReason, HealthState,
    HoldReason, Link, MailPreference, MakerEvent, ManualReason, Method, ObjectRef, PersonKeyId, Priority, Received,
    RecordHash, RecordId, Sending, SkipReason, Timestamp,
};
use uuid::Uuid;

/// One event of each kind, all optional parts filled.
fn every_event() -> Vec<Event> {
    let mut events = of_attempts();
    events.extend(of_people());
    events
}

const AT: Timestamp = Timestamp(1_790_000_000_000_000);

fn object() -> ObjectRef {
    ObjectRef { name: "evidence/1".into(), sha256: vec![7; 32], size_bytes: 1234 }
}

fn sending() -> Sending {
    let fields = ["product.serial", "owner.email", "marketing_consent", "extra.colour"].into_iter().collect();
    Sending { to: "api.example.org".into(), fields }
}

fn of_attempts() -> Vec<Event> {
    let (object, at) = (object(), AT);
    vec![
        Submitted {
            tenant: "default".into(),
            request_id: Some("order-1".into()),
            connector: "norrland".into(),
            brand: "Norrland".into(),
            model: "VK 200".into(),
            purchased_on: Some(date(2026, 11, 2)),
            priority: Priority::High,
            owner_ref: [1; 16],
            person_key: PersonKeyId(Uuid::from_u128(5)),
            sealed: vec![1, 2, 3],
            proof: Some(object.clone()),
            register_by: Some(date(2026, 12, 2)),
            mail: MailPreference::ManualOnly,
        }
        .into(),
        Dispatched { method: Method::Api }.into(),
        AttemptStarted { attempt: 1, method: Method::Api, connector: "norrland".into(), sends: Some(sending()) }.into(),
        AttemptSucceeded {
            attempt: 1,
            already_registered: true,
            latency_ms: 12,
            evidence: Some(object.clone()),
            received: Some(Received::new(201, b"{}")),
        }
        .into(),
        AttemptFailed {
            attempt: 1,
            kind: ErrorKind::Server,
            detail: "503".into(),
            latency_ms: 12,
            evidence: Some(object),
        }
        .into(),
        RetryScheduled { method: Method::Api, at }.into(),
        RegistrationSucceeded { method: Method::Api, confirmation: Some("NR-1".into()) }.into(),
        OutcomeUnknown { attempt: 1, detail: "no answer".into() }.into(),
        Held { method: Method::Api, reason: HoldReason::RateLimit, until: Some(at) }.into(),
        MethodSkipped { method: Method::Api, reason: SkipReason::CircuitOpen }.into(),
        MakerThrottled { until: at }.into(),
        AttemptRepeated { attempt: 1, sends: Some(sending()) }.into(),
        LookupScheduled { attempt: 1, at, sends: Some(sending()) }.into(),
        FoundUnregistered { attempt: 1 }.into(),
        LookupGivenUp { attempt: 1, detail: "404".into() }.into(),
        LeftInDoubt { attempt: 1 }.into(),
    ]
}

fn of_people() -> Vec<Event> {
    let (object, photo, at) = (object(), object(), AT);
    vec![
        ManualRequired { reason: ManualReason::Captcha }.into(),
        PacketSent { pdf: object, message_id: "<m@example.org>".into(), missing_glyphs: vec!["owner.name".into()] }
            .into(),
        PacketFailed { detail: "busy".into(), retry_at: Some(at) }.into(),
        UserCompleted { confirmation: Some("C-1".into()), photo: Some(photo) }.into(),
        CorrectionNeeded { fields: vec![FieldProblem::new("product.serial", "is wrong")] }.into(),
        Corrected {
            model: "VK 201".into(),
            purchased_on: None,
            person_key: PersonKeyId(Uuid::from_u128(6)),
            sealed: vec![4],
            register_by: Some(date(2026, 12, 3)),
            owner_ref: Some([8; 16]),
        }
        .into(),
        RetryRequested { from: Some(Method::AutomationReliable), reason: Some("the form works again".into()) }.into(),
        Cancelled { reason: Some("sold".into()) }.into(),
        DeadlineNear { last_day: date(2026, 12, 2) }.into(),
        Expired { last_day: date(2026, 12, 2) }.into(),
        PacketOpened {}.into(),
        OwnerMailed { message_id: "<m@example.org>".into() }.into(),
        OwnerMailFailed { detail: "busy".into(), retry_at: Some(at) }.into(),
        PersonForgotten { reason: ForgetReason::PersonAsked }.into(),
        PersonErased { keys: vec![PersonKeyId(Uuid::from_u128(5))], files: 4 }.into(),
    ]
}

/// One event of a maker of each kind, all optional parts filled.
fn every_maker_event() -> Vec<MakerEvent> {
    let (at, method, reason) = (Timestamp(1_790_000_000_000_000), Method::Api, "it is down".to_owned());
    let drift = Drift { kind: DriftKind::Renamed, field: "serial".into(), detail: "it is `sn` now".into() };
    vec![
        CircuitOpened { method, until: at, failures: 5 }.into(),
        CircuitHalfOpened { method }.into(),
        CircuitClosed { method }.into(),
        CircuitForced { method, open: true, reason: reason.clone() }.into(),
        CircuitReleased { method, reason: reason.clone() }.into(),
        Paused { method: Some(method), reason: reason.clone() }.into(),
        Resumed { method: None, reason: reason.clone() }.into(),
        HealthChecked {
            api: Some(CheckResult::failed("503", 12)),
            form: Some(CheckResult::well(vec![drift], 340)),
            state: HealthState::Degraded,
            conditions: vec![Condition { kind: AlertKind::FormDrift, detail: "it is `sn` now".into() }],
        }
        .into(),
        AlertRaised { kind: AlertKind::Down, detail: reason.clone() }.into(),
        AlertCleared { kind: AlertKind::Down }.into(),
        IncidentOpened { state: HealthState::Down, detail: reason }.into(),
        IncidentClosed { opened_at: at }.into(),
        OperatorsMailed { of: 41 }.into(),
    ]
}

fn record_of<F>(events: Vec<F>) -> Record<F> {
    Record {
        id: RecordId(Uuid::from_u128(11)),
        at: Timestamp(1_790_000_000_123_456),
        actor: Actor::Client("shop".into()),
        cause: Some(RecordId(Uuid::from_u128(10))),
        trace: Some(TraceContext { trace_id: [2; 16], span_id: [3; 8], flags: 1 }),
        previous: Some(Link { sequence: 41, hash: RecordHash([9; 32]) }),
        events,
    }
}

fn golden_file<F: Fact>(event: &F) -> PathBuf {
    let name = format!("{:03}-v{}-{}.hex", event.tag(), event.schema_version(), event.name());
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name)
}

fn reads_its_golden_bytes<F: Fact + Clone + PartialEq + std::fmt::Debug>(event: F) {
    let (path, record) = (golden_file(&event), record_of(vec![event]));
    let written = hex::encode(record.encode().unwrap());
    if std::env::var_os("REGFLOW_WRITE_GOLDEN").is_some() && !path.exists() {
        std::fs::write(&path, format!("{written}\n")).unwrap();
    }
    let golden = std::fs::read_to_string(&path)
        .unwrap_or_else(|_| panic!("{} is missing: REGFLOW_WRITE_GOLDEN=1 writes it once", path.display()));
    assert_eq!(golden.trim(), written, "{}: stored bytes must never change", path.display());
    assert_eq!(Record::decode(&hex::decode(golden.trim()).unwrap()), Ok(record));
}

#[test]
fn every_kind_of_event_has_its_golden_bytes_and_they_still_read() {
    let (events, of_makers) = (every_event(), every_maker_event());
    assert_eq!(events.len(), Event::TAGS.len(), "a new event needs an example here and a golden file");
    assert_eq!(of_makers.len(), MakerEvent::TAGS.len(), "a new event needs an example here and a golden file");
    events.into_iter().for_each(reads_its_golden_bytes);
    of_makers.into_iter().for_each(reads_its_golden_bytes);
}

#[test]
fn golden_files_of_older_versions_are_still_read() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = hex::decode(std::fs::read_to_string(&path).unwrap().trim()).unwrap();
        let known = Record::<Event>::decode(&bytes).is_ok() || Record::<MakerEvent>::decode(&bytes).is_ok();
        assert!(known, "{}", path.display());
        seen += 1;
    }
    assert!(seen > Event::TAGS.len() + MakerEvent::TAGS.len(), "the first versions of five events are there");
}

#[test]
fn a_cut_or_lengthened_record_is_refused_at_every_place() {
    let bytes = record_of(every_event().drain(13..16).collect()).encode().unwrap();
    for length in 0..bytes.len() {
        assert!(Record::<Event>::decode(&bytes[..length]).is_err(), "cut at {length}");
    }
    let mut longer = bytes.to_vec();
    longer.push(0);
    assert_eq!(Record::<Event>::decode(&longer), Err(RecordError::BadEnvelope));
}

#[test]
fn foreign_newer_empty_and_oversized_records_are_told_apart() {
    assert_eq!(Record::<Event>::decode(b"{}"), Err(RecordError::NoMagic));
    assert_eq!(Record::<Event>::decode(b"RF\x02abc"), Err(RecordError::UnknownWireVersion(2)));
    assert_eq!(record_of::<Event>(vec![]).encode(), Err(RecordError::OutOfBounds));
    let huge = Cancelled { reason: Some("x".repeat(RECORD_BYTES_MAX)) };
    assert_eq!(record_of::<Event>(vec![huge.into()]).encode(), Err(RecordError::OutOfBounds));
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_read_but_never_panic(mut bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = Record::<Event>::decode(&bytes);
        bytes.splice(0..0, *b"RF\x01");
        let _ = Record::<Event>::decode(&bytes);
    }

    #[test]
    fn a_changed_byte_never_passes_for_the_same_record(place in 0usize..200, flip in 1u8..=255) {
        let record = record_of(every_event().drain(14..16).collect());
        let mut bytes = record.encode().unwrap().to_vec();
        let place = place % bytes.len();
        bytes[place] ^= flip;
        prop_assert_ne!(Record::decode(&bytes), Ok(record));
    }

    #[test]
    fn what_is_written_reads_back(detail in ".{0,80}", attempt: u32, latency_ms: u32) {
        let failed = AttemptFailed { attempt, kind: ErrorKind::Timeout, detail, latency_ms, evidence: None };
        let record = record_of::<Event>(vec![failed.into()]);
        prop_assert_eq!(Record::decode(&record.encode().unwrap()), Ok(record));
    }
}
