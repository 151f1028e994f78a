//! What the server alone takes: the same messages as ours in full batches, with nothing around them. For `regflow bench`.

use std::time::{Duration, Instant};

use async_nats::HeaderMap;
use bytes::Bytes;
use events::subject;
use futures::StreamExt;

use crate::batch::{BATCH_MESSAGES_MAX, Guard, Outgoing, send_batch};
use crate::connection::{Access, Connection, REQUEST_TIMEOUT};
use crate::log::{AppendError, Unavailable};
use crate::topology::{Topology, TopologyFileError};

/// The scratch stream; the only one that the program ever deletes, because it holds nothing.
const SCRATCH_STREAM: &str = "RAW_BENCH";

/// Why there is no measurement.
#[derive(Debug, thiserror::Error)]
pub enum RawError {
    /// The server is away.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The server refuses a batch.
    #[error("cannot store a batch in the scratch stream")]
    Append(#[from] AppendError),
    /// The committed topology is broken.
    #[error(transparent)]
    Topology(#[from] TopologyFileError),
}

/// Messages a second that the server stores durably, one batch after the other: `messages` that take `stored_bytes` each in its
/// file, in batches of `batch`, each on its own subject and guarded, in a scratch stream kept like the log's and deleted after.
///
/// # Errors
/// [`RawError`] when the server is away or refuses.
pub async fn raw_ceiling(url: &str, messages: usize, stored_bytes: usize, batch: usize) -> Result<f64, RawError> {
    let connection = Connection::open(url, &Access::default(), Duration::from_secs(10)).await?;
    let scratch = |reason: String| Unavailable { doing: "make the scratch stream", reason };
    let configs = Topology::committed()?.configs();
    let mut config = configs.into_iter().find(|config| config.name == subject::EVENTS_STREAM).unwrap_or_default();
    config.name = SCRATCH_STREAM.to_owned();
    config.subjects = vec!["raw_bench.*".to_owned()];
    // one may be left of a run that was killed
    let _ = connection.jetstream.delete_stream(SCRATCH_STREAM).await;
    connection.jetstream.create_stream(config).await.map_err(|error| scratch(error.to_string()))?;
    let measured = measure_stored(&connection, messages, stored_bytes, batch.clamp(1, BATCH_MESSAGES_MAX)).await;
    connection.jetstream.delete_stream(SCRATCH_STREAM).await.map_err(|error| scratch(error.to_string()))?;
    measured
}

/// With payloads that fill what subject, headers and the server's own bytes leave.
async fn measure_stored(
    connection: &Connection,
    messages: usize,
    stored_bytes: usize,
    batch: usize,
) -> Result<f64, RawError> {
    send_batch(connection, &[message(usize::MAX, Bytes::new())]).await?;
    let stream = connection.jetstream.get_stream(SCRATCH_STREAM).await;
    let stream = stream.map_err(|error| Unavailable::new("look at the scratch stream", error))?;
    let around = usize::try_from(stream.cached_info().state.bytes).unwrap_or(usize::MAX);
    Ok(measure(connection, messages, stored_bytes.saturating_sub(around), batch).await?)
}

/// Messages that the log has taken so far.
///
/// # Errors
/// [`RawError`] when the server is away or has no log of ours.
pub async fn raw_length(url: &str) -> Result<u64, RawError> {
    let connection = Connection::open(url, &Access::default(), Duration::from_secs(10)).await?;
    Ok(crate::nats_log::head(&connection).await?.last_sequence)
}

/// Notifications that were stored so far.
///
/// # Errors
/// [`RawError`] when the server is away or has no such stream.
pub async fn raw_notified(url: &str) -> Result<u64, RawError> {
    let connection = Connection::open(url, &Access::default(), Duration::from_secs(10)).await?;
    let stream = connection.jetstream.get_stream(subject::NOTIFY_STREAM).await;
    let stream = stream.map_err(|error| Unavailable::new("look at the stream of notifications", error))?;
    Ok(stream.cached_info().state.last_sequence)
}

/// Messages that a reader gets from the log in order, asked for as every reader of ours does, and how long it takes: nothing is
/// decoded. What every replay is compared with.
///
/// # Errors
/// [`RawError`] when the server is away or has no log of ours.
pub async fn raw_read(url: &str) -> Result<(u64, Duration), RawError> {
    let doing = "read the log";
    let connection = Connection::open(url, &Access::default(), Duration::from_secs(10)).await?;
    let end = crate::nats_log::head(&connection).await?.last_sequence;
    let started = Instant::now();
    let (mut messages, ..) = crate::follow::messages(&connection, 1).await?;
    let (mut read, mut at) = (0, 0);
    while at < end {
        let next = tokio::time::timeout(REQUEST_TIMEOUT, messages.next()).await;
        let next = next.map_err(|error| Unavailable::new(doing, error))?;
        let message = next.ok_or_else(|| Unavailable::new(doing, "it ended too early"))?;
        let message = message.map_err(|error| Unavailable::new(doing, error))?;
        at = message.info().map_err(|error| Unavailable::new(doing, error))?.stream_sequence;
        read += 1;
    }
    Ok((read, started.elapsed()))
}

#[allow(clippy::cast_precision_loss, reason = "a number of messages fits an f64")]
async fn measure(
    connection: &Connection,
    messages: usize,
    bytes_each: usize,
    batch: usize,
) -> Result<f64, AppendError> {
    let payload = Bytes::from(vec![b'x'; bytes_each]);
    let started = Instant::now();
    for first in (0..messages).step_by(batch) {
        let batch: Vec<_> =
            (first..messages.min(first + batch)).map(|number| message(number, payload.clone())).collect();
        send_batch(connection, &batch).await?;
    }
    Ok(messages as f64 / started.elapsed().as_secs_f64())
}

fn message(number: usize, payload: Bytes) -> Outgoing {
    let subject = format!("raw_bench.{number:032x}").into();
    Outgoing { subject, guard: Guard::LastOfSubject(0), headers: HeaderMap::new(), payload }
}
