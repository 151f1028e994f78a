//! The facts about registrations that are stored, in the past tense.

mod v1;
mod v2;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::fact::facts;
use crate::id::PersonKeyId;
use crate::outcome::{ErrorKind, FieldProblem, ObjectRef};
use crate::sending::{Received, Sending};
use crate::time::Timestamp;
use crate::words::{ForgetReason, HoldReason, MailPreference, ManualReason, Method, Priority, SkipReason};

facts! {
    /// One fact about a registration.
    Event {
        /// A product was handed over.
        Submitted = 1 v 3 (1: v1::Submitted) (2: v2::Submitted) "submitted";
        /// A method was chosen.
        Dispatched = 2 v 1 "dispatched";
        /// A try of a method began; stored before anything leaves the house.
        AttemptStarted = 3 v 3 (1: v1::AttemptStarted) (2: v2::AttemptStarted) "attempt_started";
        /// A try ended with the maker having it registered.
        AttemptSucceeded = 4 v 2 (1: v1::AttemptSucceeded) "attempt_succeeded";
        /// A try failed.
        AttemptFailed = 5 v 1 "attempt_failed";
        /// The same method will be tried again.
        RetryScheduled = 6 v 1 "retry_scheduled";
        /// The end that everybody hopes for.
        RegistrationSucceeded = 7 v 1 "registration_succeeded";
        /// Sent to the maker, and nobody knows what became of it.
        OutcomeUnknown = 8 v 1 "outcome_unknown";
        /// No automatic method is left.
        ManualRequired = 9 v 1 "manual_required";
        /// The packet is made and kept, and went to the owner unless no mail is wanted.
        PacketSent = 10 v 1 "packet_sent";
        /// The packet could not be made or sent.
        PacketFailed = 11 v 1 "packet_failed";
        /// A person said that it is done.
        UserCompleted = 12 v 2 (1: v1::UserCompleted) "user_completed";
        /// The maker refused the data.
        CorrectionNeeded = 13 v 1 "correction_needed";
        /// A person mended the data.
        Corrected = 14 v 3 (1: v1::Corrected) (2: v2::Corrected) "corrected";
        /// A person asked for another try.
        RetryRequested = 15 v 2 (1: v1::RetryRequested) "retry_requested";
        /// A person withdrew it.
        Cancelled = 16 v 1 "cancelled";
        /// A turn could not be had: a guard of the maker is closed.
        Held = 17 v 1 "held";
        /// A method was passed over without an attempt.
        MethodSkipped = 18 v 1 "method_skipped";
        /// The maker asked us to slow down.
        MakerThrottled = 19 v 1 "maker_throttled";
        /// An attempt that a crash interrupted is made again under its own number and key.
        AttemptRepeated = 20 v 2 (1: v1::AttemptRepeated) "attempt_repeated";
        /// The maker will be asked what became of an attempt.
        LookupScheduled = 21 v 2 (1: v1::LookupScheduled) "lookup_scheduled";
        /// The maker says that it has nothing of the attempt.
        FoundUnregistered = 22 v 1 "found_unregistered";
        /// The maker cannot tell what became of the attempt; a person is asked.
        LookupGivenUp = 23 v 1 "lookup_given_up";
        /// The last day comes near, and it is not registered yet.
        DeadlineNear = 24 v 1 "deadline_near";
        /// The last day passed.
        Expired = 25 v 1 "expired";
        /// The maker may have taken the attempt that failed; only the same request may follow until that is known.
        LeftInDoubt = 26 v 1 "left_in_doubt";
        /// The person was mailed that it is registered.
        OwnerMailed = 27 v 1 "owner_mailed";
        /// That mail could not be sent.
        OwnerMailFailed = 29 v 1 "owner_mail_failed";
        /// The owner looked at the page behind the link of the mail.
        PacketOpened = 28 v 1 "packet_opened";
        /// The person is forgotten: nothing more is done, and what identifies them is to be erased.
        PersonForgotten = 30 v 1 "person_forgotten";
        /// That is carried out: the key and the files are gone.
        PersonErased = 31 v 1 "person_erased";
    }
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
    /// The maker's last day for it, if there is one.
    pub register_by: Option<Date>,
    /// Which mails the person wants; the server's default is filled in when it is submitted.
    pub mail: MailPreference,
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
    /// The maker's connector, so that a maker's limits and circuits can be counted without knowing its registrations.
    pub connector: String,
    /// What it sends; nothing in records of the time before this was noted.
    pub sends: Option<Sending>,
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
    /// What came back; nothing of a form, whose screenshot tells it.
    pub received: Option<Received>,
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
    /// The Message-ID of the mail; derived, so that a repeat can be told. Empty when the person wants no mail.
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
    /// A photo or a copy of the maker's confirmation in the object store (sealed), if the person added one.
    pub photo: Option<ObjectRef>,
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
    /// The maker's last day for it, after the correction.
    pub register_by: Option<Date>,
    /// The pseudonym of the owner after the correction: whoever has the address from then on is who may see it.
    #[serde(with = "serde_bytes")]
    pub owner_ref: Option<[u8; 16]>,
}

