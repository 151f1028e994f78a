//! One registration as the view shows it: the fold of its events, and what that fold forgets.

use events::event::PacketSent;
use events::state::HistoryError;
use events::{
    ErrorKind, Event, FieldProblem, HoldReason, ManualReason, Method, Registration, Sequence, Stage, Status, Stored,
    Timestamp,
};

/// One registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What its events add up to. Its sealed details are left out: always empty here.
    pub registration: Registration,
    /// The sequence of its first record; orders lists.
    pub submission: Sequence,
    /// The method that is, or was last, at work.
    pub method: Option<Method>,
    /// True when the maker had it registered before.
    pub already_registered: bool,
    /// Why it went to its owner; nothing when it did not, or was asked for again since.
    pub manual_reason: Option<ManualReason>,
    /// What the last attempt that failed died of; kept when a later one succeeds.
    pub last_error: Option<LastError>,
    /// The packet that the owner got; nothing before it is sent, or when it was asked for again since.
    pub packet: Option<PacketSent>,
    /// The name of the last screenshot in the object store.
    pub evidence: Option<String>,
}

/// What an attempt died of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastError {
    /// Its kind.
    pub kind: ErrorKind,
    /// One line.
    pub detail: String,
}

/// What a row waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// A method will be tried again.
    Retry {
        /// Which.
        method: Method,
        /// What the last try died of.
        after: ErrorKind,
        /// Not before this.
        until: Timestamp,
    },
    /// A guard of the maker is closed.
    Guard {
        /// In front of which method.
        method: Method,
        /// Which.
        reason: HoldReason,
        /// When it may open, as far as it was known.
        until: Option<Timestamp>,
    },
    /// The maker will be asked what became of an attempt.
    Answer {
        /// When.
        until: Timestamp,
    },
    /// The packet will be sent again.
    Packet {
        /// Not before this.
        until: Timestamp,
    },
}

impl Row {
    /// The row that a first record begins.
    pub(crate) fn begin(stored: &Stored) -> Result<Self, HistoryError> {
        let mut row = Self {
            registration: Registration::begin(stored)?,
            submission: stored.sequence,
            method: None,
            already_registered: false,
            manual_reason: None,
            last_error: None,
            packet: None,
            evidence: None,
        };
        row.remember(stored);
        Ok(row)
    }

    /// Takes in the next record; one that was taken in before is passed over.
    pub(crate) fn apply(&mut self, stored: &Stored) -> Result<(), HistoryError> {
        if stored.sequence <= self.registration.last.sequence {
            return Ok(());
        }
        self.registration.apply(stored)?;
        self.remember(stored);
        Ok(())
    }

    /// Whose list it stands in; whoever is forgotten has none.
    #[must_use]
    pub fn listed_owner(&self) -> Option<[u8; 16]> {
        self.registration.forgetting.is_none().then_some(self.registration.owner_ref)
    }

    /// Its status on the wire.
    #[must_use]
    pub const fn status(&self) -> Status {
        self.registration.stage.status()
    }

    /// The code for it, the maker's or as the owner told it.
    #[must_use]
    pub fn confirmation(&self) -> Option<&str> {
        match &self.registration.stage {
            Stage::Succeeded { confirmation, .. } | Stage::Completed { confirmation } => confirmation.as_deref(),
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
            | Stage::Cancelled
            | Stage::Expired { .. } => None,
        }
    }

    /// What the maker refused; empty unless the status is NEEDS_CORRECTION.
    #[must_use]
    pub fn corrections(&self) -> &[FieldProblem] {
        if let Stage::NeedsCorrection { fields } = &self.registration.stage { fields } else { &[] }
    }

    /// What it waits for, if it waits.
    #[must_use]
    pub const fn waiting(&self) -> Option<Waiting> {
        match &self.registration.stage {
            Stage::Backoff { method, until, after } => {
                Some(Waiting::Retry { method: *method, after: *after, until: *until })
            }
            Stage::Held { method, reason, until, .. } => {
                Some(Waiting::Guard { method: *method, reason: *reason, until: *until })
            }
            Stage::Unknown { ask_at: Some(until), .. } => Some(Waiting::Answer { until: *until }),
            Stage::PacketDue { not_before: Some(until), .. } => Some(Waiting::Packet { until: *until }),
            Stage::PacketDue { not_before: None, .. }
            | Stage::Fresh { .. }
            | Stage::Attempting { .. }
            | Stage::MethodFailed { .. }
            | Stage::Skipped { .. }
            | Stage::Unknown { ask_at: None, .. }
            | Stage::PacketStuck { .. }
            | Stage::PacketSent { .. }
            | Stage::NeedsCorrection { .. }
            | Stage::Succeeded { .. }
            | Stage::Completed { .. }
            | Stage::Cancelled
            | Stage::Expired { .. } => None,
        }
    }

    fn remember(&mut self, stored: &Stored) {
        // personal data, sealed or not, has no business in a view
        self.registration.sealed = Default::default();
        for event in &stored.record.events {
            self.remember_event(event);
        }
    }

    fn remember_event(&mut self, event: &Event) {
        match event {
            Event::Dispatched(dispatched) => self.method = Some(dispatched.method),
            Event::AttemptStarted(started) => self.method = Some(started.method),
            Event::AttemptSucceeded(done) => {
                self.already_registered = done.already_registered;
                self.evidence = done.evidence.as_ref().map(|object| object.name.clone());
            }
            Event::AttemptFailed(failed) => {
                self.last_error = Some(LastError { kind: failed.kind, detail: failed.detail.clone() });
                self.evidence = failed.evidence.as_ref().map(|object| object.name.clone());
            }
            Event::RegistrationSucceeded(done) => self.method = Some(done.method),
            Event::ManualRequired(manual) => self.manual_reason = Some(manual.reason),
            Event::PacketSent(sent) => self.packet = Some(sent.clone()),
            Event::RetryRequested(_) => {
                self.manual_reason = None;
                self.packet = None;
            }
            // the files are about to go, and what an attempt died of may quote the maker about the person
            Event::PersonForgotten(_) => {
                (self.packet, self.evidence, self.last_error) = (None, None, None);
            }
            Event::Submitted(_)
            | Event::RetryScheduled(_)
            | Event::OutcomeUnknown(_)
            | Event::PacketFailed(_)
            | Event::OwnerMailed(_)
            | Event::OwnerMailFailed(_)
            | Event::UserCompleted(_)
            | Event::PacketOpened(_)
            | Event::CorrectionNeeded(_)
            | Event::Corrected(_)
            | Event::Cancelled(_)
            | Event::Held(_)
            | Event::MethodSkipped(_)
            | Event::MakerThrottled(_)
            | Event::AttemptRepeated(_)
            | Event::LookupScheduled(_)
            | Event::FoundUnregistered(_)
            | Event::LookupGivenUp(_)
            | Event::DeadlineNear(_)
            | Event::Expired(_)
            | Event::LeftInDoubt(_)
            | Event::PersonErased(_) => {}
        }
    }
}
