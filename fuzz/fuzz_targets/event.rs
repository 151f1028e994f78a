//! Every event in every version: the first byte chooses, the rest is its body.
#![no_main]

use std::sync::LazyLock;

use events::fact::Fact;
use events::{Event, MakerEvent};
use libfuzzer_sys::fuzz_target;

/// Each kind of a set in each version that was ever written.
fn versions(tags: &[(u16, u16, &str)]) -> Vec<(u16, u16)> {
    tags.iter().flat_map(|(tag, version, _)| (1..=*version).map(|version| (*tag, version))).collect()
}

static EVENTS: LazyLock<Vec<(u16, u16)>> = LazyLock::new(|| versions(Event::TAGS));
static MAKER_EVENTS: LazyLock<Vec<(u16, u16)>> = LazyLock::new(|| versions(MakerEvent::TAGS));

fn there_and_back<F: Fact + PartialEq + std::fmt::Debug>((tag, version): (u16, u16), body: &[u8]) {
    let known = F::from_body(tag, version, body).expect("a version of the table");
    let Ok(fact) = known else { return };
    assert_eq!(fact.tag(), tag);
    let written = fact.body().expect("what was read can be written");
    assert_eq!(F::from_body(tag, fact.schema_version(), &written), Some(Ok(fact)));
}

fuzz_target!(|data: &[u8]| {
    let Some((&which, body)) = data.split_first() else { return };
    let which = usize::from(which) % (EVENTS.len() + MAKER_EVENTS.len());
    match EVENTS.get(which) {
        Some(kind) => there_and_back::<Event>(*kind, body),
        None => there_and_back::<MakerEvent>(MAKER_EVENTS[which - EVENTS.len()], body),
    }
});
