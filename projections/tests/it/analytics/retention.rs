//! What is too old goes as the times of records move on.

use events::Timestamp;
use events::maker_event::{HealthChecked, IncidentOpened};
use events::{Actor, HealthState};
use regflow_projections::{AnalyticsView, MetricsFilter, Resolution};

use super::{ever, minutes, view, window};
use crate::history::Log;

const DAY_MINUTES: i64 = 1_440;

/// Points of the day that begins `day` days after the first.
fn points(view: &AnalyticsView, day: i64, resolution: Resolution) -> usize {
    let (start, end) = (minutes(day * DAY_MINUTES), minutes((day + 1) * DAY_MINUTES));
    let filter = MetricsFilter { resolution: Some(resolution), ..MetricsFilter::default() };
    let metrics = view.metrics(window(start, end), &filter).unwrap();
    metrics.series.first().map_or(0, |series| series.points.len())
}

/// An attempt, and a round of checks, in each of the first ten minutes of these days.
fn happened(view: &AnalyticsView, log: &mut Log, days: &[i64]) {
    for minute in days.iter().flat_map(|day| (0..10).map(move |minute| day * DAY_MINUTES + minute)) {
        log.now = Some(minutes(minute));
        log.attempt(minute.unsigned_abs(), "norrland", None, 9);
        let checked = HealthChecked { api: None, form: None, state: HealthState::Healthy, conditions: Vec::new() };
        log.append_maker("norrland", Actor::System, vec![checked.into()]);
    }
    view.apply(&log.records, &log.makers).unwrap();
    view.write().unwrap();
}

#[test]
fn minutes_go_after_two_days_hours_after_ninety_days_after_three_years() {
    let (_folder, view) = view();
    let mut log = Log::default();
    happened(&view, &mut log, &[0, 1]);
    assert_eq!((points(&view, 0, Resolution::Minute), points(&view, 1, Resolution::Minute)), (10, 10));
    happened(&view, &mut log, &[3]);
    assert_eq!([0, 1, 3].map(|day| points(&view, day, Resolution::Minute)), [0, 1, 10]);
    assert_eq!((points(&view, 0, Resolution::Hour), points(&view, 0, Resolution::Day)), (1, 1));

    happened(&view, &mut log, &[91]);
    assert_eq!([0, 1, 3, 91].map(|day| points(&view, day, Resolution::Hour)), [0, 1, 1, 1]);
    assert_eq!(points(&view, 0, Resolution::Day), 1);
    happened(&view, &mut log, &[3 * 365 + 1]);
    assert_eq!([0, 1, 3].map(|day| points(&view, day, Resolution::Day)), [0, 1, 1]);
}

#[test]
fn lists_are_kept_for_ninety_days_but_an_incident_that_is_not_over_stays() {
    let (_folder, view) = view();
    let mut log = Log::beginning(Timestamp(minutes(0).0 - 1));
    let opened = IncidentOpened { state: HealthState::Down, detail: "down".into() };
    log.append_maker("norrland", Actor::System, vec![opened.into()]);
    happened(&view, &mut log, &[0, 89]);
    assert_eq!(view.health(ever(), None, 1_000).unwrap().len(), 20);
    happened(&view, &mut log, &[91]);
    assert_eq!(view.health(ever(), None, 1_000).unwrap().len(), 20);
    assert_eq!(view.incidents(None, false, 10).unwrap().len(), 1);
}
