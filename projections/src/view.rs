//! The status view: one writer takes in pages of the log, many readers look at rows and wait for sequences.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use events::{RegistrationId, Sequence, Stored, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::checkpoint::{Checkpoint, Counts, Saved};
use crate::error::{Doubt, ListError, NotYet, ViewError};
use crate::fingerprint::{Fingerprint, Part};
use crate::fold::{Fold, Memory, PAGE_RECORDS_MAX, UNWRITTEN_ROWS_MAX, Update};
use crate::list::{self, Filter, Page};
use crate::opening::{self, OpenedStore, Opening, SetAside};
use crate::row::Row;
use crate::rows::Rows;

/// How often `tick` should be called at least.
pub const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// How old a change becomes before it is written. What is not written is lost with the process, and is then read again from
/// the log. Longer, and a row is written once instead of three times, but each write holds readers up for longer.
const WRITE_AFTER: Duration = Duration::from_millis(100);
/// Most rows that are looked at of one reference.
pub const ALIKE_MAX: usize = 64;
/// Updates that a slow watcher may be behind before it is told that it missed some: two full pages.
pub const UPDATES_MAX: usize = 2 * PAGE_RECORDS_MAX;

/// A handle of the status view; clones share it.
#[derive(Clone)]
pub struct StatusView(Arc<Shared>);

/// A status view that is being opened, until [`Self::finish`] or for nothing.
pub struct StatusOpening(Opening<Saved, Rows>);

/// A view that is ready.
pub struct Opened {
    /// The view.
    pub view: StatusView,
    /// The first sequence that it has not seen: follow the log from here.
    pub from: Sequence,
    /// The last record that it has seen; nothing when it is empty. The log must still hold the same one there.
    pub checkpoint: Option<Checkpoint>,
    /// What was found and not used, if anything.
    pub set_aside: Option<SetAside>,
}

struct Shared {
    dir: PathBuf,
    incarnation: i64,
    /// Written to under the write lock, so that a reader sees a whole batch or nothing of it.
    store: RwLock<Option<Rows>>,
    /// What is ahead of the store; its lock is taken after that of the store.
    memory: RwLock<Memory>,
    writer: Mutex<Writer>,
    counts: Mutex<Counts>,
    position: watch::Sender<Sequence>,
    updates: broadcast::Sender<Arc<Update>>,
}

struct Writer {
    at: Checkpoint,
    /// When the oldest change was made that is not written.
    unwritten_since: Option<Instant>,
    /// Since an error, memory and store may differ.
    in_doubt: bool,
}

impl StatusView {
    /// Opens the view in `dir` that was built from the stream created at `incarnation`. On any doubt (another schema or
    /// stream, damage, a panic, no answer in time) the folder is moved aside under a name with `now`, and the view is empty.
    ///
    /// Blocks; may take seconds.
    ///
    /// # Errors
    /// [`ViewError::InUse`] when another process has it; [`ViewError`] when not even an empty one can be opened.
    pub fn open(dir: &Path, incarnation: i64, now: Timestamp) -> Result<Opened, ViewError> {
        Self::begin(dir)?.finish(incarnation, now)
    }

    /// Begins to open the view in `dir`, beside whatever else a start takes.
    ///
    /// # Errors
    /// [`ViewError`] when no thread can be had.
    pub fn begin(dir: &Path) -> Result<StatusOpening, ViewError> {
        Opening::begin(dir, Rows::load).map(StatusOpening)
    }

    /// Takes in the next page of the log and tells how far it has come. Readers see it at once; the store gets rows and
    /// checkpoint in one atomic batch, later. Records that were taken in before are passed over, so a page may come twice.
    /// Blocks; one caller at a time.
    ///
    /// # Errors
    /// [`ViewError`]; when it [needs a rebuild](ViewError::needs_rebuild), nothing is taken in until [`Self::start_over`].
    pub fn apply<S: Borrow<Stored>>(&self, page: &[S]) -> Result<Sequence, ViewError> {
        if page.len() > PAGE_RECORDS_MAX {
            return Err(ViewError::PageTooLong { records: page.len() });
        }
        let mut writer = lock(&self.0.writer);
        if writer.in_doubt {
            return Err(ViewError::InDoubt);
        }
        let applied = self.take_in(&mut writer, page);
        writer.in_doubt = applied.as_ref().is_err_and(ViewError::needs_rebuild);
        applied
    }

