//! First versions of events that have changed since: only read, never written.

use jiff::civil::Date;
use serde::Deserialize;

use crate::id::PersonKeyId;
use crate::outcome::ObjectRef;
use crate::time::Timestamp;
use crate::words::{MailPreference, Method, Priority};

/// Without the last day and the preference of mails.
#[derive(Deserialize)]
pub(super) struct Submitted {
    tenant: String,
    request_id: Option<String>,
    connector: String,
    brand: String,
    model: String,
    purchased_on: Option<Date>,
    priority: Priority,
    #[serde(with = "serde_bytes")]
    owner_ref: [u8; 16],
    person_key: PersonKeyId,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
    proof: Option<ObjectRef>,
}

impl From<Submitted> for super::Submitted {
    fn from(old: Submitted) -> Self {
        Self {
            tenant: old.tenant,
            request_id: old.request_id,
            connector: old.connector,
            brand: old.brand,
            model: old.model,
            purchased_on: old.purchased_on,
            priority: old.priority,
            owner_ref: old.owner_ref,
            person_key: old.person_key,
            sealed: old.sealed,
            proof: old.proof,
            register_by: None,
            mail: MailPreference::ManualOnly,
        }
    }
}

/// Without the connector.
#[derive(Deserialize)]
pub(super) struct AttemptStarted {
    attempt: u32,
    method: Method,
}

impl From<AttemptStarted> for super::AttemptStarted {
    fn from(old: AttemptStarted) -> Self {
        Self { attempt: old.attempt, method: old.method, connector: String::new(), sends: None }
    }
}

/// Without what came back.
#[derive(Deserialize)]
pub(super) struct AttemptSucceeded {
    attempt: u32,
    already_registered: bool,
    latency_ms: u32,
    evidence: Option<ObjectRef>,
}

impl From<AttemptSucceeded> for super::AttemptSucceeded {
    fn from(old: AttemptSucceeded) -> Self {
        Self {
            attempt: old.attempt,
            already_registered: old.already_registered,
            latency_ms: old.latency_ms,
            evidence: old.evidence,
            received: None,
        }
    }
}

/// Without what it sends.
#[derive(Deserialize)]
pub(super) struct AttemptRepeated {
    attempt: u32,
}

impl From<AttemptRepeated> for super::AttemptRepeated {
    fn from(old: AttemptRepeated) -> Self {
        Self { attempt: old.attempt, sends: None }
    }
}

/// Without what it sends.
#[derive(Deserialize)]
pub(super) struct LookupScheduled {
    attempt: u32,
    at: Timestamp,
}

impl From<LookupScheduled> for super::LookupScheduled {
    fn from(old: LookupScheduled) -> Self {
        Self { attempt: old.attempt, at: old.at, sends: None }
    }
}

/// Without the last day.
#[derive(Deserialize)]
pub(super) struct Corrected {
    model: String,
    purchased_on: Option<Date>,
    person_key: PersonKeyId,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
}

impl From<Corrected> for super::Corrected {
    fn from(old: Corrected) -> Self {
        Self {
            model: old.model,
            purchased_on: old.purchased_on,
            person_key: old.person_key,
            sealed: old.sealed,
            register_by: None,
            owner_ref: None,
        }
    }
}

/// Without the reason.
#[derive(Deserialize)]
pub(super) struct RetryRequested {
    from: Option<Method>,
}

impl From<RetryRequested> for super::RetryRequested {
    fn from(old: RetryRequested) -> Self {
        Self { from: old.from, reason: None }
    }
}

/// Without the photo.
#[derive(Deserialize)]
pub(super) struct UserCompleted {
    confirmation: Option<String>,
}

impl From<UserCompleted> for super::UserCompleted {
    fn from(old: UserCompleted) -> Self {
        Self { confirmation: old.confirmation, photo: None }
    }
}
