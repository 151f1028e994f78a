//! Rotation of the master key: a new one is made, everything is wrapped anew by it while everything runs, and its file takes
//! the place of the old one's. One that was cut off is finished after the next start.

use std::sync::Arc;
use std::time::Duration;

use bus::{KeyError, KeyFileError};
use events::seal::MasterKey;

use crate::world::World;

/// Pause after the keys could not be wrapped anew.
const PAUSE: Duration = Duration::from_secs(2);
/// How long a rotation that is asked for waits until this process does the work: it may just have started.
const TURN_WAIT_MAX: Duration = Duration::from_secs(10);
/// Between two looks for keys that processes which still run with the old master key alone have wrapped by it.
const LOOK_AGAIN: Duration = Duration::from_secs(600);

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

/// Rotates the master key; a repeat after an error goes on with the one that was begun.
///
/// # Errors
/// [`RotateError`]; both master keys are accepted then, also after a restart.
pub async fn rotate(world: &World) -> Result<Rotated, RotateError> {
    let Some(file) = &world.master_file else { return Err(RotateError::NotOurFile) };
    let _nobody_else_rotates = world.keys.try_rotation()?;
    let mut held = world.lease.watch();
    let waited = tokio::time::timeout(TURN_WAIT_MAX, held.wait_for(|held| *held));
    if !waited.await.is_ok_and(|held| held.is_ok()) {
        return Err(KeyError::NotOurTurn.into());
    }
    // after a rotation that stopped half way this is the same one
    let new = MasterKey::new(*file.next_key()?);
    let fingerprint = new.fingerprint();
    crate::crash_point("before_rotation");
    world.keys.begin_rotation(new).await?;
    let keys = finish(world).await?;
    Ok(Rotated { keys, fingerprint })
}

/// Finishes what was begun before this start, if anything was; tries until it is done. Waits until this process does the work:
/// who destroys keys moves them, so that none comes back. With an old master key from the settings it looks again from time to
/// time: processes that were not restarted yet wrap by that one.
pub async fn resume(world: Arc<World>) {
    let mut is_told = false;
    loop {
        let was_begun = world.keys.is_rotating().await;
        if was_begun && world.lease.watch().wait_for(|held| *held).await.is_err() {
            return;
        }
        let pause = match go_on(&world).await {
            Ok(keys) => {
                if was_begun && (keys > 0 || !is_told) {
                    tracing::info!(keys, "the master key is rotated: the one before it is of no use any more");
                }
                if !world.keys.is_rotating().await {
                    return;
                }
                is_told = true;
                LOOK_AGAIN
            }
            Err(error) => {
                tracing::warn!(%error, "the keys of persons are not wrapped anew yet, trying again");
                PAUSE
            }
        };
        tokio::time::sleep(pause).await;
    }
}

async fn go_on(world: &World) -> Result<u64, RotateError> {
    let _nobody_else_rotates = world.keys.rotation().await;
    match &world.master_file {
        Some(_) => finish(world).await,
        // it was given at the start, and others may still use it
        None => Ok(world.keys.move_keys(&world.lease).await?),
    }
}

async fn finish(world: &World) -> Result<u64, RotateError> {
    crate::crash_point("in_rotation");
    let keys = world.keys.finish_rotation(&world.lease).await?;
    crate::crash_point("after_rotation");
    if let Some(file) = &world.master_file {
        file.replace()?;
    }
    Ok(keys)
}
