//! Finds rows by what they are known by, an id or an owner: pairs of its hash and the row's submission.
//!
//! Hashes come in no order, so an entry of the store for each would touch another page each time. New pairs are kept in memory
//! and written as they come, those of one write in one entry, the journal. Once there are many, they move into partitions by
//! their hash, some partitions with each write; there they stand in sorted runs that grow as they are merged. Pairs are never
//! taken back: who asks looks into the row.

use std::collections::VecDeque;

use events::{RegistrationId, Sequence};

use crate::error::ViewError;
use crate::keys;
use crate::store::{Store, Writes};

/// A hash and a submission.
pub(crate) type Pair = (u64, Sequence);

/// Bytes of a pair: two big-endian numbers.
const PAIR_BYTES: usize = 16;
/// Partitions are told by the highest bits of the hash.
const PARTITION_BITS: u32 = 12;
const PARTITIONS: u64 = 1 << PARTITION_BITS;
/// Pairs in memory (16 bytes each) from which on partitions are moved.
const RECENT_PAIRS: usize = 65_536;
/// Partitions moved with one write.
const MOVED_AT_ONCE: u64 = 64;
/// Most journals removed with one write; each write makes one at the most.
const JOURNALS_AT_ONCE: usize = 64;
/// Most pairs in a run: 64 KB.
const RUN_PAIRS_MAX: usize = 4_096;

/// All pairs, and which of them are in no partition yet.
#[derive(Default)]
pub(crate) struct Finder {
    recent: Recent,
    /// The numbers of the journals, with what `moved` was when they were written.
    journals: VecDeque<(u64, u64)>,
    next_journal: u64,
    /// Partitions moved so far; the next one is this one.
    moved: u64,
}

/// Pairs that are in no partition yet, by the one that each belongs to, in no order and perhaps more than once.
#[derive(Default)]
struct Recent {
    /// As many as there are partitions, or none before the first pair.
    by_partition: Vec<Vec<Pair>>,
    pairs: usize,
}

/// What a write means for the finder, once it is done.
#[derive(Default)]
pub(crate) struct Step {
    new: Vec<Pair>,
    moved: u64,
    journals_gone: usize,
}

/// What a registration is found by.
pub(crate) fn hash_of_id(id: RegistrationId) -> u64 {
    hash(b"i", id.0.as_bytes())
}

/// What the rows of an owner are found by.
pub(crate) fn hash_of_owner(owner_ref: &[u8; 16]) -> u64 {
    hash(b"o", owner_ref)
}

fn hash(kind: &[u8], name: &[u8; 16]) -> u64 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(kind).update(name);
    hasher.finalize().as_bytes().first_chunk().map_or(0, |first| u64::from_be_bytes(*first))
}

const fn partition_of(hash: u64) -> u64 {
    hash >> (u64::BITS - PARTITION_BITS)
}

impl Finder {
    /// Reads the journals.
    pub(crate) fn load(store: &Store) -> Result<Self, ViewError> {
        let mut finder = Self::default();
        store.each(keys::journal(0)..keys::journal(u64::MAX), |key, value| {
            let number = keys::sequence_of(key).ok_or(ViewError::Undecodable)?;
            finder.recent.extend(pairs(value)?);
            finder.journals.push_back((number, 0));
            finder.next_journal = number + 1;
            Ok(())
        })?;
        Ok(finder)
    }

    /// The submissions of all rows that may be known by a hash, the newest first.
    pub(crate) fn find(&self, store: &Store, hash: u64) -> Result<Vec<Sequence>, ViewError> {
        let recent = self.recent.of(partition_of(hash)).iter().filter(|pair| pair.0 == hash);
        let mut found: Vec<Sequence> = recent.map(|(_, submission)| *submission).collect();
        store.each(keys::runs(partition_of(hash)), |_, run| {
            let run = as_pairs(run)?;
            let first = run.partition_point(|pair| decode(pair).0 < hash);
            let alike = run[first..].iter().map(decode).take_while(|pair| pair.0 == hash);
            found.extend(alike.map(|(_, submission)| submission));
            Ok(())
        })?;
        found.sort_unstable_by_key(|submission| std::cmp::Reverse(*submission));
        found.dedup();
        Ok(found)
    }

