//! Follows the stream of records by a consumer that is made anew whenever there is doubt.
//!
//! The client's own ordered consumer asks for 200 messages at a time; with requests for thousands a long log is read in two
//! thirds of the time (decision 25). It also notices a restarted server only after some 15 seconds, and pull consumers are
//! known to stall without an error. So ours is replaced when a message is missing, when the connection comes back, and when
//! the stream has grown while nothing arrived.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::pull::{Config, MessagesError, Stream};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, ReplayPolicy};
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
/// The stream may take so long to be looked at and a consumer to be made, even for a reader that waits less: cut off each time, it would
/// never be made.
const RECOVERED_WITHIN: Duration = Duration::from_secs(1);
/// What is asked for at once; up to half as much again may wait for us.
const ASKED_MESSAGES: usize = 4_096;
/// The same in bytes.
const ASKED_BYTES: usize = 16 * 1024 * 1024;
/// How often the server says that it is there while it has nothing for us.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// After how long without us the server forgets a consumer.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(30);

/// A reader of the stream.
pub(crate) struct NatsFollow {
    connection: Connection,
    /// Nothing while the server is away.
    messages: Option<Stream>,
    /// The name of the last consumer that was made for us.
    consumer: Option<String>,
    /// Over which connection the stream was last compared with what was seen; nothing before that was done.
    compared_over: Option<u64>,
    /// Messages that the present consumer has brought.
    brought: u64,
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
    Broken(Box<MessagesError>),
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
            consumer: None,
            compared_over: None,
            brought: 0,
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
        let (messages, consumer, pending) = messages(&self.connection, self.seen + 1).await?;
        if pending == 0 {
            self.caught_up = true;
            self.checked = head.last_sequence;
        }
        (self.messages, self.brought, self.anew) = (Some(messages), 0, true);
        self.heard = Instant::now();
        if let Some(left) = self.consumer.replace(consumer) {
            forget(self.connection.clone(), left);
        }
        Ok(())
    }

    /// The last sequence that was handed out.
    pub const fn seen(&self) -> Sequence {
        self.seen
    }

    /// Over which connection the stream was last compared with what was seen.
    pub const fn compared_over(&self) -> Option<u64> {
        self.compared_over
    }

    /// Ends the reading; gives what [`Self::behind`] wants to go on later.
    pub fn end(self) -> Head {
        if let Some(consumer) = self.consumer {
            forget(self.connection, consumer);
        }
        self.start
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

    fn take(&mut self, message: Message, page: &mut RawPage) {
        let Ok(info) = message.info() else {
            return;
        };
        if info.consumer_sequence != self.brought + 1 {
            // one is missing: the next call makes the consumer anew
            self.messages = None;
            return;
        }
        self.brought += 1;
        self.seen = info.stream_sequence;
        self.caught_up |= info.pending == 0 || self.seen >= self.start.last_sequence;
        page.items.push(RawMessage::new(self.seen, message.message.subject, message.message.payload));
    }

    /// The page that begins with a message. Behind the end of the log more is sure to come: half a page is waited for, since
    /// each page costs its readers something by itself.
    async fn fill(&mut self, first: Message, page: &mut RawPage, max: usize, deadline: Instant) {
        self.take(first, page);
        loop {
            self.drain(page, max);
            if self.caught_up || page.items.len() >= max / 2 {
                break;
            }
            match self.hear(deadline).await {
                Heard::Message(message) => self.take(*message, page),
                // the next call finds out what it is, and makes the consumer anew
                Heard::Broken(_) | Heard::Ended => {
                    self.messages = None;
                    break;
                }
                Heard::Reconnected => {
                    (self.messages, self.anew) = (None, true);
                    break;
                }
                Heard::Nothing => break,
            }
        }
        self.heard = Instant::now();
    }

    /// What has already arrived, without waiting.
    fn drain(&mut self, page: &mut RawPage, max: usize) {
        while page.items.len() < max {
            match self.messages.as_mut().and_then(|messages| messages.next().now_or_never()) {
                Some(Some(Ok(message))) => self.take(message, page),
                // the next call makes the consumer anew
                Some(Some(Err(_)) | None) => self.messages = None,
                None => return,
            }
        }
    }

    /// Makes the consumer anew if the server is there, and finds out whether the stream is still the same.
    async fn recover(&mut self, deadline: Instant) -> Result<(), FollowError> {
        let patience = deadline.max(Instant::now() + RECOVERED_WITHIN);
        match timeout_at(patience, self.compare_and_reopen()).await {
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
        // before anything is asked: a connection that is made meanwhile is news, and the stream is compared again over it
        self.connected.mark_unchanged();
        let connection = self.connection.times_made();
        let head = head(&self.connection).await?;
        if head.incarnation != self.start.incarnation {
            return Err(FollowError::Replaced);
        }
        if head.last_sequence < self.seen {
            return Err(FollowError::Rewound { seen: self.seen, last: head.last_sequence });
        }
        self.reopen(head).await?;
        self.compared_over = Some(connection);
        Ok(())
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

/// Deletes a consumer that nobody reads from any more. The server would forget it by itself, but until then it looks after it with each
/// message.
fn forget(connection: Connection, consumer: String) {
    tokio::spawn(async move {
        let stream = connection.jetstream.get_stream_no_info(subject::EVENTS_STREAM).await;
        if let Ok(stream) = stream {
            // gone already, or forgotten soon
            let _ = stream.delete_consumer(&consumer).await;
        }
    });
}

/// Everything of the log from a place on, the name of the consumer that brings it, and how much of it is there by now.
pub(crate) async fn messages(connection: &Connection, first: Sequence) -> Result<(Stream, String, u64), Unavailable> {
    let unavailable = |error: &dyn std::error::Error| Unavailable::new("follow the log", error);
    let config = Config {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: first },
        replay_policy: ReplayPolicy::Instant,
        ack_policy: AckPolicy::None,
        max_deliver: 1,
        inactive_threshold: FORGOTTEN_AFTER,
        memory_storage: true,
        num_replicas: 1,
        ..Config::default()
    };
    let stream = connection.jetstream.get_stream_no_info(subject::EVENTS_STREAM).await;
    let stream = stream.map_err(|error| unavailable(&error))?;
    let consumer = stream.create_consumer(config).await.map_err(|error| unavailable(&error))?;
    let asking = consumer.stream().max_messages_per_batch(ASKED_MESSAGES).max_bytes_per_batch(ASKED_BYTES);
    let messages = asking.heartbeat(HEARTBEAT).messages().await.map_err(|error| unavailable(&error))?;
    Ok((messages, consumer.cached_info().name.clone(), consumer.cached_info().num_pending))
}

fn heard(next: Result<Message, MessagesError>) -> Heard {
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
        // where messages never pause, the news would never be heard
        if self.connected.has_changed().unwrap_or(false) {
            (self.messages, self.anew) = (None, true);
        }
        // who waits for the end of an empty log need not wait for a first message
        while page.items.is_empty() && (self.told || !self.caught_up) {
            match self.hear(deadline).await {
                Heard::Message(message) => self.fill(*message, &mut page, max, deadline).await,
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
