//! What is too old, or too much, is dropped as the times of records move on: a bounded piece with each write.

use std::time::Duration;

use events::Timestamp;

use super::keys::{self, List};
use super::listed::PastIncident;
use super::memory::Memory;
use super::resolution::Resolution;
use super::saved::Saved;
use crate::error::ViewError;
use crate::store::{Store, Writes};

/// How long the entries of lists are kept.
const LISTED_FOR: Duration = Duration::from_secs(90 * 86_400);
/// Entries of one kind that are dropped with one write; the rest goes with the next ones. No write adds more minutes.
const DROPPED_MAX: usize = 1_024;

impl List {
    /// Most entries that are kept.
    const fn entries_max(self) -> u64 {
        match self {
            Self::Circuits => 50_000,
            // ninety days of seven makers, every five minutes
            Self::Health => 200_000,
            Self::Incidents => 10_000,
        }
    }
}

/// Adds to `writes` what goes, and takes it off the counts of `saved`.
pub(crate) fn drop_old(store: &Store, saved: &mut Saved, writes: &mut Writes) -> Result<(), ViewError> {
    for resolution in Resolution::ALL {
        let until = oldest_kept(resolution, saved.newest);
        let old = store.oldest(keys::tallies(resolution, 0, until), DROPPED_MAX)?;
        old.iter().for_each(|(key, _)| writes.remove(key));
    }
    for list in List::ALL {
        drop_listed(list, store, saved, writes)?;
    }
    Ok(())
}

/// The same where nothing is stored: tallies that are too old, at once.
pub(crate) fn forget_old(memory: &mut Memory) {
    for resolution in Resolution::ALL {
        let old = keys::tallies(resolution, 0, oldest_kept(resolution, memory.saved.newest));
        memory.tallies.retain(|key, _| !old.contains(key));
    }
}

/// The first stretch that is not too old.
pub(crate) fn oldest_kept(resolution: Resolution, newest: Timestamp) -> u32 {
    resolution.stretch_of(before(newest, resolution.kept_for()))
}

fn drop_listed(list: List, store: &Store, saved: &mut Saved, writes: &mut Writes) -> Result<(), ViewError> {
    let cutoff = before(saved.newest, LISTED_FOR);
    let count = &mut saved.listed[list.place()];
    let surplus = usize::try_from(count.saturating_sub(list.entries_max())).unwrap_or(usize::MAX);
    let old = store.oldest(list.range(Timestamp(0), cutoff), DROPPED_MAX)?;
    let old = if surplus > old.len() {
        store.oldest(list.range(Timestamp(0), Timestamp(i64::MAX)), surplus.min(DROPPED_MAX))?
    } else {
        old
    };
    for (key, value) in old {
        // an incident that is not over is no history yet
        if list != List::Incidents || PastIncident::read(&key, &value)?.until.is_some() {
            writes.remove(&key);
            *count = count.saturating_sub(1);
        }
    }
    Ok(())
}

fn before(newest: Timestamp, kept_for: Duration) -> Timestamp {
    Timestamp(newest.0.saturating_sub(i64::try_from(kept_for.as_micros()).unwrap_or(i64::MAX)).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_lies_before_the_beginning_of_time() {
        assert_eq!(before(Timestamp(5), LISTED_FOR), Timestamp(0));
        assert_eq!(before(Timestamp(9_000_000), Duration::from_secs(4)), Timestamp(5_000_000));
    }
}
