//! The facts that are stored, in the past tense. A stored struct is frozen: a change is a new version with an upcaster.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::id::PersonKeyId;
use crate::outcome::{ErrorKind, FieldProblem, ObjectRef};
use crate::time::Timestamp;
use crate::words::{ManualReason, Method, Priority};

/// Declares the set of events once: variant, tag in stored bytes (never reused), schema version, name for people.
macro_rules! events {
    ($($(#[$doc:meta])* $name:ident = $tag:literal v $version:literal, $text:literal;)+) => {
        /// One fact about a registration.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
        #[serde(untagged)]
        pub enum Event { $($(#[$doc])* $name($name),)+ }

        $(impl From<$name> for Event {
            fn from(event: $name) -> Self { Self::$name(event) }
        })+

        impl Event {
            /// Every tag with the version that is written today and its name.
            pub const TAGS: &'static [(u16, u16, &'static str)] = &[$(($tag, $version, $text),)+];

            /// The number of its kind in stored bytes.
            #[must_use]
            pub const fn tag(&self) -> u16 {
                match self { $(Self::$name(_) => $tag,)+ }
            }

            /// The version of its schema that is written today.
            #[must_use]
            pub const fn schema_version(&self) -> u16 {
                match self { $(Self::$name(_) => $version,)+ }
            }

            /// Its name as people and subscribers see it, for example `attempt_failed`.
            #[must_use]
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => $text,)+ }
            }

            pub(crate) fn body(&self) -> postcard::Result<Vec<u8>> {
                match self { $(Self::$name(event) => postcard::to_stdvec(event),)+ }
            }

            /// Nothing when no such event is known; older versions would be upcast here.
            pub(crate) fn from_body(tag: u16, version: u16, body: &[u8]) -> Option<postcard::Result<Self>> {
                match (tag, version) {
                    $(($tag, $version) => Some(whole(body).map(Self::$name)),)+
                    _ => None,
                }
            }
        }
    };
}

events! {
    /// A product was handed over.
    Submitted = 1 v 1, "submitted";
    /// A method was chosen.
    Dispatched = 2 v 1, "dispatched";
    /// A try of a method began; stored before anything leaves the house.
    AttemptStarted = 3 v 1, "attempt_started";
    /// A try ended with the maker having it registered.
    AttemptSucceeded = 4 v 1, "attempt_succeeded";
    /// A try failed.
    AttemptFailed = 5 v 1, "attempt_failed";
    /// The same method will be tried again.
    RetryScheduled = 6 v 1, "retry_scheduled";
    /// The end that everybody hopes for.
    RegistrationSucceeded = 7 v 1, "registration_succeeded";
    /// Sent to the maker, and nobody knows what became of it.
    OutcomeUnknown = 8 v 1, "outcome_unknown";
    /// No automatic method is left.
    ManualRequired = 9 v 1, "manual_required";
    /// The packet went to the owner.
    PacketSent = 10 v 1, "packet_sent";
    /// The packet could not be made or sent.
    PacketFailed = 11 v 1, "packet_failed";
    /// A person said that it is done.
    UserCompleted = 12 v 1, "user_completed";
    /// The maker refused the data.
    CorrectionNeeded = 13 v 1, "correction_needed";
    /// A person mended the data.
    Corrected = 14 v 1, "corrected";
    /// A person asked for another try.
    RetryRequested = 15 v 1, "retry_requested";
    /// A person withdrew it.
    Cancelled = 16 v 1, "cancelled";
}

/// See [`Event::Submitted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Submitted {
    /// Whose service it came through.
    pub tenant: String,
    /// The client's own id for the request, if it gave one.
    pub request_id: Option<String>,
    /// The connector that was chosen for the brand.
    pub connector: String,
    /// Brand as the person wrote it.
    pub brand: String,
    /// Model.
    pub model: String,
    /// Day of purchase.
    pub purchased_on: Option<Date>,
    /// Class in the queue.
    pub priority: Priority,
    /// Pseudonym of the owner within the tenant.
    #[serde(with = "serde_bytes")]
    pub owner_ref: [u8; 16],
    /// The key that seals the details.
    pub person_key: PersonKeyId,
    /// All details, sealed.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
    /// The proof of purchase in the object store (sealed), if there is one.
    pub proof: Option<ObjectRef>,
}

/// See [`Event::Dispatched`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatched {
    /// The method that will be tried.
    pub method: Method,
}

