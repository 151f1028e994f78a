//! The tokens of one maker: how many attempts may start now, and when the next one may.
//!
//! A fold of the times at which attempts were started, so a restart or a takeover does not refill it. Tokens only come
//! back as time passes, hence all limits together give what the tightest of them gives.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::policy::{RateLimit, Refill};
use crate::time::Timestamp;

/// All limits of one maker together, and its own wish to be left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    limits: Vec<Limit>,
    throttled_until: Option<Timestamp>,
}

/// How full one limit is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// The limit.
    pub limit: RateLimit,
    /// Tokens left.
    pub left: u32,
    /// When all of them are back; none when they are.
    pub full_at: Option<Timestamp>,
}

impl Bucket {
    /// A full bucket. Without limits it never limits; neither does a limit of so many in no time at all.
    #[must_use]
    pub fn new(limits: &[RateLimit]) -> Self {
        let meant = limits.iter().filter(|rate| rate.per.as_micros() > 0);
        Self { limits: meant.map(|rate| Limit::full(*rate)).collect(), throttled_until: None }
    }

    /// An attempt was started at `at`. Times may come out of order, by less than the shortest period.
    pub fn take(&mut self, at: Timestamp) {
        for limit in &mut self.limits {
            limit.take(at);
        }
    }

    /// The maker asked us to start nothing before `until`; of several wishes the latest counts.
    pub fn throttle(&mut self, until: Timestamp) {
        self.throttled_until = self.throttled_until.max(Some(until));
    }

    /// How many attempts may start now, when `reserved` more were granted and have not started yet; `u32::MAX` without
    /// limits.
    #[must_use]
    pub fn available(&self, now: Timestamp, reserved: u32) -> u32 {
        if self.throttled_until(now).is_some() {
            return 0;
        }
        let tightest = self.limits.iter().map(|limit| limit.left(now)).min();
        tightest.map_or(u32::MAX, |left| left.saturating_sub(reserved))
    }

    /// The earliest time at which `available` is at least 1 if nothing else happens; `now` when it is so now.
    ///
    /// When the reserved ones alone use up a limit it is the time at which they will have come back, if they start now.
    #[must_use]
    pub fn next_token(&self, now: Timestamp, reserved: u32) -> Timestamp {
        let tokens = self.limits.iter().map(|limit| limit.next_token(now, reserved));
        tokens.chain(self.throttled_until(now)).max().unwrap_or(now)
    }

    /// Until when the maker wants to be left alone, if it still does.
    #[must_use]
    pub fn throttled_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.throttled_until.filter(|until| *until > now)
    }

    /// How full each limit is.
    #[must_use]
    pub fn levels(&self, now: Timestamp) -> Vec<Level> {
        let level = |limit: &Limit| Level { limit: limit.rate, left: limit.left(now), full_at: limit.full_at(now) };
        self.limits.iter().map(level).collect()
    }
}

/// One limit and the starts that it still knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Limit {
    rate: RateLimit,
    starts: Starts,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum Starts {
    /// The last window; none before the first start.
    Interval(Option<Window>),
    /// The latest starts, sorted, at most as many as the limit allows: older ones can no longer decide anything.
    Smooth(VecDeque<Timestamp>),
}

impl Limit {
    fn full(rate: RateLimit) -> Self {
        let starts = match rate.refill {
            Refill::Interval => Starts::Interval(None),
            Refill::Smooth => Starts::Smooth(VecDeque::new()),
        };
        Self { rate, starts }
    }

    fn take(&mut self, at: Timestamp) {
        match &mut self.starts {
            Starts::Interval(last) => *last = Some(Window::after(*last, at, self.rate)),
            Starts::Smooth(starts) => remember(starts, at, self.rate.max),
        }
    }

    fn left(&self, now: Timestamp) -> u32 {
        self.rate.max.saturating_sub(self.taken(now))
    }

    fn taken(&self, now: Timestamp) -> u32 {
        match &self.starts {
            Starts::Interval(last) => {
                last.filter(|window| window.end(self.rate) > now).map_or(0, |window| window.taken)
            }
            Starts::Smooth(starts) => {
                let back = starts.partition_point(|start| start.plus(self.rate.per) <= now);
                u32::try_from(starts.len() - back).unwrap_or(u32::MAX)
            }
        }
    }

