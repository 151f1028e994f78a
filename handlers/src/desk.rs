//! What a person asks of a registration: complete, cancel, try again.

use bus::AppendError;
use bytes::Bytes;
use events::decide::Correction;
use events::{Actor, Command, Details, FieldProblem, Method, Registration, RegistrationId, Sequence, Shard, decide};

use crate::intake;
use crate::journal::{self, JournalError};
use crate::world::{PrivateError, World, fresh_nonce};

/// Lost races in a row before we give up; each means that somebody else acted at the same moment.
const RACES_MAX: usize = 8;

/// A person's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The log or a rule said no.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The person's data cannot be read.
    #[error(transparent)]
    Private(#[from] PrivateError),
    /// Mended data with mistakes.
    #[error("what was sent has mistakes")]
    Invalid(Vec<FieldProblem>),
    /// The client saw an older state.
    #[error("the registration has changed since: it is at {present}, the request names {wanted}")]
    Changed {
        /// What the client saw.
        wanted: Sequence,
        /// What is.
        present: Sequence,
    },
}

/// Another try, as a person asks for it.
#[derive(Debug, Clone, Default)]
pub struct RetryWish {
    /// The rung to begin at.
    pub from: Option<Method>,
    /// Why.
    pub reason: Option<String>,
    /// All details, mended.
    pub correction: Option<Details>,
}

/// What the owner has in hand when it is done.
#[derive(Debug, Clone, Default)]
pub struct Receipt {
    /// The maker's code.
    pub confirmation: Option<String>,
    /// A photo or a copy of the maker's confirmation (PDF, PNG or JPEG).
    pub photo: Option<Bytes>,
}

/// The owner (or somebody for them) says that it is done.
///
/// # Errors
/// [`DeskError`] when it cannot be completed now, the photo cannot be kept, or the log does not take it.
pub async fn complete(
    world: &World,
    (shard, id): (Shard, RegistrationId),
    receipt: Receipt,
    seen: Option<Sequence>,
    actor: Actor,
) -> Result<Registration, DeskError> {
    let Receipt { confirmation, photo } = receipt;
    let Some(bytes) = photo else {
        let command = Command::Complete { confirmation, photo: None };
        return act(world, (shard, id), &command, seen, &actor).await;
    };
    if let Some(problem) = intake::file_problem("photo", &bytes) {
        return Err(DeskError::Invalid(vec![problem]));
    }
    let registration = journal::load(world, shard, id).await?;
    would_complete(world, &registration, confirmation.as_ref(), seen)?;
    let key = world.key(&registration).await?;
    // a name of its own: of two that are sent at once, each event finds its own
    let name = format!("photo/{id}/{}", uuid::Uuid::new_v4());
    // sealed with the owner's key, before the registration says that it is there
    let done = match world.keep_sealed(&key, id, &name, &bytes).await {
        Ok(photo) => {
            let command = Command::Complete { confirmation, photo: Some(photo) };
            act(world, (shard, id), &command, seen, &actor).await
        }
        Err(error) => Err(error.into()),
    };
    if done.as_ref().is_err_and(DeskError::surely_not_stored) {
        intake::discard(world, None, name);
    }
    done
}

/// Whether it may be completed as it stands now: asked before the photo is kept, because no history names one that is refused.
fn would_complete(
    world: &World,
    registration: &Registration,
    confirmation: Option<&String>,
    seen: Option<Sequence>,
) -> Result<(), DeskError> {
    intake::check_writable(world)?;
    check_seen(registration, seen)?;
    let command = Command::Complete { confirmation: confirmation.cloned(), photo: None };
    decide(registration, command).map_err(JournalError::from)?;
    Ok(())
}

impl DeskError {
    /// Whether what was asked is certainly not in the log, now or later.
    fn surely_not_stored(&self) -> bool {
        match self {
            Self::Private(_) | Self::Invalid(_) | Self::Changed { .. } => true,
            Self::Journal(JournalError::Append(error)) => !matches!(error, AppendError::Unknown),
            // each append before it had lost its race
            Self::Journal(
                JournalError::Refused(_) | JournalError::LostRace | JournalError::Load(_) | JournalError::NotFound,
            ) => true,
            // perhaps of the record that was stored just now
            Self::Journal(JournalError::History(_)) => false,
        }
    }
}

