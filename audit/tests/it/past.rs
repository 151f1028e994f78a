//! The past is what the live views showed when it was the present.

use bus::{EventLog, FollowItem, Page};
use events::circuit::CircuitView;
use events::{Guards, Level, MakerPolicy, Method, Sequence, Timestamp};
use projections::{
    AnalyticsView, Counts, Filter, Funnel, Metrics, MetricsFilter, Past, Resolution, Row, StatusView, Wanted, Window,
};
use regflow_audit::{AsOf, Moment, as_of, as_of_into};

use crate::story::{BEGIN, MAKERS, Teller};

/// Nothing of makers.
const NO_MAKERS: &[events::StoredMaker] = &[];
/// Nothing of registrations.
const NO_RECORDS: &[events::Stored] = &[];

const STEPS: usize = 600;
const SNAPSHOT_EVERY: usize = 50;
const ROWS: usize = 20;

/// What was shown at one moment.
#[derive(Debug, PartialEq)]
struct Shown {
    counts: Counts,
    row: Option<Row>,
    rows: Vec<Row>,
    metrics: Metrics,
    funnel: Funnel,
    makers: Vec<(CircuitView, bool, Vec<Level>)>,
}

struct Snapshot {
    sequence: Sequence,
    time: Timestamp,
    wanted: Wanted,
    shown: Shown,
}

fn guards() -> Guards {
    Guards::new(MAKERS.map(|maker| (maker, MakerPolicy::default())))
}

fn makers(guards: &Guards, now: Timestamp) -> Vec<(CircuitView, bool, Vec<Level>)> {
    let one = |maker: &&str| {
        let maker = guards.find(maker).unwrap();
        (maker.circuit(Method::Api).unwrap().view(), maker.pause(Method::Api).is_some(), maker.bucket.levels(now))
    };
    MAKERS.iter().map(one).collect()
}

fn window(now: Timestamp) -> (Window, MetricsFilter) {
    let window = Window { start: Timestamp(now.0 - 3_600_000_000), end: now };
    (window, MetricsFilter { resolution: Some(Resolution::Minute), ..MetricsFilter::default() })
}

struct Live {
    status: StatusView,
    analytics: AnalyticsView,
    guards: Guards,
    now: Timestamp,
    _folder: tempfile::TempDir,
}

impl Live {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let status = StatusView::open(&folder.path().join("status"), 1, BEGIN).unwrap().view;
        let analytics = AnalyticsView::open(&folder.path().join("analytics"), 1, BEGIN).unwrap().view;
        Self { status, analytics, guards: guards(), now: BEGIN, _folder: folder }
    }

    fn take(&mut self, page: Page) {
        for item in page.items {
            match item {
                FollowItem::Record(stored) => {
                    self.now = self.now.max(stored.record.at);
                    self.guards.take(&stored);
                    let page = [stored];
                    self.status.apply(&page).unwrap();
                    self.analytics.apply(&page, NO_MAKERS).unwrap();
                }
                FollowItem::Maker(stored) => {
                    self.now = self.now.max(stored.record.at);
                    self.guards.take_maker(&stored);
                    self.analytics.apply(NO_RECORDS, &[stored]).unwrap();
                }
                FollowItem::Unreadable { .. } => unreachable!(),
            }
        }
        self.analytics.write().unwrap();
    }

    fn snapshot(&self, sequence: Sequence, wanted: Wanted) -> Snapshot {
        let (window, filter) = window(self.now);
        let shown = Shown {
            counts: self.status.counts(),
            row: wanted.id.and_then(|id| self.status.get(id).unwrap()),
            rows: self.status.list(&wanted.filter, wanted.rows_max, None).unwrap().rows,
            metrics: self.analytics.metrics(window, &filter).unwrap(),
            funnel: self.analytics.funnel().unwrap(),
            makers: makers(&self.guards, self.now),
        };
        Snapshot { sequence, time: self.now, wanted, shown }
    }
}

/// Of whom and what is asked changes from snapshot to snapshot.
fn wanted(teller: &Teller, number: usize) -> Wanted {
    let statuses = match number % 3 {
        0 => vec![],
        1 => vec![events::Status::Success],
        _ => vec![events::Status::ManualRequired, events::Status::Waiting, events::Status::UserCompleted],
    };
    let maker = (number % 2 == 1).then(|| "norrland".to_owned());
    let owner_ref = (number % 4 == 2).then(|| Teller::owner(1));
    Wanted {
        id: teller.ids.get(number * 3).copied(),
        filter: Filter { statuses, maker, owner_ref, tenant: None },
        rows_max: ROWS,
    }
}