    fn next_token(&self, now: Timestamp, reserved: u32) -> Timestamp {
        if self.left(now) > reserved {
            return now;
        }
        let comes_back = match &self.starts {
            Starts::Interval(_) => self.full_at(now),
            Starts::Smooth(starts) => {
                let room = self.rate.max.saturating_sub(reserved) as usize;
                let decides = starts.len().checked_sub(room).and_then(|index| starts.get(index));
                decides.map(|start| start.plus(self.rate.per))
            }
        };
        comes_back.unwrap_or_else(|| now.plus(self.rate.per))
    }

    fn full_at(&self, now: Timestamp) -> Option<Timestamp> {
        let full_at = match &self.starts {
            Starts::Interval(last) => last.map(|window| window.end(self.rate)),
            Starts::Smooth(starts) => starts.back().map(|start| start.plus(self.rate.per)),
        };
        full_at.filter(|at| *at > now)
    }
}

/// A period that began with the first token taken from a full bucket.
///
/// A start that is told late belongs where it would have been told in time. A count is enough for that: told late by less
/// than a period, it cannot push anything out of the window that it begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Window {
    begin: Timestamp,
    taken: u32,
    /// A start before this belongs to an earlier window and decides nothing any more.
    previous_end: Timestamp,
}

impl Window {
    /// The last window once a start at `at` is known as well.
    fn after(last: Option<Self>, at: Timestamp, rate: RateLimit) -> Self {
        let Some(last) = last else { return Self { begin: at, taken: 1, previous_end: Timestamp(i64::MIN) } };
        if at >= last.end(rate) {
            Self { begin: at, taken: 1, previous_end: last.end(rate) }
        } else if at < last.previous_end {
            last
        } else {
            Self { begin: last.begin.min(at), taken: last.taken.saturating_add(1), ..last }
        }
    }

    fn end(self, rate: RateLimit) -> Timestamp {
        self.begin.plus(rate.per)
    }
}

