//! The vault of person keys, stored wrapped by the master key before they are ever used: many on a ring, in one message
//! (decision 26). A key that is destroyed takes its ring apart: the others get places of their own, then the ring is erased.

use std::sync::{Arc, Mutex};

use events::PersonKeyId;
use events::link::LinkKey;
use events::ring::RingId;
use events::seal::{MasterKey, PersonKey, SealError};
use events::secrets::OwnerSecrets;
use futures::future::try_join_all;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, UnitWeighter};
use tokio::sync::{Mutex as AsyncMutex, RwLock};

use crate::committer::CommitMode;
use crate::connection::Connection;
use crate::key_store::{KeyStore, MemoryKeys, name_of, name_of_ring};
use crate::log::{AppendError, Unavailable};
use crate::masters::{self, Masters, place, put, recognise};
use crate::pool::{Pool, fresh_nonce};

/// Keys kept in memory; the others are fetched again.
const CACHED_KEYS_MAX: usize = 20_000;
/// The share of them that is kept for keys which were used more than once. The rest must hold the keys of all who are on
/// their way: each is used soon after it was leased, and then perhaps never again.
const OFTEN_USED: f64 = 0.5;

/// Keys of persons. Destroying one makes everything that was sealed with it unreadable, wherever it stands.
pub struct KeyVault {
    pub(crate) store: Arc<KeyStore>,
    pub(crate) masters: Arc<RwLock<Masters>>,
    /// Held to read or move keys, and alone to destroy one: none comes back while it is destroyed.
    pub(crate) moving: RwLock<()>,
    /// Held while keys are wrapped anew: one at a time does it.
    pub(crate) rotation: AsyncMutex<()>,
    secrets: OwnerSecrets,
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
    /// Two master keys are needed, or other ones.
    #[error(
        "a rotation of the master key is under way: start with the new key in REGFLOW_MASTER_KEY and the one before it in \
         REGFLOW_MASTER_KEY_OLD until it is done"
    )]
    RotationUnderWay,
    /// Only the process that does the work may move keys: it is the one that destroys some.
    #[error("another process does the work, and it wraps the keys anew")]
    NotOurTurn,
    /// A key or a check of the vault cannot be stored.
    #[error("cannot store what the master key wraps")]
    NotStored(#[source] AppendError),
}

impl KeyVault {
    pub(crate) async fn open(
        connection: Connection,
        mode: CommitMode,
        (present, old): (MasterKey, Option<MasterKey>),
    ) -> Result<Self, KeyError> {
        let store = KeyStore::open(connection, mode).await?;
        let (masters, secrets) = recognise(&store, present, old).await?;
        Ok(Self::with_store(store, masters, secrets))
    }

    /// A vault in memory, for tests.
    #[must_use]
    pub fn in_memory(master: MasterKey) -> Self {
        let secrets = OwnerSecrets::derived_from(&master);
        Self::with_store(KeyStore::Memory(Mutex::new(MemoryKeys::default())), Masters::one(master), secrets)
    }

    fn with_store(store: KeyStore, masters: Masters, secrets: OwnerSecrets) -> Self {
        let (store, masters) = (Arc::new(store), Arc::new(RwLock::new(masters)));
        let pool = Pool::start(Arc::clone(&store), Arc::clone(&masters));
        let (moving, rotation) = (RwLock::new(()), AsyncMutex::new(()));
        Self { store, masters, moving, rotation, secrets, pool, cache: cache() }
    }

    /// What pseudonyms and links are made with, for whoever recognises people without the vault.
    #[must_use]
    pub fn owner_secrets(&self) -> OwnerSecrets {
        self.secrets.clone()
    }

    /// The key that signs the links in owners' mails; a rotation of the master key does not change it.
    #[must_use]
    pub fn link_key(&self) -> LinkKey {
        self.secrets.link_key()
    }

    /// The pseudonym of an owner within a tenant; a rotation of the master key does not change it.
    #[must_use]
    pub fn pseudonym(&self, tenant: &str, email: &str) -> [u8; 16] {
        self.secrets.pseudonym(tenant, email)
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
        let _nobody_destroys = self.moving.read().await;
        let masters = self.masters.read().await;
        let key = match self.of_ring(id, &masters).await? {
            Some(key) => Some(key),
            None => self.by_itself(id, &masters).await?,
        };
        if let Some(key) = &key {
            self.cache.insert(id, key.clone());
        }
        Ok(key)
    }

    /// The key on its ring, if it was stored on one that was not taken apart.
    async fn of_ring(&self, id: PersonKeyId, masters: &Masters) -> Result<Option<PersonKey>, KeyError> {
        let Some(ring) = RingId::of(id) else { return Ok(None) };
        let Some(found) = masters::find(&self.store, &name_of_ring(ring), masters).await? else { return Ok(None) };
        let keys = masters.unwrap_ring(ring, &found.wrapped).map_err(KeyError::DoesNotOpen)?;
        Ok(keys.key(ring, id))
    }

