//! What packets leave in memory: the compiler keeps what it computed, and that holds a person's data. A test binary of its own,
//! because it counts what everybody in it allocates.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use jiff::Timestamp;
use regflow_packet::{PacketData, PacketRenderer};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// The most that two packets may leave; one leaves a megabyte.
const BYTES_MAX: usize = 4 << 20;
/// What is more than names and tables that all packets share.
const BYTES_OF_A_PACKET: usize = 200 << 10;

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
    // what is made once: the library, what is known of fonts
    draw(&renderer, 0);
    renderer.forget();
    let before = dhat::HeapStats::get().curr_bytes;
    let left: Vec<usize> = (1..=6).map(|number| draw(&renderer, number).saturating_sub(before)).collect();
    renderer.forget();
    let forgotten = dhat::HeapStats::get().curr_bytes.saturating_sub(before);
    println!("bytes after each packet: {left:?}, forgotten: {forgotten}");
    // else nothing was there to forget, and this test shows nothing
    assert!(left.iter().all(|left| *left > BYTES_OF_A_PACKET), "{left:?}");
    assert!(left.iter().all(|left| *left < BYTES_MAX), "{left:?}");
    assert!(forgotten < BYTES_OF_A_PACKET, "{forgotten} bytes stay");
}
