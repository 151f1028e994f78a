//! The log in memory: for tests of what stands above it. Behaves as the one on a server does.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use events::record::{Link, Record, Stored, StoredMaker, hash_of};
use events::{MakerEvent, RegistrationId, Sequence, Shard, subject};
use tokio::sync::watch;

use crate::log::{
    AppendError, EventLog, Follow, FollowError, FollowItem, HISTORY_RECORDS_MAX, Head, Incarnation, LoadError, Page,
    Unavailable,
};
use crate::nats_log::{maker_readable, readable};

/// A log that lives as long as its handles.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

struct Shared {
    messages: Mutex<Messages>,
    end: watch::Sender<Sequence>,
    incarnation: Incarnation,
}

#[derive(Default)]
struct Messages {
    /// The message of sequence n stands at n - 1.
    all: Vec<(String, Bytes)>,
    last: HashMap<String, Sequence>,
}

impl Messages {
    fn push(&mut self, subject: String, payload: Bytes) -> Sequence {
        self.all.push((subject.clone(), payload));
        let sequence = self.all.len() as Sequence;
        self.last.insert(subject, sequence);
        sequence
    }

    fn at(&self, sequence: Sequence) -> Option<&(String, Bytes)> {
        self.all.get(usize::try_from(sequence.checked_sub(1)?).ok()?)
    }

    fn read(&self, sequence: Sequence) -> Option<FollowItem> {
        let (subject, payload) = self.at(sequence)?;
        Some(FollowItem::read(subject, sequence, payload))
    }
}

impl Default for MemoryLog {
    fn default() -> Self {
        let messages = Mutex::default();
        let shared = Shared { messages, end: watch::Sender::new(0), incarnation: Incarnation(rand::random()) };
        Self { shared: Arc::new(shared) }
    }
}

impl MemoryLog {
    /// Stores anything on any subject, as an operator with a NATS client could.
    pub fn store_unchecked(&self, subject: String, payload: Bytes) -> Sequence {
        let sequence = self.messages().push(subject, payload);
        self.shared.end.send_replace(sequence);
        sequence
    }

    fn append_guarded(&self, subject: String, previous: Option<Link>, payload: Bytes) -> Result<Link, AppendError> {
        let hash = hash_of(&payload);
        let mut messages = self.messages();
        let last = messages.last.get(&subject).copied().unwrap_or(0);
        if last != previous.map_or(0, |link| link.sequence) {
            return Err(AppendError::Conflict { last: Some(last) });
        }
        let sequence = messages.push(subject, payload);
        self.shared.end.send_replace(sequence);
        Ok(Link { sequence, hash })
    }

    /// A panic elsewhere leaves no message half stored.
    fn messages(&self) -> MutexGuard<'_, Messages> {
        self.shared.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventLog for MemoryLog {
    async fn append(&self, shard: Shard, id: RegistrationId, record: &Record) -> Result<Link, AppendError> {
        self.append_guarded(subject::registration(shard, id), record.previous, record.encode()?)
    }

    async fn append_maker(
        &self,
        shard: Shard,
        connector: &str,
        record: &Record<MakerEvent>,
    ) -> Result<Link, AppendError> {
        self.append_guarded(subject::maker(shard, connector), record.previous, record.encode()?)
    }

    async fn last_of_maker(&self, shard: Shard, connector: &str) -> Result<Option<StoredMaker>, LoadError> {
        let messages = self.messages();
        let last = messages.last.get(&subject::maker(shard, connector)).and_then(|sequence| messages.read(*sequence));
        last.map(maker_readable).transpose()
    }

    async fn load_with_bytes(&self, shard: Shard, id: RegistrationId) -> Result<Vec<(Stored, Bytes)>, LoadError> {
        let subject = subject::registration(shard, id);
        let messages = self.messages();
        let Some(last) = messages.last.get(&subject).copied() else { return Ok(Vec::new()) };
        let read = |sequence, payload: &Bytes| {
            readable(FollowItem::read(&subject, sequence, payload)).map(|stored| (stored, payload.clone()))
        };
        let (_, payload) = messages.at(last).ok_or(LoadError::ChainBroken { sequence: last })?;
        let mut records = vec![read(last, payload)?];
        while let Some(previous) = records.last().and_then(|(stored, _)| stored.record.previous) {
            if records.len() == HISTORY_RECORDS_MAX {
                return Err(LoadError::TooLong);
            }
            let linked = messages
                .at(previous.sequence)
                .filter(|(at, payload)| *at == subject && hash_of(payload) == previous.hash);
            let (_, payload) = linked.ok_or(LoadError::ChainBroken { sequence: previous.sequence })?;
            records.push(read(previous.sequence, payload)?);
        }
        records.reverse();
        Ok(records)
    }

    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        let after = from.saturating_sub(1);
        let end = self.shared.end.subscribe();
        let start = *end.borrow();
        if after > start {
            return Err(FollowError::Rewound { seen: after, last: start });
        }
        Ok(Box::new(MemoryFollow { log: self.clone(), end, seen: after, start }))
    }

    async fn head(&self) -> Result<Head, Unavailable> {
        Ok(Head { last_sequence: self.messages().all.len() as Sequence, incarnation: self.shared.incarnation })
    }
}

struct MemoryFollow {
    log: MemoryLog,
    end: watch::Receiver<Sequence>,
    seen: Sequence,
    start: Sequence,
}

#[async_trait]
impl Follow for MemoryFollow {
    async fn next_page(&mut self, max: usize, max_wait: Duration) -> Result<Page, FollowError> {
        let seen = self.seen;
        // on both answers what is there is read
        let _ = tokio::time::timeout(max_wait, self.end.wait_for(|end| *end > seen)).await;
        let messages = self.log.messages();
        let items: Vec<_> = (seen + 1..).map_while(|sequence| messages.read(sequence)).take(max).collect();
        self.seen = items.last().map_or(seen, FollowItem::sequence);
        Ok(Page { items, caught_up: self.seen >= self.start })
    }
}