fn remember(starts: &mut VecDeque<Timestamp>, at: Timestamp, max: u32) {
    let place = starts.partition_point(|start| *start <= at);
    starts.insert(place, at);
    if starts.len() > max as usize {
        starts.pop_front();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const MINUTE: Duration = Duration::from_secs(60);
    const NOON: Timestamp = Timestamp(1_800_000_000_000_000);

    fn after(seconds: f64) -> Timestamp {
        NOON.plus(Duration::from_secs_f64(seconds))
    }

    const fn limit(max: u32, per: Duration, refill: Refill) -> RateLimit {
        RateLimit { max, per, refill }
    }

    fn interval(max: u32) -> Bucket {
        Bucket::new(&[limit(max, MINUTE, Refill::Interval)])
    }

    /// Starts as many as there are, at most `callers`.
    fn start_all(bucket: &mut Bucket, callers: u32, at: Timestamp) -> u32 {
        let granted = bucket.available(at, 0).min(callers);
        (0..granted).for_each(|_| bucket.take(at));
        granted
    }

    #[test]
    fn the_drawn_minute_has_a_hundred_tokens_and_gives_them_all_back_at_its_end() {
        let mut bucket = interval(100);
        assert_eq!(bucket.available(after(0.0), 0), 100);
        bucket.take(after(0.0));
        assert_eq!(bucket.available(after(0.0), 0), 99);
        (1..100).for_each(|n| bucket.take(after(f64::from(n) / 2.0)));
        assert_eq!(bucket.available(after(50.0), 0), 0);
        assert_eq!(bucket.next_token(after(50.0), 0), after(60.0));
        assert_eq!(bucket.available(after(59.999_999), 0), 0);
        assert_eq!(bucket.available(after(60.0), 0), 100);
    }

    #[test]
    fn a_window_begins_with_its_first_token_and_not_with_the_clock() {
        let mut bucket = interval(2);
        bucket.take(after(0.0));
        bucket.take(after(90.0));
        bucket.take(after(100.0));
        assert_eq!(bucket.next_token(after(121.0), 0), after(150.0));
    }

    #[test]
    fn of_sixty_callers_at_once_ten_start_now_and_ten_in_each_window_after_it() {
        let mut bucket = interval(10);
        let (mut waiting, mut now, mut granted) = (60, NOON, Vec::new());
        while waiting > 0 {
            let started = start_all(&mut bucket, waiting, now);
            assert_eq!(bucket.available(now, 0), 0);
            granted.push(started);
            waiting -= started;
            now = bucket.next_token(now, 0);
        }
        assert_eq!(granted, [10; 6]);
        assert_eq!(now, NOON.plus(6 * MINUTE));
    }

    #[test]
    fn granted_attempts_count_before_they_start_and_never_leave_less_than_none() {
        let mut bucket = interval(10);
        assert_eq!(bucket.available(NOON, 7), 3);
        assert_eq!(bucket.available(NOON, 60), 0);
        assert_eq!(bucket.next_token(NOON, 9), NOON);
        assert_eq!(bucket.next_token(NOON, 10), NOON.plus(MINUTE));
        (0..12).for_each(|_| bucket.take(NOON));
        assert_eq!(bucket.available(NOON, 0), 0);
    }

    #[test]
    fn a_saturated_smooth_limit_is_used_up_and_never_exceeded() {
        let mut bucket = Bucket::new(&[limit(100, MINUTE, Refill::Smooth)]);
        let mut starts = Vec::new();
        // a caller every tenth of a second for five minutes
        for now in (0..3_000).map(|tenth| after(f64::from(tenth) / 10.0)) {
            let started = start_all(&mut bucket, u32::MAX, now);
            starts.extend((0..started).map(|_| now));
        }
        for first in &starts {
            let window = starts.iter().filter(|start| *start >= first && **start < first.plus(MINUTE));
            assert!(window.count() <= 100);
        }
        assert!(starts.len() * 100 >= 500 * 95, "{} of 500", starts.len());
    }

    #[test]
    fn a_smooth_token_comes_back_exactly_one_period_after_it_was_taken() {
        let mut bucket = Bucket::new(&[limit(2, MINUTE, Refill::Smooth)]);
        bucket.take(after(0.0));
        bucket.take(after(10.0));
        assert_eq!(bucket.next_token(after(20.0), 0), after(60.0));
        assert_eq!(bucket.next_token(after(20.0), 1), after(70.0));
        assert_eq!(bucket.next_token(after(20.0), 2), after(80.0));
        assert_eq!(bucket.available(after(60.0), 0), 1);
        assert_eq!(bucket.available(after(60.0), 1), 0);
    }

    #[test]
    fn sixty_a_minute_and_a_thousand_an_hour_hold_together() {
        let hour = limit(1_000, 60 * MINUTE, Refill::Interval);
        let mut bucket = Bucket::new(&[limit(60, MINUTE, Refill::Interval), hour]);
        let granted: Vec<u32> = (0..60).map(|minute| start_all(&mut bucket, 500, NOON.plus(minute * MINUTE))).collect();
        assert_eq!(granted[..16], [60; 16]);
        assert_eq!(granted[16..], [[40].as_slice(), &[0; 43]].concat());
        assert_eq!(bucket.next_token(after(3_000.0), 0), after(3_600.0));
    }

    #[test]
    fn a_makers_retry_after_closes_a_full_bucket_until_then() {
        for mut bucket in [interval(10), Bucket::new(&[])] {
            bucket.throttle(after(30.0));
            bucket.throttle(after(20.0));
            assert_eq!(bucket.available(after(29.0), 0), 0);
            assert_eq!(bucket.next_token(after(1.0), 0), after(30.0));
            assert_eq!(bucket.throttled_until(after(1.0)), Some(after(30.0)));
            assert!(bucket.available(after(30.0), 0) >= 10);
            assert_eq!(bucket.throttled_until(after(30.0)), None);
        }
    }

    #[test]
    fn without_limits_it_never_limits() {
        let per_nothing = limit(1, Duration::ZERO, Refill::Smooth);
        for mut bucket in [Bucket::new(&[]), Bucket::new(&[per_nothing])] {
            (0..1_000).for_each(|_| bucket.take(NOON));
            assert_eq!(bucket.available(NOON, 77), u32::MAX);
            assert_eq!(bucket.next_token(NOON, 77), NOON);
            assert_eq!(bucket.levels(NOON), []);
        }
    }

    #[test]
    fn people_see_what_is_left_of_each_limit_and_when_it_is_full_again() {
        let limits = [limit(3, MINUTE, Refill::Interval), limit(5, 2 * MINUTE, Refill::Smooth)];
        let mut bucket = Bucket::new(&limits);
        bucket.take(after(0.0));
        bucket.take(after(30.0));
        let levels = |now| bucket.levels(now).iter().map(|level| (level.left, level.full_at)).collect::<Vec<_>>();
        assert_eq!(levels(after(31.0)), [(1, Some(after(60.0))), (3, Some(after(150.0)))]);
        assert_eq!(levels(after(150.0)), [(3, None), (5, None)]);
    }
}