    /// The key at its own place.
    async fn by_itself(&self, id: PersonKeyId, masters: &Masters) -> Result<Option<PersonKey>, KeyError> {
        let Some(found) = masters::find(&self.store, &name_of(id), masters).await? else { return Ok(None) };
        masters.unwrap(id, &found.wrapped).map(Some).map_err(KeyError::DoesNotOpen)
    }

    /// Destroys a person's key for ever, and erases its bytes from the server's disk. False when it was gone already. Doing it
    /// again after an error or a crash finishes it.
    ///
    /// Of several processes only the holder of the lease may do so: two that take one ring apart could bring back what the
    /// other has destroyed.
    ///
    /// # Errors
    /// [`KeyError`] when it may still be there.
    pub async fn destroy(&self, id: PersonKeyId) -> Result<bool, KeyError> {
        let _nobody_reads_or_moves = self.moving.write().await;
        let name = name_of(id);
        let mut destroyed = match RingId::of(id) {
            Some(ring) => self.take_apart(ring, id).await?,
            None => false,
        };
        if let Some(found) = self.store.get(&name).await? {
            destroyed |= self.store.erase(&found).await?;
        }
        while let Some(found) = self.store.any_of(&name, 0).await? {
            destroyed |= self.store.erase(&found).await?;
        }
        self.cache.remove(&id);
        Ok(destroyed)
    }

    /// Gives all keys of a ring but one their own places, and erases the ring. False when there is no such ring (any more).
    async fn take_apart(&self, ring: RingId, gone: PersonKeyId) -> Result<bool, KeyError> {
        let (masters, name) = (self.masters.read().await, name_of_ring(ring));
        let mut was_there = false;
        // a rotation that was cut off leaves it wrapped by both master keys
        while let Some(found) = self.store.any_of(&name, 0).await? {
            let keys = masters.unwrap_ring(ring, &found.wrapped).map_err(KeyError::DoesNotOpen)?;
            let others = keys.keys(ring).filter(|(id, _)| *id != gone);
            try_join_all(others.map(|(id, key)| self.keep_by_itself(id, key, &masters.present))).await?;
            was_there |= self.store.erase(&found).await?;
        }
        Ok(was_there)
    }

    async fn keep_by_itself(&self, id: PersonKeyId, key: PersonKey, master: &MasterKey) -> Result<(), KeyError> {
        let wrapped = master.wrap(id, &fresh_nonce(), &key).map_err(KeyError::DoesNotOpen)?;
        put(&self.store, &place(&name_of(id), master), wrapped.into()).await
    }

    /// Lets go of a key that another process has destroyed.
    pub fn let_go(&self, id: PersonKeyId) {
        self.cache.remove(&id);
    }
}

fn cache() -> Cache<PersonKeyId, PersonKey> {
    let mut options = OptionsBuilder::new();
    options
        .estimated_items_capacity(CACHED_KEYS_MAX)
        .weight_capacity(CACHED_KEYS_MAX as u64)
        .hot_allocation(OFTEN_USED);
    match options.build() {
        Ok(options) => {
            Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), DefaultLifecycle::default())
        }
        // says what is missing, and nothing is
        Err(_) => Cache::new(CACHED_KEYS_MAX),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::RegistrationId;
    use events::ring::RING_KEYS;
    use events::seal::NONCE_BYTES;
    use uuid::Uuid;

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
    async fn who_shared_a_ring_with_a_destroyed_key_keeps_their_own() {
        let vault = KeyVault::in_memory(MasterKey::new([1; 32]));
        let mut leased = Vec::new();
        for _ in 0..3 * RING_KEYS {
            leased.push(vault.lease().await.unwrap());
        }
        let gone: Vec<_> = leased.iter().map(|(id, _)| *id).step_by(5).collect();
        for id in &gone {
            assert_eq!((vault.destroy(*id).await, vault.destroy(*id).await), (Ok(true), Ok(false)));
        }
        vault.cache.clear();
        for (id, key) in leased {
            let sealed = key.seal_bytes(ID, &[0; NONCE_BYTES], b"x").unwrap();
            let opened = vault.get(id).await.unwrap().map(|key| key.open_bytes(ID, &sealed));
            assert_eq!(opened, (!gone.contains(&id)).then(|| Ok(b"x".to_vec())));
        }
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
        let [one, other] = [1, 2].map(|byte| MasterKey::new([byte; 32]));
        assert!(recognise(&store, one.clone(), None).await.is_ok());
        assert!(recognise(&store, one.clone(), None).await.is_ok());
        assert_eq!(recognise(&store, other.clone(), None).await.err(), Some(KeyError::WrongMaster));
        assert_eq!(recognise(&store, other.clone(), Some(other.clone())).await.err(), Some(KeyError::WrongMaster));
        // one that is given as the old one though nothing is left of it does no harm
        let settled = recognise(&store, one.clone(), Some(other)).await.unwrap().0;
        assert!(settled.old.is_some() && settled.present.fingerprint() == one.fingerprint());
        assert!(recognise(&store, one.clone(), Some(one)).await.unwrap().0.old.is_none());
    }
}
