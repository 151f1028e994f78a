//! Heaps of jobs that are kept elsewhere: four bytes a job here and four there, and any job can be taken out.

use std::cmp::Ordering;

use super::Job;

/// Where a job is kept.
pub(super) type Place = u32;

/// A job as it is kept, and where it stands in the heap of each order.
#[derive(Debug, Clone, Copy)]
pub(super) struct Slot {
    pub(super) job: Job,
    stands: [u32; 2],
}

impl Slot {
    pub(super) const fn new(job: Job) -> Self {
        Self { job, stands: [0; 2] }
    }
}

/// What comes first.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    /// The earliest last day, none last; then the order of the log.
    Deadline = 0,
    /// The longest waiting; then the order of the log.
    Age = 1,
}

impl Order {
    /// Ids settle what cannot happen, so that the order never depends on where jobs are kept.
    pub(super) fn compare(self, one: &Job, other: &Job) -> Ordering {
        let first = match self {
            Self::Deadline => (one.last_day.is_none(), one.last_day).cmp(&(other.last_day.is_none(), other.last_day)),
            Self::Age => one.since.cmp(&other.since),
        };
        first.then_with(|| (one.order, one.id).cmp(&(other.order, other.id)))
    }
}

/// A binary heap, first on top.
#[derive(Debug, Clone)]
pub(super) struct Heap {
    order: Order,
    places: Vec<Place>,
}

impl Heap {
    pub(super) const fn new(order: Order) -> Self {
        Self { order, places: Vec::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    pub(super) fn first(&self) -> Option<Place> {
        self.places.first().copied()
    }

    pub(super) fn places(&self) -> &[Place] {
        &self.places
    }

    pub(super) fn push(&mut self, slots: &mut [Slot], place: Place) {
        push_tight(&mut self.places, place);
        self.rise(slots, self.places.len() - 1);
    }

    /// Takes out the job kept at `place`, which must be in here.
    pub(super) fn remove(&mut self, slots: &mut [Slot], place: Place) {
        let hole = slots[place as usize].stands[self.order as usize] as usize;
        self.places.swap_remove(hole);
        if hole < self.places.len() {
            self.sink(slots, hole);
            self.rise(slots, hole);
        }
        if self.places.is_empty() {
            self.places = Vec::new();
        }
    }

    /// Moves the one at `at` towards the top as far as it belongs.
    fn rise(&mut self, slots: &mut [Slot], mut at: usize) {
        while at > 0 && self.is_before(slots, at, (at - 1) / 2) {
            self.swap(slots, at, (at - 1) / 2);
            at = (at - 1) / 2;
        }
        self.settle(slots, at);
    }

    /// Moves the one at `at` away from the top as far as it belongs.
    fn sink(&mut self, slots: &mut [Slot], mut at: usize) {
        while let Some(below) = self.first_below(slots, at).filter(|below| self.is_before(slots, *below, at)) {
            self.swap(slots, at, below);
            at = below;
        }
        self.settle(slots, at);
    }

    fn first_below(&self, slots: &[Slot], at: usize) -> Option<usize> {
        let (left, right) = (2 * at + 1, 2 * at + 2);
        if right < self.places.len() && self.is_before(slots, right, left) {
            return Some(right);
        }
        (left < self.places.len()).then_some(left)
    }

    fn is_before(&self, slots: &[Slot], one: usize, other: usize) -> bool {
        let job = |at: usize| &slots[self.places[at] as usize].job;
        self.order.compare(job(one), job(other)).is_lt()
    }

    fn swap(&mut self, slots: &mut [Slot], one: usize, other: usize) {
        self.places.swap(one, other);
        self.settle(slots, one);
        self.settle(slots, other);
    }

    /// Notes with the job where it stands.
    fn settle(&self, slots: &mut [Slot], at: usize) {
        slots[self.places[at] as usize].stands[self.order as usize] = at as u32;
    }
}

/// Appends, and grows by an eighth instead of to the double: a backlog is big and its slack would be too.
pub(super) fn push_tight<T>(items: &mut Vec<T>, item: T) {
    if items.len() == items.capacity() {
        items.reserve_exact(items.len() / 8 + 1);
    }
    items.push(item);
}
