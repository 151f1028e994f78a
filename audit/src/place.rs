//! From a time to a place in the log.
//!
//! Only places are exact. The times of records are those of the decisions, and a record that was decided a moment before
//! another may be stored a moment after it, because several processes and tasks decide at once. So a time is turned into a
//! place once, by a binary search, and whoever needs the same answer again later gives the place that was found.

use std::time::{Duration, Instant};

use bus::{EventLog, Follow, FollowItem};
use events::{Sequence, Timestamp};

use crate::replay::ReplayError;

/// A point in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// The record at this place.
    Sequence(Sequence),
    /// Records that were decided at this time or before.
    Time(Timestamp),
}

/// Records in front of the place that was found which are looked through for one that was decided later: what was under way
/// at the same moment.
const LOOK_BACK: Sequence = 512;
/// Messages read at once in search of the first record.
const PROBE_ITEMS: usize = 32;
/// The longest wait for one page.
const PROBE_WAIT: Duration = Duration::from_secs(5);
/// So long without a message of ours, and it is given up. Not after so many pages: one that held only messages of others is
/// empty as well.
const STALLED_AFTER: Duration = Duration::from_secs(15);

/// The last place of the log, up to `head`, in front of the first record that was decided after `time`; `head` when there is
/// no such record, 0 when the first one is it.
///
/// # Errors
/// [`ReplayError`] when the log cannot be read.
pub async fn place_of(log: &dyn EventLog, time: Timestamp, head: Sequence) -> Result<Sequence, ReplayError> {
    Ok(first(log, head, |at| at > time).await? - 1)
}

/// The first place where `is_past` holds for the time of the record there; one behind `head` when there is none.
pub(crate) async fn first(
    log: &dyn EventLog,
    head: Sequence,
    is_past: impl Fn(Timestamp) -> bool + Send,
) -> Result<Sequence, ReplayError> {
    // `found` is the first record at `high` or behind it: in between may stand what cannot be read
    let (mut low, mut high, mut found) = (1, head + 1, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match search(log, middle, head, PROBE_ITEMS, |_| true).await? {
            Some((sequence, at)) if !is_past(at) => low = sequence + 1,
            Some((sequence, _)) => (high, found) = (middle, sequence),
            None => (high, found) = (middle, head + 1),
        }
    }
    let back = low.saturating_sub(LOOK_BACK).max(1);
    let earlier = search(log, back, low - 1, LOOK_BACK as usize, is_past).await?;
    Ok(earlier.map_or(found, |(sequence, _)| sequence))
}

/// Place and time of the first record from `from` to `until` of which `wanted` holds, however much that cannot be read stands
/// before it: that says nothing of what comes after it.
async fn search(
    log: &dyn EventLog,
    from: Sequence,
    until: Sequence,
    items: usize,
    wanted: impl Fn(Timestamp) -> bool + Send,
) -> Result<Option<(Sequence, Timestamp)>, ReplayError> {
    if from > until {
        return Ok(None);
    }
    let (mut follow, mut at) = (log.follow(from).await?, from.saturating_sub(1));
    while at < until {
        let (page, caught_up) = next_page(follow.as_mut(), items, at).await?;
        at = page.last().map_or(at, FollowItem::sequence);
        let mut records = page.iter().filter_map(time_of).take_while(|(sequence, _)| *sequence <= until);
        if let Some(found) = records.find(|(_, time)| wanted(*time)) {
            return Ok(Some(found));
        }
        // all that was stored when the search began is behind it
        if caught_up {
            break;
        }
    }
    Ok(None)
}

/// What stands behind `at`, and whether the log ends with it.
///
/// An empty page in front of the end is not "all later": it is waited on, and then an error.
async fn next_page(
    follow: &mut dyn Follow,
    items: usize,
    at: Sequence,
) -> Result<(Vec<FollowItem>, bool), ReplayError> {
    let begun = Instant::now();
    while begun.elapsed() < STALLED_AFTER {
        let page = follow.next_page(items, PROBE_WAIT).await?;
        if page.caught_up || !page.items.is_empty() {
            return Ok((page.items, page.caught_up));
        }
    }
    Err(ReplayError::Stalled { sequence: at + 1 })
}

fn time_of(item: &FollowItem) -> Option<(Sequence, Timestamp)> {
    match item {
        FollowItem::Record(stored) => Some((stored.sequence, stored.record.at)),
        FollowItem::Maker(stored) => Some((stored.sequence, stored.record.at)),
        FollowItem::Unreadable { .. } => None,
    }
}
