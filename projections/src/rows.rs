//! The rows of the status view in its store: in blocks, found by id, owner or place, listed by status.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

use events::{RegistrationId, Sequence, Status};

use crate::blocks::{self, Block, NewRow};
use crate::checkpoint::Saved;
use crate::codec;
use crate::error::ViewError;
use crate::finder::{self, Finder, Pair, Step};
use crate::keys;
use crate::opening;
use crate::row::Row;
use crate::store::{Bytes, Store, Writes};

/// Blocks whose marks stand in one entry.
const MARKED: usize = 64;
/// Most entries of marks that are looked at for a part of a list: a million places of the log.
const MARKS_LOOKED_AT_MAX: usize = 256;

/// The store of the status view.
pub(crate) struct Rows {
    store: Store,
    finder: Finder,
}

/// Writes that are ready, and what they mean for the finder.
pub(crate) struct Staged {
    writes: Writes,
    step: Step,
}

/// A part of a list.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Part {
    /// Submissions, the newest first.
    pub submissions: Vec<Sequence>,
    /// What is left lies below; nothing when this was all.
    pub below: Option<Sequence>,
}

/// Reads rows one after the other: those of one block for the price of one.
pub(crate) struct Reader<'a> {
    rows: &'a Rows,
    block: Option<(u64, Bytes)>,
}

impl Rows {
    /// What is in `store`.
    pub(crate) fn load(store: Store) -> Result<Self, ViewError> {
        Ok(Self { finder: Finder::load(&store)?, store })
    }

    /// Whether [`Self::reopened`] gives anything back.
    pub(crate) fn is_grown(&self) -> bool {
        self.store.is_grown()
    }

    /// The same with its store closed and opened again.
    pub(crate) fn reopened(self, dir: &Path) -> Result<Self, ViewError> {
        Ok(Self { store: opening::reopen::<Saved>(self.store, dir)?, ..self })
    }

    /// For whoever closes it.
    pub(crate) fn into_store(self) -> Store {
        self.store
    }

    /// The row of a registration, if there is one.
    pub(crate) fn row_of(&self, id: RegistrationId) -> Result<Option<Row>, ViewError> {
        let mut reader = self.reader();
        for submission in self.finder.find(&self.store, finder::hash_of_id(id))? {
            let row = reader.found(submission)?;
            if row.registration.id == id {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The row of the registration that was submitted here, if one was.
    pub(crate) fn row_at(&self, submission: Sequence) -> Result<Option<Row>, ViewError> {
        self.reader().row_at(submission)
    }

    pub(crate) const fn reader(&self) -> Reader<'_> {
        Reader { rows: self, block: None }
    }

    /// Shows the bytes of each row, the oldest first.
    pub(crate) fn each(&self, mut show: impl FnMut(Sequence, &[u8])) -> Result<(), ViewError> {
        self.store.each(keys::block(0)..keys::block(u64::MAX), |key, value| {
            let number = keys::sequence_of(key).ok_or(ViewError::Undecodable)?;
            let block = Block::parse(number, value).ok_or(ViewError::Undecodable)?;
            block.rows().for_each(|row| show(row.submission, row.bytes));
            Ok(())
        })
    }

    /// Rows that an owner may have.
    pub(crate) fn of_owner(&self, owner_ref: &[u8; 16], below: Sequence, limit: usize) -> Result<Part, ViewError> {
        let found = self.finder.find(&self.store, finder::hash_of_owner(owner_ref))?;
        Ok(Part::of(found.into_iter().filter(|submission| *submission < below).take(limit).collect(), limit))
    }

    /// Rows of an index that is kept in runs.
    pub(crate) fn of_index(&self, index: &[u8], below: Sequence, limit: usize) -> Result<Part, ViewError> {
        Ok(Part::of(self.store.newest_of_runs(index, below, limit)?, limit))
    }

    /// Whose turn it is, by the reference on their packet.
    pub(crate) fn of_reference(&self, reference: &str, limit: usize) -> Result<Vec<Row>, ViewError> {
        let mut reader = self.reader();
        let found = self.store.newest(&keys::reference(reference), Sequence::MAX, limit)?;
        found.into_iter().map(|submission| reader.found(submission)).collect()
    }

    /// Rows of any of these statuses, of all if there are none: some more than `limit`, or all that are left, or those of
    /// [`MARKS_LOOKED_AT_MAX`] entries of marks.
    pub(crate) fn of_statuses(&self, statuses: &[Status], below: Sequence, limit: usize) -> Result<Part, ViewError> {
        let (wanted, last) = (wanted(statuses), blocks::number(below.saturating_sub(1)));
        let end = keys::marks(entry_of(last) + 1);
        let entries = self.store.newest_in(keys::marks(0)..end, MARKS_LOOKED_AT_MAX)?;
        let mut part = Part::default();
        for (key, marks) in &entries {
            let first = keys::sequence_of(key).ok_or(ViewError::Undecodable)? * MARKED as u64;
            for (index, marks) in marks.as_chunks().0.iter().enumerate().rev() {
                let number = first + index as u64;
                if number > last || u16::from_le_bytes(*marks) & wanted == 0 {
                    continue;
                }
                self.of_block(number, wanted, below, &mut part.submissions)?;
                if part.submissions.len() >= limit {
                    part.below = Some(blocks::stretch(number).start);
                    return Ok(part);
                }
            }
            part.below = Some(blocks::stretch(first).start);
        }
        part.below = part.below.filter(|_| entries.len() == MARKS_LOOKED_AT_MAX);
        Ok(part)
    }

    fn of_block(&self, number: u64, wanted: u16, below: Sequence, found: &mut Vec<Sequence>) -> Result<(), ViewError> {
        // marks without their block are a torn store
        let bytes = self.store.get(&keys::block(number))?.ok_or(ViewError::Undecodable)?;
        let rows = Block::parse(number, &bytes).ok_or(ViewError::Undecodable)?.rows().rev();
        let rows = rows.filter(|row| row.submission < below && blocks::mark(row.status) & wanted != 0);
        found.extend(rows.map(|row| row.submission));
        Ok(())
    }

    /// Adds what is to be written for rows that are new or changed, and for what they are found by from now on.
    pub(crate) fn stage(
        &self,
        mut changed: Vec<NewRow>,
        pairs: Vec<Pair>,
        mut writes: Writes,
    ) -> Result<Staged, ViewError> {
        changed.sort_unstable_by_key(|row| row.submission);
        let mut marks = BTreeMap::new();
        for new in changed.chunk_by(|one, next| blocks::number(one.submission) == blocks::number(next.submission)) {
            let number = blocks::number(new[0].submission);
            let old = self.store.get(&keys::block(number))?;
            let old =
                old.as_ref().map(|bytes| Block::parse(number, bytes).ok_or(ViewError::Undecodable)).transpose()?;
            let (bytes, mark) = blocks::renew(old, new);
            writes.put(&keys::block(number), &bytes);
            let entry = match marks.entry(entry_of(number)) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.marks(entry_of(number))?),
            };
            entry[usize::try_from(number % MARKED as u64).unwrap_or(0)] = mark;
        }
        for (entry, marks) in marks {
            writes.put(&keys::marks(entry), &marks.map(u16::to_le_bytes).concat());
        }
        let step = self.finder.stage(&self.store, pairs, &mut writes)?;
        Ok(Staged { writes, step })
    }

