//! The gate in front of the log: once there is doubt whether the log is the one that was verified, it takes no more
//! records, and its readers see nothing new, until an operator has decided.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use events::record::{Link, Record, Stored, StoredMaker};
use events::{MakerEvent, RegistrationId, Sequence, Shard};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::log::{AppendError, EventLog, Follow, FollowError, FollowItem, Head, LoadError, Page, Unavailable};

/// In which way the log is not the one that was verified.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trouble {
    /// It ends before what was read from it: it lost messages, and their places will be used again.
    #[error("the log ends at sequence {last}, but it was read up to {seen}")]
    Rewound {
        /// The last sequence that was read.
        seen: Sequence,
        /// Where it ends now.
        last: Sequence,
    },
    /// Another stream stands in its place, or none.
    #[error("the stream of the log was replaced by another one")]
    Replaced,
    /// Places without a message.
    #[error("the message at sequence {sequence} is missing")]
    Missing {
        /// The first of them.
        sequence: Sequence,
    },
    /// Another message than the one that was verified.
    #[error("the message at sequence {sequence} is not the one that was verified there")]
    Differs {
        /// Its place.
        sequence: Sequence,
    },
    /// A place was given to a new record although there had been one.
    #[error("sequence {sequence} was given out again")]
    Reused {
        /// The place.
        sequence: Sequence,
    },
    /// The messages do not add up to what was signed.
    #[error("the first {size} messages do not add up to the head that was signed")]
    OtherRoot {
        /// The size of the signed head.
        size: u64,
    },
    /// The signed head itself cannot be believed.
    #[error("the signed head cannot be believed: {reason}")]
    BadHead {
        /// Why.
        reason: String,
    },
}

impl Trouble {
    /// The first place that is bad; 1 when all may be.
    #[must_use]
    pub const fn first_bad(&self) -> Sequence {
        match self {
            Self::Rewound { last, .. } => *last + 1,
            Self::Missing { sequence } | Self::Differs { sequence } | Self::Reused { sequence } => *sequence,
            Self::Replaced | Self::OtherRoot { .. } | Self::BadHead { .. } => 1,
        }
    }

    /// What it is in one word, for machines.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Rewound { .. } => "rewound",
            Self::Replaced => "replaced",
            Self::Missing { .. } => "missing",
            Self::Differs { .. } => "differs",
            Self::Reused { .. } => "reused",
            Self::OtherRoot { .. } => "other_root",
            Self::BadHead { .. } => "bad_head",
        }
    }
}

/// Open until somebody closes it; clones share it. Only a new start of the service opens it again.
#[derive(Clone)]
pub struct Gate(Arc<Shared>);

struct Shared {
    closed: AtomicBool,
    /// The highest place that is known to be taken.
    highest: AtomicU64,
    trouble: watch::Sender<Option<Trouble>>,
    /// The log that was verified: what readers are told of while the gate is closed.
    believed: watch::Sender<Option<Head>>,
}

impl Default for Gate {
    fn default() -> Self {
        let (closed, highest) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(Shared {
            closed,
            highest,
            trouble: watch::Sender::new(None),
            believed: watch::Sender::new(None),
        }))
    }
}

impl Gate {
    /// Why it is closed; nothing while it is open.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.0.trouble.borrow().clone()
    }

    /// Tells when it closes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Option<Trouble>> {
        self.0.trouble.subscribe()
    }

    /// Closes it; the first trouble stays.
    pub fn close(&self, trouble: Trouble) {
        self.0.trouble.send_if_modified(|known| {
            let is_first = known.is_none();
            if is_first {
                tracing::error!(%trouble, "the log is read-only until an operator decides: `regflow verify`");
                *known = Some(trouble);
            }
            is_first
        });
        self.0.closed.store(true, Ordering::Release);
    }

    /// The log up to here was verified.
    pub(crate) fn believe(&self, head: Head) {
        self.saw(head.last_sequence);
        self.0.believed.send_replace(Some(head));
    }

    /// A place that is surely taken.
    pub(crate) fn saw(&self, sequence: Sequence) {
        self.0.highest.fetch_max(sequence, Ordering::Relaxed);
    }

    fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    fn check(&self) -> Result<Sequence, AppendError> {
        // the flag alone is looked at while all is well: this stands before every append
        if self.is_closed()
            && let Some(trouble) = self.trouble()
        {
            return Err(AppendError::ReadOnly(trouble));
        }
        Ok(self.0.highest.load(Ordering::Relaxed))
    }

    /// What became of an append that began when `known` was the highest place: a lower one was given out twice.
    fn judge(&self, known: Sequence, appended: Result<Link, AppendError>) -> Result<Link, AppendError> {
        let link = appended?;
        if link.sequence <= known {
            self.close(Trouble::Reused { sequence: link.sequence });
            // it is stored, but in a log that is not to be trusted: nothing may follow from it
            return Err(AppendError::Unknown);
        }
        self.saw(link.sequence);
        Ok(link)
    }

    /// Closes when a reader found another log than the one that it was reading; the reader then waits like all others.
    fn learn(&self, error: FollowError) -> Result<(), FollowError> {
        match error {
            FollowError::Unavailable(error) => Err(error.into()),
            FollowError::Rewound { seen, last } => {
                self.close(Trouble::Rewound { seen, last });
                Ok(())
            }
            FollowError::Replaced => {
                self.close(Trouble::Replaced);
                Ok(())
            }
        }
    }

    /// The same of a reader that begins: what it has seen counts only up to where the log was verified. After an operator has
    /// accepted a shorter log, a reader of the one before must begin anew, and that is no news.
    fn learn_at_beginning(&self, error: FollowError) -> Result<(), FollowError> {
        let verified = (*self.0.believed.borrow()).map_or(0, |head| head.last_sequence);
        match error {
            FollowError::Rewound { seen, .. } if seen > verified => Err(error),
            FollowError::Rewound { .. } | FollowError::Replaced | FollowError::Unavailable(_) => self.learn(error),
        }
    }
}

