//! The two secrets that outlive a master key: what pseudonyms of owners and links in their mails are made with.
//!
//! Both stand in events, mails and papers that nobody can write anew, so they must not change when the master key does. They
//! are drawn once, kept wrapped by the master key, and wrapped anew by its successor.

use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::link::LinkKey;
use crate::seal::{MasterKey, Nonce, SealError, open, seal};

/// Bytes of both together.
pub const SECRETS_BYTES: usize = 64;
/// First byte of the wrapped form.
const VERSION: u8 = 1;
/// What the wrapped form is bound to, so that no person's key opens as it.
const BINDING: &[u8] = b"regflow owner secrets";

/// Both secrets. Wiped from memory when dropped.
#[derive(Clone, PartialEq, Eq, Zeroize, ZeroizeOnDrop)]
pub struct OwnerSecrets {
    pseudonym: [u8; 32],
    link: [u8; 32],
}

impl OwnerSecrets {
    /// From random bytes, drawn by the caller.
    #[must_use]
    pub fn new(bytes: &[u8; SECRETS_BYTES]) -> Self {
        let mut secrets = Self { pseudonym: [0; 32], link: [0; 32] };
        let (pseudonym, link) = bytes.split_at(32);
        secrets.pseudonym.copy_from_slice(pseudonym);
        secrets.link.copy_from_slice(link);
        secrets
    }

    /// As they were before they were drawn: derived from the master key of that time, for a vault from then.
    #[must_use]
    pub fn derived_from(master: &MasterKey) -> Self {
        Self {
            pseudonym: blake3::derive_key("regflow 2026 owner pseudonym", master.bytes()),
            link: blake3::derive_key("regflow 2026 completion link", master.bytes()),
        }
    }

    /// Wrapped for storage.
    ///
    /// # Errors
    /// [`SealError::DoesNotSeal`] when the cipher refuses.
    pub fn wrapped_by(&self, master: &MasterKey, nonce: &Nonce) -> Result<Vec<u8>, SealError> {
        let mut clear = Zeroizing::new([0; SECRETS_BYTES]);
        clear[..32].copy_from_slice(&self.pseudonym);
        clear[32..].copy_from_slice(&self.link);
        seal(master.bytes(), VERSION, nonce, &*clear, BINDING)
    }

    /// What [`Self::wrapped_by`] made.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] when another master key wrapped it, or it is something else.
    pub fn unwrapped_by(master: &MasterKey, wrapped: &[u8]) -> Result<Self, SealError> {
        let clear = Zeroizing::new(open(master.bytes(), VERSION, wrapped, BINDING)?);
        let bytes: &[u8; SECRETS_BYTES] = clear.as_slice().try_into().map_err(|_| SealError::DoesNotOpen)?;
        Ok(Self::new(bytes))
    }

    /// The key that signs the links in owners' mails.
    #[must_use]
    pub fn link_key(&self) -> LinkKey {
        LinkKey::new(self.link)
    }

    /// A pseudonym of an owner that cannot be guessed without the secret: keyed BLAKE3 of tenant and e-mail address.
    #[must_use]
    pub fn pseudonym(&self, tenant: &str, email: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_keyed(&self.pseudonym);
        hasher.update(tenant.as_bytes()).update(&[0]).update(email.trim().to_lowercase().as_bytes());
        let mut pseudonym = [0; 16];
        pseudonym.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        pseudonym
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::NONCE_BYTES;

    fn master(byte: u8) -> MasterKey {
        MasterKey::new([byte; 32])
    }

    #[test]
    fn a_pseudonym_depends_on_secret_tenant_and_address_but_not_on_case() {
        let secrets = OwnerSecrets::new(&[3; SECRETS_BYTES]);
        assert_eq!(secrets.pseudonym("t", "Ada@Example.org"), secrets.pseudonym("t", "ada@example.org "));
        assert_ne!(secrets.pseudonym("t", "ada@example.org"), secrets.pseudonym("u", "ada@example.org"));
        let others = OwnerSecrets::new(&[4; SECRETS_BYTES]);
        assert_ne!(secrets.pseudonym("t", "a@b.c"), others.pseudonym("t", "a@b.c"));
    }

    #[test]
    fn those_of_older_vaults_are_as_they_always_were() {
        let secrets = OwnerSecrets::derived_from(&master(3));
        let (pseudonym, token) =
            (secrets.pseudonym("t", "a@b.c"), secrets.link_key().code(crate::RegistrationId(uuid::Uuid::nil())));
        assert_eq!(
            (hex::encode(pseudonym).as_str(), token.as_str()),
            ("3b40a8a5dcb6070ee837909f7b67bb78", "W9B3-8PEJ")
        );
    }

    #[test]
    fn wrapped_ones_open_by_their_master_key_only_and_not_as_a_persons_key() {
        let secrets = OwnerSecrets::new(&std::array::from_fn(|place| place as u8));
        let wrapped = secrets.wrapped_by(&master(1), &[9; NONCE_BYTES]).expect("wraps");
        assert!(OwnerSecrets::unwrapped_by(&master(1), &wrapped).is_ok_and(|opened| opened == secrets));
        assert!(OwnerSecrets::unwrapped_by(&master(2), &wrapped).is_err());
        assert!(master(1).unwrap(crate::PersonKeyId(uuid::Uuid::nil()), &wrapped).is_err());
    }
}
