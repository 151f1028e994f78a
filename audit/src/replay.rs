//! The records that somebody wishes to see, a page at a time: never more of the log than that is in memory.

use std::time::Duration;

use bus::{EventLog, Follow, FollowError, FollowItem, LoadError, Unavailable};
use events::{RegistrationId, Sequence, Shard};

use crate::place::{self, Moment};
use crate::wish::{About, Sieve, Wish};

/// Records in one page; it bounds the memory of a replay.
pub const PAGE_RECORDS: usize = 1_024;
/// Most records of a person's known registrations that are loaded; beyond it the log is read instead.
const LOADED_RECORDS_MAX: usize = 16_384;
/// How long a page waits for its first record.
const PAGE_WAIT: Duration = Duration::from_secs(1);
/// So many waits without a record, and it is given up: all that is asked for was stored before.
const WAITS_MAX: u32 = 30;

/// Why the log cannot be replayed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// There is no such registration.
    #[error("no registration has the id {0}")]
    NotFound(RegistrationId),
    /// The log does not reach so far.
    #[error("the log ends at sequence {head}, before sequence {asked}")]
    NotYet {
        /// The place that was asked for.
        asked: Sequence,
        /// The end of the log.
        head: Sequence,
    },
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The log cannot be followed.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// A registration's records cannot be read.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// Nothing came any more.
    #[error("the log gave nothing from sequence {sequence} on for too long; try again")]
    Stalled {
        /// Where.
        sequence: Sequence,
    },
    /// What is folded for an answer cannot be kept.
    #[error("what was read does not fit together: {0}")]
    Fold(#[from] projections::ViewError),
}

/// A replay under way.
pub struct Replay {
    source: Source,
    sieve: Sieve,
    from: Sequence,
    until: Sequence,
    /// The last place that was read.
    at: Sequence,
}

enum Source {
    /// Still to be handed out.
    Loaded(std::vec::IntoIter<FollowItem>),
    Following(Box<dyn Follow>),
    /// Everything is handed out.
    Done,
}

impl Replay {
    /// Begins. The end is fixed now: what is stored later does not come. `shards` is how many the log has.
    ///
    /// # Errors
    /// [`ReplayError`] when there is nothing of that name, or the log cannot be read.
    pub async fn open(log: &dyn EventLog, wish: Wish, shards: u16) -> Result<Self, ReplayError> {
        let head = log.head().await?.last_sequence;
        let from = match wish.from {
            None => 1,
            Some(Moment::Sequence(sequence)) => sequence.max(1),
            Some(Moment::Time(time)) => place::first(log, head, |at| at >= time).await?,
        };
        let until = match wish.until {
            None => head,
            Some(Moment::Sequence(sequence)) => sequence.min(head),
            Some(Moment::Time(time)) => place::place_of(log, time, head).await?,
        };
        let sieve = Sieve::new(wish.about.clone());
        let start = if sieve.looks_back() { 1 } else { from };
        let source = match &wish.about {
            About::Registration { id, shard } => Some(loaded(log, *id, *shard, shards).await?),
            About::Person { known: Some(known), .. } => histories(log, known).await?,
            About::Person { known: None, .. } | About::Maker { .. } | About::Everything => None,
        };
        let source = match source {
            Some(source) => source,
            None if start > until => Source::Done,
            None => Source::Following(log.follow(start).await?),
        };
        Ok(Self { source, sieve, from, until, at: start.saturating_sub(1) })
    }

    /// The first and the last place that it covers; nothing is in between when the first is the greater one.
    #[must_use]
    pub const fn range(&self) -> (Sequence, Sequence) {
        (self.from, self.until)
    }

    /// The last place that was read.
    #[must_use]
    pub const fn position(&self) -> Sequence {
        self.at
    }

    /// The next records, at most [`PAGE_RECORDS`]; a page may be empty while more is to come. Nothing at the end.
    ///
    /// # Errors
    /// [`ReplayError`] when the log cannot be read.
    pub async fn next_page(&mut self) -> Result<Option<Vec<FollowItem>>, ReplayError> {
        let items = match &mut self.source {
            Source::Done => return Ok(None),
            Source::Loaded(records) => {
                let page: Vec<_> = records.by_ref().take(PAGE_RECORDS).collect();
                if page.len() < PAGE_RECORDS {
                    self.source = Source::Done;
                }
                page
            }
            Source::Following(follow) => {
                let (page, caught_up) = read(follow.as_mut(), self.at).await?;
                let last = page.last().map_or(self.at, FollowItem::sequence);
                if caught_up || last >= self.until {
                    self.source = Source::Done;
                }
                page
            }
        };
        self.at = items.last().map_or(self.at, FollowItem::sequence).min(self.until);
        let (from, until, sieve) = (self.from, self.until, &mut self.sieve);
        let mut wanted = items;
        // all are shown to the sieve: it learns from what is not handed out
        wanted.retain(|item| item.sequence() <= until && sieve.wants(item) && item.sequence() >= from);
        Ok(Some(wanted))
    }
}

/// A page, and whether it is the last of what was stored at the beginning.
async fn read(follow: &mut dyn Follow, at: Sequence) -> Result<(Vec<FollowItem>, bool), ReplayError> {
    for _ in 0..WAITS_MAX {
        let page = follow.next_page(PAGE_RECORDS, PAGE_WAIT).await?;
        if page.caught_up || !page.items.is_empty() {
            return Ok((page.items, page.caught_up));
        }
    }
    Err(ReplayError::Stalled { sequence: at + 1 })
}

/// The histories of several, in the order of the log; nothing when they are too long to be kept.
async fn histories(log: &dyn EventLog, known: &[(Shard, RegistrationId)]) -> Result<Option<Source>, ReplayError> {
    let mut items = Vec::new();
    for (shard, id) in known {
        items.extend(log.load(*shard, *id).await?.into_iter().map(FollowItem::from));
        if items.len() > LOADED_RECORDS_MAX {
            return Ok(None);
        }
    }
    items.sort_unstable_by_key(FollowItem::sequence);
    Ok(Some(Source::Loaded(items.into_iter())))
}

/// The history of one registration. Without its shard each is asked: a few milliseconds.
async fn loaded(
    log: &dyn EventLog,
    id: RegistrationId,
    shard: Option<Shard>,
    shards: u16,
) -> Result<Source, ReplayError> {
    let all = shard.map_or(0..shards, |Shard(shard)| shard..shard.saturating_add(1));
    for shard in all {
        let history = log.load(Shard(shard), id).await?;
        if !history.is_empty() {
            let items: Vec<_> = history.into_iter().map(FollowItem::from).collect();
            return Ok(Source::Loaded(items.into_iter()));
        }
    }
    Err(ReplayError::NotFound(id))
}
