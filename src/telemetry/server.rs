//! What comes in over gRPC and HTTP: the client's trace, a span, and the time that it took.

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::http;
use axum::middleware::Next;
use events::record::TraceContext;
use events::trace::DURATION_BOUNDS_S;
use handlers::trace::{self, TARGET};
use opentelemetry::metrics::Histogram;
use opentelemetry::trace::FutureExt;
use opentelemetry::{KeyValue, global};
use tower::{Layer, Service};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// The codes of gRPC by their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];
/// Codes that are the server's fault.
const FAULTS: [&str; 6] = ["UNKNOWN", "DEADLINE_EXCEEDED", "UNIMPLEMENTED", "INTERNAL", "UNAVAILABLE", "DATA_LOSS"];
/// What the semantic conventions call a name that is not known.
const OTHER: &str = "_OTHER";

static RPC: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration("rpc.server.call.duration", "How long calls took; of a stream, until its first answer could be sent.")
});
static HTTP: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    duration("http.server.request.duration", "How long requests took; of a stream, until its head could be sent.")
});

fn duration(name: &'static str, description: &'static str) -> Histogram<f64> {
    let meter = global::meter("regflow");
    let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
    histogram.with_boundaries(DURATION_BOUNDS_S.to_vec()).build()
}

/// The trace that a request names; nothing for none, two, or an invalid one.
fn trace_of(headers: &http::HeaderMap) -> Option<TraceContext> {
    let mut named = headers.get_all("traceparent").iter();
    let (first, None) = (named.next()?, named.next()) else { return None };
    TraceContext::from_traceparent(first.to_str().ok()?)
}

/// Runs an answer in the client's trace. The span is begun there, so that it is its child.
async fn traced<T>(
    headers: Option<TraceContext>,
    begin: impl FnOnce() -> Span,
    answer: impl Future<Output = T>,
) -> (T, Span) {
    let inside = async move {
        let span = begin();
        (answer.instrument(span.clone()).await, span)
    };
    match headers {
        Some(client) => inside.with_context(trace::remote(client)).await,
        None => inside.await,
    }
}

/// Around each gRPC service.
#[derive(Clone)]
pub struct RpcLayer;

impl<S> Layer<S> for RpcLayer {
    type Service = Rpc<S>;

    fn layer(&self, inner: S) -> Rpc<S> {
        Rpc(inner)
    }
}

/// A gRPC service that is watched.
#[derive(Clone)]
pub struct Rpc<S>(S);

impl<S, B, R> Service<http::Request<B>> for Rpc<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: 'static,
    R: 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (started, client) = (Instant::now(), trace_of(request.headers()));
        let method = request.uri().path().trim_start_matches('/').to_owned();
        let answer = self.0.call(request);
        Box::pin(async move {
            let (answer, span) = traced(client, || rpc_span(&method), answer).await;
            if let Ok(response) = &answer {
                rpc_ended(&method, response.headers(), started, &span);
            }
            answer
        })
    }
}

/// Health checks and reflection are too many and say too little.
fn rpc_span(method: &str) -> Span {
    if !method.starts_with("regflow.") {
        return Span::none();
    }
    info_span!(
        target: TARGET,
        "RPC",
        otel.name = method,
        otel.kind = "server",
        rpc.system.name = "grpc",
        rpc.method = method,
        rpc.response.status_code = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

fn rpc_ended(method: &str, headers: &http::HeaderMap, started: Instant, span: &Span) {
    let number = headers.get("grpc-status").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let code = CODES.get(number.unwrap_or(0)).copied().unwrap_or("UNKNOWN");
    // a path that nobody serves must not become a label of its own
    let method = if code == "UNIMPLEMENTED" { OTHER } else { method };
    let mut attributes = vec![
        KeyValue::new("rpc.system.name", "grpc"),
        KeyValue::new("rpc.method", method.to_owned()),
        KeyValue::new("rpc.response.status_code", code),
    ];
    span.record("rpc.response.status_code", code);
    if FAULTS.contains(&code) {
        attributes.push(KeyValue::new("error.type", code));
        span.record("error.type", code);
        span.record("otel.status_code", "ERROR");
    }
    RPC.record(started.elapsed().as_secs_f64(), &attributes);
}

/// Around each HTTP route, for `axum::middleware::from_fn`.
pub async fn observe(request: Request, next: Next) -> axum::response::Response {
    let (started, client) = (Instant::now(), trace_of(request.headers()));
    let known = [http::Method::GET, http::Method::HEAD, http::Method::POST, http::Method::OPTIONS];
    let method = known.iter().find(|known| *known == request.method()).map_or(OTHER, |known| known.as_str()).to_owned();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let begin = || http_span(&method, route.as_deref());
    let (response, span) = traced(client, begin, next.run(request)).await;
    let status = response.status().as_u16();
    let mut attributes = vec![
        KeyValue::new("http.request.method", method),
        KeyValue::new("http.response.status_code", i64::from(status)),
        KeyValue::new("url.scheme", "http"),
    ];
    attributes.extend(route.map(|route| KeyValue::new("http.route", route)));
    span.record("http.response.status_code", status);
    if response.status().is_server_error() {
        attributes.push(KeyValue::new("error.type", status.to_string()));
        span.record("error.type", status);
        span.record("otel.status_code", "ERROR");
    }
    HTTP.record(started.elapsed().as_secs_f64(), &attributes);
    response
}

/// The route and not the path: a path may hold the token of a mailed link.
fn http_span(method: &str, route: Option<&str>) -> Span {
    let Some(route) = route.filter(|route| route.starts_with("/api") || route.starts_with("/done")) else {
        return Span::none();
    };
    info_span!(
        target: TARGET,
        "HTTP",
        otel.name = format!("{method} {route}"),
        otel.kind = "server",
        http.request.method = method,
        http.route = route,
        url.scheme = "http",
        http.response.status_code = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}
