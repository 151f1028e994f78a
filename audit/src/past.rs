//! Status, circuits and metrics as they were: the log is folded from its begin up to a place, as the views and the engine fold
//! it, and then looked at.

use bus::{EventLog, FollowItem};
use events::{Guards, Sequence, Stored, Timestamp};
use projections::{Past, Taken, Wanted};

use crate::place::{self, Moment};
use crate::replay::{Replay, ReplayError};
use crate::wish::{About, Wish};

/// How everything was.
pub struct AsOf {
    /// The last place of the log that counts.
    pub sequence: Sequence,
    /// The moment: the one that was asked for, or the latest time of a record up to the place.
    pub time: Timestamp,
    /// Status and metrics.
    pub past: Past,
    /// The makers: circuits, tokens, pauses, health.
    pub guards: Guards,
}

/// Folds the log up to `moment`; up to its end when absent. `guards` are those of makers of whom nothing is known yet: their
/// policies are no events, so they are those of today. In memory are the makers, what is open (bounded by
/// [`projections::OPEN_MAX`]) and the rows that are `wanted`.
///
/// # Errors
/// [`ReplayError::NotYet`] when the log does not reach so far; other [`ReplayError`]s when it cannot be read.
pub async fn as_of(
    log: &dyn EventLog,
    moment: Option<Moment>,
    wanted: Wanted,
    guards: Guards,
) -> Result<AsOf, ReplayError> {
    as_of_into(log, moment, Past::new(wanted), guards).await
}

/// The same, into a fold of your own, which may have another bound.
///
/// # Errors
/// As [`as_of`].
pub async fn as_of_into(
    log: &dyn EventLog,
    moment: Option<Moment>,
    past: Past,
    guards: Guards,
) -> Result<AsOf, ReplayError> {
    let head = log.head().await?.last_sequence;
    let sequence = match moment {
        None => head,
        Some(Moment::Sequence(asked)) if asked > head => return Err(ReplayError::NotYet { asked, head }),
        Some(Moment::Sequence(sequence)) => sequence,
        Some(Moment::Time(time)) => place::place_of(log, time, head).await?,
    };
    let wish = Wish { about: About::Everything, from: None, until: Some(Moment::Sequence(sequence)) };
    let mut replay = Replay::open(log, wish, 0).await?;
    let mut all = AsOf { sequence, time: Timestamp(0), past, guards };
    while let Some(page) = replay.next_page().await? {
        for item in &page {
            all.take(log, item).await?;
        }
        // a page costs some milliseconds: others have their turn
        tokio::task::yield_now().await;
    }
    if let Some(Moment::Time(time)) = moment {
        all.time = time;
    }
    Ok(all)
}

impl AsOf {
    async fn take(&mut self, log: &dyn EventLog, item: &FollowItem) -> Result<(), ReplayError> {
        match item {
            FollowItem::Record(stored) => {
                self.guards.take(stored);
                self.time = self.time.max(stored.record.at);
                if self.past.registration(stored)? == Taken::NotKept {
                    let history = history(log, stored).await?;
                    self.past.recall(&history)?;
                }
            }
            FollowItem::Maker(stored) => {
                self.guards.take_maker(stored);
                self.time = self.time.max(stored.record.at);
                self.past.maker(stored)?;
            }
            // the views pass over it as well
            FollowItem::Unreadable { .. } => {}
        }
        Ok(())
    }
}

/// The records of a registration up to and with this one.
async fn history(log: &dyn EventLog, stored: &Stored) -> Result<Vec<Stored>, ReplayError> {
    let mut history = log.load(stored.shard, stored.registration).await?;
    history.retain(|record| record.sequence <= stored.sequence);
    Ok(history)
}

#[cfg(test)]
mod tests {
    use super::*;
    use bus::MemoryLog;

    #[tokio::test]
    async fn a_place_behind_the_end_is_refused() {
        let asked = as_of(&MemoryLog::default(), Some(Moment::Sequence(1)), Wanted::default(), Guards::default()).await;
        assert!(matches!(asked, Err(ReplayError::NotYet { asked: 1, head: 0 })));
    }

    #[tokio::test]
    async fn nothing_has_happened_in_an_empty_log() {
        let asked = as_of(&MemoryLog::default(), None, Wanted::default(), Guards::default()).await.expect("folds");
        assert_eq!((asked.sequence, asked.past.counts().total()), (0, 0));
    }
}
