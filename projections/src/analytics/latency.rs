//! How long attempts took: counts by length, mergeable, quantiles within 0.8 % of the exact value.
//!
//! The buckets of HdrHistogram, sparse: below 128 ms each millisecond has its own; above, each doubling is cut into 64 of
//! one width. All of it is whole numbers, so that a view that is rebuilt has the same bytes on every machine, and a
//! minute with a handful of attempts costs a few bytes where the dense store of a DDSketch costs a kilobyte.

use serde::{Deserialize, Serialize};

/// Bits of a latency that are kept: 64 to 127 stand before the bits that are dropped.
const KEPT_BITS: u32 = 7;
/// Buckets of one width in each doubling.
const PER_DOUBLING: u32 = 1 << (KEPT_BITS - 1);

/// The counts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Latencies(
    /// Bucket and count, by bucket, none twice and none empty.
    Vec<(u16, u64)>,
);

impl Latencies {
    /// One more attempt.
    pub(crate) fn add(&mut self, latency_ms: u32) {
        self.add_many(bucket_of(latency_ms), 1);
    }

    /// As if all attempts of `other` had been added here.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            self.add_many(*bucket, *count);
        }
    }

    /// How many attempts.
    pub(crate) fn count(&self) -> u64 {
        self.0.iter().map(|(_, count)| count).sum()
    }

    /// What `percent` of 100 attempts took at most (nearest rank), milliseconds; nothing without attempts.
    pub(crate) fn percentile(&self, percent: u32) -> Option<f64> {
        let rank = (u128::from(self.count()) * u128::from(percent)).div_ceil(100).max(1);
        let mut below: u128 = 0;
        let found = self.0.iter().find(|(_, count)| {
            below += u128::from(*count);
            below >= rank
        });
        found.map(|(bucket, _)| middle_of(*bucket))
    }

    fn add_many(&mut self, bucket: u16, count: u64) {
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(place) => self.0[place].1 += count,
            Err(place) => self.0.insert(place, (bucket, count)),
        }
    }
}

fn bucket_of(latency_ms: u32) -> u16 {
    let dropped = (u32::BITS - latency_ms.leading_zeros()).saturating_sub(KEPT_BITS);
    // at most 25 doublings of 64 above the first 128, which fits
    u16::try_from(dropped * PER_DOUBLING + (latency_ms >> dropped)).unwrap_or(u16::MAX)
}

/// The middle of the latencies that share a bucket.
fn middle_of(bucket: u16) -> f64 {
    let bucket = u32::from(bucket);
    let dropped = (bucket / PER_DOUBLING).saturating_sub(1);
    let lowest = u64::from(bucket - dropped * PER_DOUBLING) << dropped.min(u32::BITS);
    lowest as f64 + ((1_u64 << dropped.min(u32::BITS)) - 1) as f64 / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(latencies: &[u32]) -> Latencies {
        let mut all = Latencies::default();
        latencies.iter().for_each(|latency| all.add(*latency));
        all
    }

    #[test]
    fn buckets_follow_each_other_without_gap_or_overlap() {
        for latency in 0..100_000 {
            let (one, next) = (bucket_of(latency), bucket_of(latency + 1));
            assert!(next == one || next == one + 1, "{latency}");
        }
        assert_eq!(bucket_of(u32::MAX), 1_727);
    }

    #[test]
    fn the_middle_of_a_bucket_is_near_all_that_share_it() {
        for latency in (0..200_000).chain((31..=u32::MAX).step_by(99_991)).chain([u32::MAX]) {
            let middle = middle_of(bucket_of(latency));
            assert!((middle - f64::from(latency)).abs() <= f64::from(latency) * 0.008, "{latency} {middle}");
            assert!(latency >= 128 || middle == f64::from(latency), "{latency} {middle}");
        }
    }

    #[test]
    fn percentiles_are_those_of_the_nearest_rank() {
        assert_eq!(Latencies::default().percentile(50), None);
        assert_eq!(of(&[7]).percentile(99), Some(7.0));
        let ten = of(&[10, 1, 2, 9, 3, 4, 5, 6, 7, 8]);
        assert_eq!([50, 95, 99, 100].map(|percent| ten.percentile(percent)), [5.0, 10.0, 10.0, 10.0].map(Some));
    }

    #[test]
    fn merged_counts_are_those_of_all_together() {
        let mut one = of(&[1, 500, 30_000]);
        one.merge(&of(&[2, 500]));
        assert_eq!(one, of(&[1, 2, 500, 500, 30_000]));
        assert_eq!(one.count(), 5);
    }
}
