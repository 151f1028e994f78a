//! Who comes next, of all: lines in front of makers' methods, behind the makers' guards, and the lanes that share our means.

mod arriving;
mod keeping;
mod lane;
mod waiting;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use events::line::{Ageing, Job, Line};
use events::{
    Admission, Guards, Maker, MakerIndex, Method, Priority, Registration, RegistrationId, Sequence, Stored,
    StoredMaker, Timestamp,
};

pub(crate) use keeping::Failed;
pub(crate) use lane::Lane;
use waiting::Waiting;

/// A line in front of one maker's method.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct LineKey {
    /// Whose.
    pub(crate) maker: MakerIndex,
    /// Which method.
    pub(crate) method: Method,
}

/// Where one registration stands; small, because many may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// In a line.
    Line(LineKey),
    /// In a lane without lines.
    Lane(Lane),
    /// Nowhere: it waits for a time.
    Time,
}

/// A place in a lane without lines: the class first (1 is best), then the order of submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Simple {
    class: u8,
    since: Timestamp,
    id: RegistrationId,
}

/// One turn that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Whose.
    pub(crate) id: RegistrationId,
    /// Of what.
    pub(crate) lane: Lane,
    /// Through which line, if through one.
    pub(crate) line: Option<LineKey>,
    /// The number of the attempt that was let through, if one was.
    pub(crate) attempt: Option<u32>,
    /// The registration's last record when the turn was given.
    pub(crate) seen: Sequence,
}

/// Why a line does not move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Closed {
    /// A guard of the maker: worth telling when it lasts.
    Guard(Admission),
    /// As many are under way as may be, or the last outcome is not folded yet: soon over.
    Busy,
}

#[derive(Debug)]
struct Queue {
    line: Line,
    /// Who came since the last time that the line was told why it waits.
    untold: VecDeque<RegistrationId>,
    running: u32,
    /// A probe was let through and has not started yet.
    probe: bool,
    /// Nothing is let through before the log is folded up to here: a failure stands there.
    must_see: Sequence,
    /// Failures that count towards the circuit and are not folded yet.
    unseen: u32,
    /// When it last had a turn, counted in turns of the lane.
    last_turn: u64,
}

/// An attempt that was let through and has not been seen to start.
#[derive(Debug, Clone, Copy)]
struct Grant {
    key: LineKey,
    /// It is the one that a half open circuit lets through.
    probe: bool,
}

/// All who wait, and what they wait for.
pub(crate) struct Turns {
    /// The makers, folded from the log.
    pub(crate) guards: Guards,
    /// Changed by `change` alone where that moves them in `order`.
    queues: BTreeMap<LineKey, Queue>,
    order: Waiting,
    simple: BTreeMap<Lane, BTreeSet<Simple>>,
    running: HashMap<Lane, usize>,
    turns: u64,
    grants: HashMap<(RegistrationId, u32), Grant>,
    /// Attempts whose turn is over, with the place of the log up to which they must be folded.
    settling: BinaryHeap<Reverse<(Sequence, RegistrationId, u32)>>,
    reserved: HashMap<MakerIndex, u32>,
    /// Attempts whose failure is counted in `unseen`.
    failed: HashMap<(RegistrationId, u32), LineKey>,
    tenants: HashMap<String, u32>,
    ageing: Ageing,
    pace: arriving::Pace,
    position: Sequence,
}

/// How soon an attempt that a crash interrupted is looked at again while its maker is paused.
const PAUSE_LOOK: Duration = Duration::from_secs(1);
/// One in so many turns of a lane goes to the line that waited longest, whatever class stands in it.
pub(crate) const LINE_TURN_EVERY: u64 = 4;

impl Turns {
    pub(crate) fn new(guards: Guards, ageing: Ageing) -> Self {
        Self {
            guards,
            queues: BTreeMap::new(),
            order: Waiting::default(),
            simple: BTreeMap::new(),
            running: HashMap::new(),
            turns: 0,
            grants: HashMap::new(),
            settling: BinaryHeap::new(),
            reserved: HashMap::new(),
            failed: HashMap::new(),
            tenants: HashMap::new(),
            ageing,
            pace: arriving::Pace::default(),
            position: 0,
        }
    }

    /// Takes in a record of a registration; tells which maker it was about.
    pub(crate) fn take(&mut self, stored: &Stored) -> Option<MakerIndex> {
        let about = self.guards.take(stored);
        for event in &stored.record.events {
            if let events::Event::AttemptStarted(started) = event {
                self.started(stored.registration, started.attempt);
            } else if let events::Event::AttemptRepeated(repeated) = event {
                self.started(stored.registration, repeated.attempt);
            } else if let events::Event::AttemptFailed(failed) = event {
                self.failure_is_seen(stored.registration, failed.attempt);
            }
        }
        self.pass_over(stored.sequence);
        about
    }

