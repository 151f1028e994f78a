//! A snapshot of the engine with ten thousand open registrations: into bytes, and back.

// the name that other rooms know it by, for what is shared with their benches
extern crate regflow_events as events;

#[allow(dead_code, reason = "each bench uses a part of it")]
mod happy;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use events::record::{Record, hash_of};
use events::snapshot::{self, Origin, Rules, Unwritable};
use events::{
    Actor, Guards, MakerPolicy, PersonKeyId, RecordId, Registration, RegistrationId, Shard, Snapshot, Stored, Timestamp,
};
use uuid::Uuid;

const OPEN: u64 = 10_000;

fn policies() -> [(&'static str, MakerPolicy); 1] {
    [("norrland", MakerPolicy::default())]
}

fn stored(number: u64) -> Stored {
    let [submitted, ..] = happy::story(number, PersonKeyId(Uuid::from_u128(1)), vec![7; 300]);
    let (id, at, actor) = (RecordId(Uuid::from_u128(number.into())), Timestamp(5), Actor::System);
    let record = Record { id, at, actor, cause: None, trace: None, previous: None, events: submitted };
    let hash = hash_of(&number.to_le_bytes());
    let registration = RegistrationId(Uuid::from_u128(number.into()));
    Stored { sequence: number, shard: Shard(1), registration, record, hash }
}

fn snapshot() -> Snapshot {
    let begun = |number| Arc::new(Registration::begin(&stored(number)).expect("it begins with a submission"));
    let origin = Origin { incarnation: 5, rules: Rules::of("the same"), last: stored(OPEN).link() };
    let (open, guards) = ((1..=OPEN).map(begun).collect(), Guards::new(policies()));
    Snapshot { origin, guards, open, to_be_read: Vec::new(), alarms: Vec::new() }
}

fn bytes_of(snapshot: &Snapshot) -> Vec<u8> {
    let mut bytes = Vec::new();
    let put = |piece: &[u8]| {
        bytes.extend_from_slice(piece);
        Ok::<_, Unwritable>(())
    };
    snapshot::encode(snapshot, put).expect("it is written");
    bytes
}

fn snapshots(criterion: &mut Criterion) {
    let (snapshot, bytes) = (snapshot(), bytes_of(&snapshot()));
    let wanted = (5, Rules::of("the same"));
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(OPEN)).sample_size(20);
    group.bench_function("encode", |bencher| bencher.iter(|| bytes_of(black_box(&snapshot))));
    group.bench_function("decode", |bencher| {
        bencher.iter(|| snapshot::decode(black_box(&bytes), wanted, policies()).expect("it is read"));
    });
    // what the engine stands still for, but for the table that they are in
    group.bench_function("share", |bencher| bencher.iter(|| black_box(&snapshot.open).clone()));
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
