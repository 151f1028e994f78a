//! Registrations at work: each put where its next step waits, given its turn, and taken back.

use std::sync::Arc;
use std::time::Duration;

use bus::LoadError;
use events::ladder::rung_after;
use events::{
    Admission, Command, HoldReason, Method, Registration, RegistrationId, Shard, SkipReason, Stage, Step, Timestamp,
    WhenOpen, line_timer,
};
use tokio::task::{Id, JoinError};

use super::{Engine, RELOADS_MAX, STALL_PAUSE, Slot, Task};
use crate::another_try::{self, NextTry};
use crate::driver::{self, Drove};
use crate::journal::{self, JournalError};
use crate::turns::{Failed, Lane, LineKey, Place, Turn, opens_at};
use crate::world::World;

/// A wait that is shorter is not worth a word in the log.
const WORTH_TELLING: Duration = Duration::from_secs(1);
/// Most questions to makers, and most interrupted attempts, at once.
const ASKS_MAX: usize = 64;
/// Most notes in the log at once: they are committed together.
const NOTES_MAX: usize = 512;

impl Engine {
    pub(super) fn do_what_is_due(&mut self) {
        let now = self.world.now();
        while let Some(id) = self.slots.pop_timed(now) {
            if !self.tell_that_it_is_late(id, now) {
                self.reschedule(id);
            }
        }
        self.turns.trim();
        if !self.works() {
            return;
        }
        while self.reloads < RELOADS_MAX
            && let Some((id, shard)) = self.slots.pop_alarm(now)
        {
            if !matches!(self.slots.get(id), Some(Slot::Driving(_) | Slot::Idle(..))) {
                self.reload(shard, id);
            }
        }
        self.see_to_makers(now);
        self.tell_who_waits(now);
        for lane in Lane::ALL {
            while let Some(turn) = self.turns.next(lane, self.bound(lane), now) {
                self.start(turn, now);
            }
        }
    }

    const fn bound(&self, lane: Lane) -> usize {
        match lane {
            Lane::Api => self.options.api_concurrency,
            Lane::Form => self.options.form_concurrency,
            Lane::Manual => self.options.manual_concurrency,
            Lane::Ask => ASKS_MAX,
            Lane::Note => NOTES_MAX,
        }
    }

    pub(super) fn reschedule(&mut self, id: RegistrationId) {
        if let Some((registration, place)) = self.slots.take_idle(id) {
            self.turns.leave(&registration, place);
            self.schedule(registration);
        }
    }

    /// Puts it where its next step waits, or lets go of it when there is none.
    pub(super) fn schedule(&mut self, registration: Registration) {
        let (id, shard) = (registration.id, registration.shard);
        let step = driver::next(&self.world, &registration);
        let place = match (driver::lane(&registration, step), step) {
            // while the past is folded the next record will move it on
            (Some(_), _) if !self.folded => Place::Time,
            (Some(_), Step::Attempt(method)) => self.join(&registration, method),
            (Some(lane), _) => self.turns.queue(&registration, lane),
            (None, Step::WaitUntil(at)) if registration.stage.status().is_settled() => {
                self.slots.alarm_at(at, id, shard);
                return self.slots.let_rest((id, shard), registration.last.sequence, self.position);
            }
            (None, Step::WaitUntil(at)) => {
                self.slots.wake_at(at, id);
                Place::Time
            }
            (None, _) => return self.slots.let_rest((id, shard), registration.last.sequence, self.position),
        };
        self.slots.put(id, Slot::Idle(Arc::new(registration), place));
    }

    fn join(&mut self, registration: &Registration, method: Method) -> Place {
        let connector = self.world.connector(registration);
        let outlook = driver::outlook(registration, &connector);
        if let Some(at) = line_timer(registration, &outlook, self.world.now()) {
            self.slots.wake_at(at, registration.id);
        }
        self.turns.join(registration, method, outlook.deadline.map(|deadline| deadline.last_day))
    }

    fn start(&mut self, mut turn: Turn, now: Timestamp) {
        let Some((registration, _)) = self.slots.take_idle(turn.id) else { return self.turns.over(&turn, None) };
        if let Some(method) = self.to_be_repeated(&registration) {
            if let Err(at) = self.turns.grant_repeat(&mut turn, &registration, method, now) {
                self.turns.over(&turn, None);
                self.slots.wake_at(at, turn.id);
                self.slots.put(turn.id, Slot::Idle(Arc::new(registration), Place::Time));
                return;
            }
        } else {
            self.turns.grant(&mut turn, &registration, now);
        }
        let shard = registration.shard;
        let task = self.tasks.spawn(driver::drive(self.world.clone(), registration, turn.lane));
        self.driving(task.id(), turn, shard);
    }

    /// The method of an attempt that a crash interrupted and that will be made once more.
    fn to_be_repeated(&self, registration: &Registration) -> Option<Method> {
        let Stage::Attempting { method } = registration.stage else { return None };
        (method == Method::Api && self.world.connector(registration).is_repeatable()).then_some(method)
    }

