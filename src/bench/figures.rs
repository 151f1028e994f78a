//! What the scenarios of the parts count and measure with.

use std::time::Duration;

use serde_json::{Value, json};

pub(super) use super::client::millis;
use super::stats::round;
pub(super) use super::stats::round3;
use super::usage;

/// How many a second.
#[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
pub(super) fn per_second(count: usize, took: Duration) -> f64 {
    count as f64 / took.as_secs_f64()
}

/// Median, the slowest hundredth, and of how many.
pub(super) fn quantiles(samples_ms: &[f64]) -> Value {
    super::stats::quantiles(samples_ms.iter().copied())
}

/// Resident memory now of this process and of each of its children, the largest child first (proc(5), `status`, VmRSS).
///
/// # Errors
/// No such files, as outside of Linux.
pub(super) fn memory_mb() -> anyhow::Result<Value> {
    let children = children_of("self")?.into_iter().map(|pid| usage::rss_mb(pid).map(round));
    // one that ended just now has none
    let mut children: Vec<f64> = children.flatten().collect();
    children.sort_by(|one, other| other.total_cmp(one));
    Ok(json!({ "own": round(usage::rss_mb(std::process::id())?), "children": children }))
}

/// Children belong to the thread that started them.
fn children_of(pid: &str) -> anyhow::Result<Vec<u32>> {
    let mut found = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        // one that ended just now has none
        let children = std::fs::read_to_string(thread?.path().join("children")).unwrap_or_default();
        found.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
    }
    Ok(found)
}
