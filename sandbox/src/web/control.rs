//! The sandbox's own interface: faults on demand, the ledger, and a fresh start.

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use super::Shared;
use crate::faults::{Fault, Mode, Target};
use crate::ledger::{ENTRIES_MAX, Filter};
use crate::maker::Maker;

/// So many entries an answer holds unless `limit` asks for more.
const ENTRIES_SENT: usize = 10_000;
/// A field's new name is at most this long.
const FIELD_NAME_BYTES_MAX: usize = 64;

pub(crate) fn routes() -> Router<Shared> {
    let set = |State(desk): State<Shared>, Path(name): Path<String>, Json(fault): Json<Value>| async move {
        set_fault(&desk, &name, fault)
    };
    let clear = |State(desk): State<Shared>| async move {
        desk.faults.clear();
        StatusCode::NO_CONTENT
    };
    Router::new()
        .route("/_sandbox/faults", get(|State(desk): State<Shared>| async move { Json(faults(&desk)) }).delete(clear))
        .route("/_sandbox/faults/{target}", post(set))
        .route("/_sandbox/tokens", delete(|State(desk): State<Shared>| async move { withdraw_tokens(&desk) }))
        .merge(ledger_routes())
}

fn ledger_routes() -> Router<Shared> {
    let read = |State(desk): State<Shared>, Query(wanted): Query<Wanted>| async move { Json(entries(&desk, wanted)) };
    let clear = |State(desk): State<Shared>| async move {
        desk.ledger.clear();
        StatusCode::NO_CONTENT
    };
    Router::new().route("/_sandbox/ledger", get(read).delete(clear))
}

fn set_fault(desk: &Shared, name: &str, fault: Value) -> Response {
    let Some(target) = Target::from_name(name) else {
        return mistake(StatusCode::NOT_FOUND, "no such maker; the index page lists them, and there is `smtp`");
    };
    let fault: Fault = match serde_json::from_value(fault) {
        Ok(fault) => fault,
        Err(error) => return mistake(StatusCode::UNPROCESSABLE_ENTITY, &error.to_string()),
    };
    if let Err(why) = sound(&fault.mode) {
        return mistake(StatusCode::UNPROCESSABLE_ENTITY, why);
    }
    desk.faults.set(target, fault);
    Json(json!({ "faults": desk.faults.list(target) })).into_response()
}

fn sound(mode: &Mode) -> Result<(), &'static str> {
    match mode {
        Mode::Status { status, .. } if !(400..=599).contains(status) => Err("status must be between 400 and 599"),
        Mode::RenameField { from, to } if !is_field_name(from) || !is_field_name(to) => {
            Err("from and to must be field names: letters, digits, - and _, at most 64")
        }
        Mode::AddField { name } | Mode::RemoveField { name } | Mode::ToggleRequired { name }
            if !is_field_name(name) =>
        {
            Err("name must be a field name: letters, digits, - and _, at most 64")
        }
        Mode::Status { .. }
        | Mode::RenameField { .. }
        | Mode::AddField { .. }
        | Mode::RemoveField { .. }
        | Mode::ToggleRequired { .. }
        | Mode::Latency { .. }
        | Mode::Hang
        | Mode::DropAfterCommit
        | Mode::RateLimited { .. }
        | Mode::Captcha
        | Mode::AlreadyRegistered
        | Mode::LoginWall
        | Mode::None => Ok(()),
    }
}

fn is_field_name(name: &str) -> bool {
    (1..=FIELD_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

fn mistake(status: StatusCode, why: &str) -> Response {
    (status, Json(json!({ "error": why }))).into_response()
}

/// All faults that are set, by maker.
pub(crate) fn faults(desk: &Shared) -> Value {
    let makers = Maker::ALL.into_iter().map(|maker| (maker.slug(), Target::Maker(maker)));
    let set = makers.chain([("smtp", Target::Smtp)]).map(|(name, target)| (name.to_owned(), desk.faults.list(target)));
    Value::Object(set.filter(|(_, faults)| !faults.is_empty()).map(|(name, faults)| (name, json!(faults))).collect())
}

fn withdraw_tokens(desk: &Shared) -> StatusCode {
    desk.tokens.withdraw();
    StatusCode::NO_CONTENT
}

#[derive(Deserialize)]
struct Wanted {
    maker: Option<String>,
    serial: Option<String>,
    limit: Option<usize>,
}

fn entries(desk: &Shared, wanted: Wanted) -> Value {
    let filter = Filter { maker: wanted.maker, serial: wanted.serial };
    let limit = wanted.limit.unwrap_or(ENTRIES_SENT).min(ENTRIES_MAX);
    let count = desk.ledger.count(&filter);
    json!({ "entries": desk.ledger.entries(&filter, limit), "total": count.total, "accepted": count.accepted })
}
