//! What may happen: each wish against a registration gives the events that record it, or a refusal.

use jiff::civil::Date;

use crate::conclusion::Conclusion;
use crate::event::{
    AttemptFailed, AttemptRepeated, AttemptStarted, AttemptSucceeded, Cancelled, Corrected, CorrectionNeeded,
    DeadlineNear, Dispatched, Event, Expired, FoundUnregistered, Held, LeftInDoubt, LookupGivenUp, LookupScheduled,
    MakerThrottled, ManualRequired, MethodSkipped, OutcomeUnknown, OwnerMailFailed, OwnerMailed, PacketFailed,
    PacketOpened, PacketSent, RegistrationSucceeded, RetryRequested, RetryScheduled, UserCompleted,
};
use crate::forget::{self, Kept};
use crate::id::PersonKeyId;
use crate::outcome::{ErrorKind, Failure, ObjectRef, Outcome};
use crate::retry::RetryPolicy;
use crate::sending::Sending;
use crate::state::{Registration, Stage};
use crate::time::Timestamp;
use crate::words::{HoldReason, ManualReason, Method, SkipReason, Status};

/// Longest `detail` that is stored, in characters.
const DETAIL_CHARS_MAX: usize = 500;

/// A wish, in the imperative; never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Begin an attempt.
    StartAttempt(Method, Option<Sending>),
    /// Say that a turn could not be had.
    Hold {
        /// Of which method.
        method: Method,
        /// What it waits for.
        reason: HoldReason,
        /// When that may end, if it is known.
        until: Option<Timestamp>,
    },
    /// Pass a method over.
    Skip(Method, SkipReason),
    /// Make the attempt that a crash interrupted once more.
    RepeatAttempt(Option<Sending>),
    /// Take in what an attempt came to.
    Conclude(Conclusion),
    /// Take in what the maker knows of an attempt.
    Answer(Answer),
    /// Tell people that this last day comes near.
    AlertDeadline(Date),
    /// This last day has passed.
    Expire(Date),
    /// Hand it to its owner.
    RequireManual(ManualReason),
    /// The packet is out.
    RecordPacketSent(PacketSent),
    /// The packet could not be made or sent.
    RecordPacketFailure(PacketFailed),
    /// The owner looks at the page behind the link of the mail.
    OpenPacket,
    /// The person was mailed that it is registered.
    RecordOwnerMailed(OwnerMailed),
    /// That mail could not be sent.
    RecordOwnerMailFailure(OwnerMailFailed),
    /// A person says that it is done.
    Complete {
        /// The maker's code.
        confirmation: Option<String>,
        /// A photo of the maker's confirmation.
        photo: Option<ObjectRef>,
    },
    /// About forgetting its person.
    Forgetting(forget::Wish),
    /// A person withdraws it.
    Cancel {
        /// Why.
        reason: Option<String>,
    },
    /// A person asks for another try, perhaps with mended data.
    Retry {
        /// The rung to begin at.
        from: Option<Method>,
        /// Why.
        reason: Option<String>,
        /// The mended data, sealed.
        correction: Option<Correction>,
    },
}

/// What the maker knows of an attempt whose outcome nobody knew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Which attempt.
    pub attempt: u32,
    /// What it says.
    pub says: Says,
}

/// What a maker says when it is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Says {
    /// It is registered.
    Registered {
        /// The maker's code for it, if it gave one.
        confirmation: Option<String>,
    },
    /// It is not.
    NotRegistered {
        /// When the method may be tried again, if it may.
        retry_at: Option<Timestamp>,
    },
    /// Ask again later.
    NotYet {
        /// When.
        ask_at: Timestamp,
        /// What the question sends.
        asks: Option<Sending>,
    },
    /// It cannot tell, and asking again will not help.
    Nothing {
        /// Why, in one line.
        detail: String,
    },
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
    /// The maker's last day, after the correction.
    pub register_by: Option<Date>,
    /// The pseudonym of the owner, after the correction.
    pub owner_ref: [u8; 16],
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
    /// Nothing is left that could be done for it.
    #[error("the person of this registration is forgotten; only its history can still be read")]
    Forgotten,
    /// A law wants it kept for longer.
    #[error("{0}")]
    MustBeKept(Kept),
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
    if registration.forgetting.is_some() && !matches!(command, Command::Forgetting(_)) {
        return Err(Refusal::Forgotten);
    }
    match command {
        Command::Forgetting(wish) => forget::decide(registration, wish),
        Command::StartAttempt(method, sends) => start_attempt(registration, method, sends),
        Command::Hold { method, reason, until } => hold(registration, method, reason, until),
        Command::Skip(method, reason) => skip(registration, method, reason),
        Command::RepeatAttempt(sends) => repeat(registration, sends),
        Command::Conclude(conclusion) => conclude(registration, conclusion),
        Command::Answer(answer) => take_answer(registration, answer),
        Command::AlertDeadline(last_day) => Ok(vec![DeadlineNear { last_day }.into()]),
        Command::Expire(last_day) => Ok(vec![Expired { last_day }.into()]),
        Command::RequireManual(reason) => require_manual(registration, reason),
        Command::RecordPacketSent(sent) => packet(registration, sent.into()),
        Command::RecordPacketFailure(failed) => packet(registration, failed.into()),
        Command::OpenPacket => open_packet(registration),
        Command::Complete { confirmation, photo } => complete(registration, confirmation, photo),
        Command::RecordOwnerMailed(mailed) => owner_mail(registration, mailed.into()),
        Command::RecordOwnerMailFailure(failed) => owner_mail(registration, failed.into()),
        Command::Cancel { reason } => cancel(registration, reason),
        Command::Retry { from, reason, correction } => retry(registration, from, reason, correction),
    }
}

