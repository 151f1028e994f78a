//! Sealing of personal data: one key per person, itself wrapped by the master key. Nonces come in as arguments.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use serde::de::DeserializeOwned;
use zeroize::{Zeroize, ZeroizeOnDrop};

use crate::details::Details;
use crate::details_v1::DetailsV1;
use crate::id::{PersonKeyId, RegistrationId};

/// Bytes of an XChaCha20 nonce; long enough to be drawn at random for each message.
pub const NONCE_BYTES: usize = 24;
/// Bytes of a salt of a value in a proof.
pub const SALT_BYTES: usize = 16;
/// First byte of sealed bytes and wrapped keys, and of details of the first shape; bound to the id alone.
const FIRST: u8 = 1;
/// First byte of details of the second shape, with installation and delivery; bound to the id and to this number, so that
/// one shape never opens as another.
const DETAILS_V2: u8 = 2;

/// A random nonce, drawn by the caller.
pub type Nonce = [u8; NONCE_BYTES];

/// The key of one person. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct PersonKey([u8; 32]);

/// The key that wraps all person keys. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct MasterKey([u8; 32]);

/// A sealed text that cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Wrong key, or the bytes are not what was sealed.
    #[error("cannot open sealed data: the key does not fit or the bytes were changed")]
    DoesNotOpen,
    /// Sealed by a newer program.
    #[error("cannot open sealed data of format version {0}")]
    UnknownVersion(u8),
    /// Opened, but no details inside.
    #[error("opened sealed data, but it does not hold details")]
    NotDetails,
    /// Too large to seal, or refused by the cipher.
    #[error("cannot seal data")]
    DoesNotSeal,
}

impl PersonKey {
    /// A key of 32 random bytes, drawn by the caller.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Seals bytes that belong to registration `id`: version, nonce, ciphertext with tag.
    ///
    /// # Errors
    /// [`SealError::DoesNotSeal`] when the cipher refuses (over 256 GiB).
    pub fn seal_bytes(&self, id: RegistrationId, nonce: &Nonce, clear: &[u8]) -> Result<Vec<u8>, SealError> {
        seal(&self.0, FIRST, nonce, clear, id.0.as_bytes())
    }

    /// Opens what [`Self::seal_bytes`] made for the same registration.
    ///
    /// # Errors
    /// [`SealError`] when the key or the registration is another, or the bytes were changed.
    pub fn open_bytes(&self, id: RegistrationId, sealed: &[u8]) -> Result<Vec<u8>, SealError> {
        open(&self.0, FIRST, sealed, id.0.as_bytes())
    }

    /// A salt of one value of registration `id`, which only this key gives: a hash with it cannot be guessed at, and is as
    /// good as gone once the key is.
    #[must_use]
    pub fn salt(&self, id: RegistrationId, field: &str) -> [u8; SALT_BYTES] {
        let mut hasher = blake3::Hasher::new_keyed(&blake3::derive_key("regflow 2026 salt of a proof", &self.0));
        hasher.update(id.0.as_bytes()).update(field.as_bytes());
        let mut salt = [0; SALT_BYTES];
        hasher.finalize_xof().fill(&mut salt);
        salt
    }

    /// Seals details as postcard.
    ///
    /// # Errors
    /// As [`Self::seal_bytes`].
    pub fn seal(&self, id: RegistrationId, nonce: &Nonce, details: &Details) -> Result<Vec<u8>, SealError> {
        let mut clear = crate::fact::bytes(details).map_err(|_| SealError::DoesNotSeal)?;
        let sealed = seal(&self.0, DETAILS_V2, nonce, &clear, &second_binding(id));
        clear.zeroize();
        sealed
    }

    /// Opens what [`Self::seal`] made, in any version that was ever written.
    ///
    /// # Errors
    /// As [`Self::open_bytes`]; [`SealError::NotDetails`] when something else was sealed.
    pub fn open(&self, id: RegistrationId, sealed: &[u8]) -> Result<Details, SealError> {
        match sealed.first() {
            Some(&FIRST) => read::<DetailsV1>(self.open_bytes(id, sealed)?).map(Details::from),
            Some(&DETAILS_V2) => read(open(&self.0, DETAILS_V2, sealed, &second_binding(id))?),
            Some(&newer) => Err(SealError::UnknownVersion(newer)),
            None => Err(SealError::DoesNotOpen),
        }
    }
}

impl MasterKey {
    /// A key of 32 random bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Wraps a person's key for storage under `id`.
    ///
    /// # Errors
    /// [`SealError::DoesNotSeal`] when the cipher refuses.
    pub fn wrap(&self, id: PersonKeyId, nonce: &Nonce, key: &PersonKey) -> Result<Vec<u8>, SealError> {
        seal(&self.0, FIRST, nonce, &key.0, id.0.as_bytes())
    }

    /// The person's key that was wrapped for `id`.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] when it was wrapped by another master key or for another id.
    pub fn unwrap(&self, id: PersonKeyId, wrapped: &[u8]) -> Result<PersonKey, SealError> {
        let bytes = open(&self.0, FIRST, wrapped, id.0.as_bytes())?;
        bytes.try_into().map(PersonKey).map_err(|_| SealError::DoesNotOpen)
    }

