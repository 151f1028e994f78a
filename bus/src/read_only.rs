//! The log for those who only read: no streams are made, no keys opened, no lease taken, and nothing can be appended.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use events::record::{Link, Record, Stored, StoredMaker};
use events::{MakerEvent, RegistrationId, Sequence, Shard};

use crate::committer::CommitMode;
use crate::connection::{Access, Connection};
use crate::log::{AppendError, EventLog, Follow, FollowError, Head, LoadError, Unavailable};
use crate::nats_log::NatsLog;

/// Longest wait for the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How to reach a server whose log is only read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// A `.creds` file of the account.
    pub credentials_file: Option<PathBuf>,
    /// Certificates that the server's is checked against, in place of none (then TLS is required).
    pub ca_file: Option<PathBuf>,
}

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
        let access = Access { credentials_file: options.credentials_file, ca_file: options.ca_file };
        let connection = Connection::open(url, &access, CONNECT_TIMEOUT).await?;
        let log = NatsLog::open(connection, CommitMode::Pipelined).await?;
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

    async fn load(&self, shard: Shard, id: RegistrationId) -> Result<Vec<Stored>, LoadError> {
        self.log.load(shard, id).await
    }

    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        self.log.follow(from).await
    }

    async fn head(&self) -> Result<Head, Unavailable> {
        self.log.head().await
    }
}