    /// Nothing up to `sequence` is missing here: what stands there is about no registration, or cannot be read. Whoever waits
    /// for that place goes on; it is not kept, because reading it again changes nothing.
    pub fn pass(&self, sequence: Sequence) {
        let _between_pages = lock(&self.0.writer);
        advance(&self.0.position, sequence);
    }

    /// Writes what is old enough; to be called every [`FLUSH_EVERY`] or more often. Blocks.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn tick(&self) -> Result<(), ViewError> {
        let mut writer = lock(&self.0.writer);
        if writer.unwritten_since.is_some_and(|since| since.elapsed() >= WRITE_AFTER) {
            self.0.write_out(&mut writer)?;
        }
        Ok(())
    }

    /// Writes everything that is taken in. Blocks.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn write(&self) -> Result<(), ViewError> {
        self.0.write_out(&mut lock(&self.0.writer))
    }

    /// Gives back the memory that the store has taken to be quick, if it is worth it: for whoever has had nothing to take in for a
    /// while. Readers wait meanwhile, for some 0.1 to 0.3 s. Blocks.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`]; the view is then closed until [`Self::start_over`].
    pub fn rest(&self) -> Result<(), ViewError> {
        let mut writer = lock(&self.0.writer);
        if !self.0.read(|rows| Ok::<_, ViewError>(rows.is_grown()))? {
            return Ok(());
        }
        self.0.write_out(&mut writer)?;
        if writer.in_doubt {
            return Err(ViewError::InDoubt);
        }
        let mut slot = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        let reopened = slot.take().ok_or(ViewError::Closed)?.reopened(&self.0.dir);
        writer.in_doubt = reopened.is_err();
        *slot = Some(reopened?);
        Ok(())
    }

    /// Moves the folder aside and goes on with an empty view: follow the log from sequence 1. For a caller whose page
    /// was refused, or who found that the checkpoint does not agree with the log. Watchers and waiters stay.
    ///
    /// Blocks; may take seconds.
    ///
    /// # Errors
    /// [`ViewError`] when no empty view can be opened; it is then closed, and this may be tried again.
    pub fn start_over(&self, now: Timestamp) -> Result<SetAside, ViewError> {
        let mut writer = lock(&self.0.writer);
        let mut slot = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        writer.in_doubt = true;
        let why = match slot.take().map(|rows| opening::close(rows.into_store())) {
            // the folder is moved from under it; nothing reads or writes through it any more
            Some(Err(hangs)) => Doubt::Unreadable(hangs),
            Some(Ok(())) | None => Doubt::GivenUp,
        };
        self.renew(&mut writer, &mut slot, why, now)
    }

    /// The row of a registration, if there is one.
    ///
    /// # Errors
    /// [`ViewError`] when the store cannot be read.
    pub fn get(&self, id: RegistrationId) -> Result<Option<Row>, ViewError> {
        let memory = self.0.memory.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(row) = memory.row_of(id) {
            return Ok(Some(row.clone()));
        }
        drop(memory);
        self.0.read(|rows| rows.row_of(id))
    }

    /// The rows whose owner's turn it is (MANUAL_REQUIRED) with this reference, newest first, at most [`ALIKE_MAX`]:
    /// a reference is short, so that some may share it. Blocks.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn waiting_for_owner(&self, reference: &str) -> Result<Vec<Row>, ViewError> {
        self.read_written(|rows| rows.of_reference(reference, ALIKE_MAX))
    }

    /// A page of at most `rows_max` rows (1 to [`crate::PAGE_ROWS_MAX`]), newest submission first, after `token`.
    /// Rows that come while a list is read stand before its first page and change none of the later ones. Blocks.
    ///
    /// # Errors
    /// [`ListError::BadToken`] when the token was not given for this filter; [`ListError::View`] as for [`Self::get`].
    pub fn list(&self, filter: &Filter, rows_max: usize, token: Option<&str>) -> Result<Page, ListError> {
        self.read_written(|rows| list::page(rows, filter, rows_max, token))
    }

    /// How many registrations have which status.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *lock(&self.0.counts)
    }

    /// The last sequence that is taken in; 0 before the first.
    #[must_use]
    pub fn position(&self) -> Sequence {
        *self.0.position.borrow()
    }

    /// Tells each new position. It falls back to 0 when the view starts over.
    #[must_use]
    pub fn subscribe(&self) -> watch::Receiver<Sequence> {
        self.0.position.subscribe()
    }

    /// Waits until `sequence` is taken in; gives the position.
    ///
    /// # Errors
    /// [`NotYet`] at the deadline.
    pub async fn wait_for(&self, sequence: Sequence, deadline: Instant) -> Result<Sequence, NotYet> {
        let mut position = self.subscribe();
        let reached = tokio::time::timeout_at(deadline.into(), position.wait_for(|at| *at >= sequence)).await;
        match reached {
            Ok(Ok(at)) => Ok(*at),
            Ok(Err(_)) | Err(_) => Err(NotYet { position: self.position(), wanted: sequence }),
        }
    }

    /// Every record taken in from now on, with what it made of its row. A receiver that falls more than [`UPDATES_MAX`]
    /// behind is told how many it missed (`RecvError::Lagged`) and should read the log from the last one it saw.
    /// Blocks while a page is taken in.
    #[must_use]
    pub fn updates(&self) -> broadcast::Receiver<Arc<Update>> {
        // between two pages: one that is half taken in would be neither in the position nor in the updates
        let _between_pages = lock(&self.0.writer);
        self.0.updates.subscribe()
    }

    /// What it holds, for a comparison with a fresh fold of the same records: 48 bytes of memory a row. Blocks, and holds up
    /// the next page meanwhile.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn fingerprint(&self) -> Result<Fingerprint, ViewError> {
        let mut writer = lock(&self.0.writer);
        self.0.write_out(&mut writer)?;
        let mut parts = Vec::new();
        self.0.read(|rows| {
            rows.each(|key, bytes| parts.push(Part { what: "row", key, hash: Part::hash_of(&[bytes]) }))
        })?;
        Ok(Fingerprint { checkpoint: writer.at, parts })
    }

    /// The registration whose submission stands at a sequence, if there is one. Blocks.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn submitted_at(&self, sequence: Sequence) -> Result<Option<RegistrationId>, ViewError> {
        Ok(self.read_written(|rows| rows.row_at(sequence))?.map(|row| row.registration.id))
    }

    fn take_in<S: Borrow<Stored>>(&self, writer: &mut Writer, page: &[S]) -> Result<Sequence, ViewError> {
        let (at, counts, watched) = (writer.at, self.counts(), self.0.updates.receiver_count() > 0);
        let (at, counts, updates) = self.0.read(|rows| {
            let memory = &mut *self.0.memory.write().unwrap_or_else(PoisonError::into_inner);
            let mut fold = Fold { rows, memory, at, counts, updates: watched.then(Vec::new) };
            fold.page(page)?;
            Ok::<_, ViewError>((fold.at, fold.counts, fold.updates))
        })?;
        if at != writer.at {
            writer.at = at;
            writer.unwritten_since.get_or_insert_with(Instant::now);
            *lock(&self.0.counts) = counts;
            for update in updates.into_iter().flatten() {
                // fails only when the last watcher has just left
                drop(self.0.updates.send(Arc::new(update)));
            }
            self.0.position.send_replace(at.sequence);
        }
        if self.0.unwritten() >= UNWRITTEN_ROWS_MAX {
            self.0.write_out(writer)?;
        }
        Ok(at.sequence)
    }

    /// Looks into the store after everything that is taken in was written. A view in doubt shows what it has.
    fn read_written<T, E: From<ViewError>>(&self, look: impl FnOnce(&Rows) -> Result<T, E>) -> Result<T, E> {
        if self.0.unwritten() > 0 {
            self.write()?;
        }
        self.0.read(look)
    }

    fn renew(
        &self,
        writer: &mut Writer,
        slot: &mut Option<Rows>,
        why: Doubt,
        now: Timestamp,
    ) -> Result<SetAside, ViewError> {
        let OpenedStore { store, set_aside, .. } = opening::open_anew::<Saved, _>(&self.0.dir, why, now, Rows::load)?;
        *slot = Some(store);
        *writer = Writer::new(Checkpoint::nothing_seen(self.0.incarnation));
        *self.0.memory.write().unwrap_or_else(PoisonError::into_inner) = Memory::default();
        *lock(&self.0.counts) = Counts::default();
        self.0.position.send_replace(0);
        set_aside.ok_or(ViewError::Closed)
    }
}

