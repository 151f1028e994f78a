//! Drives one registration: the steps of one turn, until it must wait, rest, or change lanes.

use std::sync::Arc;
use std::time::Instant;

use connectors::Connector;
use events::{
    Actor, CheckResult, Command, Conclusion, Details, ErrorKind, Failure, MakerIndex, Method, Outcome, Outlook,
    Registration, RegistrationId, Sending, Sequence, Stage, Step, next_step,
};
use jiff::civil::Date;

use crate::another_try::{Ended, NextTry};
use crate::journal::{self, JournalError};
use crate::turns::Lane;
use crate::world::{PrivateError, World};
use crate::{
    another_try, api_attempt, automation_attempt, dispatch, forget, manual_fallback, meters, owner_mail, reconcile,
    trace,
};

/// Steps of one drive; a registration that wants more goes back into the queue.
const STEPS_MAX: usize = 8;

/// How a drive ended.
#[derive(Debug)]
pub(crate) enum Drove {
    /// As far as it goes for now.
    Done(Registration),
    /// An attempt failed and may be made again at once. Nothing of that is stored yet: whoever gives turns says how.
    MayTryAgain(Registration, Box<NextTry>),
    /// The log or a store does not answer: try again after a pause.
    Stalled(Registration),
    /// An arrival that is not stored, or nobody knows whether it is.
    NotBegun(RegistrationId),
    /// Its history cannot be read, now or later.
    Unreadable(RegistrationId),
    /// A record of a maker is stored, at this sequence, or is not.
    Written(MakerIndex, Option<Sequence>),
    /// A maker was checked: its API and its form.
    Checked(MakerIndex, Option<CheckResult>, Option<CheckResult>),
    /// Operators were mailed what this record of a maker says, or were not.
    Mailed(MakerIndex, Option<Sequence>),
}

/// A step could not be made.
#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error(transparent)]
    Erase(#[from] forget::EraseError),
    #[error("another process may do the work now")]
    NotOurs,
}

/// What the rules need to know of a registration's connector.
pub(crate) fn outlook<'a>(registration: &Registration, connector: &'a Connector) -> Outlook<'a> {
    let last_day = registration.register_by.or_else(|| connector.register_by_purchase(registration.purchased_on?));
    Outlook {
        ladder: connector.ladder(),
        unknown_brand: connector.is_generic(),
        deadline: last_day.map(|day| connector.deadline(day)),
    }
}

/// What is wanted next of `registration`.
pub(crate) fn next(world: &World, registration: &Registration) -> Step {
    let connector = world.connector(registration);
    next_step(registration, &outlook(registration, &connector), world.now())
}

/// The lane of its next step, if it has one now. An attempt without an outcome was left by a crash.
pub(crate) const fn lane(registration: &Registration, step: Step) -> Option<Lane> {
    match step {
        Step::Attempt(method) => Some(Lane::of(method)),
        Step::GoManual(_) | Step::SendPacket | Step::MailOwner => Some(Lane::Manual),
        Step::LookUp | Step::Erase => Some(Lane::Ask),
        Step::Skip(..) | Step::AlertDeadline | Step::Expire => Some(Lane::Note),
        Step::WaitUntil(_) | Step::Rest if matches!(registration.stage, Stage::Attempting { .. }) => Some(Lane::Ask),
        Step::WaitUntil(_) | Step::Rest => None,
    }
}

/// Makes the steps of `own` that are due; of attempts one, because the next one needs a turn of its own.
pub(crate) async fn drive(world: Arc<World>, mut registration: Registration, own: Lane) -> Drove {
    for _ in 0..STEPS_MAX {
        let step = next(&world, &registration);
        if lane(&registration, step) != Some(own) {
            return Drove::Done(registration);
        }
        let (trace, span) = (registration.trace, trace::step(&registration, step));
        // boxed: what goes around it would carry it along
        let made = Box::pin(make(&world, &mut registration, step));
        match trace::within(trace, span, made).await {
            Ok(Some(ended)) => return another_try::after(registration, ended),
            Ok(None) => {}
            Err(DriveError::Journal(JournalError::LostRace | JournalError::Refused(_))) => {
                match journal::load(&world, registration.shard, registration.id).await {
                    Ok(now) => registration = now,
                    Err(error) => return stalled(registration, &error),
                }
            }
            Err(error) => return stalled(registration, &error),
        }
    }
    Drove::Done(registration)
}

/// Notes in the log why it does not move, or that it moves on.
pub(crate) async fn note(world: Arc<World>, mut registration: Registration, command: Command) -> Drove {
    match journal::record(&world, &mut registration, command, Actor::System).await {
        Ok(()) | Err(JournalError::Refused(_)) => Drove::Done(registration),
        Err(JournalError::LostRace) => match journal::load(&world, registration.shard, registration.id).await {
            Ok(now) => Drove::Done(now),
            Err(error) => stalled(registration, &error),
        },
        Err(error) => stalled(registration, &error),
    }
}

fn stalled(registration: Registration, error: &dyn std::error::Error) -> Drove {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(id = %registration.id, %error, cause, "a registration cannot move on, trying again soon");
    Drove::Stalled(registration)
}