    fn marks(&self, entry: u64) -> Result<[u16; MARKED], ViewError> {
        let Some(bytes) = self.store.get(&keys::marks(entry))? else { return Ok([0; MARKED]) };
        let marks: Vec<u16> = bytes.as_chunks().0.iter().copied().map(u16::from_le_bytes).collect();
        marks.try_into().map_err(|_| ViewError::Undecodable)
    }

    /// Writes what is staged, all or nothing.
    pub(crate) fn write(&mut self, staged: Staged) -> Result<(), ViewError> {
        self.store.write(staged.writes)?;
        self.finder.done(staged.step);
        Ok(())
    }

    /// Hands everything written to the operating system.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        self.store.flush()
    }
}

/// The entry with the marks of a block.
const fn entry_of(block: u64) -> u64 {
    block / MARKED as u64
}

fn wanted(statuses: &[Status]) -> u16 {
    if statuses.is_empty() {
        return u16::MAX;
    }
    statuses.iter().fold(0, |marks, status| marks | blocks::mark(status.number()))
}

impl Part {
    /// The last one of a list is shorter than it may be.
    fn of(submissions: Vec<Sequence>, limit: usize) -> Self {
        let below = submissions.last().copied().filter(|_| submissions.len() >= limit);
        Self { submissions, below }
    }
}

impl Reader<'_> {
    fn row_at(&mut self, submission: Sequence) -> Result<Option<Row>, ViewError> {
        let number = blocks::number(submission);
        if self.block.as_ref().is_none_or(|(of, _)| *of != number) {
            self.block = self.rows.store.get(&keys::block(number))?.map(|bytes| (number, bytes));
        }
        let Some((_, bytes)) = &self.block else { return Ok(None) };
        let block = Block::parse(number, bytes).ok_or(ViewError::Undecodable)?;
        block.find(submission).map(codec::decode).transpose()
    }

    /// A row that an index names: without it the store is torn, so it is never "not found".
    pub(crate) fn found(&mut self, submission: Sequence) -> Result<Row, ViewError> {
        self.row_at(submission)?.ok_or(ViewError::Undecodable)
    }
}