    /// Takes in a record of a maker.
    pub(crate) fn take_maker(&mut self, stored: &StoredMaker) -> MakerIndex {
        self.pass_over(stored.sequence);
        self.guards.take_maker(stored)
    }

    /// The log is folded up to here, whatever stands there.
    pub(crate) fn pass_over(&mut self, sequence: Sequence) {
        self.position = sequence;
        while let Some(Reverse((_, id, attempt))) = self.settling.peek().filter(|next| next.0.0 <= sequence).copied() {
            self.settling.pop();
            self.started(id, attempt);
            self.failure_is_seen(id, attempt);
        }
    }

    fn started(&mut self, id: RegistrationId, attempt: u32) {
        if let Some(grant) = self.grants.remove(&(id, attempt)) {
            self.give_back(grant);
        }
    }

    /// The fold counts it from here on, or it never started.
    fn give_back(&mut self, grant: Grant) {
        if let Some(reserved) = self.reserved.get_mut(&grant.key.maker) {
            *reserved = reserved.saturating_sub(1);
        }
        if let Some(queue) = self.queues.get_mut(&grant.key).filter(|_| grant.probe) {
            queue.probe = false;
        }
    }

    /// Puts it in line for an attempt by `method`.
    pub(crate) fn join(
        &mut self,
        registration: &Registration,
        method: Method,
        last_day: Option<jiff::civil::Date>,
    ) -> Place {
        let maker = self.guards.index_of(&registration.connector);
        let (key, ageing) = (LineKey { maker, method }, self.ageing);
        let job = self.job(registration, last_day);
        self.queues.entry(key).or_insert_with(|| Queue::new(ageing));
        self.change(key, |queue| {
            queue.line.push(job);
            if !matches!(registration.stage, events::Stage::Held { .. }) {
                queue.untold.push_back(registration.id);
            }
        });
        Place::Line(key)
    }

    fn job(&mut self, registration: &Registration, last_day: Option<jiff::civil::Date>) -> Job {
        Job {
            id: registration.id,
            class: registration.priority,
            tenant: self.tenant(&registration.tenant),
            last_day,
            since: registration.submitted_at,
            order: u64::try_from(registration.submitted_at.0).unwrap_or(0),
        }
    }

    fn tenant(&mut self, tenant: &str) -> u32 {
        if let Some(known) = self.tenants.get(tenant) {
            return *known;
        }
        let number = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        self.tenants.insert(tenant.to_owned(), number);
        number
    }

    /// Puts it into a lane without lines.
    pub(crate) fn queue(&mut self, registration: &Registration, lane: Lane) -> Place {
        self.simple.entry(lane).or_default().insert(Simple::of(registration));
        Place::Lane(lane)
    }

    /// Takes it out of where it stands.
    pub(crate) fn leave(&mut self, registration: &Registration, place: Place) {
        match place {
            Place::Line(key) => {
                self.change(key, |queue| queue.line.remove(registration.id));
            }
            Place::Lane(lane) => {
                if let Some(waiting) = self.simple.get_mut(&lane) {
                    waiting.remove(&Simple::of(registration));
                }
            }
            Place::Time => {}
        }
    }

    /// The next turn of a lane with `bound` places, if there is a place and somebody who may take it.
    pub(crate) fn next(&mut self, lane: Lane, bound: usize, now: Timestamp) -> Option<Turn> {
        if self.running(lane) >= bound {
            return None;
        }
        let Some(method) = lane.guarded() else {
            let simple = self.simple.get_mut(&lane)?.pop_first()?;
            return Some(self.give(Turn { id: simple.id, lane, line: None, attempt: None, seen: 0 }));
        };
        let key = self.best_line(method, now)?;
        self.turns += 1;
        let turn = self.turns;
        let popped = self.change(key, |queue| {
            queue.last_turn = turn;
            let id = queue.line.pop(now)?;
            queue.running += 1;
            Some(id)
        });
        let id = popped??;
        Some(self.give(Turn { id, lane, line: Some(key), attempt: None, seen: 0 }))
    }

    /// Whether a lane has a place free.
    pub(crate) fn has_room(&self, lane: Lane, bound: usize) -> bool {
        self.running(lane) < bound
    }

