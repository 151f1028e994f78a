//! Pages of the log folded in memory: what changed is written to the store now and then, each row once, whatever the number
//! of its records.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use events::{Event, RegistrationId, Sequence, Status, Stored};

use crate::checkpoint::{Checkpoint, Counts, Saved};
use crate::codec;
use crate::error::ViewError;
use crate::keys;
use crate::row::Row;
use crate::runs::Runs;
use crate::store::{Store, Writes};

/// Most records in one page: bounds the memory of a fold and how long it holds readers up.
pub const PAGE_RECORDS_MAX: usize = 4_096;
/// Most rows of registrations under way that are kept in memory (some 600 bytes each); others are read when needed.
const HOT_ROWS_MAX: usize = 32_768;
/// Rows that have changed after which they are written: bounds how long that holds the next page and readers up (some 15
/// microseconds a row).
pub(crate) const UNWRITTEN_ROWS_MAX: usize = 1_024;

/// One record, and what it made of its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// The record's place in the log.
    pub sequence: Sequence,
    /// The registration after it.
    pub row: Row,
    /// What it says. Sealed details are in it as they are in the log.
    pub events: Vec<Event>,
}

/// Rows that are not in the store as they are now, and those of registrations under way, so that only a new id is looked up
/// in the store.
#[derive(Default)]
pub(crate) struct Memory {
    rows: HashMap<RegistrationId, Held>,
    /// Rows that have changed since they were written, each once.
    changed: Vec<RegistrationId>,
}

struct Held {
    row: Row,
    /// Its status in the store; nothing when it is not there yet.
    stored: Option<Status>,
    /// Under which owner it is found in the store; nothing when it is not, or not any more.
    owner: Option<[u8; 16]>,
    is_changed: bool,
}

/// A page under way.
pub(crate) struct Fold<'a> {
    pub store: &'a Store,
    pub memory: &'a mut Memory,
    /// The last record taken in.
    pub at: Checkpoint,
    pub counts: Counts,
    /// What watchers will be told; nothing when nobody watches.
    pub updates: Option<Vec<Update>>,
}

impl Fold<'_> {
    /// Takes in `page`; records that were taken in before are passed over. Writes nothing. After an error what is in memory
    /// is half of a page.
    pub(crate) fn page<S: Borrow<Stored>>(&mut self, page: &[S]) -> Result<(), ViewError> {
        let known = self.at.sequence;
        let mut last = 0;
        for stored in page.iter().map(Borrow::borrow) {
            if stored.sequence <= last {
                return Err(ViewError::OutOfOrder { sequence: stored.sequence, source: None });
            }
            last = stored.sequence;
            if stored.sequence > known {
                self.record(stored)?;
            }
        }
        Ok(())
    }

    fn record(&mut self, stored: &Stored) -> Result<(), ViewError> {
        let out_of_order = |source| ViewError::OutOfOrder { sequence: stored.sequence, source: Some(source) };
        let held = match self.memory.rows.entry(stored.registration) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => match self.store.row_of(stored.registration)? {
                Some(row) => entry.insert(Held::of_store(row)),
                None => {
                    let row = Row::begin(stored).map_err(out_of_order)?;
                    self.counts.moved(None, row.status());
                    entry.insert(Held { row, stored: None, owner: None, is_changed: false })
                }
            },
        };
        let before = held.row.status();
        held.row.apply(stored).map_err(out_of_order)?;
        self.counts.moved(Some(before), held.row.status());
        if !std::mem::replace(&mut held.is_changed, true) {
            self.memory.changed.push(stored.registration);
        }
        if let Some(updates) = &mut self.updates {
            let events = stored.record.events.clone();
            updates.push(Update { sequence: stored.sequence, row: held.row.clone(), events });
        }
        self.at.take(stored.sequence, stored.hash);
        Ok(())
    }
}

impl Memory {
    /// The row of a registration, if it is kept.
    pub(crate) fn row_of(&self, id: RegistrationId) -> Option<&Row> {
        self.rows.get(&id).map(|held| &held.row)
    }

    /// How many rows the store does not have as they are now.
    pub(crate) const fn unwritten(&self) -> usize {
        self.changed.len()
    }

