//! Figures in documents are those of the reports of `regflow bench` that stand in docs/performance/: the tables between marks are
//! made of them, here. `REGFLOW_WRITE_GOLDEN=1` writes them anew.

use std::collections::BTreeMap;

use serde_json::Value;

use super::check::SourceFile;
use super::measured::{Figure, PEER, ROWS, SUMMARY, TARGETS, Wanted};

/// What has such tables.
pub const DOCUMENTS: [&str; 2] = ["README.md", "docs/performance.md"];

/// Where the reports are: a file a scenario, one object a run.
const FOLDER: &str = "docs/performance/";
const BEGIN: &str = "<!-- measured: ";
const END: &str = "<!-- end -->";

/// Runs by the names of their files.
pub type Reports = BTreeMap<String, Vec<Value>>;

/// The reports of a repository.
pub fn reports(files: &[SourceFile]) -> Reports {
    let runs =
        |text: &str| serde_json::Deserializer::from_str(text).into_iter().collect::<Result<Vec<Value>, _>>().ok();
    let named = files.iter().filter_map(|file| {
        let name = file.path.strip_prefix(FOLDER)?.strip_suffix(".json")?;
        Some((name.to_owned(), runs(&file.text)?))
    });
    named.collect()
}

/// A document with its tables made anew; an error names what has no report.
pub fn written(document: &str, reports: &Reports) -> Result<String, String> {
    let (mut text, mut lines) = (String::new(), document.lines());
    while let Some(line) = lines.next() {
        text.push_str(line);
        text.push('\n');
        let Some(name) = line.strip_prefix(BEGIN).and_then(|rest| rest.strip_suffix(" -->")) else { continue };
        text.push_str(&table(name, reports)?);
        text.push_str(END);
        text.push('\n');
        lines.by_ref().find(|line| *line == END).ok_or_else(|| format!("the table `{name}` has no end"))?;
    }
    Ok(text)
}

fn table(name: &str, reports: &Reports) -> Result<String, String> {
    match name {
        "targets" => targets(reports),
        "summary" => summary(reports),
        "peer" => peer(runs(reports, name)?),
        _ => Ok(each_run(runs(reports, name)?)),
    }
}

fn runs<'a>(reports: &'a Reports, name: &str) -> Result<&'a [Value], String> {
    reports.get(name).map(Vec::as_slice).ok_or_else(|| format!("there is no {FOLDER}{name}.json"))
}

/// A column a run and one for the medians; a row for each figure that all runs have.
fn each_run(runs: &[Value]) -> String {
    let numbers = (1..=runs.len()).map(|number| format!("run {number}"));
    let mut text = heading([String::new()].into_iter().chain(numbers).chain(["median".to_owned()]));
    for (label, figures) in ROWS {
        let of_run = |run: &Value| joined(figures.iter().map(|figure| Some(figure.text(figure.of(run)?))));
        let cells: Option<Vec<String>> = runs.iter().map(of_run).collect();
        let middle = joined(figures.iter().map(|figure| Some(figure.text(figure.median(runs)?))));
        if let Some((cells, middle)) = cells.zip(middle) {
            text.push_str(&row([(*label).to_owned()].into_iter().chain(cells).chain([middle])));
        }
    }
    text
}

/// A row a target, with the median of its runs.
fn targets(reports: &Reports) -> Result<String, String> {
    let (mut rows, mut met) = (String::new(), 0);
    for target in TARGETS {
        let middle = target.figure.median(runs(reports, target.report)?);
        let middle = middle.ok_or_else(|| format!("no run of `{}` tells: {}", target.report, target.name))?;
        let wanted = |limit: f64, word: &str| format!("{word} {}", target.figure.text(limit));
        let (is_met, wanted) = match target.wanted {
            Wanted::AtLeast(limit) => (middle >= limit, wanted(limit, "at least")),
            Wanted::AtMost(limit) => (middle <= limit, wanted(limit, "at most")),
        };
        met += usize::from(is_met);
        let verdict = if is_met { "met" } else { "**missed**" };
        let link = format!("[{0}](performance/{0}.json)", target.report);
        rows.push_str(&row([target.name.to_owned(), wanted, target.figure.text(middle), verdict.to_owned(), link]));
    }
    let heading = heading(["target", "wanted", "measured, median", "", "by"].map(str::to_owned));
    Ok(format!("{met} of {} are met.\n\n{heading}{rows}", TARGETS.len()))
}

/// What matters first, by medians.
fn summary(reports: &Reports) -> Result<String, String> {
    let mut text = heading([String::new(), "median".to_owned()]);
    for (label, report, figures) in SUMMARY {
        let runs = runs(reports, report)?;
        let told = joined(figures.iter().map(|figure| Some(figure.text(figure.median(runs)?))));
        let told = told.ok_or_else(|| format!("no run of `{report}` tells: {label}"))?;
        text.push_str(&row([(*label).to_owned(), told]));
    }
    Ok(text)
}