fn shown(all: &AsOf) -> (Shown, bool) {
    let (window, filter) = window(all.time);
    let (rows, complete) = all.past.rows();
    let shown = Shown {
        counts: *all.past.counts(),
        row: all.past.row().cloned(),
        rows: rows.into_iter().cloned().collect(),
        metrics: all.past.metrics(window, &filter).unwrap(),
        funnel: all.past.funnel(),
        makers: makers(&all.guards, all.time),
    };
    (shown, complete)
}

/// The log, and what the live views showed while it was told.
async fn told(seed: u64) -> (Teller, Vec<Snapshot>) {
    let (mut teller, mut live, mut snapshots) = (Teller::new(seed), Live::new(), Vec::new());
    let mut follow = teller.log.follow(0).await.unwrap();
    for step in 1..=STEPS {
        let sequence = teller.tell().await;
        if step.is_multiple_of(SNAPSHOT_EVERY) {
            while snapshots_behind(&live, sequence) {
                live.take(follow.next_page(256, std::time::Duration::from_secs(1)).await.unwrap());
            }
            snapshots.push(live.snapshot(sequence, wanted(&teller, step / SNAPSHOT_EVERY)));
        }
    }
    (teller, snapshots)
}

fn snapshots_behind(live: &Live, sequence: Sequence) -> bool {
    live.analytics.position() < sequence
}

#[tokio::test]
async fn status_lists_circuits_and_metrics_are_exactly_what_was_shown_then() {
    for seed in [1, 2] {
        let (teller, snapshots) = told(seed).await;
        assert_eq!(snapshots.len(), STEPS / SNAPSHOT_EVERY);
        for snapshot in &snapshots {
            let at = Some(Moment::Sequence(snapshot.sequence));
            let then = as_of(&teller.log, at, snapshot.wanted.clone(), guards()).await.unwrap();
            assert_eq!(then.time, snapshot.time);
            assert_eq!(shown(&then).0, snapshot.shown, "seed {seed}, sequence {}", snapshot.sequence);
        }
        let seen = |of: fn(&Shown) -> bool| snapshots.iter().any(|snapshot| of(&snapshot.shown));
        assert!(seen(|shown| shown.metrics.total.attempts() > 0) && seen(|shown| shown.funnel.completed > 0));
        assert!(seen(|shown| shown.rows.len() == ROWS) && seen(|shown| shown.row.is_some()));
    }
}

#[tokio::test]
async fn the_same_moment_is_found_by_its_time() {
    let (teller, snapshots) = told(4).await;
    for snapshot in &snapshots {
        let at = Some(Moment::Time(snapshot.time));
        let then = as_of(&teller.log, at, snapshot.wanted.clone(), guards()).await.unwrap();
        assert_eq!((then.sequence, shown(&then).0), (snapshot.sequence, snapshot.shown_again()));
    }
}

#[tokio::test]
async fn with_room_for_few_the_rest_is_read_again_and_nothing_is_counted_wrong() {
    let (teller, snapshots) = told(5).await;
    let mut incomplete = 0;
    for snapshot in &snapshots {
        let past = Past::with_open_max(snapshot.wanted.clone(), 8);
        let at = Some(Moment::Sequence(snapshot.sequence));
        let then = as_of_into(&teller.log, at, past, guards()).await.unwrap();
        let (now_shown, complete) = shown(&then);
        let expected = snapshot.shown_again();
        // rows that were let go are missing from a list, and it says so; everything else is exact
        let rows = if complete { expected.rows.clone() } else { now_shown.rows.clone() };
        incomplete += usize::from(!complete);
        assert_eq!(now_shown, Shown { rows, ..expected }, "sequence {}", snapshot.sequence);
    }
    assert!(incomplete > 3, "{incomplete}");
}

impl Snapshot {
    fn shown_again(&self) -> Shown {
        let Shown { counts, row, rows, metrics, funnel, makers } = &self.shown;
        Shown {
            counts: *counts,
            row: row.clone(),
            rows: rows.clone(),
            metrics: metrics.clone(),
            funnel: *funnel,
            makers: makers.clone(),
        }
    }
}
