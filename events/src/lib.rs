//! The vocabulary and the rules: what can happen to a registration and what should happen next.
//!
//! No async, no clock, no I/O: time, randomness and the world's answers come in as arguments.

pub mod decide;
pub mod details;
pub mod event;
pub mod health;
pub mod id;
pub mod ladder;
pub mod outcome;
pub mod policy;
pub mod record;
pub mod retry;
pub mod seal;
pub mod state;
pub mod subject;
pub mod time;
pub mod words;

pub use decide::{Command, Conclusion, Refusal, decide};
pub use details::Details;
pub use event::Event;
pub use health::{CheckResult, Drift, DriftKind, HealthState};
pub use id::{PersonKeyId, RecordId, RegistrationId, Sequence, Shard};
pub use ladder::{Step, next_step};
pub use outcome::{ErrorKind, Failure, FieldProblem, ObjectRef, Outcome};
pub use policy::{
    CircuitPolicy, Concurrency, Deadline, DeadlineFrom, DeadlineRule, HealthPolicy, MakerPolicy, RateLimit, Refill,
    WhenOpen,
};
pub use record::{Actor, Link, Record, RecordHash, Stored};
pub use retry::RetryPolicy;
pub use state::{Registration, Stage};
pub use time::Timestamp;
pub use words::{ManualReason, Method, Priority, Status};
