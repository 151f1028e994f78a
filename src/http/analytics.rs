//! How the makers did over time, and the whole operation as it is, as JSON and live.

use std::convert::Infallible;

use axum::Json as Answer;
use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::Event;
use futures::Stream;
use proto::v1::analytics_server::Analytics;
use proto::{Timestamp, v1};

use super::Http;
use super::events::{stream, wait_until_ready};
use super::params::{Params, by_name};
use super::problem::Problem;
use super::registrations::ask;

/// The windows that can be named, and how long they are.
pub const WINDOWS: [(&str, u64); 7] = [
    ("15m", 15 * 60),
    ("1h", 3_600),
    ("6h", 6 * 3_600),
    ("24h", 24 * 3_600),
    ("7d", 7 * 24 * 3_600),
    ("30d", 30 * 24 * 3_600),
    ("365d", 365 * 24 * 3_600),
];

/// The begin of the window that ends now; nothing when none is named.
fn begin(http: &Http, params: &mut Params) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = params.one("window")? else { return Ok(None) };
    let Some((_, seconds)) = WINDOWS.iter().find(|(name, _)| *name == text) else {
        let names: Vec<&str> = WINDOWS.iter().map(|(name, _)| *name).collect();
        return Err(Problem::field("window", format!("is unknown; use one of {}", names.join(", "))));
    };
    let now = http.world().now().0.div_euclid(1_000_000);
    let length = i64::try_from(*seconds).unwrap_or(i64::MAX);
    Ok(Some(Timestamp { seconds: now.saturating_sub(length), nanos: 0 }))
}

/// How fine the points are, if it is named.
pub fn resolution(params: &mut Params) -> Result<v1::Resolution, Problem> {
    match params.one("resolution")? {
        None => Ok(v1::Resolution::Unspecified),
        Some(text) => by_name(&text, "RESOLUTION_", v1::Resolution::from_str_name)
            .ok_or_else(|| Problem::field("resolution", "is unknown; use minute, hour or day")),
    }
}

/// GET /analytics
pub async fn metrics(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::MetricsResponse>, Problem> {
    let resolution = resolution(&mut params)?;
    let request = v1::MetricsRequest {
        start_time: begin(&http, &mut params)?,
        end_time: None,
        maker: params.one("maker")?.unwrap_or_default(),
        method: params.method("method")?.into(),
        resolution: resolution.into(),
    };
    params.finish()?;
    Ok(Answer(http.services.analytics.metrics(ask(request)).await?.into_inner()))
}

/// GET /analytics/circuits
pub async fn circuits(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::CircuitsResponse>, Problem> {
    let request = v1::CircuitsRequest {
        start_time: begin(&http, &mut params)?,
        end_time: None,
        maker: params.one("maker")?.unwrap_or_default(),
        limit: params.number("limit")?.unwrap_or_default(),
    };
    params.finish()?;
    Ok(Answer(http.services.analytics.circuits(ask(request)).await?.into_inner()))
}

/// GET /analytics/health
pub async fn health(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::HealthResponse>, Problem> {
    let request = v1::HealthRequest {
        start_time: begin(&http, &mut params)?,
        end_time: None,
        maker: params.one("maker")?.unwrap_or_default(),
        limit: params.number("limit")?.unwrap_or_default(),
    };
    params.finish()?;
    Ok(Answer(http.services.analytics.health(ask(request)).await?.into_inner()))
}

/// GET /analytics/incidents
pub async fn incidents(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::IncidentsResponse>, Problem> {
    let request = v1::IncidentsRequest {
        maker: params.one("maker")?.unwrap_or_default(),
        open_only: params.flag("open")?,
        limit: params.number("limit")?.unwrap_or_default(),
    };
    params.finish()?;
    Ok(Answer(http.services.analytics.incidents(ask(request)).await?.into_inner()))
}

/// GET /analytics/overview
pub async fn overview(
    State(mut http): State<Http>,
    params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    params.finish()?;
    wait_until_ready(&mut http).await?;
    let overviews = http.services.analytics.watch(ask(v1::WatchOverviewRequest {})).await?.into_inner();
    Ok(stream("overview", overviews, |_| None))
}
