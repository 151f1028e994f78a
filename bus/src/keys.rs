//! The vault of person keys: one key a person, stored wrapped by the master key before it is ever used.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use events::PersonKeyId;
use events::seal::{MasterKey, PersonKey, SealError};
use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::committer::CommitMode;
use crate::connection::Connection;
use crate::key_store::{KeyStore, name_of};
use crate::log::{AppendError, Unavailable};
use crate::pool::{Pool, fresh_nonce};

/// Keys kept in memory; the others are fetched again.
const CACHED_KEYS_MAX: usize = 10_000;
/// Under this name stands a key that only the right master key unwraps.
const CHECK_NAME: &str = "master_check";
/// The id that the check is wrapped for.
const CHECK_ID: PersonKeyId = PersonKeyId(Uuid::nil());

/// Keys of persons. Destroying one makes everything that was sealed with it unreadable, wherever it stands.
pub struct KeyVault {
    store: Arc<KeyStore>,
    master: MasterKey,
    pool: Pool,
    cache: Cache<PersonKeyId, PersonKey>,
}

/// Why a key is not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The stored key does not unwrap.
    #[error("cannot unwrap a person's key")]
    DoesNotOpen(#[source] SealError),
    /// The vault belongs to another master key.
    #[error("the stored keys were wrapped by another master key; start with that one, or on another server")]
    WrongMaster,
    /// The vault's check cannot be stored.
    #[error("cannot store the check of the master key")]
    NoCheck(#[source] AppendError),
}

impl KeyVault {
    pub(crate) async fn open(connection: Connection, mode: CommitMode, master: MasterKey) -> Result<Self, KeyError> {
        let store = KeyStore::open(connection, mode).await?;
        check_master(&store, &master).await?;
        Ok(Self::with_store(store, master))
    }

    /// A vault in memory, for tests.
    #[must_use]
    pub fn in_memory(master: MasterKey) -> Self {
        Self::with_store(KeyStore::Memory(Mutex::new(HashMap::new())), master)
    }

    fn with_store(store: KeyStore, master: MasterKey) -> Self {
        let store = Arc::new(store);
        let pool = Pool::start(Arc::clone(&store), master.clone());
        Self { store, master, pool, cache: Cache::new(CACHED_KEYS_MAX) }
    }

    /// A fresh key that is already stored durably.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when none became ready in time.
    pub async fn lease(&self) -> Result<(PersonKeyId, PersonKey), KeyError> {
        let (id, key) = self.pool.lease().await?;
        self.cache.insert(id, key.clone());
        Ok((id, key))
    }

    /// A person's key; nothing when it was destroyed or never was.
    ///
    /// # Errors
    /// [`KeyError`] when it cannot be fetched or unwrapped.
    pub async fn get(&self, id: PersonKeyId) -> Result<Option<PersonKey>, KeyError> {
        if let Some(key) = self.cache.get(&id) {
            return Ok(Some(key));
        }
        let Some(wrapped) = self.store.get(&name_of(id)).await? else {
            return Ok(None);
        };
        let key = self.master.unwrap(id, &wrapped).map_err(KeyError::DoesNotOpen)?;
        self.cache.insert(id, key.clone());
        Ok(Some(key))
    }

    /// Destroys a person's key for ever; nothing happens when it is already gone.
    ///
    /// # Errors
    /// [`KeyError::Unavailable`] when it may still be there.
    pub async fn destroy(&self, id: PersonKeyId) -> Result<(), KeyError> {
        self.store.erase(&name_of(id)).await?;
        self.cache.remove(&id);
        Ok(())
    }
}

/// Refuses a master key that did not wrap what is stored; the first one that comes leaves its check.
async fn check_master(store: &KeyStore, master: &MasterKey) -> Result<(), KeyError> {
    if store.get(CHECK_NAME).await?.is_none() {
        let wrapped = master.wrap(CHECK_ID, &fresh_nonce(), &PersonKey::new(rand::random()));
        let wrapped = wrapped.map_err(KeyError::DoesNotOpen)?;
        match store.put(CHECK_NAME, wrapped.into()).await {
            // another process was first: its check decides
            Ok(()) | Err(AppendError::Conflict { .. }) => {}
            Err(error) => return Err(KeyError::NoCheck(error)),
        }
    }
    let check = store.get(CHECK_NAME).await?;
    match check.map(|wrapped| master.unwrap(CHECK_ID, &wrapped)) {
        Some(Ok(_)) => Ok(()),
        Some(Err(_)) => Err(KeyError::WrongMaster),
        None => Err(Unavailable::new("check the master key", "the server does not show what it stored").into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::RegistrationId;
    use events::seal::NONCE_BYTES;

    const ID: RegistrationId = RegistrationId(Uuid::from_u128(1));

    #[tokio::test]
    async fn a_leased_key_is_found_again_until_it_is_destroyed() {
        let vault = KeyVault::in_memory(MasterKey::new([1; 32]));
        let (id, key) = vault.lease().await.unwrap();
        let sealed = key.seal_bytes(ID, &[0; NONCE_BYTES], b"x").unwrap();
        vault.cache.clear();
        assert_eq!(vault.get(id).await.unwrap().unwrap().open_bytes(ID, &sealed).unwrap(), b"x");
        vault.destroy(id).await.unwrap();
        assert!(vault.get(id).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn no_key_is_handed_out_twice() {
        let vault = KeyVault::in_memory(MasterKey::new([1; 32]));
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1_000 {
            assert!(seen.insert(vault.lease().await.unwrap().0));
        }
    }

    #[tokio::test]
    async fn another_master_key_is_refused_at_once() {
        let store = KeyStore::Memory(Mutex::default());
        assert_eq!(check_master(&store, &MasterKey::new([1; 32])).await, Ok(()));
        assert_eq!(check_master(&store, &MasterKey::new([1; 32])).await, Ok(()));
        assert_eq!(check_master(&store, &MasterKey::new([2; 32])).await, Err(KeyError::WrongMaster));
    }
}
