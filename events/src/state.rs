//! One registration as its events tell it: `evolve` folds them, nothing else changes it.

use bytes::Bytes;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::event::{Event, Held, RegistrationSucceeded};
use crate::forget::Forgetting;
use crate::id::{PersonKeyId, RecordId, RegistrationId, Shard};
use crate::outcome::{ErrorKind, FieldProblem, ObjectRef};
use crate::record::{Link, Stored, TraceContext};
use crate::time::Timestamp;
use crate::words::{HoldReason, MailPreference, ManualReason, Method, Priority, SkipReason, Status};

/// What the events so far add up to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registration {
    /// Its id.
    pub id: RegistrationId,
    /// Its shard.
    pub shard: Shard,
    /// Whose service it came through.
    pub tenant: String,
    /// The client's own id of the request.
    pub request_id: Option<String>,
    /// The connector.
    pub connector: String,
    /// Brand as the person wrote it.
    pub brand: String,
    /// Model.
    pub model: String,
    /// Day of purchase.
    pub purchased_on: Option<Date>,
    /// Class in the queue.
    pub priority: Priority,
    /// Pseudonym of the owner.
    pub owner_ref: [u8; 16],
    /// The key of the details.
    pub person_key: PersonKeyId,
    /// The sealed details; shared, because handlers carry them along.
    #[serde(with = "crate::snapshot::shared_bytes")]
    pub sealed: Bytes,
    /// The proof of purchase.
    pub proof: Option<ObjectRef>,
    /// The maker's last day for it, if there is one.
    pub register_by: Option<Date>,
    /// Whether people were told that the last day comes near.
    pub deadline_alerted: bool,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When the last record was written.
    pub updated_at: Timestamp,
    /// The number of the last attempt; 0 before the first.
    pub attempts: u32,
    /// Tries of the present method in a row.
    pub tries: u32,
    /// An attempt of the present method may have been taken although it failed: another method could register twice.
    pub in_doubt: bool,
    /// Which mails the person wants.
    pub mail: MailPreference,
    /// The mail that tells the person that it is registered, as long as it is due.
    pub owner_mail: Option<OwnerMail>,
    /// Where it stands.
    pub stage: Stage,
    /// How far forgetting its person has come; nothing while nobody asked for that.
    pub forgetting: Option<Forgetting>,
    /// The last record: what the next one is fenced by and chained to.
    pub last: Link,
    /// The id of that record: the cause of the next one.
    pub last_record: RecordId,
    /// The trace that it was submitted in.
    pub trace: Option<TraceContext>,
}

/// A mail with good news that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerMail {
    /// When it was registered.
    pub registered_at: Timestamp,
    /// Not before this (after a failure to send).
    pub not_before: Option<Timestamp>,
    /// Failures to send so far.
    pub failures: u32,
}

/// Where a registration stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stage {
    /// Nothing done since it was submitted, mended or asked for again.
    Fresh {
        /// The rung to begin at; the first when absent.
        from: Option<Method>,
    },
    /// An attempt is under way (or was, when we crashed).
    Attempting {
        /// How.
        method: Method,
    },
    /// The method will be tried again.
    Backoff {
        /// Which.
        method: Method,
        /// Not before this.
        until: Timestamp,
        /// What the last try died of.
        after: ErrorKind,
    },
    /// It is the method's turn, and a guard of the maker is closed.
    Held {
        /// Which.
        method: Method,
        /// What it waits for.
        reason: HoldReason,
        /// When that may end, as far as it was known.
        until: Option<Timestamp>,
        /// What the last try of this method died of; nothing when this is the first. No try is burnt by waiting.
        retry_after: Option<ErrorKind>,
    },
    /// The method is given up; the next rung's turn.
    MethodFailed {
        /// Which.
        method: Method,
        /// What it died of.
        kind: ErrorKind,
    },
    /// The method is passed over; the next rung's turn.
    Skipped {
        /// Which.
        method: Method,
        /// Why.
        reason: SkipReason,
    },
    /// Nobody knows whether the maker accepted it.
    Unknown {
        /// The attempt in question.
        attempt: u32,
        /// How it was made.
        method: Method,
        /// When the maker is asked; nothing when only a person can tell.
        ask_at: Option<Timestamp>,
        /// How often the maker was asked.
        asked: u32,
    },
    /// The packet must be made and sent.
    PacketDue {
        /// Why it is needed.
        reason: ManualReason,
        /// Not before this (after a failure to send).
        not_before: Option<Timestamp>,
        /// Failures to send so far.
        failures: u32,
    },
    /// The packet could not be sent; a person must look.
    PacketStuck {
        /// Why it is needed.
        reason: ManualReason,
    },
    /// The owner has the packet.
    PacketSent {
        /// Why it was needed.
        reason: ManualReason,
        /// Whether the owner has looked at the page behind the mail's link.
        opened: bool,
    },
    /// The maker refused the data.
    NeedsCorrection {
        /// What of it.
        fields: Vec<FieldProblem>,
    },
    /// Registered.
    Succeeded {
        /// How.
        method: Method,
        /// The maker's code.
        confirmation: Option<String>,
    },
    /// Finished by the owner.
    Completed {
        /// The maker's code, if told.
        confirmation: Option<String>,
    },
    /// Withdrawn.
    Cancelled,
    /// The last day passed.
    Expired {
        /// That day.
        last_day: Date,
    },
}

