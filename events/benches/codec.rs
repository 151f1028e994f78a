//! What bytes cost: the three records of a happy registration written, read and hashed; personal data sealed and opened; and
//! what the rules make of them: the fold of the history, the next step.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jiff::civil::date;
use regflow_events::details::{Address, Owner, Product, Purchase};
use regflow_events::event::{AttemptStarted, AttemptSucceeded, Dispatched, RegistrationSucceeded, Submitted};
use regflow_events::record::hash_of;
use regflow_events::seal::{MasterKey, NONCE_BYTES, PersonKey};
use regflow_events::{
    Actor, Details, Event, Link, MailPreference, Method, Outlook, PersonKeyId, Priority, Received, Record, RecordId,
    Registration, RegistrationId, Sending, Shard, Stored, Timestamp, next_step,
};
use uuid::Uuid;

const ID: RegistrationId = RegistrationId(Uuid::from_u128(7));
const KEY: PersonKeyId = PersonKeyId(Uuid::from_u128(5));
const NONCE: [u8; NONCE_BYTES] = [9; NONCE_BYTES];
const BEGIN: Timestamp = Timestamp(1_795_000_000_000_000);

/// What a person hands over, of the usual size.
fn details() -> Details {
    Details {
        product: Product { brand: "Norrland".into(), model: "VK 200 Combi".into(), serial: "NL00000001".into() },
        purchase: Purchase {
            date: Some(date(2026, 11, 2)),
            shop: Some("Elgiganten Malmö".into()),
            price: Some("8 990 kr".into()),
            ..Purchase::default()
        },
        owner: Owner {
            name: "Åsa Öberg".into(),
            email: "owner1@example.org".into(),
            phone: Some("+46 40 123456".into()),
            address: Address {
                street: Some("Östra Förstadsgatan 12".into()),
                postal_code: Some("211 31".into()),
                city: Some("Malmö".into()),
                country: Some("SE".into()),
            },
        },
        ..Details::default()
    }
}

fn story() -> [(&'static str, Vec<Event>); 3] {
    let connector = || "norrland".to_owned();
    let submitted = Submitted {
        tenant: "default".into(),
        request_id: None,
        connector: connector(),
        brand: "Norrland".into(),
        model: "VK 200 Combi".into(),
        purchased_on: Some(date(2026, 11, 2)),
        priority: Priority::Normal,
        owner_ref: [7; 16],
        person_key: KEY,
        sealed: PersonKey::new([1; 32]).seal(ID, &NONCE, &details()).expect("sealed"),
        proof: None,
        register_by: Some(date(2026, 12, 2)),
        mail: MailPreference::None,
    };
    let fields = ["product.serial", "owner.name", "owner.email"].into_iter().collect();
    let sends = Some(Sending { to: "api.norrland.example".into(), fields });
    let started = AttemptStarted { attempt: 1, method: Method::Api, connector: connector(), sends };
    let received = Some(Received { status: 201, body: [7; 32] });
    let succeeded =
        AttemptSucceeded { attempt: 1, already_registered: false, latency_ms: 41, evidence: None, received };
    let registered = RegistrationSucceeded { method: Method::Api, confirmation: Some("NL-2026-000001".into()) };
    [
        ("submitted", vec![submitted.into()]),
        ("dispatched + attempt_started", vec![Dispatched { method: Method::Api }.into(), started.into()]),
        ("attempt_succeeded + registration_succeeded", vec![succeeded.into(), registered.into()]),
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
