//! Forgetting a person: it is decided and stored for each of their registrations, and then the engine erases what identifies
//! them, in an order that a crash anywhere leaves to be finished at the next start.

use std::time::Duration;

use bus::{KeyError, LoadError, ObjectError};
use events::event::PersonErased;
use events::forget::{Forgetting, Wish};
use events::{
    Actor, Command, Event, ForgetReason, Kept, PersonKeyId, Refusal, Registration, RegistrationId, Sequence, Shard,
    Stage, Stored,
};
use tokio::time::Instant;

use crate::journal::{self, JournalError};
use crate::world::World;

/// Lost races in a row before we give up; each means that somebody else acted at the same moment.
const RACES_MAX: usize = 64;
/// An attempt that is under way may end by itself for so long, so that its outcome is known; then it is fenced.
const SETTLE_MAX: Duration = Duration::from_secs(5);
/// Between two looks whether it has ended, and whether the engine has erased.
const POLL: Duration = Duration::from_millis(50);
/// How long a request waits for the engine; what it is told then is that the rest follows.
const ERASE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Why a registration is not forgotten yet.
#[derive(Debug, thiserror::Error)]
pub enum ForgetError {
    /// The log or a rule said no.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What stops an erasure; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// The history cannot be read.
    #[error("failed to read which keys and files there are")]
    Load(#[from] LoadError),
    /// A store that lags behind answered: what it shows may name neither key nor file.
    #[error("the history that was read is older than the wish to forget")]
    Stale,
    /// A key may still be there.
    #[error("failed to destroy the person's key")]
    Key(#[from] KeyError),
    /// A file may still be there.
    #[error("failed to delete a file of the person")]
    Object(#[from] ObjectError),
}

/// What became of one registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It is stored that its person is forgotten.
    Forgotten,
    /// A law keeps it.
    Kept(Kept),
}

/// What would become of a registration: nothing is changed.
#[must_use]
pub fn foresee(world: &World, registration: &Registration) -> Fate {
    match world.connector(registration).must_keep(registration, world.now()) {
        Some(kept) => Fate::Kept(kept),
        None => Fate::Forgotten,
    }
}

/// Decides and stores that the person of a registration is forgotten. When this answers the engine erases, also after a crash.
///
/// # Errors
/// [`ForgetError`] when the log does not take it; it is not forgotten then, or the log did not say so.
pub async fn forget(
    world: &World,
    (shard, id): (Shard, RegistrationId),
    reason: ForgetReason,
    actor: Actor,
) -> Result<Fate, ForgetError> {
    let (asked, mut races) = (Instant::now(), 0);
    loop {
        let mut registration = journal::load(world, shard, id).await?;
        let kept = world.connector(&registration).must_keep(&registration, world.now());
        let is_busy = matches!(registration.stage, Stage::Attempting { .. }) && kept.is_none();
        if is_busy && asked.elapsed() < SETTLE_MAX {
            tokio::time::sleep(POLL).await;
            continue;
        }
        let command = Command::Forgetting(Wish::Forget(reason, kept));
        crate::crash_point("before_forget");
        let recorded = journal::record(world, &mut registration, command, actor.clone()).await;
        crate::crash_point("after_forget");
        return match recorded {
            // forgotten by somebody else just now
            Ok(()) | Err(JournalError::Refused(Refusal::Forgotten)) => Ok(Fate::Forgotten),
            Err(JournalError::Refused(Refusal::MustBeKept(kept))) => Ok(Fate::Kept(kept)),
            Err(JournalError::LostRace) if races < RACES_MAX => {
                races += 1;
                continue;
            }
            Err(error) => Err(error.into()),
        };
    }
}

/// Waits until the engine has erased what identifies the person of a registration; false when it takes too long and goes on
/// behind our back.
///
/// # Errors
/// [`ForgetError`] when the log cannot be read.
pub async fn erased(world: &World, (shard, id): (Shard, RegistrationId)) -> Result<bool, ForgetError> {
    let asked = Instant::now();
    loop {
        let registration = journal::load(world, shard, id).await?;
        if registration.forgetting == Some(Forgetting::Done) {
            return Ok(true);
        }
        if asked.elapsed() > ERASE_WAIT_MAX {
            return Ok(false);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// Erases key and files, and tells what to record. Doing it again does no harm, so a crash between any two of its steps only
/// means that it is done again: the key goes first, because without it nothing else can be read.
///
/// # Errors
/// [`EraseError`] when something may still be there.
pub(crate) async fn erase(world: &World, registration: &Registration) -> Result<Command, EraseError> {
    let history = world.log.load(registration.shard, registration.id).await?;
    if is_older(&history, registration.last.sequence) {
        return Err(EraseError::Stale);
    }
    let (keys, mut files) = (keys_of(registration.person_key, &history), 0);
    for key in &keys {
        world.keys.destroy(*key).await?;
    }
    crate::crash_point("after_key");
    for name in files_of(registration, &history) {
        files += u32::from(world.objects.erase(&name).await?);
        crate::crash_point("after_file");
    }
    Ok(Command::Forgetting(Wish::RecordErased(PersonErased { keys, files })))
}

/// Whether a history ends before the record at `known`.
fn is_older(history: &[Stored], known: Sequence) -> bool {
    history.last().is_none_or(|last| last.sequence < known)
}

/// The key of a registration and those that its history names, each once.
fn keys_of(present: PersonKeyId, history: &[Stored]) -> Vec<PersonKeyId> {
    let mut keys: Vec<_> = events_of(history).filter_map(Event::person_key).chain([present]).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// The names of all files: those that the history names, and those that were kept in the moment before a crash or before the
/// outcome was refused as late.
fn files_of(registration: &Registration, history: &[Stored]) -> Vec<String> {
    let named = events_of(history).filter_map(Event::file).map(|file| file.name.clone());
    let screenshots = (1..=registration.attempts).map(|attempt| screenshot_name(registration.id, attempt));
    let mut names: Vec<_> = named.chain(screenshots).chain([packet_name(registration.id)]).collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// The packet's name in the object store.
pub(crate) fn packet_name(id: RegistrationId) -> String {
    format!("packet/{id}.pdf")
}

/// The name of an attempt's screenshot in the object store.
pub(crate) fn screenshot_name(id: RegistrationId, attempt: u32) -> String {
    format!("evidence/{id}/{attempt}.png")
}

fn events_of(history: &[Stored]) -> impl Iterator<Item = &Event> {
    history.iter().flat_map(|stored| &stored.record.events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_the_wish_to_forget_is_too_old_to_erase_by() {
        assert!(is_older(&[], 1));
    }

    #[test]
    fn the_key_of_the_registration_goes_whatever_the_history_names() {
        let key = PersonKeyId(uuid::Uuid::from_u128(7));
        assert_eq!(keys_of(key, &[]), [key]);
    }
}
