//! Rotation of the master key: a new one is made, everything is wrapped anew by it while everything runs, and its file takes
//! the place of the old one's. One that was cut off is finished after the next start.

use std::sync::Arc;
use std::time::Duration;

use bus::{KeyError, KeyFileError};
use events::seal::MasterKey;

use crate::world::World;

/// Pause after the keys could not be wrapped anew.
const PAUSE: Duration = Duration::from_secs(2);

/// Why the master key is not rotated.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// Others may have it, too.
    #[error(
        "the master key does not stand in a file that only this service uses: start with the new key in REGFLOW_MASTER_KEY \
         and the one before it in REGFLOW_MASTER_KEY_OLD, and the rest happens while it runs"
    )]
    NotOurFile,
    /// Its files cannot be written.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The vault says no, or cannot be reached.
    #[error(transparent)]
    Vault(#[from] KeyError),
}

/// What a rotation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// Keys that were wrapped anew.
    pub keys: u64,
    /// The fingerprint of the new master key.
    pub fingerprint: String,
}

/// Rotates the master key; a repeat after an error goes on.
///
/// # Errors
/// [`RotateError`]; both master keys are accepted then, also after a restart.
pub async fn rotate(world: &World) -> Result<Rotated, RotateError> {
    let Some(file) = &world.master_file else { return Err(RotateError::NotOurFile) };
    if world.keys.is_rotating().await {
        return Err(KeyError::RotationUnderWay.into());
    }
    let new = MasterKey::new(*file.next_key()?);
    let fingerprint = new.fingerprint();
    crate::crash_point("before_rotation");
    world.keys.begin_rotation(new).await?;
    let keys = finish(world).await?;
    Ok(Rotated { keys, fingerprint })
}

/// Finishes what was begun before this start, if anything was; tries until it is done.
pub async fn resume(world: Arc<World>) {
    loop {
        let was_begun = world.keys.is_rotating().await;
        match finish(&world).await {
            Ok(keys) if was_begun => {
                tracing::info!(keys, "the master key is rotated: the one before it is of no use any more");
                return;
            }
            Ok(_) => return,
            Err(error) => tracing::warn!(%error, "the keys of persons are not wrapped anew yet, trying again"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn finish(world: &World) -> Result<u64, RotateError> {
    crate::crash_point("in_rotation");
    let keys = world.keys.finish_rotation().await?;
    crate::crash_point("after_rotation");
    if let Some(file) = &world.master_file {
        file.replace()?;
    }
    Ok(keys)
}