impl StatusOpening {
    /// As [`StatusView::open`].
    ///
    /// # Errors
    /// As for [`StatusView::open`].
    pub fn finish(self, incarnation: i64, now: Timestamp) -> Result<Opened, ViewError> {
        let dir = self.0.dir.clone();
        let OpenedStore { store, saved, set_aside } = self.0.finish(incarnation, now)?;
        let checkpoint = saved.map(|saved| saved.checkpoint);
        let at = checkpoint.unwrap_or_else(|| Checkpoint::nothing_seen(incarnation));
        let shared = Shared {
            dir,
            incarnation,
            store: RwLock::new(Some(store)),
            memory: RwLock::default(),
            writer: Mutex::new(Writer::new(at)),
            counts: Mutex::new(saved.map(|saved| saved.counts).unwrap_or_default()),
            position: watch::Sender::new(at.sequence),
            updates: broadcast::Sender::new(UPDATES_MAX),
        };
        Ok(Opened { view: StatusView(Arc::new(shared)), from: at.sequence + 1, checkpoint, set_aside })
    }
}

impl Shared {
    fn read<T, E: From<ViewError>>(&self, look: impl FnOnce(&Rows) -> Result<T, E>) -> Result<T, E> {
        let slot = self.store.read().unwrap_or_else(PoisonError::into_inner);
        look(slot.as_ref().ok_or(ViewError::Closed)?)
    }

