//! Indexes that only grow: the rows of a maker and of a tenant. The new rows of one write stand in one entry, a run, because
//! each entry of the store costs as much as a row.
//!
//! A run lies behind all runs before it: what is written next was submitted later.

use std::collections::BTreeMap;

use events::Sequence;

use crate::error::ViewError;
use crate::keys;
use crate::store::Writes;

/// The runs of one write, by index.
#[derive(Default)]
pub(crate) struct Runs(BTreeMap<Vec<u8>, Vec<Sequence>>);

impl Runs {
    /// A new row of an index.
    pub(crate) fn add(&mut self, index: Vec<u8>, submission: Sequence) {
        self.0.entry(index).or_default().push(submission);
    }

    /// Each under its index and its first row.
    pub(crate) fn write(self, writes: &mut Writes) -> Result<(), ViewError> {
        for (index, mut run) in self.0 {
            run.sort_unstable();
            if let Some(first) = run.first() {
                writes.put(&keys::with_sequence(&index, *first), &encode(*first, &run)?);
            }
        }
        Ok(())
    }
}

/// How far each row is from the one before it; postcard writes small numbers in few bytes.
fn encode(first: Sequence, run: &[Sequence]) -> Result<Vec<u8>, ViewError> {
    let mut before = first;
    let steps: Vec<u64> = run.iter().map(|sequence| sequence - std::mem::replace(&mut before, *sequence)).collect();
    postcard::to_allocvec(&steps).map_err(|_| ViewError::Undecodable)
}

/// The rows of a run that begins with `first`, the lowest first; nothing when the bytes are no run.
pub(crate) fn decode(first: Sequence, bytes: &[u8]) -> Option<Vec<Sequence>> {
    let (steps, rest): (Vec<u64>, _) = postcard::take_from_bytes(bytes).ok()?;
    let mut at = first;
    let mut next = |step| {
        at = at.checked_add(step)?;
        Some(at)
    };
    let run: Option<Vec<_>> = steps.into_iter().map(&mut next).collect();
    run.filter(|_| rest.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_reads_back_whatever_lies_between_its_rows() {
        for run in [vec![1], vec![7, 8, 9, 300, 70_000, 1 << 40, (1 << 40) + 127, (1 << 40) + 255]] {
            assert_eq!(decode(run[0], &encode(run[0], &run).expect("encodes")), Some(run));
        }
    }

    #[test]
    fn bytes_that_end_early_or_lead_too_far_are_no_run() {
        let bytes = encode(1, &[1, 300]).expect("encodes");
        assert_eq!(decode(1, &bytes[..bytes.len() - 1]), None);
        assert_eq!(decode(1, &[bytes.as_slice(), &[0]].concat()), None);
        assert_eq!(decode(u64::MAX, &bytes), None);
    }
}