/// A history that no rule of ours can have written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HistoryError {
    /// The first event is not Submitted.
    #[error("the history does not begin with `submitted`")]
    NotSubmitted,
    /// Submitted comes again.
    #[error("`submitted` comes a second time at sequence {0}")]
    SubmittedTwice(u64),
    /// The record does not name its predecessor.
    #[error("the record at sequence {sequence} does not follow the one before it")]
    ChainBroken {
        /// Where.
        sequence: u64,
    },
}

impl Stage {
    /// The word of this stage on the wire.
    #[must_use]
    pub const fn status(&self) -> Status {
        match self {
            Self::Fresh { .. } => Status::Pending,
            Self::Attempting { .. } | Self::MethodFailed { .. } | Self::Skipped { .. } => Status::Processing,
            Self::Backoff { .. } | Self::Held { .. } => Status::Waiting,
            Self::Unknown { .. } => Status::OutcomeUnknown,
            Self::PacketDue { .. } | Self::PacketStuck { .. } | Self::PacketSent { .. } => Status::ManualRequired,
            Self::NeedsCorrection { .. } => Status::NeedsCorrection,
            Self::Succeeded { .. } => Status::Success,
            Self::Completed { .. } => Status::UserCompleted,
            Self::Cancelled => Status::Cancelled,
            Self::Expired { .. } => Status::Expired,
        }
    }
}

impl Registration {
    /// The registration that a first record begins.
    ///
    /// # Errors
    /// [`HistoryError`] when the record cannot be a first one.
    pub fn begin(stored: &Stored) -> Result<Self, HistoryError> {
        let Some(Event::Submitted(first)) = stored.record.events.first() else {
            return Err(HistoryError::NotSubmitted);
        };
        let mut registration = Self {
            id: stored.registration,
            shard: stored.shard,
            tenant: first.tenant.clone(),
            request_id: first.request_id.clone(),
            connector: first.connector.clone(),
            brand: first.brand.clone(),
            model: first.model.clone(),
            purchased_on: first.purchased_on,
            priority: first.priority,
            owner_ref: first.owner_ref,
            person_key: first.person_key,
            sealed: first.sealed.clone().into(),
            proof: first.proof.clone(),
            register_by: first.register_by,
            deadline_alerted: false,
            submitted_at: stored.record.at,
            updated_at: stored.record.at,
            attempts: 0,
            tries: 0,
            in_doubt: false,
            mail: first.mail,
            owner_mail: None,
            stage: Stage::Fresh { from: None },
            forgetting: None,
            last: stored.link(),
            last_record: stored.record.id,
            trace: stored.record.trace,
        };
        for event in &stored.record.events[1..] {
            registration.evolve(event, stored.sequence)?;
        }
        Ok(registration)
    }

    /// The registration that a whole history (oldest record first) adds up to; nothing when it is empty.
    ///
    /// # Errors
    /// [`HistoryError`] when the records do not belong together.
    pub fn replay(history: &[Stored]) -> Result<Option<Self>, HistoryError> {
        let Some((first, rest)) = history.split_first() else { return Ok(None) };
        let mut registration = Self::begin(first)?;
        for stored in rest {
            registration.apply(stored)?;
        }
        Ok(Some(registration))
    }

