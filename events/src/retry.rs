//! How often and how soon a method is tried again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Exponential backoff with jitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RetryPolicy {
    /// Tries of one method altogether, the first included; 1 means no retry.
    pub tries_max: u32,
    /// Pause after the first failure, before jitter, milliseconds; doubles each time.
    pub base_ms: u64,
    /// Longest pause, milliseconds; a maker's own Retry-After may exceed it.
    pub cap_ms: u64,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { tries_max: 3, base_ms: 1_000, cap_ms: 60_000 }
    }
}

impl RetryPolicy {
    /// The pause after the `failures`-th failure in a row (from 1).
    ///
    /// "Equal jitter" (AWS Architecture Blog, 2015): half of the exponential pause is fixed, half is drawn;
    /// `random` in 0.0..1.0 does the drawing. Never shorter than the maker's `retry_after`.
    #[must_use]
    pub fn pause(&self, failures: u32, random: f64, retry_after: Option<Duration>) -> Duration {
        let doublings = failures.saturating_sub(1).min(32);
        let full_ms = self.base_ms.saturating_mul(1 << doublings).min(self.cap_ms);
        let full = Duration::from_millis(full_ms);
        let drawn = full / 2 + (full / 2).mul_f64(random.clamp(0.0, 1.0));
        drawn.max(retry_after.unwrap_or_default())
    }

    /// When to try again after the `failures`-th failure in a row; nothing when that was the last try.
    #[must_use]
    pub fn next(&self, failures: u32, random: f64, now: Timestamp) -> Option<Timestamp> {
        (failures < self.tries_max).then(|| now.plus(self.pause(failures, random, None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy { tries_max: 9, base_ms: 1_000, cap_ms: 8_000 };

    #[test]
    fn the_pause_doubles_up_to_its_cap() {
        let pauses: Vec<_> = (1..=5).map(|n| POLICY.pause(n, 1.0, None).as_millis()).collect();
        assert_eq!(pauses, [1_000, 2_000, 4_000, 8_000, 8_000]);
    }

    #[test]
    fn jitter_takes_at_most_half_away() {
        assert_eq!(POLICY.pause(2, 0.0, None), Duration::from_secs(1));
        assert_eq!(POLICY.pause(2, 0.5, None), Duration::from_millis(1_500));
    }

    #[test]
    fn a_makers_retry_after_is_honoured_beyond_the_cap() {
        assert_eq!(POLICY.pause(1, 0.0, Some(Duration::from_secs(120))), Duration::from_secs(120));
    }

    #[test]
    fn the_last_try_has_no_next_one() {
        let now = Timestamp(5);
        assert_eq!(POLICY.next(8, 1.0, now), Some(now.plus(Duration::from_secs(8))));
        assert_eq!(POLICY.next(9, 1.0, now), None);
    }

    #[test]
    fn many_failures_do_not_overflow() {
        assert_eq!(POLICY.pause(u32::MAX, 1.0, None), Duration::from_secs(8));
    }
}
