//! Carries pages of the log into a view. Each view has a feeder of its own: one that is rebuilt, or in trouble, holds up
//! no other. The price is that the log is read once a view.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Context;
use bus::{EventLog, Follow, FollowError, FollowItem, Page};
use events::{RegistrationId, Sequence, Stored, Timestamp};
use projections::{AnalyticsView, Checkpoint, FLUSH_EVERY, SetAside, StatusView, ViewError};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Records taken in at once; measured: 256 to 1,024 is the fastest for sled, more holds readers up.
const PAGE_RECORDS: usize = 1_024;
/// Pages read while one is taken in.
const PAGES_AHEAD: usize = 8;
/// How long nothing comes before a view rests.
const REST_AFTER: Duration = Duration::from_secs(5);
/// Pause after the log could not be followed.
const PAUSE: Duration = Duration::from_secs(1);

/// A view that takes in pages. All of it blocks.
pub trait Fed: Clone + Send + Sync + 'static {
    /// Its name in log lines.
    const NAME: &'static str;

    /// The last sequence that it has taken in.
    fn position(&self) -> Sequence;

    /// Takes in a page, and writes what is due.
    fn take_in(&self, items: Vec<FollowItem>) -> Result<(), ViewError>;

    /// Nothing up to here is missing, also where the last items say nothing to this view.
    fn pass(&self, sequence: Sequence);

    /// Gives back the memory that it has taken to be quick, when nothing comes any more.
    fn rest(&self) -> Result<(), ViewError>;

    /// Begins anew.
    fn start_over(&self, now: Timestamp) -> Result<SetAside, ViewError>;
}

/// Reports what was found and not used.
pub fn report(name: &str, aside: &SetAside) {
    let path = aside.path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    tracing::warn!(path, why = %aside.why, "the {name} was moved aside and is rebuilt");
}

/// Follows the log with `view` until `shutdown`; the receiver becomes true once what was there at the start is taken in.
pub fn start<V: Fed>(
    view: V,
    checkpoint: Option<Checkpoint>,
    log: Arc<dyn EventLog>,
    now: fn() -> Timestamp,
    shutdown: CancellationToken,
) -> (watch::Receiver<bool>, JoinHandle<()>) {
    let (ready, caught_up) = watch::channel(false);
    let feeder = Feeder { view, log, now, ready };
    let task = tokio::spawn(async move {
        tokio::select! {
            () = feeder.run(checkpoint) => {}
            () = shutdown.cancelled() => {}
        }
    });
    (caught_up, task)
}

struct Feeder<V> {
    view: V,
    log: Arc<dyn EventLog>,
    now: fn() -> Timestamp,
    ready: watch::Sender<bool>,
}

