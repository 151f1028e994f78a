//! How long packets take in one process that does nothing else, to try changes of the template and of the renderer side by side:
//! `cargo run --release -p regflow-packet --example speed -- PACKETS`. The service's figure is that of `regflow bench pdf`.

use std::error::Error;
use std::time::Instant;

use regflow_packet::{PacketData, PacketRenderer};

/// As the worker has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXAMPLE: &str = include_str!("packet.json");
/// Packets before anything is measured.
const WARM_UP: usize = 30;

fn main() -> Result<(), Box<dyn Error>> {
    let packets: usize = std::env::args().nth(1).map_or(Ok(300), |packets| packets.parse())?;
    let renderer = PacketRenderer::new(None)?;
    let mut took_ms = Vec::with_capacity(packets);
    let mut bytes = 0;
    for number in 0..WARM_UP + packets {
        let data = data(number)?;
        let begun = Instant::now();
        bytes = renderer.render(&data, jiff::Timestamp::UNIX_EPOCH)?.pdf.len();
        if number >= WARM_UP {
            took_ms.push(begun.elapsed().as_secs_f64() * 1_000.0);
        }
    }
    took_ms.sort_by(f64::total_cmp);
    let at = |share: usize| took_ms.get(took_ms.len() * share / 100).copied().unwrap_or(f64::NAN);
    println!("p10 {:.2} p50 {:.2} p90 {:.2} ms, {bytes} bytes", at(10), at(50), at(90));
    Ok(())
}

/// What differs from owner to owner, as in `regflow bench pdf`.
fn data(number: usize) -> Result<PacketData, Box<dyn Error>> {
    let mut data: PacketData = serde_json::from_str(EXAMPLE)?;
    let serial = format!("WV{number:08}");
    data.registration_id = format!("019ab2f0-5c1e-7d43-9a52-{number:012x}");
    data.reference = format!("RF-{number:04}-2Q9T");
    data.product.serial.clone_from(&serial);
    data.owner.name = format!("Karoline Bærøe-Lindqvist {number}");
    data.owner.email = Some(format!("owner{number}@lindqvist.example"));
    for (field, value) in data.fields.iter_mut().zip([serial.as_str(), "Strada 3 Disc", "14/11/2026", &data.owner.name])
    {
        value.clone_into(&mut field.value);
    }
    Ok(data)
}
