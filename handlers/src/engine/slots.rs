//! Where each open registration is, and what wakes it.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use events::{Registration, RegistrationId, Sequence, Shard, Stored, Timestamp};

use crate::turns::Place;

/// Times that may wake nobody any more, beside two for each open registration.
const SPARE_TIMES: usize = 1024;

/// One open registration.
pub(super) enum Slot {
    /// In a line, or waiting for a time; shared with a snapshot while that is written.
    Idle(Arc<Registration>, Place),
    /// With its driver; what the log says meanwhile.
    Driving(Vec<Arc<Stored>>),
    /// Came to rest at this sequence, which the fold has not seen yet.
    Resting(Sequence),
}

/// All of them.
#[derive(Default)]
pub(super) struct Slots {
    slots: HashMap<RegistrationId, Slot>,
    resting: VecDeque<(Sequence, RegistrationId, Shard)>,
    timed: BinaryHeap<Reverse<(Timestamp, RegistrationId)>>,
    /// For those that are not kept in memory while they wait for a person.
    alarms: BinaryHeap<Reverse<(Timestamp, RegistrationId, Shard)>>,
}

impl Slots {
    pub(super) fn get_mut(&mut self, id: RegistrationId) -> Option<&mut Slot> {
        self.slots.get_mut(&id)
    }

    pub(super) fn get(&self, id: RegistrationId) -> Option<&Slot> {
        self.slots.get(&id)
    }

    pub(super) fn put(&mut self, id: RegistrationId, slot: Slot) -> Option<Slot> {
        self.slots.insert(id, slot)
    }

    pub(super) fn remove(&mut self, id: RegistrationId) -> Option<Slot> {
        self.slots.remove(&id)
    }

    /// Takes an idle one out; another stays where it is.
    pub(super) fn take_idle(&mut self, id: RegistrationId) -> Option<(Registration, Place)> {
        match self.slots.remove(&id)? {
            Slot::Idle(registration, place) => Some((Arc::unwrap_or_clone(registration), place)),
            other @ (Slot::Driving(_) | Slot::Resting(_)) => {
                self.slots.insert(id, other);
                None
            }
        }
    }

    pub(super) fn idle_ids(&self) -> Vec<RegistrationId> {
        self.slots.iter().filter(|(_, slot)| matches!(slot, Slot::Idle(..))).map(|(id, _)| *id).collect()
    }

    /// It rests; a late record of its own driver must not wake it.
    pub(super) fn let_rest(&mut self, (id, shard): (RegistrationId, Shard), last: Sequence, position: Sequence) {
        if last > position {
            self.slots.insert(id, Slot::Resting(last));
            self.resting.push_back((last, id, shard));
        } else {
            self.slots.remove(&id);
        }
    }

    /// Those whose last record is folded by now.
    pub(super) fn forget_resting(&mut self, position: Sequence) {
        while let Some((sequence, id, _)) = self.resting.front().copied().filter(|next| next.0 <= position) {
            self.resting.pop_front();
            if matches!(self.slots.get(&id), Some(Slot::Resting(last)) if *last <= sequence) {
                self.slots.remove(&id);
            }
        }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// All that are idle.
    pub(super) fn idle(&self) -> impl Iterator<Item = &Arc<Registration>> {
        self.slots.values().filter_map(|slot| match slot {
            Slot::Idle(registration, _) => Some(registration),
            Slot::Driving(_) | Slot::Resting(_) => None,
        })
    }

    /// Those that came to rest ahead of the fold.
    pub(super) fn resting(&self) -> impl Iterator<Item = (RegistrationId, Shard)> {
        self.resting.iter().map(|(_, id, shard)| (*id, *shard))
    }

    /// When those wake that are not kept in memory.
    pub(super) fn alarms(&self) -> Vec<(Timestamp, RegistrationId, Shard)> {
        self.alarms.iter().map(|Reverse(alarm)| *alarm).collect()
    }

    /// Whoever is woken is looked at again, and tells when it wants to be woken next.
    pub(super) fn wake_at(&mut self, at: Timestamp, id: RegistrationId) {
        self.timed.push(Reverse((at, id)));
        if self.timed.len() > 2 * self.slots.len() + SPARE_TIMES {
            self.forget_times(id);
        }
    }

    /// Keeps the first time of each that is open, and of one that is just being put in its place: what a last day weeks ahead would
    /// wake has mostly ended long before.
    fn forget_times(&mut self, placed: RegistrationId) {
        let mut kept = HashSet::new();
        let times = std::mem::take(&mut self.timed).into_sorted_vec();
        // the greatest of what is reversed comes last
        let first = times
            .into_iter()
            .rev()
            .filter(|Reverse((_, id))| (*id == placed || self.slots.contains_key(id)) && kept.insert(*id));
        self.timed = first.collect();
    }

    pub(super) fn alarm_at(&mut self, at: Timestamp, id: RegistrationId, shard: Shard) {
        self.alarms.push(Reverse((at, id, shard)));
    }

    /// When the next one wakes.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.timed.peek().map(|Reverse((at, _))| *at)
    }

    /// When the next one wakes of those that are not kept in memory.
    pub(super) fn next_alarm(&self) -> Option<Timestamp> {
        self.alarms.peek().map(|Reverse((at, ..))| *at)
    }

    /// One whose time has come.
    pub(super) fn pop_timed(&mut self, now: Timestamp) -> Option<RegistrationId> {
        self.timed.peek().filter(|Reverse((at, _))| *at <= now)?;
        self.timed.pop().map(|Reverse((_, id))| id)
    }

    /// One whose time has come, of those that are not kept in memory.
    pub(super) fn pop_alarm(&mut self, now: Timestamp) -> Option<(RegistrationId, Shard)> {
        self.alarms.peek().filter(|Reverse((at, ..))| *at <= now)?;
        self.alarms.pop().map(|Reverse((_, id, shard))| (id, shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn what_waits_costs_little_beside_itself() {
        // a table of slots is at the worst half empty; with the 81 bytes of a place in line that is under 200
        let in_the_table = 2 * (size_of::<RegistrationId>() + size_of::<Slot>() + 1);
        assert!(in_the_table <= 119, "{in_the_table} bytes");
    }

    #[test]
    fn times_of_those_that_have_ended_are_forgotten() {
        let mut slots = Slots::default();
        let open = RegistrationId(Uuid::from_u128(1));
        slots.put(open, Slot::Driving(Vec::new()));
        for day in [20, 10, 30] {
            slots.wake_at(Timestamp(day), open);
        }
        for ended in 2..100_000 {
            slots.wake_at(Timestamp(40), RegistrationId(Uuid::from_u128(ended)));
            assert!(slots.timed.len() <= SPARE_TIMES + 2, "{}", slots.timed.len());
        }
        assert_eq!(slots.pop_timed(Timestamp(39)), Some(open));
        assert_eq!(slots.pop_timed(Timestamp(39)), None, "its first time is kept, and no other");
    }

    #[test]
    fn nobody_wakes_before_its_time() {
        let mut slots = Slots::default();
        let id = RegistrationId(Uuid::from_u128(1));
        slots.wake_at(Timestamp(10), id);
        slots.alarm_at(Timestamp(5), id, Shard(3));
        assert_eq!((slots.next_wake(), slots.next_alarm()), (Some(Timestamp(10)), Some(Timestamp(5))));
        assert_eq!((slots.pop_timed(Timestamp(9)), slots.pop_alarm(Timestamp(9))), (None, Some((id, Shard(3)))));
        assert_eq!((slots.pop_timed(Timestamp(10)), slots.pop_timed(Timestamp(99))), (Some(id), None));
    }
}
