//! What pages of the log make of the numbers.

use events::event::{
    AttemptStarted, AttemptSucceeded, Cancelled, Corrected, Expired, ManualRequired, PacketOpened,
    RegistrationSucceeded, RetryRequested, UserCompleted,
};
use events::maker_event::{IncidentClosed, IncidentOpened};
use events::{Actor, ErrorKind, Event, HealthState, ManualReason, Method, PersonKeyId, RegistrationId};
use jiff::civil::{Date, date};
use regflow_projections::{AnalyticsView, DeadlineCounts, Funnel, MetricsError, MetricsFilter, Resolution, ViewError};
use uuid::Uuid;

use super::{DAY, MIDNIGHT, all_of, ever, metrics, minutes, story, view, window};
use crate::history::{Log, id, owner, packet};

/// Nothing of makers.
const NO_MAKERS: &[events::StoredMaker] = &[];
/// Nothing of registrations.
const NO_RECORDS: &[events::Stored] = &[];

#[test]
fn each_outcome_goes_into_its_minute_hour_and_day() {
    let (_folder, view) = view();
    let mut log = Log::beginning(minutes(59));
    log.attempt(1, "norrland", None, 40);
    log.attempt(2, "norrland", Some(ErrorKind::Server), 900);
    log.attempt(3, "norrland", Some(ErrorKind::Validation), 30);
    log.now = Some(minutes(60));
    log.attempt(4, "norrland", None, 60);
    view.apply(&log.records, NO_MAKERS).unwrap();

    let by_minute = metrics(&view, Resolution::Minute);
    let [series] = by_minute.series.as_slice() else { panic!("{by_minute:#?}") };
    assert_eq!((series.connector.as_str(), series.method), ("norrland", Method::Api));
    let starts: Vec<_> = series.points.iter().map(|(start, tally)| (*start, tally.attempts())).collect();
    assert_eq!(starts, [(minutes(59), 3), (minutes(60), 1)]);
    let first = &series.points[0].1;
    assert_eq!((first.succeeded(), first.success_percent()), (1, Some(50.0)));
    assert_eq!((first.latency_ms(50), first.latency_ms(95)), (Some(40.0), Some(899.5)));
    assert_eq!(first.errors(), [(ErrorKind::Server, 1), (ErrorKind::Validation, 1)]);

    for (resolution, points) in [(Resolution::Hour, 2), (Resolution::Day, 1)] {
        let metrics = metrics(&view, resolution);
        assert_eq!((metrics.series[0].points.len(), &metrics.total), (points, &by_minute.total), "{resolution:?}");
    }
}

#[test]
fn a_filter_gives_one_maker_or_method_and_the_window_is_rounded_to_whole_points() {
    let (_folder, view) = view();
    let log = story();
    view.apply(&log.records, &log.makers).unwrap();
    let of = |connector: Option<&str>, method| {
        let filter = MetricsFilter { connector: connector.map(Into::into), method, resolution: None };
        view.metrics(window(minutes(10), minutes(20)), &filter).unwrap()
    };
    let both = of(None, None);
    assert_eq!(both.series.iter().map(|s| s.connector.as_str()).collect::<Vec<_>>(), ["kestrel", "norrland"]);
    assert_eq!((both.total.attempts(), both.resolution), (10, Resolution::Minute));
    assert_eq!(of(Some("kestrel"), None).total.attempts(), 3);
    assert_eq!(of(None, Some(Method::AutomationReliable)).series, []);

    let odd = window(events::Timestamp(minutes(10).0 + 1), events::Timestamp(minutes(20).0 + 1));
    let rounded = view.metrics(odd, &MetricsFilter::default()).unwrap();
    assert_eq!(rounded.window, window(minutes(10), minutes(21)));
}

#[test]
fn the_finest_resolution_that_fits_and_is_kept_is_chosen() {
    let (_folder, view) = view();
    let mut log = Log::beginning(minutes(0));
    log.attempt(1, "norrland", None, 40);
    view.apply(&log.records, NO_MAKERS).unwrap();
    let chosen = |start, end| view.metrics(window(minutes(start), minutes(end)), &MetricsFilter::default());
    let resolution = |start, end| chosen(start, end).unwrap().resolution;
    assert_eq!(resolution(-1_440, 0), Resolution::Minute);
    assert_eq!(resolution(-1_441, 0), Resolution::Hour);
    assert_eq!(resolution(-3 * 1_440, -3 * 1_440 + 60), Resolution::Hour, "minutes are kept for two days");
    assert_eq!(resolution(-60 * 1_440, 0), Resolution::Hour);
    assert_eq!(resolution(-61 * 1_440, 0), Resolution::Day);
    assert!(matches!(chosen(-1_441 * 1_440, 0), Err(MetricsError::TooManyPoints { points: 1_441 })));
    let by_minute = MetricsFilter { resolution: Some(Resolution::Minute), ..MetricsFilter::default() };
    let refused = view.metrics(window(minutes(-1_441), minutes(0)), &by_minute);
    assert!(matches!(refused, Err(MetricsError::TooManyPoints { points: 1_441 })));
}

