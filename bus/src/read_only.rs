//! The log for those who only read: no streams are made, no keys opened, no lease taken, and nothing can be appended.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use events::record::{Link, Record, Stored, StoredMaker};
use events::{MakerEvent, RegistrationId, Sequence, Shard};

use crate::committer::CommitMode;
use crate::connection::Connection;
use crate::log::{AppendError, EventLog, Follow, FollowError, Head, LoadError, Unavailable};
use crate::nats_log::NatsLog;
use crate::tail::Tail;
use crate::whole::ReadOptions;

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A log that refuses every append.
#[derive(Clone)]
pub struct ReadOnlyLog {
    log: NatsLog,
}

impl ReadOnlyLog {
    /// Connects; the log must be there.
    ///
    /// # Errors
    /// [`Unavailable`] when the server cannot be reached or has no log of ours.
    pub async fn open(url: &str, options: ReadOptions) -> Result<Self, Unavailable> {
        let connection = Connection::open(url, &options.into(), CONNECT_TIMEOUT).await?;
        let log = NatsLog::open(connection.clone(), CommitMode::Pipelined, Tail::new(connection)).await?;
        log.head().await?;
        Ok(Self { log })
    }
}

fn refused() -> AppendError {
    AppendError::Refused("the log was opened for reading only".to_owned())
}

#[async_trait]
impl EventLog for ReadOnlyLog {
    async fn append(&self, _: Shard, _: RegistrationId, _: &Record) -> Result<Link, AppendError> {
        Err(refused())
    }

    async fn append_maker(&self, _: Shard, _: &str, _: &Record<MakerEvent>) -> Result<Link, AppendError> {
        Err(refused())
    }

    async fn last_of_maker(&self, shard: Shard, connector: &str) -> Result<Option<StoredMaker>, LoadError> {
        self.log.last_of_maker(shard, connector).await
    }

    async fn load_with_bytes(&self, shard: Shard, id: RegistrationId) -> Result<Vec<(Stored, Bytes)>, LoadError> {
        self.log.load_with_bytes(shard, id).await
    }

    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        self.log.follow(from).await
    }

    async fn head(&self) -> Result<Head, Unavailable> {
        self.log.head().await
    }
}
