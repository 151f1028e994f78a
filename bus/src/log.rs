//! What the rest of the program may ask of the log, whatever keeps it.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use events::record::{Link, Record, RecordError, RecordHash, Stored, StoredMaker, hash_of};
use events::{MakerEvent, RegistrationId, Sequence, Shard, subject};

use crate::gate::Trouble;

/// Most records of one registration that [`EventLog::load`] reads back.
pub(crate) const HISTORY_RECORDS_MAX: usize = 4_096;

/// The log of all registrations.
#[async_trait]
pub trait EventLog: Send + Sync {
    /// Appends one record to its registration, guarded: it is stored only when `record.previous` is still the
    /// registration's last record. Returns where it stands and what it hashes to.
    async fn append(&self, shard: Shard, id: RegistrationId, record: &Record) -> Result<Link, AppendError>;

    /// Appends one record to a maker, guarded as [`Self::append`] is.
    async fn append_maker(
        &self,
        shard: Shard,
        connector: &str,
        record: &Record<MakerEvent>,
    ) -> Result<Link, AppendError>;

    /// The last record of a maker; nothing when there is none.
    async fn last_of_maker(&self, shard: Shard, connector: &str) -> Result<Option<StoredMaker>, LoadError>;

    /// All records of a registration, oldest first, their chain of hashes checked. Empty when there is none.
    async fn load(&self, shard: Shard, id: RegistrationId) -> Result<Vec<Stored>, LoadError> {
        Ok(self.load_with_bytes(shard, id).await?.into_iter().map(|(stored, _)| stored).collect())
    }

    /// As [`Self::load`], each record with its bytes as they are stored: what its hash is made of.
    async fn load_with_bytes(&self, shard: Shard, id: RegistrationId) -> Result<Vec<(Stored, Bytes)>, LoadError>;

    /// Everything at `from` and later (0 and 1: from the first), in order: what is stored, then what comes.
    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError>;

    /// Where the log ends and which log it is.
    async fn head(&self) -> Result<Head, Unavailable>;
}

/// One reader's way through the log.
#[async_trait]
pub trait Follow: Send {
    /// What comes next: up to `max` items, as soon as there is one, or nothing after `max_wait` (or once, as soon as it turns out
    /// that there is nothing yet). An outage of the
    /// server shows as empty pages; reading goes on by itself when it is back.
    async fn next_page(&mut self, max: usize, max_wait: Duration) -> Result<Page, FollowError>;
}

/// A few items of the log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Page {
    /// In the order of the log.
    pub items: Vec<FollowItem>,
    /// Whether everything that was stored when the following began has been handed out, this page included.
    pub caught_up: bool,
}

/// One message of the log; cheap to clone, because all readers of a process share what was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowItem {
    /// A record of a registration.
    Record(Arc<Stored>),
    /// A record of a maker.
    Maker(Arc<StoredMaker>),
    /// A message that is no record of this program; to be reported and passed over.
    Unreadable {
        /// Its place in the stream.
        sequence: Sequence,
        /// What is wrong with it.
        reason: String,
    },
}

impl FollowItem {
    /// Its place in the stream.
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        match self {
            Self::Record(stored) => stored.sequence,
            Self::Maker(stored) => stored.sequence,
            Self::Unreadable { sequence, .. } => *sequence,
        }
    }

    /// What a message of the stream says.
    pub(crate) fn read(subject: &str, sequence: Sequence, payload: &[u8]) -> Self {
        Self::read_hashed(subject, sequence, payload, hash_of(payload))
    }

    /// The same; `hash` is the payload's.
    pub(crate) fn read_hashed(subject: &str, sequence: Sequence, payload: &[u8], hash: RecordHash) -> Self {
        read(subject, sequence, payload, hash).unwrap_or_else(|reason| Self::Unreadable { sequence, reason })
    }
}

impl From<Stored> for FollowItem {
    fn from(stored: Stored) -> Self {
        Self::Record(Arc::new(stored))
    }
}