    /// Notes that a turn is taken.
    pub(crate) fn give(&mut self, turn: Turn) -> Turn {
        *self.running.entry(turn.lane).or_default() += 1;
        turn
    }

    /// Of the lines that may move: the best class, then the one that waited longest; and in some turns just the latter.
    fn best_line(&self, method: Method, now: Timestamp) -> Option<LineKey> {
        let longest_first = (self.turns + 1).is_multiple_of(LINE_TURN_EVERY);
        let is_open = |key: &LineKey| self.queues.get(key).is_some_and(|queue| self.closed(*key, queue, now).is_none());
        if longest_first { self.order.by_turn(method).find(is_open) } else { self.order.by_class(method).find(is_open) }
    }

    /// Why a line does not move, if it does not.
    fn closed(&self, key: LineKey, queue: &Queue, now: Timestamp) -> Option<Closed> {
        let maker = self.guards.maker(key.maker);
        let busy = queue.running >= maker.policy.concurrency.of(key.method)
            || self.position < queue.must_see
            || !maker.bears(key.method, queue.unseen);
        let reserved = self.reserved.get(&key.maker).copied().unwrap_or(0);
        match maker.admission(key.method, now, reserved) {
            Admission::Free | Admission::Probe if busy => Some(Closed::Busy),
            Admission::Free => None,
            Admission::Probe if queue.probe => Some(Closed::Guard(Admission::Probing)),
            Admission::Probe => None,
            closed @ (Admission::Probing
            | Admission::CircuitOpen(_)
            | Admission::RateLimited(_)
            | Admission::Paused) => Some(Closed::Guard(closed)),
        }
    }