    /// Names the key among others without telling anything of it: 8 hex digits.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let hash = blake3::derive_key("regflow 2026 master key fingerprint", &self.0);
        hex::encode(&hash[..4])
    }

    pub(crate) const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What details from version 2 on are bound to.
fn second_binding(id: RegistrationId) -> Vec<u8> {
    [id.0.as_bytes().as_slice(), &[DETAILS_V2]].concat()
}

/// Details of one version; bytes that are left over mean that it is another.
fn read<T: DeserializeOwned>(mut clear: Vec<u8>) -> Result<T, SealError> {
    let details = match postcard::take_from_bytes(&clear) {
        Ok((details, [])) => Ok(details),
        Ok(_) | Err(_) => Err(SealError::NotDetails),
    };
    clear.zeroize();
    details
}

pub(crate) fn seal(key: &[u8; 32], version: u8, nonce: &Nonce, clear: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let text =
        cipher.encrypt(&XNonce::from(*nonce), Payload { msg: clear, aad }).map_err(|_| SealError::DoesNotSeal)?;
    let mut sealed = Vec::with_capacity(1 + NONCE_BYTES + text.len());
    sealed.push(version);
    sealed.extend_from_slice(nonce);
    sealed.extend_from_slice(&text);
    Ok(sealed)
}

pub(crate) fn open(key: &[u8; 32], version: u8, sealed: &[u8], aad: &[u8]) -> Result<Vec<u8>, SealError> {
    let (&found, rest) = sealed.split_first().ok_or(SealError::DoesNotOpen)?;
    if found != version {
        return Err(SealError::UnknownVersion(found));
    }
    let (nonce, text) = rest.split_first_chunk::<NONCE_BYTES>().ok_or(SealError::DoesNotOpen)?;
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    cipher.decrypt(&XNonce::from(*nonce), Payload { msg: text, aad }).map_err(|_| SealError::DoesNotOpen)
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ID: RegistrationId = RegistrationId(Uuid::from_u128(7));
    const OTHER: RegistrationId = RegistrationId(Uuid::from_u128(8));

    fn details() -> Details {
        let mut details = Details::default();
        details.owner.name = "Grace Hopper".into();
        details
    }

    #[test]
    fn what_was_sealed_opens_again_only_for_its_registration_and_key() {
        let key = PersonKey::new([1; 32]);
        let sealed = key.seal(ID, &[9; NONCE_BYTES], &details()).expect("sealed");
        assert_eq!(key.open(ID, &sealed), Ok(details()));
        assert_eq!(key.open(OTHER, &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(PersonKey::new([2; 32]).open(ID, &sealed), Err(SealError::DoesNotOpen));
    }

    #[test]
    fn any_changed_byte_is_found() {
        let key = PersonKey::new([1; 32]);
        let sealed = key.seal(ID, &[9; NONCE_BYTES], &details()).expect("sealed");
        for place in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[place] ^= 1;
            assert!(key.open(ID, &changed).is_err(), "byte {place}");
        }
        assert!(key.open(ID, &[]).is_err());
    }

    #[test]
    fn details_of_one_shape_never_open_as_another() {
        let key = PersonKey::new([1; 32]);
        let mut sealed = key.seal(ID, &[9; NONCE_BYTES], &details()).expect("sealed");
        sealed[0] = FIRST;
        assert_eq!(key.open(ID, &sealed), Err(SealError::DoesNotOpen));
        assert_eq!(key.open_bytes(ID, &sealed), Err(SealError::DoesNotOpen));
        sealed[0] = 3;
        assert_eq!(key.open(ID, &sealed), Err(SealError::UnknownVersion(3)));
    }

    #[test]
    fn bytes_that_are_no_details_are_told_apart() {
        let key = PersonKey::new([1; 32]);
        let sealed = key.seal_bytes(ID, &[9; NONCE_BYTES], b"%PDF").expect("sealed");
        assert_eq!(key.open(ID, &sealed), Err(SealError::NotDetails));
    }

    #[test]
    fn sealed_bytes_do_not_show_the_name() {
        let sealed = PersonKey::new([1; 32]).seal(ID, &[9; NONCE_BYTES], &details()).expect("sealed");
        assert!(!sealed.windows(5).any(|window| window == b"Grace"));
    }

    #[test]
    fn a_wrapped_key_unwraps_only_under_its_id_and_master() {
        let (master, id) = (MasterKey::new([3; 32]), PersonKeyId(Uuid::from_u128(1)));
        let wrapped = master.wrap(id, &[4; NONCE_BYTES], &PersonKey::new([5; 32])).expect("wrapped");
        assert!(master.unwrap(id, &wrapped).is_ok_and(|key| key.0 == [5; 32]));
        assert!(master.unwrap(PersonKeyId(Uuid::from_u128(2)), &wrapped).is_err());
        assert!(MasterKey::new([6; 32]).unwrap(id, &wrapped).is_err());
    }

    #[test]
    fn a_fingerprint_tells_keys_apart() {
        let [one, other] = [3, 4].map(|byte| MasterKey::new([byte; 32]).fingerprint());
        assert_eq!((one.len(), one == other), (8, false));
    }
}
