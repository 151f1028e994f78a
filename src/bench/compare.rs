//! A run beside earlier ones, and several runs in one: each figure of the reports, in a table for people.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, ensure};
use comfy_table::{Cell, CellAlignment, Table};
use serde_json::Value;

use super::stats::{median, sorted};
use crate::show::{self, Paint, Tone};

/// A file of earlier runs is not larger, in bytes.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Members that say what was asked, or about whom, and how many; none of them is better or worse.
const NO_FIGURES: [&str; 12] = [
    "registrations",
    "submit_batch",
    "in_flight",
    "connections",
    "readers",
    "durable",
    "offered_per_second",
    "samples",
    "first",
    "machine",
    "course",
    "records",
];
/// Figures that tell about the machine, not about us.
const OF_THE_MACHINE: [&str; 6] = [
    "raw_server_message_bytes",
    "raw_server_messages_per_second",
    "bare_read_per_second",
    "machine_hashes_mb_per_second",
    "machine_is_slow_ms_per_second",
    "late_to_early_cpu_of_sandbox",
];
/// And so is what another program reached.
const OF_A_PEER: &str = ".peer.";
/// What differs by less than this is the same: two runs of one binary differ more.
const SAME_WITHIN: f64 = 0.02;

/// What is better for a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Better {
    More,
    Less,
    Neither,
}

/// All figures of a report by their paths, such as `submit_ms.p50`.
type Figures = BTreeMap<String, f64>;

/// The reports in a file, one after the other.
pub fn read(file: &Path) -> anyhow::Result<Vec<Value>> {
    let failed = || format!("failed to read the earlier runs in {}", file.display());
    let size = std::fs::metadata(file).with_context(failed)?.len();
    ensure!(
        size <= FILE_BYTES_MAX,
        "{} is larger than {FILE_BYTES_MAX} bytes; give the output of some runs",
        file.display()
    );
    let text = std::fs::read_to_string(file).with_context(failed)?;
    let runs: Vec<Value> =
        serde_json::Deserializer::from_str(&text).into_iter().collect::<Result<_, _>>().with_context(failed)?;
    let is_report = |run: &Value| run.get("scenario").is_some_and(Value::is_string);
    let remedy = "give what `regflow bench` printed on standard output";
    ensure!(!runs.is_empty() && runs.iter().all(is_report), "{} holds no reports; {remedy}", file.display());
    Ok(runs)
}

/// Those of the same scenario.
///
/// # Errors
/// When there is none.
pub fn of_scenario(runs: &[Value], scenario: &str) -> anyhow::Result<Vec<Value>> {
    let name = |run: &Value| run["scenario"].as_str().unwrap_or_default().to_owned();
    let found: Vec<Value> = runs.iter().filter(|run| name(run) == scenario).cloned().collect();
    let mut there: Vec<String> = runs.iter().map(name).collect();
    there.sort();
    there.dedup();
    let there = there.join(", ");
    ensure!(!found.is_empty(), "--compare: the file has no run of `{scenario}`, only of {there}; run that one first");
    Ok(found)
}

/// Each figure, the earlier one, and how they relate.
pub fn compared(now: &[Value], earlier: &[Value], paint: Paint) -> String {
    let (figures, before) = (medians(now), medians(earlier));
    let mut table = show::table(["FIGURE", "NOW", "EARLIER", "RATIO", ""]);
    for (name, now) in &figures {
        let Some(then) = before.get(name) else { continue };
        let ratio = if *then == 0.0 { None } else { Some(now / then) };
        let (word, tone) = verdict(better(name), *now, *then);
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        table.add_row([
            Cell::new(name),
            Cell::new(number(*now)),
            Cell::new(number(*then)),
            paint.cell(&ratio, tone),
            paint.cell(word, tone),
        ]);
    }
    let heading = format!("{} beside {}", runs(now), earlier_runs(earlier));
    format!("{}\n{}", paint.bold(&heading), with_numbers_right(table, 1..=3).trim_fmt())
}

/// The median of each figure over several runs, with the least and the greatest.
pub fn summed_up(now: &[Value], paint: Paint) -> String {
    let mut table = show::table(["FIGURE", "MEDIAN", "LEAST", "GREATEST"]);
    for (name, middle) in medians(now) {
        let all = sorted(now.iter().filter_map(|run| figures(run).get(&name).copied()));
        let end = |value: Option<&f64>| Cell::new(value.map_or_else(String::new, |value| number(*value)));
        table.add_row([Cell::new(&name), Cell::new(number(middle)), end(all.first()), end(all.last())]);
    }
    format!("{}\n{}", paint.bold(&runs(now)), with_numbers_right(table, 1..=3).trim_fmt())
}

fn runs(now: &[Value]) -> String {
    let scenario = now.first().and_then(|run| run["scenario"].as_str()).unwrap_or_default();
    if now.len() == 1 { format!("{scenario}, one run") } else { format!("{scenario}, medians of {} runs", now.len()) }
}

fn earlier_runs(earlier: &[Value]) -> String {
    if earlier.len() == 1 { "an earlier one".to_owned() } else { format!("medians of {} earlier ones", earlier.len()) }
}

