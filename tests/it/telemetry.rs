//! Telemetry: one trace from the client to the notification, also across a restart; nothing personal leaves by it; a
//! collector that is dead disturbs nobody. The collector is in this process.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use proto::v1;
use proto::v1::RegistrationState as State;
use reqwest::Method;
use sandbox::Maker;
use sandbox::faults::Scope;
use serde_json::Value as Json;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::http::Web;
use crate::notifications::Subscriber;
use crate::support::{PATIENCE, POLL, Service, Stage, product};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const CLIENT_SPAN: &str = "00f067aa0ba902b7";
/// Of the person and the product, as `product` gives them.
const CANARIES: [&str; 7] = ["anary", "zoe.c", "30 5550199", "Lindenstra", "Berlin", "NL77", "BW77"];

/// Takes OTLP over HTTP.
#[derive(Clone, Default)]
struct Collector {
    spans: Arc<Mutex<Vec<Span>>>,
    metrics: Arc<Mutex<Vec<String>>>,
    services: Arc<Mutex<Vec<String>>>,
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    async fn start() -> (Self, String) {
        let (listener, all) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Self::default());
        let address = listener.local_addr().unwrap();
        let (traces, metrics) = (all.clone(), all.clone());
        let routes = Router::new()
            .route("/v1/traces", post(async move |body: Bytes| traces.take_spans(&body)))
            .route("/v1/metrics", post(async move |body: Bytes| metrics.take_metrics(&body)));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        (all, format!("http://{address}"))
    }

    fn take_spans(&self, body: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(body);
        for resource in ExportTraceServiceRequest::decode(body).unwrap().resource_spans {
            let attributes = resource.resource.unwrap().attributes;
            let name = attributes.into_iter().find(|pair| pair.key == "service.name").unwrap().value.unwrap();
            let Some(Value::StringValue(name)) = name.value else { panic!("a name is a string") };
            self.services.lock().unwrap().push(name);
            let spans = resource.scope_spans.into_iter().flat_map(|scope| scope.spans);
            self.spans.lock().unwrap().extend(spans);
        }
    }

    fn take_metrics(&self, body: &[u8]) {
        self.bytes.lock().unwrap().extend_from_slice(body);
        let resources = ExportMetricsServiceRequest::decode(body).unwrap().resource_metrics;
        let metrics = resources.into_iter().flat_map(|resource| resource.scope_metrics).flat_map(|scope| scope.metrics);
        self.metrics.lock().unwrap().extend(metrics.map(|metric| metric.name));
    }

    /// The spans of the trace, once one of them satisfies `last`.
    async fn trace(&self, last: impl Fn(&Span) -> bool) -> Tree {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ours = |span: &&Span| hex(&span.trace_id) == TRACE;
            let spans: Vec<Span> = self.spans.lock().unwrap().iter().filter(ours).cloned().collect();
            let tree = Tree(spans);
            if tree.0.iter().any(&last) && tree.is_whole() {
                return tree;
            }
            assert!(Instant::now() < deadline, "the span never came, only\n{}", tree.drawn());
            tokio::time::sleep(POLL).await;
        }
    }
}

/// The spans of one trace.
struct Tree(Vec<Span>);

impl Tree {
    /// Every parent is there.
    fn is_whole(&self) -> bool {
        self.0.iter().all(|span| hex(&span.parent_span_id) == CLIENT_SPAN || self.parent(span).is_some())
    }

    fn parent(&self, span: &Span) -> Option<&Span> {
        self.0.iter().find(|other| other.span_id == span.parent_span_id)
    }

    /// From the outermost to the one that `name` names, the first of its kind.
    fn path(&self, name: &str) -> Vec<&str> {
        let found = self.0.iter().find(|span| span.name == name);
        let mut path = Vec::new();
        let mut next = Some(found.unwrap_or_else(|| panic!("no span `{name}` in\n{}", self.drawn())));
        while let Some(span) = next {
            path.insert(0, span.name.as_str());
            next = self.parent(span);
        }
        path
    }

    fn one(&self, name: &str) -> &Span {
        self.0.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span `{name}` in\n{}", self.drawn()))
    }

