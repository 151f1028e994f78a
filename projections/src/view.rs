//! The status view: one writer takes in pages of the log, many readers look at rows and wait for sequences.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use events::{RegistrationId, Sequence, Stored, Timestamp};
use tokio::sync::{broadcast, watch};

use crate::checkpoint::{Checkpoint, Counts, Saved};
use crate::error::{Doubt, ListError, NotYet, ViewError};
use crate::fingerprint::{Fingerprint, Part};
use crate::fold::{Applied, Fold, Folded, Hot, PAGE_RECORDS_MAX, Update};
use crate::keys;
use crate::list::{self, Filter, Page};
use crate::opening::{self, OpenedStore, SetAside};
use crate::row::Row;
use crate::store::Store;

/// How often `tick` should be called: what is not flushed can be lost with the machine, and is then read again.
pub const FLUSH_EVERY: Duration = Duration::from_millis(250);
/// Most rows that are looked at of one reference.
pub const ALIKE_MAX: usize = 64;
/// Batches after which a flush is due at the latest: rarer flushes deadlocked sled over hot keys.
const BATCHES_PER_FLUSH: u32 = 64;
/// Updates that a slow watcher may be behind before it is told that it missed some: two full pages.
pub const UPDATES_MAX: usize = 2 * PAGE_RECORDS_MAX;

/// A handle of the status view; clones share it.
#[derive(Clone)]
pub struct StatusView(Arc<Shared>);

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
    /// Written to under the write lock, so that a reader sees a whole page or nothing of it.
    store: RwLock<Option<Store>>,
    writer: Mutex<Writer>,
    counts: Mutex<Counts>,
    position: watch::Sender<Sequence>,
    updates: broadcast::Sender<Arc<Update>>,
}

