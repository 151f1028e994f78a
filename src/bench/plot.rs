//! The course of runs as a picture: throughput above, latency below, over the same time.

use std::path::Path;

use anyhow::{Context, ensure};
use plotters::coord::Shift;
use plotters::coord::ranged1d::{AsRangedCoord, Ranged, ValueFormatter};
use plotters::prelude::*;
use serde_json::Value;

use super::compare::thousands;
use super::course::Course;
use super::stats::float;
use crate::cli::{BenchArgs, Scenario};

/// Width and height of the picture.
const SIZE: (u32, u32) = (960, 720);
const FONT: &str = "system-ui, sans-serif";
const INK: RGBColor = RGBColor(40, 44, 52);
const GRID: RGBColor = RGBColor(226, 229, 234);
/// Told apart also by those who see few colours (Okabe and Ito, "Color Universal Design", 2008).
const COLOURS: [RGBColor; 6] = [
    RGBColor(0, 114, 178),
    RGBColor(230, 159, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(213, 94, 0),
    RGBColor(86, 180, 233),
];
/// Of earlier runs.
const FAINT: RGBColor = RGBColor(150, 156, 166);
/// Height of the row with the names of the lines, room for the numbers at the left, and about how wide a letter is.
const HEADER: u32 = 26;
const LEFT: i32 = 74;
const LETTER: i32 = 8;
/// Room above the highest value.
const HEADROOM: f64 = 1.08;

/// One line of a picture.
struct Line {
    name: String,
    colour: RGBColor,
    points: Vec<(f64, f64)>,
}

/// The course of a run, and how it is named beside others.
struct Drawn {
    name: String,
    colour: RGBColor,
    course: Course,
}

/// Whether there will be something to draw, so that nobody waits for it in vain.
pub fn check(args: &BenchArgs) -> anyhow::Result<()> {
    let Some(file) = &args.plot else { return Ok(()) };
    ensure!(
        args.has_service() && !matches!(args.scenario, Scenario::Rebuild | Scenario::Peer),
        "--plot draws registrations over time, and this scenario has none; leave it out"
    );
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    ensure!(folder.is_dir(), "--plot: there is no folder {}; make it first", folder.display());
    Ok(())
}

/// Draws runs, and earlier ones in grey.
pub fn draw(file: &Path, runs: &[Value], earlier: &[Value]) -> anyhow::Result<()> {
    let svg = picture(runs, earlier)?;
    std::fs::write(file, svg).with_context(|| format!("failed to write the plot to {}", file.display()))
}

fn picture(runs: &[Value], earlier: &[Value]) -> anyhow::Result<String> {
    let drawn = drawn(runs, earlier)?;
    let what = match drawn.len() {
        1 => ("registrations / s", "milliseconds"),
        _ => ("done, registrations / s", "until SUCCESS is visible, p50, ms"),
    };
    let (throughput, latency) = (throughput(&drawn), latency(&drawn));
    let seconds = ends(throughput.iter().chain(&latency), |(x, _)| x).1.max(0.1);
    let mut svg = String::new();
    let root = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let titled = root.margin(12, 0, 0, 0).titled(&title(runs), (FONT, 20).into_font().color(&INK))?;
    let (upper, lower) = titled.split_vertically((SIZE.1 - 40) / 2);
    let most = ends(&throughput, |(_, y)| y).1.max(1.0) * HEADROOM;
    panel(&upper, what.0, 0.0..seconds, 0.0..most, throughput, &thousands)?;
    let range = decades(ends(&latency, |(_, y)| y)).log_scale();
    panel(&lower, what.1, 0.0..seconds, range, latency, &milliseconds)?;
    root.present()?;
    drop((titled, upper, lower, root));
    Ok(svg)
}

/// One coordinate system with its lines and their names.
fn panel<Y>(
    area: &DrawingArea<SVGBackend<'_>, Shift>,
    what: &str,
    seconds: std::ops::Range<f64>,
    values: Y,
    lines: Vec<Line>,
    label: &dyn Fn(&f64) -> String,
) -> anyhow::Result<()>
where
    Y: AsRangedCoord<Value = f64>,
    Y::CoordDescType: Ranged<ValueType = f64> + ValueFormatter<f64>,
{
    let (header, area) = area.split_vertically(HEADER);
    name_lines(&header, &lines)?;
    let mut chart = ChartBuilder::on(&area)
        .margin(4)
        .margin_right(24)
        .x_label_area_size(36)
        .y_label_area_size(LEFT)
        .build_cartesian_2d(seconds, values)?;
    chart
        .configure_mesh()
        .axis_style(GRID)
        .bold_line_style(GRID)
        .light_line_style(TRANSPARENT)
        .label_style((FONT, 13, &INK))
        .axis_desc_style((FONT, 14, &INK))
        .x_desc("seconds")
        .y_desc(what)
        .x_labels(12)
        .y_labels(6)
        .y_label_formatter(label)
        .draw()?;
    for Line { colour, points, .. } in lines {
        chart.draw_series(LineSeries::new(points, colour.stroke_width(2)))?;
    }
    Ok(())
}

/// The names of the lines, each behind a piece of its colour, in a row above the coordinate system so that they hide nothing.
fn name_lines(header: &DrawingArea<SVGBackend<'_>, Shift>, lines: &[Line]) -> anyhow::Result<()> {
    let (mut x, y) = (LEFT + 4, i32::try_from(HEADER)? / 2);
    for Line { name, colour, .. } in lines.iter().filter(|line| !line.name.is_empty()) {
        let width = 24 + LETTER * i32::try_from(name.chars().count())? + 20;
        // of very many runs the last ones stay without a name
        if x + width > i32::try_from(SIZE.0)? {
            break;
        }
        header.draw(&PathElement::new([(x, y), (x + 18, y)], colour.stroke_width(3)))?;
        header.draw(&Text::new(name.clone(), (x + 24, y - 7), (FONT, 14).into_font().color(&INK)))?;
        x += width;
    }
    Ok(())
}

fn title(runs: &[Value]) -> String {
    let Some(run) = runs.first() else { return String::new() };
    let text = |name: &str| run[name].as_str().unwrap_or_default().to_owned();
    let rate = run["registrations_per_second"].as_f64().unwrap_or_default();
    let more = if runs.len() == 1 { String::new() } else { format!(", the first of {} runs", runs.len()) };
    format!("regflow bench: {} over {}, {} registrations/s{more}", text("scenario"), text("over"), thousands(&rate))
}

/// The course of each run: one in many colours, several in one colour each.
fn drawn(runs: &[Value], earlier: &[Value]) -> anyhow::Result<Vec<Drawn>> {
    let several = runs.len() + earlier.len() > 1;
    let named = runs.iter().enumerate().map(|(place, run)| {
        let name = if several { format!("run {}", place + 1) } else { String::new() };
        (name, COLOURS[place % COLOURS.len()], run)
    });
    let before = earlier.iter().enumerate().map(|(place, run)| {
        // all of them look the same, so one name is enough
        let name = if place == 0 { "earlier" } else { "" };
        (name.to_owned(), FAINT, run)
    });
    // those of today lie above
    before
        .chain(named)
        .map(|(name, colour, run)| {
            let course = serde_json::from_value(run["course"].clone());
            Ok(Drawn { name, colour, course: course.context("--plot: one of the runs has no course")? })
        })
        .collect()
}

fn throughput(drawn: &[Drawn]) -> Vec<Line> {
    match drawn {
        [Drawn { course, .. }] => vec![
            line("accepted", COLOURS[1], course, course.accepted_per_second.iter().copied().map(Some)),
            line("done", COLOURS[0], course, course.done_per_second.iter().copied().map(Some)),
        ],
        several => {
            let done = |one: &Drawn| {
                line(&one.name, one.colour, &one.course, one.course.done_per_second.iter().copied().map(Some))
            };
            several.iter().map(done).collect()
        }
    }
}

fn latency(drawn: &[Drawn]) -> Vec<Line> {
    match drawn {
        [Drawn { course, .. }] => vec![
            line("submit, p50", COLOURS[5], course, course.submit_p50_ms.iter().copied()),
            line("submit, p99", COLOURS[0], course, course.submit_p99_ms.iter().copied()),
            line("until SUCCESS is visible, p50", COLOURS[1], course, course.end_to_end_p50_ms.iter().copied()),
            line("until SUCCESS is visible, p99", COLOURS[4], course, course.end_to_end_p99_ms.iter().copied()),
        ],
        several => {
            let ended =
                |one: &Drawn| line(&one.name, one.colour, &one.course, one.course.end_to_end_p50_ms.iter().copied());
            several.iter().map(ended).collect()
        }
    }
}

/// Each value stands in the middle of its window.
fn line(name: &str, colour: RGBColor, course: &Course, values: impl Iterator<Item = Option<f64>>) -> Line {
    #[allow(clippy::cast_precision_loss, reason = "a window is at most a second")]
    let window_s = course.window_ms as f64 / 1_000.0;
    let points = values.enumerate().filter_map(|(place, value)| Some(((float(place) + 0.5) * window_s, value?)));
    Line { name: name.to_owned(), colour, points: points.collect() }
}

/// The least and the greatest.
fn ends<'l>(lines: impl IntoIterator<Item = &'l Line>, of: impl Fn((f64, f64)) -> f64) -> (f64, f64) {
    let values = lines.into_iter().flat_map(|line| &line.points).map(|point| of(*point));
    values.fold((f64::INFINITY, 0.0), |(least, most), value| (f64::min(least, value), f64::max(most, value)))
}

