//! What a view gives back when nothing comes any more; a test binary of its own, because it counts what everybody in it allocates.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "it/history.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod history;

use history::{Log, NOW, STREAM, id};
use regflow_projections::{AnalyticsView, Filter, StatusView};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const REGISTRATIONS: u64 = 6_000;
const PAGE: usize = 30;

fn alive() -> usize {
    // what sled has replaced is freed by whoever looks next, a few pages a look
    for _ in 0..1_000 {
        crossbeam_epoch::pin().flush();
    }
    dhat::HeapStats::get().curr_bytes
}

#[test]
fn a_view_that_rests_gives_its_cache_back_and_holds_what_it_held() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let folder = tempfile::tempdir().unwrap();
    let (status_dir, analytics_dir) = (folder.path().join("status"), folder.path().join("analytics"));
    let mut log = Log::default();
    (1..=REGISTRATIONS).for_each(|n| log.happy(n));
    let view = StatusView::open(&status_dir, STREAM, NOW).unwrap().view;
    let analytics = AnalyticsView::open(&analytics_dir, STREAM, NOW).unwrap().view;
    let empty = alive();
    // nothing to give back: it is not even closed
    view.rest().unwrap();
    for page in log.records.chunks(PAGE) {
        view.apply(page).unwrap();
        view.write().unwrap();
        analytics.apply(page, &log.makers).unwrap();
        analytics.write().unwrap();
    }
    let (held, told) = (view.fingerprint().unwrap(), analytics.fingerprint().unwrap());
    let before = alive() - empty;
    view.rest().unwrap();
    analytics.rest().unwrap();
    let after = alive().saturating_sub(empty);
    println!("bytes alive: {before}, after a rest {after}");
    assert!(after * 2 < before, "{before} bytes were alive, and {after} still are");
    assert_eq!((view.fingerprint().unwrap(), analytics.fingerprint().unwrap()), (held, told));
    // and it goes on
    let taken_in = log.records.len();
    log.happy(REGISTRATIONS + 1);
    view.apply(&log.records[taken_in..]).unwrap();
    assert!(view.get(id(1)).unwrap().is_some() && view.get(id(REGISTRATIONS + 1)).unwrap().is_some());
    assert_eq!(view.list(&Filter::default(), 5, None).unwrap().rows.len(), 5);
    assert_eq!(view.counts().total(), REGISTRATIONS + 1);
}
