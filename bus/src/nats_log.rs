//! The log on a JetStream server.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use bytes::Bytes;
use events::record::{Link, Record, RecordHash, Stored, StoredMaker, hash_of};
use events::{MakerEvent, RegistrationId, Sequence, Shard, subject};

use crate::batch::Guard;
use crate::committer::{CommitMode, Committer};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::log::{
    AppendError, EventLog, Follow, FollowError, FollowItem, HISTORY_RECORDS_MAX, Head, Incarnation, LoadError,
    Unavailable,
};
use crate::meters;
use crate::tail::Tail;

/// The stream of all records on a server; cheap to clone.
#[derive(Clone)]
pub struct NatsLog {
    connection: Connection,
    direct: Direct,
    committer: Committer,
    tail: Tail,
}

impl NatsLog {
    pub(crate) async fn open(connection: Connection, mode: CommitMode, tail: Tail) -> Result<Self, Unavailable> {
        let direct = Direct::open(&connection, subject::EVENTS_STREAM).await?;
        let committer = Committer::start(connection.clone(), direct.clone(), mode, Some(tail.echo()));
        Ok(Self { connection, direct, committer, tail })
    }

    async fn commit(&self, subject: String, previous: Option<Link>, bytes: Bytes) -> Result<Link, AppendError> {
        let hash = hash_of(&bytes);
        let guard = Guard::LastOfSubject(previous.map_or(0, |link| link.sequence));
        let started = Instant::now();
        let stored = self.committer.commit(subject, guard, bytes, Some(hash)).await;
        meters::written(subject::EVENTS_STREAM, started, &stored);
        Ok(Link { sequence: stored?, hash })
    }
}

#[async_trait]
impl EventLog for NatsLog {
    async fn append(&self, shard: Shard, id: RegistrationId, record: &Record) -> Result<Link, AppendError> {
        self.commit(subject::registration(shard, id), record.previous, record.encode()?).await
    }

    async fn append_maker(
        &self,
        shard: Shard,
        connector: &str,
        record: &Record<MakerEvent>,
    ) -> Result<Link, AppendError> {
        self.commit(subject::maker(shard, connector), record.previous, record.encode()?).await
    }

    async fn last_of_maker(&self, shard: Shard, connector: &str) -> Result<Option<StoredMaker>, LoadError> {
        let Some(last) = self.direct.last(&subject::maker(shard, connector)).await? else { return Ok(None) };
        maker_readable(FollowItem::read(&last.subject, last.sequence, &last.payload)).map(Some)
    }

    /// Backwards from the last record by direct gets: a filter over a million subjects takes a thousand times longer.
    async fn load_with_bytes(&self, shard: Shard, id: RegistrationId) -> Result<Vec<(Stored, Bytes)>, LoadError> {
        let subject = subject::registration(shard, id);
        let Some(last) = self.direct.last(&subject).await? else {
            return Ok(Vec::new());
        };
        let newest = readable(FollowItem::read(&last.subject, last.sequence, &last.payload))?;
        let mut records = vec![(newest, last.payload)];
        while let Some(previous) = records.last().and_then(|(stored, _)| stored.record.previous) {
            if records.len() == HISTORY_RECORDS_MAX {
                return Err(LoadError::TooLong);
            }
            let broken = LoadError::ChainBroken { sequence: previous.sequence };
            let message = self.direct.at(previous.sequence).await?.ok_or_else(|| broken.clone())?;
            if !is_linked(&message.payload, previous.hash) || message.subject.as_str() != subject {
                return Err(broken);
            }
            let stored = readable(FollowItem::read(&subject, previous.sequence, &message.payload))?;
            records.push((stored, message.payload));
        }
        records.reverse();
        Ok(records)
    }

    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        Ok(Box::new(self.tail.follow(from.saturating_sub(1)).await?))
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

/// The registration's record in an item, or why it has none.
pub(crate) fn readable(item: FollowItem) -> Result<Stored, LoadError> {
    match item {
        FollowItem::Record(stored) => Ok(Arc::unwrap_or_clone(stored)),
        FollowItem::Maker(stored) => Err(foreign(stored.sequence)),
        FollowItem::Unreadable { sequence, reason } => Err(LoadError::Unreadable { sequence, reason }),
    }
}

/// The maker's record in an item, or why it has none.
pub(crate) fn maker_readable(item: FollowItem) -> Result<StoredMaker, LoadError> {
    match item {
        FollowItem::Maker(stored) => Ok(Arc::unwrap_or_clone(stored)),
        FollowItem::Record(stored) => Err(foreign(stored.sequence)),
        FollowItem::Unreadable { sequence, reason } => Err(LoadError::Unreadable { sequence, reason }),
    }
}

fn foreign(sequence: Sequence) -> LoadError {
    LoadError::Unreadable { sequence, reason: "it stands on a subject of another kind".to_owned() }
}
