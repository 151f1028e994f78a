//! Who has not been stored yet: let through at once, or held up while we are behind ourselves.

use events::{Method, Registration, Timestamp};

use super::{Closed, Lane, LineKey, Queue, Turn, Turns};

impl Turns {
    /// How many wait for nothing but a place among all of `bound`, because all are taken: whoever waits for a maker, whose
    /// guard is closed or who takes fewer at once, does not count.
    pub(crate) fn backlog(&self, lane: Lane, bound: usize, now: Timestamp) -> usize {
        let Some(method) = lane.guarded().filter(|_| !self.has_room(lane, bound)) else { return 0 };
        let waiting = self.queues.iter().filter(|(key, queue)| key.method == method && !queue.line.is_empty());
        let ours = waiting.filter(|(key, queue)| match self.closed(**key, queue, now) {
            None => true,
            Some(Closed::Busy) => {
                let at_once = self.guards.maker(key.maker).policy.concurrency.of(method);
                usize::try_from(at_once).is_ok_and(|at_once| at_once >= bound)
            }
            Some(Closed::Guard(_)) => false,
        });
        ours.map(|(_, queue)| queue.line.len()).sum()
    }

    /// A turn at once for one who is about to arrive, if there is a place, nobody stands before it, and its maker's guards
    /// let it through: exactly who would be let through if it stood in line.
    pub(crate) fn admit(
        &mut self,
        registration: &Registration,
        method: Method,
        bound: usize,
        now: Timestamp,
    ) -> Option<Turn> {
        let (lane, ageing) = (Lane::of(method), self.ageing);
        if !self.has_room(lane, bound) {
            return None;
        }
        let key = LineKey { maker: self.guards.index_of(&registration.connector), method };
        self.queues.entry(key).or_insert_with(|| Queue::new(ageing));
        let queue = self.queues.get(&key)?;
        if !queue.line.is_empty() || self.closed(key, queue, now).is_some() {
            return None;
        }
        self.turns += 1;
        let turn = self.turns;
        let queue = self.queues.get_mut(&key)?;
        queue.last_turn = turn;
        queue.running += 1;
        let mut turn = self.give(Turn { id: registration.id, lane, line: Some(key), attempt: None, seen: 0 });
        self.grant(&mut turn, registration, now);
        Some(turn)
    }
}
