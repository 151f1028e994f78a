//! The board that holds the faults that are set, and deals them out to requests.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Fault, Mode, Target};
use crate::ledger::Method;
use crate::maker::Maker;

/// Keys that are remembered for faults that hit each once; then all of them are forgotten.
const KEYS_MAX: usize = 1_000_000;

/// All faults that are set; at most one for each target and scope.
#[derive(Debug, Default)]
pub struct FaultBoard {
    slots: [Slot; Maker::ALL.len() + 1],
    /// Hashes of the idempotency keys that a fault has hit already.
    hit: Mutex<HashSet<u64>>,
    cleared: Notify,
}

#[derive(Debug, Default)]
struct Slot {
    /// Read on every request, so that a board without faults costs no lock.
    armed: AtomicBool,
    faults: Mutex<Vec<Fault>>,
}

impl FaultBoard {
    /// Sets a fault in place of the one of the same scope; `Mode::None` clears (without a scope, all of the target's).
    pub fn set(&self, target: Target, fault: Fault) {
        let slot = &self.slots[target.index()];
        let mut faults = slot.lock();
        if fault.mode == Mode::None && fault.scope.is_none() {
            faults.clear();
        } else {
            faults.retain(|other| other.effective_scope() != fault.effective_scope());
            if fault.mode != Mode::None && fault.times != Some(0) {
                faults.push(fault);
            }
        }
        slot.armed.store(!faults.is_empty(), Ordering::Release);
    }

    /// Clears everything.
    pub fn clear(&self) {
        for slot in &self.slots {
            slot.lock().clear();
            slot.armed.store(false, Ordering::Release);
        }
        self.hit().clear();
        self.cleared.notify_waiters();
    }

    /// Ends when everything is cleared.
    pub(crate) async fn until_cleared(&self) {
        self.cleared.notified().await;
    }

    /// Whether a fault that hits each idempotency key once has not hit this one yet; remembers that it has.
    pub(crate) fn is_first(&self, key: Option<&str>) -> bool {
        let Some(key) = key else { return true };
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let mut hit = self.hit();
        if hit.len() >= KEYS_MAX {
            hit.clear();
        }
        hit.insert(hasher.finish())
    }

    fn hit(&self) -> MutexGuard<'_, HashSet<u64>> {
        self.hit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The faults that are set for a target, with what is left of their counts.
    pub fn list(&self, target: Target) -> Vec<Fault> {
        self.slots[target.index()].lock().clone()
    }

    /// The fault that hits this request, if any, counted down.
    pub(crate) fn take(&self, target: Target, method: Method, hits: impl Fn(&Fault) -> bool) -> Option<Mode> {
        let slot = &self.slots[target.index()];
        if !slot.armed.load(Ordering::Acquire) {
            return None;
        }
        let mut faults = slot.lock();
        let index = faults.iter().position(|fault| fault.effective_scope().covers(method) && hits(fault))?;
        let mode = faults[index].mode.clone();
        if let Some(times) = &mut faults[index].times {
            *times -= 1;
            if *times == 0 {
                faults.remove(index);
                slot.armed.store(!faults.is_empty(), Ordering::Release);
            }
        }
        Some(mode)
    }
}

impl Slot {
    // The list is never left half-changed, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Vec<Fault>> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::Scope;

    const TARGET: Target = Target::Maker(Maker::Brightwell);

    fn unavailable() -> Mode {
        Mode::Status { status: 503, retry_after_s: None }
    }

    #[test]
    fn a_counted_fault_ends_after_its_count() {
        let board = FaultBoard::default();
        board.set(TARGET, Fault::counted(unavailable(), 2));
        let hits = (0..4).filter(|_| board.take(TARGET, Method::Api, |_| true).is_some()).count();
        assert_eq!(hits, 2);
        assert!(board.list(TARGET).is_empty());
    }

    #[test]
    fn each_key_is_new_once() {
        let board = FaultBoard::default();
        let first: Vec<bool> = ["a", "b", "a"].into_iter().map(|key| board.is_first(Some(key))).collect();
        assert_eq!(first, [true, true, false]);
        assert!(board.is_first(None) && board.is_first(None), "a request without a key is always a first one");
        board.clear();
        assert!(board.is_first(Some("a")));
    }

    #[test]
    fn a_lasting_fault_stays_until_it_is_cleared() {
        let board = FaultBoard::default();
        board.set(TARGET, Fault::lasting(Mode::Hang));
        assert_eq!(board.take(TARGET, Method::Api, |_| true), Some(Mode::Hang));
        assert_eq!(board.take(TARGET, Method::Form, |_| true), Some(Mode::Hang));
        board.set(TARGET, Fault::lasting(Mode::None));
        assert_eq!(board.take(TARGET, Method::Api, |_| true), None);
    }

    #[test]
    fn api_and_form_can_fail_in_different_ways() {
        let board = FaultBoard::default();
        board.set(TARGET, Fault::lasting(unavailable()).at(Scope::Api));
        board.set(TARGET, Fault::lasting(Mode::Captcha));
        assert_eq!(board.take(TARGET, Method::Api, |_| true), Some(unavailable()));
        assert_eq!(board.take(TARGET, Method::Form, |_| true), Some(Mode::Captcha));
    }

    #[test]
    fn a_fault_of_one_maker_leaves_the_others_alone() {
        let board = FaultBoard::default();
        board.set(TARGET, Fault::lasting(Mode::Hang));
        assert_eq!(board.take(Target::Maker(Maker::Aurora), Method::Api, |_| true), None);
        assert_eq!(board.take(Target::Smtp, Method::Api, |_| true), None);
    }
}