struct Writer {
    at: Checkpoint,
    hot: Hot,
    unflushed_batches: u32,
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
        let OpenedStore { store, saved, set_aside } = opening::open::<Saved>(dir, incarnation, now)?;
        let checkpoint = saved.map(|saved| saved.checkpoint);
        let at = checkpoint.unwrap_or_else(|| Checkpoint::nothing_seen(incarnation));
        let shared = Shared {
            dir: dir.to_owned(),
            incarnation,
            store: RwLock::new(Some(store)),
            writer: Mutex::new(Writer::new(at)),
            counts: Mutex::new(saved.map(|saved| saved.counts).unwrap_or_default()),
            position: watch::Sender::new(at.sequence),
            updates: broadcast::Sender::new(UPDATES_MAX),
        };
        Ok(Opened { view: Self(Arc::new(shared)), from: at.sequence + 1, checkpoint, set_aside })
    }

    /// Takes in the next page of the log: rows and checkpoint in one atomic batch. Records that were taken in before are
    /// passed over, so a page may come twice. Blocks; one caller at a time.
    ///
    /// # Errors
    /// [`ViewError`]; when it [needs a rebuild](ViewError::needs_rebuild), nothing is taken in until [`Self::start_over`].
    pub fn apply(&self, page: &[Stored]) -> Result<Applied, ViewError> {
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

    /// Flushes what is not flushed yet; to be called every [`FLUSH_EVERY`]. Blocks.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn tick(&self) -> Result<(), ViewError> {
        let mut writer = lock(&self.0.writer);
        if writer.in_doubt || writer.unflushed_batches == 0 {
            return Ok(());
        }
        let flushed = self.flush(&mut writer);
        writer.in_doubt = flushed.is_err();
        flushed
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
        let why = match slot.take().map(opening::close) {
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
        self.read(|store| store.row_of(id))
    }

    /// The rows whose owner's turn it is (MANUAL_REQUIRED) with this reference, newest first, at most [`ALIKE_MAX`]:
    /// a reference is short, so that some may share it.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn waiting_for_owner(&self, reference: &str) -> Result<Vec<Row>, ViewError> {
        self.read(|store| {
            let entries = store.newest(&keys::reference(reference), Sequence::MAX, ALIKE_MAX)?;
            let rows = entries.into_iter().map(|(sequence, _)| store.row_at(sequence));
            rows.filter_map(Result::transpose).collect()
        })
    }

    /// A page of at most `rows_max` rows (1 to [`crate::PAGE_ROWS_MAX`]), newest submission first, after `token`.
    /// Rows that come while a list is read stand before its first page and change none of the later ones.
    ///
    /// # Errors
    /// [`ListError::BadToken`] when the token was not given for this filter; [`ListError::View`] as for [`Self::get`].
    pub fn list(&self, filter: &Filter, rows_max: usize, token: Option<&str>) -> Result<Page, ListError> {
        self.read(|store| list::page(store, filter, rows_max, token))
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
        let writer = lock(&self.0.writer);
        let mut parts = Vec::new();
        self.read(|store| {
            store.each(keys::row(0)..keys::row(Sequence::MAX), |key, value| {
                let key = keys::sequence_of(key).ok_or(ViewError::Undecodable)?;
                parts.push(Part { what: "row", key, hash: Part::hash_of(&[value]) });
                Ok(())
            })
        })?;
        Ok(Fingerprint { checkpoint: writer.at, parts })
    }

    /// The registration whose submission stands at a sequence, if there is one.
    ///
    /// # Errors
    /// As for [`Self::get`].
    pub fn submitted_at(&self, sequence: Sequence) -> Result<Option<RegistrationId>, ViewError> {
        Ok(self.read(|store| store.row_at(sequence))?.map(|row| row.registration.id))
    }

    fn take_in(&self, writer: &mut Writer, page: &[Stored]) -> Result<Applied, ViewError> {
        let watched = self.0.updates.receiver_count() > 0;
        let folded = self.read(|store| Fold::new(store, &mut writer.hot, writer.at, watched).page(page))?;
        if folded.at == writer.at {
            return Ok(Applied { sequence: folded.at.sequence, changed: Vec::new() });
        }
        let applied = Applied { sequence: folded.at.sequence, changed: folded.changed() };
        let mut counts = self.counts();
        applied.changed.iter().for_each(|change| counts.moved(change.before, change.after));
        let writes = folded.writes(counts)?;
        let slot = self.0.store.write().unwrap_or_else(PoisonError::into_inner);
        slot.as_ref().ok_or(ViewError::Closed)?.write(writes)?;
        drop(slot);
        writer.at = folded.at;
        writer.unflushed_batches += 1;
        *lock(&self.0.counts) = counts;
        self.tell(folded, &mut writer.hot);
        if writer.unflushed_batches >= BATCHES_PER_FLUSH {
            self.flush(writer)?;
        }
        Ok(applied)
    }

    /// Tells watchers and waiters, once everything is written.
    fn tell(&self, folded: Folded, hot: &mut Hot) {
        let sequence = folded.at.sequence;
        for update in folded.cool(hot) {
            // fails only when the last watcher has just left
            drop(self.0.updates.send(Arc::new(update)));
        }
        self.0.position.send_replace(sequence);
    }

    fn flush(&self, writer: &mut Writer) -> Result<(), ViewError> {
        self.read(Store::flush)?;
        writer.unflushed_batches = 0;
        Ok(())
    }

    fn renew(
        &self,
        writer: &mut Writer,
        slot: &mut Option<Store>,
        why: Doubt,
        now: Timestamp,
    ) -> Result<SetAside, ViewError> {
        let OpenedStore { store, set_aside, .. } = opening::open_anew::<Saved>(&self.0.dir, why, now)?;
        *slot = Some(store);
        *writer = Writer::new(Checkpoint::nothing_seen(self.0.incarnation));
        *lock(&self.0.counts) = Counts::default();
        self.0.position.send_replace(0);
        set_aside.ok_or(ViewError::Closed)
    }

    fn read<T, E: From<ViewError>>(&self, look: impl FnOnce(&Store) -> Result<T, E>) -> Result<T, E> {
        let slot = self.0.store.read().unwrap_or_else(PoisonError::into_inner);
        look(slot.as_ref().ok_or(ViewError::Closed)?)
    }
}

impl Writer {
    fn new(at: Checkpoint) -> Self {
        Self { at, hot: Hot::default(), unflushed_batches: 0, in_doubt: false }
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
