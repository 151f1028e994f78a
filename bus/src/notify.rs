//! What outside subscribers read: the stream NOTIFY, written exactly once for each event of the log.
//!
//! The last message of each batch carries the position in the log that it tells of, and a batch is stored only behind the message that its
//! writer believes to be the last. So a writer that begins anew goes on behind the newest message, and of two writers
//! one is refused.

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::OrderedConfig;
use async_nats::{HeaderMap, HeaderValue};
use bytes::Bytes;
use events::{Sequence, subject};
use futures::StreamExt;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

use crate::batch::{BATCH_MESSAGES_MAX, Guard, Outgoing, send_batch, send_one};
use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::direct::Direct;
use crate::log::{AppendError, FollowError, Unavailable};
use crate::meters;

/// The header with the position in the log.
const POSITION_HEADER: &str = "Regflow-Position";

/// The header with the trace.
const TRACE_HEADER: &str = "traceparent";

/// One message for outside subscribers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// Where it goes.
    pub subject: String,
    /// The record of the log that it tells of. All notifications of one record belong into one batch.
    pub position: Sequence,
    /// The trace that it belongs to, as a header of W3C Trace Context.
    pub traceparent: Option<String>,
    /// A CloudEvent as JSON.
    pub body: Bytes,
}

/// Why notifications are not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotifyError {
    /// Another writer was first, or the last answer was lost: ask for the position and go on from there.
    #[error("the stream of notifications has moved on; its position must be read again")]
    Overtaken,
    /// More messages of one record than a batch holds.
    #[error("more than {BATCH_MESSAGES_MAX} notifications of one record")]
    TooMany,
    /// The server does not take them.
    #[error("cannot publish notifications")]
    Append(#[source] AppendError),
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The log that they tell of cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
}

/// The writer of the stream NOTIFY.
pub struct NotifyLog {
    connection: Connection,
    direct: Direct,
    /// The stream's last sequence as far as this writer knows; nothing until the position was read.
    last: Mutex<Option<Sequence>>,
}

impl NotifyLog {
    pub(crate) async fn open(connection: Connection) -> Result<Self, Unavailable> {
        let direct = Direct::open(&connection, subject::NOTIFY_STREAM).await?;
        Ok(Self { connection, direct, last: Mutex::new(None) })
    }

    /// Up to where the log has been told; nothing when nothing was ever told.
    ///
    /// # Errors
    /// [`NotifyError::Unavailable`] when the server does not say.
    pub async fn last_position(&self) -> Result<Option<Sequence>, NotifyError> {
        let mut known = self.last.lock().await;
        let stream = self.connection.jetstream.get_stream(subject::NOTIFY_STREAM).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        let info = stream.cached_info();
        let last = info.state.last_sequence;
        let position = match last {
            0 => None,
            _ => match self.direct.at(last).await? {
                Some(message) => position_in(&message.headers),
                // it has aged out: what is younger than that age was not told, what is older would be gone anyway
                None => self.log_position_before(info.config.max_age).await?,
            },
        };
        *known = Some(last);
        Ok(position)
    }

    /// Stores notifications in their order behind what is there; in batches, each whole or not at all.
    ///
    /// # Errors
    /// [`NotifyError`]; after any of them the position must be read again.
    pub async fn publish(&self, notifications: Vec<Notification>) -> Result<(), NotifyError> {
        let mut known = self.last.lock().await;
        // given back only after a success: whatever fails, the position must be read again
        let mut last = known.take().ok_or(NotifyError::Overtaken)?;
        for batch in batches(notifications)? {
            last = self.publish_batch(batch, last).await?;
        }
        *known = Some(last);
        Ok(())
    }

