//! Stretches of time: minutes, hours, days.

use std::time::Duration;

use events::Timestamp;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long one stretch is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Resolution {
    /// Kept for 2 days.
    Minute,
    /// Kept for 90 days.
    Hour,
    /// UTC; kept for 3 years.
    Day,
}

impl Resolution {
    /// The finest first.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// How long one stretch is.
    #[must_use]
    pub const fn length(self) -> Duration {
        match self {
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
        }
    }

    /// How long what is counted in it is kept.
    #[must_use]
    pub const fn kept_for(self) -> Duration {
        match self {
            Self::Minute => Duration::from_secs(2 * 86_400),
            Self::Hour => Duration::from_secs(90 * 86_400),
            Self::Day => Duration::from_secs(3 * 365 * 86_400),
        }
    }

    /// Its byte in a key.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Minute => 1,
            Self::Hour => 2,
            Self::Day => 3,
        }
    }

    /// Which stretch `at` lies in, counted from 1970; what lies before counts as the first.
    pub(crate) fn stretch_of(self, at: Timestamp) -> u32 {
        let number = u64::try_from(at.0).unwrap_or(0) / self.length_us();
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// The stretch after the last one of a window that ends before `end`.
    pub(crate) fn stretch_after(self, end: Timestamp) -> u32 {
        let number = u64::try_from(end.0).unwrap_or(0).div_ceil(self.length_us());
        u32::try_from(number).unwrap_or(u32::MAX)
    }

    /// When a stretch begins.
    pub(crate) fn begin_of(self, stretch: u32) -> Timestamp {
        Timestamp(i64::try_from(u64::from(stretch).saturating_mul(self.length_us())).unwrap_or(i64::MAX))
    }

    const fn length_us(self) -> u64 {
        self.length().as_secs() * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_the_stretch_that_begins_before_it() {
        let at = Timestamp(1_700_000_000_123_456);
        for resolution in Resolution::ALL {
            let stretch = resolution.stretch_of(at);
            let begin = resolution.begin_of(stretch);
            assert!(begin <= at && at < begin.plus(resolution.length()), "{resolution:?}");
            assert_eq!((resolution.stretch_after(at), resolution.stretch_after(begin)), (stretch + 1, stretch));
        }
        assert_eq!(Resolution::Day.begin_of(Resolution::Day.stretch_of(at)).to_string(), "2023-11-14T00:00:00.000Z");
        assert_eq!(Resolution::Minute.stretch_of(Timestamp(-5)), 0);
    }
}