/// Medians of the peer, of ours, and of the ratios of the runs.
fn peer(runs: &[Value]) -> Result<String, String> {
    let mut text = heading([String::new(), "BullMQ".to_owned(), "regflow".to_owned(), "regflow by BullMQ".to_owned()]);
    for (label, scenario, places) in PEER {
        let of = |run: &Value, whose: &str, place: &str| run.pointer(&format!("/{scenario}/{whose}{place}"))?.as_f64();
        let middle_of = |whose: &str| {
            joined(places.iter().map(|(place, decimals)| {
                let all = runs.iter().map(|run| of(run, whose, place)).collect();
                Some(number(median(all)?, *decimals))
            }))
        };
        let ratios = joined(places.iter().map(|(place, _)| {
            let ratio = |run: &Value| Some(of(run, "regflow", place)? / of(run, "peer", place)?);
            Some(number(median(runs.iter().map(ratio).collect())?, 2))
        }));
        let cells = [middle_of("peer"), middle_of("regflow"), ratios];
        let cells: Option<Vec<String>> = cells.into_iter().collect();
        let cells = cells.ok_or_else(|| format!("no run of the peer tells: {label}"))?;
        text.push_str(&row([(*label).to_owned()].into_iter().chain(cells)));
    }
    Ok(text)
}

impl Figure {
    fn of(&self, run: &Value) -> Option<f64> {
        let sum = |places: &[&str]| places.iter().map(|place| run.pointer(place)?.as_f64()).sum::<Option<f64>>();
        let value = sum(self.places)?;
        if self.by.is_empty() { Some(value) } else { Some(value / sum(self.by)?) }
    }

    fn median(&self, runs: &[Value]) -> Option<f64> {
        median(runs.iter().map(|run| self.of(run)).collect())
    }

    fn text(&self, value: f64) -> String {
        number(value, self.decimals)
    }
}

/// Nothing when one of them is missing, or all.
fn median(values: Option<Vec<f64>>) -> Option<f64> {
    let mut values = values?;
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

fn joined(parts: impl Iterator<Item = Option<String>>) -> Option<String> {
    Some(parts.collect::<Option<Vec<String>>>()?.join(" / "))
}

/// As people write it: 1,234,567 or 0.130.
fn number(value: f64, decimals: usize) -> String {
    let digits = format!("{value:.decimals$}");
    let (whole, rest) = digits.split_at(digits.find('.').unwrap_or(digits.len()));
    let mut text = String::new();
    for (place, digit) in whole.chars().enumerate() {
        if place > 0 && (whole.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text + rest
}

fn heading(cells: impl IntoIterator<Item = String>) -> String {
    let cells: Vec<String> = cells.into_iter().collect();
    format!("{}|{}\n", row(cells.iter().cloned()), "---|".repeat(cells.len()))
}

fn row(cells: impl IntoIterator<Item = String>) -> String {
    format!("| {} |\n", cells.into_iter().collect::<Vec<_>>().join(" | "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn example() -> Reports {
        let run = |rate: f64, p50: f64| json!({ "registrations_per_second": rate, "submit_ms": { "p50": p50, "p99": 20.0 }, "peak_rss_mb": 1.0 });
        let runs = vec![run(9_000.0, 1.25), run(12_345.6, 3.0), run(10_000.0, 2.0)];
        BTreeMap::from([("happy".to_owned(), runs)])
    }

    #[test]
    fn a_table_has_each_run_and_the_medians_of_what_all_runs_tell() {
        let document = "before\n<!-- measured: happy -->\nold\n<!-- end -->\nafter\n";
        let expected = "before\n<!-- measured: happy -->\n\
            |  | run 1 | run 2 | run 3 | median |\n|---|---|---|---|---|\n\
            | registrations/s, first submit to last SUCCESS visible | 9,000 | 12,346 | 10,000 | 10,000 |\n\
            | submit, p50 / p99 ms | 1.2 / 20.0 | 3.0 / 20.0 | 2.0 / 20.0 | 2.0 / 20.0 |\n\
            <!-- end -->\nafter\n";
        assert_eq!(written(document, &example()).as_deref(), Ok(expected));
        assert_eq!(written(expected, &example()).as_deref(), Ok(expected));
    }

    #[test]
    fn what_has_no_report_or_no_end_is_named() {
        let error = |document| written(document, &example()).expect_err("a mistake");
        assert_eq!(error("<!-- measured: nothing -->\n<!-- end -->\n"), "there is no docs/performance/nothing.json");
        assert_eq!(error("<!-- measured: happy -->\n"), "the table `happy` has no end");
        assert!(error("<!-- measured: targets -->\n<!-- end -->\n").starts_with("there is no docs/performance/"));
        assert!(error("<!-- measured: summary -->\n<!-- end -->\n").starts_with("there is no docs/performance/"));
    }

    #[test]
    fn a_number_is_written_for_people() {
        let told =
            [(1_234_567.4, 0), (999.0, 0), (0.13, 3), (1_000.06, 1)].map(|(value, digits)| number(value, digits));
        assert_eq!(told, ["1,234,567", "999", "0.130", "1,000.1"]);
    }
}
