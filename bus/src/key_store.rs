//! Where wrapped person keys are kept: the bucket KEYS on the server, or memory for tests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use async_nats::jetstream::stream::Stream;
use bytes::Bytes;
use events::PersonKeyId;

use crate::batch::Guard;
use crate::committer::{CommitMode, Committer};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::log::{AppendError, Unavailable};

/// The stream behind the bucket.
const KEYS_STREAM: &str = "KV_KEYS";
/// What stands before a key's name in its subject, as in every key-value bucket.
const KEYS_PREFIX: &str = "$KV.KEYS.";

/// A place for wrapped keys, each under a name.
pub(crate) enum KeyStore {
    Nats(Box<NatsKeys>),
    Memory(Mutex<HashMap<String, Bytes>>),
}

pub(crate) struct NatsKeys {
    stream: Stream<()>,
    direct: Direct,
    committer: Committer,
}

impl KeyStore {
    pub async fn open(connection: Connection, mode: CommitMode) -> Result<Self, Unavailable> {
        let stream = connection.jetstream.get_stream_no_info(KEYS_STREAM).await;
        let stream = stream.map_err(|error| Unavailable::new("open the vault of keys", error))?;
        let direct = Direct::open(&connection, KEYS_STREAM).await?;
        let committer = Committer::start(connection, direct.clone(), mode);
        Ok(Self::Nats(Box::new(NatsKeys { stream, direct, committer })))
    }

    /// Keeps a wrapped key under a name that is still free.
    pub async fn put(&self, name: &str, wrapped: Bytes) -> Result<(), AppendError> {
        match self {
            Self::Nats(keys) => {
                let subject = format!("{KEYS_PREFIX}{name}");
                keys.committer.commit(subject, Guard::LastOfSubject(0), wrapped).await.map(drop)
            }
            Self::Memory(keys) => {
                keys.lock().unwrap_or_else(PoisonError::into_inner).entry(name.to_owned()).or_insert(wrapped);
                Ok(())
            }
        }
    }

    pub async fn get(&self, name: &str) -> Result<Option<Bytes>, Unavailable> {
        match self {
            Self::Nats(keys) => {
                let found = keys.direct.last(&format!("{KEYS_PREFIX}{name}")).await?;
                // another client of the bucket may have left a marker in place of a key: its payload is empty
                Ok(found.map(|message| message.payload).filter(|payload| !payload.is_empty()))
            }
            Self::Memory(keys) => Ok(keys.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()),
        }
    }

    /// Erases a key: the server overwrites its bytes on disk, which a marker or a purge would not do.
    pub async fn erase(&self, name: &str) -> Result<(), Unavailable> {
        match self {
            Self::Nats(keys) => {
                let Some(message) = keys.direct.last(&format!("{KEYS_PREFIX}{name}")).await? else {
                    return Ok(());
                };
                let erased = keys.stream.delete_message(message.sequence).await;
                erased.map(drop).map_err(|error| Unavailable::new("erase a person's key", error))
            }
            Self::Memory(keys) => {
                keys.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
                Ok(())
            }
        }
    }
}

/// The name under which a person's key is kept.
pub(crate) fn name_of(id: PersonKeyId) -> String {
    id.0.as_simple().to_string()
}