    /// Adds what is to be written for `new` pairs, and what has its turn to move.
    pub(crate) fn stage(&self, store: &Store, new: Vec<Pair>, writes: &mut Writes) -> Result<Step, ViewError> {
        let mut step = Step { new, moved: self.moved, ..Step::default() };
        if !step.new.is_empty() {
            writes.put(&keys::journal(self.next_journal), &encode(&step.new));
        }
        if self.recent.pairs >= RECENT_PAIRS {
            for _ in 0..MOVED_AT_ONCE {
                self.move_partition(store, step.moved % PARTITIONS, writes)?;
                step.moved += 1;
            }
        }
        // every partition has moved since they were written
        let is_over = |(_, then): &&(u64, u64)| then + PARTITIONS <= step.moved;
        for (number, _) in self.journals.iter().take_while(is_over).take(JOURNALS_AT_ONCE) {
            writes.remove(&keys::journal(*number));
            step.journals_gone += 1;
        }
        Ok(step)
    }

    fn move_partition(&self, store: &Store, partition: u64, writes: &mut Writes) -> Result<(), ViewError> {
        let recent = self.recent.of(partition).to_vec();
        if recent.is_empty() {
            return Ok(());
        }
        let mut runs = Vec::new();
        store.each(keys::runs(partition), |key, run| {
            runs.push((keys::number_of_run(key).ok_or(ViewError::Undecodable)?, run.to_vec()));
            Ok(())
        })?;
        let (mut number, mut merged) = (runs.last().map_or(0, |(number, _)| number + 1), recent);
        // a run joins the one before it unless that is longer, so that few runs remain and a pair is seldom written again
        while let Some((before, run)) = runs.pop() {
            let run = pairs(&run)?;
            if run.len() > merged.len() || run.len() + merged.len() > RUN_PAIRS_MAX {
                break;
            }
            merged.extend(run);
            writes.remove(&keys::run(partition, before));
            number = before;
        }
        merged.sort_unstable();
        merged.dedup();
        for run in merged.chunks(RUN_PAIRS_MAX) {
            writes.put(&keys::run(partition, number), &encode(run));
            number += 1;
        }
        Ok(())
    }

    /// It is written.
    pub(crate) fn done(&mut self, step: Step) {
        for partition in self.moved..step.moved {
            self.recent.forget(partition % PARTITIONS);
        }
        self.moved = step.moved;
        self.journals.drain(..step.journals_gone);
        if !step.new.is_empty() {
            self.journals.push_back((self.next_journal, self.moved));
            self.next_journal += 1;
            self.recent.extend(step.new);
        }
    }
}

impl Recent {
    fn of(&self, partition: u64) -> &[Pair] {
        self.by_partition.get(place_of(partition)).map_or(&[], Vec::as_slice)
    }

    fn extend(&mut self, new: Vec<Pair>) {
        if self.by_partition.is_empty() {
            self.by_partition.resize_with(place_of(PARTITIONS), Vec::new);
        }
        for pair in new {
            self.by_partition[place_of(partition_of(pair.0))].push(pair);
            self.pairs += 1;
        }
    }

    fn forget(&mut self, partition: u64) {
        if let Some(pairs) = self.by_partition.get_mut(place_of(partition)) {
            // its memory goes with them: a partition may have been filled by one owner
            self.pairs -= std::mem::take(pairs).len();
        }
    }
}

/// A partition as a place in memory: there are few.
fn place_of(partition: u64) -> usize {
    usize::try_from(partition).unwrap_or(usize::MAX)
}

fn encode(pairs: &[Pair]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(pairs.len() * PAIR_BYTES);
    for (hash, submission) in pairs {
        bytes.extend_from_slice(&hash.to_be_bytes());
        bytes.extend_from_slice(&submission.to_be_bytes());
    }
    bytes
}

fn decode(pair: &[u8; PAIR_BYTES]) -> Pair {
    let both = u128::from_be_bytes(*pair);
    let low = both & u128::from(u64::MAX);
    // each half has 64 bits
    (u64::try_from(both >> u64::BITS).unwrap_or(u64::MAX), Sequence::try_from(low).unwrap_or(Sequence::MAX))
}

fn as_pairs(bytes: &[u8]) -> Result<&[[u8; PAIR_BYTES]], ViewError> {
    let (pairs, rest) = bytes.as_chunks::<PAIR_BYTES>();
    if rest.is_empty() { Ok(pairs) } else { Err(ViewError::Undecodable) }
}

