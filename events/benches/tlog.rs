//! What verification costs for each message, without reading it: its leaf, the tree, and the link of a record.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use regflow_events::event::Cancelled;
use regflow_events::record::{hash_of, previous_of};
use regflow_events::tlog::{Edge, leaf};
use regflow_events::{Actor, Link, Record, RecordHash, RecordId, Timestamp};
use uuid::Uuid;

fn verify(criterion: &mut Criterion) {
    let record: Record = Record {
        id: RecordId(Uuid::from_u128(1)),
        at: Timestamp(1),
        actor: Actor::System,
        cause: None,
        trace: None,
        previous: Some(Link { sequence: 7, hash: RecordHash([7; 32]) }),
        events: vec![Cancelled { reason: Some("x".repeat(300)) }.into()],
    };
    let bytes = record.encode().expect("a record");
    let subject = "reg.7.00000000000000000000000000000abc";
    let mut group = criterion.benchmark_group("verify");
    group.throughput(Throughput::Elements(1));
    group.bench_function("one message: its leaf, the tree, its link and that leaf", |bencher| {
        let mut edge = Edge::default();
        bencher.iter(|| {
            let link = previous_of(&bytes).expect("a record").expect("a link");
            let named = leaf(subject, link.sequence, link.hash);
            edge.push(leaf(subject, edge.size() + 1, hash_of(&bytes)), |_| {});
            named
        });
    });
    group.finish();
}

criterion_group!(tlog, verify);
criterion_main!(tlog);
