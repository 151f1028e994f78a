//! The status view at work: fed from the log, asked by the services, rebuilt when it disagrees with the log.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bus::{EventLog, Follow, FollowItem};
use events::{Registration, RegistrationId, Sequence, Shard, Stored, Timestamp};
use projections::{Checkpoint, FLUSH_EVERY, Row, SetAside, StatusView, ViewError};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::errors;

/// How long a read waits for a sequence that the view has not taken in yet.
pub const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Records taken in at once; measured: 256 to 1,024 is the fastest for sled, more holds readers up.
const PAGE_RECORDS: usize = 1_024;
/// Pause after the log could not be followed.
const PAUSE: Duration = Duration::from_secs(1);
/// Registrations remembered from their acceptance until the view surely has them.
const RECENT_MAX: usize = 65_536;

/// The view, and what was accepted but may not be in it yet.
pub struct Views {
    pub status: StatusView,
    ready: watch::Receiver<bool>,
    recent: Mutex<Recent>,
}

#[derive(Default)]
struct Recent {
    places: HashMap<RegistrationId, (Shard, Sequence)>,
    order: VecDeque<RegistrationId>,
}

impl Recent {
    /// Keeps a place unless there is one; gives the one that is there. The oldest makes room.
    fn keep(&mut self, id: RegistrationId, place: (Shard, Sequence)) -> (Shard, Sequence) {
        if let Some(known) = self.places.get(&id) {
            return *known;
        }
        self.places.insert(id, place);
        self.order.push_back(id);
        if self.order.len() > RECENT_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.places.remove(&oldest);
        }
        place
    }
}

impl Views {
    /// Opens the view and follows the log with it until `shutdown`; the receiver becomes true once it has caught up.
    ///
    /// Ends with an error when the view cannot be opened, not even anew.
    pub async fn start(
        folder: &Path,
        log: Arc<dyn EventLog>,
        now: fn() -> Timestamp,
        shutdown: CancellationToken,
    ) -> anyhow::Result<(Arc<Self>, watch::Receiver<bool>, tokio::task::JoinHandle<()>)> {
        let incarnation = log.head().await.context("failed to find the end of the log")?.incarnation.0;
        let folder = folder.to_owned();
        let opened = tokio::task::spawn_blocking(move || StatusView::open(&folder, incarnation, now())).await?;
        let opened = opened.context("failed to open the status view")?;
        if let Some(aside) = &opened.set_aside {
            report(aside);
        }
        let (ready, caught_up) = watch::channel(false);
        let recent = Mutex::default();
        let views = Arc::new(Self { status: opened.view.clone(), ready: caught_up.clone(), recent });
        let feeder = Feeder { view: opened.view, log, now, ready, left_out: Mutex::default() };
        let task = tokio::spawn(async move {
            tokio::select! {
                () = feeder.run(opened.checkpoint) => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok((views, caught_up, task))
    }

    /// Remembers what was just accepted.
    pub fn accepted(&self, registration: &Registration) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (registration.shard, registration.last.sequence);
        recent.keep(registration.id, place);
        recent.places.insert(registration.id, place);
    }

    /// An error while the view has not caught up with the log: "not found" would be a guess then.
    pub fn check_ready(&self) -> Result<(), Status> {
        if *self.ready.borrow() {
            return Ok(());
        }
        Err(errors::passing(Code::Unavailable, "STARTING", "the service is still reading its log; try again soon"))
    }

    /// Takes the id of a request for `shard`, unless it is taken: then gives the shard that has it. The first one wins,
    /// so that two submissions at the same moment cannot store one id in two shards.
    pub fn reserve(&self, id: RegistrationId, shard: Shard) -> Result<Shard, Status> {
        if let Some(row) = self.read(id)? {
            return Ok(row.registration.shard);
        }
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(recent.keep(id, (shard, 0)).0)
    }

    /// Gives a reservation back whose submission was surely not stored.
    pub fn release(&self, id: RegistrationId) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.places.get(&id).is_some_and(|(_, sequence)| *sequence == 0) {
            recent.places.remove(&id);
        }
    }

    /// The shard of a registration; nothing when there is none.
    pub fn shard_of(&self, id: RegistrationId) -> Result<Option<Shard>, Status> {
        self.check_ready()?;
        if let Some((shard, _)) = self.recent_place(id) {
            return Ok(Some(shard));
        }
        Ok(self.read(id)?.map(|row| row.registration.shard))
    }

    /// The row of a registration, at least as new as `min_sequence` and as its own acceptance.
    pub async fn row(&self, id: RegistrationId, min_sequence: Sequence) -> Result<Option<Row>, Status> {
        self.check_ready()?;
        let accepted_at = self.recent_place(id).map_or(0, |(_, sequence)| sequence);
        let wanted = min_sequence.max(accepted_at);
        if wanted > self.status.position() {
            self.status.wait_for(wanted, Instant::now() + CATCH_UP_TIMEOUT).await.map_err(|not_yet| {
                errors::passing(Code::Unavailable, "VIEW_BEHIND", format!("the view is behind: {not_yet}"))
            })?;
        }
        self.read(id)
    }

    fn read(&self, id: RegistrationId) -> Result<Option<Row>, Status> {
        self.status.get(id).map_err(|error| errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", error.to_string()))
    }

    fn recent_place(&self, id: RegistrationId) -> Option<(Shard, Sequence)> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner).places.get(&id).copied()
    }
}

