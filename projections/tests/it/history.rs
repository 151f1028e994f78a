//! Histories for tests: records with true hashes and links.

use std::collections::HashMap;

use events::event::{
    AttemptFailed, AttemptStarted, AttemptSucceeded, CorrectionNeeded, Dispatched, ManualRequired, PacketSent,
    RegistrationSucceeded, Submitted,
};
use events::record::hash_of;
use events::{
    Actor, ErrorKind, Event, FieldProblem, Link, MailPreference, MakerEvent, ManualReason, Method, ObjectRef,
    PersonKeyId, Priority, Record, RecordId, RegistrationId, Sequence, Shard, Stored, StoredMaker, Timestamp,
};
use jiff::civil::date;
use uuid::Uuid;

/// The incarnation of the stream in all tests.
pub const STREAM: i64 = 1_700_000_000_000_000_000;
/// The time at which views are opened.
pub const NOW: Timestamp = Timestamp(1_790_000_000_000_000);
/// What stands for sealed details; must not be found in a view.
pub const SEALED: &[u8] = b"sealed-details-of-a-person";

/// A log under construction.
#[derive(Default)]
pub struct Log {
    /// Its records.
    pub records: Vec<Stored>,
    /// Those of makers.
    pub makers: Vec<StoredMaker>,
    /// The time of the next records; without it each comes a microsecond after the one before.
    pub now: Option<Timestamp>,
    last: HashMap<RegistrationId, Link>,
}

/// The `n`-th registration.
pub fn id(n: u64) -> RegistrationId {
    RegistrationId(Uuid::from_u128(u128::from(n).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)))
}

/// The pseudonym of the `n`-th owner.
pub fn owner(n: u64) -> [u8; 16] {
    u128::from(n).to_be_bytes()
}

impl Log {
    /// An empty one at this time.
    pub fn beginning(now: Timestamp) -> Self {
        Self { now: Some(now), ..Self::default() }
    }

    /// Appends a record.
    pub fn append(&mut self, id: RegistrationId, events: Vec<Event>) -> Stored {
        let (sequence, at) = self.next();
        let record = Record {
            id: RecordId(Uuid::from_u128(sequence.into())),
            at,
            actor: Actor::System,
            cause: None,
            trace: None,
            previous: self.last.get(&id).copied(),
            events,
        };
        let hash = hash_of(&record.encode().unwrap());
        let stored = Stored { sequence, shard: Shard(3), registration: id, record, hash };
        self.last.insert(id, stored.link());
        self.records.push(stored.clone());
        stored
    }

    /// Appends a record of a maker.
    pub fn append_maker(&mut self, connector: &str, actor: Actor, events: Vec<MakerEvent>) {
        let (sequence, at) = self.next();
        let id = RecordId(Uuid::from_u128(sequence.into()));
        let record = Record { id, at, actor, cause: None, trace: None, previous: None, events };
        let hash = hash_of(&record.encode().unwrap());
        self.makers.push(StoredMaker { sequence, connector: connector.into(), record, hash });
    }

    fn next(&self) -> (Sequence, Timestamp) {
        let sequence = (self.records.len() + self.makers.len()) as Sequence + 1;
        let each = || Timestamp(1_780_000_000_000_000 + i64::try_from(sequence).unwrap());
        (sequence, self.now.unwrap_or_else(each))
    }

    /// An attempt of a new registration that ends after `latency_ms`, well or not.
    pub fn attempt(&mut self, n: u64, maker: &str, failure: Option<ErrorKind>, latency_ms: u32) {
        self.submit(n, maker, owner(n));
        let method = Method::Api;
        self.append(id(n), vec![AttemptStarted { attempt: 1, method, connector: maker.into(), sends: None }.into()]);
        let ended = match failure {
            None => {
                AttemptSucceeded { attempt: 1, already_registered: false, latency_ms, evidence: None, received: None }
                    .into()
            }
            Some(kind) => AttemptFailed { attempt: 1, kind, detail: "told".into(), latency_ms, evidence: None }.into(),
        };
        self.append(id(n), vec![ended]);
    }

    pub fn submit(&mut self, n: u64, maker: &str, owner_ref: [u8; 16]) -> Stored {
        let submitted = Submitted {
            tenant: "shop".into(),
            request_id: Some(n.to_string()),
            connector: maker.into(),
            brand: "Norrland".into(),
            model: "VK 200".into(),
            purchased_on: Some(date(2026, 11, 2)),
            priority: Priority::Normal,
            owner_ref,
            person_key: PersonKeyId(Uuid::from_u128(5)),
            sealed: SEALED.to_vec(),
            proof: None,
            register_by: None,
            mail: MailPreference::ManualOnly,
        };
        self.append(id(n), vec![submitted.into()])
    }

    pub fn start(&mut self, n: u64, attempt: u32, method: Method) -> Stored {
        self.append(
            id(n),
            vec![
                Dispatched { method }.into(),
                AttemptStarted { attempt, method, connector: "norrland".into(), sends: None }.into(),
            ],
        )
    }

    pub fn succeed(&mut self, n: u64) -> Stored {
        let done =
            AttemptSucceeded { attempt: 1, already_registered: false, latency_ms: 9, evidence: None, received: None };
        let confirmation = Some(format!("NR-{n:06}"));
        self.append(id(n), vec![done.into(), RegistrationSucceeded { method: Method::Api, confirmation }.into()])
    }

    /// The three records of the happy path.
    pub fn happy(&mut self, n: u64) {
        self.submit(n, "norrland", owner(n));
        self.start(n, 1, Method::Api);
        self.succeed(n);
    }

    /// A captcha stands before the form; the owner gets the packet.
    pub fn manual(&mut self, n: u64) {
        self.submit(n, "veloce", owner(n));
        self.start(n, 1, Method::AutomationReliable);
        let evidence = Some(object("screenshot-1"));
        let detail = "a captcha stands before the form".to_owned();
        let failed = AttemptFailed { attempt: 1, kind: ErrorKind::Captcha, detail, latency_ms: 90, evidence };
        self.append(id(n), vec![failed.into()]);
        let manual = ManualRequired { reason: ManualReason::Captcha };
        self.append(id(n), vec![Dispatched { method: Method::AssistedManual }.into(), manual.into()]);
        self.append(id(n), vec![packet().into()]);
    }

    /// The maker refuses the serial number.
    pub fn needs_correction(&mut self, n: u64) {
        self.submit(n, "norrland", owner(n));
        self.start(n, 1, Method::Api);
        let (kind, detail) = (ErrorKind::Validation, "the maker refused the data".to_owned());
        let failed = AttemptFailed { attempt: 1, kind, detail, latency_ms: 9, evidence: None };
        let fields = vec![FieldProblem::new("product.serial", "is not known to the maker")];
        self.append(id(n), vec![failed.into(), CorrectionNeeded { fields }.into()]);
    }
}

pub fn packet() -> PacketSent {
    PacketSent { pdf: object("packet-1"), message_id: "packet-1@regflow".into(), missing_glyphs: Vec::new() }
}

fn object(name: &str) -> ObjectRef {
    ObjectRef { name: name.into(), sha256: vec![7; 32], size_bytes: 1_000 }
}