/// Makes a step; tells how an attempt ended.
async fn make(world: &World, registration: &mut Registration, step: Step) -> Result<Option<Ended>, DriveError> {
    match step {
        Step::Attempt(method) => {
            // before the start is stored, because a key that is gone must not leave an attempt behind
            let details = world.open(registration).await?;
            if !world.lease.is_held() {
                return Err(DriveError::NotOurs);
            }
            let sends = sending(world, registration, method, &details);
            dispatch::start(world, registration, method, sends).await?;
            return Ok(Some(attempt(world, registration, method, details).await));
        }
        Step::Skip(method, reason) => write(world, registration, Command::Skip(method, reason)).await?,
        Step::LookUp => {
            let details = world.open(registration).await?;
            let answer = reconcile::ask(world, registration, &details).await;
            conclude(world, registration, Command::Answer(answer)).await;
        }
        Step::GoManual(reason) => dispatch::go_manual(world, registration, reason).await?,
        Step::SendPacket => {
            let command = manual_fallback::send(world, registration).await?;
            conclude(world, registration, command).await;
        }
        Step::MailOwner => {
            let command = owner_mail::send(world, registration).await?;
            conclude(world, registration, command).await;
        }
        Step::Erase => {
            let command = forget::erase(world, registration).await?;
            conclude(world, registration, command).await;
        }
        Step::AlertDeadline => note_deadline(world, registration, Command::AlertDeadline).await?,
        Step::Expire => note_deadline(world, registration, Command::Expire).await?,
        Step::Rest | Step::WaitUntil(_) => take_over(world, registration).await?,
    }
    Ok(None)
}

/// The attempt whose start stands in its last record.
pub(crate) async fn attempt_begun(
    world: &World,
    mut registration: Registration,
    method: Method,
    details: Details,
) -> Drove {
    let (trace, span) = (registration.trace, trace::step(&registration, Step::Attempt(method)));
    let ended = trace::within(trace, span, Box::pin(attempt(world, &mut registration, method, details))).await;
    another_try::after(registration, ended)
}

/// What an attempt will send.
pub(crate) fn sending(
    world: &World,
    registration: &Registration,
    method: Method,
    details: &Details,
) -> Option<Sending> {
    world.connector(registration).sending(method, details, registration.proof.is_some())
}

async fn write(world: &World, registration: &mut Registration, command: Command) -> Result<(), DriveError> {
    Ok(journal::record(world, registration, command, Actor::System).await?)
}

async fn note_deadline(
    world: &World,
    registration: &mut Registration,
    command: fn(Date) -> Command,
) -> Result<(), DriveError> {
    let connector = world.connector(registration);
    match outlook(registration, &connector).deadline {
        Some(deadline) => write(world, registration, command(deadline.last_day)).await,
        None => Ok(()),
    }
}

/// Makes the attempt, and stores what came of it unless it may be made again at once.
async fn attempt(world: &World, registration: &mut Registration, method: Method, details: Details) -> Ended {
    let Some(conclusion) = carry_out(world, registration, method, &details).await else { return Ended::Stored };
    match another_try::due(world, registration, method, &conclusion) {
        Some(next) => Ended::MayTryAgain(Box::new(NextTry { method, conclusion, details, after: next })),
        None => {
            conclude(world, registration, Command::Conclude(conclusion)).await;
            Ended::Stored
        }
    }
}

/// Nothing for the manual method, which is no attempt.
async fn carry_out(
    world: &World,
    registration: &Registration,
    method: Method,
    details: &Details,
) -> Option<Conclusion> {
    let connector = world.connector(registration);
    let conclusion = match method {
        // a process that was stopped in between may have been replaced: nothing has left the house yet
        _ if !world.lease.is_held() => unsent(world, &connector, registration),
        Method::Api => api_attempt::attempt(world, &connector, registration, details).await,
        // boxed: a browser's future is large, and this enum of methods would make every registration carry it
        Method::AutomationReliable => {
            Box::pin(automation_attempt::attempt(world, &connector, registration, details)).await
        }
        Method::AssistedManual => return None,
    };
    trace::attempted(method, &conclusion);
    meters::attempted(connector.id(), method, &conclusion);
    Some(conclusion)
}

fn unsent(world: &World, connector: &Connector, registration: &Registration) -> Conclusion {
    let failure = Failure::new(ErrorKind::Internal, "another process took over before anything was sent");
    api_attempt::conclusion(world, connector, registration, Outcome::Failed(failure), Instant::now(), None)
}

pub(crate) async fn conclude(world: &World, registration: &mut Registration, command: Command) {
    crate::crash_point("before_outcome");
    if let Err(refusal) = journal::record_outcome(world, registration, command).await {
        tracing::info!(id = %registration.id, %refusal, "a late outcome is dropped");
    }
}

/// An attempt was begun and its outcome is not in the log: a crash. The call is repeated where the maker tells repeats
/// apart; else nobody knows the outcome, and the maker is asked once it has had the time to finish.
async fn take_over(world: &World, registration: &mut Registration) -> Result<(), DriveError> {
    let Stage::Attempting { method } = registration.stage else { return Ok(()) };
    let connector = world.connector(registration);
    if method == Method::Api && connector.is_repeatable() {
        let details = world.open(registration).await?;
        let sends = sending(world, registration, method, &details);
        write(world, registration, Command::RepeatAttempt(sends)).await?;
        // it had no turn of its method that it could keep
        if let Some(conclusion) = carry_out(world, registration, method, &details).await {
            conclude(world, registration, Command::Conclude(conclusion)).await;
        }
        return Ok(());
    }
    let detail = "regflow was stopped during the attempt";
    let outcome = Outcome::Failed(Failure::new(ErrorKind::UnknownOutcome, detail));
    let conclusion = api_attempt::conclusion(world, &connector, registration, outcome, Instant::now(), None);
    conclude(world, registration, Command::Conclude(conclusion)).await;
    Ok(())
}
