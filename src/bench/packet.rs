//! How fast packets are drawn: warm, one after another; then by several workers at once; and whether their memory stays flat.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::{Context, ensure};
use packet::{Packet, PacketData, Press};
use serde_json::{Value, json};

use super::figures::{memory_mb, millis, per_second, quantiles, round3};
use crate::config::Settings;
use crate::press;

/// An ordinary packet; each one that is drawn differs from it in what differs from owner to owner. Its link does not: it is the
/// maker's, as in our catalogue.
const EXAMPLE: &str = include_str!("../../connectors/typeset/examples/packet.json");
/// Packets that each worker draws before anything is measured, unless fewer are.
const WARM_UP: usize = 50;

/// Draws `packets` one after another and then as many with `workers` at once; gives one JSON object.
///
/// # Errors
/// A packet that cannot be drawn, or processes that cannot be looked at.
pub async fn run(packets: usize, workers: usize) -> anyhow::Result<Value> {
    ensure!(packets >= 1 && workers >= 1, "at least one packet and one worker are needed");
    let press = Arc::new(press::packets(&Settings::load(None)?.packet).await?);
    // beforehand, or the first packet of each worker would wait for its start
    draw_at_once(&press, WARM_UP.min(packets) * workers, workers).await?;
    let before = memory_mb()?;
    let (mut single_ms, mut bytes, begun) = (Vec::with_capacity(packets), 0, Instant::now());
    for number in 0..packets {
        let begun = Instant::now();
        bytes += draw(&press, number).await?.pdf.len();
        single_ms.push(millis(begun));
    }
    let single = per_second(packets, begun.elapsed());
    let begun = Instant::now();
    let many_ms = draw_at_once(&press, packets, workers).await?;
    let many = per_second(packets, begun.elapsed());
    let after = memory_mb()?;
    Ok(json!({
        "scenario": "pdf",
        "packets": packets,
        "pdf_bytes_mean": bytes / packets,
        "one_at_a_time": { "ms": quantiles(&single_ms), "packets_per_second": round3(single) },
        "at_once": { "workers": workers, "ms": quantiles(&many_ms), "packets_per_second": round3(many) },
        "rss_mb": { "before": before, "after": after },
    }))
}

/// The milliseconds of each.
async fn draw_at_once(press: &Arc<Press>, packets: usize, workers: usize) -> anyhow::Result<Vec<f64>> {
    let (next, mut tasks) = (Arc::new(AtomicUsize::new(0)), tokio::task::JoinSet::new());
    for _ in 0..workers {
        let (press, next) = (press.clone(), next.clone());
        tasks.spawn(async move {
            let mut took_ms = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= packets {
                    return anyhow::Ok(took_ms);
                }
                let begun = Instant::now();
                draw(&press, number).await?;
                took_ms.push(millis(begun));
            }
        });
    }
    let mut took_ms = Vec::with_capacity(packets);
    while let Some(ended) = tasks.join_next().await {
        took_ms.extend(ended??);
    }
    Ok(took_ms)
}

/// The packet of an owner.
pub(super) async fn draw(press: &Press, number: usize) -> anyhow::Result<Packet> {
    let drawn = press.render(data(number)?, jiff::Timestamp::UNIX_EPOCH).await;
    drawn.context("a packet cannot be drawn")
}

pub(super) fn data(number: usize) -> anyhow::Result<PacketData> {
    let mut data: PacketData = serde_json::from_str(EXAMPLE).context("the example of a packet is none")?;
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