/// The owner has looked at the page behind the link; true when that is the first time since the packet was sent.
///
/// # Errors
/// [`DeskError`] when the log does not take it.
pub async fn open_packet(world: &World, (shard, id): (Shard, RegistrationId)) -> Result<bool, DeskError> {
    match act(world, (shard, id), &Command::OpenPacket, None, &Actor::Owner).await {
        Ok(_) => Ok(true),
        Err(DeskError::Journal(JournalError::Refused(_))) => Ok(false),
        Err(error) => Err(error),
    }
}

/// Withdraws it.
///
/// # Errors
/// [`DeskError`] when it cannot be cancelled now, or the log does not take it.
pub async fn cancel(
    world: &World,
    (shard, id): (Shard, RegistrationId),
    reason: Option<String>,
    seen: Option<Sequence>,
    actor: Actor,
) -> Result<Registration, DeskError> {
    act(world, (shard, id), &Command::Cancel { reason }, seen, &actor).await
}

/// Tries again, perhaps with mended data.
///
/// # Errors
/// [`DeskError`] when it cannot be tried again now, the data has mistakes, or the log does not take it.
pub async fn retry(
    world: &World,
    (shard, id): (Shard, RegistrationId),
    wish: RetryWish,
    seen: Option<Sequence>,
    actor: Actor,
) -> Result<Registration, DeskError> {
    if let Some(from) = wish.from {
        let registration = journal::load(world, shard, id).await?;
        if !world.connector(&registration).ladder().contains(&from) {
            let problem = format!("is {from}, which is not among the methods of this maker; leave it out");
            return Err(DeskError::Invalid(vec![FieldProblem::new("from_method", problem)]));
        }
    }
    let correction = match wish.correction {
        Some(details) => Some(seal(world, (shard, id), details).await?),
        None => None,
    };
    let command = Command::Retry { from: wish.from, reason: wish.reason, correction };
    act(world, (shard, id), &command, seen, &actor).await
}

/// The details as they are now, in clear: what a correction leaves out is taken from them.
///
/// # Errors
/// [`DeskError`] when the registration or its key cannot be read.
pub async fn details(world: &World, (shard, id): (Shard, RegistrationId)) -> Result<Details, DeskError> {
    let registration = journal::load(world, shard, id).await?;
    Ok(world.open(&registration).await?)
}

/// With the key that the registration has already: what was kept under it before (proof, evidence) must stay readable.
async fn seal(world: &World, (shard, id): (Shard, RegistrationId), details: Details) -> Result<Correction, DeskError> {
    let problems = details.problems(world.now().to_jiff().to_zoned(jiff::tz::TimeZone::UTC).date());
    if !problems.is_empty() {
        return Err(DeskError::Invalid(problems));
    }
    let registration = journal::load(world, shard, id).await?;
    let (person_key, key) = (registration.person_key, world.key(&registration).await?);
    let sealed = key.seal(id, &fresh_nonce(), &details).map_err(PrivateError::from)?;
    let register_by = world.connector(&registration).register_by(&details);
    // a product that was handed over with a wrong address is from now on that of whoever has the right one
    let owner_ref = world.keys.pseudonym(&registration.tenant, &details.owner.email);
    let (model, purchased_on) = (details.product.model, details.purchase.date);
    Ok(Correction { model, purchased_on, person_key, sealed, register_by, owner_ref })
}

fn check_seen(registration: &Registration, seen: Option<Sequence>) -> Result<(), DeskError> {
    let present = registration.last.sequence;
    match seen.filter(|seen| *seen != present) {
        Some(wanted) => Err(DeskError::Changed { wanted, present }),
        None => Ok(()),
    }
}

async fn act(
    world: &World,
    (shard, id): (Shard, RegistrationId),
    command: &Command,
    seen: Option<Sequence>,
    actor: &Actor,
) -> Result<Registration, DeskError> {
    let mut races = 0;
    loop {
        let mut registration = journal::load(world, shard, id).await?;
        check_seen(&registration, seen)?;
        match journal::record(world, &mut registration, command.clone(), actor.clone()).await {
            Ok(()) => return Ok(registration),
            Err(JournalError::LostRace) if races < RACES_MAX => races += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_photo_goes_again_unless_a_record_may_name_it() {
        let surely = |error| DeskError::Journal(error).surely_not_stored();
        assert!(surely(JournalError::LostRace) && surely(JournalError::Append(AppendError::TooLarge)));
        assert!(!surely(JournalError::Append(AppendError::Unknown)));
    }
}
