//! What it costs to say whose turn it is: with many who wait, with many makers, for one who arrives, and for one who keeps its
//! turn.

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use regflow_handlers::rehearsal::{Newcomer, Rehearsal};

/// Places of the lane.
const PLACES: usize = 256;
/// Calls that one maker takes at once.
const CALLS: u32 = 64;

/// One turn: next, granted, over, and in line again.
fn turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("a turn, one maker, waiting");
    for waiting in [1_000, 10_000, 100_000] {
        let mut rehearsal = Rehearsal::new(1, PLACES, CALLS);
        rehearsal.fill(waiting);
        group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
            bencher.iter(|| assert!(rehearsal.turn()));
        });
    }
    group.finish();
    let mut group = criterion.benchmark_group("a turn, 100,000 wait, makers");
    for makers in [1, 10, 100, 1_000] {
        let mut rehearsal = Rehearsal::new(makers, PLACES, CALLS);
        rehearsal.fill(100_000);
        group.bench_function(BenchmarkId::from_parameter(makers), |bencher| {
            bencher.iter(|| assert!(rehearsal.turn()));
        });
    }
    group.finish();
}

/// One who arrives at a maker in front of whom nobody stands, while others stand in front of the other makers.
fn arrivals(criterion: &mut Criterion) {
    for (what, keeps) in [("an arrival", false), ("an arrival that fails and keeps its turn", true)] {
        let mut group = criterion.benchmark_group(format!("{what}, waiting at another maker"));
        for waiting in [0, 1_000, 100_000] {
            // the other maker takes one call at once, and that one hangs
            let mut rehearsal = Rehearsal::new(1, PLACES, 1);
            rehearsal.fill(waiting);
            assert_eq!(rehearsal.take_place(), waiting > 0);
            let newcomer = Newcomer::at(1).expect("it begins with a submission");
            group.bench_function(BenchmarkId::from_parameter(waiting), |bencher| {
                bencher.iter(|| {
                    let let_through =
                        if keeps { rehearsal.arrive_and_keep(&newcomer) } else { rehearsal.arrive(&newcomer) };
                    assert!(let_through);
                });
            });
        }
        group.finish();
    }
}

criterion_group!(benches, turns, arrivals);
criterion_main!(benches);
