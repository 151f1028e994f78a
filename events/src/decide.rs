//! What may happen: each wish against a registration gives the events that record it, or a refusal.

use jiff::civil::Date;

use crate::event::{
    AttemptFailed, AttemptStarted, AttemptSucceeded, Cancelled, Corrected, CorrectionNeeded, Dispatched, Event,
    ManualRequired, OutcomeUnknown, PacketFailed, PacketSent, RegistrationSucceeded, RetryRequested, RetryScheduled,
    UserCompleted,
};
use crate::id::PersonKeyId;
use crate::outcome::{ErrorKind, Failure, ObjectRef, Outcome};
use crate::retry::RetryPolicy;
use crate::state::{Registration, Stage};
use crate::time::Timestamp;
use crate::words::{ManualReason, Method, Status};

/// Longest `detail` that is stored, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// A wish, in the imperative; never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin an attempt.
    StartAttempt(Method),
    /// Take in what an attempt came to.
    Conclude(Conclusion),
    /// Hand it to its owner.
    RequireManual(ManualReason),
    /// The packet is out.
    RecordPacketSent(PacketSent),
    /// The packet could not be made or sent.
    RecordPacketFailure(PacketFailed),
    /// A person says that it is done.
    Complete {
        /// The maker's code.
        confirmation: Option<String>,
    },
    /// A person withdraws it.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// A person asks for another try, perhaps with mended data.
    Retry {
        /// The rung to begin at.
        from: Option<Method>,
        /// The mended data, sealed.
        correction: Option<Correction>,
    },
}

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Which attempt; an older one is refused.
    pub attempt: u32,
    /// What the maker answered.
    pub outcome: Outcome,
    /// How long it took, milliseconds.
    pub latency_ms: u32,
    /// A screenshot.
    pub evidence: Option<ObjectRef>,
    /// When a failure may be tried again by the same method; computed by [`retry_at`].
    pub retry_at: Option<Timestamp>,
}

/// Mended data, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correction {
    /// Model.
    pub model: String,
    /// Day of purchase.
    pub purchased_on: Option<Date>,
    /// Key of `sealed`.
    pub person_key: PersonKeyId,
    /// All details.
    pub sealed: Vec<u8>,
}

/// A rule said no.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The attempt is not the present one.
    #[error("attempt {late} is over; the present one is {present}")]
    AttemptIsOver {
        /// The one that came late.
        late: u32,
        /// The last one.
        present: u32,
    },
    /// The status does not allow it.
    #[error("a registration that is {status} cannot be {wish}; {remedy}")]
    NotNow {
        /// Where it stands.
        status: Status,
        /// What was wanted, in words that fit after "cannot be".
        wish: &'static str,
        /// What to do instead.
        remedy: &'static str,
    },
    /// Completed before.
    #[error("the registration is completed already; nothing is left to do")]
    CompletedAlready,
}

/// When `failure` may be tried again by the same method: nothing when it may not.
///
/// `tries` counts the tries of this method including the failed one; `random` in 0.0..1.0 draws the jitter.
#[must_use]
pub fn retry_at(failure: &Failure, tries: u32, policy: &RetryPolicy, random: f64, now: Timestamp) -> Option<Timestamp> {
    (failure.kind.is_retryable() && tries < policy.tries_max)
        .then(|| now.plus(policy.pause(tries, random, failure.retry_after)))
}

/// The events that `command` leads to, or why it may not be.
///
/// # Errors
/// [`Refusal`] when the registration's stage does not allow it.
pub fn decide(registration: &Registration, command: Command) -> Result<Vec<Event>, Refusal> {
    match command {
        Command::StartAttempt(method) => start_attempt(registration, method),
        Command::Conclude(conclusion) => conclude(registration, conclusion),
        Command::RequireManual(reason) => require_manual(registration, reason),
        Command::RecordPacketSent(sent) => packet(registration, sent.into()),
        Command::RecordPacketFailure(failed) => packet(registration, failed.into()),
        Command::Complete { confirmation } => complete(registration, confirmation),
        Command::Cancel { reason } => cancel(registration, reason),
        Command::Retry { from, correction } => retry(registration, from, correction),
    }
}

fn start_attempt(registration: &Registration, method: Method) -> Result<Vec<Event>, Refusal> {
    let started = AttemptStarted { attempt: registration.attempts + 1, method };
    if matches!(registration.stage, Stage::Backoff { method: waiting, .. } if waiting == method) {
        return Ok(vec![started.into()]);
    }
    if !may_move_on(&registration.stage) {
        return Err(not_now(registration, "tried", "wait until the present step ends"));
    }
    Ok(vec![Dispatched { method }.into(), started.into()])
}

