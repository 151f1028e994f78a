//! The envelope of a record: what is read can be written, and then reads the same.
#![no_main]

use events::fact::Fact;
use events::{Event, MakerEvent, Record};
use libfuzzer_sys::fuzz_target;

fn there_and_back<F: Fact + PartialEq + std::fmt::Debug>(data: &[u8]) {
    let Ok(record) = Record::<F>::decode(data) else { return };
    // a record of the longest kind may grow when its events are written in a newer version
    let Ok(written) = record.encode() else { return };
    assert_eq!(Record::decode(&written), Ok(record));
}

fuzz_target!(|data: &[u8]| {
    there_and_back::<Event>(data);
    there_and_back::<MakerEvent>(data);
});
