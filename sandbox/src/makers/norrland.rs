//! Norrland Appliances: a tidy JSON API with a key in a header; the last resort is a page for people.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use jiff::ToSpan;
use jiff::civil::Date;
use minijinja::context;
use serde_json::{Value, json};

use crate::checks::{Checks, text};
use crate::desk::{Desk, Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::registry::Registration;
use crate::web::api::{Clerk, Reply, register};
use crate::web::{Shared, door, intake, pages};

/// The value of the `X-Api-Key` header.
const API_KEY: &str = "norrland-test-key";
const WARRANTY_YEARS: i32 = 5;

pub(crate) const PROFILE: Profile = Profile {
    slug: "norrland",
    name: "Norrland Appliances",
    tagline: "Built for long winters.",
    form: None,
    api: Some("/norrland/api/v1/products/register"),
    api_serial: "/product/serialNumber",
    form_serial: "",
    code_prefix: "NR",
    serial: SerialRule { mask: "aa99999999", pattern: r"^[A-Z]{2}\d{8}$", example: "NO12345678" },
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let taking = Router::new().route("/norrland/api/v1/products/register", post(register::<Norrland>));
    let look_up = |State(desk): State<Shared>, Path(serial): Path<String>, headers: HeaderMap| async move {
        look_up(&desk, &serial, &headers)
    };
    let side = Router::new()
        .route("/norrland/api/v1/health", get(|| async { Json(json!({ "status": "ok" })) }))
        .route("/norrland/api/v1/products/{serial}", get(look_up));
    Router::new()
        .merge(door::api(desk, Maker::Norrland, taking))
        .merge(door::side(desk, Maker::Norrland, side))
        .route("/norrland/warranty", get(|State(desk): State<Shared>| async move { page(&desk) }))
}

struct Norrland;

impl Clerk for Norrland {
    const MAKER: Maker = Maker::Norrland;

    fn authorised(_desk: &Desk, headers: &HeaderMap) -> bool {
        intake::header(headers, "x-api-key") == API_KEY
    }

    fn unauthorised() -> Reply {
        (
            StatusCode::UNAUTHORIZED,
            json!({ "code": "UNAUTHORIZED", "message": "The X-Api-Key header is missing or wrong." }),
        )
    }

    fn malformed() -> Reply {
        (StatusCode::BAD_REQUEST, json!({ "code": "MALFORMED_JSON", "message": "The body is not a JSON object." }))
    }

    fn idempotency_key(headers: &HeaderMap, fields: &Value) -> Option<String> {
        let reference = text(fields, "/externalRef");
        intake::idempotency_key(headers).or_else(|| (!reference.is_empty()).then(|| reference.to_owned()))
    }

    fn check(fields: &Value) -> Result<Date, Vec<Problem>> {
        Checks::of(fields)
            .present("/product/model", "product.model")
            .serial(Maker::Norrland, "/product/serialNumber", "product.serialNumber")
            .present("/customer/firstName", "customer.firstName")
            .present("/customer/lastName", "customer.lastName")
            .email("/customer/email", "customer.email")
            .purchased("/product/purchaseDate", "product.purchaseDate", "%Y-%m-%d")
    }

    fn answer(outcome: &Outcome) -> Reply {
        match outcome {
            Outcome::Registered(known) | Outcome::Repeated(known) => (StatusCode::CREATED, registered(known)),
            Outcome::Duplicate(known) => (
                StatusCode::CONFLICT,
                json!({
                    "code": "ALREADY_REGISTERED",
                    "message": "This product is registered already.",
                    "registrationId": known.confirmation,
                }),
            ),
            Outcome::Refused(problems) => (StatusCode::UNPROCESSABLE_ENTITY, json!({ "errors": errors(problems) })),
        }
    }
}

fn registered(known: &Registration) -> Value {
    let until = known.purchased.checked_add(WARRANTY_YEARS.years()).unwrap_or(known.purchased);
    json!({ "status": "registered", "registrationId": known.confirmation, "warrantyUntil": until.to_string() })
}

fn errors(problems: &[Problem]) -> Vec<Value> {
    let error = |problem: &Problem| json!({ "field": problem.field, "code": problem.code, "message": problem.message });
    problems.iter().map(error).collect()
}

fn look_up(desk: &Desk, serial: &str, headers: &HeaderMap) -> Response {
    if !Norrland::authorised(desk, headers) {
        let (status, body) = Norrland::unauthorised();
        return (status, Json(body)).into_response();
    }
    match desk.registry(Maker::Norrland).find(serial) {
        Some(known) => Json(registered(&known)).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({ "code": "NOT_FOUND" }))).into_response(),
    }
}

fn page(desk: &Desk) -> Html<String> {
    Html(desk.pages.print(
        "info.html",
        context! {
            maker => pages::card(Maker::Norrland),
            headline => "Five years of warranty on every appliance",
            lead => "Register within 60 days of purchase. Dealers and service partners register by our partner API; \
                     customers send the warranty card to our service desk.",
            phone => "+47 00 00 00 00",
            address => "Norrland Appliances, Service Desk, P.O. Box 1, 0001 Nordby",
        },
    ))
}
