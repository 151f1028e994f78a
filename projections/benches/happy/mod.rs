//! A generated log of happy registrations, with true hashes and links.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::time::Duration;

use events::details::{Address, Details, Owner, Product, Purchase};
use events::event::{AttemptStarted, AttemptSucceeded, Dispatched, RegistrationSucceeded, Submitted};
use events::record::hash_of;
use events::{
    Actor, Event, Link, MailPreference, Method, PersonKeyId, Priority, Received, Record, RecordId, RegistrationId,
    Sending, Sequence, Shard, Stored, Timestamp,
};
use uuid::Uuid;

/// The incarnation of the stream.
pub const STREAM: i64 = 1;
/// When it all begins.
pub const BEGIN: Timestamp = Timestamp(1_795_000_000_000_000);
/// Records in a page, as a busy feeder gets them.
pub const PAGE_RECORDS: usize = 1_024;
/// Registrations that are under way at the same time: their records stand mixed in the log.
const UNDER_WAY: u64 = 100;

/// How many registrations there are.
pub fn registrations() -> u64 {
    std::env::var("REGFLOW_BENCH_REGISTRATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(10_000)
}

/// The id of a registration.
pub fn id(number: u64) -> RegistrationId {
    RegistrationId(Uuid::from_u128(u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)))
}

/// Its three records.
fn story(number: u64) -> [Vec<Event>; 3] {
    let connector = || "norrland".to_owned();
    let submitted = Submitted {
        tenant: "default".into(),
        request_id: None,
        connector: connector(),
        brand: "Norrland".into(),
        model: "VK 200 Combi".into(),
        purchased_on: Some(jiff::civil::date(2026, 11, 2)),
        priority: Priority::Normal,
        owner_ref: u128::from(number).to_be_bytes(),
        person_key: PersonKeyId(id(number).0),
        sealed: vec![0xC0; 300],
        proof: None,
        register_by: Some(jiff::civil::date(2026, 12, 2)),
        mail: MailPreference::None,
    };
    let fields = ["product.serial", "owner.name", "owner.email"].into_iter().collect();
    let sends = Some(Sending { to: "api.norrland.example".into(), fields });
    let started = AttemptStarted { attempt: 1, method: Method::Api, connector: connector(), sends };
    let received = Some(Received { status: 201, body: [7; 32] });
    let succeeded =
        AttemptSucceeded { attempt: 1, already_registered: false, latency_ms: 41, evidence: None, received };
    let confirmation = Some(format!("NL-2026-{number:06}"));
    [
        vec![submitted.into()],
        vec![Dispatched { method: Method::Api }.into(), started.into()],
        vec![succeeded.into(), RegistrationSucceeded { method: Method::Api, confirmation }.into()],
    ]
}

/// The log: in each stretch all are submitted, then all are begun, then all end.
pub fn log() -> Vec<Stored> {
    let (mut records, count) = (Vec::new(), registrations());
    for first in (0..count).step_by(usize::try_from(UNDER_WAY).unwrap()) {
        let stretch = first..count.min(first + UNDER_WAY);
        let mut stories: Vec<_> = stretch.map(|number| (number, None::<Link>, story(number))).collect();
        for step in 0..3 {
            for (number, previous, story) in &mut stories {
                let sequence = records.len() as Sequence + 1;
                let stored = stored(sequence, *number, *previous, std::mem::take(&mut story[step]));
                *previous = Some(stored.link());
                records.push(stored);
            }
        }
    }
    records
}

fn stored(sequence: Sequence, number: u64, previous: Option<Link>, events: Vec<Event>) -> Stored {
    let record = Record {
        id: RecordId(Uuid::from_u128(sequence.into())),
        at: BEGIN.plus(Duration::from_micros(sequence * 100)),
        actor: Actor::System,
        cause: None,
        trace: None,
        previous,
        events,
    };
    let hash = hash_of(&record.encode().unwrap());
    Stored { sequence, shard: Shard(1), registration: id(number), record, hash }
}

/// What a person hands over, of the usual size.
pub fn details() -> Details {
    Details {
        product: Product { brand: "Norrland".into(), model: "VK 200 Combi".into(), serial: "NL00000001".into() },
        purchase: Purchase {
            date: Some(jiff::civil::date(2026, 11, 2)),
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
