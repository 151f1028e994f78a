//! Follows the stream of records by an ordered consumer that is made anew whenever there is doubt.
//!
//! Alone, an ordered consumer notices a restarted server only after some 15 seconds, and pull consumers are known to
//! stall without an error. So it is replaced when the connection comes back, and when the stream has grown while
//! nothing arrived.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig, OrderedError};
use async_nats::jetstream::consumer::{DeliverPolicy, ReplayPolicy};
use events::{Sequence, subject};
use futures::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::connection::Connection;
use crate::log::{FollowError, Head, Unavailable};
use crate::nats_log::head;
use crate::whole::{RawMessage, RawPage};

/// Silence after which the end of the stream is compared with what has arrived.
const WATCHDOG_AFTER: Duration = Duration::from_secs(5);
/// Pause before a consumer that could not be made is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// A reader of the stream.
pub(crate) struct NatsFollow {
    connection: Connection,
    /// Nothing while the server is away.
    messages: Option<Ordered>,
    connected: watch::Receiver<u64>,
    /// The last sequence that was handed out, or that reading began after.
    seen: Sequence,
    /// The end of the stream when following began.
    start: Head,
    caught_up: bool,
    /// Whether that was said.
    told: bool,
    /// Whether the consumer was made anew and that was not said yet.
    anew: bool,
    /// Up to here the stream holds nothing for us that was not seen (messages on other subjects stand in it, too).
    checked: Sequence,
    heard: Instant,
}

/// What there was to read.
enum Heard {
    Message(Box<Message>),
    Broken(Box<OrderedError>),
    Ended,
    Reconnected,
    Nothing,
}

impl NatsFollow {
    /// Follows everything behind a place; `start` is the end of the stream just before.
    pub async fn open(connection: Connection, after: Sequence, start: Head) -> Result<Self, FollowError> {
        if after > start.last_sequence {
            return Err(FollowError::Rewound { seen: after, last: start.last_sequence });
        }
        let mut follow = Self::behind(connection, after, start);
        follow.reopen(start).await?;
        Ok(follow)
    }

    /// The same of a stream that was at `start` when its reader began: whether it still is the same one is found out with
    /// the first page.
    pub fn behind(connection: Connection, after: Sequence, start: Head) -> Self {
        let connected = connection.connected();
        Self {
            connection,
            messages: None,
            connected,
            seen: after,
            start,
            caught_up: after >= start.last_sequence,
            told: false,
            anew: false,
            checked: after,
            heard: Instant::now(),
        }
    }

