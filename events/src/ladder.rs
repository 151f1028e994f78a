//! What a registration should do next: the ladder of methods, the waits on it, and the last day.

use std::time::Duration;

use crate::forget::Forgetting;
use crate::outcome::ErrorKind;
use crate::policy::Deadline;
use crate::state::{OwnerMail, Registration, Stage};
use crate::time::Timestamp;
use crate::words::{ManualReason, Method, SkipReason};

/// A wait of at most this long makes nobody late.
const SHORT_WAIT: Duration = Duration::from_secs(600);

/// What the rules need to know of the registration's connector.
#[derive(Debug, Clone, Copy)]
pub struct Outlook<'a> {
    /// The methods in their order.
    pub ladder: &'a [Method],
    /// Whether the generic connector was taken for want of a better one.
    pub unknown_brand: bool,
    /// The last day, if there is one.
    pub deadline: Option<Deadline>,
}

/// The next thing to do: a wish, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin an attempt by this method, when the maker's guards let it.
    Attempt(Method),
    /// Pass the method over.
    Skip(Method, SkipReason),
    /// Ask the maker what became of an attempt.
    LookUp,
    /// Hand it to its owner.
    GoManual(ManualReason),
    /// Make the packet and mail it.
    SendPacket,
    /// Mail the person that it is registered.
    MailOwner,
    /// Tell people that the last day comes near.
    AlertDeadline,
    /// The last day has passed.
    Expire,
    /// Destroy the key and delete the files of a person who is forgotten.
    Erase,
    /// Nothing before this time.
    WaitUntil(Timestamp),
    /// Nothing until something happens: an attempt ends, or a person acts.
    Rest,
}

/// The next step of `registration` at `now`.
#[must_use]
pub fn next_step(registration: &Registration, outlook: &Outlook<'_>, now: Timestamp) -> Step {
    match registration.forgetting {
        Some(Forgetting::Due) => return Step::Erase,
        Some(Forgetting::Done) => return Step::Rest,
        None => {}
    }
    let due = deadline_of(registration, outlook);
    if let Some(step) = due.and_then(|deadline| deadline_step(registration, &deadline, now)) {
        return step;
    }
    let step = by_stage(registration, outlook, now);
    let timer = due.and_then(|deadline| deadline_timer(registration, &deadline));
    match (step, timer) {
        (Step::Rest, Some(at)) => Step::WaitUntil(at),
        (Step::WaitUntil(one), Some(other)) => Step::WaitUntil(one.min(other)),
        (step, _) => step,
    }
}

/// When a registration that is held in front of its method must move on, so that its owner has the time to finish it.
fn latest_hold(registration: &Registration, outlook: &Outlook<'_>) -> Option<Timestamp> {
    let deadline = deadline_of(registration, outlook)?;
    Some(deadline.latest_safe().max(registration.updated_at.plus(SHORT_WAIT)))
}

/// When a registration in a line must be looked at again although the line has not moved: held ones for their alert and for
/// their last safe moment, others for the latter. `now` keeps short waits out of it.
#[must_use]
pub fn line_timer(registration: &Registration, outlook: &Outlook<'_>, now: Timestamp) -> Option<Timestamp> {
    let deadline = deadline_of(registration, outlook)?;
    if !matches!(registration.stage, Stage::Held { .. }) {
        return Some(deadline.latest_safe().max(now.plus(SHORT_WAIT)));
    }
    [latest_hold(registration, outlook), deadline_timer(registration, &deadline)].into_iter().flatten().min()
}

