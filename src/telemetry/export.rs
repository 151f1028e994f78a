//! Exporters that a collector cannot make wait: what it does not take is dropped, and said once.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use anyhow::bail;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::metrics::Temporality;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// What is exported.
#[derive(Debug, Clone, Copy)]
pub enum Signal {
    Traces,
    Metrics,
}

impl Signal {
    const fn word(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
        }
    }
}

/// Whether the standard variables ask for an export.
///
/// # Errors
/// When they ask for one by a protocol or an exporter that is not built in.
pub fn is_asked(signal: Signal) -> anyhow::Result<bool> {
    asked(signal, |name| std::env::var(name).ok().filter(|value| !value.is_empty()))
}

fn asked(signal: Signal, variable: impl Fn(&str) -> Option<String>) -> anyhow::Result<bool> {
    if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.eq_ignore_ascii_case("true")) {
        return Ok(false);
    }
    let (own, word) = (|rest: &str| format!("OTEL_EXPORTER_OTLP_{}_{rest}", signal.word()), signal.word());
    let named = variable(&format!("OTEL_{word}_EXPORTER"));
    let wanted = match named.as_deref() {
        Some("none") => false,
        Some("otlp") => true,
        Some(other) => bail!("OTEL_{word}_EXPORTER is `{other}`; use `otlp` or `none`"),
        None => variable(&own("ENDPOINT")).or_else(|| variable("OTEL_EXPORTER_OTLP_ENDPOINT")).is_some(),
    };
    let protocol = variable(&own("PROTOCOL")).or_else(|| variable("OTEL_EXPORTER_OTLP_PROTOCOL"));
    match protocol.as_deref() {
        Some(other) if wanted && other != "http/protobuf" => {
            bail!("the protocol of OTLP is `{other}` for {word}; regflow speaks `http/protobuf` only")
        }
        Some(_) | None => Ok(wanted),
    }
}

/// An exporter that works in our runtime, though the SDK calls it from a thread of its own, and gives up when it stops.
#[derive(Debug)]
pub struct Bounded<E> {
    exporter: E,
    signal: Signal,
    runtime: Handle,
    stop: CancellationToken,
    failing: AtomicBool,
}

impl<E> Bounded<E> {
    /// Must be called in the runtime.
    pub fn new(exporter: E, signal: Signal, stop: CancellationToken) -> Self {
        Self { exporter, signal, runtime: Handle::current(), stop, failing: AtomicBool::new(false) }
    }

    async fn bounded(&self, export: impl Future<Output = OTelSdkResult> + Send) -> OTelSdkResult {
        let (mut export, mut stopped) = (pin!(export), pin!(self.stop.cancelled()));
        let ended = poll_fn(|context| {
            let _entered = self.runtime.enter();
            if stopped.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(OTelSdkError::AlreadyShutdown));
            }
            export.as_mut().poll(context)
        });
        let ended = ended.await;
        self.tell(&ended);
        ended
    }

    /// Says it when it begins and when it ends, not at each try.
    fn tell(&self, ended: &OTelSdkResult) {
        let signal = self.signal.word();
        match ended {
            Err(error) if !self.failing.swap(true, Ordering::Relaxed) => {
                tracing::warn!(signal, %error, "the collector does not take our telemetry; it is dropped meanwhile");
            }
            Ok(()) if self.failing.swap(false, Ordering::Relaxed) => {
                tracing::info!(signal, "the collector takes our telemetry again");
            }
            Ok(()) | Err(_) => {}
        }
    }
}

impl<E: SpanExporter> SpanExporter for Bounded<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.bounded(self.exporter.export(batch)).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<E: PushMetricExporter> PushMetricExporter for Bounded<E> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        self.bounded(self.exporter.export(metrics)).await
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked_by(signal: Signal, variables: &[(&str, &str)]) -> anyhow::Result<bool> {
        asked(signal, |name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn nothing_is_exported_unless_a_variable_asks_for_it() {
        assert!(!asked_by(Signal::Traces, &[]).expect("valid"));
        assert!(asked_by(Signal::Traces, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c")]).expect("valid"));
        let only_metrics = [("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", "http://c/v1/metrics")];
        assert!(!asked_by(Signal::Traces, &only_metrics).expect("valid"));
        assert!(asked_by(Signal::Metrics, &only_metrics).expect("valid"));
        assert!(asked_by(Signal::Metrics, &[("OTEL_METRICS_EXPORTER", "otlp")]).expect("valid"));
    }

    #[test]
    fn a_switch_that_says_no_wins_over_an_address() {
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
        assert!(!asked_by(Signal::Traces, &[address, ("OTEL_SDK_DISABLED", "TRUE")]).expect("valid"));
        assert!(!asked_by(Signal::Traces, &[address, ("OTEL_TRACES_EXPORTER", "none")]).expect("valid"));
    }

    #[test]
    fn what_is_not_built_in_is_refused_by_name() {
        let address = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://c");
        let refusal = |more| asked_by(Signal::Traces, &[address, more]).expect_err("refused").to_string();
        assert!(refusal(("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")).contains("`http/protobuf` only"));
        assert!(refusal(("OTEL_TRACES_EXPORTER", "console")).contains("OTEL_TRACES_EXPORTER is `console`"));
    }
}
