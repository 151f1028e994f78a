//! Second versions of events that have changed since: only read, never written.

use jiff::civil::Date;
use serde::Deserialize;

use crate::id::PersonKeyId;
use crate::outcome::ObjectRef;
use crate::words::{MailPreference, Method, Priority};

/// Without the preference of mails. Nobody was mailed of a success then, and nobody is to be now for what was registered
/// long ago.
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
    register_by: Option<Date>,
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
            register_by: old.register_by,
            mail: MailPreference::ManualOnly,
        }
    }
}

/// Without what it sends.
#[derive(Deserialize)]
pub(super) struct AttemptStarted {
    attempt: u32,
    method: Method,
    connector: String,
}

impl From<AttemptStarted> for super::AttemptStarted {
    fn from(old: AttemptStarted) -> Self {
        Self { attempt: old.attempt, method: old.method, connector: old.connector, sends: None }
    }
}

/// Without the owner: a correction of the address did not move the registration then.
#[derive(Deserialize)]
pub(super) struct Corrected {
    model: String,
    purchased_on: Option<Date>,
    person_key: PersonKeyId,
    #[serde(with = "serde_bytes")]
    sealed: Vec<u8>,
    register_by: Option<Date>,
}

impl From<Corrected> for super::Corrected {
    fn from(old: Corrected) -> Self {
        Self {
            model: old.model,
            purchased_on: old.purchased_on,
            person_key: old.person_key,
            sealed: old.sealed,
            register_by: old.register_by,
            owner_ref: None,
        }
    }
}
