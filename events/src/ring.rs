//! Rings of person keys: keys that are made together are wrapped and stored together, so that one message holds many.
//!
//! Each key still belongs to one person. One that must go takes its ring apart: the others get places of their own first,
//! then the ring is erased (`bus/src/keys.rs`).

use uuid::{Builder, Uuid};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::id::PersonKeyId;
use crate::seal::{MasterKey, Nonce, PersonKey, SealError, open, seal};

/// Keys on a ring.
pub const RING_KEYS: usize = 32;
/// Bytes of all keys of a ring.
pub const RING_BYTES: usize = RING_KEYS * KEY_BYTES;
const KEY_BYTES: usize = 32;
/// The place on the ring stands in the last bits of a key's id.
const PLACE_BITS: u128 = RING_KEYS as u128 - 1;
/// A UUID of this version (RFC 9562: custom) names a key on a ring; a key that was stored by itself has version 7.
const CUSTOM: usize = 8;
/// First byte of the wrapped form.
const VERSION: u8 = 1;
/// What the wrapped form is bound to beside the ring's id, so that nothing else opens as it.
const BINDING: &[u8] = b"regflow key ring";

/// The name of a ring: a UUID of version 8 whose last five bits are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RingId(Uuid);

/// Keys that are stored together. Wiped from memory when dropped.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct KeyRing([[u8; KEY_BYTES]; RING_KEYS]);

impl RingId {
    /// From an id that nothing else has, drawn by the caller (a UUID of version 7 keeps rings in the order of their time).
    #[must_use]
    pub fn new(fresh: Uuid) -> Self {
        let bytes = (fresh.as_u128() & !PLACE_BITS).to_be_bytes();
        Self(Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The ring that a key was stored on; nothing for a key that was stored by itself.
    #[must_use]
    pub fn of(key: PersonKeyId) -> Option<Self> {
        (key.0.get_version_num() == CUSTOM).then(|| Self(Uuid::from_u128(key.0.as_u128() & !PLACE_BITS)))
    }

    /// The ring whose name is written so; nothing when it is none.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let id = Uuid::try_parse(text).ok()?;
        Self::of(PersonKeyId(id)).filter(|ring| ring.0 == id)
    }

    /// The UUID itself.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.0
    }

    fn key(self, place: usize) -> PersonKeyId {
        PersonKeyId(Uuid::from_u128(self.0.as_u128() | place as u128))
    }

    fn binding(self) -> Vec<u8> {
        [BINDING, self.0.as_bytes()].concat()
    }
}

impl KeyRing {
    /// From random bytes, drawn by the caller.
    #[must_use]
    pub fn new(bytes: &[u8; RING_BYTES]) -> Self {
        let mut keys = [[0; KEY_BYTES]; RING_KEYS];
        for (key, bytes) in keys.iter_mut().zip(bytes.chunks_exact(KEY_BYTES)) {
            key.copy_from_slice(bytes);
        }
        Self(keys)
    }

    /// All keys with their ids.
    pub fn keys(&self, ring: RingId) -> impl Iterator<Item = (PersonKeyId, PersonKey)> {
        self.0.iter().enumerate().map(move |(place, bytes)| (ring.key(place), PersonKey::new(*bytes)))
    }

    /// One key; nothing when its id is of another ring.
    #[must_use]
    pub fn key(&self, ring: RingId, id: PersonKeyId) -> Option<PersonKey> {
        self.keys(ring).find(|(of, _)| *of == id).map(|(_, key)| key)
    }

    /// Wrapped for storage under `ring`: version, nonce, ciphertext with tag.
    ///
    /// # Errors
    /// [`SealError::DoesNotSeal`] when the cipher refuses.
    pub fn wrapped_by(&self, master: &MasterKey, ring: RingId, nonce: &Nonce) -> Result<Vec<u8>, SealError> {
        seal(master.bytes(), VERSION, nonce, self.0.as_flattened(), &ring.binding())
    }

    /// What [`Self::wrapped_by`] made for the same ring.
    ///
    /// # Errors
    /// [`SealError::DoesNotOpen`] when another master key wrapped it, or it is something else.
    pub fn unwrapped_by(master: &MasterKey, ring: RingId, wrapped: &[u8]) -> Result<Self, SealError> {
        let clear = Zeroizing::new(open(master.bytes(), VERSION, wrapped, &ring.binding())?);
        let bytes: &[u8; RING_BYTES] = clear.as_slice().try_into().map_err(|_| SealError::DoesNotOpen)?;
        Ok(Self::new(bytes))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use crate::RegistrationId;
    use crate::seal::NONCE_BYTES;
    use std::collections::HashSet;

    const FRESH: Uuid = Uuid::from_u128(0x0192_f0c4_7b9e_7cc2_b5f3_9d8f_1a2b_3c5f);
    const NONCE: Nonce = [9; NONCE_BYTES];

    fn ring() -> KeyRing {
        KeyRing::new(&std::array::from_fn(|place| (place / KEY_BYTES) as u8))
    }

    #[test]
    fn every_key_names_its_ring_and_its_place() {
        let id = RingId::new(FRESH);
        assert_eq!(id.uuid().to_string(), "0192f0c4-7b9e-8cc2-b5f3-9d8f1a2b3c40");
        let keys: Vec<_> = ring().keys(id).collect();
        assert_eq!(keys.iter().map(|(id, _)| *id).collect::<HashSet<_>>().len(), RING_KEYS);
        for (key, _) in &keys {
            assert_eq!(RingId::of(*key), Some(id));
        }
        assert_eq!(RingId::of(PersonKeyId(FRESH)), None, "version 7: stored by itself");
        assert_eq!(RingId::parse(&id.uuid().simple().to_string()), Some(id));
        assert_eq!((RingId::parse(&keys[1].0.to_string()), RingId::parse("owner_secrets")), (None, None));
    }

    #[test]
    fn a_ring_unwraps_by_its_master_key_and_under_its_name_only_and_nothing_else_opens_as_one() {
        let (master, other, id) = (MasterKey::new([1; 32]), MasterKey::new([2; 32]), RingId::new(FRESH));
        let wrapped = ring().wrapped_by(&master, id, &NONCE).unwrap();
        assert_eq!(wrapped.len(), 1 + NONCE_BYTES + RING_BYTES + 16);
        assert!(KeyRing::unwrapped_by(&other, id, &wrapped).is_err());
        assert!(KeyRing::unwrapped_by(&master, RingId::new(Uuid::from_u128(64)), &wrapped).is_err());
        let secrets = crate::secrets::OwnerSecrets::unwrapped_by(&master, &wrapped);
        assert!(secrets.is_err() && master.unwrap(id.key(0), &wrapped).is_err());

        let unwrapped = KeyRing::unwrapped_by(&master, id, &wrapped).unwrap();
        let (registration, third) = (RegistrationId(FRESH), id.key(3));
        let sealed = PersonKey::new([3; 32]).seal_bytes(registration, &NONCE, b"x").unwrap();
        assert_eq!(unwrapped.key(id, third).unwrap().open_bytes(registration, &sealed), Ok(b"x".to_vec()));
        assert!(unwrapped.key(id, PersonKeyId(FRESH)).is_none());
    }

    #[test]
    fn the_wrapped_form_is_as_it_always_was() {
        let wrapped = ring().wrapped_by(&MasterKey::new([1; 32]), RingId::new(FRESH), &NONCE).unwrap();
        assert_eq!(hex::encode(&blake3::hash(&wrapped).as_bytes()[..8]), "03af0ff5ccfb4907");
    }
}
