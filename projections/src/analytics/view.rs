//! The analytics view: one writer takes in pages of the log, many readers ask.

use std::borrow::Borrow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use events::{RecordHash, Sequence, Stored, StoredMaker, Timestamp};
use jiff::civil::Date;
use tokio::sync::watch;

use super::fingerprint;
use super::fold::Fold;
use super::keys::List;
use super::listed::{CircuitChange, HealthRound, PastIncident};
use super::memory::Memory;
use super::query::{DeadlineCounts, Metrics, MetricsError, MetricsFilter, Query, Window};
use super::retention;
use super::saved::Saved;
use super::tracked::Funnel;
use crate::checkpoint::Checkpoint;
use crate::error::{Doubt, ViewError};
use crate::fingerprint::Fingerprint;
use crate::fold::PAGE_RECORDS_MAX;
use crate::opening::{self, OpenedStore, Opening, SetAside};
use crate::store::Store;
use crate::view::advance;

/// How often `tick` writes: what is not written is read again from the log.
pub const WRITE_EVERY: Duration = Duration::from_secs(1);

/// A handle of the analytics view; clones share it. Its methods block, for milliseconds.
#[derive(Clone)]
pub struct AnalyticsView(Arc<Shared>);

/// An analytics view that is being opened, until [`Self::finish`] or for nothing.
pub struct AnalyticsOpening(Opening<Saved, Store>);

/// An analytics view that is ready.
pub struct AnalyticsOpened {
    /// The view.
    pub view: AnalyticsView,
    /// The last record that it has seen; nothing when it is empty. The log must still hold the same one there.
    pub checkpoint: Option<Checkpoint>,
    /// What was found and not used, if anything.
    pub set_aside: Option<SetAside>,
}

struct Shared {
    dir: PathBuf,
    incarnation: i64,
    inner: RwLock<Inner>,
    position: watch::Sender<Sequence>,
}

struct Inner {
    /// Nothing while it is begun anew, or when that failed.
    store: Option<Store>,
    memory: Memory,
    written_at: Instant,
    /// Since an error, memory and store may differ.
    in_doubt: bool,
}

impl AnalyticsView {
    /// Opens the view in `dir` that was built from the stream created at `incarnation`. On any doubt the folder is moved
    /// aside under a name with `now`, and the view is empty.
    ///
    /// Blocks; may take seconds.
    ///
    /// # Errors
    /// [`ViewError::InUse`] when another process has it; [`ViewError`] when not even an empty one can be opened.
    pub fn open(dir: &Path, incarnation: i64, now: Timestamp) -> Result<AnalyticsOpened, ViewError> {
        Self::begin(dir)?.finish(incarnation, now)
    }

    /// Begins to open the view in `dir`, beside whatever else a start takes.
    ///
    /// # Errors
    /// [`ViewError`] when no thread can be had.
    pub fn begin(dir: &Path) -> Result<AnalyticsOpening, ViewError> {
        Opening::begin(dir, Ok).map(AnalyticsOpening)
    }

    /// Takes in the next page of the log, its records of registrations and of makers in the order of the log each. Records
    /// that were taken in before are passed over, so a page may come twice. One caller at a time.
    ///
    /// # Errors
    /// [`ViewError`]; when it [needs a rebuild](ViewError::needs_rebuild), nothing is taken in until [`Self::start_over`].
    pub fn apply<R, M>(&self, registrations: &[R], makers: &[M]) -> Result<(), ViewError>
    where
        R: Borrow<Stored>,
        M: Borrow<StoredMaker>,
    {
        let records = registrations.len() + makers.len();
        if records > PAGE_RECORDS_MAX {
            return Err(ViewError::PageTooLong { records });
        }
        self.change(|inner| {
            let applied = inner.take_in(registrations, makers);
            if applied.is_ok() {
                self.0.position.send_replace(inner.memory.saved.checkpoint.sequence);
            }
            applied
        })
    }

    /// Writes what is not written yet, if the last time is [`WRITE_EVERY`] ago; to be called after each page.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn tick(&self) -> Result<(), ViewError> {
        let due = {
            let inner = self.0.inner.read().unwrap_or_else(PoisonError::into_inner);
            inner.memory.unwritten && !inner.in_doubt && inner.written_at.elapsed() >= WRITE_EVERY
        };
        if due { self.write() } else { Ok(()) }
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn write(&self) -> Result<(), ViewError> {
        self.change(Inner::write)
    }