    /// Takes in the next record. A record that was taken in before is passed over.
    ///
    /// # Errors
    /// [`HistoryError::ChainBroken`] when a record between was not seen.
    pub fn apply(&mut self, stored: &Stored) -> Result<(), HistoryError> {
        if stored.sequence <= self.last.sequence {
            return Ok(());
        }
        if stored.record.previous != Some(self.last) {
            return Err(HistoryError::ChainBroken { sequence: stored.sequence });
        }
        self.updated_at = stored.record.at;
        for event in &stored.record.events {
            self.evolve(event, stored.sequence)?;
        }
        self.last = stored.link();
        self.last_record = stored.record.id;
        Ok(())
    }

    /// As it would be if `events` were its next record's, stored at `at`; its place in the log stays as it is.
    ///
    /// # Errors
    /// [`HistoryError`] when they cannot be.
    pub fn after(&self, events: &[Event], at: Timestamp) -> Result<Self, HistoryError> {
        let mut after = Self { updated_at: at, ..self.clone() };
        for event in events {
            after.evolve(event, self.last.sequence)?;
        }
        Ok(after)
    }

    /// The method that the present stage is about, if it is about one.
    #[must_use]
    pub const fn method(&self) -> Option<Method> {
        match &self.stage {
            Stage::Attempting { method }
            | Stage::Backoff { method, .. }
            | Stage::Held { method, .. }
            | Stage::MethodFailed { method, .. }
            | Stage::Skipped { method, .. }
            | Stage::Unknown { method, .. }
            | Stage::Succeeded { method, .. } => Some(*method),
            Stage::PacketDue { .. }
            | Stage::PacketStuck { .. }
            | Stage::PacketSent { .. }
            | Stage::Completed { .. } => Some(Method::AssistedManual),
            Stage::Fresh { .. } | Stage::NeedsCorrection { .. } | Stage::Cancelled | Stage::Expired { .. } => None,
        }
    }

    fn evolve(&mut self, event: &Event, sequence: u64) -> Result<(), HistoryError> {
        match event {
            Event::Submitted(_) => return Err(HistoryError::SubmittedTwice(sequence)),
            Event::Dispatched(_) => self.tries = 0,
            Event::LeftInDoubt(_) => self.in_doubt = true,
            Event::AttemptStarted(started) => {
                self.attempts = started.attempt;
                self.tries += 1;
                self.stage = Stage::Attempting { method: started.method };
            }
            Event::AttemptSucceeded(_) => {}
            Event::AttemptFailed(failed) => self.attempt_failed(failed.kind),
            Event::RetryScheduled(retry) => self.retry_scheduled(retry.method, retry.at),
            Event::RegistrationSucceeded(done) => self.registration_succeeded(done),
            Event::OwnerMailed(_) => self.owner_mail = None,
            Event::OwnerMailFailed(failed) => self.owner_mail_failed(failed.retry_at),
            Event::OutcomeUnknown(unknown) => self.outcome_unknown(unknown.attempt),
            Event::LookupScheduled(lookup) => self.lookup_scheduled(Some(lookup.at)),
            Event::LookupGivenUp(_) => self.lookup_scheduled(None),
            Event::FoundUnregistered(_) => self.found_unregistered(),
            Event::Held(held) => self.held(held),
            Event::MethodSkipped(skipped) => {
                self.stage = Stage::Skipped { method: skipped.method, reason: skipped.reason };
            }
            Event::MakerThrottled(_) => {}
            // its first sending may have been taken
            Event::AttemptRepeated(_) => self.in_doubt = true,
            Event::DeadlineNear(_) => self.deadline_alerted = true,
            Event::Expired(expired) => self.stage = Stage::Expired { last_day: expired.last_day },
            Event::ManualRequired(manual) => {
                self.stage = Stage::PacketDue { reason: manual.reason, not_before: None, failures: 0 };
            }
            Event::PacketSent(_) => self.packet_sent(),
            Event::PacketFailed(failed) => self.packet_failed(failed.retry_at),
            Event::PacketOpened(_) => self.packet_opened(),
            Event::UserCompleted(done) => {
                self.stage = Stage::Completed { confirmation: done.confirmation.clone() };
            }
            Event::CorrectionNeeded(needed) => {
                self.stage = Stage::NeedsCorrection { fields: needed.fields.clone() };
            }
            Event::Corrected(corrected) => {
                self.model.clone_from(&corrected.model);
                self.purchased_on = corrected.purchased_on;
                self.person_key = corrected.person_key;
                self.sealed = corrected.sealed.clone().into();
                self.deadline_alerted &= self.register_by == corrected.register_by;
                self.register_by = corrected.register_by;
                self.owner_ref = corrected.owner_ref.unwrap_or(self.owner_ref);
            }
            Event::RetryRequested(request) => {
                self.in_doubt = false;
                self.stage = Stage::Fresh { from: request.from };
            }
            Event::Cancelled(_) => self.stage = Stage::Cancelled,
            Event::PersonForgotten(_) => self.person_forgotten(),
            Event::PersonErased(_) => self.forgetting = Some(Forgetting::Done),
        }
        Ok(())
    }

