//! The one row that says how far the analytics view has come, and what it counts of everything.

use events::{RecordHash, Sequence, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys::List;
use super::tracked::Funnel;
use crate::checkpoint::{BadCheckpoint, Checkpoint, Persisted, split_schema, with_schema};

/// What the bytes of keys and values mean. Any change of them is a new number; the view is then rebuilt. Apart from the
/// numbers of the status view, so that neither is taken for the other.
pub(crate) const SCHEMA: u32 = 1_002;

/// What the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    pub checkpoint: Checkpoint,
    /// The latest time of any record: what is too old is counted from it.
    pub newest: Timestamp,
    pub funnel: Funnel,
    /// Entries of each list.
    pub listed: [u64; List::ALL.len()],
}

#[derive(Serialize, Deserialize)]
struct SavedV1 {
    incarnation: i64,
    sequence: Sequence,
    hash: [u8; 32],
    count: u64,
    digest: [u8; 32],
    newest_us: i64,
    funnel: Funnel,
    listed: [u64; 3],
}

impl Saved {
    /// Nothing seen yet.
    pub(crate) fn nothing(incarnation: i64) -> Self {
        let checkpoint = Checkpoint::nothing_seen(incarnation);
        Self { checkpoint, newest: Timestamp(0), funnel: Funnel::default(), listed: [0; List::ALL.len()] }
    }

    pub(crate) fn to_bytes(self) -> Option<Vec<u8>> {
        let Checkpoint { incarnation, sequence, hash, count, digest } = self.checkpoint;
        let (hash, newest_us, funnel, listed) = (hash.0, self.newest.0, self.funnel, self.listed);
        with_schema(SCHEMA, &SavedV1 { incarnation, sequence, hash, count, digest, newest_us, funnel, listed })
    }
}

impl Persisted for Saved {
    /// What is asked for often is in memory; the rest is read a window at a time.
    const CACHE_BYTES: u64 = 8 * 1024 * 1024;

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadCheckpoint> {
        let saved: SavedV1 = split_schema(SCHEMA, bytes)?;
        let SavedV1 { incarnation, sequence, hash, count, digest, newest_us, funnel, listed } = saved;
        let checkpoint = Checkpoint { incarnation, sequence, hash: RecordHash(hash), count, digest };
        Ok(Self { checkpoint, newest: Timestamp(newest_us), funnel, listed })
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_reads_back_and_is_no_status_view() {
        let mut saved = Saved::nothing(-5);
        saved.checkpoint.sequence = 7;
        (saved.newest, saved.funnel.sent, saved.listed) = (Timestamp(9), 3, [1, 2, 3]);
        let bytes = saved.to_bytes().expect("written");
        assert_eq!(Saved::from_bytes(&bytes), Ok(saved));
        assert_eq!(crate::checkpoint::Saved::from_bytes(&bytes), Err(BadCheckpoint::OtherSchema(SCHEMA)));
        assert_eq!(Saved::from_bytes(&bytes[..bytes.len() - 1]), Err(BadCheckpoint::Undecodable));
    }
}
