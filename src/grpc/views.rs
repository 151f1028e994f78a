//! The views at work, as the services ask them; and what was accepted but may not be in a view yet.

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context;
use bus::EventLog;
use events::{Registration, RegistrationId, Sequence, Shard, Timestamp};
use projections::{AnalyticsOpening, AnalyticsView, Row, StatusOpening, StatusView};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};

use super::feeder::{self, Fed, StatusFeed};
use super::{convert, errors};
use crate::access::Sight;

/// How long a read waits for a sequence that the view has not taken in yet.
pub const CATCH_UP_TIMEOUT: Duration = Duration::from_secs(5);
/// Registrations remembered from their acceptance until the view surely has them.
const RECENT_MAX: usize = 65_536;

/// The status view's folder below that of the views.
const STATUS_FOLDER: &str = "status";
/// The analytics view's folder below that of the views.
const ANALYTICS_FOLDER: &str = "analytics";

/// The views, and what was accepted but may not be in the status view yet.
pub struct Views {
    pub status: StatusView,
    pub analytics: AnalyticsView,
    status_ready: watch::Receiver<bool>,
    analytics_ready: watch::Receiver<bool>,
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

/// The views while they are being opened.
pub struct ViewsOpening {
    status: StatusOpening,
    analytics: AnalyticsOpening,
}

impl ViewsOpening {
    /// Begins to open the views in `folder`: the larger the log, the longer that takes, and so does NATS's start.
    pub fn begin(folder: &Path) -> anyhow::Result<Self> {
        let status = StatusView::begin(&folder.join(STATUS_FOLDER)).context("failed to open the status view")?;
        let analytics =
            AnalyticsView::begin(&folder.join(ANALYTICS_FOLDER)).context("failed to open the analytics view")?;
        Ok(Self { status, analytics })
    }
}

impl Views {
    /// Follows the log with each view until `shutdown`; gives the tasks that do so.
    ///
    /// Ends with an error when a view cannot be opened, not even anew.
    pub async fn start(
        opening: ViewsOpening,
        log: Arc<dyn EventLog>,
        now: fn() -> Timestamp,
        shutdown: CancellationToken,
    ) -> anyhow::Result<(Arc<Self>, [JoinHandle<()>; 2])> {
        let incarnation = log.head().await.context("failed to find the end of the log")?.incarnation.0;
        let (ViewsOpening { status, analytics }, at) = (opening, now());
        let status = tokio::task::spawn_blocking(move || status.finish(incarnation, at)).await?;
        let status = status.context("failed to open the status view")?;
        let analytics = tokio::task::spawn_blocking(move || analytics.finish(incarnation, at)).await?;
        let analytics = analytics.context("failed to open the analytics view")?;
        status.set_aside.iter().for_each(|aside| feeder::report(StatusFeed::NAME, aside));
        analytics.set_aside.iter().for_each(|aside| feeder::report(AnalyticsView::NAME, aside));

        let feed = StatusFeed::new(status.view.clone());
        let (status_ready, feeding) = feeder::start(feed, status.checkpoint, log.clone(), now, shutdown.clone());
        let (analytics_ready, feeding_analytics) =
            feeder::start(analytics.view.clone(), analytics.checkpoint, log, now, shutdown);
        let (status, analytics, recent) = (status.view, analytics.view, Mutex::default());
        let views = Self { status, analytics, status_ready, analytics_ready, recent };
        Ok((Arc::new(views), [feeding, feeding_analytics]))
    }

    /// Becomes true once the status view has caught up with the log.
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.status_ready.clone()
    }

    /// Becomes true once the analytics view has caught up with the log.
    pub fn analytics_ready(&self) -> watch::Receiver<bool> {
        self.analytics_ready.clone()
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
        if *self.status_ready.borrow() {
            return Ok(());
        }
        Err(errors::passing(Code::Unavailable, "STARTING", "the service is still reading its log; try again soon"))
    }

    /// An error while the analytics view has not caught up with the log: its numbers would be too small then.
    pub fn check_analytics_ready(&self) -> Result<(), Status> {
        if *self.analytics_ready.borrow() {
            return Ok(());
        }
        let text = "the analytics view is still reading the log; try again soon";
        Err(errors::passing(Code::Unavailable, "STARTING", text))
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

    /// Waits until the status view has taken in this place of the log.
    pub async fn reach(&self, wanted: Sequence) -> Result<(), Status> {
        let reached = self.status.wait_for(wanted, Instant::now() + CATCH_UP_TIMEOUT).await;
        reached.map(drop).map_err(|not_yet| {
            errors::passing(Code::Unavailable, "VIEW_BEHIND", format!("the view is behind: {not_yet}"))
        })
    }

    /// Where a registration is, by its id as somebody wrote it; what they do not see is not there.
    pub async fn place(&self, text: &str, sight: &Sight) -> Result<(Shard, RegistrationId), Status> {
        let id = convert::id(text)?;
        let shard = match sight {
            Sight::All => self.shard_of(id)?,
            Sight::Tenant(_) | Sight::Own { .. } => self.seen(id, 0, sight).await?.map(|row| row.registration.shard),
        };
        Ok((shard.ok_or_else(|| errors::not_found(text))?, id))
    }

    /// The row of a registration as [`Self::row`] gives it, if whoever asks sees it.
    pub async fn seen(&self, id: RegistrationId, min_sequence: Sequence, sight: &Sight) -> Result<Option<Row>, Status> {
        let row = self.row(id, min_sequence).await?;
        Ok(row.filter(|row| sees(sight, row)))
    }

    /// The row of a registration, at least as new as `min_sequence` and as its own acceptance.
    pub async fn row(&self, id: RegistrationId, min_sequence: Sequence) -> Result<Option<Row>, Status> {
        self.check_ready()?;
        let accepted_at = self.recent_place(id).map_or(0, |(_, sequence)| sequence);
        let wanted = min_sequence.max(accepted_at);
        if wanted > self.status.position() {
            self.reach(wanted).await?;
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

/// Whether a row is there for whoever has this sight.
pub fn sees(sight: &Sight, row: &Row) -> bool {
    sight.sees(&row.registration.tenant, &row.registration.owner_ref)
}