    /// Replaces the consumer by one that begins after what was seen; `head` is the end of the stream just before.
    async fn reopen(&mut self, head: Head) -> Result<(), Unavailable> {
        self.messages = None;
        self.connected.mark_unchanged();
        let config = OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: self.seen + 1 },
            replay_policy: ReplayPolicy::Instant,
            ..OrderedConfig::default()
        };
        let doing = "follow the log";
        let stream = self.connection.jetstream.get_stream_no_info(subject::EVENTS_STREAM).await;
        let stream = stream.map_err(|error| Unavailable::new(doing, error))?;
        let mut consumer = stream.create_consumer(config).await.map_err(|error| Unavailable::new(doing, error))?;
        let pending = consumer.info().await.map_err(|error| Unavailable::new(doing, error))?.num_pending;
        if pending == 0 {
            self.caught_up = true;
            self.checked = head.last_sequence;
        }
        self.messages = Some(consumer.messages().await.map_err(|error| Unavailable::new(doing, error))?);
        self.anew = true;
        self.heard = Instant::now();
        Ok(())
    }

    /// Waits for the next message, at most until `deadline`.
    async fn hear(&mut self, deadline: Instant) -> Heard {
        let Some(messages) = self.messages.as_mut() else {
            return Heard::Ended;
        };
        let next = timeout_at(deadline, async {
            tokio::select! {
                biased;
                next = messages.next() => next.map_or(Heard::Ended, heard),
                Ok(()) = self.connected.changed() => Heard::Reconnected,
            }
        });
        next.await.unwrap_or(Heard::Nothing)
    }

    fn take(&mut self, message: &Message, page: &mut RawPage) {
        let Ok(info) = message.info() else {
            return;
        };
        self.heard = Instant::now();
        self.seen = info.stream_sequence;
        self.caught_up |= info.pending == 0 || self.seen >= self.start.last_sequence;
        let (subject, payload) = (message.subject.clone(), message.payload.clone());
        page.items.push(RawMessage::new(self.seen, subject, payload));
    }

    /// What has already arrived, without waiting.
    fn drain(&mut self, page: &mut RawPage, max: usize) {
        while page.items.len() < max {
            match self.messages.as_mut().and_then(|messages| messages.next().now_or_never()) {
                Some(Some(Ok(message))) => self.take(&message, page),
                // the next call makes the consumer anew
                Some(Some(Err(_)) | None) => self.messages = None,
                None => return,
            }
        }
    }

    /// Makes the consumer anew if the server is there, and finds out whether the stream is still the same.
    async fn recover(&mut self, deadline: Instant) -> Result<(), FollowError> {
        match timeout_at(deadline, self.compare_and_reopen()).await {
            Ok(Err(FollowError::Unavailable(error))) => {
                tracing::debug!(%error, "the log cannot be followed for now");
                tokio::time::sleep_until(deadline.min(Instant::now() + RETRY_PAUSE)).await;
                Ok(())
            }
            Ok(result) => result,
            // the next call goes on
            Err(_) => Ok(()),
        }
    }

    async fn compare_and_reopen(&mut self) -> Result<(), FollowError> {
        self.messages = None;
        let head = head(&self.connection).await?;
        if head.incarnation != self.start.incarnation {
            return Err(FollowError::Replaced);
        }
        if head.last_sequence < self.seen {
            return Err(FollowError::Rewound { seen: self.seen, last: head.last_sequence });
        }
        Ok(self.reopen(head).await?)
    }

    /// Whether the stream has grown behind the back of a silent consumer, or was cut.
    async fn is_doubtful(&mut self) -> bool {
        if self.heard.elapsed() < WATCHDOG_AFTER {
            return false;
        }
        self.heard = Instant::now();
        let same = |head: Head| {
            let nothing_new = head.last_sequence <= self.seen.max(self.checked);
            head.incarnation == self.start.incarnation && head.last_sequence >= self.seen && nothing_new
        };
        head(&self.connection).await.is_ok_and(|head| !same(head))
    }
}

fn heard(next: Result<Message, OrderedError>) -> Heard {
    match next {
        Ok(message) => Heard::Message(Box::new(message)),
        Err(error) => Heard::Broken(Box::new(error)),
    }
}

impl NatsFollow {
    /// As [`crate::Follow::next_page`], of messages as they are stored.
    pub async fn next_raw(&mut self, max: usize, max_wait: Duration) -> Result<RawPage, FollowError> {
        let deadline = Instant::now() + max_wait;
        let mut page = RawPage::default();
        // who waits for the end of an empty log need not wait for a first message
        while page.items.is_empty() && (self.told || !self.caught_up) {
            match self.hear(deadline).await {
                Heard::Message(message) => {
                    self.take(&message, &mut page);
                    self.drain(&mut page, max);
                }
                Heard::Broken(error) => {
                    tracing::debug!(%error, "the consumer of the log broke; making it anew");
                    self.recover(deadline).await?;
                }
                Heard::Ended | Heard::Reconnected => self.recover(deadline).await?,
                Heard::Nothing => {
                    if self.is_doubtful().await {
                        self.recover(Instant::now() + RETRY_PAUSE.max(max_wait)).await?;
                    }
                    break;
                }
            }
            if Instant::now() >= deadline {
                break;
            }
        }
        page.caught_up = self.caught_up;
        // messages are heard before the news that the connection is another one
        page.anew = std::mem::take(&mut self.anew) || self.connected.has_changed().unwrap_or(false);
        self.told = self.caught_up;
        Ok(page)
    }
}
