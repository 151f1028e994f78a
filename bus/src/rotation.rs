//! Rotation of the master key while everything runs: each wrapped key is wrapped anew beside the old one, which is then
//! erased. Both master keys are accepted until nothing is left of the old one.
//!
//! Whatever line it stops at, going on does no harm: a key stands wrapped by the old master key, by both, or by the new one;
//! the check of the old one is replaced last, and until then a start needs both.
//!
//! Of several processes only the holder of the lease moves keys: it is the one that destroys some, and within a process moving
//! and destroying exclude each other.

use bytes::Bytes;
use events::PersonKeyId;
use events::ring::RING_KEYS;
use events::seal::MasterKey;
use futures::future::try_join_all;
use tokio::sync::MutexGuard;
use uuid::Uuid;

use crate::key_store::{Entry, ring_of};
use crate::keys::{KeyError, KeyVault};
use crate::lease::Lease;
use crate::masters::{CHECK, CHECK_OF_NEXT, Masters, SECRETS, check_by, is_check_of, place, put};
use crate::pool::fresh_nonce;

/// Entries wrapped anew at once: enough that their writes share commits.
const AT_ONCE: usize = 64;

impl KeyVault {
    /// Whether an old master key still wraps something here, or may.
    pub async fn is_rotating(&self) -> bool {
        self.masters.read().await.old.is_some()
    }

    /// The right to rotate, when nobody in this process has it.
    ///
    /// # Errors
    /// [`KeyError::RotationUnderWay`] while a rotation really runs; one that stopped half way does not.
    pub fn try_rotation(&self) -> Result<MutexGuard<'_, ()>, KeyError> {
        self.rotation.try_lock().map_err(|_| KeyError::RotationUnderWay)
    }

    /// The right to rotate, as soon as nobody in this process has it.
    pub async fn rotation(&self) -> MutexGuard<'_, ()> {
        self.rotation.lock().await
    }

    /// From now on `new` wraps what is new, and both open what is there; [`Self::finish_rotation`] does the rest. When it does
    /// so already, nothing happens: a rotation that stopped half way is gone on with.
    ///
    /// # Errors
    /// [`KeyError::RotationUnderWay`] when one to another key has not ended; [`KeyError`] when its begin cannot be stored.
    pub async fn begin_rotation(&self, new: MasterKey) -> Result<(), KeyError> {
        // waits for keys that are being stored wrapped by the old one
        let mut masters = self.masters.write().await;
        if masters.present.fingerprint() == new.fingerprint() {
            return Ok(());
        }
        if masters.old.is_some() {
            return Err(KeyError::RotationUnderWay);
        }
        put(&self.store, CHECK_OF_NEXT, check_by(&new)?).await?;
        let old = std::mem::replace(&mut masters.present, new);
        masters.old = Some(old);
        Ok(())
    }

    /// As [`Self::move_keys`]; the old master key opens nothing any more afterwards.
    ///
    /// # Errors
    /// As [`Self::move_keys`]; both master keys are accepted then.
    pub async fn finish_rotation(&self, lease: &Lease) -> Result<u64, KeyError> {
        let moved = self.move_keys(lease).await?;
        self.masters.write().await.old = None;
        Ok(moved)
    }

    /// Wraps everything anew that the old master key wraps; tells how many keys that were. Does nothing when there is no old
    /// one. May be called again after an error. The old master key still opens what another process, which was started with
    /// that one alone, wraps by it from now on; a repeat moves that.
    ///
    /// # Errors
    /// [`KeyError`] when the server does not answer, the lease is not ours, or a key is wrapped by neither master key.
    pub async fn move_keys(&self, lease: &Lease) -> Result<u64, KeyError> {
        if !self.is_rotating().await {
            return Ok(0);
        }
        let scope = self.scope().await?;
        let mut moved = 0;
        // what was stored while a pass went by is found by the next one
        loop {
            match self.pass(scope, lease).await? {
                0 => break,
                more => moved += more,
            }
        }
        let masters = self.masters.write().await;
        if let Some(check) = self.store.get(CHECK).await?
            && !is_check_of(&masters.present, &check)
        {
            let anew = check_by(&masters.present)?;
            its_our_turn(lease)?;
            self.store.replace(CHECK, check.sequence, anew).await.map_err(KeyError::NotStored)?;
        }
        if let Some(check) = self.store.get(CHECK_OF_NEXT).await?
            && is_check_of(&masters.present, &check)
        {
            self.store.erase(&check).await?;
        }
        Ok(moved)
    }

    /// Once the check is by the present master key a rotation has ended, and only stragglers' keys are looked for.
    async fn scope(&self) -> Result<Scope, KeyError> {
        let masters = self.masters.read().await;
        let check = self.store.get(CHECK).await?;
        let has_ended = check.is_some_and(|check| is_check_of(&masters.present, &check));
        Ok(if has_ended { Scope::OldPlaces } else { Scope::Everything })
    }

    /// Looks at each entry once; tells how many keys were wrapped anew.
    async fn pass(&self, scope: Scope, lease: &Lease) -> Result<u64, KeyError> {
        let (mut from, mut moved) = (0, 0);
        loop {
            let mut entries = Vec::with_capacity(AT_ONCE);
            while entries.len() < AT_ONCE
                && let Some(entry) = self.store.next(from).await?
            {
                from = entry.sequence + 1;
                entries.push(entry);
            }
            if entries.is_empty() {
                return Ok(moved);
            }
            let done = try_join_all(entries.iter().map(|entry| self.wrap_anew(entry, scope, lease))).await?;
            moved += done.into_iter().sum::<u64>();
        }
    }

    /// Tells how many keys that were; none when nothing was to be done.
    async fn wrap_anew(&self, entry: &Entry, scope: Scope, lease: &Lease) -> Result<u64, KeyError> {
        let _nobody_destroys = self.moving.read().await;
        let masters = self.masters.read().await;
        let name = entry.name.split('.').next().unwrap_or_default();
        let new_place = place(name, &masters.present);
        if entry.name == new_place || name == CHECK || name == CHECK_OF_NEXT {
            return Ok(0);
        }
        let is_by_the_old = masters.old.as_ref().is_some_and(|old| entry.name == place(name, old));
        if scope == Scope::OldPlaces && !is_by_the_old {
            return Ok(0);
        }
        // it may have been destroyed since it was read
        if self.store.get(&entry.name).await?.is_none_or(|there| there.sequence != entry.sequence) {
            return Ok(0);
        }
        let Some(wrapped) = wrapped_anew(name, entry, &masters)? else {
            tracing::warn!(
                sequence = entry.sequence,
                "something in the bucket KEYS is no key of ours; it is left alone"
            );
            return Ok(0);
        };
        // whoever has the lease may have destroyed it: it must not come back
        its_our_turn(lease)?;
        put(&self.store, &new_place, wrapped).await?;
        self.store.erase(entry).await?;
        Ok(if ring_of(name).is_some() { RING_KEYS as u64 } else { 1 })
    }
}

