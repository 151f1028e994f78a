//! What packets leave in memory: the compiler keeps what it computed, and that holds a person's data. A test binary of its own,
//! because it counts what everybody in it allocates.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use jiff::Timestamp;
use packet::PacketData;
use regflow_typeset::PacketRenderer;

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// The most that two packets may leave; one leaves a megabyte.
const BYTES_MAX: usize = 4 << 20;
/// What one leaves at the least.
const BYTES_OF_A_PACKET: usize = 200 << 10;
/// What six may leave for good: nothing of them, but tables may have grown.
const BYTES_OF_TABLES: usize = 10 << 10;

fn draw(renderer: &PacketRenderer, number: u32) -> usize {
    let mut data: PacketData = serde_json::from_str(include_str!("../examples/packet.json")).unwrap();
    data.owner.name = format!("Karoline Bærøe-Lindqvist {number}");
    data.reason = format!("Packet {number}, of which nothing is to stay in memory.");
    renderer.render(&data, Timestamp::UNIX_EPOCH).unwrap();
    dhat::HeapStats::get().curr_bytes
}

#[test]
fn what_a_packet_left_is_replaced_by_the_next_ones_and_goes_when_it_is_forgotten() {
    let _profiler = dhat::Profiler::builder().testing().trim_backtraces(Some(1)).build();
    let renderer = PacketRenderer::new(None).unwrap();
    let round = |first: u32| {
        let left: Vec<usize> = (first..first + 6).map(|number| draw(&renderer, number)).collect();
        renderer.forget();
        (left, dhat::HeapStats::get().curr_bytes)
    };
    // what is made once: the library, what is known of fonts, tables that keep their size
    let warm = [round(0), round(6), round(12)];
    let before = warm[2].1;
    let (left, after) = round(18);
    let left: Vec<usize> = left.iter().map(|bytes| bytes.saturating_sub(before)).collect();
    println!("bytes that stay: {left:?} after each packet, {} when forgotten", after.saturating_sub(before));
    // else nothing was there to forget, and this test shows nothing
    assert!(left.iter().all(|left| *left > BYTES_OF_A_PACKET), "{left:?}");
    assert!(left.iter().all(|left| *left < BYTES_MAX), "{left:?}");
    assert!(after < before + BYTES_OF_TABLES, "{} bytes stay", after.saturating_sub(before));
}
