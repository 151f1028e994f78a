//! A log that is told what happens to some registrations and makers, step by step; which step comes is drawn from a seed.

use std::collections::HashMap;

use bus::{EventLog, MemoryLog};
use events::event::{
    AttemptFailed, AttemptStarted, AttemptSucceeded, Cancelled, Dispatched, ManualRequired, OwnerMailed, PacketOpened,
    PacketSent, RegistrationSucceeded, RetryRequested, RetryScheduled, Submitted, UserCompleted,
};
use events::maker_event::{
    CircuitClosed, CircuitHalfOpened, CircuitOpened, IncidentClosed, IncidentOpened, Paused, Resumed,
};
use events::{
    Actor, ErrorKind, Event, HealthState, Link, MailPreference, MakerEvent, ManualReason, Method, ObjectRef,
    PersonKeyId, Priority, Record, RecordId, RegistrationId, Sequence, Shard, Timestamp,
};
use jiff::civil::date;
use uuid::Uuid;

pub const MAKERS: [&str; 3] = ["hartmann", "kestrel", "norrland"];
pub const BEGIN: Timestamp = Timestamp(1_795_000_000_000_000);
pub const SHARDS: u16 = 4;

/// Numbers from a seed (Knuth's MMIX constants); the same on every machine.
pub struct Dice(pub u64);

impl Dice {
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end
    }
}

/// How far one registration has come.
#[derive(Clone, Copy, PartialEq)]
enum Step {
    New,
    Attempting(u32),
    Waiting(u32),
    ByHand,
    Packet,
    Succeeded,
    Cancelled,
    Over,
}

pub struct Teller {
    pub log: MemoryLog,
    pub ids: Vec<RegistrationId>,
    dice: Dice,
    now: Timestamp,
    steps: Vec<Step>,
    last: HashMap<String, Link>,
    records: u128,
}

impl Teller {
    pub fn new(seed: u64) -> Self {
        let (dice, last) = (Dice(seed), HashMap::new());
        Self { log: MemoryLog::default(), ids: Vec::new(), dice, now: BEGIN, steps: Vec::new(), last, records: 0 }
    }

