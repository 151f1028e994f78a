//! The whole stream of the log as it is stored, message by message, whatever stands in it: for those who check it.

use std::path::PathBuf;
use std::time::Duration;

use async_nats::Subject;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::{ErrorCode, message::StreamMessage};
use bytes::Bytes;
use events::record::{RecordHash, hash_of};
use events::{Sequence, subject};
use secrecy::SecretString;

use crate::connection::{Access, Connection};
use crate::direct::Direct;
use crate::follow::NatsFollow;
use crate::log::{FollowError, FollowItem, Incarnation, Unavailable};
use crate::nats_log::head;
use crate::tail::{Tail, TailFollow};

/// A message as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawMessage {
    /// Its place in the stream.
    pub sequence: Sequence,
    subject: Subject,
    /// What it says; never changed, since its hash stands beside it.
    pub(crate) payload: Bytes,
    /// Here, because all who read it together need it.
    hash: RecordHash,
}

/// A few messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawPage {
    /// In the order of the stream.
    pub items: Vec<RawMessage>,
    /// Whether everything that was stored when the reading began has been handed out, this page included.
    pub caught_up: bool,
    /// Whether the consumer was made anew since the page before, or the connection was: this page can be of a server that came
    /// back with another store, which has grown again beyond what was read.
    pub anew: bool,
}

/// What the server says of the stream without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamFacts {
    /// The first sequence that it has; 1 or 0 in a log that lost nothing.
    pub first: Sequence,
    /// The last sequence.
    pub last: Sequence,
    /// How many messages it has.
    pub messages: u64,
    /// Which stream it is.
    pub incarnation: Incarnation,
}

/// How to reach a server that is only read.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// A `.creds` file of the account.
    pub credentials_file: Option<PathBuf>,
    /// The seed of the user's nkey.
    pub nkey_seed: Option<SecretString>,
    /// Certificates that the server's is checked against (then TLS is required).
    pub ca_file: Option<PathBuf>,
}

impl From<ReadOptions> for Access {
    fn from(options: ReadOptions) -> Self {
        let ReadOptions { credentials_file, nkey_seed, ca_file } = options;
        Self { credentials_file, nkey_seed, ca_file }
    }
}

/// Reads everything of the log's stream, and changes nothing; cheap to clone.
#[derive(Clone)]
pub struct WholeLog {
    connection: Connection,
    direct: Direct,
    tail: Tail,
}

/// One way through the whole stream.
pub struct RawFollow(Way);

enum Way {
    Alone(Box<NatsFollow>),
    Shared(Box<TailFollow>),
}

impl RawMessage {
    pub(crate) fn new(sequence: Sequence, subject: Subject, payload: Bytes) -> Self {
        Self { sequence, subject, hash: hash_of(&payload), payload }
    }

    /// The same of one whose hash is known.
    pub(crate) const fn hashed(sequence: Sequence, subject: Subject, payload: Bytes, hash: RecordHash) -> Self {
        Self { sequence, subject, payload, hash }
    }

    pub(crate) const fn hash(&self) -> RecordHash {
        self.hash
    }

    /// What it says, as readers of the log see it.
    #[must_use]
    pub fn read(&self) -> FollowItem {
        FollowItem::read_hashed(&self.subject, self.sequence, &self.payload, self.hash)
    }

    /// The same, if it stands where records do. Decided here, not by a filter of the consumer: with one the server looks
    /// through all subjects of a block for each message.
    pub(crate) fn record(&self) -> Option<FollowItem> {
        subject::holds_records(&self.subject).then(|| self.read())
    }

    /// Where it was published.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }
}

impl From<StreamMessage> for RawMessage {
    fn from(message: StreamMessage) -> Self {
        Self::new(message.sequence, message.subject, message.payload)
    }
}

impl StreamFacts {
    /// Whether no message is missing between the first place and the last.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.messages == self.last && self.first <= 1
    }
}

impl WholeLog {
    /// Connects within `timeout`. Makes and changes no stream, so that a log that is not there is seen to be missing.
    ///
    /// # Errors
    /// [`Unavailable`] when the server cannot be reached.
    pub async fn connect(url: &str, options: ReadOptions, timeout: Duration) -> Result<Self, Unavailable> {
        let connection = Connection::open(url, &options.into(), timeout).await?;
        Self::over(connection.clone(), Tail::new(connection)).await
    }

    pub(crate) async fn over(connection: Connection, tail: Tail) -> Result<Self, Unavailable> {
        Ok(Self { direct: Direct::open(&connection, subject::EVENTS_STREAM).await?, connection, tail })
    }

    /// What the server says of the stream; nothing when there is none.
    ///
    /// # Errors
    /// [`Unavailable`] when it does not answer.
    pub async fn facts(&self) -> Result<Option<StreamFacts>, Unavailable> {
        let unavailable = |reason: String| Unavailable { doing: "look at the stream of the log", reason };
        let stream = match self.connection.jetstream.get_stream(subject::EVENTS_STREAM).await {
            Ok(stream) => stream,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(why) if why.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    return Ok(None);
                }
                GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::Request
                | GetStreamErrorKind::InvalidStreamName
                | GetStreamErrorKind::JetStream(_) => return Err(unavailable(error.to_string())),
            },
        };
        let (info, state) = (stream.cached_info(), &stream.cached_info().state);
        let created = i64::try_from(info.created.unix_timestamp_nanos());
        Ok(Some(StreamFacts {
            first: state.first_sequence,
            last: state.last_sequence,
            messages: state.messages,
            incarnation: Incarnation(created.map_err(|error| unavailable(error.to_string()))?),
        }))
    }

    /// The message at a place; nothing when there is none or the server cannot read it.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer.
    pub async fn message(&self, sequence: Sequence) -> Result<Option<RawMessage>, Unavailable> {
        Ok(self.direct.at(sequence).await?.map(RawMessage::from))
    }

    /// Everything at `from` and later, in order, on every subject: what is stored, then what comes.
    ///
    /// # Errors
    /// [`FollowError`] when the server is away or the stream ends before `from`.
    pub async fn follow(&self, from: Sequence) -> Result<RawFollow, FollowError> {
        let start = head(&self.connection).await?;
        let follow = NatsFollow::open(self.connection.clone(), from.saturating_sub(1), start).await?;
        Ok(RawFollow(Way::Alone(Box::new(follow))))
    }

    /// The same for one who stays: what comes is read once for all readers of the process.
    ///
    /// # Errors
    /// As for [`Self::follow`].
    pub(crate) async fn follow_live(&self, from: Sequence) -> Result<RawFollow, FollowError> {
        Ok(RawFollow(Way::Shared(Box::new(self.tail.follow(from.saturating_sub(1)).await?))))
    }

    /// From now on a lost connection is no news.
    pub fn leave(&self) {
        self.connection.leave();
    }
}

impl RawFollow {
    /// What comes next: up to `max` messages, as soon as there is one, or nothing after `max_wait`.
    ///
    /// # Errors
    /// [`FollowError`] when the stream is not the one that was read before.
    pub async fn next_page(&mut self, max: usize, max_wait: Duration) -> Result<RawPage, FollowError> {
        match &mut self.0 {
            Way::Alone(follow) => follow.next_raw(max, max_wait).await,
            Way::Shared(follow) => follow.next_raw(max, max_wait).await,
        }
    }
}