fn read(subject: &str, sequence: Sequence, payload: &[u8], hash: RecordHash) -> Result<FollowItem, String> {
    if let Some((shard, registration)) = subject::parse_registration(subject) {
        let record = Record::decode(payload).map_err(|error| error.to_string())?;
        return Ok(Stored { sequence, shard, registration, record, hash }.into());
    }
    let Some((_, connector)) = subject::parse_maker(subject) else {
        return Err("its subject names no registration and no maker".to_owned());
    };
    let record = Record::decode(payload).map_err(|error| error.to_string())?;
    Ok(FollowItem::Maker(Arc::new(StoredMaker { sequence, connector: connector.to_owned(), record, hash })))
}

/// Which stream it is: another stream of the same name has another incarnation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Incarnation(
    /// When the stream was created, in nanoseconds since 1970.
    pub i64,
);

/// The end of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The sequence of the last message; 0 when nothing was ever stored.
    pub last_sequence: Sequence,
    /// Which log it is.
    pub incarnation: Incarnation,
}

/// The server cannot be reached or does not answer; nothing is known to have changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot {doing}: {reason}")]
pub struct Unavailable {
    /// What was wanted.
    pub doing: &'static str,
    /// Why it does not work.
    pub reason: String,
}

impl Unavailable {
    pub(crate) fn new(doing: &'static str, reason: impl ToString) -> Self {
        Self { doing, reason: reason.to_string() }
    }
}

/// Why a record was not appended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// Somebody else appended first; reload and decide again.
    #[error("another record was appended first{}", last.map(|last| format!(", at sequence {last}")).unwrap_or_default())]
    Conflict {
        /// The sequence of the registration's last record, when the server told.
        last: Option<Sequence>,
    },
    /// No answer in time: it may be stored now, or later. A reload tells.
    #[error("the server did not answer in time; the record may or may not be stored")]
    Unknown,
    /// Certainly not stored.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Over a limit, or no record at all. Certainly not stored.
    #[error("the record is too large or empty")]
    TooLarge,
    /// The server refuses it for another reason. Certainly not stored.
    #[error("the server refuses the record: {0}")]
    Refused(String),
    /// The log is not the one that was verified, and takes nothing until an operator has decided. Certainly not stored.
    #[error("the log is read-only: {0}; an operator looks with `regflow verify` and decides")]
    ReadOnly(Trouble),
}

impl From<RecordError> for AppendError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::OutOfBounds => Self::TooLarge,
            RecordError::NoMagic
            | RecordError::UnknownWireVersion(_)
            | RecordError::BadEnvelope
            | RecordError::UnknownEvent { .. }
            | RecordError::BadEvent { .. } => Self::Refused(error.to_string()),
        }
    }
}

/// Why a registration's records cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// A record is not the one that its successor was chained to, or is gone.
    #[error("the record at sequence {sequence} is not the one that its successor was chained to")]
    ChainBroken {
        /// Where the broken link points.
        sequence: Sequence,
    },
    /// A record of it cannot be read.
    #[error("the record at sequence {sequence} cannot be read: {reason}")]
    Unreadable {
        /// Its place in the stream.
        sequence: Sequence,
        /// What is wrong with it.
        reason: String,
    },
    /// More records than any registration should have.
    #[error("the registration has more than {HISTORY_RECORDS_MAX} records")]
    TooLong,
}

/// Why the log cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowError {
    /// Following could not begin; try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The log ends before what was already read: it lost messages, and sequences will be used again.
    #[error("the log ends at sequence {last}, but sequence {seen} was read from it before: it lost messages")]
    Rewound {
        /// The last sequence that this reader knows of.
        seen: Sequence,
        /// Where the log ends now.
        last: Sequence,
    },
    /// Another stream stands in its place.
    #[error("the stream was replaced by another one while it was read")]
    Replaced,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_on_another_subject_is_unreadable_and_keeps_its_sequence() {
        let item = FollowItem::read("ops.pause", 7, b"RF");
        assert_eq!(item.sequence(), 7);
        assert!(matches!(item, FollowItem::Unreadable { reason, .. } if reason.contains("subject")));
    }
}