/// See [`Event::RetryRequested`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetryRequested {
    /// The rung of the ladder to begin at; the first when absent.
    pub from: Option<Method>,
    /// Why, if the person said so.
    pub reason: Option<String>,
}

/// See [`Event::Cancelled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Why, if the person said so.
    pub reason: Option<String>,
}

/// See [`Event::Held`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The method whose turn it is.
    pub method: Method,
    /// What it waits for.
    pub reason: HoldReason,
    /// When that may end, as far as it was known.
    pub until: Option<Timestamp>,
}

/// See [`Event::MethodSkipped`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MethodSkipped {
    /// Which.
    pub method: Method,
    /// Why.
    pub reason: SkipReason,
}

/// See [`Event::MakerThrottled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MakerThrottled {
    /// Nothing is sent to this maker before.
    pub until: Timestamp,
}

/// See [`Event::AttemptRepeated`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRepeated {
    /// Which one.
    pub attempt: u32,
    /// What it sends this time: the connector may have changed meanwhile. As in [`AttemptStarted`].
    pub sends: Option<Sending>,
}

/// See [`Event::LookupScheduled`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupScheduled {
    /// The attempt in question.
    pub attempt: u32,
    /// When the maker is asked.
    pub at: Timestamp,
    /// What the question sends. As in [`AttemptStarted`].
    pub sends: Option<Sending>,
}

/// See [`Event::FoundUnregistered`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundUnregistered {
    /// The attempt in question.
    pub attempt: u32,
}

/// See [`Event::LookupGivenUp`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LookupGivenUp {
    /// The attempt in question.
    pub attempt: u32,
    /// Why, in one line.
    pub detail: String,
}

/// See [`Event::DeadlineNear`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadlineNear {
    /// The maker's last day.
    pub last_day: Date,
}

/// See [`Event::Expired`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expired {
    /// The maker's last day.
    pub last_day: Date,
}

/// See [`Event::LeftInDoubt`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftInDoubt {
    /// Which one.
    pub attempt: u32,
}

/// See [`Event::OwnerMailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerMailed {
    /// The Message-ID of the mail; derived, so that a repeat can be told.
    pub message_id: String,
}

/// See [`Event::OwnerMailFailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerMailFailed {
    /// Why, in one line without personal data.
    pub detail: String,
    /// When it is tried again; nothing when it is given up.
    pub retry_at: Option<Timestamp>,
}

/// See [`Event::PacketOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PacketOpened {}

/// See [`Event::PersonForgotten`]. Who asked is the record's actor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonForgotten {
    /// Why; a word and no text, because a text would stay for ever and could name the person again.
    pub reason: ForgetReason,
}

/// See [`Event::PersonErased`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersonErased {
    /// The keys that are destroyed.
    pub keys: Vec<PersonKeyId>,
    /// Files that were deleted: proof of purchase, screenshots, packet, photo. Those that were gone already do not count.
    pub files: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fact::Fact;

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
