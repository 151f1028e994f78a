//! Notifications on their way to programs elsewhere: a durable consumer of NOTIFY for each recipient, and another one for
//! each time that an operator wants the past delivered again. The server remembers what was acknowledged, what comes again
//! when, and how often it was tried.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_nats::jetstream::consumer::pull::Config;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer};
use async_nats::jetstream::context::{ConsumerInfoError, ConsumerInfoErrorKind};
use async_nats::jetstream::stream::Stream;
use async_nats::jetstream::{AckKind, Message};
use bytes::Bytes;
use events::{Sequence, Timestamp, subject};
use futures::{StreamExt, TryStreamExt};

use crate::connection::{Connection, REQUEST_TIMEOUT};
use crate::log::Unavailable;

/// Most notifications of one recipient that wait for another try; later ones wait in the stream.
const WAITING_MAX: i64 = 10_000;
/// Pull requests that the server keeps for one consumer.
const REQUESTS_MAX: i64 = 64;
/// Stands between a recipient's name and what is delivered again.
const AGAIN: &str = "-again-";

/// Who gets which notifications.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Names the consumer; letters, digits, `-` and `_`.
    pub name: String,
    /// The subjects that it gets.
    pub filters: Vec<String>,
    /// A delivery without a word for so long comes again.
    pub ack_wait: Duration,
}

/// Where delivering again begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Since {
    /// With what was stored at this time or later.
    Time(Timestamp),
    /// With this sequence of the stream NOTIFY.
    Sequence(Sequence),
}

/// A wish to deliver again, for those who look at the server later.
#[derive(Debug, Clone)]
pub struct Again {
    /// From here to what is the end of the stream now.
    pub since: Since,
    /// Who wants it.
    pub operator: String,
    /// Why.
    pub reason: String,
}

/// How a recipient's consumer stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Not delivered yet.
    pub pending: u64,
    /// Delivered and not acknowledged: under way, or waiting for another try.
    pub unacknowledged: u64,
}

/// The stream NOTIFY, read for others.
#[derive(Clone)]
pub struct Outbox {
    connection: Connection,
    stream: Stream<()>,
}

/// What one consumer gives.
pub struct Deliveries {
    stream: Stream<()>,
    consumer: PullConsumer,
    name: String,
    /// The last sequence that is delivered again; nothing for a recipient's own consumer, which has no end.
    until: Option<Sequence>,
}

/// One notification that wants a word.
pub struct Delivery {
    message: Message,
    /// A CloudEvent as JSON.
    pub body: Bytes,
    /// Its place in the stream NOTIFY.
    pub sequence: Sequence,
    /// Which try this is, from 1.
    pub number: u32,
}

impl Outbox {
    pub(crate) async fn open(connection: &Connection) -> Result<Self, Unavailable> {
        let stream = connection.jetstream.get_stream_no_info(subject::NOTIFY_STREAM).await;
        let stream = stream.map_err(|error| Unavailable::new("open the stream of notifications", error))?;
        Ok(Self { connection: connection.clone(), stream })
    }

    /// The recipient's own consumer. A new one begins with what is told from now on.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer or refuses.
    pub async fn deliveries(&self, recipient: &Recipient) -> Result<Deliveries, Unavailable> {
        let config = config(recipient, recipient.name.clone(), DeliverPolicy::New, HashMap::new());
        let consumer = self.stream.create_consumer(config).await.map_err(|error| cannot("make a consumer", error))?;
        Ok(self.read(consumer, recipient.name.clone(), None))
    }

