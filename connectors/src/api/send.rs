//! Sends a request, inside a span and with its time taken. What leaves carries no trace: makers are not ours.

use std::sync::LazyLock;
use std::time::Instant;

use events::trace::{DURATION_BOUNDS_S, TARGET};
use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};
use outbound::{Client, SendError};
use reqwest::{Request, RequestBuilder, Response};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::connector::Connector;

/// What is told of a call: method, host and maker, how it was answered, what went wrong.
const ATTRIBUTES_MAX: usize = 5;

static DURATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("regflow")
        .f64_histogram("http.client.request.duration")
        .with_unit("s")
        .with_description("How long makers' APIs took to begin their answers.")
        .with_boundaries(DURATION_BOUNDS_S.to_vec())
        .build()
});

/// As [`Client::send`].
pub(super) async fn send(
    connector: &Connector,
    client: &Client,
    request: RequestBuilder,
) -> Result<Response, SendError> {
    let request = request.build()?;
    let mut attributes = Vec::with_capacity(ATTRIBUTES_MAX);
    attributes.push(KeyValue::new("http.request.method", request.method().to_string()));
    attributes.push(KeyValue::new("server.address", request.url().host_str().unwrap_or_default().to_owned()));
    attributes.push(KeyValue::new("regflow.maker", connector.id().to_owned()));
    let (span, started) = (begin(connector, &request), Instant::now());
    let answer = client.execute(request).instrument(span.clone()).await;
    match &answer {
        Ok(response) => {
            let status = response.status();
            attributes.push(KeyValue::new("http.response.status_code", i64::from(status.as_u16())));
            span.record("http.response.status_code", status.as_u16());
            if status.is_client_error() || status.is_server_error() {
                span.record("error.type", status.as_u16());
                span.record("otel.status_code", "ERROR");
                attributes.push(KeyValue::new("error.type", status.as_u16().to_string()));
            }
        }
        Err(error) => {
            span.record("error.type", word(error));
            span.record("otel.status_code", "ERROR");
            attributes.push(KeyValue::new("error.type", word(error)));
        }
    }
    DURATION.record(started.elapsed().as_secs_f64(), &attributes);
    answer
}

/// Neither path nor query: a maker's address may hold a serial number or a key.
fn begin(connector: &Connector, request: &Request) -> Span {
    info_span!(
        target: TARGET,
        "HTTP",
        otel.name = request.method().as_str(),
        otel.kind = "client",
        http.request.method = request.method().as_str(),
        server.address = request.url().host_str().unwrap_or_default(),
        server.port = request.url().port_or_known_default(),
        regflow.maker = connector.id(),
        http.response.status_code = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

fn word(error: &SendError) -> &'static str {
    if error.refused().is_some() {
        "refused_target"
    } else if error.is_timeout() {
        "timeout"
    } else if error.is_connect() {
        "connect"
    } else {
        "network"
    }
}
