//! Who comes next for one maker and method.
//!
//! The best class goes first; inside a class the tenants take turns; inside a tenant the earliest last day goes first. So
//! that a flood of HIGH does not keep LOW waiting for ever, waiting too long earns a share of the turns: at least one in
//! `low_every` goes to the longest waiting LOW, and at least one in `normal_every + 1` to the longest waiting NORMAL.
//! What follows from that is [`longest_wait`].

mod heap;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::civil::Date;

use self::heap::{Heap, Order, Place, Slot, push_tight};
use crate::id::{RegistrationId, Sequence};
use crate::time::Timestamp;
use crate::words::Priority;

/// A share of more than every third turn for each of two classes would leave HIGH nothing.
const EVERY_MIN: u32 = 3;

/// What waiting too long earns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ageing {
    /// How long a NORMAL waits before it has a share.
    pub normal_after: Duration,
    /// One turn in how many that share is; fewer than 3 count as 3.
    pub normal_every: u32,
    /// How long a LOW waits before it has a share.
    pub low_after: Duration,
    /// One turn in how many that share is; fewer than 3 count as 3.
    pub low_every: u32,
}

impl Default for Ageing {
    fn default() -> Self {
        let minutes = |count: u64| Duration::from_secs(count * 60);
        Self { normal_after: minutes(5), normal_every: 4, low_after: minutes(15), low_every: 8 }
    }
}

/// The longest that a job can wait which is the `nth` (from 0) oldest of its class in its line, whatever else comes in,
/// where `turn` is the longest time between two turns of the line, or to the first.
///
/// LOW: `low_after + (nth + 1) * low_every * turn`. After `low_after` it has a share, and so have the `nth` before it. LOW's
/// share falls due `low_every` turns after it was last given and is then given at that very turn, to the oldest; so at
/// the latest every `low_every` turns one of the `nth + 1` leaves.
///
/// NORMAL: `normal_after + (nth + 1) * (normal_every + 1) * turn`. The same, but when both shares fall due at one turn
/// LOW's is given; NORMAL's stays due and is given at the next turn, for LOW's cannot fall due again so soon.
///
/// HIGH: `Duration::MAX`. It has no share, only all that is left: what it waits depends on how much HIGH comes in.
#[must_use]
pub fn longest_wait(ageing: &Ageing, class: Priority, nth: u32, turn: Duration) -> Duration {
    let (after, every) = match class {
        Priority::High => return Duration::MAX,
        Priority::Normal => (ageing.normal_after, ageing.normal_every.max(EVERY_MIN).saturating_add(1)),
        Priority::Low => (ageing.low_after, ageing.low_every.max(EVERY_MIN)),
    };
    let turns = nth.saturating_add(1).saturating_mul(every);
    after.saturating_add(turn.saturating_mul(turns))
}

/// One that waits.
#[derive(Debug, Clone, Copy)]
pub struct Job {
    /// Which registration.
    pub id: RegistrationId,
    /// Its class.
    pub class: Priority,
    /// Whose it is; a number that stands for the tenant.
    pub tenant: u32,
    /// The last day on which the maker takes it.
    pub last_day: Option<Date>,
    /// Since when it waits.
    pub since: Timestamp,
    /// Its place in the log, for those that are equal otherwise.
    pub order: Sequence,
}

/// The line. A job costs some 80 bytes in it, 200 if each is of another tenant (measured at 100,000); its slot stays for
/// later ones until the line is empty.
#[derive(Debug, Clone)]
pub struct Line {
    /// Each job once; everything else names its place.
    slots: Vec<Slot>,
    free: Vec<Place>,
    /// The end of each id, and its place: a third of the size of the whole id, and a range finds it.
    index: BTreeSet<(u32, Place)>,
    /// By rank.
    classes: [Class; 3],
    /// In the order in which they are given when both are due.
    shares: [Share; 2],
}

/// The share of the turns that a class has when one of its jobs has waited too long.
#[derive(Debug, Clone, Copy)]
struct Share {
    class: Priority,
    after: Duration,
    every: u32,
    /// Turns of the line since it was last given.
    turns: u32,
}