#[test]
fn an_outcome_is_counted_once_and_only_of_the_attempt_under_way() {
    let (_folder, view) = view();
    let mut log = Log::beginning(MIDNIGHT);
    log.attempt(1, "norrland", Some(ErrorKind::UnknownOutcome), 10_000);
    // a question to the maker found it
    let found =
        AttemptSucceeded { attempt: 1, already_registered: true, latency_ms: 5, evidence: None, received: None };
    log.append(id(1), vec![found.clone().into()]);
    log.append(
        id(1),
        vec![AttemptStarted { attempt: 2, method: Method::Api, connector: String::new(), sends: None }.into()],
    );
    log.append(id(1), vec![found.into()]);
    view.apply(&log.records, NO_MAKERS).unwrap();
    let total = metrics(&view, Resolution::Day).total;
    assert_eq!((total.attempts(), total.succeeded()), (1, 0));

    let done =
        AttemptSucceeded { attempt: 2, already_registered: false, latency_ms: 5, evidence: None, received: None };
    let done = log.append(id(1), vec![done.into()]);
    view.apply(&[done], NO_MAKERS).unwrap();
    let metrics = metrics(&view, Resolution::Day);
    assert_eq!((metrics.total.attempts(), metrics.total.succeeded()), (2, 1));
    assert_eq!(metrics.series[0].connector, "norrland", "the old record of the attempt does not name the maker");
}

#[test]
fn lists_tell_what_happened_newest_first() {
    let (_folder, view) = view();
    let log = story();
    view.apply(&log.records, &log.makers).unwrap();
    let circuits = view.circuits(ever(), None, 10).unwrap();
    let told: Vec<_> = circuits.iter().map(|c| (c.connector.as_str(), c.event.as_str(), c.actor.as_str())).collect();
    assert_eq!(
        told,
        [
            ("kestrel", "paused", "operator mira"),
            ("norrland", "circuit_closed", "regflow"),
            ("norrland", "circuit_opened", "regflow")
        ]
    );
    assert_eq!((circuits[0].method, circuits[0].reason.as_str()), (None, "they asked for it"));
    assert!(circuits[2].reason.starts_with("5 attempts in a row failed"), "{}", circuits[2].reason);
    assert_eq!(view.circuits(ever(), Some("norrland"), 1).unwrap(), [circuits[1].clone()]);
    assert_eq!(view.circuits(window(minutes(0), minutes(182)), None, 10).unwrap(), [circuits[2].clone()]);
    assert_eq!(view.health(ever(), None, 1_000).unwrap().len(), 180);
    assert_eq!(view.health(ever(), None, 3).unwrap()[0].at, minutes(179));
    assert_eq!(view.health(ever(), Some("kestrel"), 3).unwrap(), []);
}

#[test]
fn an_incident_has_its_end_also_when_its_begin_was_written_long_ago() {
    let (_folder, view) = view();
    let mut log = Log::beginning(minutes(1));
    let opened = IncidentOpened { state: HealthState::Down, detail: "down".into() };
    log.append_maker("norrland", Actor::System, vec![opened.clone().into()]);
    log.append_maker("kestrel", Actor::System, vec![opened.into()]);
    view.apply(NO_RECORDS, &log.makers).unwrap();
    view.write().unwrap();
    assert_eq!(view.incidents(None, true, 10).unwrap().len(), 2);
    log.now = Some(minutes(5));
    log.append_maker("norrland", Actor::System, vec![IncidentClosed { opened_at: minutes(1) }.into()]);
    view.apply(NO_RECORDS, &log.makers).unwrap();
    for _ in 0..2 {
        let [open] = <[_; 1]>::try_from(view.incidents(None, true, 10).unwrap()).unwrap();
        assert_eq!((open.connector.as_str(), open.until), ("kestrel", None));
        let all = view.incidents(None, false, 10).unwrap();
        assert_eq!((all.len(), all[0].connector.as_str(), all[0].until), (2, "norrland", Some(minutes(5))));
        view.write().unwrap();
    }
}

#[test]
fn the_funnel_counts_a_registration_once_a_step() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.manual(1);
    log.append(id(1), vec![RetryRequested { from: None, reason: None }.into()]);
    log.append(id(1), vec![ManualRequired { reason: ManualReason::Captcha }.into()]);
    log.append(id(1), vec![packet().into()]);
    log.append(id(1), vec![PacketOpened {}.into()]);
    log.append(id(1), vec![PacketOpened {}.into()]);
    view.apply(&log.records, NO_MAKERS).unwrap();
    view.write().unwrap();
    let done = log.append(id(1), vec![UserCompleted { confirmation: None, photo: None }.into()]);
    log.manual(2);
    // nobody knew the outcome, and no packet went out
    log.attempt(3, "norrland", Some(ErrorKind::UnknownOutcome), 9);
    log.append(id(3), vec![UserCompleted { confirmation: None, photo: None }.into()]);
    view.apply(&[done], NO_MAKERS).unwrap();
    view.apply(&log.records, NO_MAKERS).unwrap();
    assert_eq!(view.funnel().unwrap(), Funnel { required: 2, sent: 2, opened: 1, completed: 1 });
}