/// Carries pages from the log into the view.
struct Feeder {
    view: StatusView,
    log: Arc<dyn EventLog>,
    now: fn() -> Timestamp,
    ready: watch::Sender<bool>,
    /// Registrations whose records do not fit together; the view leaves them out rather than stand still for all.
    left_out: Mutex<HashSet<RegistrationId>>,
}

impl Feeder {
    async fn run(self, mut checkpoint: Option<Checkpoint>) {
        loop {
            if let Err(error) = self.feed(checkpoint.take()).await {
                tracing::warn!(%error, "the status view pauses");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Feeds until something goes wrong; a view in doubt is begun anew.
    async fn feed(&self, checkpoint: Option<Checkpoint>) -> anyhow::Result<()> {
        // the checkpoint's own record is read once more, to see that the log still holds the same one
        let from = self.view.position() + u64::from(checkpoint.is_none());
        let mut follow = match self.log.follow(from).await {
            Ok(follow) => follow,
            Err(error @ bus::FollowError::Unavailable(_)) => return Err(error.into()),
            Err(error) => {
                self.start_over().await?;
                return Err(error.into());
            }
        };
        let mut unchecked = checkpoint;
        loop {
            let fed = self.page(follow.as_mut(), &mut unchecked).await;
            if let Err(error) = fed {
                let passing = error.downcast_ref().is_some_and(|e| matches!(e, bus::FollowError::Unavailable(_)));
                if !passing {
                    self.start_over().await?;
                }
                return Err(error);
            }
        }
    }

    async fn page(&self, follow: &mut dyn Follow, unchecked: &mut Option<Checkpoint>) -> anyhow::Result<()> {
        let page = follow.next_page(PAGE_RECORDS, FLUSH_EVERY).await?;
        let records: Vec<Stored> = page.items.into_iter().filter_map(readable).collect();
        let records = self.without_left_out(records);
        if let (Some(checkpoint), Some(first)) = (*unchecked, records.first()) {
            anyhow::ensure!(
                (first.sequence, first.hash) == (checkpoint.sequence, checkpoint.hash),
                "the log does not hold the record that the view saw last"
            );
            *unchecked = None;
        }
        let (view, records) = (self.view.clone(), Arc::new(records));
        let page_records = records.clone();
        let applied = tokio::task::spawn_blocking(move || {
            if !page_records.is_empty() {
                view.apply(&page_records)?;
            }
            view.tick()
        })
        .await?;
        if let Err(ViewError::OutOfOrder { sequence, .. }) = &applied {
            self.leave_out(&records, *sequence);
        }
        applied?;
        if page.caught_up {
            self.ready.send_replace(true);
        }
        Ok(())
    }

    fn without_left_out(&self, mut records: Vec<Stored>) -> Vec<Stored> {
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner);
        if !left_out.is_empty() {
            records.retain(|stored| !left_out.contains(&stored.registration));
        }
        records
    }

    fn leave_out(&self, records: &[Stored], sequence: Sequence) {
        if let Some(stored) = records.iter().find(|stored| stored.sequence == sequence) {
            let id = stored.registration;
            tracing::error!(%id, sequence, "a record does not follow the one before it; the view leaves its registration out");
            self.left_out.lock().unwrap_or_else(PoisonError::into_inner).insert(id);
        }
    }

    async fn start_over(&self) -> anyhow::Result<()> {
        self.ready.send_replace(false);
        let (view, now) = (self.view.clone(), (self.now)());
        let aside = tokio::task::spawn_blocking(move || view.start_over(now)).await??;
        report(&aside);
        Ok(())
    }
}

fn report(aside: &SetAside) {
    let path = aside.path.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    tracing::warn!(path, why = %aside.why, "the status view was moved aside and is rebuilt");
}

/// The engine reports what cannot be read; the view only passes it over. What is stored of makers is no registration.
fn readable(item: FollowItem) -> Option<Stored> {
    match item {
        FollowItem::Record(stored) => Some(stored),
        FollowItem::Maker(_) | FollowItem::Unreadable { .. } => None,
    }
}
