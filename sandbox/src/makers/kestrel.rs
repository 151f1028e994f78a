//! Kestrel Tools: OAuth2 client credentials and form-encoded bodies; no idempotency, no lookup.

use std::time::Instant;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use minijinja::context;
use serde_json::{Map, Value, json};

use crate::checks::{Checks, text};
use crate::desk::{Desk, Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::web::api::{Clerk, Reply, register};
use crate::web::{Shared, door, intake, pages, tokens};

const CLIENT_ID: &str = "kestrel-client";
const CLIENT_SECRET: &str = "kestrel-secret";

pub(crate) const PROFILE: Profile = Profile {
    slug: "kestrel",
    name: "Kestrel Tools",
    tagline: "Hold steady.",
    form: None,
    api: Some("/kestrel/api/warranty"),
    api_serial: "/serial_no",
    form_serial: "",
    code_prefix: "KT",
    serial: SerialRule { mask: "K999999999", pattern: r"^K\d{9}$", example: "K204815162" },
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let taking = Router::new().route("/kestrel/api/warranty", post(register::<Kestrel>));
    let side = Router::new().route("/kestrel/api/ping", get(|| async { Json(json!({ "pong": true })) }));
    let token =
        |State(desk): State<Shared>, headers: HeaderMap, body: Bytes| async move { token(&desk, &headers, &body) };
    Router::new()
        .merge(door::api(desk, Maker::Kestrel, taking))
        .merge(door::side(desk, Maker::Kestrel, side))
        .route("/kestrel/oauth/token", post(token))
        .route("/kestrel/warranty", get(|State(desk): State<Shared>| async move { page(&desk) }))
}

struct Kestrel;

impl Clerk for Kestrel {
    const MAKER: Maker = Maker::Kestrel;

    fn authorised(desk: &Desk, headers: &HeaderMap) -> bool {
        let token = intake::header(headers, "authorization").strip_prefix("Bearer ");
        token.is_some_and(|token| desk.tokens.good(token, Instant::now()))
    }

    fn unauthorised() -> Reply {
        (StatusCode::UNAUTHORIZED, json!({ "error": "invalid_token" }))
    }

    fn malformed() -> Reply {
        (StatusCode::BAD_REQUEST, json!({ "result": { "state": "REJECTED", "problems": { "body": "unreadable" } } }))
    }

    fn parse(body: &[u8]) -> Option<Value> {
        Some(intake::pairs(body))
    }

    /// This maker has never heard of idempotency keys.
    fn idempotency_key(_headers: &HeaderMap, _fields: &Value) -> Option<String> {
        None
    }

    fn check(fields: &Value) -> Result<Date, Vec<Problem>> {
        Checks::of(fields)
            .present("/model", "model")
            .serial(Maker::Kestrel, "/serial_no", "serial_no")
            .present("/full_name", "full_name")
            .email("/email", "email")
            .purchased("/purchase_date", "purchase_date", "%Y-%m-%d")
    }

    fn answer(outcome: &Outcome) -> Reply {
        match outcome {
            Outcome::Registered(known) | Outcome::Repeated(known) => {
                (StatusCode::OK, json!({ "result": { "warranty_no": known.confirmation, "state": "ACTIVE" } }))
            }
            Outcome::Duplicate(known) => (
                StatusCode::CONFLICT,
                json!({ "result": { "warranty_no": known.confirmation, "state": "ALREADY_ACTIVE" } }),
            ),
            Outcome::Refused(problems) => {
                let named: Map<String, Value> =
                    problems.iter().map(|problem| (problem.field.to_owned(), problem.message.clone().into())).collect();
                (StatusCode::BAD_REQUEST, json!({ "result": { "state": "REJECTED", "problems": named } }))
            }
        }
    }
}

/// RFC 6749, section 4.4: the client's name and secret come in the body or as HTTP basic.
fn token(desk: &Desk, headers: &HeaderMap, body: &[u8]) -> Response {
    let fields = intake::pairs(body);
    if text(&fields, "/grant_type") != "client_credentials" {
        return (StatusCode::BAD_REQUEST, Json(json!({ "error": "unsupported_grant_type" }))).into_response();
    }
    let in_body = text(&fields, "/client_id") == CLIENT_ID && text(&fields, "/client_secret") == CLIENT_SECRET;
    let basic = format!("Basic {}", STANDARD.encode(format!("{CLIENT_ID}:{CLIENT_SECRET}")));
    if !in_body && intake::header(headers, "authorization") != basic {
        return (StatusCode::UNAUTHORIZED, Json(json!({ "error": "invalid_client" }))).into_response();
    }
    Json(json!({
        "access_token": desk.tokens.issue(Instant::now()),
        "token_type": "Bearer",
        "expires_in": tokens::LIFETIME.as_secs(),
    }))
    .into_response()
}

fn page(desk: &Desk) -> Html<String> {
    Html(desk.pages.print(
        "info.html",
        context! {
            maker => pages::card(Maker::Kestrel),
            headline => "Three-year warranty for tools that are registered",
            lead => "Register within 30 days of purchase, through your dealer or by sending in the card from the box.",
            phone => "+44 000 000 0000",
            address => "Kestrel Tools Ltd, Warranty Team, 1 Example Way, Anytown",
        },
    ))
}
