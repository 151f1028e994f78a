//! A connector's file: it is read, or its mistakes are named with their places.
#![no_main]

use connectors::Connector;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(mistakes) = Connector::parse("fuzz.toml", text) {
        assert!(!mistakes.is_empty());
    }
});
