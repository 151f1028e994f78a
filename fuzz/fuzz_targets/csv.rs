//! A list of products as people keep it.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[allow(dead_code)]
#[path = "../../src/household.rs"]
mod household;

fuzz_target!(|data: &[u8]| {
    let _ = household::parse(data);
});
