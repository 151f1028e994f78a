//! How a maker's API takes a registration; each maker only says what differs.

use std::future::{Ready, ready};

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::civil::Date;
use serde_json::Value;

use super::{Shared, intake};
use crate::checks::text;
use crate::desk::{Desk, Outcome, Problem, Submission};
use crate::ledger::Method;
use crate::maker::Maker;

/// A status and a JSON body.
pub(crate) type Reply = (StatusCode, Value);

/// What is special to one maker's API.
pub(crate) trait Clerk: 'static {
    const MAKER: Maker;

    fn authorised(desk: &Desk, headers: &HeaderMap) -> bool;

    /// The answer to wrong credentials.
    fn unauthorised() -> Reply;

    /// The answer to a body that cannot be read.
    fn malformed() -> Reply;

    fn parse(body: &[u8]) -> Option<Value> {
        intake::json(body)
    }

    fn idempotency_key(headers: &HeaderMap, _fields: &Value) -> Option<String> {
        intake::idempotency_key(headers)
    }

    /// The answer when this product cannot be registered by API at all.
    fn beyond_the_api(_fields: &Value) -> Option<Reply> {
        None
    }

    fn check(fields: &Value) -> Result<Date, Vec<Problem>>;

    fn answer(outcome: &Outcome) -> Reply;
}

/// Takes a registration: credentials, body, checks, decision, ledger, answer.
pub(crate) fn register<C: Clerk>(State(desk): State<Shared>, headers: HeaderMap, body: Bytes) -> Ready<Response> {
    ready(take::<C>(&desk, &headers, &body))
}

fn take<C: Clerk>(desk: &Desk, headers: &HeaderMap, body: &[u8]) -> Response {
    let parsed = C::parse(body);
    let readable = parsed.is_some();
    let submission = received::<C>(headers, parsed.unwrap_or_default());
    if !C::authorised(desk, headers) {
        return turn_away(desk, submission, C::unauthorised());
    }
    if !readable {
        return turn_away(desk, submission, C::malformed());
    }
    if let Some(reply) = C::beyond_the_api(&submission.fields) {
        return turn_away(desk, submission, reply);
    }
    let outcome = desk.decide(&submission, C::check(&submission.fields));
    let (status, body) = C::answer(&outcome);
    desk.answer(submission, &outcome, status, body)
}

fn received<C: Clerk>(headers: &HeaderMap, fields: Value) -> Submission {
    Submission {
        maker: C::MAKER,
        method: Method::Api,
        serial: text(&fields, C::MAKER.profile().api_serial).to_owned(),
        idempotency_key: C::idempotency_key(headers, &fields),
        fields,
    }
}

fn turn_away(desk: &Desk, submission: Submission, (status, body): Reply) -> Response {
    desk.note(submission, status.as_u16());
    (status, Json(body)).into_response()
}
