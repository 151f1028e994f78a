//! regflow.v1.Analytics: how the makers did over time, and how the whole operation does now.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use events::{ErrorKind, Timestamp};
use futures::StreamExt;
use handlers::World;
use projections::{
    AnalyticsView, CircuitChange, HealthRound, LIST_MAX, Metrics, MetricsError, MetricsFilter, POINTS_MAX,
    PastIncident, Resolution, Series, Tally, ViewError, Window,
};
use proto::v1;
use proto::v1::analytics_server::Analytics;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::audit::timestamp;
use super::overview::Overviews;
use super::views::Views;
use super::{convert, errors, makers, wire};

/// The window of metrics when a request names no begin.
const METRICS_WINDOW: Duration = Duration::from_secs(3_600);
/// The window of lists when a request names no begin.
const LIST_WINDOW: Duration = Duration::from_secs(86_400);
/// Entries of a list when a request names no limit.
const LIST_DEFAULT: usize = 100;

/// The analytics service; clones share everything.
#[derive(Clone)]
pub struct AnalyticsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
    pub overviews: Overviews,
    /// Ends the streams of watchers, which would hold up a stop for ever.
    pub shutdown: CancellationToken,
}

impl AnalyticsService {
    /// Asks the view, on a thread that may block.
    async fn ask<T: Send + 'static, E: Send + 'static>(
        &self,
        question: impl FnOnce(&AnalyticsView) -> Result<T, E> + Send + 'static,
    ) -> Result<T, Status>
    where
        Status: From<Unanswered<E>>,
    {
        self.views.check_analytics_ready()?;
        let view = self.views.analytics.clone();
        let answer = tokio::task::spawn_blocking(move || question(&view)).await;
        let answer = answer.map_err(|_| unavailable("the analytics view cannot be read"))?;
        answer.map_err(|error| Unanswered(error).into())
    }

    /// The window of a request; all that is wrong with it is told at once.
    fn window(
        &self,
        start: Option<proto::Timestamp>,
        end: Option<proto::Timestamp>,
        default: Duration,
    ) -> Result<Window, Status> {
        let (start, end) = (convert::moment("start_time", start), convert::moment("end_time", end));
        let problems: Vec<_> = [start.as_ref().err(), end.as_ref().err()].into_iter().flatten().cloned().collect();
        let (Ok(start), Ok(end)) = (start, end) else { return Err(errors::invalid(&problems)) };
        let end = end.unwrap_or_else(|| self.world.now());
        let start = start.unwrap_or_else(|| before(end, default));
        if start >= end {
            return Err(errors::invalid_field("start_time", "must lie before `end_time`"));
        }
        Ok(Window { start, end })
    }
}

/// Why the view gave no answer.
struct Unanswered<E>(E);

impl From<Unanswered<ViewError>> for Status {
    fn from(Unanswered(error): Unanswered<ViewError>) -> Self {
        unavailable(error.to_string())
    }
}

impl From<Unanswered<MetricsError>> for Status {
    fn from(Unanswered(error): Unanswered<MetricsError>) -> Self {
        match error {
            MetricsError::TooManyPoints { points } => {
                let text = format!(
                    "gives {points} points in this window, and at most {POINTS_MAX} are given; \
                     use a coarser one or a shorter window"
                );
                errors::invalid_field("resolution", &text)
            }
            MetricsError::View(error) => unavailable(error.to_string()),
        }
    }
}

fn unavailable(text: impl Into<String>) -> Status {
    errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", text)
}

#[tonic::async_trait]
impl Analytics for AnalyticsService {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::Overview, Status>> + Send>>;

    async fn metrics(&self, request: Request<v1::MetricsRequest>) -> Result<Response<v1::MetricsResponse>, Status> {
        let request = request.into_inner();
        let window = self.window(request.start_time, request.end_time, METRICS_WINDOW)?;
        let filter = MetricsFilter {
            connector: convert::optional(request.maker),
            method: convert::method("method", request.method)?,
            resolution: resolution(request.resolution)?,
        };
        let metrics = self.ask(move |view| view.metrics(window, &filter)).await?;
        Ok(Response::new(metrics_on_the_wire(metrics)))
    }

    async fn circuits(&self, request: Request<v1::CircuitsRequest>) -> Result<Response<v1::CircuitsResponse>, Status> {
        let request = request.into_inner();
        let window = self.window(request.start_time, request.end_time, LIST_WINDOW)?;
        let (maker, limit) = (convert::optional(request.maker), limit(request.limit)?);
        let changes = self.ask(move |view| view.circuits(window, maker.as_deref(), limit)).await?;
        Ok(Response::new(v1::CircuitsResponse { changes: changes.into_iter().map(circuit_change).collect() }))
    }

    async fn health(&self, request: Request<v1::HealthRequest>) -> Result<Response<v1::HealthResponse>, Status> {
        let request = request.into_inner();
        let window = self.window(request.start_time, request.end_time, LIST_WINDOW)?;
        let (maker, limit) = (convert::optional(request.maker), limit(request.limit)?);
        let rounds = self.ask(move |view| view.health(window, maker.as_deref(), limit)).await?;
        Ok(Response::new(v1::HealthResponse { rounds: rounds.into_iter().map(round).collect() }))
    }

