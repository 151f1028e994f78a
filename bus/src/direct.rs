//! Reads of single messages by direct get: some 60 microseconds each, however many subjects the stream has.

use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::{DirectGetError, DirectGetErrorKind, Stream};
use events::Sequence;

use crate::connection::Connection;
use crate::log::Unavailable;

const DOING: &str = "read from the log";

/// A stream to read single messages of.
#[derive(Clone)]
pub(crate) struct Direct {
    stream: Stream<()>,
}

impl Direct {
    pub async fn open(connection: &Connection, stream: &str) -> Result<Self, Unavailable> {
        let stream = connection.jetstream.get_stream_no_info(stream).await;
        Ok(Self { stream: stream.map_err(|error| Unavailable::new(DOING, error))? })
    }

    /// The last message of a subject.
    pub async fn last(&self, subject: &str) -> Result<Option<StreamMessage>, Unavailable> {
        found(self.stream.direct_get_last_for_subject(subject).await)
    }

    /// The message at a sequence.
    pub async fn at(&self, sequence: Sequence) -> Result<Option<StreamMessage>, Unavailable> {
        found(self.stream.direct_get(sequence).await)
    }

    /// The first message of a subject at `from` or later.
    pub async fn next(&self, subject: &str, from: Sequence) -> Result<Option<StreamMessage>, Unavailable> {
        found(self.stream.direct_get_next_for_subject(subject, Some(from)).await)
    }
}

fn found(answer: Result<StreamMessage, DirectGetError>) -> Result<Option<StreamMessage>, Unavailable> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
        Err(error) => Err(Unavailable::new(DOING, error)),
    }
}
