//! How attempts ended, in a terminal: one line for each maker and method, and one for all of them.

use comfy_table::Cell;
use proto::v1;

use super::{Paint, Tone, method_in_short, table};

/// Below this share, in percent, it is shown as bad: as operators are alerted by default.
const BAD_BELOW: f64 = 70.0;
/// Below this share, in percent, it is shown as odd.
const ODD_BELOW: f64 = 85.0;

/// The whole window of each series.
pub fn metrics(answer: &v1::MetricsResponse, paint: Paint) -> String {
    let mut table = table(["MAKER", "METHOD", "ATTEMPTS", "SUCCESS", "P50", "P95", "P99", "ERRORS"]);
    let none = v1::MetricValues::default();
    for series in &answer.series {
        let method = method_in_short(series.method());
        table.add_row(row(&series.maker, method, series.total.as_ref().unwrap_or(&none), paint));
    }
    table.add_row(row("all", "", answer.total.as_ref().unwrap_or(&none), paint));
    table.trim_fmt()
}

fn row(maker: &str, method: &str, values: &v1::MetricValues, paint: Paint) -> [Cell; 8] {
    let success = match values.success_percent {
        None => Cell::new("-"),
        Some(percent) => paint.cell(&format!("{percent:.1} %"), tone(percent)),
    };
    let errors: Vec<String> = values.errors.iter().map(|error| format!("{} {}", error.count, word(error))).collect();
    [
        Cell::new(maker),
        Cell::new(method),
        Cell::new(values.attempts),
        success,
        Cell::new(latency(values.latency_ms_p50)),
        Cell::new(latency(values.latency_ms_p95)),
        Cell::new(latency(values.latency_ms_p99)),
        Cell::new(errors.join(", ")),
    ]
}

const fn tone(percent: f64) -> Tone {
    if percent < BAD_BELOW {
        Tone::Bad
    } else if percent < ODD_BELOW {
        Tone::Odd
    } else {
        Tone::Good
    }
}

fn word(error: &v1::ErrorCount) -> String {
    error.kind().as_str_name().trim_start_matches("ERROR_KIND_").to_lowercase().replace('_', " ")
}

fn latency(ms: Option<f64>) -> String {
    match ms {
        None => "-".to_owned(),
        Some(ms) if ms < 1_000.0 => format!("{ms:.0} ms"),
        Some(ms) => format!("{:.1} s", ms / 1_000.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_series_has_a_line_and_all_of_them_one() {
        let error = |kind: v1::ErrorKind, count| v1::ErrorCount { kind: kind.into(), count };
        let values = v1::MetricValues {
            attempts: 14,
            succeeded: 9,
            success_percent: Some(75.0),
            latency_ms_p50: Some(150.4),
            latency_ms_p95: Some(1_230.0),
            latency_ms_p99: Some(10_000.0),
            errors: vec![error(v1::ErrorKind::RateLimited, 3), error(v1::ErrorKind::Validation, 2)],
        };
        let series = v1::MetricSeries {
            maker: "norrland".into(),
            method: v1::Method::Api.into(),
            total: Some(values.clone()),
            ..Default::default()
        };
        let answer = v1::MetricsResponse { series: vec![series], total: Some(values), ..Default::default() };
        let text = metrics(&answer, Paint::plain());
        let lines: Vec<String> =
            text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
        let told = [
            "MAKER METHOD ATTEMPTS SUCCESS P50 P95 P99 ERRORS",
            "norrland API 14 75.0 % 150 ms 1.2 s 10.0 s 3 rate limited, 2 validation",
            "all 14 75.0 % 150 ms 1.2 s 10.0 s 3 rate limited, 2 validation",
        ];
        assert_eq!(lines, told);
        let nothing = metrics(&v1::MetricsResponse::default(), Paint::plain());
        assert!(
            nothing.lines().last().is_some_and(|line| line.split_whitespace().eq(["all", "0", "-", "-", "-", "-"]))
        );
    }
}