/// A log behind a gate.
pub struct GatedLog<L> {
    log: L,
    gate: Gate,
}

impl<L> GatedLog<L> {
    /// `log` behind `gate`.
    pub const fn new(log: L, gate: Gate) -> Self {
        Self { log, gate }
    }
}

#[async_trait]
impl<L: EventLog> EventLog for GatedLog<L> {
    async fn append(&self, shard: Shard, id: RegistrationId, record: &Record) -> Result<Link, AppendError> {
        let known = self.gate.check()?;
        self.gate.judge(known, self.log.append(shard, id, record).await)
    }

    async fn append_maker(
        &self,
        shard: Shard,
        connector: &str,
        record: &Record<MakerEvent>,
    ) -> Result<Link, AppendError> {
        let known = self.gate.check()?;
        self.gate.judge(known, self.log.append_maker(shard, connector, record).await)
    }

    async fn last_of_maker(&self, shard: Shard, connector: &str) -> Result<Option<StoredMaker>, LoadError> {
        self.log.last_of_maker(shard, connector).await
    }

    async fn load_with_bytes(&self, shard: Shard, id: RegistrationId) -> Result<Vec<(Stored, Bytes)>, LoadError> {
        self.log.load_with_bytes(shard, id).await
    }

    /// While the gate is closed nothing new is read: whoever follows keeps what it has.
    async fn follow(&self, from: Sequence) -> Result<Box<dyn Follow>, FollowError> {
        let gate = self.gate.clone();
        if gate.is_closed() {
            return Ok(Box::new(GatedFollow { follow: None, gate }));
        }
        match self.log.follow(from).await {
            Ok(follow) => Ok(Box::new(GatedFollow { follow: Some(follow), gate })),
            Err(error) => {
                gate.learn_at_beginning(error)?;
                Ok(Box::new(GatedFollow { follow: None, gate }))
            }
        }
    }

    async fn head(&self) -> Result<Head, Unavailable> {
        match *self.gate.0.believed.borrow() {
            Some(believed) if self.gate.is_closed() => return Ok(believed),
            Some(_) | None => {}
        }
        self.log.head().await
    }
}

struct GatedFollow {
    /// Nothing once the gate was found closed.
    follow: Option<Box<dyn Follow>>,
    gate: Gate,
}

#[async_trait]
impl Follow for GatedFollow {
    async fn next_page(&mut self, max: usize, max_wait: Duration) -> Result<Page, FollowError> {
        if self.gate.is_closed() {
            self.follow = None;
        }
        let Some(follow) = self.follow.as_mut() else {
            tokio::time::sleep(max_wait).await;
            return Ok(Page { items: Vec::new(), caught_up: true });
        };
        match follow.next_page(max, max_wait).await {
            // what came in before the doubt was found may be part of it
            Ok(_) if self.gate.is_closed() => Ok(Page { items: Vec::new(), caught_up: true }),
            Ok(page) => {
                page.items.last().map(FollowItem::sequence).into_iter().for_each(|sequence| self.gate.saw(sequence));
                Ok(page)
            }
            Err(error) => {
                self.gate.learn(error)?;
                Ok(Page { items: Vec::new(), caught_up: true })
            }
        }
    }
}
