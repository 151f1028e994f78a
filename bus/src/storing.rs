//! Whether the server stores what it is given. It can live, answer and store nothing any more: after a full disk, after a failed flush,
//! or when it hangs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::log::AppendError;

/// When nothing was tried for so long, nobody knows any more.
const KNOWN_FOR: Duration = Duration::from_secs(30);

/// What became of the last writes over a connection; clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Storing(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// So that nothing is locked while all is well.
    is_well: AtomicBool,
    failing: Mutex<Option<Failing>>,
}

#[derive(Debug, Clone, Copy)]
struct Failing {
    since: Instant,
    last: Instant,
}

/// What is known of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoringState {
    /// Nothing was tried, or not for a while.
    Unknown,
    /// The last write was stored, or refused for what it was.
    Stores,
    /// No write was stored for so long, and it was tried.
    FailingFor(Duration),
}

impl Storing {
    /// A write has ended.
    pub fn note<T>(&self, answer: &Result<T, AppendError>, now: Instant) {
        match answer {
            Ok(_) | Err(AppendError::Conflict { .. } | AppendError::TooLarge | AppendError::Refused(_)) => self.well(),
            Err(AppendError::Unknown | AppendError::Unavailable(_)) => self.failed(now),
            // not tried
            Err(AppendError::ReadOnly(_)) => {}
        }
    }

    fn well(&self) {
        if !self.0.is_well.load(Ordering::Relaxed) {
            let mut failing = self.failing();
            *failing = None;
            self.0.is_well.store(true, Ordering::Relaxed);
        }
    }

    fn failed(&self, now: Instant) {
        let mut failing = self.failing();
        self.0.is_well.store(false, Ordering::Relaxed);
        let before = failing.filter(|failing| now.duration_since(failing.last) < KNOWN_FOR);
        *failing = Some(Failing { since: before.map_or(now, |failing| failing.since), last: now });
    }

    /// What is known at this moment.
    pub fn state(&self, now: Instant) -> StoringState {
        if self.0.is_well.load(Ordering::Relaxed) {
            return StoringState::Stores;
        }
        match *self.failing() {
            Some(failing) if now.duration_since(failing.last) < KNOWN_FOR => {
                StoringState::FailingFor(now.duration_since(failing.since))
            }
            Some(_) | None => StoringState::Unknown,
        }
    }

    /// Something was done about it.
    pub fn forget(&self) {
        *self.failing() = None;
    }

    fn failing(&self) -> std::sync::MutexGuard<'_, Option<Failing>> {
        self.0.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Unavailable;

    const STORED: Result<(), AppendError> = Ok(());
    const UNKNOWN: Result<(), AppendError> = Err(AppendError::Unknown);

    fn away() -> Result<(), AppendError> {
        Err(Unavailable { doing: "store a record", reason: "no space left".to_owned() }.into())
    }

    #[test]
    fn it_fails_from_the_first_write_that_is_not_stored_until_the_next_one_that_is() {
        let (storing, start) = (Storing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(storing.state(at(0)), StoringState::Unknown);
        storing.note(&STORED, at(1));
        assert_eq!(storing.state(at(99)), StoringState::Stores);
        storing.note(&away(), at(100));
        storing.note(&UNKNOWN, at(120));
        assert_eq!(storing.state(at(121)), StoringState::FailingFor(Duration::from_secs(21)));
        storing.note::<()>(&Err(AppendError::Conflict { last: None }), at(122));
        assert_eq!(storing.state(at(123)), StoringState::Stores, "who refuses for a reason works");
    }

    #[test]
    fn what_was_not_tried_for_a_while_is_not_known() {
        let (storing, start) = (Storing::default(), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        storing.note(&UNKNOWN, at(0));
        assert_eq!(storing.state(at(40)), StoringState::Unknown);
        storing.note(&UNKNOWN, at(50));
        assert_eq!(storing.state(at(51)), StoringState::FailingFor(Duration::from_secs(1)));
        storing.forget();
        assert_eq!(storing.state(at(52)), StoringState::Unknown);
    }
}
