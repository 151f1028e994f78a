//! The login of the pages: a key or a token is pasted once, and stays in no page, address or log.

use std::net::SocketAddr;

use anyhow::Context;
use axum::extract::{Extension, Query, State};
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{Html, IntoResponse, Redirect, Response};
use minijinja::{Environment, context};
use serde::Deserialize;
use tonic::Status;
use url::form_urlencoded::byte_serialize;

use super::admit;
use super::body::Form;
use super::problem::Problem;
use super::{Http, pages};
use crate::access::{Denied, Principal};

/// The pages that are filled in here.
const TEMPLATES: [&str; 2] = ["login.html", "again.html"];
/// The cookie where the browser speaks TLS: its prefix keeps other hosts and plain connections from setting it.
const SECURE_COOKIE: &str = "__Host-regflow";
/// The cookie elsewhere, which is on this machine only: browsers refuse the prefix without TLS.
const PLAIN_COOKIE: &str = "regflow";

/// The pages of the login, and its cookie.
pub struct LoginPages {
    templates: Environment<'static>,
    is_secure: bool,
    lasts_s: u64,
}

impl LoginPages {
    /// `is_secure` where browsers speak TLS, to us or to a proxy in front of us.
    ///
    /// # Errors
    /// When a template inside the binary is broken.
    pub fn new(is_secure: bool, session_minutes: u64) -> anyhow::Result<Self> {
        let mut templates = Environment::new();
        for name in TEMPLATES {
            let text = pages::text(name).with_context(|| format!("web/{name} is not there"))?;
            templates.add_template_owned(name, text).with_context(|| format!("web/{name} is broken"))?;
        }
        Ok(Self { templates, is_secure, lasts_s: session_minutes * 60 })
    }

    const fn cookie_name(&self) -> &'static str {
        if self.is_secure { SECURE_COOKIE } else { PLAIN_COOKIE }
    }

    /// The login's cookie in a request.
    pub fn cookie<'a>(&self, headers: &'a HeaderMap) -> Option<&'a str> {
        admit::cookie(headers, self.cookie_name())
    }

    fn set_cookie(&self, value: &str, lasts_s: u64) -> Option<HeaderValue> {
        let (name, secure) = (self.cookie_name(), if self.is_secure { "; Secure" } else { "" });
        let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={lasts_s}{secure}");
        let mut header = HeaderValue::from_str(&text).ok()?;
        header.set_sensitive(true);
        Some(header)
    }

    fn page(&self, status: StatusCode, name: &str, values: minijinja::Value) -> Response {
        match self.templates.get_template(name).and_then(|template| template.render(values)) {
            Ok(text) => (status, Html(text)).into_response(),
            Err(error) => {
                tracing::error!(name, error = %error.kind(), "a page cannot be written");
                let text = "the page cannot be written; see the log";
                Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", text).into_response()
            }
        }
    }

    /// The login, for whoever is known or not, with what went wrong; it leads to `next`.
    pub fn show(&self, status: StatusCode, known: Option<&Principal>, next: &str, problem: &str) -> Response {
        let (role, tenant) = (known.map(|known| known.role.word()), known.and_then(|known| known.tenant.as_deref()));
        let is_open = known.is_some_and(|known| known.is_anyone);
        let name = known.map(|known| known.name.as_str());
        self.page(status, "login.html", context! { next, problem, role, tenant, name, is_open })
    }

    /// Asks for the same page again, now from a page of our own.
    pub fn again(&self, path: &str) -> Response {
        self.page(StatusCode::OK, "again.html", context! { path })
    }
}

/// The login's address, from where one comes back to `path`.
pub fn address(path: &str) -> String {
    let next: String = byte_serialize(path.as_bytes()).collect();
    format!("/login?next={next}")
}

/// A path of ours; the first page for anything that leads elsewhere.
fn own_path(next: &str) -> &str {
    let is_path = next.starts_with('/') && !next[1..].starts_with(['/', '\\']);
    if is_path && next.bytes().all(|byte| byte.is_ascii_graphic()) { next } else { "/" }
}

/// What is typed in the login, or stands in its address.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Typed {
    credential: String,
    next: String,
}

/// What stands in the login's address.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Asked {
    next: String,
}

/// GET /login
pub async fn form(State(http): State<Http>, headers: HeaderMap, Query(asked): Query<Asked>) -> Response {
    let session = http.login.cookie(&headers).and_then(|cookie| http.access.session(cookie));
    let known = if http.access.is_open() { Some(Principal::anyone()) } else { session };
    http.login.show(StatusCode::OK, known.as_ref(), own_path(&asked.next), "")
}

/// POST /login
pub async fn log_in(
    State(http): State<Http>,
    Extension(peer): Extension<SocketAddr>,
    Form(typed): Form<Typed>,
) -> Response {
    let (credential, next) = (zeroize::Zeroizing::new(typed.credential), own_path(&typed.next));
    if http.access.is_open() {
        return Redirect::to(next).into_response();
    }
    match http.access.log_in(credential.trim(), peer.ip()) {
        Ok(value) => {
            let mut response = Redirect::to(next).into_response();
            let cookie = http.login.set_cookie(&value, http.login.lasts_s);
            cookie.into_iter().for_each(|cookie| drop(response.headers_mut().insert(SET_COOKIE, cookie)));
            response
        }
        Err(denied) => refused(&http, denied, next),
    }
}

fn refused(http: &Http, denied: Denied, next: &str) -> Response {
    let problem = Problem::from(Status::from(denied));
    let mut response = http.login.show(problem.status(), None, next, problem.detail());
    if let Denied::Throttled(wait) = denied {
        response.headers_mut().insert(RETRY_AFTER, (wait.as_secs() + 1).into());
    }
    response
}

/// POST /logout
pub async fn log_out(State(http): State<Http>, headers: HeaderMap) -> Response {
    http.login.cookie(&headers).into_iter().for_each(|cookie| http.access.log_out(cookie));
    let mut response = Redirect::to("/login").into_response();
    let cookie = http.login.set_cookie("", 0);
    cookie.into_iter().for_each(|cookie| drop(response.headers_mut().insert(SET_COOKIE, cookie)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_our_own_pages_only() {
        for own in ["/", "/track/0198?x=1", "/registrations"] {
            assert_eq!(own_path(own), own);
        }
        for foreign in
            ["", "//evil.example", "/\\evil.example", "https://evil.example", "/a\r\nb", "javascript:x", "/ä"]
        {
            assert_eq!(own_path(foreign), "/", "{foreign}");
        }
        assert_eq!(address("/track/1?a=b&c"), "/login?next=%2Ftrack%2F1%3Fa%3Db%26c");
    }

    #[test]
    fn the_cookie_is_out_of_reach_of_scripts_and_other_sites() {
        let set = |is_secure| {
            let pages = LoginPages::new(is_secure, 1).expect("the templates are whole");
            let header = pages.set_cookie("abc", 60).expect("a header");
            header.to_str().map(str::to_owned).unwrap_or_default()
        };
        assert_eq!(set(true), "__Host-regflow=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60; Secure");
        assert_eq!(set(false), "regflow=abc; Path=/; HttpOnly; SameSite=Strict; Max-Age=60");
    }
}