    /// Begins to deliver the past again, by a consumer of its own; gives its name and how many notifications that are.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer or refuses.
    pub async fn begin_again(&self, recipient: &Recipient, again: &Again) -> Result<(String, u64), Unavailable> {
        let until = self.last_sequence().await?;
        let (start, deliver_policy) = match again.since {
            Since::Time(at) => {
                let start_time = time(at).into();
                (format!("t{}", at.0), DeliverPolicy::ByStartTime { start_time })
            }
            Since::Sequence(start_sequence) => {
                // a consumer cannot begin at 0
                let start_sequence = start_sequence.max(1);
                (format!("s{start_sequence}"), DeliverPolicy::ByStartSequence { start_sequence })
            }
        };
        let name = format!("{}{AGAIN}{start}-{until}", recipient.name);
        let why = [("operator", &again.operator), ("reason", &again.reason)];
        let metadata = why.map(|(key, text)| (key.to_owned(), text.clone())).into();
        let config = config(recipient, name.clone(), deliver_policy, metadata);
        let consumer = self.stream.create_consumer(config).await.map_err(|error| cannot("make a consumer", error))?;
        Ok((name, consumer.cached_info().num_pending))
    }

    /// What is being delivered again to a recipient, by name of the consumer.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer.
    pub async fn again_names(&self, recipient: &Recipient) -> Result<Vec<String>, Unavailable> {
        let names = self.stream.consumer_names().try_collect::<Vec<String>>();
        let names =
            tokio::time::timeout(REQUEST_TIMEOUT, names).await.map_err(|error| cannot("list consumers", error))?;
        let mut names = names.map_err(|error| cannot("list consumers", error))?;
        let prefix = format!("{}{AGAIN}", recipient.name);
        names.retain(|name| name.starts_with(&prefix) && end_of(name).is_some());
        Ok(names)
    }

    /// A consumer that [`Self::begin_again`] made; nothing when it has come to its end.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer.
    pub async fn deliveries_again(&self, name: &str) -> Result<Option<Deliveries>, Unavailable> {
        match self.stream.get_consumer(name).await {
            Ok(consumer) => Ok(Some(self.read(consumer, name.to_owned(), end_of(name)))),
            Err(error) if error.downcast_ref().is_some_and(is_gone) => Ok(None),
            Err(error) => Err(cannot("find a consumer", error)),
        }
    }

    /// How a recipient's own consumer stands.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer, or there is no such consumer yet.
    pub async fn standing(&self, recipient: &Recipient) -> Result<Standing, Unavailable> {
        let info = self.stream.consumer_info(&recipient.name).await;
        info.map(|info| standing(&info)).map_err(|error| cannot("look at a consumer", error))
    }

    fn read(&self, consumer: PullConsumer, name: String, until: Option<Sequence>) -> Deliveries {
        Deliveries { stream: self.stream.clone(), consumer, name, until }
    }

    async fn last_sequence(&self) -> Result<Sequence, Unavailable> {
        let stream = self.connection.jetstream.get_stream(subject::NOTIFY_STREAM).await;
        let stream = stream.map_err(|error| cannot("look at the stream of notifications", error))?;
        Ok(stream.cached_info().state.last_sequence)
    }
}

impl Deliveries {
    /// Up to `max` notifications, once one is there; none when none comes within `wait`.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer.
    pub async fn next(&self, max: usize, wait: Duration) -> Result<Vec<Delivery>, Unavailable> {
        let first = self.consumer.batch().max_messages(1).expires(wait).messages().await;
        let first = first.map_err(|error| cannot("ask for notifications", error))?;
        let mut got = tokio::time::timeout(wait + REQUEST_TIMEOUT, collect(first))
            .await
            .map_err(|error| cannot("ask for notifications", error))??;
        if !got.is_empty() && max > 1 {
            let more = self.consumer.fetch().max_messages(max - 1).messages().await;
            let more = more.map_err(|error| cannot("ask for notifications", error))?;
            let more = tokio::time::timeout(REQUEST_TIMEOUT, collect(more)).await;
            got.extend(more.map_err(|error| cannot("ask for notifications", error))??);
        }
        Ok(got)
    }

    /// Whether a notification is behind the end of what is delivered again.
    #[must_use]
    pub fn is_behind_the_end(&self, delivery: &Delivery) -> bool {
        self.until.is_some_and(|until| delivery.sequence > until)
    }

