//! A web site that is one function, and remembers what it was asked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, Method, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::{Router, extract::State};

use crate::RUNTIME;

/// What a browser asked.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    pub path: String,
    pub cookies: String,
    pub connection: String,
    pub body: String,
}

/// What the site does about it.
pub enum Reply {
    Page(u16, String),
    SetCookie(&'static str, String),
    /// That the browser may keep for an hour.
    Kept(String),
    /// To this address, with a 307.
    Redirect(String),
    Hang,
    /// The connection is closed without a word.
    Drop,
}

type Answer = dyn Fn(&Request) -> Reply + Send + Sync;

/// A running site.
pub struct Site {
    pub base: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

#[derive(Clone)]
struct Shared {
    answer: Arc<Answer>,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Site {
    pub fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let seen = Arc::default();
        let shared = Shared { answer: Arc::new(answer), seen: Arc::clone(&seen) };
        let router = Router::new().fallback(handle).with_state(shared);
        let listener = RUNTIME.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        RUNTIME.spawn(async move { axum::serve(listener, router).await });
        Self { base, seen }
    }

    /// One form at `/`; whatever is posted is answered with `after`.
    pub fn one_page(form: &'static str, after: impl Fn() -> Reply + Send + Sync + 'static) -> Self {
        Self::new(move |request| if request.method == "POST" { after() } else { page(form) })
    }

    /// The bodies that were posted.
    pub fn posted(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|request| request.method == "POST").map(|request| request.body.clone()).collect()
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap().iter().filter(|request| request.path != "/favicon.ico").cloned().collect()
    }
}

async fn handle(State(shared): State<Shared>, method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let header = |name| headers.get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let request = Request {
        method: method.to_string(),
        path: uri.path_and_query().map(ToString::to_string).unwrap_or_default(),
        cookies: header("cookie"),
        connection: header("connection"),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    shared.seen.lock().unwrap().push(request.clone());
    match (shared.answer)(&request) {
        Reply::Page(status, html) => (axum::http::StatusCode::from_u16(status).unwrap(), Html(html)).into_response(),
        Reply::SetCookie(cookie, html) => ([("set-cookie", cookie)], Html(html)).into_response(),
        Reply::Kept(html) => ([("cache-control", "max-age=3600")], Html(html)).into_response(),
        Reply::Redirect(to) => (axum::http::StatusCode::TEMPORARY_REDIRECT, [("location", to)]).into_response(),
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(600)).await;
            ().into_response()
        }
        // ends the connection's task, quietly
        Reply::Drop => std::panic::resume_unwind(Box::new("dropped on purpose")),
    }
}

/// A page with this body.
pub fn page(body: &str) -> Reply {
    Reply::Page(200, html(body))
}

pub fn html(body: &str) -> String {
    format!("<!doctype html><html><head><meta charset=utf-8><title>Maker</title></head><body>{body}</body></html>")
}

/// Thanks, with a code.
pub fn thanks() -> Reply {
    page(r#"<h1>Thank you!</h1><p class="code">Your code: BW-1234</p>"#)
}
