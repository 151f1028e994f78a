//! What became of the attempts of one maker's method in one stretch of time.

use events::ErrorKind;
use serde::{Deserialize, Serialize};

use super::latency::Latencies;
use crate::error::ViewError;

/// Counts of attempts that ended.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    succeeded: u64,
    /// By kind, none twice.
    failed: Vec<(ErrorKind, u64)>,
    latencies: Latencies,
}

impl Tally {
    /// One more, that went well or failed.
    pub(crate) fn count(&mut self, failure: Option<ErrorKind>, latency_ms: u32) {
        match failure {
            None => self.succeeded += 1,
            Some(kind) => self.count_failed(kind, 1),
        }
        self.latencies.add(latency_ms);
    }

    /// As if all attempts of `other` had been counted here.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.succeeded += other.succeeded;
        other.failed.iter().for_each(|(kind, count)| self.count_failed(*kind, *count));
        self.latencies.merge(&other.latencies);
    }

    fn count_failed(&mut self, kind: ErrorKind, count: u64) {
        match self.failed.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, known)) => *known += count,
            None => self.failed.push((kind, count)),
        }
    }

    /// How many ended.
    #[must_use]
    pub fn attempts(&self) -> u64 {
        self.latencies.count()
    }

    /// How many went well.
    #[must_use]
    pub const fn succeeded(&self) -> u64 {
        self.succeeded
    }

    /// The share that went well of those that say something about the maker, in percent; nothing without such attempts.
    #[must_use]
    pub fn success_percent(&self) -> Option<f64> {
        let against = self.failed.iter().filter(|(kind, _)| speaks_of_the_maker(*kind)).map(|(_, count)| count);
        let told = self.succeeded + against.sum::<u64>();
        (told > 0).then(|| self.succeeded as f64 * 100.0 / told as f64)
    }

    /// What `percent` of 100 attempts took at most, milliseconds, within 1 %; nothing without attempts.
    #[must_use]
    pub fn latency_ms(&self, percent: u32) -> Option<f64> {
        self.latencies.percentile(percent)
    }

    /// Those that failed, by kind, most frequent first.
    #[must_use]
    pub fn errors(&self) -> Vec<(ErrorKind, u64)> {
        let mut errors = self.failed.clone();
        errors.sort_by_key(|(kind, count)| (std::cmp::Reverse(*count), *kind));
        errors
    }

    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, ViewError> {
        super::encode(self)
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self, ViewError> {
        super::decode(bytes)
    }
}

/// As the maker's vitals count: it works as it should when it refuses wrong data, and our own faults are not its.
const fn speaks_of_the_maker(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Validation | ErrorKind::Internal => false,
        ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Auth
        | ErrorKind::Captcha
        | ErrorKind::FormChanged
        | ErrorKind::LoginRequired
        | ErrorKind::UnknownOutcome => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed() -> Tally {
        let mut tally = Tally::default();
        for latency in [40, 50, 60] {
            tally.count(None, latency);
        }
        tally.count(Some(ErrorKind::Server), 900);
        tally.count(Some(ErrorKind::Validation), 30);
        tally.count(Some(ErrorKind::Validation), 31);
        tally
    }

    #[test]
    fn refused_data_and_our_own_faults_do_not_speak_of_the_maker() {
        let mut tally = mixed();
        assert_eq!((tally.attempts(), tally.succeeded(), tally.success_percent()), (6, 3, Some(75.0)));
        tally.count(Some(ErrorKind::Internal), 0);
        assert_eq!((tally.attempts(), tally.success_percent()), (7, Some(75.0)));
        let mut refused = Tally::default();
        refused.count(Some(ErrorKind::Validation), 1);
        assert_eq!((refused.attempts(), refused.success_percent()), (1, None));
    }

    #[test]
    fn errors_stand_most_frequent_first() {
        assert_eq!(mixed().errors(), [(ErrorKind::Validation, 2), (ErrorKind::Server, 1)]);
    }

    #[test]
    fn merged_tallies_count_as_one() {
        let mut twice = mixed();
        twice.merge(&mixed());
        assert_eq!((twice.attempts(), twice.succeeded(), twice.success_percent()), (12, 6, Some(75.0)));
        assert_eq!(twice.errors(), [(ErrorKind::Validation, 4), (ErrorKind::Server, 2)]);
        assert_eq!(twice.latency_ms(50), mixed().latency_ms(50));
    }

    #[test]
    fn bytes_read_back_and_are_few() {
        let tally = mixed();
        let mut bytes = tally.to_bytes().expect("encodes");
        assert_eq!(Tally::from_bytes(&bytes).expect("decodes"), tally);
        // success 1, errors 1 + 2 x 2, latencies 1 + 6 x 2, one of them in a bucket above 127
        assert_eq!(bytes.len(), 20);
        bytes.push(0);
        assert!(Tally::from_bytes(&bytes).is_err());
    }
}
