//! Veloce Bikes: a form behind a captcha that this sandbox never lets anyone pass.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use minijinja::context;
use serde_json::{Value, json};

use crate::desk::{Outcome, Problem};
use crate::maker::{Maker, Profile, SerialRule};
use crate::web::forms::{captcha_problem, expired, guise, problem_rows, received, unmask, visitor, with_cookie};
use crate::web::pages::{self, Guise};
use crate::web::{Shared, door, intake};

const PATH: &str = "/veloce/register";

pub(crate) const PROFILE: Profile = Profile {
    slug: "veloce",
    name: "Veloce Bikes",
    tagline: "Lighter every year.",
    form: Some(PATH),
    api: None,
    api_serial: "",
    form_serial: "frame_number",
    code_prefix: "VB",
    serial: SerialRule { mask: "WVxxxxxxxx", pattern: r"^WV[A-Z0-9]{8}$", example: "WV7K20QX41" },
};

pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    let show = |State(desk): State<Shared>| async move { show(&desk) };
    let submit =
        |State(desk): State<Shared>, headers: HeaderMap, body: Bytes| async move { submit(&desk, &headers, &body) };
    door::form(desk, Maker::Veloce, Router::new().route(PATH, get(show).post(submit)))
}

fn show(desk: &Shared) -> Response {
    let (id, session) = desk.sessions.open();
    let page = page(desk, &session.csrf, &json!({}), &[]);
    with_cookie(Maker::Veloce, &id, Html(page).into_response())
}

/// Whatever is sent, the captcha is not solved.
fn submit(desk: &Shared, headers: &HeaderMap, body: &Bytes) -> Response {
    let mut fields = intake::pairs(body);
    let Some(visitor) = visitor(desk, Maker::Veloce, headers, &fields) else { return expired(desk, Maker::Veloce) };
    unmask(&mut fields, &guise(desk, Maker::Veloce));
    let problems = vec![captcha_problem()];
    let page = page(desk, &visitor.session.csrf, &fields, &problems);
    let response = (StatusCode::UNPROCESSABLE_ENTITY, Html(page)).into_response();
    desk.close(received(Maker::Veloce, &fields), &Outcome::Refused(problems), response)
}

fn page(desk: &Shared, csrf: &str, fields: &Value, problems: &[Problem]) -> String {
    let guise = Guise { captcha: true, ..guise(desk, Maker::Veloce) };
    let values = context! { csrf, values => pages::value_of(fields), problems => problem_rows(problems) };
    desk.pages.form(Maker::Veloce, "veloce.html", &guise, values)
}