/// See [`Event::AttemptStarted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptStarted {
    /// Counts all attempts of the registration from 1; fences late outcomes.
    pub attempt: u32,
    /// How it is tried.
    pub method: Method,
}

/// See [`Event::AttemptSucceeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptSucceeded {
    /// Which one.
    pub attempt: u32,
    /// True when the maker had it registered before.
    pub already_registered: bool,
    /// How long the maker took, milliseconds.
    pub latency_ms: u32,
    /// A screenshot, when a browser did it.
    pub evidence: Option<ObjectRef>,
}

/// See [`Event::AttemptFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptFailed {
    /// Which one.
    pub attempt: u32,
    /// Why.
    pub kind: ErrorKind,
    /// One line without personal data.
    pub detail: String,
    /// How long it took, milliseconds.
    pub latency_ms: u32,
    /// A screenshot, when a browser did it.
    pub evidence: Option<ObjectRef>,
}

/// See [`Event::RetryScheduled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// The method that will be tried again.
    pub method: Method,
    /// Not before this.
    pub at: Timestamp,
}

/// See [`Event::RegistrationSucceeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegistrationSucceeded {
    /// The method that did it.
    pub method: Method,
    /// The maker's code for it, if it gave one.
    pub confirmation: Option<String>,
}

/// See [`Event::OutcomeUnknown`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutcomeUnknown {
    /// The attempt whose outcome is not known.
    pub attempt: u32,
    /// Why not, in one line.
    pub detail: String,
}

/// See [`Event::ManualRequired`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManualRequired {
    /// Why.
    pub reason: ManualReason,
}

/// See [`Event::PacketSent`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketSent {
    /// The PDF in the object store (sealed).
    pub pdf: ObjectRef,
    /// The Message-ID of the mail; derived, so that a repeat can be told.
    pub message_id: String,
    /// Fields whose characters the fonts could not draw.
    pub missing_glyphs: Vec<String>,
}

/// See [`Event::PacketFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketFailed {
    /// Why, in one line without personal data.
    pub detail: String,
    /// When it is tried again; nothing when a person must look.
    pub retry_at: Option<Timestamp>,
}

/// See [`Event::UserCompleted`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserCompleted {
    /// The maker's code, if the person has one.
    pub confirmation: Option<String>,
}

/// See [`Event::CorrectionNeeded`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CorrectionNeeded {
    /// What the maker refused.
    pub fields: Vec<FieldProblem>,
}

/// See [`Event::Corrected`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Corrected {
    /// Model, after the correction.
    pub model: String,
    /// Day of purchase, after the correction.
    pub purchased_on: Option<Date>,
    /// The key that seals the details.
    pub person_key: PersonKeyId,
    /// All details, sealed.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// See [`Event::RetryRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequested {
    /// The rung of the ladder to begin at; the first when absent.
    pub from: Option<Method>,
}

/// See [`Event::Cancelled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why, if the person said so.
    pub reason: Option<String>,
}

/// Decodes all of `body`; a remainder is an error, because postcard reads a longer struct's head as a shorter one.
fn whole<'a, T: Deserialize<'a>>(body: &'a [u8]) -> postcard::Result<T> {
    match postcard::take_from_bytes(body)? {
        (value, []) => Ok(value),
        (_, _) => Err(postcard::Error::SerdeDeCustom),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_names_are_used_once() {
        let mut tags: Vec<_> = Event::TAGS.iter().map(|(tag, ..)| tag).collect();
        let mut names: Vec<_> = Event::TAGS.iter().map(|(.., name)| name).collect();
        tags.sort();
        tags.dedup();
        names.sort();
        names.dedup();
        assert_eq!((tags.len(), names.len()), (Event::TAGS.len(), Event::TAGS.len()));
    }

    #[test]
    fn a_remainder_after_the_body_is_refused() {
        let event = Event::from(Cancelled { reason: None });
        let mut body = event.body().expect("encodes");
        assert!(matches!(Event::from_body(16, 1, &body), Some(Ok(decoded)) if decoded == event));
        body.push(0);
        assert!(matches!(Event::from_body(16, 1, &body), Some(Err(_))));
    }

    #[test]
    fn an_unknown_tag_or_version_is_not_guessed() {
        assert!(Event::from_body(999, 1, &[]).is_none());
        assert!(Event::from_body(16, 2, &[0]).is_none());
    }
}
