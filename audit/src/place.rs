//! From a time to a place in the log.
//!
//! Only places are exact. The times of records are those of the decisions, and a record that was decided a moment before
//! another may be stored a moment after it, because several processes and tasks decide at once. So a time is turned into a
//! place once, by a binary search, and whoever needs the same answer again later gives the place that was found.

use std::time::Duration;

use bus::{EventLog, FollowItem};
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
/// Messages read at one look: the first that is a record counts.
const PROBE_ITEMS: usize = 32;
/// The longest that one look may take.
const PROBE_WAIT: Duration = Duration::from_secs(5);

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
    let (mut low, mut high) = (1, head + 1);
    while low < high {
        let middle = low + (high - low) / 2;
        match at_or_after(log, middle, PROBE_ITEMS).await?.into_iter().find(|(sequence, _)| *sequence <= head) {
            Some((sequence, at)) if !is_past(at) => low = sequence + 1,
            Some(_) | None => high = middle,
        }
    }
    let back = low.saturating_sub(LOOK_BACK).max(1);
    let mut from = back;
    while from < low {
        let seen = at_or_after(log, from, LOOK_BACK as usize).await?;
        let Some((last, _)) = seen.last().copied() else { break };
        if let Some((sequence, _)) = seen.into_iter().find(|(sequence, at)| *sequence < low && is_past(*at)) {
            return Ok(sequence);
        }
        from = last + 1;
    }
    Ok(low)
}

/// Places and times of the next records.
async fn at_or_after(
    log: &dyn EventLog,
    from: Sequence,
    items: usize,
) -> Result<Vec<(Sequence, Timestamp)>, ReplayError> {
    let mut follow = log.follow(from).await?;
    let page = follow.next_page(items, PROBE_WAIT).await?;
    let time = |item: &FollowItem| match item {
        FollowItem::Record(stored) => Some((stored.sequence, stored.record.at)),
        FollowItem::Maker(stored) => Some((stored.sequence, stored.record.at)),
        FollowItem::Unreadable { .. } => None,
    };
    if page.items.is_empty() && !page.caught_up {
        return Err(ReplayError::Stalled { sequence: from });
    }
    Ok(page.items.iter().filter_map(time).collect())
}
