//! Where wrapped person keys are kept: the bucket KEYS on the server, or memory for tests.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use events::ring::RingId;
use events::{PersonKeyId, Sequence};

use crate::batch::Guard;
use crate::committer::{CommitMode, Committer};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::log::{AppendError, Unavailable};

/// The stream behind the bucket.
pub(crate) const KEYS_STREAM: &str = "KV_KEYS";
/// What stands before a key's name in its subject, as in every key-value bucket.
const KEYS_PREFIX: &str = "$KV.KEYS.";
/// What stands before the id of a ring in its name.
const RING_PREFIX: &str = "ring_";

/// A place for wrapped keys, each under a name.
pub(crate) enum KeyStore {
    Nats(Box<NatsKeys>),
    Memory(Mutex<MemoryKeys>),
}

pub(crate) struct NatsKeys {
    stream: Stream<()>,
    direct: Direct,
    committer: Committer,
}

#[derive(Default)]
pub(crate) struct MemoryKeys {
    entries: BTreeMap<Sequence, Entry>,
    last: Sequence,
}

/// What stands in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub name: String,
    pub sequence: Sequence,
    pub wrapped: Bytes,
}

impl KeyStore {
    pub async fn open(connection: Connection, mode: CommitMode) -> Result<Self, Unavailable> {
        let stream = connection.jetstream.get_stream_no_info(KEYS_STREAM).await;
        let stream = stream.map_err(|error| Unavailable::new("open the vault of keys", error))?;
        let direct = Direct::open(&connection, KEYS_STREAM).await?;
        let committer = Committer::start(connection, direct.clone(), mode, None);
        Ok(Self::Nats(Box::new(NatsKeys { stream, direct, committer })))
    }

    /// Keeps a wrapped key under a name that is still free.
    pub async fn put(&self, name: &str, wrapped: Bytes) -> Result<(), AppendError> {
        self.replace(name, 0, wrapped).await
    }

    /// Keeps one in place of what stands at this sequence (0 = the name is free). What it replaces is not erased.
    pub async fn replace(&self, name: &str, sequence: Sequence, wrapped: Bytes) -> Result<(), AppendError> {
        match self {
            Self::Nats(keys) => {
                let subject = format!("{KEYS_PREFIX}{name}");
                keys.committer.commit(subject, Guard::LastOfSubject(sequence), wrapped, None).await.map(drop)
            }
            Self::Memory(keys) => lock(keys).replace(name, sequence, wrapped),
        }
    }

    pub async fn get(&self, name: &str) -> Result<Option<Entry>, Unavailable> {
        match self {
            Self::Nats(keys) => {
                let found = keys.direct.last(&format!("{KEYS_PREFIX}{name}")).await?;
                // another client of the bucket may have left a marker in place of a key: its payload is empty
                let found = found.filter(|message| !message.payload.is_empty());
                Ok(found.map(|message| entry(&message.subject, message.sequence, message.payload)))
            }
            Self::Memory(keys) => Ok(lock(keys).entries.values().find(|entry| entry.name == name).cloned()),
        }
    }

    /// The first entry at `from` or later whose name is `name` and then a point and anything.
    pub async fn any_of(&self, name: &str, from: Sequence) -> Result<Option<Entry>, Unavailable> {
        match self {
            Self::Nats(_) => self.find(&format!("{KEYS_PREFIX}{name}.*"), from).await,
            Self::Memory(keys) => {
                let is_of = |entry: &&Entry| entry.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.'));
                Ok(lock(keys).entries.range(from..).map(|(_, entry)| entry).find(is_of).cloned())
            }
        }
    }

    /// The first entry at `from` or later, whatever its name.
    pub async fn next(&self, from: Sequence) -> Result<Option<Entry>, Unavailable> {
        match self {
            Self::Nats(_) => self.find(&format!("{KEYS_PREFIX}>"), from).await,
            Self::Memory(keys) => Ok(lock(keys).entries.range(from..).next().map(|(_, entry)| entry.clone())),
        }
    }

    async fn find(&self, filter: &str, from: Sequence) -> Result<Option<Entry>, Unavailable> {
        let Self::Nats(keys) = self else { return Ok(None) };
        let mut from = from.max(1);
        while let Some(message) = keys.direct.next(filter, from).await? {
            if !message.payload.is_empty() {
                return Ok(Some(entry(&message.subject, message.sequence, message.payload)));
            }
            from = message.sequence + 1;
        }
        Ok(None)
    }

    /// Erases an entry: the server overwrites its bytes on disk, which a marker or a purge would not do. False when it was
    /// gone already.
    pub async fn erase(&self, entry: &Entry) -> Result<bool, Unavailable> {
        match self {
            Self::Nats(keys) => {
                let erased = keys.stream.delete_message(entry.sequence).await;
                match erased {
                    Ok(erased) => Ok(erased),
                    // somebody else was quicker, or it cannot be done: looking tells
                    Err(error) => match self.get(&entry.name).await? {
                        Some(there) if there.sequence == entry.sequence => {
                            Err(Unavailable::new("erase a person's key", error))
                        }
                        Some(_) | None => Ok(false),
                    },
                }
            }
            Self::Memory(keys) => Ok(lock(keys).entries.remove(&entry.sequence).is_some()),
        }
    }
}

impl MemoryKeys {
    fn replace(&mut self, name: &str, sequence: Sequence, wrapped: Bytes) -> Result<(), AppendError> {
        let there = self.entries.values().find(|entry| entry.name == name).map_or(0, |entry| entry.sequence);
        if there != sequence {
            return Err(AppendError::Conflict { last: Some(there) });
        }
        self.entries.remove(&there);
        self.last += 1;
        self.entries.insert(self.last, Entry { name: name.to_owned(), sequence: self.last, wrapped });
        Ok(())
    }
}

fn entry(subject: &str, sequence: Sequence, wrapped: Bytes) -> Entry {
    let name = subject.strip_prefix(KEYS_PREFIX).unwrap_or(subject).to_owned();
    Entry { name, sequence, wrapped }
}

fn lock(keys: &Mutex<MemoryKeys>) -> std::sync::MutexGuard<'_, MemoryKeys> {
    keys.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a person's key that stands by itself, whichever master key wraps it.
pub(crate) fn name_of(id: PersonKeyId) -> String {
    id.0.as_simple().to_string()
}

/// The name of a ring of keys, whichever master key wraps it.
pub(crate) fn name_of_ring(ring: RingId) -> String {
    format!("{RING_PREFIX}{}", ring.uuid().as_simple())
}

/// The ring of such a name; nothing when it is none.
pub(crate) fn ring_of(name: &str) -> Option<RingId> {
    RingId::parse(name.strip_prefix(RING_PREFIX)?)
}
