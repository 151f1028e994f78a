//! The vocabulary and the rules: what can happen to a registration and should happen next, and what guards its maker.
//!
//! No async, no clock, no I/O: time, randomness and the world's answers come in as arguments.

pub mod bucket;
pub mod circuit;
pub mod conclusion;
pub mod decide;
pub mod details;
mod details_v1;
pub mod event;
pub mod fact;
pub mod forget;
pub mod guards;
pub mod health;
pub mod id;
mod kept;
pub mod ladder;
pub mod line;
pub mod link;
pub mod maker;
pub mod maker_event;
pub mod note;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod retry;
pub mod ring;
pub mod schedule;
pub mod seal;
pub mod secrets;
pub mod sending;
pub mod snapshot;
pub mod state;
pub mod subject;
pub mod time;
pub mod tlog;
pub mod trace;
pub mod vitals;
pub mod words;

pub use bucket::{Bucket, Level};
pub use circuit::{AttemptKey, Circuit, CircuitFact, CircuitPhase, CircuitView, Gate, Verdict, verdict_of};
pub use conclusion::Conclusion;
pub use decide::{Answer, Command, Refusal, Says, decide};
pub use details::Details;
pub use event::Event;
pub use forget::{Forgetting, Kept, Retention, RetentionFrom};
pub use guards::{Guards, MakerIndex};
pub use health::{CheckResult, Drift, DriftKind, HealthState};
pub use id::{PersonKeyId, RecordId, RegistrationId, Sequence, Shard};
pub use ladder::{Outlook, Step, line_timer, next_step};
pub use line::{Ageing, Job, Line, longest_wait};
pub use maker::{Admission, Maker};
pub use maker_event::{AlertKind, MakerEvent, Severity};
pub use note::{NoteError, NoteSigner, NoteVerifier};
pub use outcome::{ErrorKind, Failure, FieldProblem, ObjectRef, Outcome};
pub use policy::{
    CircuitPolicy, Concurrency, Deadline, DeadlineFrom, DeadlineRule, HealthPolicy, MakerPolicy, RateLimit, Refill,
    WhenOpen,
};
pub use record::{Actor, Link, Record, RecordHash, Stored, StoredMaker};
pub use retry::RetryPolicy;
pub use sending::{Received, Sending, SentFields};
pub use snapshot::Snapshot;
pub use state::{OwnerMail, Registration, Stage};
pub use time::Timestamp;
pub use words::{ForgetReason, HoldReason, MailPreference, ManualReason, Method, Priority, SkipReason, Status};
