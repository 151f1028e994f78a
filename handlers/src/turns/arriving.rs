//! Who has not been stored yet and is let through at once.

use std::time::Duration;

use events::{Method, Registration, Timestamp};

use super::{Lane, LineKey, Queue, Turn, Turns};

/// How long turns are counted.
const WINDOW: Duration = Duration::from_secs(1);

/// How many turns of makers' APIs end in a while.
#[derive(Debug, Default)]
pub(super) struct Pace {
    began: Timestamp,
    ended: usize,
    before: usize,
}

impl Pace {
    pub(super) const fn ended(&mut self) {
        self.ended += 1;
    }

    fn flows(&mut self, bound: usize, now: Timestamp) -> bool {
        let elapsed = now.since(self.began);
        if elapsed >= WINDOW {
            // a window that nobody looked at for long tells nothing
            let is_old = elapsed >= 2 * WINDOW;
            *self = Self { began: now, ended: 0, before: if is_old { 0 } else { self.ended } };
        }
        self.before.max(self.ended) >= bound
    }
}

impl Turns {
    /// Whether places of this many are soon free: as many turns end within a second.
    pub(crate) fn flows(&mut self, bound: usize, now: Timestamp) -> bool {
        self.pace.flows(bound, now)
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
        self.change(key, |queue| {
            queue.last_turn = turn;
            queue.running += 1;
        });
        let mut turn = self.give(Turn { id: registration.id, lane, line: Some(key), attempt: None, seen: 0 });
        self.grant(&mut turn, registration, now);
        Some(turn)
    }
}
