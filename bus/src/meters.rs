//! What is counted and timed of writes to the server. Without a meter provider all of it is nothing.

use std::sync::LazyLock;
use std::time::Instant;

use opentelemetry::metrics::Histogram;
use opentelemetry::{KeyValue, global};

use crate::log::AppendError;

/// Bounds of the durations' buckets, in seconds: a flush to disk takes some milliseconds.
const SECONDS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Bounds of the batches' buckets, in messages.
const MESSAGES: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 64.0, 256.0, 512.0, 1_000.0];

static OPERATION: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("regflow")
        .f64_histogram("messaging.client.operation.duration")
        .with_unit("s")
        .with_description("How long a write to a stream took, from the queue to the server's answer.")
        .with_boundaries(SECONDS.to_vec())
        .build()
});
static COMMIT: LazyLock<Histogram<u64>> = LazyLock::new(|| {
    global::meter("regflow")
        .u64_histogram("regflow.commit.messages")
        .with_unit("{message}")
        .with_description("How many records were stored together.")
        .with_boundaries(MESSAGES.to_vec())
        .build()
});

/// A write to `stream` that began at `started` has ended.
pub(crate) fn written<T>(stream: &'static str, started: Instant, answer: &Result<T, AppendError>) {
    let [system, name, kind, destination] = [
        KeyValue::new("messaging.system", "nats"),
        KeyValue::new("messaging.operation.name", "publish"),
        KeyValue::new("messaging.operation.type", "send"),
        KeyValue::new("messaging.destination.name", stream),
    ];
    let elapsed = started.elapsed().as_secs_f64();
    match answer {
        Ok(_) => OPERATION.record(elapsed, &[system, name, kind, destination]),
        Err(error) => {
            OPERATION.record(elapsed, &[system, name, kind, destination, KeyValue::new("error.type", word(error))]);
        }
    }
}

/// So many records go together.
pub(crate) fn commits(messages: usize) {
    COMMIT.record(messages as u64, &[]);
}

const fn word(error: &AppendError) -> &'static str {
    match error {
        AppendError::Conflict { .. } => "conflict",
        AppendError::Unknown => "unknown",
        AppendError::Unavailable(_) => "unavailable",
        AppendError::TooLarge => "too_large",
        AppendError::Refused(_) => "refused",
        AppendError::ReadOnly(_) => "read_only",
    }
}