    fn unwritten(&self) -> usize {
        self.memory.read().unwrap_or_else(PoisonError::into_inner).unwritten()
    }

    /// Rows and checkpoint in one atomic batch; nothing while the view is in doubt.
    fn write_out(&self, writer: &mut Writer) -> Result<(), ViewError> {
        if writer.in_doubt || writer.unwritten_since.is_none() {
            return Ok(());
        }
        let written = self.write_changes(writer.at);
        writer.in_doubt = written.is_err();
        writer.unwritten_since = None;
        written
    }

    fn write_changes(&self, at: Checkpoint) -> Result<(), ViewError> {
        let counts = *lock(&self.counts);
        let memory = &self.memory;
        let stage = |rows: &Rows| memory.read().unwrap_or_else(PoisonError::into_inner).stage(rows, at, counts);
        let staged = self.read(stage)?;
        let mut slot = self.store.write().unwrap_or_else(PoisonError::into_inner);
        slot.as_mut().ok_or(ViewError::Closed)?.write(staged)?;
        drop(slot);
        // only now: before, the store does not have them
        self.memory.write().unwrap_or_else(PoisonError::into_inner).written();
        self.read(Rows::flush)
    }
}

/// What was taken in last is written, so that the next start need not read it again.
impl Drop for Shared {
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut writer = std::mem::replace(writer, Writer::new(writer.at));
        // an error costs no more than that
        drop(self.write_out(&mut writer));
    }
}

impl Writer {
    fn new(at: Checkpoint) -> Self {
        Self { at, unwritten_since: None, in_doubt: false }
    }
}

/// Tells a later position; an earlier one is no news.
pub(crate) fn advance(position: &watch::Sender<Sequence>, sequence: Sequence) {
    position.send_if_modified(|at| {
        let is_ahead = sequence > *at;
        *at = sequence.max(*at);
        is_ahead
    });
}

/// A panic elsewhere leaves nothing half done here: each value under a lock is replaced whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