/// A submission with this last day.
fn submit(log: &mut Log, n: u64, last_day: Date) {
    log.submit(n, "norrland", owner(n));
    let stored = log.records.last_mut().unwrap();
    if let [Event::Submitted(submitted)] = stored.record.events.as_mut_slice() {
        submitted.register_by = Some(last_day);
    }
}

fn risk(view: &AnalyticsView) -> Vec<(u64, u64, u64)> {
    let counts = |counts: DeadlineCounts| (counts.passed, counts.within_three_days, counts.within_two_weeks);
    view.deadlines(DAY).unwrap().into_iter().map(counts).collect()
}

#[test]
fn open_registrations_are_counted_by_their_last_day_until_they_end() {
    let (_folder, view) = view();
    let mut log = Log::default();
    for (n, day) in [(1, 29), (2, 30), (3, 31)] {
        submit(&mut log, n, date(2026, 5, day));
    }
    for (n, day) in [(4, 2), (5, 3), (6, 13), (7, 14)] {
        submit(&mut log, n, date(2026, 6, day));
    }
    view.apply(&log.records, NO_MAKERS).unwrap();
    assert_eq!(risk(&view), [(1, 3, 2)]);
    view.write().unwrap();
    assert_eq!(risk(&view), [(1, 3, 2)], "as it was written");

    let mut append = |n: u64, event: Event| {
        let stored = log.append(id(n), vec![event]);
        view.apply(&[stored], NO_MAKERS).unwrap();
        risk(&view)
    };
    assert_eq!(append(1, Expired { last_day: date(2026, 5, 29) }.into()), [(0, 3, 2)]);
    assert_eq!(append(2, RegistrationSucceeded { method: Method::Api, confirmation: None }.into()), [(0, 2, 2)]);
    assert_eq!(append(3, Cancelled { reason: None }.into()), [(0, 1, 2)]);
    view.write().unwrap();
    assert_eq!(append(3, RetryRequested { from: None, reason: None }.into()), [(0, 2, 2)]);
    let person_key = PersonKeyId(Uuid::from_u128(6));
    let register_by = Some(date(2026, 12, 24));
    let mended = Corrected {
        model: "X".into(),
        purchased_on: None,
        person_key,
        sealed: Vec::new(),
        register_by,
        owner_ref: None,
    };
    assert_eq!(append(5, mended.into()), [(0, 2, 1)]);
}

#[test]
fn pages_of_any_cut_and_writes_in_between_give_the_same_numbers() {
    let log = story();
    let (_one, at_once) = view();
    at_once.apply(&log.records, &log.makers).unwrap();
    let (_two, by_record) = view();
    let (mut registrations, mut makers) = (log.records.as_slice(), log.makers.as_slice());
    while let Some(next) =
        [registrations.first().map(|r| r.sequence), makers.first().map(|m| m.sequence)].into_iter().flatten().min()
    {
        let (page, rest) = registrations.split_at(registrations.partition_point(|r| r.sequence < next + 7));
        let (page_of_makers, rest_of_makers) = makers.split_at(makers.partition_point(|m| m.sequence < next + 7));
        by_record.apply(page, page_of_makers).unwrap();
        // the same page again
        by_record.apply(page, page_of_makers).unwrap();
        by_record.write().unwrap();
        (registrations, makers) = (rest, rest_of_makers);
    }
    assert_eq!(all_of(&by_record), all_of(&at_once));
    assert_eq!(by_record.position(), (log.records.len() + log.makers.len()) as u64);
    assert!(metrics(&by_record, Resolution::Minute).total.attempts() >= 180);
}

#[test]
fn a_registration_that_the_view_never_saw_begin_does_no_harm() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    log.attempt(2, "norrland", None, 7);
    view.apply(&log.records[2..], NO_MAKERS).unwrap();
    view.write().unwrap();
    assert_eq!(risk(&view), []);
    assert_eq!(RegistrationId(id(1).0), id(1));
}

#[test]
fn a_page_that_goes_backwards_or_is_too_long_is_refused() {
    let (_folder, view) = view();
    let mut log = Log::default();
    for n in 0..=4_096 {
        log.submit(n, "norrland", owner(n));
    }
    let refused = view.apply(&log.records, NO_MAKERS).unwrap_err();
    assert!(matches!(refused, ViewError::PageTooLong { .. }) && !refused.needs_rebuild());
    let backwards = [log.records[1].clone(), log.records[0].clone()];
    assert!(matches!(view.apply(&backwards, NO_MAKERS), Err(ViewError::OutOfOrder { sequence: 1, .. })));
    assert!(matches!(view.apply(&log.records[..2], NO_MAKERS), Err(ViewError::InDoubt)));
    view.start_over(crate::history::NOW).unwrap();
    view.apply(&log.records[..2], NO_MAKERS).unwrap();
    assert_eq!(view.position(), 2);
}
