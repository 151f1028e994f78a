//! Publishes with a guard: one message, or many as an atomic batch of which all are stored or none (ADR-50).

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::{Request, RequestError, RequestErrorKind};
use async_nats::{HeaderMap, HeaderName, HeaderValue, Subject};
use bytes::Bytes;
use events::Sequence;

use crate::ack::{self, Ack};
use crate::connection::Connection;
use crate::log::{AppendError, Unavailable};

/// Most messages that the server takes in one batch.
pub(crate) const BATCH_MESSAGES_MAX: usize = 1_000;
/// Longest wait for the server to say that something is stored.
pub(crate) const ACK_TIMEOUT: Duration = Duration::from_secs(4);

const BATCH_ID: HeaderName = HeaderName::from_static("Nats-Batch-Id");
const BATCH_SEQUENCE: HeaderName = HeaderName::from_static("Nats-Batch-Sequence");
const BATCH_COMMIT: HeaderName = HeaderName::from_static("Nats-Batch-Commit");
const EXPECTED_OF_SUBJECT: HeaderName = HeaderName::from_static("Nats-Expected-Last-Subject-Sequence");
const EXPECTED_OF_STREAM: HeaderName = HeaderName::from_static("Nats-Expected-Last-Sequence");

/// What must be true for a message to be stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guard {
    /// Nothing.
    Free,
    /// This is the sequence of the subject's last message (0 = it has none).
    LastOfSubject(Sequence),
    /// This is the sequence of the stream's last message. In a batch: only on its first message.
    LastOfStream(Sequence),
}

/// A message to store.
#[derive(Debug, Clone)]
pub(crate) struct Outgoing {
    pub subject: Subject,
    pub guard: Guard,
    pub headers: HeaderMap,
    pub payload: Bytes,
}

impl AsRef<Self> for Outgoing {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl Outgoing {
    fn guarded_headers(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        match self.guard {
            Guard::Free => {}
            Guard::LastOfSubject(sequence) => headers.insert(EXPECTED_OF_SUBJECT, HeaderValue::from(sequence)),
            Guard::LastOfStream(sequence) => headers.insert(EXPECTED_OF_STREAM, HeaderValue::from(sequence)),
        }
        headers
    }
}

/// Publishes one message and waits for the answer.
pub(crate) async fn send_one(connection: &Connection, message: &Outgoing) -> Result<Ack, AppendError> {
    request(connection, message, message.guarded_headers()).await
}

/// Publishes all messages as one batch and waits for the answer to the whole. An [`AppendError`] other than `Unknown`
/// says that none of them is stored.
pub(crate) async fn send_batch<M: AsRef<Outgoing>>(
    connection: &Connection,
    messages: &[M],
) -> Result<Ack, AppendError> {
    let Some((last, first)) = messages.split_last() else {
        return Err(AppendError::TooLarge);
    };
    let id = next_batch_id();
    let sending = async {
        for (message, number) in first.iter().map(AsRef::as_ref).zip(1_u64..) {
            let headers = batch_headers(message, &id, number);
            connection.client.publish_with_headers(message.subject.clone(), headers, message.payload.clone()).await?;
        }
        Ok(())
    };
    // nothing is stored before the commit: giving up here is certain
    match tokio::time::timeout(ACK_TIMEOUT, sending).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(send_failed(&error)),
        Err(_) => return Err(Unavailable::new("send a batch", "the connection does not take it").into()),
    }
    let last = last.as_ref();
    let mut headers = batch_headers(last, &id, messages.len() as u64);
    headers.insert(BATCH_COMMIT, "1");
    let ack = request(connection, last, headers).await?;
    // an answer for fewer would mean that messages were lost on the way; the server refuses such a batch
    if ack.count == messages.len() { Ok(ack) } else { Err(AppendError::Unknown) }
}

fn batch_headers(message: &Outgoing, id: &str, number: u64) -> HeaderMap {
    let mut headers = message.guarded_headers();
    headers.insert(BATCH_ID, id);
    headers.insert(BATCH_SEQUENCE, HeaderValue::from(number));
    headers
}

/// Short, because the server stores it with each message; random per process, counted inside.
fn next_batch_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: std::sync::LazyLock<u32> = std::sync::LazyLock::new(rand::random);
    format!("{:x}-{:x}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}

async fn request(connection: &Connection, message: &Outgoing, headers: HeaderMap) -> Result<Ack, AppendError> {
    let errors_before = connection.refusals();
    let request = Request::new().headers(headers).payload(message.payload.clone()).timeout(Some(ACK_TIMEOUT));
    match connection.client.send_request(message.subject.clone(), request).await {
        Ok(answer) => ack::read(&answer),
        Err(error) => Err(request_failed(connection, errors_before, &error)),
    }
}

fn send_failed(error: &async_nats::client::PublishError) -> AppendError {
    match error.kind() {
        async_nats::client::PublishErrorKind::MaxPayloadExceeded => AppendError::TooLarge,
        async_nats::client::PublishErrorKind::InvalidSubject => AppendError::Refused("invalid subject".to_owned()),
        async_nats::client::PublishErrorKind::Send => Unavailable::new("send a batch", error).into(),
    }
}

fn request_failed(connection: &Connection, errors_before: u64, error: &RequestError) -> AppendError {
    match error.kind() {
        RequestErrorKind::NoResponders => Unavailable::new("store a record", "no stream takes it").into(),
        RequestErrorKind::MaxPayloadExceeded => AppendError::TooLarge,
        RequestErrorKind::InvalidSubject => AppendError::Refused("invalid subject".to_owned()),
        // the server sends no answer to a publish that it forbids, only an error about the connection
        RequestErrorKind::TimedOut | RequestErrorKind::Other => {
            connection.publish_refused_since(errors_before).map_or(AppendError::Unknown, AppendError::Refused)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn batch_ids_differ_and_are_short() {
        let (one, two) = (next_batch_id(), next_batch_id());
        assert_ne!(one, two);
        assert!(one.len() <= 32);
    }

    #[test]
    fn a_guard_becomes_its_header_and_a_free_message_has_none() {
        let message = |guard| Outgoing { subject: "a".into(), guard, headers: HeaderMap::new(), payload: Bytes::new() };
        assert!(message(Guard::Free).guarded_headers().is_empty());
        let headers = message(Guard::LastOfSubject(0)).guarded_headers();
        assert_eq!(headers.get(EXPECTED_OF_SUBJECT).map(|value| value.as_str()), Some("0"));
        let headers = message(Guard::LastOfStream(7)).guarded_headers();
        assert_eq!(headers.get(EXPECTED_OF_STREAM).map(|value| value.as_str()), Some("7"));
    }
}
