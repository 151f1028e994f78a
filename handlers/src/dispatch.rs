//! Dispatch: the next rung of the ladder begins, in the log before anything leaves the house.

use events::{Actor, Command, ManualReason, Method, Registration, Sending};

use crate::journal::{self, JournalError};
use crate::world::World;

/// Stores that an attempt by `method` begins, and what it will send.
///
/// # Errors
/// [`JournalError`] when it may not or cannot begin.
pub(crate) async fn start(
    world: &World,
    registration: &mut Registration,
    method: Method,
    sends: Option<Sending>,
) -> Result<(), JournalError> {
    journal::record(world, registration, Command::StartAttempt(method, sends), Actor::System).await
}

/// Stores that its owner must finish it.
///
/// # Errors
/// [`JournalError`] when it may not or cannot be stored.
pub(crate) async fn go_manual(
    world: &World,
    registration: &mut Registration,
    reason: ManualReason,
) -> Result<(), JournalError> {
    journal::record(world, registration, Command::RequireManual(reason), Actor::System).await
}
