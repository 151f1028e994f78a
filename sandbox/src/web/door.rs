//! The door in front of each maker's routes: the faults that strike before, or hide what happened after.

use std::time::Duration;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header::RETRY_AFTER};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{Html, IntoResponse, Response};
use axum::{Json, Router};
use serde_json::json;

use super::{Shared, intake};
use crate::checks::text;
use crate::desk::{Committed, Submission};
use crate::faults::{Fault, Mode, Target};
use crate::ledger::Method;
use crate::maker::Maker;

/// A longer latency than this is cut, so that a slip of the finger does not stop a test run.
const LATENCY_MAX: Duration = Duration::from_secs(120);
/// After this a hanging request loses its connection.
const HANG_MAX: Duration = Duration::from_secs(600);

/// Marks an answer that must never be sent: the server closes the connection instead.
#[derive(Clone, Copy)]
pub(crate) struct HangUp;

#[derive(Clone)]
struct Door {
    desk: Shared,
    maker: Maker,
    method: Method,
    /// Health checks and lookups are spared by counted faults, so that a test can rely on its count.
    spared_by_counted: bool,
}

/// Routes that register products by API.
pub(crate) fn api(desk: &Shared, maker: Maker, routes: Router<Shared>) -> Router<Shared> {
    let limit = DefaultBodyLimit::max(intake::API_BODY_BYTES_MAX);
    guard(Door { desk: desk.clone(), maker, method: Method::Api, spared_by_counted: false }, routes).layer(limit)
}

/// Health checks and lookups of an API.
pub(crate) fn side(desk: &Shared, maker: Maker, routes: Router<Shared>) -> Router<Shared> {
    guard(Door { desk: desk.clone(), maker, method: Method::Api, spared_by_counted: true }, routes)
}

/// The pages of a form.
pub(crate) fn form(desk: &Shared, maker: Maker, routes: Router<Shared>) -> Router<Shared> {
    let limit = DefaultBodyLimit::max(intake::FORM_BODY_BYTES_MAX);
    guard(Door { desk: desk.clone(), maker, method: Method::Form, spared_by_counted: false }, routes).layer(limit)
}

fn guard(door: Door, routes: Router<Shared>) -> Router<Shared> {
    routes.route_layer(from_fn_with_state(door, pass))
}

async fn pass(State(door): State<Door>, request: Request, next: Next) -> Response {
    let (desk, mode) = (&door.desk, strikes(&door, request.headers()));
    wait(desk.latency).await;
    tokio::select! {
        () = wait(added_latency(mode.as_ref())) => {}
        () = desk.faults.until_cleared() => {}
    }
    match mode {
        Some(Mode::Status { status, retry_after_s }) => turned_away(&door, request, status, retry_after_s).await,
        Some(Mode::RateLimited { retry_after_s }) => turned_away(&door, request, 429, retry_after_s).await,
        Some(Mode::Hang) => hung(&door, request).await,
        Some(
            Mode::Latency { .. }
            | Mode::DropAfterCommit
            | Mode::Captcha
            | Mode::RenameField { .. }
            | Mode::AddField { .. }
            | Mode::RemoveField { .. }
            | Mode::ToggleRequired { .. }
            | Mode::AlreadyRegistered
            | Mode::LoginWall
            | Mode::None,
        )
        | None => hide_if_told(&door, next.run(request).await),
    }
}

/// The fault that hits this request at the door, if any.
fn strikes(door: &Door, headers: &HeaderMap) -> Option<Mode> {
    let faults = &door.desk.faults;
    let key = || intake::idempotency_key(headers);
    let strikes = |fault: &Fault| {
        fault.mode.at_the_door()
            && !(door.spared_by_counted && fault.times.is_some())
            && (!fault.once_each || faults.is_first(key().as_deref()))
    };
    faults.take(Target::Maker(door.maker), door.method, strikes)
}

fn added_latency(mode: Option<&Mode>) -> Duration {
    if let Some(Mode::Latency { ms }) = mode { Duration::from_millis(*ms).min(LATENCY_MAX) } else { Duration::ZERO }
}

async fn wait(latency: Duration) {
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
}

fn hide_if_told(door: &Door, mut response: Response) -> Response {
    let committed = response.extensions().get::<Committed>().is_some();
    let hides = |fault: &Fault| fault.mode == Mode::DropAfterCommit;
    if committed && door.desk.faults.take(Target::Maker(door.maker), door.method, hides).is_some() {
        response.extensions_mut().insert(HangUp);
    }
    response
}

async fn turned_away(door: &Door, request: Request, status: u16, retry_after_s: Option<u64>) -> Response {
    note(door, request, status).await;
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = match door.method {
        Method::Api => (status, Json(json!({ "error": "unavailable", "status": status.as_u16() }))).into_response(),
        Method::Form => (status, Html(door.desk.pages.trouble(door.maker, status))).into_response(),
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn hung(door: &Door, request: Request) -> Response {
    note(door, request, 0).await;
    tokio::select! {
        () = tokio::time::sleep(HANG_MAX) => {}
        () = door.desk.shutdown.cancelled() => {}
    }
    let mut response = StatusCode::SERVICE_UNAVAILABLE.into_response();
    response.extensions_mut().insert(HangUp);
    response
}

/// The ledger shows also what was turned away, with the serial where it can be read.
async fn note(door: &Door, request: Request, status: u16) {
    if request.method() != axum::http::Method::POST || door.spared_by_counted {
        return;
    }
    let (parts, body) = request.into_parts();
    let body = read(body).await;
    door.desk.note(unread(door, &parts.headers, &body), status);
}

async fn read(body: Body) -> Bytes {
    // Uploads are not worth keeping here: what is too long for an API is not read.
    to_bytes(body, intake::API_BODY_BYTES_MAX).await.unwrap_or_default()
}

fn unread(door: &Door, headers: &HeaderMap, body: &[u8]) -> Submission {
    let fields = intake::anything(headers, body);
    let profile = door.maker.profile();
    let serial = match door.method {
        Method::Api => text(&fields, profile.api_serial),
        Method::Form => fields.get(profile.form_serial).and_then(serde_json::Value::as_str).unwrap_or_default(),
    };
    Submission {
        maker: door.maker,
        method: door.method,
        serial: serial.to_owned(),
        idempotency_key: intake::idempotency_key(headers),
        fields,
    }
}