    /// Notes that an attempt was let through: its token and its probe are taken until it is seen to start.
    pub(crate) fn grant(&mut self, turn: &mut Turn, registration: &Registration, now: Timestamp) {
        let Some(key) = turn.line else { return };
        let probe = matches!(self.guards.maker(key.maker).admission(key.method, now, 0), Admission::Probe);
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.probe = probe;
        }
        self.reserve(turn, Grant { key, probe }, registration, registration.attempts + 1);
    }

    /// As `grant`, for an attempt that a crash interrupted and that is made once more; when there is no token: when there
    /// is one.
    pub(crate) fn grant_repeat(
        &mut self,
        turn: &mut Turn,
        registration: &Registration,
        method: Method,
        now: Timestamp,
    ) -> Result<(), Timestamp> {
        let maker = self.guards.index_of(&registration.connector);
        let reserved = self.reserved.get(&maker).copied().unwrap_or(0);
        let of_maker = self.guards.maker(maker);
        if of_maker.pause(method).is_some() {
            return Err(now.plus(PAUSE_LOOK));
        }
        if of_maker.bucket.available(now, reserved) == 0 {
            return Err(of_maker.bucket.next_token(now, reserved));
        }
        let grant = Grant { key: LineKey { maker, method }, probe: false };
        self.reserve(turn, grant, registration, registration.attempts);
        Ok(())
    }

    fn reserve(&mut self, turn: &mut Turn, grant: Grant, registration: &Registration, attempt: u32) {
        *self.reserved.entry(grant.key.maker).or_default() += 1;
        (turn.attempt, turn.seen) = (Some(attempt), registration.last.sequence);
        self.grants.insert((registration.id, attempt), grant);
    }

    /// A turn is over. `after`: the registration as its driver left it, when it came back.
    pub(crate) fn over(&mut self, turn: &Turn, after: Option<&Registration>) {
        self.vacate(turn);
        if turn.lane == Lane::Api {
            self.pace.ended();
        }
        let Some(key) = turn.line else { return };
        let is_counted = turn.attempt.is_some_and(|attempt| self.failed.contains_key(&(turn.id, attempt)));
        if let Some(queue) = self.queues.get_mut(&key).filter(|_| !is_counted)
            && let Some(failed) = after.filter(|after| !matches!(after.stage, events::Stage::Succeeded { .. }))
        {
            queue.must_see = queue.must_see.max(failed.last.sequence);
        }
        self.settle_failures(turn, after);
        // what did start is counted when it is folded
        let Some(attempt) = turn.attempt else { return };
        let began = after.filter(|after| after.attempts >= attempt && after.last.sequence > turn.seen);
        match began {
            // the fold will have counted it by then, if it began at all
            Some(after) if after.last.sequence > self.position => {
                self.settling.push(Reverse((after.last.sequence, turn.id, attempt)));
            }
            Some(_) | None => self.started(turn.id, attempt),
        }
    }

    /// Lines in front of a guard that stays closed long enough to be worth a word, with the guard.
    pub(crate) fn held_up(&self, now: Timestamp, worth: Duration) -> Vec<(LineKey, Admission)> {
        let mut held = Vec::new();
        for (key, queue) in self.queues.iter().filter(|(_, queue)| !queue.line.is_empty()) {
            if let Some(Closed::Guard(admission)) = self.closed(*key, queue, now)
                && opens_at(admission).is_none_or(|at| at.since(now) >= worth)
                && admission != Admission::Probing
            {
                held.push((*key, admission));
            }
        }
        held
    }

    /// One who stands in this line and was not told why it waits.
    pub(crate) fn next_untold(&mut self, key: LineKey) -> Option<RegistrationId> {
        let next = |queue: &mut Queue| {
            while let Some(id) = queue.untold.pop_front() {
                if queue.line.remove(id) {
                    return Some(id);
                }
            }
            None
        };
        self.change(key, next)?
    }

    /// Takes anybody out of a line.
    pub(crate) fn next_of_line(&mut self, key: LineKey, now: Timestamp) -> Option<RegistrationId> {
        self.change(key, |queue| queue.line.pop(now))?
    }

    /// Forgets whom to tell: they were just let through, or told.
    pub(crate) fn trim(&mut self) {
        for queue in self.queues.values_mut() {
            if queue.untold.len() > 2 * queue.line.len() + 1024 {
                let line = &queue.line;
                queue.untold.retain(|id| line.contains(*id));
            }
        }
    }

    /// When a line that does not move may move again by time alone.
    pub(crate) fn next_opening(&self, now: Timestamp) -> Option<Timestamp> {
        let waiting = self.queues.iter().filter(|(_, queue)| !queue.line.is_empty());
        let openings = waiting.filter_map(|(key, queue)| match self.closed(*key, queue, now)? {
            Closed::Guard(admission) => opens_at(admission),
            Closed::Busy => None,
        });
        // one that should be open already waits for a record that is on its way
        openings.filter(|at| *at > now).min()
    }

    /// The maker of a line.
    pub(crate) fn maker(&self, key: LineKey) -> &Maker {
        self.guards.maker(key.maker)
    }

    /// Why the line of this place does not move now, and how many are before `id`.
    pub(crate) fn look(&self, key: LineKey, id: RegistrationId, now: Timestamp) -> (Option<Closed>, Option<usize>) {
        let Some(queue) = self.queues.get(&key) else { return (None, None) };
        (self.closed(key, queue, now), queue.line.ahead_of(id))
    }

    /// How many are before it in a lane without lines.
    pub(crate) fn ahead_in_lane(&self, lane: Lane, registration: &Registration) -> usize {
        let place = Simple::of(registration);
        self.simple.get(&lane).map_or(0, |waiting| waiting.range(..place).count())
    }

    /// How many wait in front of a method, and since when the longest waiting of a class does.
    pub(crate) fn waiting(&self, key: LineKey) -> (usize, Vec<(Priority, Timestamp)>) {
        let Some(queue) = self.queues.get(&key) else { return (0, Vec::new()) };
        let oldest = |class: &Priority| Some((*class, queue.line.oldest(*class)?));
        (queue.line.len(), Priority::ALL.iter().filter_map(oldest).collect())
    }

    /// How many attempts of a method are under way.
    pub(crate) fn running_in(&self, key: LineKey) -> u32 {
        self.queues.get(&key).map_or(0, |queue| queue.running)
    }

    fn running(&self, lane: Lane) -> usize {
        self.running.get(&lane).copied().unwrap_or(0)
    }

    /// How many wait, all together.
    pub(crate) fn len(&self) -> usize {
        let lines: usize = self.queues.values().map(|queue| queue.line.len()).sum();
        lines + self.simple.values().map(BTreeSet::len).sum::<usize>()
    }
}

impl Simple {
    const fn of(registration: &Registration) -> Self {
        Self { class: registration.priority.number(), since: registration.submitted_at, id: registration.id }
    }
}

impl Queue {
    fn new(ageing: Ageing) -> Self {
        let (line, untold) = (Line::new(ageing), VecDeque::new());
        Self { line, untold, running: 0, probe: false, must_see: 0, unseen: 0, last_turn: 0 }
    }
}

/// When a guard opens by itself, as far as it is known.
pub(crate) const fn opens_at(admission: Admission) -> Option<Timestamp> {
    match admission {
        Admission::CircuitOpen(until) => until,
        Admission::RateLimited(until) => Some(until),
        Admission::Free | Admission::Probe | Admission::Probing | Admission::Paused => None,
    }
}

#[cfg(test)]
mod tests;
