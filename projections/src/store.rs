//! The only file that names sled: opening, reads, atomic batches; a panic of it comes out as an error.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use events::Sequence;

use crate::error::ViewError;
use crate::keys;
use crate::runs;

/// How sled's error begins when another handle has the folder open; it has no variant of its own.
const LOCKED: &str = "could not acquire lock";

/// One collection frees up to 512 objects (crossbeam's 8 bags of 64); an entry leaves at most a few.
const ENTRIES_PER_COLLECTION: usize = 64;
/// Entries after whose writing a store has taken some megabytes of memory to be quick.
const GROWN_ENTRIES: usize = 2_048;

/// One open store.
pub(crate) struct Store {
    /// Nothing in a store that holds nothing and never will: see [`Store::nothing`].
    tree: Option<sled::Db>,
    /// Entries that were written since it was opened.
    written: AtomicUsize,
}

/// Writes that become visible, and durable, together or not at all.
#[derive(Default)]
pub(crate) struct Writes {
    batch: sled::Batch,
    entries: usize,
}

/// A key or a value.
pub(crate) type Bytes = sled::IVec;
/// A key and its value.
pub(crate) type Pair = (Bytes, Bytes);

impl Writes {
    pub(crate) fn put(&mut self, key: &[u8], value: &[u8]) {
        self.batch.insert(key, value);
        self.entries += 1;
    }

    pub(crate) fn remove(&mut self, key: &[u8]) {
        self.batch.remove(key);
        self.entries += 1;
    }
}

impl Store {
    /// Opens what is in `dir`, or an empty store. May panic or hang on a damaged file: see `opening`.
    pub(crate) fn open(dir: &Path, cache_bytes: u64) -> Result<Self, ViewError> {
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
        match config.open() {
            Ok(tree) => Ok(Self { tree: Some(tree), written: AtomicUsize::new(0) }),
            Err(sled::Error::Io(error)) if error.to_string().starts_with(LOCKED) => Err(ViewError::InUse),
            Err(source) => Err(ViewError::Store { doing: "open", source: source.into() }),
        }
    }

    /// Behind folds that are all in memory: finds nothing, and touches no folder.
    pub(crate) const fn nothing() -> Self {
        Self { tree: None, written: AtomicUsize::new(0) }
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Bytes>, ViewError> {
        guarded("read", || self.tree.as_ref().map_or(Ok(None), |tree| tree.get(key)))
    }

    pub(crate) fn is_empty(&self) -> Result<bool, ViewError> {
        guarded("read", || Ok(self.tree.as_ref().is_none_or(|tree| tree.is_empty())))
    }

    /// At most `limit` sequences at the end of keys under `prefix`, below `below`, highest first.
    pub(crate) fn newest(&self, prefix: &[u8], below: Sequence, limit: usize) -> Result<Vec<Sequence>, ViewError> {
        let entries = self.newest_in(keys::with_sequence(prefix, 0)..keys::with_sequence(prefix, below), limit)?;
        entries.iter().map(|(key, _)| keys::sequence_of(key).ok_or(ViewError::Undecodable)).collect()
    }

    /// The same of an index that is kept in runs.
    pub(crate) fn newest_of_runs(
        &self,
        index: &[u8],
        below: Sequence,
        limit: usize,
    ) -> Result<Vec<Sequence>, ViewError> {
        let range = keys::with_sequence(index, 0)..keys::with_sequence(index, below);
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        let (mut runs, mut found) = (tree.range(range).rev(), Vec::new());
        while found.len() < limit
            && let Some((key, value)) = guarded("read", || runs.next().transpose())?
        {
            let first = keys::sequence_of(&key).ok_or(ViewError::Undecodable)?;
            let run = runs::decode(first, &value).ok_or(ViewError::Undecodable)?;
            let newest = run.into_iter().rev().filter(|sequence| *sequence < below);
            found.extend(newest.take(limit - found.len()));
        }
        Ok(found)
    }

    /// At most `limit` entries of a range, lowest key first.
    pub(crate) fn oldest(&self, range: Range<Vec<u8>>, limit: usize) -> Result<Vec<Pair>, ViewError> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        guarded("read", || tree.range(range).take(limit).collect())
    }

    /// At most `limit` entries of a range, highest key first.
    pub(crate) fn newest_in(&self, range: Range<Vec<u8>>, limit: usize) -> Result<Vec<Pair>, ViewError> {
        let Some(tree) = &self.tree else { return Ok(Vec::new()) };
        guarded("read", || tree.range(range).rev().take(limit).collect())
    }

    /// Shows each entry of a range, lowest key first.
    pub(crate) fn each(
        &self,
        range: Range<Vec<u8>>,
        mut show: impl FnMut(&[u8], &[u8]) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        let Some(tree) = &self.tree else { return Ok(()) };
        let mut entries = tree.range(range);
        while let Some((key, value)) = guarded("read", || entries.next().transpose())? {
            show(&key, &value)?;
        }
        Ok(())
    }

    pub(crate) fn write(&self, writes: Writes) -> Result<(), ViewError> {
        let Some(tree) = &self.tree else { return Ok(()) };
        guarded("write", || tree.apply_batch(writes.batch))?;
        self.written.fetch_add(writes.entries, Ordering::Relaxed);
        free_replaced_pages(writes.entries);
        Ok(())
    }

    /// Whether closing it and opening it again would give back memory worth that: what it has read or written stays in its cache, which
    /// nothing else empties.
    pub(crate) fn is_grown(&self) -> bool {
        self.written.load(Ordering::Relaxed) >= GROWN_ENTRIES
    }

    /// Hands everything written to the operating system. Never `flush_async`, which can deadlock.
    pub(crate) fn flush(&self) -> Result<(), ViewError> {
        let Some(tree) = &self.tree else { return Ok(()) };
        guarded("flush", || tree.flush()).map(|_bytes| ())
    }
}

/// Drives the collector of sled's replaced pages. It runs by itself only now and then when a page is looked at, which
/// batches hardly do: without this, 450,000 records in pages of 4,096 took 2.1 GB.
fn free_replaced_pages(entries: usize) {
    for _ in 0..=entries / ENTRIES_PER_COLLECTION {
        crossbeam_epoch::pin().flush();
    }
}

/// sled panics on some damaged pages instead of telling.
fn guarded<T>(doing: &'static str, work: impl FnOnce() -> sled::Result<T>) -> Result<T, ViewError> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(ViewError::Store { doing, source: source.into() }),
        Err(_panic) => Err(ViewError::Panicked { doing }),
    }
}