    pub fn connector(place: usize) -> &'static str {
        MAKERS[place % MAKERS.len()]
    }

    /// The pseudonym of one of four persons.
    pub fn owner(place: usize) -> [u8; 16] {
        [u8::try_from(place % 4).unwrap() + 1; 16]
    }

    /// One step of the story.
    pub async fn tell(&mut self) -> Sequence {
        self.now = Timestamp(self.now.0 + 200_000 + i64::try_from(self.dice.below(60_000_000)).unwrap());
        match self.dice.below(10) {
            0 => self.maker().await,
            1..=3 => self.submit().await,
            _ if self.ids.is_empty() => self.submit().await,
            _ => {
                let place = usize::try_from(self.dice.below(self.ids.len() as u64)).unwrap();
                self.go_on(place).await
            }
        }
    }

    pub async fn submit(&mut self) -> Sequence {
        let place = self.ids.len();
        self.ids.push(RegistrationId(Uuid::from_u128(0x5eed_0000 + place as u128)));
        self.steps.push(Step::New);
        let submitted = Submitted {
            tenant: if place.is_multiple_of(5) { "other" } else { "shop" }.into(),
            request_id: None,
            connector: Self::connector(place).into(),
            brand: "Brand \"quoted\"".into(),
            model: "Model".into(),
            purchased_on: Some(date(2026, 11, 2)),
            priority: Priority::Normal,
            owner_ref: Self::owner(place),
            person_key: PersonKeyId(Uuid::from_u128(1)),
            sealed: vec![0xC0; 200],
            proof: None,
            register_by: Some(date(2026, 12, 2)),
            mail: if place.is_multiple_of(2) { MailPreference::All } else { MailPreference::ManualOnly },
        };
        self.append(place, vec![submitted.into()]).await
    }

    async fn go_on(&mut self, place: usize) -> Sequence {
        let luck = self.dice.below(4);
        let (step, events) = self.next(place, luck);
        self.steps[place] = step;
        self.append(place, events).await
    }

    fn next(&self, place: usize, luck: u64) -> (Step, Vec<Event>) {
        let connector = Self::connector(place).to_owned();
        let started = |attempt| {
            let started = AttemptStarted { attempt, method: Method::Api, connector: connector.clone(), sends: None };
            (Step::Attempting(attempt), vec![Dispatched { method: Method::Api }.into(), started.into()])
        };
        let again = || (Step::New, vec![RetryRequested { from: None, reason: Some("please".into()) }.into()]);
        match (self.steps[place], luck) {
            (Step::New, 0) => (Step::Cancelled, vec![Cancelled { reason: None }.into()]),
            (Step::New, _) => started(1),
            (Step::Waiting(attempt), _) => started(attempt + 1),
            (Step::Attempting(attempt), 0 | 1) => {
                let done = AttemptSucceeded {
                    attempt,
                    already_registered: false,
                    latency_ms: 40,
                    evidence: None,
                    received: None,
                };
                let registered = RegistrationSucceeded { method: Method::Api, confirmation: Some("OK-1".into()) };
                (Step::Succeeded, vec![done.into(), registered.into()])
            }
            (Step::Attempting(attempt), luck) => {
                let failed = failed(attempt);
                if luck == 2 {
                    let at = self.now.plus(std::time::Duration::from_secs(5));
                    return (Step::Waiting(attempt), vec![failed, RetryScheduled { method: Method::Api, at }.into()]);
                }
                (Step::ByHand, vec![failed, ManualRequired { reason: ManualReason::MethodsExhausted }.into()])
            }
            (Step::ByHand, _) => (Step::Packet, vec![packet()]),
            (Step::Packet, 0) => (Step::Packet, vec![PacketOpened {}.into()]),
            (Step::Packet, 1) => again(),
            (Step::Packet, _) => (Step::Over, vec![UserCompleted { confirmation: None, photo: None }.into()]),
            (Step::Succeeded, _) => (Step::Over, vec![OwnerMailed { message_id: "<m@x>".into() }.into()]),
            (Step::Cancelled, _) => again(),
            // a record that comes late, of one that has ended
            (Step::Over, _) => (Step::Over, vec![OwnerMailed { message_id: "<late@x>".into() }.into()]),
        }
    }

    async fn append(&mut self, place: usize, events: Vec<Event>) -> Sequence {
        let (id, shard) = (self.ids[place], Shard::of(Self::connector(place), SHARDS));
        let key = id.to_string();
        let record = self.record(&key, events);
        let link = self.log.append(shard, id, &record).await.unwrap();
        self.last.insert(key, link);
        link.sequence
    }

    async fn maker(&mut self) -> Sequence {
        let connector = Self::connector(usize::try_from(self.dice.below(3)).unwrap());
        let (method, reason, until) =
            (Method::Api, "their \u{1b}[2J words".to_owned(), self.now.plus(std::time::Duration::from_secs(60)));
        let event: MakerEvent = match self.dice.below(7) {
            0 => CircuitOpened { method, until, failures: 5 }.into(),
            1 => CircuitHalfOpened { method }.into(),
            2 => CircuitClosed { method }.into(),
            3 => Paused { method: None, reason }.into(),
            4 => IncidentOpened { state: HealthState::Down, detail: reason }.into(),
            5 => IncidentClosed { opened_at: self.now }.into(),
            _ => Resumed { method: None, reason }.into(),
        };
        let record = self.record(connector, vec![event]);
        let link = self.log.append_maker(Shard::of(connector, SHARDS), connector, &record).await.unwrap();
        self.last.insert(connector.to_owned(), link);
        link.sequence
    }

    fn record<F>(&mut self, key: &str, events: Vec<F>) -> Record<F> {
        self.records += 1;
        Record {
            id: RecordId(Uuid::from_u128(0xACC0_0000 + self.records)),
            at: self.now,
            actor: if self.records.is_multiple_of(3) { Actor::Client("shop \"1\"".into()) } else { Actor::System },
            cause: (self.records > 1).then(|| RecordId(Uuid::from_u128(0xACC0_0000 + self.records - 1))),
            trace: None,
            previous: self.last.get(key).copied(),
            events,
        }
    }
}

fn failed(attempt: u32) -> Event {
    let detail = "503 from the maker".to_owned();
    AttemptFailed { attempt, kind: ErrorKind::Server, detail, latency_ms: 900, evidence: None }.into()
}

fn packet() -> Event {
    let pdf = ObjectRef { name: "packet".into(), sha256: vec![9; 32], size_bytes: 70_000 };
    PacketSent { pdf, message_id: "<p@x>".into(), missing_glyphs: Vec::new() }.into()
}
