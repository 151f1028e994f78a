//! What bytes cost: the three records of a happy registration written, read and hashed; personal data sealed and opened; and
//! what the rules make of them: the fold of the history, the next step.

// the name that other rooms know it by, for what is shared with their benches
extern crate regflow_events as events;

mod happy;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use events::record::hash_of;
use events::seal::{MasterKey, NONCE_BYTES, PersonKey};
use events::{
    Actor, Event, Link, Method, Outlook, PersonKeyId, Record, RecordId, Registration, RegistrationId, Shard, Stored,
    Timestamp, next_step,
};
use happy::details;
use uuid::Uuid;

const ID: RegistrationId = RegistrationId(Uuid::from_u128(7));
const KEY: PersonKeyId = PersonKeyId(Uuid::from_u128(5));
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const BEGIN: Timestamp = Timestamp(1_795_000_000_000_000);

/// The three records, with their names.
fn story() -> [(&'static str, Vec<Event>); 3] {
    let sealed = PersonKey::new([1; 32]).seal(ID, &NONCE, &details()).expect("sealed");
    let [first, second, third] = happy::story(7, KEY, sealed);
    [
        ("submitted", first),
        ("dispatched + attempt_started", second),
        ("attempt_succeeded + registration_succeeded", third),
    ]
}

/// The three records as they stand in the stream.
fn history() -> Vec<(&'static str, Stored)> {
    let (mut previous, mut records) = (None::<Link>, Vec::new());
    for (sequence, (name, events)) in (1..).zip(story()) {
        let id = RecordId(Uuid::from_u128(sequence.into()));
        let at = BEGIN.plus(Duration::from_millis(sequence));
        let record = Record { id, at, actor: Actor::System, cause: Some(id), trace: None, previous, events };
        let hash = hash_of(&record.encode().expect("a record"));
        let stored = Stored { sequence, shard: Shard(1), registration: ID, record, hash };
        previous = Some(stored.link());
        records.push((name, stored));
    }
    records
}

fn records(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("record");
    group.sample_size(50).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    for (name, stored) in history() {
        let bytes = stored.record.encode().expect("a record");
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("{name}, encode"), |bencher| bencher.iter(|| stored.record.encode()));
        group.bench_function(format!("{name}, decode"), |bencher| bencher.iter(|| Record::<Event>::decode(&bytes)));
        group.bench_function(format!("{name}, hash"), |bencher| bencher.iter(|| hash_of(&bytes)));
    }
    group.finish();
}

fn sealing(criterion: &mut Criterion) {
    let (key, master, details) = (PersonKey::new([1; 32]), MasterKey::new([3; 32]), details());
    let sealed = key.seal(ID, &NONCE, &details).expect("sealed");
    let wrapped = master.wrap(KEY, &NONCE, &key).expect("wrapped");
    let mut group = criterion.benchmark_group("personal data");
    group.sample_size(50).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    group.bench_function("seal the details", |bencher| bencher.iter(|| key.seal(ID, &NONCE, &details)));
    group.bench_function("open the details", |bencher| bencher.iter(|| key.open(ID, &sealed)));
    group.bench_function("wrap a person's key", |bencher| bencher.iter(|| master.wrap(KEY, &NONCE, &key)));
    group.bench_function("unwrap a person's key", |bencher| bencher.iter(|| master.unwrap(KEY, &wrapped)));
    group.finish();
}

fn rules(criterion: &mut Criterion) {
    let history: Vec<Stored> = history().into_iter().map(|(_, stored)| stored).collect();
    let first = Registration::begin(&history[0]).expect("a first record");
    let outlook = Outlook { ladder: &[Method::Api, Method::AssistedManual], unknown_brand: false, deadline: None };
    let mut group = criterion.benchmark_group("rules");
    group.sample_size(50).measurement_time(Duration::from_secs(1)).warm_up_time(Duration::from_millis(300));
    group.bench_function("fold a happy history of three records", |bencher| {
        bencher.iter(|| Registration::replay(black_box(&history)));
    });
    group.bench_function("say the next step", |bencher| {
        bencher.iter(|| next_step(black_box(&first), &outlook, BEGIN));
    });
    group.finish();
}

criterion_group!(codec, records, sealing, rules);
criterion_main!(codec);
