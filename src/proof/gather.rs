//! Fetches what an account needs: the records, the person's keys, the files.

use std::collections::HashMap;

use bytes::Bytes;
use events::seal::PersonKey;
use events::sending::MARKETING_CONSENT;
use events::{Details, Event, ObjectRef, RegistrationId, Sequence, Shard, Stored};
use handlers::World;
use sha2::{Digest, Sha256};

use super::account::{Account, AccountError, Given};

/// Files that are opened for one account; of more only the sealed hash is told.
const OPENED_MAX: usize = 24;
/// Stands for what cannot be opened because its key was destroyed.
pub(super) const ERASED: &str = "(erased)";
/// Stands for a file that was replaced or removed.
const NOT_KEPT: &str = "(no longer kept)";
/// Stands for a file that was not looked at.
const NOT_OPENED: &str = "(not opened)";

/// How values are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Show {
    /// As they were sent.
    Values,
    /// Salted hashes only.
    Hashes,
}

/// An account and the records that it tells.
pub struct Gathered {
    pub account: Account,
    pub records: Vec<(Sequence, Bytes)>,
}

/// Why there is no proof.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("failed to read the registration from the log")]
    Load(#[from] bus::LoadError),
    #[error("failed to fetch a person's key")]
    Keys(#[from] bus::KeyError),
    #[error("failed to reach the object store")]
    Objects(#[from] bus::ObjectError),
    #[error(transparent)]
    Account(#[from] AccountError),
    #[error("the history has {bytes} bytes as a proof; at most {} are signed", super::text::TEXT_BYTES_MAX)]
    TooLong { bytes: usize },
    #[error("the proof cannot be signed: {0}")]
    Unsignable(events::NoteError),
}

/// The account of a registration. `with_files` opens the kept files as well, for their hashes.
///
/// # Errors
/// [`ProofError`].
pub async fn gather(
    world: &World,
    shard: Shard,
    id: RegistrationId,
    show: Show,
    with_files: bool,
) -> Result<Gathered, ProofError> {
    let loaded = world.log.load_with_bytes(shard, id).await?;
    let records = loaded.iter().map(|(stored, bytes)| (stored.sequence, bytes.clone())).collect();
    let history: Vec<Stored> = loaded.into_iter().map(|(stored, _)| stored).collect();
    let data = data(world, id, &history).await?;
    let opened = if with_files { opened(world, id, &history, &data).await? } else { HashMap::new() };
    let maker = maker_name(world, &history);
    let account = Account::of(&history, maker, &mut Vault { id, show, data, opened })?;
    Ok(Gathered { account, records })
}

/// The maker as people know it; of a brand that nobody described, the brand.
fn maker_name(world: &World, history: &[Stored]) -> String {
    let Some(Event::Submitted(first)) = history.first().and_then(|stored| stored.record.events.first()) else {
        return String::new();
    };
    let known = world.catalog.get(&first.connector).filter(|connector| !connector.is_generic());
    known.map_or_else(|| first.brand.clone(), |connector| connector.name().to_owned())
}

/// The person's data as handed over and after each correction; nothing where the key is gone.
pub(super) type Data = Vec<Option<(PersonKey, Details)>>;

async fn data(world: &World, id: RegistrationId, history: &[Stored]) -> Result<Data, ProofError> {
    let mut data = Vec::new();
    for event in history.iter().flat_map(|stored| &stored.record.events) {
        let (person_key, sealed) = if let Event::Submitted(first) = event {
            (first.person_key, &first.sealed)
        } else if let Event::Corrected(corrected) = event {
            (corrected.person_key, &corrected.sealed)
        } else {
            continue;
        };
        let key = world.keys.get(person_key).await?;
        data.push(key.and_then(|key| key.open(id, sealed).ok().map(|details| (key, details))));
    }
    Ok(data)
}

/// The SHA-256 of each file before it was sealed, by the hash of what is stored.
async fn opened(
    world: &World,
    id: RegistrationId,
    history: &[Stored],
    data: &Data,
) -> Result<HashMap<Vec<u8>, String>, ProofError> {
    let mut opened = HashMap::new();
    let objects = history.iter().flat_map(|stored| &stored.record.events).filter_map(Event::file);
    for object in objects.take(OPENED_MAX) {
        let told = match world.objects.get(&object.name).await {
            Ok(sealed) if Sha256::digest(&sealed)[..] == object.sha256[..] => {
                let keys = data.iter().flatten();
                let clear = keys.filter_map(|(key, _)| key.open_bytes(id, &sealed).ok()).next();
                clear.map_or_else(|| ERASED.to_owned(), |clear| hex::encode(Sha256::digest(&clear)))
            }
            Ok(_) | Err(bus::ObjectError::NotFound(_)) => NOT_KEPT.to_owned(),
            Err(error) => return Err(error.into()),
        };
        opened.insert(object.sha256.clone(), told);
    }
    Ok(opened)
}

/// What the person's keys opened.
pub(super) struct Vault {
    pub(super) id: RegistrationId,
    pub(super) show: Show,
    pub(super) data: Data,
    pub(super) opened: HashMap<Vec<u8>, String>,
}

impl Given for Vault {
    fn value(&mut self, corrections: usize, field: &str) -> String {
        let Some((key, details)) = self.data.get(corrections).and_then(Option::as_ref) else {
            return ERASED.to_owned();
        };
        let value = match field {
            MARKETING_CONSENT => details.marketing_consent.to_string(),
            other => details.field(other).unwrap_or_default().into_owned(),
        };
        match self.show {
            Show::Values => value,
            Show::Hashes => salted(&key.salt(self.id, field), field, &value),
        }
    }

    fn salt(&mut self, corrections: usize, field: &str) -> Option<String> {
        let (key, _) = self.data.get(corrections)?.as_ref()?;
        (self.show == Show::Values).then(|| hex::encode(key.salt(self.id, field)))
    }

    fn address(&mut self, corrections: usize) -> String {
        self.value(corrections, "owner.email")
    }

    fn opened(&mut self, _corrections: usize, object: &ObjectRef) -> String {
        self.opened.get(&object.sha256).cloned().unwrap_or_else(|| NOT_OPENED.to_owned())
    }
}

/// What stands in a proof without values: BLAKE3 of salt, name, a zero byte and value.
pub(super) fn salted(salt: &[u8], field: &str, value: &str) -> String {
    let whole = [salt, field.as_bytes(), &[0], value.as_bytes()].concat();
    format!("blake3:{}", hex::encode(events::record::hash_of(&whole).0))
}
