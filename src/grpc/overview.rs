//! The overview of the whole operation: put together once for all who watch, and only while somebody does.

use std::sync::Arc;
use std::time::Duration;

use events::{Sequence, Status, Timestamp};
use handlers::{EngineHandle, World};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use projections::{AnalyticsView, DeadlineCounts, Funnel, MetricsError, MetricsFilter, Resolution, Tally, Window};
use proto::v1;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::audit::timestamp;
use super::views::Views;
use super::{analytics, makers, wire};

/// Between two looks at everything.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The longest time without a new one, also when nothing changes.
const TELL_AT_LEAST_EVERY: Duration = Duration::from_secs(10);
/// How far back attempts count.
const HOUR_US: i64 = 3_600_000_000;

/// The latest overview; nothing when nobody watched lately.
pub type Latest = watch::Receiver<Option<Arc<v1::Overview>>>;

/// Where overviews are had; clones share the work.
#[derive(Clone)]
pub struct Overviews {
    latest: watch::Sender<Option<Arc<v1::Overview>>>,
    wanted: Arc<Notify>,
}

impl Overviews {
    /// Puts them together until `shutdown`.
    pub fn start(world: Arc<World>, views: Arc<Views>, engine: EngineHandle, shutdown: CancellationToken) -> Self {
        let overviews = Self { latest: watch::Sender::new(None), wanted: Arc::default() };
        let desk = Desk { world, views, engine, overviews: overviews.clone() };
        tokio::spawn(async move {
            tokio::select! {
                () = desk.run() => {}
                () = shutdown.cancelled() => {}
            }
        });
        overviews
    }

    /// Tells the latest overview, and each that comes. Nothing stands in it before the first.
    pub fn subscribe(&self) -> Latest {
        let latest = self.latest.subscribe();
        self.wanted.notify_one();
        latest
    }
}

/// What they are put together from.
struct Desk {
    world: Arc<World>,
    views: Arc<Views>,
    engine: EngineHandle,
    overviews: Overviews,
}

/// What the analytics view tells.
struct Analyzed {
    funnel: Funnel,
    deadlines: Vec<DeadlineCounts>,
    last_hour: Tally,
}

impl Desk {
    async fn run(self) {
        let mut told_at = Instant::now();
        loop {
            let latest = &self.overviews.latest;
            if latest.receiver_count() == 0 {
                // an old one is no news for whoever comes next
                latest.send_replace(None);
                self.overviews.wanted.notified().await;
            }
            let overview = self.look().await;
            let due = told_at.elapsed() >= TELL_AT_LEAST_EVERY;
            let told = latest.send_if_modified(|known| {
                let news = due || known.as_ref().is_none_or(|known| differs(known, &overview));
                if news {
                    *known = Some(Arc::new(overview));
                }
                news
            });
            if told {
                told_at = Instant::now();
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look(&self) -> v1::Overview {
        let now = self.world.now();
        let known = self.engine.makers().await;
        let analyzed = self.analyzed(now).await;
        let counts = self.views.status.counts();
        let state = |status: &Status| v1::StateCount { state: wire::state(*status).into(), count: counts.of(*status) };
        let (funnel, deadlines, last_hour) = match analyzed {
            Some(Analyzed { funnel, deadlines, last_hour }) => (Some(funnel), deadlines, Some(last_hour)),
            None => (None, Vec::new(), None),
        };
        v1::Overview {
            time: Some(timestamp(now)),
            makers: known.into_iter().map(|status| makers::maker(status, &self.world.catalog)).collect(),
            states: Status::ALL.iter().map(state).collect(),
            funnel: funnel.map(|funnel| v1::ManualFunnel {
                required: funnel.required,
                sent: funnel.sent,
                opened: funnel.opened,
                completed: funnel.completed,
            }),
            deadlines: deadlines.into_iter().map(deadline).collect(),
            owner: Some(v1::ShardOwner { shards: self.world.options.shards.into(), here: self.world.lease.is_held() }),
            readers: self.readers().await,
            last_hour: last_hour.as_ref().map(analytics::values),
        }
    }

    /// Nothing while the view cannot be read, for example because it is begun anew.
    async fn analyzed(&self, now: Timestamp) -> Option<Analyzed> {
        let (view, today) = (self.views.analytics.clone(), now.to_jiff().to_zoned(TimeZone::UTC).date());
        let asked = tokio::task::spawn_blocking(move || analyze(&view, now, today)).await.ok()?;
        asked.inspect_err(|error| tracing::debug!(%error, "the overview goes without the analytics view")).ok()
    }

    async fn readers(&self) -> Vec<v1::ReaderLag> {
        let positions = [
            ("engine", self.engine.position()),
            ("status view", self.views.status.position()),
            ("analytics view", self.views.analytics.position()),
        ];
        // without an answer of the log, the furthest reader knows best
        let furthest = positions.iter().map(|(_, position)| *position).max().unwrap_or_default();
        let end = self.world.log.head().await.map_or(furthest, |head| head.last_sequence.max(furthest));
        positions.into_iter().map(|(reader, position)| lag(reader, position, end)).collect()
    }
}

fn analyze(view: &AnalyticsView, now: Timestamp, today: Date) -> Result<Analyzed, MetricsError> {
    let window = Window { start: Timestamp(now.0.saturating_sub(HOUR_US)), end: now };
    let by_minute = MetricsFilter { resolution: Some(Resolution::Minute), ..MetricsFilter::default() };
    Ok(Analyzed {
        funnel: view.funnel()?,
        deadlines: view.deadlines(today)?,
        last_hour: view.metrics(window, &by_minute)?.total,
    })
}

/// Whether more than the time has changed.
fn differs(known: &v1::Overview, overview: &v1::Overview) -> bool {
    v1::Overview { time: overview.time, ..known.clone() } != *overview
}

fn lag(reader: &str, position: Sequence, end: Sequence) -> v1::ReaderLag {
    v1::ReaderLag { reader: reader.to_owned(), position, behind: end.saturating_sub(position) }
}

fn deadline(counts: DeadlineCounts) -> v1::DeadlineRisk {
    v1::DeadlineRisk {
        maker: counts.connector,
        passed: counts.passed,
        within_three_days: counts.within_three_days,
        within_two_weeks: counts.within_two_weeks,
    }
}