fn by_stage(registration: &Registration, outlook: &Outlook<'_>, now: Timestamp) -> Step {
    match &registration.stage {
        Stage::Fresh { from } => first_rung(*from, outlook),
        Stage::Backoff { method, until, .. } if is_too_long(registration, outlook, *until, now) => {
            Step::Skip(*method, SkipReason::DeadlineNear)
        }
        Stage::Backoff { method, until, .. } if now >= *until => Step::Attempt(*method),
        Stage::Backoff { until, .. } => Step::WaitUntil(*until),
        Stage::Held { method, .. } => match latest_hold(registration, outlook) {
            Some(latest) if now >= latest => Step::Skip(*method, SkipReason::DeadlineNear),
            Some(_) | None => Step::Attempt(*method),
        },
        Stage::MethodFailed { method, kind } => after(*method, outlook, manual_reason(*kind)),
        Stage::Skipped { method, reason } => after(*method, outlook, reason_of_skip(*reason)),
        Stage::Unknown { ask_at: Some(at), .. } if now < *at => Step::WaitUntil(*at),
        Stage::Unknown { ask_at: Some(_), .. } => Step::LookUp,
        Stage::PacketDue { not_before: Some(at), .. } if now < *at => Step::WaitUntil(*at),
        Stage::PacketDue { .. } => Step::SendPacket,
        Stage::Succeeded { .. } => good_news(registration.owner_mail, now),
        Stage::Attempting { .. }
        | Stage::Unknown { ask_at: None, .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::NeedsCorrection { .. }
        | Stage::Completed { .. }
        | Stage::Cancelled
        | Stage::Expired { .. } => Step::Rest,
    }
}

fn good_news(mail: Option<OwnerMail>, now: Timestamp) -> Step {
    match mail {
        None => Step::Rest,
        Some(OwnerMail { not_before: Some(at), .. }) if now < at => Step::WaitUntil(at),
        Some(_) => Step::MailOwner,
    }
}

fn first_rung(from: Option<Method>, outlook: &Outlook<'_>) -> Step {
    let first = from.or_else(|| outlook.ladder.first().copied()).unwrap_or(Method::AssistedManual);
    let only_manual = outlook.ladder.iter().all(|rung| *rung == Method::AssistedManual);
    let reason = match (outlook.unknown_brand, only_manual) {
        (true, _) => ManualReason::UnknownBrand,
        (false, true) => ManualReason::MakerIsManualOnly,
        // somebody chose it although others are there
        (false, false) => ManualReason::MethodsExhausted,
    };
    rung(first, reason)
}

/// The rung after `method`, or the owner.
fn after(method: Method, outlook: &Outlook<'_>, reason_if_manual: ManualReason) -> Step {
    rung(rung_after(method, outlook.ladder), reason_if_manual)
}

/// The method after `method` on a ladder; the manual one when there is none.
#[must_use]
pub fn rung_after(method: Method, ladder: &[Method]) -> Method {
    ladder.iter().skip_while(|rung| **rung != method).nth(1).copied().unwrap_or(Method::AssistedManual)
}

/// The last day, unless it had passed before the registration came in: that one is tried all the same.
fn deadline_of(registration: &Registration, outlook: &Outlook<'_>) -> Option<Deadline> {
    outlook.deadline.filter(|deadline| registration.submitted_at < deadline.over_at())
}

/// Whether waiting until `until` leaves the owner too little time.
fn is_too_long(registration: &Registration, outlook: &Outlook<'_>, until: Timestamp, now: Timestamp) -> bool {
    deadline_of(registration, outlook).is_some_and(|deadline| until > deadline.latest_safe().max(now.plus(SHORT_WAIT)))
}

fn deadline_step(registration: &Registration, deadline: &Deadline, now: Timestamp) -> Option<Step> {
    let stage = &registration.stage;
    if can_expire(stage) && now >= deadline.over_at() {
        return Some(Step::Expire);
    }
    let told = registration.deadline_alerted || !is_waiting_long(stage);
    (!told && now >= deadline.alert_at()).then_some(Step::AlertDeadline)
}

/// When the last day next asks for something.
fn deadline_timer(registration: &Registration, deadline: &Deadline) -> Option<Timestamp> {
    let stage = &registration.stage;
    let alert = (!registration.deadline_alerted && is_waiting_long(stage)).then(|| deadline.alert_at());
    let over = can_expire(stage).then(|| deadline.over_at());
    [alert, over].into_iter().flatten().min()
}

/// Whether the last day ends it. An attempt or a packet that is under way comes to its end first, and an outcome that
/// nobody knows may be a good one.
const fn can_expire(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Held { .. }
            | Stage::Backoff { .. }
            | Stage::NeedsCorrection { .. }
            | Stage::PacketStuck { .. }
            | Stage::PacketSent { .. }
    )
}

/// Whether it waits for something that can take days.
const fn is_waiting_long(stage: &Stage) -> bool {
    matches!(
        stage,
        Stage::Held { .. }
            | Stage::NeedsCorrection { .. }
            | Stage::PacketStuck { .. }
            | Stage::PacketSent { .. }
            | Stage::Unknown { ask_at: None, .. }
    )
}

const fn rung(method: Method, reason_if_manual: ManualReason) -> Step {
    match method {
        Method::Api | Method::AutomationReliable => Step::Attempt(method),
        Method::AssistedManual => Step::GoManual(reason_if_manual),
    }
}

const fn reason_of_skip(reason: SkipReason) -> ManualReason {
    match reason {
        SkipReason::CircuitOpen => ManualReason::MethodsExhausted,
        SkipReason::DeadlineNear => ManualReason::DeadlineNear,
    }
}

const fn manual_reason(kind: ErrorKind) -> ManualReason {
    match kind {
        ErrorKind::Captcha => ManualReason::Captcha,
        ErrorKind::FormChanged => ManualReason::FormChanged,
        ErrorKind::LoginRequired => ManualReason::LoginRequired,
        ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Auth
        | ErrorKind::Validation
        | ErrorKind::UnknownOutcome
        | ErrorKind::Internal => ManualReason::MethodsExhausted,
    }
}