    pub(super) fn driving(&mut self, task: Id, turn: Turn, shard: Shard) {
        self.slots.put(turn.id, Slot::Driving(Vec::new()));
        self.under_way.insert(task, Task::Turn(turn, shard));
    }

    /// Those in front of a closed guard are told why they wait, or go to the next method, as the maker's file says.
    fn tell_who_waits(&mut self, now: Timestamp) {
        for (key, admission) in self.turns.held_up(now, WORTH_TELLING) {
            let mut in_doubt = Vec::new();
            while self.turns.has_room(Lane::Note, NOTES_MAX) {
                let Some((id, command)) = self.next_to_tell(key, admission, now) else { break };
                match (&command, self.slots.get(id)) {
                    (Command::Skip(..), Some(Slot::Idle(registration, _))) if registration.in_doubt => {
                        in_doubt.push(id)
                    }
                    _ => self.tell(id, command),
                }
            }
            in_doubt.into_iter().for_each(|id| self.keep_in_doubt(id, key, admission));
        }
    }

    /// Another method could register a second time what the maker may have taken: it waits for the circuit instead.
    fn keep_in_doubt(&mut self, id: RegistrationId, key: LineKey, admission: Admission) {
        let told = matches!(self.slots.get(id), Some(Slot::Idle(r, _)) if matches!(r.stage, Stage::Held { .. }));
        if told {
            self.reschedule(id);
        } else {
            let (method, reason) = (key.method, HoldReason::CircuitOpen);
            self.tell(id, Command::Hold { method, reason, until: opens_at(admission) });
        }
    }

    /// One that waits in a line that moves, but so slowly that its last day comes near: from now on it counts as held.
    fn tell_that_it_is_late(&mut self, id: RegistrationId, now: Timestamp) -> bool {
        let Some(Slot::Idle(registration, Place::Line(key))) = self.slots.get(id) else { return false };
        let (connector, method) = (self.world.connector(registration), key.method);
        let outlook = driver::outlook(registration, &connector);
        let held = matches!(registration.stage, Stage::Held { .. });
        let late = line_timer(registration, &outlook, Timestamp::default()).is_some_and(|at| at <= now);
        if held || !late || !self.works() {
            return false;
        }
        self.turns.leave(registration, Place::Line(*key));
        self.tell(id, Command::Hold { method, reason: HoldReason::Turn, until: None });
        true
    }

    fn next_to_tell(
        &mut self,
        key: LineKey,
        admission: Admission,
        now: Timestamp,
    ) -> Option<(RegistrationId, Command)> {
        let method = key.method;
        if matches!(admission, Admission::CircuitOpen(_)) && self.has_another_way(key) {
            let id = self.turns.next_of_line(key, now)?;
            return Some((id, Command::Skip(method, SkipReason::CircuitOpen)));
        }
        let reason = match admission {
            Admission::CircuitOpen(_) => HoldReason::CircuitOpen,
            Admission::RateLimited(_) => HoldReason::RateLimit,
            Admission::Paused => HoldReason::Paused,
            Admission::Free | Admission::Probe | Admission::Probing => return None,
        };
        let id = self.turns.next_untold(key)?;
        Some((id, Command::Hold { method, reason, until: opens_at(admission) }))
    }

    /// Whether another automatic method comes after a line's, and the maker's file wants it taken.
    fn has_another_way(&self, key: LineKey) -> bool {
        let maker = self.turns.maker(key);
        let next_rung = maker.policy.circuit.when_open == WhenOpen::NextRung;
        let connector = self.world.catalog.get(&maker.connector);
        let after = connector.map(|connector| rung_after(key.method, connector.ladder()));
        next_rung && after.is_some_and(|method| method != Method::AssistedManual)
    }

    fn tell(&mut self, id: RegistrationId, command: Command) {
        let Some((registration, _)) = self.slots.take_idle(id) else { return };
        let shard = registration.shard;
        let turn = self.turns.give(Turn { id, lane: Lane::Note, line: None, attempt: None, seen: 0 });
        let task = self.tasks.spawn(driver::note(self.world.clone(), registration, command));
        self.driving(task.id(), turn, shard);
    }

    /// Reads its history anew; the result comes back as a driver's does, but takes nobody's turn.
    pub(super) fn reload(&mut self, shard: Shard, id: RegistrationId) {
        if let Some(Slot::Idle(registration, place)) = self.slots.remove(id) {
            self.turns.leave(&registration, place);
        }
        let task = self.tasks.spawn(read_anew(self.world.clone(), shard, id));
        self.reloads += 1;
        self.under_way.insert(task.id(), Task::Reload(shard, id));
        self.slots.put(id, Slot::Driving(Vec::new()));
    }

