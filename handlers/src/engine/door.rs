//! The door: registrations that are not stored yet and may be let through as they arrive. While all places are taken and soon
//! free again, they wait here for a moment: that is cheaper than to be stored twice, and holds up whoever sends more than we
//! can do. When places are not soon free, because makers are slow, everybody is stored at once and stands in line.

use std::collections::VecDeque;
use std::time::Duration;

use events::{Method, Registration, Step, Timestamp};

use super::Engine;
use crate::arrival::{self, Arrival, Arrived};
use crate::driver;
use crate::turns::{Lane, Turn};

/// Registrations at the door; more are stored first and stand in line.
pub(super) const ARRIVALS_MAX: usize = 4_096;
/// Longest wait at the door.
const WAIT_MAX: Duration = Duration::from_millis(500);

/// Who waits there, the first to come first.
#[derive(Default)]
pub(super) struct Door(VecDeque<(Timestamp, Box<Arrival>)>);

impl Door {
    pub(super) fn arrive(&mut self, arrival: Box<Arrival>, now: Timestamp) {
        self.0.push_back((now, arrival));
    }

    /// When the first one has waited for long enough.
    pub(super) fn next_wake(&self) -> Option<Timestamp> {
        self.0.front().map(|(since, _)| since.plus(WAIT_MAX))
    }
}

impl Engine {
    /// Behind all who stood in line before.
    pub(super) fn see_to_the_door(&mut self) {
        let (now, bound) = (self.world.now(), self.options.api_concurrency);
        while self.door.0.len() < ARRIVALS_MAX
            && let Ok(arrival) = self.arrivals.try_recv()
        {
            self.door.arrive(arrival, now);
        }
        let soon = self.works() && self.turns.flows(bound, now);
        while let Some((since, _)) = self.door.0.front() {
            if soon && !self.turns.has_room(Lane::Api, bound) && now.since(*since) < WAIT_MAX {
                break;
            }
            if let Some((_, arrival)) = self.door.0.pop_front() {
                self.let_in(arrival, now);
            }
        }
        let has_room = self.works() && self.turns.has_room(Lane::Api, bound);
        self.handle.tell_room((soon || has_room) && self.door.0.len() < ARRIVALS_MAX);
    }

    fn let_in(&mut self, arrival: Box<Arrival>, now: Timestamp) {
        if arrival.answer.is_closed() {
            // nobody waits any more, and nothing is stored
            return;
        }
        match self.admit(&arrival.registration, now) {
            Some((turn, method)) => {
                let (shard, world) = (arrival.registration.shard, self.world.clone());
                let task = self.tasks.spawn(async move { arrival::begin(&world, arrival, method).await });
                self.driving(task.id(), turn, shard);
            }
            None => turn_away(arrival),
        }
    }

    /// The engine ends: who is at the door is stored by whoever brought it, for the next start.
    pub(super) fn close_the_door(&mut self) {
        self.handle.tell_room(false);
        self.arrivals.close();
        self.door.0.drain(..).for_each(|(_, arrival)| turn_away(arrival));
        while let Ok(arrival) = self.arrivals.try_recv() {
            turn_away(arrival);
        }
    }

    fn admit(&mut self, registration: &Registration, now: Timestamp) -> Option<(Turn, Method)> {
        if !self.works() || !self.folded || self.slots.get(registration.id).is_some() {
            return None;
        }
        let Step::Attempt(method @ Method::Api) = driver::next(&self.world, registration) else { return None };
        let turn = self.turns.admit(registration, method, self.options.api_concurrency, now)?;
        Some((turn, method))
    }
}

fn turn_away(arrival: Box<Arrival>) {
    let answer = Arrived::MustWait(Box::new(arrival.record), arrival.span);
    // nobody waits any more: nothing was stored
    let _ = arrival.answer.send(answer);
}
