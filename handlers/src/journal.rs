//! Decide, store, take in: the one way by which a registration moves.

use std::time::Duration;

use bus::{AppendError, LoadError};
use events::state::HistoryError;
use events::{
    Actor, Command, Event, Link, MakerEvent, Record, RecordId, Refusal, Registration, RegistrationId, Shard, Stored,
    decide,
};
use tracing::Instrument;
use uuid::Uuid;

use crate::world::World;
use crate::{meters, trace};

/// First pause after a store that did not answer.
const PAUSE_MIN: Duration = Duration::from_millis(100);
/// Longest pause between tries to store an outcome.
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// A wish was not recorded.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Another record came in between; reload and decide again.
    #[error("another record of this registration came first")]
    LostRace,
    /// The log did not take it, or may have and did not say so.
    #[error("failed to append to the log")]
    Append(#[source] AppendError),
    /// The log cannot be read.
    #[error("failed to load the registration from the log")]
    Load(#[from] LoadError),
    /// What the log holds is no history of ours.
    #[error("failed to replay the registration")]
    History(#[from] HistoryError),
    /// No such registration.
    #[error("no registration has this id")]
    NotFound,
}

/// The registration as the log knows it now.
///
/// # Errors
/// [`JournalError`] when there is none or it cannot be read.
pub async fn load(world: &World, shard: Shard, id: RegistrationId) -> Result<Registration, JournalError> {
    let history = world.log.load(shard, id).await?;
    Registration::replay(&history)?.ok_or(JournalError::NotFound)
}

/// Decides `command` on `registration`, appends what follows from it, and takes it in.
///
/// # Errors
/// [`JournalError`]; the registration is unchanged then.
pub async fn record(
    world: &World,
    registration: &mut Registration,
    command: Command,
    actor: Actor,
) -> Result<(), JournalError> {
    let events = decide(registration, command)?;
    store(world, registration, events, actor).await
}

/// As [`record`], for two wishes of which the second follows from the first: one record.
///
/// # Errors
/// [`JournalError`]; the registration is unchanged then.
pub(crate) async fn record_both(
    world: &World,
    registration: &mut Registration,
    (first, second): (Command, Command),
    actor: Actor,
) -> Result<(), JournalError> {
    let mut events = decide(registration, first)?;
    events.extend(decide(&registration.after(&events, world.now())?, second)?);
    store(world, registration, events, actor).await
}

async fn store(
    world: &World,
    registration: &mut Registration,
    events: Vec<Event>,
    actor: Actor,
) -> Result<(), JournalError> {
    let (span, trace) = trace::append(registration.id, registration.trace);
    let record = Record {
        id: RecordId(Uuid::now_v7()),
        at: world.now(),
        actor,
        cause: Some(registration.last_record),
        trace,
        previous: Some(registration.last),
        events,
    };
    crate::crash_point("before_append");
    let appended = world.log.append(registration.shard, registration.id, &record).instrument(span).await;
    crate::crash_point("after_append");
    let link = match appended {
        Ok(link) => link,
        Err(AppendError::Conflict { .. }) => return Err(JournalError::LostRace),
        Err(error) => return Err(JournalError::Append(error)),
    };
    let (sequence, hash) = (link.sequence, link.hash);
    let stored = Stored { sequence, shard: registration.shard, registration: registration.id, record, hash };
    registration.apply(&stored)?;
    meters::stored(registration, &stored.record.events);
    Ok(())
}

/// Appends facts about a maker behind `previous`, the last ones that they were decided on.
///
/// # Errors
/// [`JournalError::LostRace`] when others came first, [`JournalError::Append`] when the log does not take them.
pub async fn record_of_maker(
    world: &World,
    connector: &str,
    (previous, cause): (Option<Link>, Option<RecordId>),
    events: Vec<MakerEvent>,
    actor: Actor,
) -> Result<Link, JournalError> {
    let id = RecordId(Uuid::now_v7());
    let record = Record { id, at: world.now(), actor, cause, trace: None, previous, events };
    let shard = Shard::of(connector, world.options.shards);
    crate::crash_point("before_maker_append");
    let appended = world.log.append_maker(shard, connector, &record).await;
    crate::crash_point("after_maker_append");
    match appended {
        Ok(link) => Ok(link),
        Err(AppendError::Conflict { .. }) => Err(JournalError::LostRace),
        Err(error) => Err(JournalError::Append(error)),
    }
}

/// As [`record`], for an outcome that must not be lost: tries until it is stored or a rule refuses it.
///
/// A late or doubled outcome is refused by the attempt's number, so trying again is safe.
pub async fn record_outcome(world: &World, registration: &mut Registration, command: Command) -> Result<(), Refusal> {
    let mut pause = PAUSE_MIN;
    loop {
        let error = match record(world, registration, command.clone(), Actor::System).await {
            Ok(()) => return Ok(()),
            Err(JournalError::Refused(refusal)) => return Err(refusal),
            Err(error) => error,
        };
        if !matches!(error, JournalError::LostRace) {
            tracing::warn!(id = %registration.id, %error, "an outcome is not stored yet, trying again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
        if let Ok(now) = load(world, registration.shard, registration.id).await {
            *registration = now;
        }
    }
}
