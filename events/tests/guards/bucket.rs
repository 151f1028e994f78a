//! The bucket under whatever may happen: never over the limit, exact to the microsecond, the same after a restart.

use std::time::Duration;

use proptest::prelude::*;
use regflow_events::{Bucket, RateLimit, Refill, Timestamp};

/// Microseconds; small, so that starts, ends of windows and questions often fall on the same one.
const PER: std::ops::Range<u64> = 5..40;

fn limit() -> impl Strategy<Value = RateLimit> {
    let refill = prop_oneof![Just(Refill::Interval), Just(Refill::Smooth)];
    (1_u32..6, PER, refill).prop_map(|(max, per, refill)| RateLimit { max, per: Duration::from_micros(per), refill })
}

fn limits() -> impl Strategy<Value = Vec<RateLimit>> {
    prop::collection::vec(limit(), 1..4)
}

/// Moments at which somebody asks, and how many would like to start then.
fn rush() -> impl Strategy<Value = Vec<(i64, u32)>> {
    prop::collection::vec((0_i64..12, 0_u32..5), 1..60)
}

/// Starts whatever may start; the starts, sorted.
fn run(bucket: &mut Bucket, rush: &[(i64, u32)]) -> Vec<Timestamp> {
    let (mut now, mut starts) = (Timestamp(0), Vec::new());
    for (pause, callers) in rush {
        now.0 += pause;
        for _ in 0..bucket.available(now, 0).min(*callers) {
            bucket.take(now);
            starts.push(now);
        }
    }
    starts
}

/// The most starts that any window held which the limit is about.
fn fullest(starts: &[Timestamp], limit: &RateLimit) -> usize {
    let held = |first: &Timestamp| starts.iter().filter(|at| *at >= first && **at < first.plus(limit.per)).count();
    match limit.refill {
        Refill::Smooth => starts.iter().map(held).max().unwrap_or(0),
        Refill::Interval => drawn_windows(starts, limit.per).iter().map(held).max().unwrap_or(0),
    }
}

/// Where the windows of an interval begin.
fn drawn_windows(starts: &[Timestamp], per: Duration) -> Vec<Timestamp> {
    let mut begins: Vec<Timestamp> = Vec::new();
    for start in starts {
        if begins.last().is_none_or(|begin| begin.plus(per) <= *start) {
            begins.push(*start);
        }
    }
    begins
}

proptest! {
    #[test]
    fn no_window_of_any_limit_ever_holds_more_than_it_may(limits in limits(), rush in rush()) {
        let starts = run(&mut Bucket::new(&limits), &rush);
        for limit in &limits {
            prop_assert!(fullest(&starts, limit) <= limit.max as usize, "{limit:?}: {starts:?}");
        }
    }

    #[test]
    fn the_next_token_comes_to_the_microsecond(
        limits in limits(), rush in rush(), (later, reserved) in (0_i64..60, 0_u32..6), throttle in prop::option::of(0_i64..90),
    ) {
        let mut bucket = Bucket::new(&limits);
        let now = Timestamp(run(&mut bucket, &rush).last().map_or(0, |last| last.0) + later);
        throttle.into_iter().for_each(|pause| bucket.throttle(Timestamp(now.0 - 30 + pause)));
        let next = bucket.next_token(now, reserved);
        prop_assert_eq!(next == now, bucket.available(now, reserved) > 0);
        if limits.iter().all(|limit| limit.max > reserved) {
            prop_assert!(bucket.available(next, reserved) > 0);
            prop_assert!(next == now || bucket.available(Timestamp(next.0 - 1), reserved) == 0);
        }
    }

    #[test]
    fn reserved_tokens_count_as_taken_now(
        limits in limits(), rush in rush(), (later, reserved) in (0_i64..60, 0_u32..6),
    ) {
        let mut bucket = Bucket::new(&limits);
        let now = Timestamp(run(&mut bucket, &rush).last().map_or(0, |last| last.0) + later);
        let mut started = bucket.clone();
        (0..reserved).for_each(|_| started.take(now));
        prop_assert_eq!(bucket.available(now, reserved), started.available(now, 0));
        prop_assert_eq!(bucket.next_token(now, reserved), started.next_token(now, 0));
    }

    #[test]
    fn a_bucket_rebuilt_in_a_slightly_other_order_answers_the_same(
        limits in limits(), rush in rush(), late in prop::collection::vec(0_u64..40, 300),
    ) {
        let mut bucket = Bucket::new(&limits);
        let starts = run(&mut bucket, &rush);
        let shortest = limits.iter().map(|limit| limit.per.as_micros() as u64).min().unwrap();
        let mut told: Vec<_> = starts.iter().zip(late).map(|(at, late)| (at.0 + (late % shortest) as i64, *at)).collect();
        told.sort_by_key(|(heard, _)| *heard);
        let mut rebuilt = Bucket::new(&limits);
        told.iter().for_each(|(_, at)| rebuilt.take(*at));
        let last = starts.last().map_or(0, |last| last.0);
        for now in (last..last + 45).map(Timestamp) {
            prop_assert_eq!(bucket.levels(now), rebuilt.levels(now));
            prop_assert_eq!(bucket.next_token(now, 1), rebuilt.next_token(now, 1));
        }
    }
}
