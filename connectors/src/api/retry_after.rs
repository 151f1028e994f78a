//! The Retry-After header (RFC 9110, section 10.2.3): seconds, or a date.

use std::time::Duration;

use jiff::Timestamp;

/// No maker makes us wait longer: tomorrow is another day.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

/// How long to wait from `now`; nothing when the text is neither.
pub(super) fn parse(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds).min(WAIT_MAX));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    // a date that has passed means: at once
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    Some(wait.min(WAIT_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(text: &str) -> Option<u64> {
        let now: Timestamp = "1994-11-06T08:49:00Z".parse().unwrap_or_default();
        parse(text, now).map(|wait| wait.as_secs())
    }

    #[test]
    fn seconds_and_dates_are_understood() {
        assert_eq!(wait("120"), Some(120));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
    }

    #[test]
    fn a_wait_is_bounded_and_nonsense_is_none() {
        assert_eq!(wait("99999999999"), Some(24 * 3600));
        assert_eq!(wait("soon"), None);
        assert_eq!(wait("-5"), None);
    }
}
