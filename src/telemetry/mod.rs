//! Log lines on standard error, traces and metrics: to a collector where the standard variables ask for it, and metrics
//! for Prometheus in any case.

mod export;
mod gauges;
mod logs;
pub mod server;

use std::sync::{LazyLock, PoisonError, RwLock};
use std::time::Duration;

use anyhow::Context;
use opentelemetry::global;
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{MetricExporter, Protocol, SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::SdkMeterProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use prometheus::{Registry, TextEncoder};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, registry};

use crate::config::Log;
use export::{Bounded, Signal};
pub use gauges::watch;

/// How long a stop waits for the collector to take what is left.
const STOP_TIMEOUT: Duration = Duration::from_secs(3);
/// What is given up then has so long to notice it.
const GRACE: Duration = Duration::from_millis(500);
/// The service's name where the environment gives none.
const SERVICE: &str = "regflow";

static REGISTRY: LazyLock<RwLock<Registry>> = LazyLock::new(RwLock::default);

/// What must be flushed at the end.
pub struct Telemetry {
    tracer: Option<SdkTracerProvider>,
    meter: SdkMeterProvider,
    stop: CancellationToken,
}

impl Telemetry {
    /// Starts all of it, log lines where they are wanted. Must run before anything is counted.
    ///
    /// # Errors
    /// When a standard variable has a value that cannot be used.
    pub fn start(log: Option<&Log>) -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let resource = resource();
        let tracer = tracer(&resource, &stop)?;
        let spans = tracer.as_ref().map(|provider| {
            let ours = |meta: &tracing::Metadata<'_>| meta.is_span() && meta.target() == handlers::trace::TARGET;
            let layer = tracing_opentelemetry::layer()
                .with_tracer(provider.tracer(SERVICE))
                .with_location(false)
                .with_threads(false)
                .with_target(false)
                .with_level(false)
                .with_tracked_inactivity(false);
            layer.with_filter(filter_fn(ours).with_max_level_hint(tracing::Level::INFO))
        });
        if registry().with(spans).with(log.map(logs::lines)).try_init().is_err() {
            tracing::debug!("logging was started before");
        }
        let meter = meter(resource, &stop)?;
        Ok(Self { tracer, meter, stop })
    }

    /// Sends what is left, as long as the collector takes it in time.
    pub async fn stop(self) {
        let giving_up = self.stop.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(STOP_TIMEOUT).await;
            giving_up.cancel();
        });
        let (tracer, meter) = (self.tracer, self.meter);
        let spans = tokio::task::spawn_blocking(move || {
            tracer.map_or(Ok(()), |tracer| tracer.shutdown_with_timeout(STOP_TIMEOUT + GRACE))
        });
        let metrics = tokio::task::spawn_blocking(move || meter.shutdown_with_timeout(STOP_TIMEOUT + GRACE));
        for ended in [spans.await, metrics.await] {
            if let Ok(Err(error)) = ended {
                tracing::debug!(%error, "not all telemetry was exported");
            }
        }
        timer.abort();
    }
}

/// Everything that is counted, as Prometheus reads it (text format 0.0.4).
pub fn prometheus_text() -> String {
    let registry = REGISTRY.read().unwrap_or_else(PoisonError::into_inner).clone();
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap_or_else(|error| {
        tracing::warn!(%error, "the metrics cannot be written");
        String::new()
    })
}

/// The environment's resource; the name is ours unless it gives one.
fn resource() -> Resource {
    let named = |name: &str, holds: &str| std::env::var(name).is_ok_and(|value| value.contains(holds));
    let ours = !std::env::var("OTEL_SERVICE_NAME").is_ok_and(|name| !name.is_empty())
        && !named("OTEL_RESOURCE_ATTRIBUTES", "service.name=");
    let builder =
        Resource::builder().with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")));
    if ours { builder.with_service_name(SERVICE).build() } else { builder.build() }
}

fn tracer(resource: &Resource, stop: &CancellationToken) -> anyhow::Result<Option<SdkTracerProvider>> {
    if !export::is_asked(Signal::Traces)? {
        return Ok(None);
    }
    let exporter = SpanExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
    let exporter = exporter.context("the variables OTEL_EXPORTER_OTLP_* cannot be used for traces")?;
    let exporter = Bounded::new(exporter, Signal::Traces, stop.clone());
    Ok(Some(SdkTracerProvider::builder().with_resource(resource.clone()).with_batch_exporter(exporter).build()))
}

/// Prometheus always reads; a collector is told where one is asked for.
fn meter(resource: Resource, stop: &CancellationToken) -> anyhow::Result<SdkMeterProvider> {
    let read = Registry::new();
    let prometheus = opentelemetry_prometheus::exporter().with_registry(read.clone()).scope_info_enabled(false).build();
    let mut builder = SdkMeterProvider::builder()
        .with_resource(resource)
        .with_reader(prometheus.map_err(|error| anyhow::anyhow!("failed to set up the metrics: {error}"))?);
    if export::is_asked(Signal::Metrics)? {
        let exporter = MetricExporter::builder().with_http().with_protocol(Protocol::HttpBinary).build();
        let exporter = exporter.context("the variables OTEL_EXPORTER_OTLP_* cannot be used for metrics")?;
        builder = builder.with_periodic_exporter(Bounded::new(exporter, Signal::Metrics, stop.clone()));
    }
    let provider = builder.build();
    global::set_meter_provider(provider.clone());
    *REGISTRY.write().unwrap_or_else(PoisonError::into_inner) = read;
    Ok(provider)
}