fn conclude(registration: &Registration, conclusion: Conclusion) -> Result<Vec<Event>, Refusal> {
    let Conclusion { attempt, outcome, latency_ms, evidence, retry_at } = conclusion;
    let Stage::Attempting { method } = registration.stage else {
        return Err(Refusal::AttemptIsOver { late: attempt, present: registration.attempts });
    };
    if attempt != registration.attempts {
        return Err(Refusal::AttemptIsOver { late: attempt, present: registration.attempts });
    }
    Ok(match outcome {
        Outcome::Registered { confirmation, already } => vec![
            AttemptSucceeded { attempt, already_registered: already, latency_ms, evidence }.into(),
            RegistrationSucceeded { method, confirmation }.into(),
        ],
        Outcome::Failed(mut failure) => {
            // the last try of a method must not leave the question open to the next one: that could register twice
            if failure.in_doubt && retry_at.is_none() {
                failure.kind = ErrorKind::UnknownOutcome;
            }
            let detail: String = failure.detail.chars().take(DETAIL_CHARS_MAX).collect();
            let failed = AttemptFailed { attempt, kind: failure.kind, detail: detail.clone(), latency_ms, evidence };
            let next = after_failure(attempt, method, failure, detail, retry_at);
            std::iter::once(failed.into()).chain(next).collect()
        }
    })
}

/// What stands beside AttemptFailed in the same record; nothing when the next rung's turn comes.
fn after_failure(
    attempt: u32,
    method: Method,
    failure: Failure,
    detail: String,
    retry_at: Option<Timestamp>,
) -> Option<Event> {
    match (failure.kind, retry_at) {
        (ErrorKind::Validation, _) => Some(CorrectionNeeded { fields: failure.fields }.into()),
        (ErrorKind::UnknownOutcome, _) => Some(OutcomeUnknown { attempt, detail }.into()),
        (_, Some(at)) => Some(RetryScheduled { method, at }.into()),
        (_, None) => None,
    }
}

fn require_manual(registration: &Registration, reason: ManualReason) -> Result<Vec<Event>, Refusal> {
    if !may_move_on(&registration.stage) {
        return Err(not_now(registration, "handed to its owner", "wait until the present step ends"));
    }
    Ok(vec![Dispatched { method: Method::AssistedManual }.into(), ManualRequired { reason }.into()])
}

fn packet(registration: &Registration, event: Event) -> Result<Vec<Event>, Refusal> {
    if !matches!(registration.stage, Stage::PacketDue { .. }) {
        return Err(not_now(registration, "sent a packet", "nothing needs to be done"));
    }
    Ok(vec![event])
}

fn complete(registration: &Registration, confirmation: Option<String>) -> Result<Vec<Event>, Refusal> {
    match registration.stage {
        Stage::PacketDue { .. } | Stage::PacketStuck { .. } | Stage::PacketSent { .. } | Stage::Unknown { .. } => {
            Ok(vec![UserCompleted { confirmation }.into()])
        }
        Stage::Completed { .. } => Err(Refusal::CompletedAlready),
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Backoff { .. }
        | Stage::MethodFailed { .. }
        | Stage::NeedsCorrection { .. }
        | Stage::Succeeded { .. }
        | Stage::Cancelled => {
            Err(not_now(registration, "completed by hand", "complete it once its status is MANUAL_REQUIRED"))
        }
    }
}

fn cancel(registration: &Registration, reason: Option<String>) -> Result<Vec<Event>, Refusal> {
    match registration.stage {
        Stage::Attempting { .. } => {
            Err(not_now(registration, "cancelled", "an attempt is under way: cancel it when that has ended"))
        }
        Stage::Succeeded { .. } | Stage::Completed { .. } | Stage::Cancelled => {
            Err(not_now(registration, "cancelled", "it has ended"))
        }
        Stage::Fresh { .. }
        | Stage::Backoff { .. }
        | Stage::MethodFailed { .. }
        | Stage::Unknown { .. }
        | Stage::PacketDue { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::NeedsCorrection { .. } => Ok(vec![Cancelled { reason }.into()]),
    }
}

/// Whether the next rung may begin: nothing is under way and no person's turn has come.
const fn may_move_on(stage: &Stage) -> bool {
    matches!(stage, Stage::Fresh { .. } | Stage::MethodFailed { .. } | Stage::Backoff { .. })
}

fn retry(
    registration: &Registration,
    from: Option<Method>,
    correction: Option<Correction>,
) -> Result<Vec<Event>, Refusal> {
    let allowed = match registration.stage {
        Stage::NeedsCorrection { .. } if correction.is_none() => {
            let remedy = "the maker refused its data: send the corrected details along";
            return Err(not_now(registration, "tried again as it is", remedy));
        }
        Stage::NeedsCorrection { .. }
        | Stage::PacketDue { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::Unknown { .. }
        | Stage::Backoff { .. }
        | Stage::Cancelled => true,
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::MethodFailed { .. }
        | Stage::Succeeded { .. }
        | Stage::Completed { .. } => false,
    };
    if !allowed {
        return Err(not_now(registration, "tried again", "it is under way or has ended well"));
    }
    let corrected = correction.map(|c| {
        Corrected { model: c.model, purchased_on: c.purchased_on, person_key: c.person_key, sealed: c.sealed }.into()
    });
    Ok(corrected.into_iter().chain([RetryRequested { from }.into()]).collect())
}

fn not_now(registration: &Registration, wish: &'static str, remedy: &'static str) -> Refusal {
    Refusal::NotNow { status: registration.stage.status(), wish, remedy }
}
