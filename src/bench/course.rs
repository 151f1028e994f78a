//! The course of a load over time, in windows: how many were accepted and done a second, and how long it took.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::load::{Measured, Timed};
use super::stats::{float, quantile, round, round3, sorted};

/// A load is cut into about so many windows.
const WINDOWS: u128 = 25;
/// Shortest and longest window, in milliseconds.
const WINDOW_MS_MIN: u128 = 100;
const WINDOW_MS_MAX: u128 = 1_000;

/// One value a window; none where nothing ended in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Course {
    pub window_ms: u64,
    pub accepted_per_second: Vec<f64>,
    pub done_per_second: Vec<f64>,
    pub submit_p50_ms: Vec<Option<f64>>,
    pub submit_p99_ms: Vec<Option<f64>>,
    pub end_to_end_p50_ms: Vec<Option<f64>>,
    pub end_to_end_p99_ms: Vec<Option<f64>>,
}

/// Of a load that was measured.
pub fn course(measured: &Measured) -> Course {
    let window = window(measured.took);
    let count = usize::try_from(measured.took.as_millis().div_ceil(window.as_millis())).unwrap_or_default().max(1);
    let (submit_p50_ms, submit_p99_ms) = latencies(&measured.submit, window, count);
    let (end_to_end_p50_ms, end_to_end_p99_ms) = latencies(&measured.end_to_end, window, count);
    Course {
        window_ms: u64::try_from(window.as_millis()).unwrap_or(u64::MAX),
        accepted_per_second: accepted(&measured.accepted_at, window, count),
        done_per_second: done(&measured.done_at, window, count),
        submit_p50_ms,
        submit_p99_ms,
        end_to_end_p50_ms,
        end_to_end_p99_ms,
    }
}

/// A whole number of tenths of a second.
fn window(took: Duration) -> Duration {
    let tenths = took.as_millis().div_ceil(WINDOWS * WINDOW_MS_MIN);
    let ms = (tenths * WINDOW_MS_MIN).clamp(WINDOW_MS_MIN, WINDOW_MS_MAX);
    Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX))
}

/// The window in which a time lies; the last one has its end as well.
fn place(at: Duration, window: Duration, count: usize) -> usize {
    usize::try_from(at.as_millis() / window.as_millis()).unwrap_or(usize::MAX).min(count - 1)
}

fn accepted(at: &[(Duration, usize)], window: Duration, count: usize) -> Vec<f64> {
    let mut sums = vec![0; count];
    for (at, accepted) in at {
        sums[place(*at, window, count)] += accepted;
    }
    sums.into_iter().map(|sum| round(float(sum) / window.as_secs_f64())).collect()
}

/// The view is asked now and then: between two answers it is taken to grow evenly.
fn done(counts: &[(Duration, usize)], window: Duration, count: usize) -> Vec<f64> {
    let edges = (0..=count).map(|place| grown(counts, window.as_secs_f64() * float(place)));
    let edges: Vec<f64> = edges.collect();
    edges.windows(2).map(|pair| round((pair[1] - pair[0]) / window.as_secs_f64())).collect()
}

/// How many had ended after so many seconds.
fn grown(counts: &[(Duration, usize)], at_s: f64) -> f64 {
    let after = counts.partition_point(|(at, _)| at.as_secs_f64() <= at_s);
    let known = |place: usize| counts.get(place).map(|(at, done)| (at.as_secs_f64(), float(*done)));
    match (after.checked_sub(1).and_then(known), known(after)) {
        (None, _) => 0.0,
        (Some((_, done)), None) => done,
        (Some((from_s, from)), Some((to_s, to))) => from + (to - from) * (at_s - from_s) / (to_s - from_s),
    }
}

type Latencies = Vec<Option<f64>>;

fn latencies(samples: &[Timed], window: Duration, count: usize) -> (Latencies, Latencies) {
    let mut windows = vec![Vec::new(); count];
    for sample in samples {
        windows[place(sample.at, window, count)].push(sample.ms);
    }
    let windows: Vec<Vec<f64>> = windows.into_iter().map(sorted).collect();
    let of = |percent: usize| windows.iter().map(|sorted| quantile(sorted, percent).map(round3)).collect();
    (of(50), of(99))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_load_is_cut_into_windows() {
        let timed = |at, latency| Timed { at: ms(at), ms: latency };
        let measured = Measured {
            took: ms(250),
            accepted: 30,
            submit: vec![timed(10, 1.0), timed(20, 3.0), timed(240, 5.0)],
            end_to_end: Vec::new(),
            accepted_at: vec![(ms(10), 10), (ms(20), 10), (ms(240), 10)],
            done_at: vec![(ms(0), 0), (ms(100), 10), (ms(200), 20), (ms(250), 30)],
            ids: Vec::new(),
        };
        let course = course(&measured);
        assert_eq!(course.window_ms, 100);
        assert_eq!(course.accepted_per_second, [200.0, 0.0, 100.0]);
        assert_eq!(course.done_per_second, [100.0, 100.0, 100.0]);
        assert_eq!(course.submit_p50_ms, [Some(3.0), None, Some(5.0)]);
        assert_eq!(course.end_to_end_p99_ms, [None, None, None]);
    }

    #[test]
    fn windows_grow_with_the_load_up_to_a_second() {
        for (took, expected) in [(40, 100), (2_500, 100), (2_501, 200), (10_000, 400), (600_000, 1_000)] {
            assert_eq!(window(ms(took)), ms(expected), "{took}");
        }
    }
}
