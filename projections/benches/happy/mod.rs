//! A generated log of happy registrations, with true hashes and links.
#![allow(dead_code, unused_imports, reason = "each bench uses a part of it")]

#[path = "../../../events/benches/happy/mod.rs"]
mod sample;

use std::time::Duration;

use events::record::hash_of;
use events::{Actor, Event, Link, PersonKeyId, Record, RecordId, RegistrationId, Sequence, Shard, Stored, Timestamp};
use uuid::Uuid;

pub use sample::details;

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

/// The log: in each stretch all are submitted, then all are begun, then all end.
pub fn log() -> Vec<Stored> {
    let (mut records, count) = (Vec::new(), registrations());
    for first in (0..count).step_by(usize::try_from(UNDER_WAY).unwrap()) {
        let stretch = first..count.min(first + UNDER_WAY);
        let mut stories: Vec<_> = stretch
            .map(|number| (number, None::<Link>, sample::story(number, PersonKeyId(id(number).0), vec![0xC0; 300])))
            .collect();
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
