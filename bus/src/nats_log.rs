//! The log on a JetStream server.

use async_trait::async_trait;
use events::record::{Link, Record, RecordHash, Stored, hash_of};
use events::{RegistrationId, Sequence, Shard, subject};

use crate::batch::Guard;
use crate::committer::{CommitMode, Committer};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::follow::NatsFollow;
use crate::log::{
    AppendError, EventLog, Follow, FollowError, FollowItem, HISTORY_RECORDS_MAX, Head, Incarnation, LoadError,
    Unavailable,
};

/// The stream of all records on a server; cheap to clone.
#[derive(Clone)]
pub struct NatsLog {
    connection: Connection,
    direct: Direct,
    committer: Committer,
}

impl NatsLog {
    pub(crate) async fn open(connection: Connection, mode: CommitMode) -> Result<Self, Unavailable> {
        let direct = Direct::open(&connection, subject::EVENTS_STREAM).await?;
        let committer = Committer::start(connection.clone(), direct.clone(), mode);
        Ok(Self { connection, direct, committer })
    }
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(&self, shard: Shard, id: RegistrationId, record: &Record) -> Result<Link, AppendError> {
        let bytes = record.encode()?;
        let hash = hash_of(&bytes);
        let guard = Guard::LastOfSubject(record.previous.map_or(0, |link| link.sequence));
        let sequence = self.committer.commit(subject::registration(shard, id), guard, bytes).await?;
        Ok(Link { sequence, hash })
    }

    /// Backwards from the last record by direct gets: a filter over a million subjects takes a thousand times longer.
    async fn load(&self, shard: Shard, id: RegistrationId) -> Result<Vec<Stored>, LoadError> {
        let subject = subject::registration(shard, id);
        let Some(last) = self.direct.last(&subject).await? else {
            return Ok(Vec::new());
        };
        let mut records = vec![readable(FollowItem::read(&last.subject, last.sequence, &last.payload))?];
        while let Some(previous) = records.last().and_then(|stored| stored.record.previous) {
            if records.len() == HISTORY_RECORDS_MAX {
                return Err(LoadError::TooLong);
            }
            let broken = LoadError::ChainBroken { sequence: previous.sequence };
            let message = self.direct.at(previous.sequence).await?.ok_or_else(|| broken.clone())?;
            if !is_linked(&message.payload, previous.hash) || message.subject.as_str() != subject {
                return Err(broken);
            }
            records.push(readable(FollowItem::read(&subject, previous.sequence, &message.payload))?);
        }
        records.reverse();
        Ok(records)
    }

    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        Ok(Box::new(NatsFollow::open(self.connection.clone(), from.saturating_sub(1)).await?))
    }

    async fn head(&self) -> Result<Head, Unavailable> {
        head(&self.connection).await
    }
}

pub(crate) async fn head(connection: &Connection) -> Result<Head, Unavailable> {
    let unavailable = |error: String| Unavailable { doing: "read the end of the log", reason: error };
    let stream = connection.jetstream.get_stream(subject::EVENTS_STREAM).await;
    let stream = stream.map_err(|error| unavailable(error.to_string()))?;
    let info = stream.cached_info();
    let created = i64::try_from(info.created.unix_timestamp_nanos());
    let incarnation = Incarnation(created.map_err(|error| unavailable(error.to_string()))?);
    Ok(Head { last_sequence: info.state.last_sequence, incarnation })
}

fn is_linked(payload: &[u8], hash: RecordHash) -> bool {
    hash_of(payload) == hash
}

/// The record in an item, or why it has none.
pub(crate) fn readable(item: FollowItem) -> Result<Stored, LoadError> {
    match item {
        FollowItem::Record(stored) => Ok(stored),
        FollowItem::Unreadable { sequence, reason } => Err(LoadError::Unreadable { sequence, reason }),
    }
}