    async fn incidents(
        &self,
        request: Request<v1::IncidentsRequest>,
    ) -> Result<Response<v1::IncidentsResponse>, Status> {
        let request = request.into_inner();
        let (maker, open_only, limit) = (convert::optional(request.maker), request.open_only, limit(request.limit)?);
        let incidents = self.ask(move |view| view.incidents(maker.as_deref(), open_only, limit)).await?;
        Ok(Response::new(v1::IncidentsResponse { incidents: incidents.into_iter().map(incident).collect() }))
    }

    async fn watch(&self, _: Request<v1::WatchOverviewRequest>) -> Result<Response<Self::WatchStream>, Status> {
        self.views.check_ready()?;
        let overviews = WatchStream::new(self.overviews.subscribe()).filter_map(|latest| async move { latest });
        let shutdown = self.shutdown.clone();
        let overviews = overviews.map(|overview| Ok((*overview).clone())).take_until(shutdown.cancelled_owned());
        Ok(Response::new(Box::pin(overviews)))
    }
}

fn before(end: Timestamp, length: Duration) -> Timestamp {
    Timestamp(end.0.saturating_sub(i64::try_from(length.as_micros()).unwrap_or(i64::MAX)))
}

fn limit(number: i32) -> Result<usize, Status> {
    match usize::try_from(number) {
        Ok(0) => Ok(LIST_DEFAULT),
        Ok(limit) if limit <= LIST_MAX => Ok(limit),
        Ok(_) | Err(_) => Err(errors::invalid_field("limit", &format!("must be 0 (for {LIST_DEFAULT}) to {LIST_MAX}"))),
    }
}

/// How fine; nothing when it is left open.
pub fn resolution(number: i32) -> Result<Option<Resolution>, Status> {
    match v1::Resolution::try_from(number) {
        Ok(v1::Resolution::Unspecified) => Ok(None),
        Ok(v1::Resolution::Minute) => Ok(Some(Resolution::Minute)),
        Ok(v1::Resolution::Hour) => Ok(Some(Resolution::Hour)),
        Ok(v1::Resolution::Day) => Ok(Some(Resolution::Day)),
        Err(_) => Err(errors::invalid_field("resolution", "is unknown; use MINUTE, HOUR or DAY")),
    }
}

/// How makers did over a window.
pub fn metrics_on_the_wire(metrics: Metrics) -> v1::MetricsResponse {
    let resolution = match metrics.resolution {
        Resolution::Minute => v1::Resolution::Minute,
        Resolution::Hour => v1::Resolution::Hour,
        Resolution::Day => v1::Resolution::Day,
    };
    v1::MetricsResponse {
        resolution: resolution.into(),
        start_time: Some(timestamp(metrics.window.start)),
        end_time: Some(timestamp(metrics.window.end)),
        series: metrics.series.into_iter().map(series).collect(),
        total: Some(values(&metrics.total)),
    }
}

fn series(series: Series) -> v1::MetricSeries {
    let point = |(start, tally): &(Timestamp, Tally)| v1::MetricPoint {
        start_time: Some(timestamp(*start)),
        values: Some(values(tally)),
    };
    v1::MetricSeries {
        method: wire::method(Some(series.method)).into(),
        total: Some(values(&series.total)),
        points: series.points.iter().map(point).collect(),
        maker: series.connector,
    }
}

/// What became of attempts.
pub fn values(tally: &Tally) -> v1::MetricValues {
    let error = |(kind, count): (ErrorKind, u64)| v1::ErrorCount { kind: wire::error_kind(kind).into(), count };
    v1::MetricValues {
        attempts: tally.attempts(),
        succeeded: tally.succeeded(),
        success_percent: tally.success_percent(),
        latency_ms_p50: tally.latency_ms(50),
        latency_ms_p95: tally.latency_ms(95),
        latency_ms_p99: tally.latency_ms(99),
        errors: tally.errors().into_iter().map(error).collect(),
    }
}

fn circuit_change(change: CircuitChange) -> v1::CircuitChange {
    v1::CircuitChange {
        sequence: change.sequence,
        time: Some(timestamp(change.at)),
        maker: change.connector,
        method: wire::method(change.method).into(),
        event: change.event,
        actor: change.actor,
        reason: change.reason,
    }
}

fn round(round: HealthRound) -> v1::HealthRound {
    v1::HealthRound {
        time: Some(timestamp(round.at)),
        maker: round.connector,
        health: makers::health(round.state).into(),
        detail: round.detail,
    }
}

fn incident(incident: PastIncident) -> v1::PastIncident {
    v1::PastIncident {
        maker: incident.connector,
        start_time: Some(timestamp(incident.since)),
        end_time: incident.until.map(timestamp),
        health: makers::health(incident.state).into(),
        detail: incident.detail,
    }
}
