//! How far a view has come, in which stream, and how many rows it then had of each status.

use events::{RecordHash, Sequence, Status};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// What the bytes of rows, keys and checkpoint mean. Any change of them is a new number; the view is then rebuilt.
pub(crate) const SCHEMA: u32 = 6;
/// Bytes of the schema's number, which come first in every schema.
const SCHEMA_BYTES: usize = 4;
/// One more than the highest number of a status.
const STATUSES: usize = 11;

/// The last record that a view has taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which stream: when it was created, nanoseconds since 1970.
    pub incarnation: i64,
    /// The record's place in it.
    pub sequence: Sequence,
    /// What its bytes hash to: the log must still hold the same record there.
    pub hash: RecordHash,
    /// How many records the view has taken in.
    pub count: u64,
    /// What they were: each record's place and hash, chained by BLAKE3.
    pub digest: [u8; 32],
}

impl Checkpoint {
    /// Where a view begins.
    pub(crate) const fn nothing_seen(incarnation: i64) -> Self {
        Self { incarnation, sequence: 0, hash: RecordHash([0; 32]), count: 0, digest: [0; 32] }
    }

    /// The next record is taken in.
    pub(crate) fn take(&mut self, sequence: Sequence, hash: RecordHash) {
        let mut link = [0; 32 + 8 + 32];
        link[..32].copy_from_slice(&self.digest);
        link[32..40].copy_from_slice(&sequence.to_be_bytes());
        link[40..].copy_from_slice(&hash.0);
        self.digest = *blake3::hash(&link).as_bytes();
        (self.sequence, self.hash) = (sequence, hash);
        self.count += 1;
    }
}

/// The row that says how far a view has come, each view's own.
pub(crate) trait Persisted: Sized + Send + 'static {
    /// Memory for cached pages of the view; sled's own default is 1 GB.
    const CACHE_BYTES: u64;

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadCheckpoint>;

    fn checkpoint(&self) -> Checkpoint;
}

/// The bytes of `row` behind the number of its schema. Nothing when it cannot be written, which postcard never says of
/// plain numbers.
pub(crate) fn with_schema(schema: u32, row: &impl Serialize) -> Option<Vec<u8>> {
    postcard::to_extend(row, schema.to_le_bytes().to_vec()).ok()
}

/// The row in such bytes, if they are of this schema.
pub(crate) fn split_schema<T: DeserializeOwned>(schema: u32, bytes: &[u8]) -> Result<T, BadCheckpoint> {
    let (found, rest) = bytes.split_first_chunk::<SCHEMA_BYTES>().ok_or(BadCheckpoint::Undecodable)?;
    let found = u32::from_le_bytes(*found);
    if found != schema {
        return Err(BadCheckpoint::OtherSchema(found));
    }
    match postcard::take_from_bytes(rest) {
        Ok((row, [])) => Ok(row),
        Ok(_) | Err(_) => Err(BadCheckpoint::Undecodable),
    }
}

/// How many registrations have which status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts([u64; STATUSES]);

/// What the store keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Saved {
    pub checkpoint: Checkpoint,
    pub counts: Counts,
}

#[derive(Serialize, Deserialize)]
struct SavedV1 {
    incarnation: i64,
    sequence: Sequence,
    hash: [u8; 32],
    count: u64,
    digest: [u8; 32],
    counts: [u64; STATUSES],
}

/// Bytes that are no checkpoint of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BadCheckpoint {
    OtherSchema(u32),
    Undecodable,
}

impl Counts {
    /// How many have `status`.
    #[must_use]
    pub fn of(&self, status: Status) -> u64 {
        self.0[place(status)]
    }

    /// How many there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.0.iter().sum()
    }

    /// Takes in that a row with `status` is counted no longer.
    pub(crate) fn gone(&mut self, status: Status) {
        self.0[place(status)] = self.of(status).saturating_sub(1);
    }

    /// Takes in that a row came to `after`, from `before` or new.
    pub(crate) fn moved(&mut self, before: Option<Status>, after: Status) {
        if let Some(before) = before {
            self.0[place(before)] = self.of(before).saturating_sub(1);
        }
        self.0[place(after)] += 1;
    }
}

fn place(status: Status) -> usize {
    usize::from(status.number())
}

impl Saved {
    pub(crate) fn to_bytes(self) -> Option<Vec<u8>> {
        let Checkpoint { incarnation, sequence, hash, count, digest } = self.checkpoint;
        with_schema(SCHEMA, &SavedV1 { incarnation, sequence, hash: hash.0, count, digest, counts: self.counts.0 })
    }
}

impl Persisted for Saved {
    const CACHE_BYTES: u64 = 64 * 1024 * 1024;

    fn from_bytes(bytes: &[u8]) -> Result<Self, BadCheckpoint> {
        let SavedV1 { incarnation, sequence, hash, count, digest, counts } = split_schema(SCHEMA, bytes)?;
        let checkpoint = Checkpoint { incarnation, sequence, hash: RecordHash(hash), count, digest };
        Ok(Self { checkpoint, counts: Counts(counts) })
    }

    fn checkpoint(&self) -> Checkpoint {
        self.checkpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let mut counts = Counts::default();
        counts.moved(None, Status::Pending);
        counts.moved(Some(Status::Pending), Status::Expired);
        let mut checkpoint = Checkpoint::nothing_seen(-5);
        checkpoint.take(7, RecordHash([9; 32]));
        Saved { checkpoint, counts }
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let bytes = saved().to_bytes().expect("written");
        assert_eq!(Saved::from_bytes(&bytes), Ok(saved()));
        assert_eq!(saved().counts.of(Status::Expired), 1);
        assert_eq!(saved().counts.total(), 1);
    }

    #[test]
    fn the_digest_tells_other_records_and_another_order() {
        let after = |records: &[(Sequence, u8)]| {
            let mut checkpoint = Checkpoint::nothing_seen(-5);
            records.iter().for_each(|(sequence, byte)| checkpoint.take(*sequence, RecordHash([*byte; 32])));
            (checkpoint.count, checkpoint.digest)
        };
        let base = after(&[(1, 1), (2, 2)]);
        assert_eq!((base.0, base), (2, after(&[(1, 1), (2, 2)])));
        for other in [&[(1, 1), (3, 2)][..], &[(1, 1), (2, 3)], &[(2, 2), (1, 1)], &[(1, 1)]] {
            assert_ne!(after(other), base);
        }
    }

    #[test]
    fn another_schema_is_named_whatever_follows_it() {
        assert_eq!(Saved::from_bytes(&[9, 0, 0, 0, 1]), Err(BadCheckpoint::OtherSchema(9)));
    }

    #[test]
    fn a_cut_or_longer_checkpoint_is_refused() {
        let mut bytes = saved().to_bytes().expect("written");
        assert_eq!(Saved::from_bytes(&bytes[..bytes.len() - 1]), Err(BadCheckpoint::Undecodable));
        bytes.push(0);
        assert_eq!(Saved::from_bytes(&bytes), Err(BadCheckpoint::Undecodable));
        assert_eq!(Saved::from_bytes(&[1]), Err(BadCheckpoint::Undecodable));
    }
}