impl<V: Fed> Feeder<V> {
    async fn run(self, mut checkpoint: Option<Checkpoint>) {
        loop {
            if let Err(error) = self.feed(checkpoint.take()).await {
                tracing::warn!(%error, "the {} pauses", V::NAME);
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Feeds until something goes wrong; a view in doubt is begun anew.
    async fn feed(&self, checkpoint: Option<Checkpoint>) -> anyhow::Result<()> {
        // the checkpoint's own record is read once more, to see that the log still holds the same one
        let from = self.view.position() + u64::from(checkpoint.is_none());
        let mut ahead = match self.log.follow(from).await {
            Ok(follow) => Ahead::start(follow),
            Err(error @ FollowError::Unavailable(_)) => return Err(error.into()),
            Err(error) => {
                self.start_over().await?;
                return Err(error.into());
            }
        };
        let (mut unchecked, mut heard) = (checkpoint, Instant::now());
        loop {
            let fed = self.page(&mut ahead, &mut unchecked, &mut heard).await;
            if let Err(error) = fed {
                let passing = error.downcast_ref().is_some_and(|e| matches!(e, FollowError::Unavailable(_)));
                if !passing {
                    self.start_over().await?;
                }
                return Err(error);
            }
        }
    }

    async fn page(
        &self,
        ahead: &mut Ahead,
        unchecked: &mut Option<Checkpoint>,
        heard: &mut Instant,
    ) -> anyhow::Result<()> {
        let page = ahead.next().await?;
        if !page.items.is_empty() {
            *heard = Instant::now();
        } else if heard.elapsed() >= REST_AFTER {
            *heard = Instant::now();
            let view = self.view.clone();
            tokio::task::spawn_blocking(move || view.rest()).await??;
        }
        if let (Some(checkpoint), Some(first)) = (*unchecked, page.items.first()) {
            anyhow::ensure!(is_at(checkpoint, first), "the log does not hold the record that the view saw last");
            *unchecked = None;
        }
        let (view, last) = (self.view.clone(), page.items.last().map(FollowItem::sequence));
        tokio::task::spawn_blocking(move || view.take_in(page.items)).await??;
        last.into_iter().for_each(|sequence| self.view.pass(sequence));
        if page.caught_up {
            self.ready.send_replace(true);
        }
        Ok(())
    }

    async fn start_over(&self) -> anyhow::Result<()> {
        self.ready.send_replace(false);
        let (view, now) = (self.view.clone(), (self.now)());
        let aside = tokio::task::spawn_blocking(move || view.start_over(now)).await??;
        report(V::NAME, &aside);
        Ok(())
    }
}

/// Reads the log while a page is taken in.
struct Ahead {
    pages: mpsc::Receiver<Result<Page, FollowError>>,
    /// What came behind the page before.
    failed: Option<FollowError>,
    _reading: AbortOnDropHandle<()>,
}

impl Ahead {
    fn start(mut follow: Box<dyn Follow>) -> Self {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        let reading = tokio::spawn(async move {
            loop {
                let page = follow.next_page(PAGE_RECORDS, FLUSH_EVERY).await;
                let is_over = page.is_err();
                if sender.send(page).await.is_err() || is_over {
                    return;
                }
            }
        });
        Self { pages, failed: None, _reading: AbortOnDropHandle::new(reading) }
    }

    /// What has come in so far, as one page.
    async fn next(&mut self) -> anyhow::Result<Page> {
        if let Some(error) = self.failed.take() {
            return Err(error.into());
        }
        let mut page = self.pages.recv().await.context("the reader has ended")??;
        while page.items.len() < PAGE_RECORDS
            && let Ok(next) = self.pages.try_recv()
        {
            match next {
                Ok(next) => {
                    page.items.extend(next.items);
                    page.caught_up = next.caught_up;
                }
                Err(error) => self.failed = Some(error),
            }
        }
        Ok(page)
    }
}

/// Whether it is the record that the checkpoint names.
fn is_at(checkpoint: Checkpoint, item: &FollowItem) -> bool {
    let hash = match item {
        FollowItem::Record(stored) => stored.hash,
        FollowItem::Maker(stored) => stored.hash,
        FollowItem::Unreadable { .. } => return false,
    };
    (item.sequence(), hash) == (checkpoint.sequence, checkpoint.hash)
}

/// The status view and what it leaves out.
#[derive(Clone)]
pub struct StatusFeed {
    view: StatusView,
    /// Registrations whose records do not fit together; the view leaves them out rather than stand still for all.
    left_out: Arc<Mutex<HashSet<RegistrationId>>>,
}

impl StatusFeed {
    pub fn new(view: StatusView) -> Self {
        Self { view, left_out: Arc::default() }
    }

    fn leave_out(&self, records: &[Arc<Stored>], sequence: Sequence) {
        if let Some(stored) = records.iter().find(|stored| stored.sequence == sequence) {
            let id = stored.registration;
            tracing::error!(%id, sequence, "a record does not follow the one before it; the view leaves its registration out");
            self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }
}

impl Fed for StatusFeed {
    const NAME: &'static str = "status view";

    fn position(&self) -> Sequence {
        self.view.position()
    }

    fn take_in(&self, items: Vec<FollowItem>) -> Result<(), ViewError> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let wanted = |stored: &Arc<Stored>| !left_out.contains(&stored.registration);
        let records: Vec<Arc<Stored>> = items.into_iter().filter_map(registration).filter(wanted).collect();
        if !records.is_empty() {
            let applied = self.view.apply(&records);
            if let Err(ViewError::OutOfOrder { sequence, .. }) = &applied {
                self.leave_out(&records, *sequence);
            }
            applied?;
        }
        self.view.tick()
    }

    fn pass(&self, sequence: Sequence) {
        self.view.pass(sequence);
    }

    fn rest(&self) -> Result<(), ViewError> {
        self.view.rest()
    }

    fn start_over(&self, now: Timestamp) -> Result<SetAside, ViewError> {
        self.view.start_over(now)
    }
}

/// The engine reports what cannot be read; a view only passes it over.
fn registration(item: FollowItem) -> Option<Arc<Stored>> {
    match item {
        FollowItem::Record(stored) => Some(stored),
        FollowItem::Maker(_) | FollowItem::Unreadable { .. } => None,
    }
}

impl Fed for AnalyticsView {
    const NAME: &'static str = "analytics view";

    fn position(&self) -> Sequence {
        self.position()
    }

    fn take_in(&self, items: Vec<FollowItem>) -> Result<(), ViewError> {
        let (mut registrations, mut makers) = (Vec::with_capacity(items.len()), Vec::new());
        for item in items {
            match item {
                FollowItem::Record(stored) => registrations.push(stored),
                FollowItem::Maker(stored) => makers.push(stored),
                FollowItem::Unreadable { .. } => {}
            }
        }
        self.apply(&registrations, &makers)?;
        self.tick()
    }

    fn pass(&self, sequence: Sequence) {
        self.pass(sequence);
    }

    fn rest(&self) -> Result<(), ViewError> {
        self.rest()
    }

    fn start_over(&self, now: Timestamp) -> Result<SetAside, ViewError> {
        self.start_over(now)
    }
}

#[cfg(test)]
mod tests {
    use bus::MemoryLog;

    use super::*;

    /// Notes when it rested.
    #[derive(Clone, Default)]
    struct Noting(Arc<Mutex<Vec<Instant>>>);

    impl Fed for Noting {
        const NAME: &'static str = "noting view";

        fn position(&self) -> Sequence {
            0
        }

        fn take_in(&self, _items: Vec<FollowItem>) -> Result<(), ViewError> {
            Ok(())
        }

        fn pass(&self, _sequence: Sequence) {}

        fn rest(&self) -> Result<(), ViewError> {
            self.0.lock().expect("nobody panicked").push(Instant::now());
            Ok(())
        }

        fn start_over(&self, _now: Timestamp) -> Result<SetAside, ViewError> {
            Err(ViewError::Closed)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_view_rests_once_nothing_has_come_for_a_while() {
        let (view, shutdown, begun) = (Noting::default(), CancellationToken::new(), Instant::now());
        let log = Arc::new(MemoryLog::default());
        let (_ready, task) = start(view.clone(), None, log, || Timestamp(0), shutdown.clone());
        tokio::time::sleep(2 * REST_AFTER + PAUSE).await;
        shutdown.cancel();
        task.await.expect("it ends");
        let rested = view.0.lock().expect("nobody panicked").clone();
        assert_eq!(rested.len(), 2, "{rested:?}");
        assert!(rested.iter().all(|at| at.duration_since(begun) >= REST_AFTER), "{rested:?}");
        assert!(rested[1].duration_since(rested[0]) >= REST_AFTER, "{rested:?}");
    }
}
