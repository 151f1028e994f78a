//! Brightwell Audio: a JSON API with a bearer token that cannot take vintage models, and a form of one page that can.

use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::civil::Date;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::checks::{Checks, text};
use crate::desk::{Desk, Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::web::api::{Clerk, Reply, register};
use crate::web::forms::OnePage;
use crate::web::{Shared, door, intake};

/// The whole `Authorization` header.
const AUTHORIZATION: &str = "Bearer brightwell-test-token";
/// Models with this ending are vintage: the API's old backend for them never answers, only the form takes them.
const VINTAGE_SUFFIX: &str = "-V";

pub(crate) const PROFILE: Profile = Profile {
    slug: "brightwell",
    name: "Brightwell Audio",
    tagline: "Hear the room.",
    form: Some(FORM.path),
    api: Some("/brightwell/registrations"),
    api_serial: "/serial",
    form_serial: "serial_number",
    code_prefix: "BW",
    serial: SerialRule { mask: "BW99-999999", pattern: r"^BW\d{2}-\d{6}$", example: "BW24-118205" },
};

const FORM: OnePage = OnePage {
    maker: Maker::Brightwell,
    template: "brightwell.html",
    path: "/brightwell/register",
    thanks_path: "/brightwell/register/thanks",
    check: check_form,
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let look_up = |State(desk): State<Shared>, Query(wanted): Query<Wanted>, headers: HeaderMap| async move {
        look_up(&desk, &wanted.serial, &headers)
    };
    let taking = Router::new().route("/brightwell/registrations", post(register::<Brightwell>));
    let side = Router::new()
        .route("/brightwell/status", get(|| async { Json(json!({ "ok": true })) }))
        .route("/brightwell/registrations", get(look_up));
    Router::new()
        .merge(door::api(desk, Maker::Brightwell, taking))
        .merge(door::side(desk, Maker::Brightwell, side))
        .merge(door::form(desk, Maker::Brightwell, form_routes()))
}

fn form_routes() -> Router<Shared> {
    let show = |State(desk): State<Shared>| async move { FORM.show(&desk) };
    let submit = |State(desk): State<Shared>, headers: HeaderMap, body: Bytes| async move {
        FORM.submit(&desk, &headers, &body)
    };
    let thanks = |State(desk): State<Shared>, headers: HeaderMap| async move { FORM.thanks(&desk, &headers) };
    Router::new().route(FORM.path, get(show).post(submit)).route(FORM.thanks_path, get(thanks))
}

struct Brightwell;

impl Clerk for Brightwell {
    const MAKER: Maker = Maker::Brightwell;

    fn authorised(_desk: &Desk, headers: &HeaderMap) -> bool {
        intake::header(headers, "authorization") == AUTHORIZATION
    }

    fn unauthorised() -> Reply {
        (StatusCode::UNAUTHORIZED, json!({ "ok": false, "error": "unauthorized" }))
    }

    fn malformed() -> Reply {
        (
            StatusCode::BAD_REQUEST,
            json!({ "ok": false, "error": "bad_json", "message": "The body is not a JSON object." }),
        )
    }

    fn beyond_the_api(fields: &Value) -> Option<Reply> {
        let body =
            || json!({ "ok": false, "error": "legacy_backend_unavailable", "message": "legacy backend unavailable" });
        text(fields, "/model")
            .to_ascii_uppercase()
            .ends_with(VINTAGE_SUFFIX)
            .then(|| (StatusCode::SERVICE_UNAVAILABLE, body()))
    }

    fn check(fields: &Value) -> Result<Date, Vec<Problem>> {
        Checks::of(fields)
            .serial(Maker::Brightwell, "/serial", "serial")
            .present("/model", "model")
            .present("/owner/name", "owner.name")
            .email("/owner/email", "owner.email")
            .purchased("/purchased", "purchased", "%d.%m.%Y")
    }

    /// A duplicate is answered with 200: many makers think so, and a client must read the body.
    fn answer(outcome: &Outcome) -> Reply {
        match outcome {
            Outcome::Registered(known) | Outcome::Repeated(known) => {
                (StatusCode::OK, json!({ "ok": true, "code": known.confirmation }))
            }
            Outcome::Duplicate(known) => {
                (StatusCode::OK, json!({ "ok": false, "error": "duplicate", "code": known.confirmation }))
            }
            Outcome::Refused(problems) => (StatusCode::BAD_REQUEST, first_error(problems)),
        }
    }
}

/// This maker names only the first mistake: `serial_invalid`, `owner_email_invalid`.
fn first_error(problems: &[Problem]) -> Value {
    let (field, message) =
        problems.first().map_or(("request", "invalid"), |problem| (problem.field, problem.message.as_str()));
    json!({ "ok": false, "error": format!("{}_invalid", field.replace('.', "_")), "message": message })
}

#[derive(Deserialize)]
struct Wanted {
    serial: String,
}

fn look_up(desk: &Desk, serial: &str, headers: &HeaderMap) -> Response {
    if !Brightwell::authorised(desk, headers) {
        let (status, body) = Brightwell::unauthorised();
        return (status, Json(body)).into_response();
    }
    match desk.registry(Maker::Brightwell).find(serial) {
        Some(known) => Json(json!({ "ok": true, "code": known.confirmation })).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "ok": false, "error": "not_found" }))).into_response(),
    }
}

fn check_form(fields: &Value) -> Result<Date, Vec<Problem>> {
    Checks::of(fields)
        .present("/product_model", "product_model")
        .serial(Maker::Brightwell, "/serial_number", "serial_number")
        .present("/name", "name")
        .email("/email", "email")
        .present("/country", "country")
        .purchased("/purchase_date", "purchase_date", "%Y-%m-%d")
}