    async fn publish_batch(&self, batch: Vec<Notification>, last: Sequence) -> Result<Sequence, NotifyError> {
        let guards = std::iter::once(Guard::LastOfStream(last)).chain(std::iter::repeat(Guard::Free));
        let position = batch.last().map(|last| last.position);
        let mut messages: Vec<_> =
            batch.into_iter().zip(guards).map(|(message, guard)| outgoing(message, guard)).collect();
        // who goes on reads it in the last message of all, and a batch is stored whole or not at all
        if let (Some(last), Some(position)) = (messages.last_mut(), position) {
            last.headers.insert(POSITION_HEADER, HeaderValue::from(position));
        }
        let started = Instant::now();
        let answer = match messages.as_slice() {
            [] => return Ok(last),
            [message] => send_one(&self.connection, message).await,
            messages => send_batch(&self.connection, messages).await,
        };
        meters::written(subject::NOTIFY_STREAM, started, &answer);
        match answer {
            Ok(ack) => Ok(ack.sequence),
            Err(AppendError::Conflict { .. } | AppendError::Unknown) => Err(NotifyError::Overtaken),
            Err(AppendError::Unavailable(error)) => Err(error.into()),
            Err(error @ (AppendError::TooLarge | AppendError::Refused(_) | AppendError::ReadOnly(_))) => {
                Err(NotifyError::Append(error))
            }
        }
    }

    /// The last sequence of the log that is older than `age`.
    async fn log_position_before(&self, age: Duration) -> Result<Option<Sequence>, Unavailable> {
        let head = crate::nats_log::head(&self.connection).await?;
        let stream = self.connection.jetstream.get_stream_no_info(subject::EVENTS_STREAM).await;
        let stream = stream.map_err(|error| unavailable(&error))?;
        let start_time = std::time::SystemTime::now() - age;
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartTime { start_time: start_time.into() },
            headers_only: true,
            ..OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(|error| unavailable(&error))?;
        if consumer.cached_info().num_pending == 0 {
            return Ok(Some(head.last_sequence));
        }
        let mut messages = consumer.messages().await.map_err(|error| unavailable(&error))?;
        let first =
            tokio::time::timeout(REQUEST_TIMEOUT, messages.next()).await.map_err(|error| unavailable(&error))?;
        let first = first.and_then(Result::ok).ok_or_else(|| unavailable(&"the reader of the log ended"))?;
        let info = first.info().map_err(|error| unavailable(&error))?;
        Ok(Some(info.stream_sequence - 1))
    }
}

fn unavailable(reason: &impl ToString) -> Unavailable {
    Unavailable::new("find out what was told", reason.to_string())
}

fn outgoing(notification: Notification, guard: Guard) -> Outgoing {
    let mut headers = HeaderMap::new();
    if let Some(trace) = notification.traceparent {
        headers.insert(TRACE_HEADER, trace);
    }
    Outgoing { subject: notification.subject.into(), guard, headers, payload: notification.body }
}

fn position_in(headers: &HeaderMap) -> Option<Sequence> {
    headers.get(POSITION_HEADER)?.as_str().parse().ok()
}

/// Divides between records, never inside one: a writer goes on behind the last record that it finds told.
fn batches(notifications: Vec<Notification>) -> Result<Vec<Vec<Notification>>, NotifyError> {
    let records = notifications.chunk_by(|one, next| one.position == next.position);
    let mut sizes: Vec<usize> = Vec::new();
    for record in records.map(<[Notification]>::len) {
        if record > BATCH_MESSAGES_MAX {
            return Err(NotifyError::TooMany);
        }
        match sizes.last_mut() {
            Some(batch) if *batch + record <= BATCH_MESSAGES_MAX => *batch += record,
            Some(_) | None => sizes.push(record),
        }
    }
    let mut rest = notifications.into_iter();
    Ok(sizes.into_iter().map(|size| rest.by_ref().take(size).collect()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notifications(positions: impl IntoIterator<Item = Sequence>) -> Vec<Notification> {
        let notification = |position| Notification {
            subject: "notify.a.b.c".to_owned(),
            position,
            traceparent: None,
            body: Bytes::new(),
        };
        positions.into_iter().map(notification).collect()
    }

    #[test]
    fn a_record_is_never_divided_between_batches() {
        let mut many = notifications(1..=999);
        many.extend(notifications([1_000, 1_000, 1_001]));
        let sizes = batches(many).map(|batches| batches.iter().map(Vec::len).collect::<Vec<_>>());
        assert_eq!(sizes, Ok(vec![999, 3]));
    }

    #[test]
    fn too_many_notifications_of_one_record_are_refused() {
        assert_eq!(batches(notifications(vec![7; BATCH_MESSAGES_MAX + 1])), Err(NotifyError::TooMany));
    }
}
