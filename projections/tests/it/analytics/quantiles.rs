//! Percentiles are within 1 % of the exact ones, also after minutes were merged, written and read.

use events::Timestamp;
use proptest::prelude::*;
use regflow_projections::{MetricsFilter, Resolution, Tally};

use super::{MIDNIGHT, metrics, minutes, view, window};
use crate::history::Log;

/// Nothing of makers.
const NO_MAKERS: &[events::StoredMaker] = &[];

/// The nearest rank of the sorted latencies.
fn exact(sorted: &[u32], percent: usize) -> f64 {
    f64::from(sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1])
}

fn check(tally: &Tally, sorted: &[u32]) -> Result<(), TestCaseError> {
    for percent in [50, 95, 99] {
        let (told, exact) = (tally.latency_ms(u32::try_from(percent).unwrap()).unwrap(), exact(sorted, percent));
        prop_assert!((told - exact).abs() <= exact * 0.01, "p{percent}: {told}, exact {exact}, of {sorted:?}");
    }
    Ok(())
}

/// Latencies of any size, and minutes in which they end.
fn attempts() -> impl Strategy<Value = Vec<(u32, i64)>> {
    let latency = (0_u32..=32, any::<u32>()).prop_map(|(bits, drawn)| drawn.checked_shr(bits).unwrap_or(0));
    prop::collection::vec((latency, 0_i64..120), 1..300)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn percentiles_are_within_one_percent_of_the_exact_ones(drawn in attempts()) {
        let (_folder, view) = view();
        let mut log = Log::default();
        for (n, (latency, minute)) in drawn.iter().enumerate() {
            log.now = Some(minutes(*minute));
            log.attempt(n as u64, "norrland", None, *latency);
            if n % 50 == 0 {
                view.apply(&log.records, NO_MAKERS).unwrap();
                view.write().unwrap();
            }
        }
        view.apply(&log.records, NO_MAKERS).unwrap();
        view.write().unwrap();

        let sorted = |wanted: &dyn Fn(i64) -> bool| {
            let mut all: Vec<u32> = drawn.iter().filter(|(_, at)| wanted(*at)).map(|(latency, _)| *latency).collect();
            all.sort_unstable();
            all
        };
        let by_minute = metrics(&view, Resolution::Minute);
        check(&by_minute.total, &sorted(&|_| true))?;
        prop_assert_eq!(&by_minute.total, &metrics(&view, Resolution::Day).total);
        for (start, tally) in &by_minute.series[0].points {
            let minute = (start.0 - MIDNIGHT.0) / 60_000_000;
            check(tally, &sorted(&|at| at == minute))?;
        }
        let part = window(minutes(30), Timestamp(minutes(60).0));
        let merged = view.metrics(part, &MetricsFilter::default()).unwrap().total;
        let exact = sorted(&|at| (30..60).contains(&at));
        prop_assert_eq!(merged.attempts(), exact.len() as u64);
        if !exact.is_empty() {
            check(&merged, &exact)?;
        }
    }
}