    /// As [`StatusView::rest`](crate::StatusView::rest).
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`]; the view is then closed until [`Self::start_over`].
    pub fn rest(&self) -> Result<(), ViewError> {
        self.change(|inner| {
            if !inner.store.as_ref().is_some_and(Store::is_grown) {
                return Ok(());
            }
            inner.write()?;
            let store = inner.store.take().ok_or(ViewError::Closed)?;
            inner.store = Some(opening::reopen::<Saved>(store, &self.0.dir)?);
            Ok(())
        })
    }

    /// Moves the folder aside and goes on with an empty view: follow the log from sequence 1.
    ///
    /// Blocks; may take seconds.
    ///
    /// # Errors
    /// [`ViewError`] when no empty view can be opened; it is then closed, and this may be tried again.
    pub fn start_over(&self, now: Timestamp) -> Result<SetAside, ViewError> {
        let mut inner = self.0.inner.write().unwrap_or_else(PoisonError::into_inner);
        inner.in_doubt = true;
        let why = match inner.store.take().map(opening::close) {
            Some(Err(hangs)) => Doubt::Unreadable(hangs),
            Some(Ok(())) | None => Doubt::GivenUp,
        };
        let OpenedStore { store, set_aside, .. } = opening::open_anew::<Saved, _>(&self.0.dir, why, now, Ok)?;
        let memory = Memory::new(Saved::nothing(self.0.incarnation));
        *inner = Inner { store: Some(store), memory, written_at: Instant::now(), in_doubt: false };
        self.0.position.send_replace(0);
        set_aside.ok_or(ViewError::Closed)
    }

    /// The last sequence that is taken in; 0 before the first.
    #[must_use]
    pub fn position(&self) -> Sequence {
        *self.0.position.borrow()
    }

    /// Nothing up to `sequence` is missing here: what stands there cannot be read.
    pub fn pass(&self, sequence: Sequence) {
        advance(&self.0.position, sequence);
    }

    /// How the makers did over a window.
    ///
    /// # Errors
    /// [`MetricsError::TooManyPoints`] when the window is too long for the resolution; [`MetricsError::View`] when the
    /// store cannot be read.
    pub fn metrics(&self, window: Window, filter: &MetricsFilter) -> Result<Metrics, MetricsError> {
        self.ask(|query| query.metrics(window, filter))
    }

    /// Changes of circuits, and pauses, within a window, of one maker or all; at most `limit` (1 to
    /// [`super::LIST_MAX`]), newest first.
    ///
    /// # Errors
    /// [`ViewError`] when the store cannot be read.
    pub fn circuits(&self, window: Window, maker: Option<&str>, limit: usize) -> Result<Vec<CircuitChange>, ViewError> {
        self.ask(|query| {
            query.newest(List::Circuits, window, limit, |key, value| {
                let change = CircuitChange::read(key, value)?;
                Ok(Some(change).filter(|change| is_of(maker, &change.connector)))
            })
        })
    }

    /// Rounds of health checks, as [`Self::circuits`].
    ///
    /// # Errors
    /// [`ViewError`] when the store cannot be read.
    pub fn health(&self, window: Window, maker: Option<&str>, limit: usize) -> Result<Vec<HealthRound>, ViewError> {
        self.ask(|query| {
            query.newest(List::Health, window, limit, |key, value| {
                let round = HealthRound::read(key, value)?;
                Ok(Some(round).filter(|round| is_of(maker, &round.connector)))
            })
        })
    }

    /// Times of ill health of one maker or all, perhaps only those that are not over; at most `limit` (1 to
    /// [`super::LIST_MAX`]), newest first.
    ///
    /// # Errors
    /// [`ViewError`] when the store cannot be read.
    pub fn incidents(
        &self,
        maker: Option<&str>,
        open_only: bool,
        limit: usize,
    ) -> Result<Vec<PastIncident>, ViewError> {
        let ever = Window { start: Timestamp(0), end: Timestamp(i64::MAX) };
        self.ask(|query| {
            query.newest(List::Incidents, ever, limit, |key, value| {
                let incident = PastIncident::read(key, value)?;
                let wanted = is_of(maker, &incident.connector) && !(open_only && incident.until.is_some());
                Ok(Some(incident).filter(|_| wanted))
            })
        })
    }

    /// What became of packets.
    ///
    /// # Errors
    /// [`ViewError`] when the view is closed.
    pub fn funnel(&self) -> Result<Funnel, ViewError> {
        self.ask(|query| Ok(query.memory.saved.funnel))
    }

    /// Open registrations whose last day is near, by maker; makers without any are left out.
    ///
    /// # Errors
    /// [`ViewError`] when the store cannot be read.
    pub fn deadlines(&self, today: Date) -> Result<Vec<DeadlineCounts>, ViewError> {
        self.ask(|query| query.deadlines(today))
    }

    /// What it holds, for a comparison with a fresh fold of the same records; see [`Fingerprint`]. Blocks.
    ///
    /// # Errors
    /// [`ViewError`] as for [`Self::apply`].
    pub fn fingerprint(&self) -> Result<Fingerprint, ViewError> {
        let mut seen = None;
        self.change(|inner| {
            inner.write()?;
            let store = inner.store.as_ref().ok_or(ViewError::Closed)?;
            seen = Some(fingerprint::of(store, &inner.memory.saved)?);
            Ok(())
        })?;
        seen.ok_or(ViewError::Closed)
    }

    fn ask<T, E: From<ViewError>>(&self, question: impl FnOnce(&Query<'_>) -> Result<T, E>) -> Result<T, E> {
        let inner = self.0.inner.read().unwrap_or_else(PoisonError::into_inner);
        let store = inner.store.as_ref().ok_or(ViewError::Closed)?;
        question(&Query { memory: &inner.memory, store })
    }

    fn change(&self, work: impl FnOnce(&mut Inner) -> Result<(), ViewError>) -> Result<(), ViewError> {
        let mut inner = self.0.inner.write().unwrap_or_else(PoisonError::into_inner);
        if inner.in_doubt {
            return Err(ViewError::InDoubt);
        }
        let done = work(&mut inner);
        inner.in_doubt = done.as_ref().is_err_and(ViewError::needs_rebuild);
        done
    }
}

impl AnalyticsOpening {
    /// As [`AnalyticsView::open`].
    ///
    /// # Errors
    /// As for [`AnalyticsView::open`].
    pub fn finish(self, incarnation: i64, now: Timestamp) -> Result<AnalyticsOpened, ViewError> {
        let dir = self.0.dir.clone();
        let OpenedStore { store, saved, set_aside } = self.0.finish(incarnation, now)?;
        let checkpoint = saved.as_ref().map(|saved| saved.checkpoint);
        let memory = Memory::new(saved.unwrap_or_else(|| Saved::nothing(incarnation)));
        let position = watch::Sender::new(memory.saved.checkpoint.sequence);
        let inner = Inner { store: Some(store), memory, written_at: Instant::now(), in_doubt: false };
        let shared = Shared { dir, incarnation, inner: RwLock::new(inner), position };
        Ok(AnalyticsOpened { view: AnalyticsView(Arc::new(shared)), checkpoint, set_aside })
    }
}

impl Inner {
    /// Both lists together in the order of the log.
    fn take_in<R, M>(&mut self, registrations: &[R], makers: &[M]) -> Result<(), ViewError>
    where
        R: Borrow<Stored>,
        M: Borrow<StoredMaker>,
    {
        let mut registrations = registrations.iter().map(Borrow::borrow).peekable();
        let mut makers = makers.iter().map(Borrow::borrow).peekable();
        let mut last = 0;
        loop {
            let maker_first = match (registrations.peek(), makers.peek()) {
                (None, None) => return Ok(()),
                (Some(stored), Some(maker)) => maker.sequence < stored.sequence,
                (Some(_), None) => false,
                (None, Some(_)) => true,
            };
            let at = if maker_first {
                let next = makers.next().ok_or(ViewError::InDoubt)?;
                self.record(&mut last, (next.sequence, next.hash), |fold| fold.maker(next))
            } else {
                let next = registrations.next().ok_or(ViewError::InDoubt)?;
                self.record(&mut last, (next.sequence, next.hash), |fold| fold.registration(next))
            };
            at?;
        }
    }

    fn record(
        &mut self,
        last: &mut Sequence,
        (sequence, hash): (Sequence, RecordHash),
        take_in: impl FnOnce(&mut Fold<'_>) -> Result<(), ViewError>,
    ) -> Result<(), ViewError> {
        if sequence <= *last {
            return Err(ViewError::OutOfOrder { sequence, source: None });
        }
        *last = sequence;
        if sequence <= self.memory.saved.checkpoint.sequence {
            return Ok(());
        }
        let store = self.store.as_ref().ok_or(ViewError::Closed)?;
        take_in(&mut Fold { memory: &mut self.memory, store })?;
        self.memory.saved.checkpoint.take(sequence, hash);
        self.memory.unwritten = true;
        if self.memory.is_full() { self.write() } else { Ok(()) }
    }

    /// All that waits, what is too old, and the checkpoint: in one batch.
    fn write(&mut self) -> Result<(), ViewError> {
        if !self.memory.unwritten {
            return Ok(());
        }
        let store = self.store.as_ref().ok_or(ViewError::Closed)?;
        let mut writes = self.memory.writes()?;
        retention::drop_old(store, &mut self.memory.saved, &mut writes)?;
        self.memory.write_checkpoint(&mut writes)?;
        store.write(writes)?;
        store.flush()?;
        self.memory.written();
        self.written_at = Instant::now();
        Ok(())
    }
}

fn is_of(wanted: Option<&str>, connector: &str) -> bool {
    wanted.is_none_or(|wanted| wanted == connector)
}
