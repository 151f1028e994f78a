//! A page of the log folded in memory: each row is read once and written once, whatever the number of its records.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use events::{Event, RegistrationId, Sequence, Status, Stored};

use crate::checkpoint::{Checkpoint, Counts, Saved};
use crate::codec;
use crate::error::ViewError;
use crate::keys;
use crate::row::Row;
use crate::store::{Store, Writes};

/// Most records in one page: bounds the memory of a fold and how long a batch holds readers up.
pub const PAGE_RECORDS_MAX: usize = 4_096;
/// Most rows of registrations under way that are kept in memory (some 600 bytes each); others are read when needed.
const HOT_ROWS_MAX: usize = 32_768;

/// What became of a page.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// How far the view has come.
    pub sequence: Sequence,
    /// Each registration that the page changed, once.
    pub changed: Vec<Change>,
}

/// What a page made of one registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub id: RegistrationId,
    /// Its status before the page; nothing when it is new.
    pub before: Option<Status>,
    /// Its status now.
    pub after: Status,
    /// Its last record.
    pub sequence: Sequence,
}

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

/// Rows of registrations under way, so that only a new id is looked up in the store. A cache: it may lose any row.
#[derive(Default)]
pub(crate) struct Hot(HashMap<RegistrationId, Row>);

/// A page under way.
pub(crate) struct Fold<'a> {
    store: &'a Store,
    hot: &'a mut Hot,
    rows: HashMap<RegistrationId, Touched>,
    /// The last record taken in.
    at: Checkpoint,
    /// What watchers will be told; nothing when nobody watches.
    updates: Option<Vec<Update>>,
}

/// A row that the page touches.
struct Touched {
    row: Row,
    /// Its status in the store; nothing when it is not there yet.
    stored: Option<Status>,
    /// Under which owner it is found in the store; nothing when it is not, or not any more.
    owner: Option<[u8; 16]>,
}

/// A page folded, to be written.
pub(crate) struct Folded {
    rows: HashMap<RegistrationId, Touched>,
    pub at: Checkpoint,
    pub updates: Vec<Update>,
}

impl<'a> Fold<'a> {
    /// Begins after `at`.
    pub(crate) fn new(store: &'a Store, hot: &'a mut Hot, at: Checkpoint, watched: bool) -> Self {
        Self { store, hot, rows: HashMap::new(), at, updates: watched.then(Vec::new) }
    }

    /// Takes in `page`; records that were taken in before are passed over. Writes nothing.
    pub(crate) fn page(mut self, page: &[Stored]) -> Result<Folded, ViewError> {
        let known = self.at.sequence;
        let mut last = 0;
        for stored in page {
            if stored.sequence <= last {
                return Err(ViewError::OutOfOrder { sequence: stored.sequence, source: None });
            }
            last = stored.sequence;
            if stored.sequence > known {
                self.record(stored)?;
            }
        }
        Ok(Folded { rows: self.rows, at: self.at, updates: self.updates.unwrap_or_default() })
    }

    fn record(&mut self, stored: &Stored) -> Result<(), ViewError> {
        let out_of_order = |source| ViewError::OutOfOrder { sequence: stored.sequence, source: Some(source) };
        let touched = match self.rows.entry(stored.registration) {
            Entry::Occupied(entry) => {
                let touched = entry.into_mut();
                touched.row.apply(stored).map_err(out_of_order)?;
                touched
            }
            Entry::Vacant(entry) => match self.hot.find(self.store, stored.registration)? {
                Some(mut row) => {
                    let (status, owner) = (row.status(), owner_of(&row));
                    row.apply(stored).map_err(out_of_order)?;
                    entry.insert(Touched { row, stored: Some(status), owner })
                }
                None => {
                    let row = Row::begin(stored).map_err(out_of_order)?;
                    entry.insert(Touched { row, stored: None, owner: None })
                }
            },
        };
        if let Some(updates) = &mut self.updates {
            let events = stored.record.events.clone();
            updates.push(Update { sequence: stored.sequence, row: touched.row.clone(), events });
        }
        self.at.take(stored.sequence, stored.hash);
        Ok(())
    }
}

impl Folded {
    /// Each row that is touched, once.
    pub(crate) fn changed(&self) -> Vec<Change> {
        let change = |(id, touched): (&RegistrationId, &Touched)| Change {
            id: *id,
            before: touched.stored,
            after: touched.row.status(),
            sequence: touched.row.registration.last.sequence,
        };
        self.rows.iter().map(change).collect()
    }

    /// All writes of the page and its checkpoint.
    pub(crate) fn writes(&self, counts: Counts) -> Result<Writes, ViewError> {
        let mut writes = Writes::default();
        for (id, touched) in &self.rows {
            touched.write(*id, &mut writes)?;
        }
        let saved = Saved { checkpoint: self.at, counts }.to_bytes().ok_or(ViewError::Undecodable)?;
        writes.put(keys::CHECKPOINT, &saved);
        Ok(writes)
    }

    /// Keeps the rows that will change again soon.
    pub(crate) fn cool(self, hot: &mut Hot) -> Vec<Update> {
        for (id, touched) in self.rows {
            if !touched.row.status().is_settled() && hot.0.len() < HOT_ROWS_MAX {
                hot.0.insert(id, touched.row);
            }
        }
        self.updates
    }
}

impl Touched {
    fn write(&self, id: RegistrationId, writes: &mut Writes) -> Result<(), ViewError> {
        let (row, submission) = (&self.row, self.row.submission);
        writes.put(&keys::row(submission), &codec::encode(row)?);
        if self.stored.is_none() {
            writes.put(&keys::id(id), &submission.to_be_bytes());
            let maker = keys::maker(&row.registration.connector);
            writes.put(&keys::with_sequence(&maker, submission), &[]);
            let tenant = keys::tenant(&row.registration.tenant);
            writes.put(&keys::with_sequence(&tenant, submission), &[]);
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

impl Touched {
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

impl Hot {
    fn find(&mut self, store: &Store, id: RegistrationId) -> Result<Option<Row>, ViewError> {
        match self.0.remove(&id) {
            Some(row) => Ok(Some(row)),
            None => store.row_of(id),
        }
    }
}
