//! Who comes next: one queue a lane, by priority and then by order of submission, and a line of those that wait for a time.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use events::{Method, RegistrationId, Sequence, Timestamp};

/// Work that shares a bound: calls, browsers, packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Lane {
    /// Calls of makers' APIs.
    Api,
    /// Browsers.
    Form,
    /// Packets and mail.
    Manual,
}

impl Lane {
    /// All of them.
    pub(crate) const ALL: [Self; 3] = [Self::Api, Self::Form, Self::Manual];

    /// The lane of a method.
    pub(crate) const fn of(method: Method) -> Self {
        match method {
            Method::Api => Self::Api,
            Method::AutomationReliable => Self::Form,
            Method::AssistedManual => Self::Manual,
        }
    }

    const fn index(self) -> usize {
        match self {
            Self::Api => 0,
            Self::Form => 1,
            Self::Manual => 2,
        }
    }
}

/// A place in the queue: the class first (1 is best), then the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Wire number of the priority.
    pub(crate) class: u8,
    /// Its submission, or the last record when that is not known: only the order counts.
    pub(crate) since: Sequence,
    /// Whose place it is.
    pub(crate) id: RegistrationId,
}

/// All who wait.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    ready: [BTreeSet<Place>; 3],
    timed: BinaryHeap<Reverse<(Timestamp, RegistrationId)>>,
}

impl Queue {
    /// Puts it in line; a second time changes nothing.
    pub(crate) fn push(&mut self, lane: Lane, place: Place) {
        self.ready[lane.index()].insert(place);
    }

    /// The best of a lane.
    pub(crate) fn pop(&mut self, lane: Lane) -> Option<Place> {
        self.ready[lane.index()].pop_first()
    }

    /// Wakes it at `at`.
    pub(crate) fn wake_at(&mut self, at: Timestamp, id: RegistrationId) {
        self.timed.push(Reverse((at, id)));
    }

    /// When the next one wakes.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        self.timed.peek().map(|Reverse((at, _))| *at)
    }

    /// One whose time has come.
    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<RegistrationId> {
        if self.next_wake()? > now {
            return None;
        }
        self.timed.pop().map(|Reverse((_, id))| id)
    }

    /// How many are ready, all lanes together.
    pub(crate) fn ready(&self) -> usize {
        self.ready.iter().map(BTreeSet::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn place(class: u8, since: Sequence) -> Place {
        Place { class, since, id: RegistrationId(Uuid::from_u128(u128::from(since))) }
    }

    #[test]
    fn the_best_class_goes_first_and_inside_it_the_oldest() {
        let mut queue = Queue::default();
        for (class, since) in [(3, 1), (2, 3), (1, 9), (2, 2)] {
            queue.push(Lane::Api, place(class, since));
        }
        let order: Vec<_> = std::iter::from_fn(|| queue.pop(Lane::Api)).map(|p| p.since).collect();
        assert_eq!(order, [9, 2, 3, 1]);
    }

    #[test]
    fn lanes_do_not_take_from_each_other() {
        let mut queue = Queue::default();
        queue.push(Lane::Form, place(1, 1));
        assert_eq!(queue.pop(Lane::Api), None);
        assert_eq!(queue.pop(Lane::Form), Some(place(1, 1)));
    }

    #[test]
    fn nobody_wakes_before_its_time() {
        let mut queue = Queue::default();
        let id = RegistrationId(Uuid::from_u128(1));
        queue.wake_at(Timestamp(10), id);
        assert_eq!(queue.pop_due(Timestamp(9)), None);
        assert_eq!(queue.pop_due(Timestamp(10)), Some(id));
        assert_eq!(queue.pop_due(Timestamp(99)), None);
    }
}
