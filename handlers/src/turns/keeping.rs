//! Who fails, may try again at once, and keeps its turn (decision 21).

use events::{ErrorKind, Method, Registration, RegistrationId, Timestamp, Verdict, verdict_of};
use jiff::civil::Date;

use super::{Turn, Turns};

/// An attempt that failed and whose retry is due.
pub(crate) struct Failed<'a> {
    /// Its registration as it will be once the failure is stored.
    pub(crate) after: &'a Registration,
    /// What the failure is.
    pub(crate) kind: ErrorKind,
    /// What is tried again.
    pub(crate) method: Method,
    /// The last day on which its maker takes it.
    pub(crate) last_day: Option<Date>,
}

impl Turns {
    /// Another turn for one who comes back from a failure, if it would be the very next of its lane if it stood in line:
    /// with its failure counted, with its old place free again, and behind all whom the rules of the line prefer to it.
    ///
    /// Whether it gets one or not: from now on its failure counts for all who are let through.
    pub(crate) fn keep(&mut self, turn: &Turn, failed: &Failed<'_>, bound: usize, now: Timestamp) -> Option<Turn> {
        let key = turn.line.filter(|key| key.method == failed.method)?;
        self.count_failure(turn, failed.kind);
        let (id, job) = (turn.id, self.job(failed.after, failed.last_day));
        self.vacate(turn);
        self.change(key, |queue| queue.line.push(job));
        let is_next = self.has_room(turn.lane, bound)
            && self.best_line(key.method, now) == Some(key)
            && self.queues.get(&key).and_then(|queue| queue.line.peek(now)) == Some(id);
        let next = if is_next { self.next(turn.lane, bound, now) } else { None };
        if let Some(mut kept) = next {
            self.grant(&mut kept, failed.after, now);
            return Some(kept);
        }
        // it keeps its place until its failure is stored
        self.change(key, |queue| {
            queue.line.remove(id);
            queue.running += 1;
        });
        self.give(*turn);
        None
    }

    /// The place of a turn is free again.
    pub(super) fn vacate(&mut self, turn: &Turn) {
        if let Some(running) = self.running.get_mut(&turn.lane) {
            *running = running.saturating_sub(1);
        }
        if let Some(queue) = turn.line.and_then(|key| self.queues.get_mut(&key)) {
            queue.running = queue.running.saturating_sub(1);
        }
    }

    /// Others may be let through before it is folded, so it is counted ahead.
    fn count_failure(&mut self, turn: &Turn, kind: ErrorKind) {
        let (Some(key), Some(attempt)) = (turn.line, turn.attempt) else { return };
        if verdict_of(kind) != Verdict::Failure || self.failed.insert((turn.id, attempt), key).is_some() {
            return;
        }
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.unseen += 1;
        }
    }

    /// The circuit counts it from here on, or it was never stored.
    pub(super) fn failure_is_seen(&mut self, id: RegistrationId, attempt: u32) {
        let Some(key) = self.failed.remove(&(id, attempt)) else { return };
        if let Some(queue) = self.queues.get_mut(&key) {
            queue.unseen = queue.unseen.saturating_sub(1);
        }
    }

    /// A turn is over: what became of its failures is known, or will be as soon as the log is folded up to its last record.
    /// Its attempt and the one before may have failed unseen; earlier failures are stored, for another attempt followed.
    pub(super) fn settle_failures(&mut self, turn: &Turn, after: Option<&Registration>) {
        let Some(attempt) = turn.attempt else { return };
        for failed in [attempt, attempt.saturating_sub(1)] {
            match after.map(|after| after.last.sequence).filter(|last| *last > self.position) {
                Some(last) if self.failed.contains_key(&(turn.id, failed)) => {
                    self.settling.push(std::cmp::Reverse((last, turn.id, failed)));
                }
                Some(_) => {}
                None => self.failure_is_seen(turn.id, failed),
            }
        }
    }
}
