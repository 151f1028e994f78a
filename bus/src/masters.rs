//! The master key at work, and the one before it while a rotation is under way; where each keeps what it wraps.

use bytes::Bytes;
use events::PersonKeyId;
use events::ring::{KeyRing, RingId};
use events::seal::{MasterKey, PersonKey, SealError};
use events::secrets::{OwnerSecrets, SECRETS_BYTES};
use uuid::Uuid;

use crate::key_store::{Entry, KeyStore};
use crate::keys::KeyError;
use crate::log::{AppendError, Unavailable};
use crate::pool::fresh_nonce;

/// Under this name stands a key that only the master key at work unwraps. It protects nothing.
pub(crate) const CHECK: &str = "master_check";
/// While a rotation is under way, the same for the new master key.
pub(crate) const CHECK_OF_NEXT: &str = "master_check_next";
/// The secrets that outlive a master key.
pub(crate) const SECRETS: &str = "owner_secrets";
/// The id that a check is wrapped for.
const CHECK_ID: PersonKeyId = PersonKeyId(Uuid::nil());

/// The master keys that a vault knows.
pub(crate) struct Masters {
    /// Wraps what is new.
    pub present: MasterKey,
    /// Still wraps some of what is there, or may: while a rotation is under way, and for as long as it is given at a start.
    pub old: Option<MasterKey>,
}

impl Masters {
    pub const fn one(present: MasterKey) -> Self {
        Self { present, old: None }
    }

    pub fn unwrap(&self, id: PersonKeyId, wrapped: &[u8]) -> Result<PersonKey, SealError> {
        self.first_that_fits(|master| master.unwrap(id, wrapped))
    }

    pub fn unwrap_ring(&self, ring: RingId, wrapped: &[u8]) -> Result<KeyRing, SealError> {
        self.first_that_fits(|master| KeyRing::unwrapped_by(master, ring, wrapped))
    }

    pub fn unwrap_secrets(&self, wrapped: &[u8]) -> Result<OwnerSecrets, SealError> {
        self.first_that_fits(|master| OwnerSecrets::unwrapped_by(master, wrapped))
    }

    /// Both master keys unwrap.
    fn first_that_fits<T>(&self, unwrap: impl Fn(&MasterKey) -> Result<T, SealError>) -> Result<T, SealError> {
        match (unwrap(&self.present), &self.old) {
            (Err(_), Some(old)) => unwrap(old),
            (unwrapped, _) => unwrapped,
        }
    }
}

/// Where what a master key wraps under a name is kept: the names of two master keys never meet, so that a key can stand
/// wrapped by both, and the older one be erased. Vaults from before this have their first keys under the bare name.
pub(crate) fn place(name: &str, master: &MasterKey) -> String {
    format!("{name}.{}", master.fingerprint())
}

/// What stands under a name, wrapped by whichever master key, and whether that is the present one's place.
pub(crate) async fn find(store: &KeyStore, name: &str, masters: &Masters) -> Result<Option<Entry>, Unavailable> {
    let own = place(name, &masters.present);
    // while it moves it may be missed at both places, and is then surely at the new one
    for _ in 0..2 {
        if let Some(found) = store.get(&own).await? {
            return Ok(Some(found));
        }
        if let Some(found) = store.get(name).await? {
            return Ok(Some(found));
        }
        if let Some(found) = store.any_of(name, 0).await? {
            return Ok(Some(found));
        }
        if masters.old.is_none() {
            break;
        }
    }
    Ok(None)
}

pub(crate) fn check_by(master: &MasterKey) -> Result<Bytes, KeyError> {
    let wrapped = master.wrap(CHECK_ID, &fresh_nonce(), &PersonKey::new(rand::random()));
    wrapped.map(Bytes::from).map_err(KeyError::DoesNotOpen)
}

pub(crate) fn is_check_of(master: &MasterKey, check: &Entry) -> bool {
    master.unwrap(CHECK_ID, &check.wrapped).is_ok()
}

/// Compares the master keys that are given with what the vault was wrapped by; the first ones that come leave their check.
pub(crate) async fn recognise(
    store: &KeyStore,
    present: MasterKey,
    old: Option<MasterKey>,
) -> Result<(Masters, OwnerSecrets), KeyError> {
    let Some(check) = store.get(CHECK).await? else {
        let secrets = secrets(store, &Masters::one(present.clone()), None).await?;
        put(store, CHECK, check_by(&present)?).await?;
        let shown = store.get(CHECK).await?;
        let shown = shown.ok_or_else(|| Unavailable::new("check the master key", "what was stored is not shown"))?;
        // another process may have been first: its check decides
        return if is_check_of(&present, &shown) {
            Ok((Masters::one(present), secrets))
        } else {
            Err(KeyError::WrongMaster)
        };
    };
    let next = store.get(CHECK_OF_NEXT).await?;
    let is_settled = is_check_of(&present, &check);
    let masters = if is_settled {
        match next {
            // cut off behind its last step
            Some(next) if is_check_of(&present, &next) => {
                store.erase(&next).await?;
            }
            Some(_) => return Err(KeyError::RotationUnderWay),
            None => {}
        }
        // a process that was still running with the old one may have wrapped keys by it after the rotation had ended
        let old = old.filter(|old| old.fingerprint() != present.fingerprint());
        Masters { present, old }
    } else {
        let old = old.filter(|old| is_check_of(old, &check));
        match (&old, next) {
            (Some(_), Some(next)) if !is_check_of(&present, &next) => return Err(KeyError::RotationUnderWay),
            (Some(_), Some(_)) => {}
            (Some(_), None) => put(store, CHECK_OF_NEXT, check_by(&present)?).await?,
            (None, Some(next)) if is_check_of(&present, &next) => return Err(KeyError::RotationUnderWay),
            (None, Some(_) | None) => return Err(KeyError::WrongMaster),
        }
        Masters { present, old }
    };
    let of_before = masters.old.as_ref().filter(|_| !is_settled).unwrap_or(&masters.present);
    let secrets = secrets(store, &masters, Some(of_before)).await?;
    Ok((masters, secrets))
}

/// The stored secrets; those of a vault that has none are derived from its master key, as they were until then, and fresh
/// ones for a fresh vault.
async fn secrets(store: &KeyStore, masters: &Masters, of_before: Option<&MasterKey>) -> Result<OwnerSecrets, KeyError> {
    if find(store, SECRETS, masters).await?.is_none() {
        let secrets = match of_before {
            Some(master) => OwnerSecrets::derived_from(master),
            None => {
                let mut bytes = zeroize::Zeroizing::new([0; SECRETS_BYTES]);
                rand::Rng::fill(&mut rand::rng(), &mut bytes[..]);
                OwnerSecrets::new(&bytes)
            }
        };
        let wrapped = secrets.wrapped_by(&masters.present, &fresh_nonce()).map_err(KeyError::DoesNotOpen)?;
        put(store, &place(SECRETS, &masters.present), wrapped.into()).await?;
    }
    let stored = find(store, SECRETS, masters).await?;
    let stored =
        stored.ok_or_else(|| Unavailable::new("read the secrets of the vault", "what was stored is not shown"))?;
    masters.unwrap_secrets(&stored.wrapped).map_err(|_| KeyError::WrongMaster)
}

/// Stores what may be there already: another process was quicker then.
pub(crate) async fn put(store: &KeyStore, name: &str, wrapped: Bytes) -> Result<(), KeyError> {
    match store.put(name, wrapped).await {
        Ok(()) | Err(AppendError::Conflict { .. }) => Ok(()),
        Err(error) => Err(KeyError::NotStored(error)),
    }
}
