//! Proof of registration, and what was sent about a person: an account of the stored records, with the values in it.
//!
//! `account` reads the records, `gather` fetches what is sealed, `text` writes the proof that is signed and reads it again,
//! `verify` checks one without any service, `print` makes the PDF's data of it.

mod account;
mod gather;
mod print;
#[cfg(test)]
mod tests;
mod text;
mod verify;

pub use account::{Account, Arrived, Delivery, What};
pub use gather::{Gathered, ProofError, Show, gather};
pub use print::document;
pub use verify::{NOTE_BYTES_MAX, Verified, verify};

use events::NoteSigner;
use handlers::World;

/// A proof as it is handed out.
pub struct Proof {
    /// The signed note.
    pub note: String,
    /// What it tells.
    pub account: Account,
}

/// The proof of a registration, from the log as it is now.
///
/// # Errors
/// [`ProofError`] when there is no such registration, a store does not answer, or the history is too long for one file.
pub async fn prove(
    world: &World,
    shard: events::Shard,
    id: events::RegistrationId,
    show: Show,
) -> Result<Proof, ProofError> {
    let Gathered { account, records } = gather(world, shard, id, show, true).await?;
    // of the last record's time, not of now: the same state gives the same file, so that a PDF can name its hash
    let written_at = account.registration.updated_at;
    let head = text::Head { signer: world.signer.verifier().to_string(), written_at, show };
    let text = text::write(&head, &account, &records);
    let note = signed(&world.signer, &text)?;
    Ok(Proof { note, account })
}

/// The signed note of a text; of none that is so long that its note could not be verified.
fn signed(signer: &NoteSigner, text: &str) -> Result<String, ProofError> {
    if text.len() > text::TEXT_BYTES_MAX {
        return Err(ProofError::TooLong { bytes: text.len() });
    }
    signer.sign(text).map_err(ProofError::Unsignable)
}