impl Line {
    /// An empty line.
    #[must_use]
    pub fn new(ageing: Ageing) -> Self {
        let share = |class, after, every: u32| Share { class, after, every: every.max(EVERY_MIN), turns: 0 };
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            index: BTreeSet::new(),
            classes: Default::default(),
            shares: [
                share(Priority::Low, ageing.low_after, ageing.low_every),
                share(Priority::Normal, ageing.normal_after, ageing.normal_every),
            ],
        }
    }

    /// Puts a job in the line; false when it is there already.
    pub fn push(&mut self, job: Job) -> bool {
        if self.contains(job.id) {
            return false;
        }
        let place = self.keep(job);
        self.index.insert((end_of(job.id), place));
        self.classes[rank(job.class)].push(&mut self.slots, place);
        true
    }

    /// Takes a job out of the line; false when it was not there.
    pub fn remove(&mut self, id: RegistrationId) -> bool {
        let place = self.place_of(id);
        place.into_iter().for_each(|place| self.take_out(place));
        place.is_some()
    }

    /// Whether a job is in the line.
    #[must_use]
    pub fn contains(&self, id: RegistrationId) -> bool {
        self.place_of(id).is_some()
    }

    /// Takes the next turn: out comes the one whose turn it is.
    pub fn pop(&mut self, now: Timestamp) -> Option<RegistrationId> {
        let best = self.classes.iter().find_map(Class::first)?;
        let place = self.next_share(now).unwrap_or(best);
        let job = *self.job(place);
        self.classes[rank(job.class)].had_a_turn(job.tenant);
        self.take_out(place);
        Some(job.id)
    }

    /// Who would come out if the next turn were taken now.
    #[must_use]
    pub fn peek(&self, now: Timestamp) -> Option<RegistrationId> {
        let best = self.classes.iter().find_map(Class::first)?;
        let due = self.shares.iter().filter(|share| share.turns.saturating_add(1) >= share.every);
        let place = due.filter_map(|share| self.waited_too_long(share, now)).next().unwrap_or(best);
        Some(self.job(place).id)
    }

    /// The best class that waits.
    #[must_use]
    pub fn best_class(&self) -> Option<Priority> {
        self.classes.iter().find_map(Class::first).map(|place| self.job(place).class)
    }

    /// Since when the longest waiting one of a class waits.
    #[must_use]
    pub fn oldest(&self, class: Priority) -> Option<Timestamp> {
        self.classes[rank(class)].ages.first().map(|place| self.job(place).since)
    }

    /// How many would go before it if nothing else came in and nobody had waited too long. Looks at all of its tenant.
    #[must_use]
    pub fn ahead_of(&self, id: RegistrationId) -> Option<usize> {
        let job = self.job(self.place_of(id)?);
        let better: usize = self.classes[..rank(job.class)].iter().map(Class::len).sum();
        Some(better + self.classes[rank(job.class)].ahead_of(job, &self.slots))
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether nobody waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// All that wait, in no order that means anything, but the same one in every process.
    pub fn ids(&self) -> impl Iterator<Item = RegistrationId> {
        self.index.iter().map(|(_, place)| self.job(*place).id)
    }

    /// Counts the turn, and gives it to the first share that is due and has somebody to take it.
    fn next_share(&mut self, now: Timestamp) -> Option<Place> {
        self.shares.iter_mut().for_each(|share| share.turns = share.turns.saturating_add(1));
        let due = self.shares.iter().enumerate().filter(|(_, share)| share.turns >= share.every);
        let (index, place) =
            due.filter_map(|(index, share)| Some((index, self.waited_too_long(share, now)?))).next()?;
        self.shares[index].turns = 0;
        Some(place)
    }

    fn waited_too_long(&self, share: &Share, now: Timestamp) -> Option<Place> {
        let oldest = self.classes[rank(share.class)].ages.first();
        oldest.filter(|place| self.job(*place).since.plus(share.after) <= now)
    }

    fn job(&self, place: Place) -> &Job {
        &self.slots[place as usize].job
    }

    fn place_of(&self, id: RegistrationId) -> Option<Place> {
        let alike = self.index.range((end_of(id), 0)..=(end_of(id), Place::MAX));
        alike.map(|(_, place)| *place).find(|place| self.job(*place).id == id)
    }

    fn keep(&mut self, job: Job) -> Place {
        if let Some(place) = self.free.pop() {
            self.slots[place as usize] = Slot::new(job);
            return place;
        }
        push_tight(&mut self.slots, Slot::new(job));
        Place::try_from(self.slots.len() - 1).expect("four billion jobs fit in no memory")
    }

    fn take_out(&mut self, place: Place) {
        let job = *self.job(place);
        self.index.remove(&(end_of(job.id), place));
        self.classes[rank(job.class)].take_out(&mut self.slots, place);
        push_tight(&mut self.free, place);
        if self.index.is_empty() {
            (self.slots, self.free) = (Vec::new(), Vec::new());
        }
    }
}

