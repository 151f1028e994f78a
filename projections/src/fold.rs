//! Pages of the log folded in memory: what changed is written to the store now and then, each row once, whatever the number
//! of its records.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use events::{Event, RegistrationId, Sequence, Status, Stored};

use crate::blocks::NewRow;
use crate::checkpoint::{Checkpoint, Counts, Saved};
use crate::codec;
use crate::error::ViewError;
use crate::finder::{self, Pair};
use crate::keys;
use crate::row::Row;
use crate::rows::{Rows, Staged};
use crate::runs::Runs;
use crate::store::Writes;

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
    /// Boxed: a table never shrinks, and they are large.
    rows: HashMap<RegistrationId, Box<Held>>,
    /// Rows that have changed since they were written, each once.
    changed: Vec<RegistrationId>,
}

struct Held {
    row: Row,
    /// Its status in the store; nothing when it is not there yet.
    stored: Option<Status>,
    /// Under which owner it is found in the store; nothing when under none.
    owner: Option<[u8; 16]>,
    is_changed: bool,
}

/// A page under way.
pub(crate) struct Fold<'a> {
    pub rows: &'a Rows,
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
            Entry::Vacant(entry) => match known(self.rows, stored)? {
                Some(row) => entry.insert(Box::new(Held::of_store(row))),
                None => {
                    let row = Row::begin(stored).map_err(out_of_order)?;
                    self.counts.moved(None, row.status());
                    entry.insert(Box::new(Held::new(row)))
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
    pub(crate) fn stage(&self, rows: &Rows, at: Checkpoint, counts: Counts) -> Result<Staged, ViewError> {
        let (mut writes, mut runs) = (Writes::default(), Runs::default());
        let (mut changed, mut pairs) = (Vec::with_capacity(self.changed.len()), Vec::new());
        for (id, held) in self.changed.iter().filter_map(|id| Some((id, self.rows.get(id)?))) {
            let row = &held.row;
            changed.push(NewRow { submission: row.submission, status: row.status(), bytes: codec::encode(row)? });
            held.pairs(*id, &mut pairs);
            held.write_reference(*id, &mut writes);
            if held.stored.is_none() {
                let of = &row.registration;
                runs.add(keys::maker(&of.connector), row.submission);
                runs.add(keys::tenant(&of.tenant), row.submission);
            }
        }
        runs.write(&mut writes)?;
        let saved = Saved { checkpoint: at, counts }.to_bytes().ok_or(ViewError::Undecodable)?;
        writes.put(keys::CHECKPOINT, &saved);
        rows.stage(changed, pairs, writes)
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

/// The row that a record goes on with, if the store has it. A first record has none: the log holds one for each registration.
fn known(rows: &Rows, stored: &Stored) -> Result<Option<Row>, ViewError> {
    stored.record.previous.map_or(Ok(None), |_| rows.row_of(stored.registration))
}

impl Held {
    const fn new(row: Row) -> Self {
        Self { row, stored: None, owner: None, is_changed: false }
    }

    fn of_store(row: Row) -> Self {
        Self { stored: Some(row.status()), owner: row.listed_owner(), row, is_changed: false }
    }

    fn is_written(&mut self) {
        (self.stored, self.owner, self.is_changed) = (Some(self.row.status()), self.row.listed_owner(), false);
    }

    /// What it is found by from now on. It stays to be found by the owner that it had, whose list then passes it over.
    fn pairs(&self, id: RegistrationId, pairs: &mut Vec<Pair>) {
        if self.stored.is_none() {
            pairs.push((finder::hash_of_id(id), self.row.submission));
        }
        let owner = self.row.listed_owner().filter(|owner| self.owner != Some(*owner));
        pairs.extend(owner.map(|owner| (finder::hash_of_owner(&owner), self.row.submission)));
    }

    /// Found by its reference only while it is its owner's turn: an index for all would cost each registration a write.
    fn write_reference(&self, id: RegistrationId, writes: &mut Writes) {
        let is_there = |status: &Status| *status == Status::ManualRequired;
        let (before, after) = (self.stored.is_some_and(|status| is_there(&status)), is_there(&self.row.status()));
        let key = || keys::with_sequence(&keys::reference(&id.reference()), self.row.submission);
        match (before, after) {
            (false, true) => writes.put(&key(), &[]),
            (true, false) => writes.remove(&key()),
            (true, true) | (false, false) => {}
        }
    }
}
