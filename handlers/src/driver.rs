//! Drives one registration: step after step until it must wait, rest, or change lanes.

use std::sync::Arc;
use std::time::Instant;

use connectors::{Connector, Lookup};
use events::{
    Command, Details, ErrorKind, Failure, Method, Outcome, Registration, RegistrationId, Stage, Step, next_step,
};

use crate::journal::{self, JournalError};
use crate::queue::Lane;
use crate::world::{PrivateError, World};
use crate::{api_attempt, automation_attempt, dispatch, manual_fallback};

/// Steps of one drive; a registration that wants more goes back into the queue.
const STEPS_MAX: usize = 8;

/// How a drive ended.
#[derive(Debug)]
pub(crate) enum Drove {
    /// As far as it goes for now.
    Done(Registration),
    /// The log or a store does not answer: try again after a pause.
    Stalled(Registration),
    /// Its history cannot be read, now or later.
    Unreadable(RegistrationId),
}

/// A step could not be made.
#[derive(Debug, thiserror::Error)]
enum DriveError {
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error(transparent)]
    Private(#[from] PrivateError),
    #[error("the maker cannot be asked what became of an attempt: {0}")]
    Maker(String),
}

/// What is wanted next of `registration`.
pub(crate) fn next(world: &World, registration: &Registration) -> Step {
    let connector = world.connector(registration);
    next_step(registration, connector.ladder(), connector.is_generic(), world.now())
}

/// The lane of its next step, if it has one now. An attempt without an outcome (a crash left it) takes its method's lane.
pub(crate) fn lane(registration: &Registration, step: Step) -> Option<Lane> {
    match step {
        Step::Attempt(method) => Some(Lane::of(method)),
        Step::GoManual(_) | Step::SendPacket => Some(Lane::Manual),
        Step::WaitUntil(_) => None,
        Step::Rest => {
            if let Stage::Attempting { method } = registration.stage {
                Some(Lane::of(method))
            } else {
                None
            }
        }
    }
}

/// Makes the steps of `lane` that are due.
pub(crate) async fn drive(world: Arc<World>, mut registration: Registration, own: Lane) -> Drove {
    for _ in 0..STEPS_MAX {
        let step = next(&world, &registration);
        if lane(&registration, step) != Some(own) {
            return Drove::Done(registration);
        }
        match make(&world, &mut registration, step).await {
            Ok(()) => {}
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

fn stalled(registration: Registration, error: &dyn std::error::Error) -> Drove {
    let cause = error.source().map(ToString::to_string).unwrap_or_default();
    tracing::warn!(id = %registration.id, %error, cause, "a registration cannot move on, trying again soon");
    Drove::Stalled(registration)
}

async fn make(world: &World, registration: &mut Registration, step: Step) -> Result<(), DriveError> {
    match step {
        Step::Attempt(method) => {
            // before the start is stored, because a key that is gone must not leave an attempt behind
            let details = world.open(registration).await?;
            dispatch::start(world, registration, method).await?;
            attempt(world, registration, method, &details).await;
        }
        Step::GoManual(reason) => dispatch::go_manual(world, registration, reason).await?,
        Step::SendPacket => {
            let command = manual_fallback::send(world, registration).await?;
            conclude(world, registration, command).await;
        }
        Step::Rest => take_over(world, registration).await?,
        Step::WaitUntil(_) => {}
    }
    Ok(())
}

async fn attempt(world: &World, registration: &mut Registration, method: Method, details: &Details) {
    let connector = world.connector(registration);
    let conclusion = match method {
        Method::Api => api_attempt::attempt(world, &connector, registration, details).await,
        // boxed: a browser's future is large, and this enum of methods would make every registration carry it
        Method::AutomationReliable => {
            Box::pin(automation_attempt::attempt(world, &connector, registration, details)).await
        }
        Method::AssistedManual => return,
    };
    conclude(world, registration, Command::Conclude(conclusion)).await;
}

async fn conclude(world: &World, registration: &mut Registration, command: Command) {
    if let Err(refusal) = journal::record_outcome(world, registration, command).await {
        tracing::info!(id = %registration.id, %refusal, "a late outcome is dropped");
    }
}

/// An attempt was begun and its outcome is not in the log: a crash. The maker is asked where it can be asked; the call is
/// repeated where the maker tells repeats apart; else a person is asked.
async fn take_over(world: &World, registration: &mut Registration) -> Result<(), DriveError> {
    let Stage::Attempting { method } = registration.stage else { return Ok(()) };
    let connector = world.connector(registration);
    if method == Method::Api && connector.is_repeatable() {
        let details = world.open(registration).await?;
        attempt(world, registration, method, &details).await;
        return Ok(());
    }
    let outcome = if connector.can_look_up() {
        let details = world.open(registration).await?;
        reconciled(world, &connector, registration, &details).await?
    } else {
        let detail = format!("regflow was stopped during the attempt, and {} cannot be asked", connector.name());
        Outcome::Failed(Failure::new(ErrorKind::UnknownOutcome, detail))
    };
    let conclusion = api_attempt::conclusion(world, &connector, registration, outcome, Instant::now(), None);
    conclude(world, registration, Command::Conclude(conclusion)).await;
    Ok(())
}

/// What the maker says became of an attempt that was interrupted.
async fn reconciled(
    world: &World,
    connector: &Connector,
    registration: &Registration,
    details: &Details,
) -> Result<Outcome, DriveError> {
    match world.api.lookup(connector, &api_attempt::request(registration, details)).await {
        Lookup::Registered { confirmation } => Ok(Outcome::Registered { confirmation, already: false }),
        Lookup::NotRegistered => {
            let detail = "regflow was stopped during the attempt; the maker says that nothing is registered";
            Ok(Outcome::Failed(Failure::new(ErrorKind::Network, detail)))
        }
        Lookup::Failed(failure) if failure.kind.is_retryable() => Err(DriveError::Maker(failure.detail)),
        Lookup::Failed(failure) => {
            let detail = format!("regflow was stopped during the attempt, and asking failed: {}", failure.detail);
            Ok(Outcome::Failed(Failure::new(ErrorKind::UnknownOutcome, detail)))
        }
    }
}