/// The jobs of one class.
#[derive(Debug, Clone)]
struct Class {
    tenants: BTreeMap<u32, Tenant>,
    /// The tenants in the order of their turns.
    turns: BTreeMap<u64, u32>,
    /// The turn of the tenant at the end.
    last_turn: u64,
    ages: Heap,
}

#[derive(Debug, Clone)]
struct Tenant {
    turn: u64,
    jobs: Heap,
}

impl Default for Class {
    fn default() -> Self {
        Self { tenants: BTreeMap::new(), turns: BTreeMap::new(), last_turn: 0, ages: Heap::new(Order::Age) }
    }
}

impl Class {
    fn len(&self) -> usize {
        self.ages.len()
    }

    /// The first job of the tenant whose turn it is.
    fn first(&self) -> Option<Place> {
        let (_, tenant) = self.turns.first_key_value()?;
        self.tenants.get(tenant)?.jobs.first()
    }

    fn push(&mut self, slots: &mut [Slot], place: Place) {
        let name = slots[place as usize].job.tenant;
        let at_the_end = || {
            self.last_turn += 1;
            self.turns.insert(self.last_turn, name);
            Tenant { turn: self.last_turn, jobs: Heap::new(Order::Deadline) }
        };
        self.tenants.entry(name).or_insert_with(at_the_end).jobs.push(slots, place);
        self.ages.push(slots, place);
    }

    fn take_out(&mut self, slots: &mut [Slot], place: Place) {
        let name = slots[place as usize].job.tenant;
        self.ages.remove(slots, place);
        let Some(tenant) = self.tenants.get_mut(&name) else { return };
        tenant.jobs.remove(slots, place);
        if tenant.jobs.len() == 0 {
            self.turns.remove(&tenant.turn);
            self.tenants.remove(&name);
        }
    }

    /// Sends a tenant to the end.
    fn had_a_turn(&mut self, name: u32) {
        let Some(tenant) = self.tenants.get_mut(&name) else { return };
        self.turns.remove(&tenant.turn);
        self.last_turn += 1;
        tenant.turn = self.last_turn;
        self.turns.insert(tenant.turn, name);
    }

    /// Those of its own tenant, and as many of each other: one more of those whose turn comes earlier.
    fn ahead_of(&self, job: &Job, slots: &[Slot]) -> usize {
        let Some(own) = self.tenants.get(&job.tenant) else { return 0 };
        let is_ahead = |place: &&Place| Order::Deadline.compare(&slots[**place as usize].job, job).is_lt();
        let before = own.jobs.places().iter().filter(is_ahead).count();
        let others = self.tenants.values().filter(|tenant| tenant.turn != own.turn);
        let rounds = |tenant: &Tenant| before + usize::from(tenant.turn < own.turn);
        before + others.map(|tenant| tenant.jobs.len().min(rounds(tenant))).sum::<usize>()
    }
}

const fn rank(class: Priority) -> usize {
    match class {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}

/// The last four bytes: random in each version of UUID that we use.
fn end_of(id: RegistrationId) -> u32 {
    id.0.as_u128() as u32
}
