//! The analytics view as its users see it.

mod folding;
mod opening;
mod quantiles;
mod retention;

use std::path::Path;

use events::{Method, Timestamp};
use regflow_projections::{AnalyticsView, Metrics, MetricsFilter, Resolution, Window};

use crate::history::{Log, NOW, STREAM};

const MINUTE_US: i64 = 60_000_000;
/// A whole day, and so a whole hour and minute.
const MIDNIGHT: Timestamp = Timestamp(1_780_012_800_000_000);

fn open(dir: &Path) -> AnalyticsView {
    AnalyticsView::open(dir, STREAM, NOW).unwrap().view
}

fn view() -> (tempfile::TempDir, AnalyticsView) {
    let folder = tempfile::tempdir().unwrap();
    let view = open(&folder.path().join("analytics"));
    (folder, view)
}

fn minutes(n: i64) -> Timestamp {
    Timestamp(MIDNIGHT.0 + n * MINUTE_US)
}

fn window(start: Timestamp, end: Timestamp) -> Window {
    Window { start, end }
}

fn ever() -> Window {
    window(Timestamp(0), Timestamp(i64::MAX))
}

/// Everything from midnight on, a day long.
fn metrics(view: &AnalyticsView, resolution: Resolution) -> Metrics {
    let filter = MetricsFilter { resolution: Some(resolution), ..MetricsFilter::default() };
    view.metrics(window(MIDNIGHT, minutes(1_440)), &filter).unwrap()
}

/// Everything that can be asked, as text.
fn all_of(view: &AnalyticsView) -> String {
    let metrics: Vec<_> = Resolution::ALL.into_iter().map(|resolution| metrics(view, resolution)).collect();
    let lists = (
        view.circuits(ever(), None, 1_000).unwrap(),
        view.health(ever(), None, 1_000).unwrap(),
        view.incidents(None, false, 1_000).unwrap(),
    );
    format!("{metrics:#?}{lists:#?}{:?}{:?}", view.funnel().unwrap(), view.deadlines(DAY).unwrap())
}

const DAY: jiff::civil::Date = jiff::civil::date(2026, 5, 30);

/// Three hours of two makers and what happened to them.
fn story() -> Log {
    use events::event::{Cancelled, UserCompleted};
    use events::maker_event::{CircuitClosed, CircuitOpened, HealthChecked, IncidentClosed, IncidentOpened, Paused};
    use events::{Actor, ErrorKind, HealthState};
    let mut log = Log::default();
    for n in 0..180_i64 {
        log.now = Some(minutes(n));
        let failure = (n % 4 == 0).then_some(ErrorKind::Server);
        let maker = if n % 3 == 0 { "kestrel" } else { "norrland" };
        log.attempt(n.unsigned_abs(), maker, failure, u32::try_from(100 + n).unwrap());
        if n % 20 == 7 {
            log.append(crate::history::id(n.unsigned_abs()), vec![Cancelled { reason: None }.into()]);
        }
        let checked = HealthChecked { api: None, form: None, state: HealthState::Healthy, conditions: Vec::new() };
        log.append_maker("norrland", Actor::System, vec![checked.into()]);
    }
    log.manual(1_000);
    log.append(crate::history::id(1_000), vec![UserCompleted { confirmation: None, photo: None }.into()]);
    log.manual(1_001);
    let opened = CircuitOpened { method: Method::Api, until: minutes(181), failures: 5 };
    let incident = IncidentOpened { state: HealthState::Down, detail: "the circuit of API is open".into() };
    log.append_maker("norrland", Actor::System, vec![opened.into(), incident.into()]);
    log.now = Some(minutes(182));
    log.append_maker("norrland", Actor::System, vec![CircuitClosed { method: Method::Api }.into()]);
    let paused = Paused { method: None, reason: "they asked for it".into() };
    log.append_maker("kestrel", Actor::Operator("mira".into()), vec![paused.into()]);
    log.now = Some(minutes(190));
    log.append_maker("norrland", Actor::System, vec![IncidentClosed { opened_at: minutes(179) }.into()]);
    log
}
