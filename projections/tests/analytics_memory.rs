//! What a million events cost in memory and time; a test binary of its own, because it looks at the whole process.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Instant;

use events::event::{AttemptFailed, AttemptStarted, AttemptSucceeded, Dispatched, RegistrationSucceeded, Submitted};
use events::record::RecordHash;
use events::{
    Actor, ErrorKind, Event, Link, Method, PersonKeyId, Priority, Record, RecordId, RegistrationId, Shard, Stored,
    Timestamp,
};
use regflow_projections::{AnalyticsView, MetricsFilter, Window};
use uuid::Uuid;

/// Nothing of makers.
const NO_MAKERS: &[events::StoredMaker] = &[];

const EVENTS: u64 = 1_000_000;
const PAGE_RECORDS: usize = 1_024;
/// Days over which they are spread.
const DAYS: i64 = 30;
const BEGIN_US: i64 = 1_780_012_800_000_000;
const MAKERS: [&str; 7] = ["aurora", "brightwell", "castello", "hartmann", "kestrel", "norrland", "veloce"];
const PEAK_MAX_KB: u64 = 100 * 1024;

/// Events as they come: of eight registrations seven end, five of them at once, and one stays open for ever.
struct Source {
    sequence: u64,
    registration: u64,
    events: u64,
}

impl Source {
    fn record(&mut self, n: u64, first: bool, events: Vec<Event>) -> Stored {
        self.sequence += 1;
        self.events += events.len() as u64;
        let hash = RecordHash([7; 32]);
        let share = i64::try_from(self.events).unwrap() * DAYS * 86_400 * 1_000_000 / i64::try_from(EVENTS).unwrap();
        let record = Record {
            id: RecordId(Uuid::from_u128(self.sequence.into())),
            at: Timestamp(BEGIN_US + share),
            actor: Actor::System,
            cause: None,
            trace: None,
            previous: (!first).then_some(Link { sequence: 1, hash }),
            events,
        };
        let registration =
            RegistrationId(Uuid::from_u128(u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)));
        Stored { sequence: self.sequence, shard: Shard(0), registration, record, hash }
    }

    /// The records of the next registration.
    fn next(&mut self) -> Vec<Stored> {
        self.registration += 1;
        let n = self.registration;
        let connector = MAKERS[usize::try_from(n % 7).unwrap()].to_owned();
        let submitted = Submitted {
            tenant: "shop".into(),
            request_id: None,
            connector: connector.clone(),
            brand: "Brand".into(),
            model: "Model".into(),
            purchased_on: None,
            priority: Priority::Normal,
            owner_ref: [0; 16],
            person_key: PersonKeyId(Uuid::from_u128(1)),
            sealed: vec![0; 64],
            proof: None,
            register_by: Some(jiff::civil::date(2026, 6, 1 + i8::try_from(n % 28).unwrap())),
            mail: events::MailPreference::None,
        };
        let mut records = vec![self.record(n, true, vec![submitted.into()])];
        if n.is_multiple_of(8) {
            return records;
        }
        let method = if n.is_multiple_of(2) { Method::Api } else { Method::AutomationReliable };
        let latency_ms = u32::try_from(n * 2_654_435_761 % 9_000).unwrap();
        let started = AttemptStarted { attempt: 1, method, connector, sends: None };
        records.push(self.record(n, false, vec![Dispatched { method }.into(), started.into()]));
        records.push(if n.is_multiple_of(5) {
            let detail = "503".to_owned();
            let failed = AttemptFailed { attempt: 1, kind: ErrorKind::Server, detail, latency_ms, evidence: None };
            self.record(n, false, vec![failed.into()])
        } else {
            let done =
                AttemptSucceeded { attempt: 1, already_registered: false, latency_ms, evidence: None, received: None };
            self.record(n, false, vec![done.into(), RegistrationSucceeded { method, confirmation: None }.into()])
        });
        records
    }
}

/// The most memory that this process has held so far, kB.
fn peak_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn folding_a_million_events_keeps_the_whole_process_under_100_mb() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("analytics");
    let view = AnalyticsView::open(&dir, 1, Timestamp(BEGIN_US)).unwrap().view;
    let mut source = Source { sequence: 0, registration: 0, events: 0 };
    let (mut page, mut took) = (Vec::with_capacity(PAGE_RECORDS + 3), std::time::Duration::ZERO);
    while source.events < EVENTS {
        page.extend(source.next());
        if page.len() >= PAGE_RECORDS || source.events >= EVENTS {
            let begun = Instant::now();
            view.apply(&page, NO_MAKERS).unwrap();
            view.tick().unwrap();
            took += begun.elapsed();
            page.clear();
        }
    }
    view.write().unwrap();
    let peak = peak_kb();
    // the last ones come a little later
    let end = Timestamp(BEGIN_US + (DAYS + 1) * 86_400 * 1_000_000);
    let ever = Window { start: Timestamp(BEGIN_US), end };
    let total = view.metrics(ever, &MetricsFilter::default()).unwrap().total;
    let bytes: u64 = std::fs::read_dir(&dir)
        .unwrap()
        .map(|file| file.unwrap().metadata().unwrap())
        .filter(std::fs::Metadata::is_file)
        .map(|file| file.len())
        .sum();
    println!(
        "{} events in {} records of {} registrations: {:.0} records/s, peak {} MB, files {} MB",
        source.events,
        source.sequence,
        source.registration,
        source.sequence as f64 / took.as_secs_f64(),
        peak / 1024,
        bytes / 1024 / 1024
    );
    assert_eq!(total.attempts(), source.registration - source.registration / 8);
    assert!(peak < PEAK_MAX_KB, "{peak} kB");
}
