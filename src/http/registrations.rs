//! Registrations as JSON: hand over, ask, finish.

use axum::extract::{Path, State};
use axum::http::header::{ETAG, LOCATION};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json as Answer, http};
use futures::TryStreamExt;
use proto::v1;
use proto::v1::audit_server::Audit;
use proto::v1::registrations_server::Registrations;
use serde::Serialize;
use serde_json::json;
use tonic::Request;

use super::body::{Json, OptionalJson};
use super::params::Params;
use super::problem::Problem;
use super::{Http, admit};

/// The client's own id of a request.
pub const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// A request as the services take it, with the pass of whoever asks; without one they answer nothing.
pub fn ask<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    admit::pass().into_iter().for_each(|pass| drop(request.extensions_mut().insert(pass)));
    request
}

/// What the client that submitted may want next.
#[derive(Serialize)]
struct Links {
    #[serde(rename = "self")]
    own: String,
    track: String,
    events: String,
    explain: String,
    history: String,
    packet: String,
    complete: String,
    cancel: String,
    retry: String,
}

impl Links {
    fn of(registration: &v1::Registration) -> Self {
        let (id, sequence) = (&registration.id, registration.sequence);
        let path = |what: &str| format!("/api/registration/{id}{what}");
        Self {
            own: path(""),
            track: format!("/track/{id}"),
            events: format!("/events?registration={id}&after={sequence}"),
            explain: path("/explain"),
            history: path("/history"),
            packet: path("/packet"),
            complete: path("/complete"),
            cancel: path("/cancel"),
            retry: path("/retry"),
        }
    }
}

/// POST /api/registration
pub async fn submit(
    State(http): State<Http>,
    headers: HeaderMap,
    Json(mut request): Json<v1::SubmitRequest>,
) -> Result<Response, Problem> {
    if !request.request_id.is_empty() {
        return Err(Problem::field("requestId", "is not taken here; send it as the header Idempotency-Key"));
    }
    request.request_id = idempotency_key(&headers)?;
    let validate_only = request.validate_only;
    let answer = http.services.registrations.submit(ask(request)).await?.into_inner();
    let registration = answer.registration.unwrap_or_default();
    if validate_only {
        return Ok(Answer(json!({ "registration": registration })).into_response());
    }
    let links = Links::of(&registration);
    let headers = [(LOCATION, links.own.clone()), (ETAG, quoted(&registration.etag))];
    let body = json!({
        "registration": registration,
        "repeatedRequest": answer.repeated_request,
        "links": links,
    });
    Ok((StatusCode::ACCEPTED, headers, Answer(body)).into_response())
}

fn idempotency_key(headers: &HeaderMap) -> Result<String, Problem> {
    match headers.get(IDEMPOTENCY_KEY).map(|value| value.to_str()) {
        None => Ok(String::new()),
        // some clients write it as a structured field, in quotation marks
        Some(Ok(key)) => Ok(key.trim().trim_matches('"').to_owned()),
        Some(Err(_)) => Err(Problem::field("Idempotency-Key", "must be printable ASCII")),
    }
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// A registration, with its etag in the header as well.
fn shown(registration: v1::Registration) -> Response {
    ([(ETAG, quoted(&registration.etag))], Answer(registration)).into_response()
}

/// GET /api/registration/{id}
pub async fn get(State(http): State<Http>, Path(id): Path<String>, mut params: Params) -> Result<Response, Problem> {
    let min_sequence = params.number("min_sequence")?.unwrap_or_default();
    params.finish()?;
    let request = v1::GetRequest { id, min_sequence };
    Ok(shown(http.services.registrations.get(ask(request)).await?.into_inner()))
}

/// GET /api/registration
pub async fn list(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::ListResponse>, Problem> {
    let request = v1::ListRequest {
        states: params.states("state")?,
        maker: params.one("maker")?.unwrap_or_default(),
        owner_ref: params.one("owner_ref")?.unwrap_or_default(),
        page_size: params.number("page_size")?.unwrap_or_default(),
        page_token: params.one("page_token")?.unwrap_or_default(),
    };
    params.finish()?;
    Ok(Answer(http.services.registrations.list(ask(request)).await?.into_inner()))
}

/// POST /api/registration/{id}/complete
pub async fn complete(
    State(http): State<Http>,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(request): OptionalJson<v1::CompleteRequest>,
) -> Result<Response, Problem> {
    let request = v1::CompleteRequest { id: same_id(id, &request.id)?, etag: etag(&headers, request.etag)?, ..request };
    Ok(shown(http.services.registrations.complete(ask(request)).await?.into_inner()))
}

/// POST /api/registration/{id}/cancel
pub async fn cancel(
    State(http): State<Http>,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(request): OptionalJson<v1::CancelRequest>,
) -> Result<Response, Problem> {
    let request = v1::CancelRequest { id: same_id(id, &request.id)?, etag: etag(&headers, request.etag)?, ..request };
    Ok(shown(http.services.registrations.cancel(ask(request)).await?.into_inner()))
}

/// POST /api/registration/{id}/retry
pub async fn retry(
    State(http): State<Http>,
    Path(id): Path<String>,
    headers: HeaderMap,
    OptionalJson(request): OptionalJson<v1::RetryRequest>,
) -> Result<Response, Problem> {
    let request = v1::RetryRequest { id: same_id(id, &request.id)?, etag: etag(&headers, request.etag)?, ..request };
    Ok(shown(http.services.registrations.retry(ask(request)).await?.into_inner()))
}

/// The path names the registration; a body that names another one is a mistake.
fn same_id(path: String, body: &str) -> Result<String, Problem> {
    match body {
        "" => Ok(path),
        same if same == path => Ok(path),
        _ => Err(Problem::field("id", "is not the one in the path; leave it out of the body")),
    }
}

/// From the body, or as HTTP has it: If-Match.
fn etag(headers: &HeaderMap, body: String) -> Result<String, Problem> {
    match headers.get(http::header::IF_MATCH).map(|value| value.to_str()) {
        None | Some(Ok("*")) => Ok(body),
        Some(Ok(etag)) if body.is_empty() => Ok(etag.to_owned()),
        Some(Ok(_)) => Err(Problem::field("etag", "is given in If-Match and in the body; give it once")),
        Some(Err(_)) => Err(Problem::field("If-Match", "is not an etag that this service gave")),
    }
}

/// GET /api/registration/{id}/explain
pub async fn explain(State(http): State<Http>, Path(id): Path<String>) -> Result<Answer<v1::Explanation>, Problem> {
    let request = v1::ExplainRequest { id };
    Ok(Answer(http.services.registrations.explain(ask(request)).await?.into_inner()))
}

/// GET /api/registration/{id}/history
pub async fn history(State(http): State<Http>, Path(id): Path<String>) -> Result<Answer<serde_json::Value>, Problem> {
    let records = http.services.audit.replay(ask(v1::ReplayRequest { id, ..Default::default() })).await?.into_inner();
    let records: Vec<v1::RecordView> = records.try_collect().await?;
    Ok(Answer(json!({ "records": records })))
}
