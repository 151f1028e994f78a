//! What the views cost: folding a generated log of happy registrations into each, and reading from them.
//!
//! `REGFLOW_BENCH_REGISTRATIONS` says how many registrations (three records each) are folded, 10,000 by default.
#![allow(clippy::unwrap_used, reason = "a measurement stops where it breaks")]

mod happy;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use events::{Status, Stored};
use happy::{BEGIN, PAGE_RECORDS, STREAM, id, log, registrations};
use regflow_projections::{AnalyticsView, Filter, MetricsFilter, StatusView, Window};

/// As the binary has it: the views allocate much.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Rows on a page of a list, as people ask for them.
const LIST_ROWS: usize = 50;

fn status_view(folder: &Path) -> StatusView {
    StatusView::open(&folder.join("status"), STREAM, BEGIN).unwrap().view
}

fn analytics_view(folder: &Path) -> AnalyticsView {
    AnalyticsView::open(&folder.join("analytics"), STREAM, BEGIN).unwrap().view
}

/// Time of `take_in` over the whole log, each time into an empty view.
fn folding<V>(
    log: &[Stored],
    rounds: u64,
    open: impl Fn(&Path) -> V,
    take_in: impl Fn(&V, &[Stored]),
    end: impl Fn(&V),
) -> Duration {
    let mut took = Duration::ZERO;
    for _ in 0..rounds {
        let folder = tempfile::tempdir().unwrap();
        let view = open(folder.path());
        let begun = Instant::now();
        log.chunks(PAGE_RECORDS).for_each(|page| take_in(&view, page));
        end(&view);
        took += begun.elapsed();
    }
    took
}

fn fold(criterion: &mut Criterion) {
    let log = log();
    let mut group = criterion.benchmark_group("fold a log of happy registrations into");
    group.sample_size(10).measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_millis(500));
    group.throughput(Throughput::Elements(log.len() as u64));
    group.bench_function("the status view, records", |bencher| {
        bencher.iter_custom(|rounds| {
            let take_in = |view: &StatusView, page: &[Stored]| {
                black_box(view.apply(page).unwrap());
            };
            folding(&log, rounds, status_view, take_in, |view| view.write().unwrap())
        });
    });
    group.bench_function("the analytics view, records", |bencher| {
        bencher.iter_custom(|rounds| {
            let take_in =
                |view: &AnalyticsView, page: &[Stored]| view.apply(page, &[] as &[events::StoredMaker]).unwrap();
            folding(&log, rounds, analytics_view, take_in, |view| view.write().unwrap())
        });
    });
    group.finish();
}

fn read(criterion: &mut Criterion) {
    let (log, folder) = (log(), tempfile::tempdir().unwrap());
    let (status, analytics) = (status_view(folder.path()), analytics_view(folder.path()));
    for page in log.chunks(PAGE_RECORDS) {
        status.apply(page).unwrap();
        analytics.apply(page, &[] as &[events::StoredMaker]).unwrap();
    }
    let (count, mut number) = (registrations(), 0);
    let mut group = criterion.benchmark_group("read");
    group.sample_size(20).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    group.bench_function("get one by its id", |bencher| {
        bencher.iter(|| {
            // from all over the view, so that no row stays near
            number = (number + 7_919) % count;
            black_box(status.get(id(number)).unwrap().unwrap())
        });
    });
    let filters = [
        ("all", Filter::default()),
        ("of a status", Filter { statuses: vec![Status::Success], ..Filter::default() }),
        ("of a maker", Filter { maker: Some("norrland".into()), ..Filter::default() }),
        ("of a tenant", Filter { tenant: Some("default".into()), ..Filter::default() }),
    ];
    for (name, filter) in filters {
        group.bench_function(format!("list the newest {LIST_ROWS} {name}"), |bencher| {
            bencher.iter(|| {
                let page = status.list(&filter, LIST_ROWS, None).unwrap();
                assert_eq!(page.rows.len(), LIST_ROWS);
                page
            });
        });
    }
    let window = Window { start: BEGIN, end: BEGIN.plus(Duration::from_secs(3_600)) };
    group.bench_function("metrics of an hour", |bencher| {
        bencher.iter(|| analytics.metrics(window, &MetricsFilter::default()).unwrap());
    });
    group.finish();
}

criterion_group!(views, fold, read);
criterion_main!(views);
