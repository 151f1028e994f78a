//! A maker played by a small server (it keeps what it received and answers as the test says), and a sandbox of makers.

use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use events::{Details, ErrorKind, Failure, Outcome, RegistrationId};
use jiff::civil::date;
use regflow_connectors::{ApiClient, ApiOptions, ApiRequest, Catalog, Connector};
use sandbox::Sandbox;
use sandbox::faults::{Fault, Target};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const KEY: &str = "7f9c-api-1";

/// A request as the maker saw it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

type Answer = dyn Fn(&Seen, usize) -> Response + Send + Sync;

struct Stage {
    seen: Mutex<Vec<Seen>>,
    answer: Box<Answer>,
}

/// The played maker; it ends with the test.
pub(crate) struct Maker {
    pub(crate) url: String,
    stage: Arc<Stage>,
    server: JoinHandle<()>,
}

impl Maker {
    /// `answer` gets each request and how many came before it.
    pub(crate) async fn start(answer: impl Fn(&Seen, usize) -> Response + Send + Sync + 'static) -> Self {
        let stage = Arc::new(Stage { seen: Mutex::default(), answer: Box::new(answer) });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().fallback(take).with_state(Arc::clone(&stage));
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, stage, server }
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.stage.seen.lock().unwrap().clone()
    }

    /// A shipped connector whose sandbox is this maker.
    pub(crate) fn connector(&self, id: &str) -> Connector {
        let catalog = Catalog::builtin().unwrap().with_sandbox(Some(self.url.parse().unwrap()));
        Connector::clone(catalog.get(id).unwrap())
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn take(State(stage): State<Arc<Stage>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    let seen = Seen {
        method: parts.method.to_string(),
        path: parts.uri.to_string(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    };
    let before = {
        let mut all = stage.seen.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    (stage.answer)(&seen, before)
}

pub(crate) fn answer(status: u16, body: Value) -> Response {
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

/// A sandbox of one test, and the shipped catalog in it.
pub(crate) struct World {
    pub(crate) sandbox: Sandbox,
    pub(crate) catalog: Catalog,
    _stop: DropGuard,
}

pub(crate) async fn world() -> World {
    let stop = CancellationToken::new();
    let sandbox = sandbox::start(sandbox::Options::default(), stop.clone()).await.unwrap();
    let catalog = Catalog::builtin().unwrap().with_sandbox(Some(sandbox.url("").parse().unwrap()));
    World { sandbox, catalog, _stop: stop.drop_guard() }
}

impl World {
    pub(crate) fn fault(&self, maker: sandbox::Maker, fault: Fault) {
        self.sandbox.faults().set(Target::Maker(maker), fault);
    }
}

/// An answer with a header and no JSON.
pub(crate) fn plain(status: u16, header: (&str, &str), body: &str) -> Response {
    Response::builder().status(status).header(header.0, header.1).body(Body::from(body.to_owned())).unwrap()
}

pub(crate) fn client() -> ApiClient {
    ApiClient::new(ApiOptions { environment: |_| None, ..ApiOptions::default() }).unwrap()
}

pub(crate) fn details() -> Details {
    let mut details = Details { marketing_consent: false, ..Details::default() };
    details.product.brand = "Norrland".into();
    details.product.model = "Fjell 600".into();
    details.product.serial = "NO12345678".into();
    details.purchase.date = Some(date(2026, 10, 2));
    details.purchase.shop = Some("Elhuset".into());
    details.owner.name = "Zoë van der Ångström".into();
    details.owner.email = "zoe@example.org".into();
    details.owner.address.city = Some("København".into());
    details.owner.address.country = Some("DK".into());
    details
}

pub(crate) fn request(details: &Details) -> ApiRequest<'_> {
    let registration = RegistrationId::of_request("test", "1");
    ApiRequest { registration, attempt: 1, idempotency_key: KEY.into(), details }
}

pub(crate) fn registered(code: &str) -> Outcome {
    Outcome::Registered { confirmation: Some(code.into()), already: false }
}

pub(crate) fn failure(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Registered { .. } => panic!("registered, but a failure was expected"),
    }
}

pub(crate) fn kind(outcome: Outcome) -> ErrorKind {
    failure(outcome).kind
}

/// What Norrland answers when all is well.
pub(crate) fn norrland_ok() -> Response {
    answer(201, json!({ "status": "registered", "registrationId": "NR-1", "warrantyUntil": "2031-10-02" }))
}
