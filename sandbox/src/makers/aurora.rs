//! Aurora Baby: children's products, so an address is asked for recalls; a JSON API with a password, and a form of one page.

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::civil::Date;
use serde_json::{Value, json};

use crate::checks::Checks;
use crate::desk::{Desk, Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::web::api::{Clerk, Reply, register};
use crate::web::forms::OnePage;
use crate::web::{Shared, door, intake};

const USER_AND_PASSWORD: &str = "aurora:aurora-secret";

pub(crate) const PROFILE: Profile = Profile {
    slug: "aurora",
    name: "Aurora Baby",
    tagline: "Every first light.",
    form: Some(FORM.path),
    api: Some("/aurora/v2/register"),
    api_serial: "/serial",
    form_serial: "serial",
    code_prefix: "AU",
    serial: SerialRule { mask: "ABhhhhhhhhhh", pattern: r"^AB[0-9A-F]{10}$", example: "AB04C9E17F2A" },
};

const FORM: OnePage = OnePage {
    maker: Maker::Aurora,
    template: "aurora.html",
    path: "/aurora/register",
    thanks_path: "/aurora/register/thanks",
    check: check_form,
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let taking = Router::new().route("/aurora/v2/register", post(register::<Aurora>));
    let side = Router::new().route("/aurora/v2/health", get(|| async { Json(json!({ "status": "up" })) }));
    Router::new()
        .merge(door::api(desk, Maker::Aurora, taking))
        .merge(door::side(desk, Maker::Aurora, side))
        .merge(door::form(desk, Maker::Aurora, form_routes()))
}

fn form_routes() -> Router<Shared> {
    let show = |State(desk): State<Shared>| async move { FORM.show(&desk) };
    let submit = |State(desk): State<Shared>, headers: HeaderMap, body: Bytes| async move {
        FORM.submit(&desk, &headers, &body)
    };
    let thanks = |State(desk): State<Shared>, headers: HeaderMap| async move { FORM.thanks(&desk, &headers) };
    Router::new().route(FORM.path, get(show).post(submit)).route(FORM.thanks_path, get(thanks))
}

struct Aurora;

impl Clerk for Aurora {
    const MAKER: Maker = Maker::Aurora;

    fn authorised(_desk: &Desk, headers: &HeaderMap) -> bool {
        let credentials = intake::header(headers, "authorization").strip_prefix("Basic ");
        credentials
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .is_some_and(|decoded| decoded == USER_AND_PASSWORD.as_bytes())
    }

    fn unauthorised() -> Reply {
        (StatusCode::UNAUTHORIZED, json!({ "detail": "Not authenticated" }))
    }

    fn malformed() -> Reply {
        (
            StatusCode::UNPROCESSABLE_ENTITY,
            json!({ "detail": [{ "loc": ["body"], "msg": "The body is not a JSON object." }] }),
        )
    }

    fn check(fields: &Value) -> Result<Date, Vec<Problem>> {
        Checks::of(fields)
            .present("/sku", "sku")
            .serial(Maker::Aurora, "/serial", "serial")
            .present("/parent/name", "parent.name")
            .email("/parent/email", "parent.email")
            .present("/parent/street", "parent.street")
            .present("/parent/postalCode", "parent.postalCode")
            .present("/parent/city", "parent.city")
            .present("/parent/country", "parent.country")
            .purchased("/boughtOn", "boughtOn", "%Y-%m-%d")
    }

    fn answer(outcome: &Outcome) -> Reply {
        match outcome {
            Outcome::Registered(known) | Outcome::Repeated(known) => {
                (StatusCode::CREATED, json!({ "confirmationNumber": known.confirmation }))
            }
            Outcome::Duplicate(known) => (
                StatusCode::CONFLICT,
                json!({ "detail": "This product is registered already.", "confirmationNumber": known.confirmation }),
            ),
            Outcome::Refused(problems) => {
                let detail: Vec<Value> = problems.iter().map(located).collect();
                (StatusCode::UNPROCESSABLE_ENTITY, json!({ "detail": detail }))
            }
        }
    }
}

/// `{"loc": ["parent", "city"], "msg": "..", "type": ".."}`
fn located(problem: &Problem) -> Value {
    let path: Vec<&str> = problem.field.split('.').collect();
    json!({ "loc": path, "msg": problem.message, "type": problem.code })
}

fn check_form(fields: &Value) -> Result<Date, Vec<Problem>> {
    Checks::of(fields)
        .present("/sku", "sku")
        .serial(Maker::Aurora, "/serial", "serial")
        .present("/parent_name", "parent_name")
        .email("/email", "email")
        .present("/street", "street")
        .present("/postal_code", "postal_code")
        .present("/city", "city")
        .present("/country", "country")
        .ticked("/accept_terms", "accept_terms")
        .purchased("/bought_on", "bought_on", "%Y-%m-%d")
}