    /// All writes that are due, and the checkpoint of all records that they come from.
    pub(crate) fn writes(&self, at: Checkpoint, counts: Counts) -> Result<Writes, ViewError> {
        let (mut writes, mut runs) = (Writes::default(), Runs::default());
        for (id, held) in self.changed.iter().filter_map(|id| Some((id, self.rows.get(id)?))) {
            held.write(*id, &mut writes)?;
            if held.stored.is_none() {
                let of = &held.row.registration;
                runs.add(keys::maker(&of.connector), held.row.submission);
                runs.add(keys::tenant(&of.tenant), held.row.submission);
            }
        }
        runs.write(&mut writes)?;
        let saved = Saved { checkpoint: at, counts }.to_bytes().ok_or(ViewError::Undecodable)?;
        writes.put(keys::CHECKPOINT, &saved);
        Ok(writes)
    }

    /// They are written: keeps the rows that will change again soon.
    pub(crate) fn written(&mut self) {
        for id in self.changed.drain(..) {
            let Entry::Occupied(mut entry) = self.rows.entry(id) else { continue };
            if entry.get().row.status().is_settled() {
                entry.remove();
            } else {
                entry.get_mut().is_written();
            }
        }
        if self.rows.len() > HOT_ROWS_MAX {
            // any is as good as another; half, so that it is not done each time
            let mut surplus = self.rows.len() - HOT_ROWS_MAX / 2;
            self.rows.retain(|_, _| {
                let goes = surplus > 0;
                surplus = surplus.saturating_sub(1);
                !goes
            });
        }
    }
}

impl Held {
    fn of_store(row: Row) -> Self {
        let (stored, owner) = (Some(row.status()), owner_of(&row));
        Self { row, stored, owner, is_changed: false }
    }

    fn is_written(&mut self) {
        (self.stored, self.owner, self.is_changed) = (Some(self.row.status()), owner_of(&self.row), false);
    }

    fn write(&self, id: RegistrationId, writes: &mut Writes) -> Result<(), ViewError> {
        let (row, submission) = (&self.row, self.row.submission);
        writes.put(&keys::row(submission), &codec::encode(row)?);
        if self.stored.is_none() {
            writes.put(&keys::id(id), &submission.to_be_bytes());
        }
        let (before, after) = (self.stored.and_then(keys::status), keys::status(row.status()));
        if before != after {
            let key = |index: [u8; 2]| keys::with_sequence(&index, submission);
            before.into_iter().for_each(|index| writes.remove(&key(index)));
            after.into_iter().for_each(|index| writes.put(&key(index), &[]));
        }
        self.write_owner(writes);
        self.write_reference(id, writes);
        Ok(())
    }

    /// Whoever is forgotten has no list any more; a mended address moves it to another list.
    fn write_owner(&self, writes: &mut Writes) {
        let key = |owner: [u8; 16]| keys::with_sequence(&keys::owner(&owner), self.row.submission);
        match (self.owner, owner_of(&self.row)) {
            (None, Some(owner)) => writes.put(&key(owner), &[]),
            (Some(owner), None) => writes.remove(&key(owner)),
            (Some(before), Some(after)) if before != after => {
                writes.remove(&key(before));
                writes.put(&key(after), &[]);
            }
            (Some(_), Some(_)) | (None, None) => {}
        }
    }
}

/// Whose list a row stands in.
fn owner_of(row: &Row) -> Option<[u8; 16]> {
    row.registration.forgetting.is_none().then_some(row.registration.owner_ref)
}

impl Held {
    /// Found by its reference only while it is its owner's turn: an index for all would cost each registration a write.
    fn write_reference(&self, id: RegistrationId, writes: &mut Writes) {
        let is_there = |status: &Status| *status == Status::ManualRequired;
        let (before, after) = (self.stored.is_some_and(|status| is_there(&status)), is_there(&self.row.status()));
        let key = keys::with_sequence(&keys::reference(&id.reference()), self.row.submission);
        match (before, after) {
            (false, true) => writes.put(&key, &[]),
            (true, false) => writes.remove(&key),
            (true, true) | (false, false) => {}
        }
    }
}
