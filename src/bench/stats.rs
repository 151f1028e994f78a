//! Numbers of a report: quantiles, medians, rounding.

use serde_json::{Value, json};

/// A count as a number to reckon with.
#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub const fn float(count: usize) -> f64 {
    count as f64
}

/// To a whole number.
pub fn round(value: f64) -> f64 {
    value.round()
}

/// To a thousandth.
pub fn round3(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

/// Median and 99th percentile, and of how many.
pub fn quantiles(samples: impl IntoIterator<Item = f64>) -> Value {
    let sorted = sorted(samples);
    json!({ "p50": quantile(&sorted, 50).map(round3), "p99": quantile(&sorted, 99).map(round3), "samples": sorted.len() })
}

/// In ascending order.
pub fn sorted(samples: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = samples.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted
}

/// The value below which `percent` of the samples lie; nothing where there are none.
pub fn quantile(sorted: &[f64], percent: usize) -> Option<f64> {
    sorted.get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1))).copied()
}

/// The one in the middle, or the mean of the two there.
pub fn median(samples: impl IntoIterator<Item = f64>) -> Option<f64> {
    let sorted = sorted(samples);
    let middle = sorted.len() / 2;
    let upper = sorted.get(middle)?;
    if sorted.len().is_multiple_of(2) { Some(f64::midpoint(*sorted.get(middle - 1)?, *upper)) } else { Some(*upper) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_the_samples_in_order() {
        let told = quantiles((1..=200).rev().map(f64::from));
        assert_eq!(told, json!({ "p50": 101.0, "p99": 199.0, "samples": 200 }));
        assert_eq!(quantiles([5.0]), json!({ "p50": 5.0, "p99": 5.0, "samples": 1 }));
        assert_eq!(quantiles([]), json!({ "p50": null, "p99": null, "samples": 0 }));
    }

    #[test]
    fn a_median_of_an_even_number_lies_between_two() {
        assert_eq!(median([3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median([]), None);
    }
}