/// Whole powers of ten around what there is.
fn decades((least, most): (f64, f64)) -> std::ops::Range<f64> {
    let power = |value: f64, round: fn(f64) -> f64| 10_f64.powf(round(value.clamp(0.1, 1e7).log10()));
    let (from, to) = (power(least, f64::floor), power(most, f64::ceil));
    from.min(to / 10.0)..to
}

fn milliseconds(value: &f64) -> String {
    if *value < 1.0 { format!("{value:.1}") } else { thousands(value) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn run(done: f64) -> Value {
        json!({
            "scenario": "happy", "over": "grpc", "registrations_per_second": 5_123.0,
            "course": {
                "window_ms": 100,
                "accepted_per_second": [6_000, 5_000, 0], "done_per_second": [1_000, done, 4_000],
                "submit_p50_ms": [3.5, 4.0, null], "submit_p99_ms": [9, 12, null],
                "end_to_end_p50_ms": [null, 20, 30], "end_to_end_p99_ms": [null, 45, 60],
            },
        })
    }

    #[test]
    fn a_run_is_drawn_with_its_throughput_and_its_latencies() {
        let svg = picture(&[run(5_000.0)], &[]).expect("a picture");
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"), "{svg}");
        for words in ["happy over grpc, 5,123 registrations/s", "accepted", "done", "submit, p99", "milliseconds"] {
            assert!(svg.contains(words), "{words} in {svg}");
        }
        assert!(svg.matches("<polyline").count() >= 6, "{svg}");
    }

    #[test]
    fn several_runs_are_a_line_each() {
        let svg = picture(&[run(5_000.0), run(6_000.0)], &[run(2_000.0)]).expect("a picture");
        for words in ["run 1", "run 2", "earlier", "done, registrations / s", "the first of 2 runs"] {
            assert!(svg.contains(words), "{words} in {svg}");
        }
    }

    #[test]
    fn latencies_stand_between_powers_of_ten() {
        let near = |range: std::ops::Range<f64>, from: f64, to: f64| {
            (range.start / from - 1.0).abs() < 1e-9 && (range.end / to - 1.0).abs() < 1e-9
        };
        assert!(near(decades((330.0, 2_600.0)), 100.0, 10_000.0));
        assert!(near(decades((10.0, 10.0)), 1.0, 10.0));
        assert!(near(decades((f64::INFINITY, 0.0)), 0.01, 0.1), "nothing ended");
    }

    #[test]
    fn a_run_without_a_course_cannot_be_drawn() {
        let error = picture(&[json!({ "scenario": "rebuild" })], &[]).expect_err("no course").to_string();
        assert!(error.contains("has no course"), "{error}");
    }
}
