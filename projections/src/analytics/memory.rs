//! What is not written yet, and registrations under way; what is not here is in the store.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap, btree_map};

use events::RegistrationId;
use jiff::civil::Date;

use super::keys::{self, List};
use super::saved::Saved;
use super::tally::Tally;
use super::tracked::Tracked;
use crate::error::ViewError;
use crate::keys::CHECKPOINT;
use crate::store::{Store, Writes};

/// Most values that wait to be written. sled keeps what a batch replaces until its end: batches of 16,384 took 150 MB over
/// a million events, those of 2,048 take 80.
pub(crate) const UNWRITTEN_MAX: usize = 2_048;
/// Most registrations under way that are kept in memory after a write (some 150 bytes each); others are read when needed.
const TRACKED_MAX: usize = 32_768;

/// The writer's memory.
pub(crate) struct Memory {
    /// As of the last record taken in.
    pub saved: Saved,
    /// Whole values, by key.
    pub tallies: BTreeMap<Vec<u8>, Tally>,
    pub deadlines: BTreeMap<Vec<u8>, u64>,
    /// Encoded entries of the lists, by key.
    pub listed: BTreeMap<Vec<u8>, Vec<u8>>,
    tracked: HashMap<RegistrationId, Slot>,
    /// Slots that differ from the store.
    changed: usize,
    /// Something was taken in since the last write.
    pub unwritten: bool,
}

#[derive(Default)]
struct Slot {
    tracked: Tracked,
    /// The store has a row of it.
    stored: bool,
    changed: bool,
}

impl Memory {
    pub(crate) fn new(saved: Saved) -> Self {
        Self {
            saved,
            tallies: BTreeMap::new(),
            deadlines: BTreeMap::new(),
            listed: BTreeMap::new(),
            tracked: HashMap::new(),
            changed: 0,
            unwritten: false,
        }
    }

    /// Whether so much waits that it must be written now.
    pub(crate) fn is_full(&self) -> bool {
        self.tallies.len() + self.deadlines.len() + self.listed.len() + self.changed >= UNWRITTEN_MAX
    }

    /// A registration, to be changed and then [kept](Self::keep). A `first` record needs no look into the store.
    pub(crate) fn take(&mut self, store: &Store, id: RegistrationId, first: bool) -> Result<Tracked, ViewError> {
        match self.tracked.entry(id) {
            Entry::Occupied(slot) => Ok(slot.get().tracked.clone()),
            Entry::Vacant(_) if first => Ok(Tracked::default()),
            Entry::Vacant(slot) => match store.get(&keys::tracked(id))? {
                Some(bytes) => {
                    let tracked: Tracked = super::decode(&bytes)?;
                    slot.insert(Slot { tracked: tracked.clone(), stored: true, changed: false });
                    Ok(tracked)
                }
                None => Ok(Tracked::default()),
            },
        }
    }

    /// What became of a registration that was taken; one that is over is forgotten.
    pub(crate) fn keep(&mut self, id: RegistrationId, tracked: Tracked) {
        let mut slot = match self.tracked.entry(id) {
            Entry::Occupied(slot) if slot.get().tracked == tracked => return,
            Entry::Vacant(_) if tracked == Tracked::default() => return,
            Entry::Occupied(slot) => slot,
            Entry::Vacant(place) => place.insert_entry(Slot::default()),
        };
        let was_changed = std::mem::replace(&mut slot.get_mut().changed, true);
        if tracked.over && !slot.get().stored {
            // begun and over between two writes
            slot.remove();
            self.changed -= usize::from(was_changed);
            return;
        }
        slot.get_mut().tracked = tracked;
        self.changed += usize::from(!was_changed);
    }

    /// Whether anything is remembered of a registration.
    pub(crate) fn knows(&self, id: RegistrationId) -> bool {
        self.tracked.contains_key(&id)
    }

    /// Forgets a registration; for folds without a store, which find it again in the log.
    pub(crate) fn forget(&mut self, id: RegistrationId) {
        let forgotten = self.tracked.remove(&id);
        self.changed -= usize::from(forgotten.is_some_and(|slot| slot.changed));
    }

    /// The tally under `key`, to be changed.
    pub(crate) fn tally(&mut self, store: &Store, key: Vec<u8>) -> Result<&mut Tally, ViewError> {
        match self.tallies.entry(key) {
            btree_map::Entry::Occupied(found) => Ok(found.into_mut()),
            btree_map::Entry::Vacant(place) => {
                let stored = store.get(place.key())?.map(|bytes| Tally::from_bytes(&bytes)).transpose()?;
                Ok(place.insert(stored.unwrap_or_default()))
            }
        }
    }

    /// One open registration more, or one less, of a maker with this last day.
    pub(crate) fn count_deadline(
        &mut self,
        store: &Store,
        (last_day, connector): (Date, &str),
        more: bool,
    ) -> Result<(), ViewError> {
        let count = match self.deadlines.entry(keys::deadline(last_day, connector)) {
            btree_map::Entry::Occupied(found) => found.into_mut(),
            btree_map::Entry::Vacant(place) => {
                let stored = store.get(place.key())?.map(|bytes| super::decode(&bytes)).transpose()?;
                place.insert(stored.unwrap_or_default())
            }
        };
        *count = if more { *count + 1 } else { count.saturating_sub(1) };
        Ok(())
    }

    /// The entry of a list under `key`, if there is one.
    pub(crate) fn listed(&self, store: &Store, key: &[u8]) -> Result<Option<Vec<u8>>, ViewError> {
        match self.listed.get(key) {
            Some(value) => Ok(Some(value.clone())),
            None => Ok(store.get(key)?.map(|value| value.to_vec())),
        }
    }

    /// Adds an entry to a list.
    pub(crate) fn list(&mut self, list: List, key: Vec<u8>, value: Vec<u8>) {
        self.saved.listed[list.place()] += 1;
        self.listed.insert(key, value);
    }

    /// Everything that waits, with the checkpoint.
    pub(crate) fn writes(&self) -> Result<Writes, ViewError> {
        let mut writes = Writes::default();
        for (key, tally) in &self.tallies {
            writes.put(key, &tally.to_bytes()?);
        }
        for (key, count) in &self.deadlines {
            if *count == 0 { writes.remove(key) } else { writes.put(key, &super::encode(count)?) }
        }
        for (key, value) in &self.listed {
            writes.put(key, value);
        }
        for (id, slot) in self.tracked.iter().filter(|(_, slot)| slot.changed) {
            let key = keys::tracked(*id);
            if slot.tracked.over { writes.remove(&key) } else { writes.put(&key, &super::encode(&slot.tracked)?) }
        }
        Ok(writes)
    }

    /// Adds the checkpoint, last, because what is dropped changes it.
    pub(crate) fn write_checkpoint(&self, writes: &mut Writes) -> Result<(), ViewError> {
        writes.put(CHECKPOINT, &self.saved.to_bytes().ok_or(ViewError::Undecodable)?);
        Ok(())
    }

    /// Forgets what is written now.
    pub(crate) fn written(&mut self) {
        self.tallies.clear();
        self.deadlines.clear();
        self.listed.clear();
        let mut kept = 0;
        self.tracked.retain(|_, slot| {
            (slot.stored, slot.changed) = (true, false);
            kept += usize::from(!slot.tracked.over);
            !slot.tracked.over && kept <= TRACKED_MAX
        });
        (self.changed, self.unwritten) = (0, false);
    }
}