fn pairs(bytes: &[u8]) -> Result<Vec<Pair>, ViewError> {
    Ok(as_pairs(bytes)?.iter().map(decode).collect())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const CACHE_BYTES: u64 = 16 * 1024 * 1024;

    fn write(finder: &mut Finder, store: &Store, new: Vec<Pair>) {
        let mut writes = Writes::default();
        let step = finder.stage(store, new, &mut writes).expect("staged");
        store.write(writes).expect("written");
        finder.done(step);
    }

    fn entries(store: &Store, range: std::ops::Range<Vec<u8>>) -> usize {
        let mut count = 0;
        store
            .each(range, |_, _| {
                count += 1;
                Ok(())
            })
            .expect("read");
        count
    }

    #[test]
    fn everything_is_found_while_pairs_move_and_after_the_store_was_opened_again() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), CACHE_BYTES).expect("a store");
        let (mut finder, mut all) = (Finder::default(), BTreeMap::<u64, Vec<Sequence>>::new());
        for round in 0..400_u64 {
            let new: Vec<Pair> =
                (0..1_000).map(|n| (hash(b"i", &[0; 16]).wrapping_mul(n + 7 * round), round * 1_000 + n)).collect();
            for (hash, submission) in &new {
                all.entry(*hash).or_default().push(*submission);
            }
            write(&mut finder, &store, new);
        }
        assert!(finder.recent.pairs < 3 * RECENT_PAIRS, "{} pairs stay in memory", finder.recent.pairs);
        let journals = entries(&store, keys::journal(0)..keys::journal(u64::MAX));
        assert!((2..150).contains(&journals), "{journals} journals");
        let reopened = Finder::load(&store).expect("read");
        for (hash, submissions) in all.iter().step_by(97) {
            let newest_first: Vec<Sequence> = submissions.iter().rev().copied().collect();
            assert_eq!(finder.find(&store, *hash).expect("read"), newest_first);
            assert_eq!(reopened.find(&store, *hash).expect("read"), newest_first);
        }
        assert_eq!(finder.find(&store, 5).expect("read"), []);
    }

    #[test]
    fn many_small_writes_leave_no_pile_of_journals_and_no_write_removes_them_all() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), CACHE_BYTES).expect("a store");
        let (mut finder, mut most, mut before) = (Finder::default(), 0, 0_usize);
        for round in 0..1_600_u64 {
            let pair = |n| (hash(b"o", &u128::from(round * 256 + n).to_be_bytes()), round);
            write(&mut finder, &store, (0..256).map(pair).collect());
            most = most.max(before.saturating_sub(finder.journals.len()));
            before = finder.journals.len();
        }
        // a pair is in a journal until all partitions have moved once since: twice what stays in memory
        assert!(finder.journals.len() < 700, "{} journals", finder.journals.len());
        assert!(most <= JOURNALS_AT_ONCE, "{most} at once");
        assert_eq!(entries(&store, keys::journal(0)..keys::journal(u64::MAX)), finder.journals.len());
    }

    #[test]
    fn the_runs_of_a_partition_stay_few_and_short_even_if_all_pairs_are_of_one_owner() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Store::open(folder.path(), CACHE_BYTES).expect("a store");
        let (mut finder, owner) = (Finder::default(), hash_of_owner(&[7; 16]));
        for round in 0..300_u64 {
            write(&mut finder, &store, (0..1_000).map(|n| (owner, round * 1_000 + n)).collect());
        }
        let (mut runs, mut longest) = (0, 0);
        store
            .each(keys::runs(partition_of(owner)), |_, run| {
                (runs, longest) = (runs + 1, longest.max(run.len() / PAIR_BYTES));
                Ok(())
            })
            .expect("read");
        assert!((10..200).contains(&runs) && longest <= RUN_PAIRS_MAX, "{runs} runs, {longest} pairs");
        assert_eq!(finder.find(&store, owner).expect("read").len(), 300_000);
    }

    #[test]
    fn bytes_that_are_no_pairs_are_an_error() {
        assert!(matches!(pairs(&[0; PAIR_BYTES + 1]), Err(ViewError::Undecodable)));
        assert_eq!(pairs(&encode(&[(1, 2), (u64::MAX, 3)])).expect("pairs"), [(1, 2), (u64::MAX, 3)]);
    }
}