fn start_attempt(registration: &Registration, method: Method, sends: Option<Sending>) -> Result<Vec<Event>, Refusal> {
    let connector = registration.connector.clone();
    let started = AttemptStarted { attempt: registration.attempts + 1, method, connector, sends };
    if is_another_try(&registration.stage, method) {
        return Ok(vec![started.into()]);
    }
    if !may_move_on(&registration.stage) {
        return Err(not_now(registration, "tried", "wait until the present step ends"));
    }
    Ok(vec![Dispatched { method }.into(), started.into()])
}

/// Whether an attempt by `method` goes on with the tries that were made before.
fn is_another_try(stage: &Stage, method: Method) -> bool {
    match stage {
        Stage::Backoff { method: waiting, .. } | Stage::Held { method: waiting, retry_after: Some(_), .. } => {
            *waiting == method
        }
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Held { retry_after: None, .. }
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
        | Stage::Expired { .. } => false,
    }
}

fn hold(
    registration: &Registration,
    method: Method,
    reason: HoldReason,
    until: Option<Timestamp>,
) -> Result<Vec<Event>, Refusal> {
    let told = matches!(registration.stage, Stage::Held { method: m, reason: r, .. } if (m, r) == (method, reason));
    if told || !may_move_on(&registration.stage) {
        return Err(not_now(registration, "held", "nothing needs to be done"));
    }
    Ok(vec![Held { method, reason, until }.into()])
}

fn skip(registration: &Registration, method: Method, reason: SkipReason) -> Result<Vec<Event>, Refusal> {
    if !may_move_on(&registration.stage) {
        return Err(not_now(registration, "moved on", "wait until the present step ends"));
    }
    // another method, or the owner, could register it a second time
    if registration.in_doubt {
        let detail = "waiting longer would make it late, and an earlier try may have been taken".to_owned();
        return Ok(vec![OutcomeUnknown { attempt: registration.attempts, detail }.into()]);
    }
    Ok(vec![MethodSkipped { method, reason }.into()])
}

fn repeat(registration: &Registration, sends: Option<Sending>) -> Result<Vec<Event>, Refusal> {
    if !matches!(registration.stage, Stage::Attempting { .. }) {
        return Err(not_now(registration, "repeated", "no attempt is under way"));
    }
    Ok(vec![AttemptRepeated { attempt: registration.attempts, sends }.into()])
}

fn conclude(registration: &Registration, conclusion: Conclusion) -> Result<Vec<Event>, Refusal> {
    let method = concluding(registration, &conclusion)?;
    let Conclusion { attempt, outcome, latency_ms, evidence, retry_at, throttled_until, ask_at, asks, received } =
        conclusion;
    let mut failure = match outcome {
        Outcome::Registered { confirmation, already } => {
            return Ok(vec![
                AttemptSucceeded { attempt, already_registered: already, latency_ms, evidence, received }.into(),
                RegistrationSucceeded { method, confirmation }.into(),
            ]);
        }
        Outcome::Failed(failure) => failure,
    };
    // the last try of a method must not leave the question open to the next one: that could register twice
    if retry_at.is_none() && (failure.in_doubt || registration.in_doubt && failure.kind != ErrorKind::Validation) {
        failure.kind = ErrorKind::UnknownOutcome;
    }
    let left_in_doubt = failure.in_doubt && retry_at.is_some() && !registration.in_doubt;
    let detail: String = failure.detail.chars().take(DETAIL_CHARS_MAX).collect();
    let failed = AttemptFailed { attempt, kind: failure.kind, detail: detail.clone(), latency_ms, evidence };
    let mut events = vec![failed.into()];
    events.extend(left_in_doubt.then(|| LeftInDoubt { attempt }.into()));
    events.extend(throttled_until.map(|until| MakerThrottled { until }.into()));
    events.extend(after_failure(attempt, method, failure, detail, retry_at));
    if matches!(events.last(), Some(Event::OutcomeUnknown(_))) {
        events.extend(ask_at.map(|at| LookupScheduled { attempt, at, sends: asks }.into()));
    }
    Ok(events)
}