fn with_numbers_right(mut table: Table, columns: std::ops::RangeInclusive<usize>) -> Table {
    for column in columns {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

/// Whether it got better. A figure that was nothing has no ratio, but a direction.
fn verdict(better: Better, now: f64, then: f64) -> (&'static str, Tone) {
    let is_same = (now - then).abs() <= then.abs() * SAME_WITHIN;
    match better {
        Better::Neither => ("", Tone::Plain),
        Better::More | Better::Less if is_same => ("same", Tone::Plain),
        Better::More if now > then => ("better", Tone::Good),
        Better::Less if now < then => ("better", Tone::Good),
        Better::More | Better::Less => ("worse", Tone::Bad),
    }
}

/// By the name's own words: what is counted a second shall grow, time, memory, bytes and refusals shall not.
fn better(name: &str) -> Better {
    let of_us = |name: &str| !OF_THE_MACHINE.contains(&name) && !name.contains(OF_A_PEER);
    if !of_us(name) {
        return Better::Neither;
    }
    let more = ["per_second", "share_of", "ratio_to_bare"];
    let less = ["_ms", "_mb", "bytes", "records_per", "messages_per", "refused", "cpu", "disk_to_live", "attempts"];
    let says = |words: &[&str]| words.iter().any(|word| name.contains(word));
    match (says(&more), says(&less)) {
        (true, _) => Better::More,
        (false, true) => Better::Less,
        (false, false) => Better::Neither,
    }
}

/// With as many digits as it takes to tell one run from another.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1_000.0 => thousands(&value),
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// As people write it: 1,234,567.
pub fn thousands(value: &f64) -> String {
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |digits| ("-", digits));
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    format!("{sign}{text}")
}

/// The median of each figure; of a figure that some runs lack, over those that have it.
fn medians(runs: &[Value]) -> Figures {
    let mut all: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (name, value) in runs.iter().flat_map(figures) {
        all.entry(name).or_default().push(value);
    }
    all.into_iter().filter_map(|(name, values)| Some((name, median(values)?))).collect()
}

fn figures(run: &Value) -> Figures {
    let mut found = Figures::new();
    collect(run, "", &mut found);
    found
}

fn collect(value: &Value, path: &str, found: &mut Figures) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !NO_FIGURES.contains(&name.as_str())) {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(member, &path, found);
            }
        }
        Value::Number(number) => found.extend(number.as_f64().map(|number| (path.to_owned(), number))),
        Value::Null | Value::Bool(_) | Value::String(_) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(rate: f64, p50: f64) -> Value {
        json!({
            "scenario": "happy", "registrations": 100, "registrations_per_second": rate,
            "submit_ms": { "p50": p50, "samples": 3 }, "raw_server_messages_per_second": 90_000,
            "course": { "window_ms": 100 }, "machine": { "cpus": 2 },
        })
    }

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn each_figure_is_set_beside_the_median_of_the_earlier_ones() {
        let earlier = [run(4_000.0, 8.0), run(5_000.0, 10.0), run(9_000.0, 30.0)];
        let text = compared(&[run(6_000.0, 12.5)], &earlier, Paint::plain());
        let told = [
            "happy, one run beside medians of 3 earlier ones",
            "FIGURE NOW EARLIER RATIO",
            "raw_server_messages_per_second 90,000 90,000 1.00",
            "registrations_per_second 6,000 5,000 1.20 better",
            "submit_ms.p50 12.5 10 1.25 worse",
        ];
        assert_eq!(lines(&text), told);
    }

    #[test]
    fn several_runs_are_summed_up() {
        let text = summed_up(&[run(4_000.0, 8.0), run(6_000.0, 10.0)], Paint::plain());
        assert_eq!(lines(&text)[3], "registrations_per_second 5,000 4,000 6,000");
    }

    #[test]
    fn what_is_better_depends_on_the_figure() {
        for (name, expected) in [
            ("registrations_per_second", Better::More),
            ("share_of_raw_messages", Better::More),
            ("ratio_to_bare_read", Better::More),
            ("cpu_ms_per_registration.regflow", Better::Less),
            ("alone.end_to_end_ms.p99", Better::Less),
            ("views.status.disk_to_live", Better::Less),
            ("refused", Better::Less),
            ("raw_server_messages_per_second", Better::Neither),
            ("happy.peer.registrations_per_second", Better::Neither),
            ("happy.regflow_by_peer.registrations_per_second", Better::More),
        ] {
            assert_eq!(better(name), expected, "{name}");
        }
        assert_eq!(verdict(Better::Less, 3.0, 0.0).0, "worse");
        assert_eq!(verdict(Better::More, 101.0, 100.0).0, "same");
    }

    #[test]
    fn a_file_of_another_scenario_is_named_with_what_it_has() {
        let error = of_scenario(&[run(1.0, 1.0)], "growth").expect_err("another one").to_string();
        assert!(error.contains("no run of `growth`, only of happy"), "{error}");
    }

    #[test]
    fn reports_stand_one_after_the_other_in_a_file() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("runs.json");
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        write(&format!("{:#}\n{}\n", run(1.0, 1.0), run(2.0, 1.0)));
        assert_eq!(read(&file).expect("two runs").len(), 2);
        for (text, says) in [("", "holds no reports"), ("{\"a\": 1}", "holds no reports"), ("{", "failed to read")] {
            write(text);
            let error = read(&file).expect_err("no report").to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
