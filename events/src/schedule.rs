//! When a webhook that was not taken is tried again: the pauses of Standard Webhooks, or those of the settings.

use std::time::Duration;

/// A recipient's Retry-After is honoured up to this.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(24 * 3600);
/// A pause is lengthened by up to this share, so that recipients do not get everything at once when they are back.
const JITTER: f64 = 0.2;

/// The pauses after the first, the second, ... failure.
#[derive(Debug, Clone)]
pub struct Schedule(pub Vec<Duration>);

impl Schedule {
    /// The pause after the `number`-th try (from 1) failed; nothing when it was the last one. `random` in 0.0..1.0 draws the
    /// jitter. Never shorter than the recipient's own `retry_after`.
    #[must_use]
    pub fn pause(&self, number: u32, retry_after: Option<Duration>, random: f64) -> Option<Duration> {
        let place = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
        let pause = self.0.get(place)?;
        let drawn = pause.mul_f64(JITTER.mul_add(random.clamp(0.0, 1.0), 1.0));
        Some(drawn.max(retry_after.unwrap_or_default().min(RETRY_AFTER_MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule() -> Schedule {
        Schedule([5, 300, 1_800].map(Duration::from_secs).into())
    }

    #[test]
    fn the_pauses_come_in_their_order_and_end() {
        let pauses: Vec<_> = (1..=4).map(|number| schedule().pause(number, None, 0.0)).collect();
        assert_eq!(
            pauses,
            [5, 300, 1_800].map(|s| Some(Duration::from_secs(s))).into_iter().chain([None]).collect::<Vec<_>>()
        );
    }

    #[test]
    fn jitter_only_lengthens_and_by_a_fifth_at_most() {
        assert_eq!(schedule().pause(1, None, 1.0), Some(Duration::from_secs(6)));
    }

    #[test]
    fn a_recipients_retry_after_is_honoured_up_to_a_day() {
        let pause = |seconds| schedule().pause(1, Some(Duration::from_secs(seconds)), 0.0);
        assert_eq!(pause(60), Some(Duration::from_secs(60)));
        assert_eq!(pause(1), Some(Duration::from_secs(5)));
        assert_eq!(pause(u64::MAX), Some(RETRY_AFTER_MAX));
    }
}