/// The method of the attempt that ends: the present one, or one that nobody knew the outcome of and that went well.
fn concluding(registration: &Registration, conclusion: &Conclusion) -> Result<Method, Refusal> {
    let over = Refusal::AttemptIsOver { late: conclusion.attempt, present: registration.attempts };
    if conclusion.attempt != registration.attempts {
        return Err(over);
    }
    match (&registration.stage, &conclusion.outcome) {
        (Stage::Attempting { method }, _) | (Stage::Unknown { method, .. }, Outcome::Registered { .. }) => Ok(*method),
        _ => Err(over),
    }
}

fn take_answer(registration: &Registration, answer: Answer) -> Result<Vec<Event>, Refusal> {
    let Answer { attempt, says } = answer;
    let over = Refusal::AttemptIsOver { late: attempt, present: registration.attempts };
    let Stage::Unknown { attempt: present, method, .. } = registration.stage else { return Err(over) };
    if present != attempt {
        return Err(over);
    }
    Ok(match says {
        Says::Registered { confirmation } => vec![
            AttemptSucceeded { attempt, already_registered: false, latency_ms: 0, evidence: None, received: None }
                .into(),
            RegistrationSucceeded { method, confirmation }.into(),
        ],
        Says::NotRegistered { retry_at } => std::iter::once(FoundUnregistered { attempt }.into())
            .chain(retry_at.map(|at| RetryScheduled { method, at }.into()))
            .collect(),
        Says::NotYet { ask_at, asks } => vec![LookupScheduled { attempt, at: ask_at, sends: asks }.into()],
        Says::Nothing { detail } => vec![LookupGivenUp { attempt, detail }.into()],
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

fn owner_mail(registration: &Registration, event: Event) -> Result<Vec<Event>, Refusal> {
    if registration.owner_mail.is_none() {
        return Err(not_now(registration, "mailed of", "no mail to its owner is due"));
    }
    Ok(vec![event])
}

fn packet(registration: &Registration, event: Event) -> Result<Vec<Event>, Refusal> {
    if !matches!(registration.stage, Stage::PacketDue { .. }) {
        return Err(not_now(registration, "sent a packet", "nothing needs to be done"));
    }
    Ok(vec![event])
}

fn open_packet(registration: &Registration) -> Result<Vec<Event>, Refusal> {
    if matches!(registration.stage, Stage::PacketSent { opened: false, .. }) {
        return Ok(vec![PacketOpened {}.into()]);
    }
    Err(not_now(registration, "opened", "nothing needs to be done"))
}

fn complete(
    registration: &Registration,
    confirmation: Option<String>,
    photo: Option<ObjectRef>,
) -> Result<Vec<Event>, Refusal> {
    match registration.stage {
        Stage::PacketDue { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::Unknown { .. }
        | Stage::Expired { .. } => Ok(vec![UserCompleted { confirmation, photo }.into()]),
        Stage::Completed { .. } => Err(Refusal::CompletedAlready),
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. }
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
        Stage::Succeeded { .. } | Stage::Completed { .. } | Stage::Cancelled | Stage::Expired { .. } => {
            Err(not_now(registration, "cancelled", "it has ended"))
        }
        Stage::Fresh { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. }
        | Stage::Unknown { .. }
        | Stage::PacketDue { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::NeedsCorrection { .. } => Ok(vec![Cancelled { reason }.into()]),
    }
}

/// Whether the next rung may begin: nothing is under way and no person's turn has come.
const fn may_move_on(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Fresh { .. }
            | Stage::MethodFailed { .. }
            | Stage::Skipped { .. }
            | Stage::Backoff { .. }
            | Stage::Held { .. }
    )
}

fn retry(
    registration: &Registration,
    from: Option<Method>,
    reason: Option<String>,
    correction: Option<Correction>,
) -> Result<Vec<Event>, Refusal> {
    let allowed = match registration.stage {
        Stage::NeedsCorrection { .. } if correction.is_none() => {
            let remedy = "the maker refused its data: send the corrected details along";
            return Err(not_now(registration, "tried again as it is", remedy));
        }
        Stage::Expired { .. } if correction.is_none() => {
            let remedy = "its last day has passed: complete it if the maker took it all the same, or mend its dates";
            return Err(not_now(registration, "tried again as it is", remedy));
        }
        Stage::NeedsCorrection { .. }
        | Stage::Expired { .. }
        | Stage::PacketDue { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::Unknown { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::Cancelled => true,
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. }
        | Stage::Succeeded { .. }
        | Stage::Completed { .. } => false,
    };
    if !allowed {
        return Err(not_now(registration, "tried again", "it is under way or has ended well"));
    }
    let corrected = correction.map(|c| {
        let Correction { model, purchased_on, person_key, sealed, register_by, owner_ref } = c;
        let owner_ref = Some(owner_ref);
        Corrected { model, purchased_on, person_key, sealed, register_by, owner_ref }.into()
    });
    Ok(corrected.into_iter().chain([RetryRequested { from, reason }.into()]).collect())
}

fn not_now(registration: &Registration, wish: &'static str, remedy: &'static str) -> Refusal {
    Refusal::NotNow { status: registration.stage.status(), wish, remedy }
}
