//! What all web forms share: sessions with an anti-forgery token, the page's guise, and forms that fit on one page.

use axum::body::Bytes;
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use jiff::civil::Date;
use minijinja::context;
use serde_json::{Map, Value, json};

use super::edits::Edit;
use super::pages::{self, Guise};
use super::sessions::Session;
use super::{Shared, intake};
use crate::checks::text;
use crate::desk::{Outcome, Problem, Submission};
use crate::faults::{Fault, Mode, Target};
use crate::ledger::Method;
use crate::maker::Maker;

/// A form on one page; its template gets `csrf`, `values`, `problems`, `already` and `captcha`.
pub(crate) struct OnePage {
    pub maker: Maker,
    pub template: &'static str,
    pub path: &'static str,
    /// Where the page stands that shows the confirmation.
    pub thanks_path: &'static str,
    pub check: fn(&Value) -> Result<Date, Vec<Problem>>,
}

/// A visitor with a session of this form.
pub(crate) struct Visitor {
    pub id: String,
    pub session: Session,
}

impl OnePage {
    /// The empty form, for a new visitor.
    pub(crate) fn show(&self, desk: &Shared) -> Response {
        let (id, session) = desk.sessions.open();
        let guise = guise(desk, self.maker);
        let page = self.page(desk, &guise, &session, &json!({}), &[]);
        with_cookie(self.maker, &id, Html(page).into_response())
    }

    /// A filled-in form.
    pub(crate) fn submit(&self, desk: &Shared, headers: &HeaderMap, body: &Bytes) -> Response {
        let guise = guise(desk, self.maker);
        let mut fields = intake::pairs(body);
        let Some(visitor) = visitor(desk, self.maker, headers, &fields) else { return expired(desk, self.maker) };
        unmask(&mut fields, &guise);
        if guise.login_wall {
            return Html(self.page(desk, &guise, &visitor.session, &fields, &[])).into_response();
        }
        let purchased = if guise.captcha { Err(vec![captcha_problem()]) } else { (self.check)(&fields) };
        let submission = received(self.maker, &fields);
        let outcome = desk.decide(&submission, purchased);
        let response = self.answer(desk, &guise, &visitor, &fields, &outcome);
        desk.close(submission, &outcome, response)
    }

    /// The page with the confirmation; without one, back to the form.
    pub(crate) fn thanks(&self, desk: &Shared, headers: &HeaderMap) -> Response {
        match session_of(desk, self.maker, headers).and_then(|visitor| visitor.session.confirmation) {
            Some(code) => {
                Html(desk.pages.form(self.maker, "thanks.html", &Guise::default(), context! { code })).into_response()
            }
            None => Redirect::to(self.path).into_response(),
        }
    }

    fn answer(&self, desk: &Shared, guise: &Guise, visitor: &Visitor, fields: &Value, outcome: &Outcome) -> Response {
        match outcome {
            Outcome::Registered(known) | Outcome::Repeated(known) => {
                let code = known.confirmation.to_string();
                desk.sessions.change(&visitor.id, |session| session.confirmation = Some(code));
                Redirect::to(self.thanks_path).into_response()
            }
            Outcome::Duplicate(known) => {
                let page = desk.pages.form(
                    self.maker,
                    self.template,
                    guise,
                    context! { csrf => &visitor.session.csrf, values => pages::value_of(fields), already => &*known.confirmation },
                );
                (StatusCode::CONFLICT, Html(page)).into_response()
            }
            Outcome::Refused(problems) => {
                let page = self.page(desk, guise, &visitor.session, fields, problems);
                (StatusCode::UNPROCESSABLE_ENTITY, Html(page)).into_response()
            }
        }
    }

    fn page(&self, desk: &Shared, guise: &Guise, session: &Session, fields: &Value, problems: &[Problem]) -> String {
        let problems = problem_rows(problems);
        let values = context! { csrf => &session.csrf, values => pages::value_of(fields), problems };
        desk.pages.form(self.maker, self.template, guise, values)
    }
}

/// What the faults of the moment make of a page; each that is set counts this request.
pub(crate) fn guise(desk: &Shared, maker: Maker) -> Guise {
    let take = |hits: fn(&Fault) -> bool| desk.faults.take(Target::Maker(maker), Method::Form, hits);
    let renamed = take(|fault| matches!(fault.mode, Mode::RenameField { .. }));
    Guise {
        captcha: take(|fault| fault.mode == Mode::Captcha).is_some(),
        login_wall: take(|fault| fault.mode == Mode::LoginWall).is_some(),
        renamed: if let Some(Mode::RenameField { from, to }) = renamed { Some((from, to)) } else { None },
        edit: take(Edit::hits).as_ref().and_then(Edit::of),
    }
}

/// Gives a renamed field its usual name back; under its usual name it is not known today.
pub(crate) fn unmask(fields: &mut Value, guise: &Guise) {
    if let (Some((from, to)), Some(fields)) = (&guise.renamed, fields.as_object_mut()) {
        fields.remove(from);
        if let Some(value) = fields.remove(to) {
            fields.insert(from.clone(), value);
        }
    }
}

/// The visitor whose cookie and anti-forgery token agree.
pub(crate) fn visitor(desk: &Shared, maker: Maker, headers: &HeaderMap, fields: &Value) -> Option<Visitor> {
    session_of(desk, maker, headers).filter(|visitor| visitor.session.csrf == text(fields, "/csrf_token"))
}

/// The visitor whom the cookie names.
pub(crate) fn session_of(desk: &Shared, maker: Maker, headers: &HeaderMap) -> Option<Visitor> {
    let id = intake::cookie(headers, &cookie_name(maker))?;
    desk.sessions.get(id).map(|session| Visitor { id: id.to_owned(), session })
}

/// Sends the session's id along.
pub(crate) fn with_cookie(maker: Maker, id: &str, mut response: Response) -> Response {
    let cookie = format!("{}={id}; Path=/{}; HttpOnly; SameSite=Lax", cookie_name(maker), maker.slug());
    // The id is hexadecimal and the slug ours, so the value is always a legal header.
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

/// The page for a session that ended or a token that does not fit.
pub(crate) fn expired(desk: &Shared, maker: Maker) -> Response {
    (StatusCode::FORBIDDEN, Html(desk.pages.trouble(maker, StatusCode::FORBIDDEN))).into_response()
}

pub(crate) fn captcha_problem() -> Problem {
    Problem {
        field: "g-recaptcha-response",
        code: "captcha",
        message: "Please confirm that you are not a robot.".to_owned(),
    }
}

/// The problems as the templates print them.
pub(crate) fn problem_rows(problems: &[Problem]) -> Vec<minijinja::Value> {
    problems
        .iter()
        .map(|problem| context! { field => problem.field, code => problem.code, message => &problem.message })
        .collect()
}

/// What came in by a form, without the parts that are only the form's own.
pub(crate) fn received(maker: Maker, fields: &Value) -> Submission {
    let own: Map<String, Value> = fields
        .as_object()
        .map(|fields| {
            fields.iter().filter(|(name, _)| *name != "csrf_token").map(|(n, v)| (n.clone(), v.clone())).collect()
        })
        .unwrap_or_default();
    Submission {
        maker,
        method: Method::Form,
        serial: own.get(maker.profile().form_serial).and_then(Value::as_str).unwrap_or_default().to_owned(),
        idempotency_key: None,
        fields: Value::Object(own),
    }
}

fn cookie_name(maker: Maker) -> String {
    format!("{}_session", maker.slug())
}
