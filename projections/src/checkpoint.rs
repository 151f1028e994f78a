//! How far a view has come, in which stream, and how many rows it then had of each status.

use events::{RecordHash, Sequence, Status};
use serde::{Deserialize, Serialize};

/// What the bytes of rows, keys and checkpoint mean. Any change of them is a new number; the view is then rebuilt.
pub(crate) const SCHEMA: u32 = 3;
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
    /// Nothing when it cannot be written, which postcard never says of plain numbers.
    pub(crate) fn to_bytes(self) -> Option<Vec<u8>> {
        let Checkpoint { incarnation, sequence, hash } = self.checkpoint;
        let saved = SavedV1 { incarnation, sequence, hash: hash.0, counts: self.counts.0 };
        postcard::to_extend(&saved, SCHEMA.to_le_bytes().to_vec()).ok()
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, BadCheckpoint> {
        let (schema, rest) = bytes.split_first_chunk::<SCHEMA_BYTES>().ok_or(BadCheckpoint::Undecodable)?;
        match u32::from_le_bytes(*schema) {
            SCHEMA => {}
            other => return Err(BadCheckpoint::OtherSchema(other)),
        }
        match postcard::take_from_bytes::<SavedV1>(rest) {
            Ok((SavedV1 { incarnation, sequence, hash, counts }, [])) => Ok(Self {
                checkpoint: Checkpoint { incarnation, sequence, hash: RecordHash(hash) },
                counts: Counts(counts),
            }),
            Ok(_) | Err(_) => Err(BadCheckpoint::Undecodable),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        let mut counts = Counts::default();
        counts.moved(None, Status::Pending);
        counts.moved(Some(Status::Pending), Status::Expired);
        let checkpoint = Checkpoint { incarnation: -5, sequence: 7, hash: RecordHash([9; 32]) };
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