    fn attempt_failed(&mut self, kind: ErrorKind) {
        if let Stage::Attempting { method } = self.stage {
            self.stage = Stage::MethodFailed { method, kind };
        }
    }

    fn retry_scheduled(&mut self, method: Method, until: Timestamp) {
        if let Stage::MethodFailed { kind, .. } = self.stage {
            self.stage = Stage::Backoff { method, until, after: kind };
        }
    }

    fn held(&mut self, held: &Held) {
        let retry_after = match self.stage {
            Stage::Backoff { method, after, .. } if method == held.method => Some(after),
            Stage::Held { method, retry_after, .. } if method == held.method => retry_after,
            Stage::Fresh { .. }
            | Stage::Attempting { .. }
            | Stage::Backoff { .. }
            | Stage::Held { .. }
            | Stage::MethodFailed { .. }
            | Stage::Skipped { .. }
            | Stage::Unknown { .. }
            | Stage::PacketDue { .. }
            | Stage::PacketStuck { .. }
            | Stage::PacketSent { .. }
            | Stage::NeedsCorrection { .. }
            | Stage::Succeeded { .. }
            | Stage::Completed { .. }
            | Stage::Cancelled
            | Stage::Expired { .. } => None,
        };
        self.stage = Stage::Held { method: held.method, reason: held.reason, until: held.until, retry_after };
    }

    fn outcome_unknown(&mut self, attempt: u32) {
        let method = self.method().unwrap_or(Method::Api);
        self.stage = Stage::Unknown { attempt, method, ask_at: None, asked: 0 };
    }

    fn lookup_scheduled(&mut self, at: Option<Timestamp>) {
        if let Stage::Unknown { ask_at, asked, .. } = &mut self.stage {
            *asked += u32::from(ask_at.is_some());
            *ask_at = at;
        }
    }

    fn found_unregistered(&mut self) {
        self.in_doubt = false;
        if let Stage::Unknown { method, .. } = self.stage {
            self.stage = Stage::MethodFailed { method, kind: ErrorKind::Timeout };
        }
    }

    fn registration_succeeded(&mut self, done: &RegistrationSucceeded) {
        self.stage = Stage::Succeeded { method: done.method, confirmation: done.confirmation.clone() };
        let due = OwnerMail { registered_at: self.updated_at, not_before: None, failures: 0 };
        self.owner_mail = self.mail.wants_good_news().then_some(due);
    }

    fn owner_mail_failed(&mut self, retry_at: Option<Timestamp>) {
        let due = self.owner_mail.zip(retry_at);
        self.owner_mail = due.map(|(mail, at)| OwnerMail { not_before: Some(at), failures: mail.failures + 1, ..mail });
    }

    fn packet_sent(&mut self) {
        if let Stage::PacketDue { reason, .. } = self.stage {
            self.stage = Stage::PacketSent { reason, opened: false };
        }
    }

    fn packet_opened(&mut self) {
        if let Stage::PacketSent { opened, .. } = &mut self.stage {
            *opened = true;
        }
    }

    fn packet_failed(&mut self, retry_at: Option<Timestamp>) {
        if let Stage::PacketDue { reason, failures, .. } = self.stage {
            self.stage = match retry_at {
                Some(at) => Stage::PacketDue { reason, not_before: Some(at), failures: failures + 1 },
                None => Stage::PacketStuck { reason },
            };
        }
    }

    /// What points at the person goes with the decision; the key and the files follow.
    fn person_forgotten(&mut self) {
        self.forgetting = Some(Forgetting::Due);
        self.owner_ref = [0; 16];
        (self.request_id, self.proof, self.owner_mail) = (None, None, None);
        self.sealed = Bytes::new();
        // the maker's code leads to the person at the maker
        if let Stage::Succeeded { confirmation, .. } | Stage::Completed { confirmation } = &mut self.stage {
            *confirmation = None;
        }
    }
}