    pub(super) fn on_done(&mut self, done: Result<(Id, Drove), JoinError>) {
        let (task, drove) = match done {
            Ok((id, drove)) => (self.under_way.remove(&id), Some(drove)),
            Err(error) => {
                tracing::error!(%error, "a task of the engine ended early");
                (self.under_way.remove(&error.id()), None)
            }
        };
        if matches!(task, Some(Task::Reload(..))) {
            self.reloads = self.reloads.saturating_sub(1);
        }
        match drove {
            Some(Drove::MayTryAgain(registration, next)) => self.on_next_try(task, registration, next),
            Some(Drove::Done(registration)) => {
                let registration = self.take_back(task.as_ref(), registration);
                self.schedule(registration);
            }
            Some(Drove::Stalled(registration)) => {
                let registration = self.take_back(task.as_ref(), registration);
                self.slots.wake_at(self.world.now().plus(STALL_PAUSE), registration.id);
                self.slots.put(registration.id, Slot::Idle(Arc::new(registration), Place::Time));
            }
            Some(Drove::NotBegun(id)) => self.on_not_begun(task.as_ref(), id),
            Some(Drove::Unreadable(id)) => drop(self.slots.remove(id)),
            Some(Drove::Written(maker, sequence)) => self.makers.written(maker, sequence, self.world.now()),
            Some(Drove::Checked(maker, api, form)) => self.makers.checked(maker, (api, form)),
            Some(Drove::Mailed(maker, of)) => self.makers.mailed(maker, of, self.world.now()),
            None => self.on_lost(task),
        }
    }

    /// An attempt failed and may be made again now: at once, if it would be the next one in line, else like all others.
    pub(super) fn on_next_try(&mut self, mut task: Option<Task>, registration: Registration, next: Box<NextTry>) {
        let mut keeps = false;
        if let Some(Task::Turn(turn, _)) = &mut task
            && let Some(kept) = self.keep_turn(turn, &next)
        {
            (*turn, keeps) = (kept, true);
        }
        let world = self.world.clone();
        let spawned = if keeps {
            self.tasks.spawn(another_try::keep_turn(world, registration, next))
        } else {
            self.tasks.spawn(another_try::give_way(world, registration, next))
        };
        if let Some(task) = task {
            self.under_way.insert(spawned.id(), task);
        }
    }

    fn keep_turn(&mut self, turn: &Turn, next: &NextTry) -> Option<Turn> {
        if !self.works() {
            return None;
        }
        let after = &next.after;
        let deadline = driver::outlook(after, &self.world.connector(after)).deadline;
        let last_day = deadline.map(|deadline| deadline.last_day);
        let failed = Failed { after, kind: next.kind(), method: next.method, last_day };
        self.turns.keep(turn, &failed, self.bound(turn.lane), self.world.now())
    }

    /// What came in for it meanwhile is of somebody else, who was quicker, or says that it is stored after all.
    fn on_not_begun(&mut self, task: Option<&Task>, id: RegistrationId) {
        if let Some(Task::Turn(turn, _)) = task {
            self.turns.over(turn, None);
        }
        if let Some(Slot::Driving(later)) = self.slots.remove(id) {
            later.into_iter().for_each(|stored| self.on_record(stored));
        }
    }

    /// A task that panicked: its registration is read anew.
    fn on_lost(&mut self, task: Option<Task>) {
        match task {
            Some(Task::Turn(turn, shard)) => {
                self.turns.over(&turn, None);
                self.reload(shard, turn.id);
            }
            Some(Task::Reload(shard, id)) => self.reload(shard, id),
            Some(Task::Maker(maker)) => self.makers.lost(maker, self.world.now()),
            None => {}
        }
    }

    fn take_back(&mut self, task: Option<&Task>, mut registration: Registration) -> Registration {
        if let Some(Task::Turn(turn, _)) = task {
            self.turns.over(turn, Some(&registration));
        }
        if let Some(Slot::Driving(later)) = self.slots.remove(registration.id) {
            for stored in later {
                if let Err(error) = registration.apply(&stored) {
                    tracing::error!(id = %registration.id, %error, "a record does not fit");
                }
            }
        }
        registration
    }
}

/// Waits for the log as long as it is away; a history that cannot be right is left alone and reported.
async fn read_anew(world: Arc<World>, shard: Shard, id: RegistrationId) -> Drove {
    loop {
        match journal::load(&world, shard, id).await {
            Ok(registration) => return Drove::Done(registration),
            Err(JournalError::Load(LoadError::Unavailable(error))) => {
                tracing::warn!(%id, %error, "a history cannot be read, trying again soon");
            }
            // it was about to be stored when a snapshot was taken, and never was
            Err(JournalError::NotFound) => return Drove::NotBegun(id),
            Err(error) => {
                tracing::error!(%id, %error, "a history is broken; this registration is left alone");
                return Drove::Unreadable(id);
            }
        }
        tokio::time::sleep(STALL_PAUSE).await;
    }
}