/// What a pass looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// Whatever stands elsewhere than at the new master key's place.
    Everything,
    /// The old master key's places alone.
    OldPlaces,
}

fn its_our_turn(lease: &Lease) -> Result<(), KeyError> {
    if lease.is_held() { Ok(()) } else { Err(KeyError::NotOurTurn) }
}

/// Nothing when the name is none of ours.
fn wrapped_anew(name: &str, entry: &Entry, masters: &Masters) -> Result<Option<Bytes>, KeyError> {
    let wrapped = if name == SECRETS {
        let secrets = masters.unwrap_secrets(&entry.wrapped).map_err(KeyError::DoesNotOpen)?;
        secrets.wrapped_by(&masters.present, &fresh_nonce())
    } else if let Some(id) = ring_of(name) {
        let ring = masters.unwrap_ring(id, &entry.wrapped).map_err(KeyError::DoesNotOpen)?;
        ring.wrapped_by(&masters.present, id, &fresh_nonce())
    } else {
        let Ok(id) = Uuid::try_parse(name).map(PersonKeyId) else { return Ok(None) };
        let key = masters.unwrap(id, &entry.wrapped).map_err(KeyError::DoesNotOpen)?;
        masters.present.wrap(id, &fresh_nonce(), &key)
    };
    wrapped.map(|wrapped| Some(wrapped.into())).map_err(KeyError::DoesNotOpen)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::RegistrationId;
    use events::seal::NONCE_BYTES;

    const ID: RegistrationId = RegistrationId(Uuid::from_u128(1));

    #[tokio::test]
    async fn after_a_rotation_every_key_opens_by_the_new_master_key_and_a_destroyed_one_stays_gone() {
        let vault = KeyVault::in_memory(MasterKey::new([1; 32]));
        let (id, key) = vault.lease().await.unwrap();
        let (gone, _) = vault.lease().await.unwrap();
        let sealed = key.seal_bytes(ID, &[0; NONCE_BYTES], b"x").unwrap();
        assert!(vault.destroy(gone).await.unwrap());
        let (pseudonym, code) = (vault.pseudonym("t", "a@b.c"), vault.link_key().code(ID));
        vault.begin_rotation(MasterKey::new([2; 32])).await.unwrap();
        let again = vault.begin_rotation(MasterKey::new([3; 32])).await;
        assert_eq!(again, Err(KeyError::RotationUnderWay));
        // one that stopped half way is gone on with
        assert_eq!(vault.begin_rotation(MasterKey::new([2; 32])).await, Ok(()));
        let during = vault.lease().await.unwrap().0;
        let lease = Lease::always();
        assert!(vault.finish_rotation(&lease).await.unwrap() >= 60, "the pool's keys, too");
        assert!(!vault.is_rotating().await);
        for id in [id, during] {
            vault.let_go(id);
            assert!(vault.get(id).await.unwrap().is_some());
        }
        assert_eq!(vault.get(id).await.unwrap().unwrap().open_bytes(ID, &sealed).unwrap(), b"x");
        assert!(vault.get(gone).await.unwrap().is_none());
        assert_eq!((vault.pseudonym("t", "a@b.c"), vault.link_key().code(ID)), (pseudonym, code));
        assert_eq!(vault.finish_rotation(&lease).await, Ok(0));
    }

    #[tokio::test]
    async fn only_one_at_a_time_rotates() {
        let vault = KeyVault::in_memory(MasterKey::new([1; 32]));
        let first = vault.try_rotation().unwrap();
        assert_eq!(vault.try_rotation().err(), Some(KeyError::RotationUnderWay));
        drop(first);
        assert!(vault.try_rotation().is_ok());
    }
}