    /// Removes a consumer that delivers again and has come to its end; tells whether it had.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer.
    pub async fn remove_if_done(&self) -> Result<bool, Unavailable> {
        let Some(until) = self.until else { return Ok(false) };
        let info = match self.stream.consumer_info(&self.name).await {
            Err(error) if is_gone(&error) => return Ok(true),
            info => info.map_err(|error| cannot("look at a consumer", error))?,
        };
        let Standing { pending, unacknowledged } = standing(&info);
        if unacknowledged > 0 || (pending > 0 && info.delivered.stream_sequence < until) {
            return Ok(false);
        }
        let removed = self.stream.delete_consumer(&self.name).await;
        removed.map(|_| true).map_err(|error| cannot("remove a consumer", error))
    }
}

impl Delivery {
    /// It arrived.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not take the word: it comes again then.
    pub async fn arrived(self) -> Result<(), Unavailable> {
        self.say(AckKind::Ack).await
    }

    /// It comes again after a pause.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not take the word: it comes again sooner then.
    pub async fn again_after(self, pause: Duration) -> Result<(), Unavailable> {
        self.say(AckKind::Nak(Some(pause))).await
    }

    /// It is not tried again.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not take the word: it comes again then.
    pub async fn give_up(self) -> Result<(), Unavailable> {
        self.say(AckKind::Term).await
    }

    /// Nothing was done with it yet: it comes again only when the recipient's `ack_wait` has passed once more, from now on.
    pub async fn waits_on(&self) {
        if let Err(error) = self.message.ack_with(AckKind::Progress).await {
            tracing::debug!(%error, sequence = self.sequence, "a notification that waits for its turn may come twice");
        }
    }

    async fn say(self, word: AckKind) -> Result<(), Unavailable> {
        let said = tokio::time::timeout(REQUEST_TIMEOUT, self.message.double_ack_with(word)).await;
        let said = said.map_err(|error| cannot("acknowledge a notification", error))?;
        said.map_err(|error| cannot("acknowledge a notification", error))
    }
}

async fn collect<E: std::fmt::Display>(
    mut messages: impl futures::Stream<Item = Result<Message, E>> + Unpin,
) -> Result<Vec<Delivery>, Unavailable> {
    let mut got = Vec::new();
    while let Some(message) = messages.next().await {
        let message = message.map_err(|error| cannot("ask for notifications", error))?;
        let info = message.info().map_err(|error| cannot("read a notification's place", error))?;
        let (sequence, number) = (info.stream_sequence, u32::try_from(info.delivered).unwrap_or(u32::MAX));
        got.push(Delivery { body: message.payload.clone(), sequence, number, message });
    }
    Ok(got)
}

fn config(recipient: &Recipient, name: String, begin: DeliverPolicy, metadata: HashMap<String, String>) -> Config {
    Config {
        durable_name: Some(name),
        description: Some("regflow: webhooks".to_owned()),
        filter_subjects: recipient.filters.clone(),
        deliver_policy: begin,
        ack_policy: AckPolicy::Explicit,
        ack_wait: recipient.ack_wait,
        max_ack_pending: WAITING_MAX,
        max_waiting: REQUESTS_MAX,
        metadata,
        ..Config::default()
    }
}

/// Another process was quicker, or our own removal was not answered.
fn is_gone(error: &ConsumerInfoError) -> bool {
    error.kind() == ConsumerInfoErrorKind::NotFound
}

fn standing(info: &async_nats::jetstream::consumer::Info) -> Standing {
    Standing { pending: info.num_pending, unacknowledged: info.num_ack_pending as u64 }
}

/// The last sequence that a consumer delivers again, from its name.
fn end_of(name: &str) -> Option<Sequence> {
    name.rsplit_once(AGAIN)?.1.rsplit_once('-')?.1.parse().ok()
}

fn time(at: Timestamp) -> SystemTime {
    UNIX_EPOCH + Duration::from_micros(u64::try_from(at.0).unwrap_or(0))
}

fn cannot(doing: &'static str, error: impl ToString) -> Unavailable {
    Unavailable::new(doing, error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_consumer_that_delivers_again_tells_its_end() {
        assert_eq!(end_of("webhook-default-shop-again-s12-90"), Some(90));
        assert_eq!(end_of("webhook-default-shop"), None);
        assert_eq!(end_of("webhook-default-shop-again-x"), None);
    }
}
