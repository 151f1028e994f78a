//! Castello Cucina: a form in three steps, with a date in three selects, an upload, and consent boxes.

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use minijinja::context;
use serde_json::{Map, Value, json};

use crate::desk::{Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::web::forms::{self, Visitor, captcha_problem, expired, guise, problem_rows, received, unmask, visitor};
use crate::web::pages::{self, Guise};
use crate::web::{Shared, door, intake};

mod steps;

use self::steps::{Step, purchased, reached, read_multipart};

const MAKER: Maker = Maker::Castello;
const PRODUCT: &str = "/castello/registrazione";
const PURCHASE: &str = "/castello/registrazione/acquisto";
const OWNER: &str = "/castello/registrazione/proprietario";
const THANKS: &str = "/castello/registrazione/grazie";
/// The years on offer, from this year back.
const YEARS_OFFERED: i16 = 15;

pub(crate) const PROFILE: Profile = Profile {
    slug: "castello",
    name: "Castello Cucina",
    tagline: "Il cuore della casa.",
    form: Some(PRODUCT),
    api: None,
    api_serial: "",
    form_serial: "serial",
    code_prefix: "CC",
    serial: SerialRule { mask: "9999-aaa-99999", pattern: r"^[0-9]{4}-[A-Z]{3}-[0-9]{5}$", example: "2025-FRN-04417" },
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let product = |State(desk): State<Shared>| async move { enter(&desk) };
    let purchase =
        |State(desk): State<Shared>, headers: HeaderMap| async move { revisit(&desk, &headers, Step::Purchase) };
    let owner = |State(desk): State<Shared>, headers: HeaderMap| async move { revisit(&desk, &headers, Step::Owner) };
    let thanks = |State(desk): State<Shared>, headers: HeaderMap| async move { thanks(&desk, &headers) };
    let routes = Router::new()
        .route(PRODUCT, get(product).post(take_product))
        .route(PURCHASE, get(purchase).post(take_purchase))
        .route(OWNER, get(owner).post(take_owner))
        .route(THANKS, get(thanks));
    door::form(desk, MAKER, routes)
}

fn enter(desk: &Shared) -> Response {
    let (id, session) = desk.sessions.open();
    let page = page(desk, &guise(desk, MAKER), Step::Product, &session.csrf, &json!({}), &[]);
    forms::with_cookie(MAKER, &id, Html(page).into_response())
}

/// A later page by its address: only for a visitor who has done the pages before it.
fn revisit(desk: &Shared, headers: &HeaderMap, step: Step) -> Response {
    let Some(visitor) = forms::session_of(desk, MAKER, headers).filter(|visitor| reached(visitor, step)) else {
        return Redirect::to(PRODUCT).into_response();
    };
    let values = Value::Object(visitor.session.fields);
    Html(page(desk, &guise(desk, MAKER), step, &visitor.session.csrf, &values, &[])).into_response()
}

#[allow(clippy::unused_async, reason = "axum takes only async handlers")]
async fn take_product(State(desk): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    take_step(&desk, &headers, intake::pairs(&body), Step::Product, PURCHASE)
}

async fn take_purchase(State(desk): State<Shared>, headers: HeaderMap, form: Multipart) -> Response {
    match read_multipart(form).await {
        Some(fields) => take_step(&desk, &headers, fields, Step::Purchase, OWNER),
        None => (StatusCode::BAD_REQUEST, Html(desk.pages.trouble(MAKER, StatusCode::BAD_REQUEST))).into_response(),
    }
}

/// The first two pages: keep what was taken and go on.
fn take_step(desk: &Shared, headers: &HeaderMap, mut fields: Value, step: Step, next: &str) -> Response {
    let Some(visitor) = visitor(desk, MAKER, headers, &fields).filter(|visitor| reached(visitor, step)) else {
        return expired(desk, MAKER);
    };
    let guise = guise(desk, MAKER);
    unmask(&mut fields, &guise);
    let response = match judge(&guise, step, &fields) {
        Ok(()) if !guise.login_wall => Redirect::to(next).into_response(),
        Ok(()) => Html(page(desk, &guise, step, &visitor.session.csrf, &fields, &[])).into_response(),
        Err(problems) => refused(desk, &guise, step, &visitor, &fields, &problems),
    };
    let submission = received(MAKER, &fields);
    if response.status().is_redirection()
        && let Value::Object(taken) = submission.fields.clone()
    {
        desk.sessions.change(&visitor.id, |session| session.fields.extend(taken));
    }
    desk.note(submission, response.status().as_u16());
    response
}

/// The last page: with what the pages before took, the product is registered.
#[allow(clippy::unused_async, reason = "axum takes only async handlers")]
async fn take_owner(State(desk): State<Shared>, headers: HeaderMap, body: Bytes) -> Response {
    let mut fields = intake::pairs(&body);
    let Some(visitor) = visitor(&desk, MAKER, &headers, &fields).filter(|visitor| reached(visitor, Step::Owner)) else {
        return expired(&desk, MAKER);
    };
    let guise = guise(&desk, MAKER);
    unmask(&mut fields, &guise);
    if guise.login_wall {
        return Html(page(&desk, &guise, Step::Owner, &visitor.session.csrf, &fields, &[])).into_response();
    }
    let all = together(&visitor, &fields);
    let checked = judge(&guise, Step::Owner, &fields).map(|()| purchased(&all).unwrap_or_default());
    let submission = received(MAKER, &all);
    let outcome = desk.decide(&submission, checked);
    let response = close(&desk, &guise, &visitor, &fields, &outcome);
    desk.close(submission, &outcome, response)
}

fn judge(guise: &Guise, step: Step, fields: &Value) -> Result<(), Vec<Problem>> {
    if guise.captcha { Err(vec![captcha_problem()]) } else { step.check(fields) }
}

fn together(visitor: &Visitor, fields: &Value) -> Value {
    let mut all: Map<String, Value> = visitor.session.fields.clone();
    all.extend(fields.as_object().cloned().unwrap_or_default());
    Value::Object(all)
}

fn close(desk: &Shared, guise: &Guise, visitor: &Visitor, fields: &Value, outcome: &Outcome) -> Response {
    match outcome {
        Outcome::Registered(known) | Outcome::Repeated(known) => {
            let code = known.confirmation.to_string();
            desk.sessions.change(&visitor.id, |session| session.confirmation = Some(code));
            Redirect::to(THANKS).into_response()
        }
        Outcome::Duplicate(known) => {
            let message = format!("Questo prodotto è già registrato. Codice di registrazione: {}", known.confirmation);
            let problem = Problem { field: "serial", code: "already_registered", message };
            let mut response = refused(desk, guise, Step::Owner, visitor, fields, &[problem]);
            *response.status_mut() = StatusCode::CONFLICT;
            response
        }
        Outcome::Refused(problems) => refused(desk, guise, Step::Owner, visitor, fields, problems),
    }
}

fn refused(
    desk: &Shared,
    guise: &Guise,
    step: Step,
    visitor: &Visitor,
    fields: &Value,
    problems: &[Problem],
) -> Response {
    let page = page(desk, guise, step, &visitor.session.csrf, fields, problems);
    (StatusCode::UNPROCESSABLE_ENTITY, Html(page)).into_response()
}

fn page(desk: &Shared, guise: &Guise, step: Step, csrf: &str, fields: &Value, problems: &[Problem]) -> String {
    let this_year = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).year();
    let years: Vec<i16> = (0..YEARS_OFFERED).map(|back| this_year - back).collect();
    let problems = problem_rows(problems);
    let values = context! { step => step.number(), csrf, values => pages::value_of(fields), problems, years };
    desk.pages.form(MAKER, "castello.html", guise, values)
}

fn thanks(desk: &Shared, headers: &HeaderMap) -> Response {
    match forms::session_of(desk, MAKER, headers).and_then(|visitor| visitor.session.confirmation) {
        Some(code) => {
            Html(desk.pages.form(MAKER, "castello_thanks.html", &Guise::default(), context! { code })).into_response()
        }
        None => Redirect::to(PRODUCT).into_response(),
    }
}
