//! What happened, as a stream of lines, and how everything was.

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use futures::TryStreamExt;
use proto::v1::audit_server::Audit;
use proto::{Timestamp, v1};

use super::Http;
use super::analytics::resolution;
use super::params::Params;
use super::problem::Problem;
use super::registrations::ask;
use crate::show::wire_time;

/// JSON Lines, each a CloudEvent.
pub const NDJSON: &str = "application/x-ndjson";

/// GET /api/audit/replay
pub async fn replay(State(http): State<Http>, mut params: Params) -> Result<Response, Problem> {
    let request = v1::ReplayRequest {
        id: params.one("id")?.unwrap_or_default(),
        owner_ref: params.one("owner_ref")?.unwrap_or_default(),
        tenant: params.one("tenant")?.unwrap_or_default(),
        maker: params.one("maker")?.unwrap_or_default(),
        with_registrations: params.flag("with_registrations")?,
        from_sequence: params.number("from_sequence")?.unwrap_or_default(),
        until_sequence: params.number("until_sequence")?.unwrap_or_default(),
        from_time: time(&mut params, "from_time")?,
        until_time: time(&mut params, "until_time")?,
    };
    params.finish()?;
    let chunks = http.services.audit.export(ask(request)).await?.into_inner();
    // an error behind the first chunk breaks the connection off: no end of the body, so nobody takes it for whole
    let lines = chunks.map_ok(|chunk| chunk.lines).map_err(std::io::Error::other);
    // a chunk without a line says how far it has come, which is no news here
    let lines = lines.try_filter(|lines| std::future::ready(!lines.is_empty()));
    Ok(([(CONTENT_TYPE, NDJSON)], Body::from_stream(lines)).into_response())
}

/// GET /api/audit/as-of
pub async fn as_of(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::AsOfResponse>, Problem> {
    let request = v1::AsOfRequest {
        sequence: params.number("sequence")?.unwrap_or_default(),
        time: time(&mut params, "time")?,
        id: params.one("id")?.unwrap_or_default(),
        page_size: params.number("page_size")?.unwrap_or_default(),
        states: params.states("state")?,
        maker: params.one("maker")?.unwrap_or_default(),
        owner_ref: params.one("owner_ref")?.unwrap_or_default(),
        window_seconds: params.number("window_seconds")?.unwrap_or_default(),
        resolution: resolution(&mut params)?.into(),
    };
    params.finish()?;
    Ok(Answer(http.services.audit.as_of(ask(request)).await?.into_inner()))
}

fn time(params: &mut Params, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = params.one(name)? else { return Ok(None) };
    let read: Result<jiff::Timestamp, _> = text.parse();
    let problem = "is no time; write it like 2026-11-25T08:00:00Z";
    read.map(|time| Some(wire_time(time.into()))).map_err(|_| Problem::field(name, problem))
}