    fn drawn(&self) -> String {
        let line = |span: &Span| format!("{} {} < {}\n", hex(&span.span_id), span.name, hex(&span.parent_span_id));
        self.0.iter().map(line).collect()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An attribute as text; empty when it is not there.
fn attribute(span: &Span, key: &str) -> String {
    let value = span.attributes.iter().find(|pair| pair.key == key).and_then(|pair| pair.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(truth)) => truth.to_string(),
        _ => String::new(),
    }
}

/// The service's command with a collector, and a file for its log.
fn watched(stage: &Stage, collector: &str, log: &Path, format: &str) -> Command {
    let mut command = stage.command();
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", collector)
        .env("OTEL_BSP_SCHEDULE_DELAY", "100")
        .env("OTEL_METRIC_EXPORT_INTERVAL", "300")
        .env("REGFLOW__LOG__LEVEL", "debug")
        .env("REGFLOW__LOG__FORMAT", format)
        .env("NO_COLOR", "1")
        .stderr(Stdio::from(File::options().create(true).append(true).open(log).unwrap()));
    command
}

/// Submits as a client that traces.
async fn submit_traced(service: &mut Service, request: v1::SubmitRequest) -> String {
    let mut request = tonic::Request::new(request);
    request.metadata_mut().insert("traceparent", format!("00-{TRACE}-{CLIENT_SPAN}-01").parse().unwrap());
    service.client.submit(request).await.unwrap().into_inner().registration.unwrap().id
}

fn assert_nothing_personal(what: &str, bytes: &[u8]) {
    for canary in CANARIES {
        let found = bytes.windows(canary.len()).position(|window| window == canary.as_bytes());
        if let Some(at) = found {
            let around = &bytes[at.saturating_sub(200)..(at + 100).min(bytes.len())];
            panic!("`{canary}` in the {what}: {}", String::from_utf8_lossy(around));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_follows_a_registration_from_the_client_to_the_notification() {
    let (stage, (collector, url)) = (Stage::new().await, Collector::start().await);
    let log = stage.data.path().join("log.json");
    let mut command = watched(&stage, &url, &log, "json");
    let mut service = {
        command.env("OTEL_SERVICE_NAME", "counter-5");
        stage.start_with(command).await
    };
    let mut subscriber = Subscriber::connect_to(&service, "notify.>").await;
    let id = submit_traced(&mut service, product("Norrland", "VK 200", "NL77000001")).await;
    let told: Json = serde_json::from_slice(&subscriber.next_bytes_in_time().await.1).unwrap();
    let tree = collector.trace(|span| span.name == "publish NOTIFY").await;

    let server = "regflow.v1.Registrations/Submit";
    assert_eq!(tree.path("attempt EVENTS"), [server, "publish EVENTS", "attempt EVENTS"]);
    assert_eq!(tree.path("POST"), [server, "publish EVENTS", "attempt EVENTS", "POST"]);
    let notified = [server, "publish EVENTS", "attempt EVENTS", "publish EVENTS", "publish NOTIFY"];
    assert_eq!(tree.path("publish NOTIFY"), notified);
    assert_eq!(hex(&tree.one(server).parent_span_id), CLIENT_SPAN);
    assert_eq!(attribute(tree.one(server), "rpc.response.status_code"), "OK");
    let (call, attempt) = (tree.one("POST"), tree.one("attempt EVENTS"));
    assert_eq!((call.kind, attribute(call, "http.request.method")), (3, "POST".to_owned()));
    assert_eq!(attribute(call, "server.address"), "127.0.0.1");
    assert_eq!(
        (attribute(attempt, "regflow.registration.id"), attribute(attempt, "regflow.attempt")),
        (id, "1".into())
    );
    assert_eq!(attribute(attempt, "regflow.outcome"), "registered");
    let parent = format!("00-{TRACE}-{}-01", hex(&tree.one("publish NOTIFY").span_id));
    assert_eq!(told["traceparent"], parent);
    assert_eq!(collector.services.lock().unwrap().first().map(String::as_str), Some("counter-5"));

    service.stop().await;
    let metrics = collector.metrics.lock().unwrap().clone();
    for name in ["rpc.server.call.duration", "http.client.request.duration", "regflow.registrations"] {
        assert!(metrics.iter().any(|known| known == name), "{name} in {metrics:?}");
    }
    assert_nothing_personal("export", &collector.bytes.lock().unwrap());
    let text = std::fs::read(&log).unwrap();
    assert_nothing_personal("log", &text);
    let lines = String::from_utf8(text).unwrap();
    let ours =
        lines.lines().map(|line| serde_json::from_str::<Json>(line).unwrap()).filter(|line| line["trace_id"] == TRACE);
    assert!(ours.clone().any(|line| line["message"] == "the maker's API was called"), "{lines}");
    assert!(ours.clone().all(|line| line["span_id"].as_str().is_some_and(|span| span.len() == 16)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_goes_on_behind_a_restart_through_the_browser_and_pretty_lines_name_it() {
    let (stage, (collector, url)) = (Stage::new().await, Collector::start().await);
    let log = stage.data.path().join("log.txt");
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    let mut service = stage.start_with(watched(&stage, &url, &log, "pretty")).await;
    let id = submit_traced(&mut service, product("Brightwell", "Monitor 5", "BW77-000001")).await;
    service.wait_for(&id, |seen| seen.attempts > 0).await;
    service.stop().await;
    let before = collector.spans.lock().unwrap().len();
    assert!(before > 0, "a stop sends what is left");

    let mut service = stage.start_with(watched(&stage, &url, &log, "pretty")).await;
    service.wait_for_state(&id, State::Success).await;
    let tree = collector.trace(|span| span.name == "publish NOTIFY").await;
    let later: Vec<_> = collector.spans.lock().unwrap()[before..].iter().map(|span| span.name.clone()).collect();
    assert!(later.iter().any(|name| name == "fill form"), "{later:?}");
    let server = "regflow.v1.Registrations/Submit";
    assert_eq!(tree.path("fill form"), [server, "publish EVENTS", "attempt EVENTS", "fill form"]);
    assert_eq!(attribute(tree.one("fill form"), "regflow.form.sent"), "true");
    assert_eq!(attribute(tree.one("POST"), "error.type"), "503");
    service.stop().await;
    assert_nothing_personal("export", &collector.bytes.lock().unwrap());
    let text = std::fs::read(&log).unwrap();
    assert_nothing_personal("log", &text);
    assert!(String::from_utf8(text).unwrap().contains(&format!("trace_id={TRACE} span_id=")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_slows_neither_a_submission_nor_the_stop() {
    let stage = Stage::new().await;
    // takes connections and never answers
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let log = stage.data.path().join("log.txt");
    let mut service = stage.start_with(watched(&stage, &url, &log, "pretty")).await;
    let began = Instant::now();
    for number in 10..30 {
        let id = submit_traced(&mut service, product("Norrland", "VK 200", &format!("NL770000{number}"))).await;
        service.wait_for_state(&id, State::Success).await;
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    let began = Instant::now();
    assert_eq!(service.stop().await, Some(0));
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_the_clients_trace_is_kept_and_metrics_are_served() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = submit_traced(&mut service, product("Norrland", "VK 200", "NL77000002")).await;
    service.wait_for_state(&id, State::Success).await;
    for record in service.history(&id).await {
        assert_eq!(record.trace, TRACE);
    }
    let documented = include_str!("../../docs/telemetry.md");
    let table = documented.split("## Metrics").nth(1).unwrap();
    let names: Vec<&str> = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = reqwest::get(format!("{}/metrics", service.http)).await.unwrap().text().await.unwrap();
        let missing: Vec<_> = names.iter().filter(|name| !text.contains(&format!("# TYPE {name} "))).collect();
        if missing.is_empty() && names.len() > 10 {
            assert_nothing_personal("metrics", text.as_bytes());
            break;
        }
        assert!(Instant::now() < deadline, "{missing:?} are not in\n{text}");
        tokio::time::sleep(POLL).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_comes_in_over_http_too_and_a_wish_from_another_one_is_linked_to_it() {
    let (stage, (collector, url)) = (Stage::new().await, Collector::start().await);
    let log = stage.data.path().join("log.txt");
    let mut service = stage.start_with(watched(&stage, &url, &log, "pretty")).await;
    let web = Web::of(&service);
    let request = product("Veloce", "Gran Fondo", "WV12345679");
    let submit = web.request(Method::POST, "/api/registration").header("Idempotency-Key", "one");
    let submit = submit.header("traceparent", format!("00-{TRACE}-{CLIENT_SPAN}-01"));
    let answer: Json = submit.json(&request).send().await.unwrap().json().await.unwrap();
    let id = answer["registration"]["id"].as_str().unwrap().to_owned();
    service.wait_for_packet(&id).await;
    let tree = collector.trace(|span| span.name == "send mail").await;
    let route = "POST /api/registration";
    assert_eq!(tree.path("send mail"), [route, "publish EVENTS", "send_packet EVENTS", "send mail"]);
    assert_eq!(tree.path("render packet"), [route, "publish EVENTS", "send_packet EVENTS", "render packet"]);
    assert_eq!(attribute(tree.one(route), "http.response.status_code"), "202");

    let other = "11112222333344445555666677778888";
    let complete = web.request(Method::POST, &format!("/api/registration/{id}/complete"));
    let complete = complete.header("traceparent", format!("00-{other}-{CLIENT_SPAN}-01"));
    assert!(complete.json(&serde_json::json!({})).send().await.unwrap().status().is_success());
    let completed = |span: &Span| attribute(span, "regflow.event") == "user_completed";
    collector.trace(completed).await;
    let deadline = Instant::now() + PATIENCE;
    let links = loop {
        let ours = |span: &&Span| hex(&span.trace_id) == other && span.name == "publish EVENTS";
        let found = collector.spans.lock().unwrap().iter().find(ours).map(|span| span.links.clone());
        if let Some(links) = found {
            break links;
        }
        assert!(Instant::now() < deadline, "the wish has no span");
        tokio::time::sleep(POLL).await;
    };
    assert_eq!(links.iter().map(|link| hex(&link.trace_id)).collect::<Vec<_>>(), [TRACE]);
    service.stop().await;
    assert_nothing_personal("export", &collector.bytes.lock().unwrap());
    assert_nothing_personal("log", &std::fs::read(&log).unwrap());
}
