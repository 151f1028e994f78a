//! How fast the machine is before a run, and how evenly: others share it, and a figure of a slow hour says nothing beside one of a
//! quick one.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::stats::{float, median, round};

/// As long as it takes to see what slows a machine down every two seconds, as was seen.
const SPAN: Duration = Duration::from_secs(2);
const WINDOWS: usize = 100;
/// What is hashed in one go; some tens of microseconds.
const BLOCK_BYTES: usize = 64 * 1024;

/// Hashes on one processor for [`SPAN`]; gives MB a second in the middle window of 20 ms, and for how many milliseconds of a second
/// it was slower than half of that.
pub fn pace() -> Value {
    let (mut blocks, block, started) = (vec![0; WINDOWS], vec![7; BLOCK_BYTES], Instant::now());
    loop {
        std::hint::black_box(blake3::hash(&block));
        let window = started.elapsed().as_nanos() * WINDOWS as u128 / SPAN.as_nanos();
        match usize::try_from(window).ok().and_then(|window| blocks.get_mut(window)) {
            Some(count) => *count += 1,
            None => return told(&blocks),
        }
    }
}

fn told(blocks: &[u32]) -> Value {
    let middle = median(blocks.iter().copied().map(f64::from)).unwrap_or_default();
    let windows_per_s = float(blocks.len()) / SPAN.as_secs_f64();
    let slow = blocks.iter().filter(|blocks| f64::from(**blocks) < middle / 2.0).count();
    json!({
        "machine_hashes_mb_per_second": round(middle * windows_per_s * float(BLOCK_BYTES) / 1e6),
        "machine_is_slow_ms_per_second": round(1_000.0 * float(slow) / float(blocks.len())),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_middle_window_is_the_machines_speed_and_those_below_half_of_it_are_slow() {
        // 100 windows in two seconds: 50 a second, of 65,536 bytes a block
        let mut blocks = vec![100; WINDOWS];
        blocks[..10].fill(49);
        blocks[10..20].fill(50);
        assert_eq!(
            told(&blocks),
            json!({ "machine_hashes_mb_per_second": 328.0, "machine_is_slow_ms_per_second": 100.0 })
        );
    }

    #[test]
    fn it_is_measured_for_the_whole_span() {
        let started = Instant::now();
        let pace = pace();
        assert!(started.elapsed() >= SPAN);
        assert!(pace["machine_hashes_mb_per_second"].as_f64().is_some_and(|rate| rate > 0.0), "{pace}");
    }
}
