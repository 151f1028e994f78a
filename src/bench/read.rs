//! Scenario `read`: Get over gRPC while registrations come in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::ensure;
use rand::Rng;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::client::{Client, millis};
use super::happy::Peak;
use super::load::{Load, Pace};
use super::reader::Reader;
use super::stage::Stage;
use super::stats::{float, quantiles, round};
use super::{happy, report};
use crate::cli::BenchArgs;

/// Fills the view, then reads from it at random while the happy path runs at half of its peak.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    let service = stage.serve().await?;
    let client = Client::open(&service.file, args.over, args.connections).await?;
    let pace = Pace::InFlight(args.in_flight);
    let fill = Load { first: 0, count: args.registrations(), batch: args.batch(), pace };
    let filled = fill.run(&client, 0).await?;
    let Peak { rate, peak } = Peak::of(args, &filled);
    let first = filled.accepted;
    let load = Load {
        first: fill.count,
        count: args.registrations(),
        batch: args.arriving_batch(),
        pace: Pace::PerSecond(rate),
    };
    let before = service.usage().await?;
    let (ids, stop, started) = (Arc::new(filled.ids), Arc::new(AtomicBool::new(false)), Instant::now());
    let mut readers = JoinSet::new();
    let mut connections = Vec::new();
    for _ in 0..args.connections {
        connections.push(Reader::open(&service.file.grpc).await?);
    }
    for reader in connections.iter().cycle().take(args.readers) {
        readers.spawn(read_until(reader.clone(), ids.clone(), stop.clone()));
    }
    let measured = load.run(&client, first).await;
    stop.store(true, Ordering::Relaxed);
    let mut reads = Vec::new();
    while let Some(done) = readers.join_next().await {
        reads.append(&mut done??);
    }
    let (measured, took) = (measured?, started.elapsed());
    let reads_per_second = round(float(reads.len()) / took.as_secs_f64());
    let mut told = json!({
        "scenario": "read",
        "over": args.over.as_str(),
        "peak_per_second": peak,
        "readers": args.readers,
        "reads_per_second": reads_per_second,
        "read_ms": quantiles(reads),
    });
    report::add(&mut told, happy::figures(&service, &load, &measured, &before).await?);
    happy::finish(stage, service, args, told, Some(&measured)).await
}

/// One read after the other, each of a registration drawn from all; gives their milliseconds.
async fn read_until(reader: Reader, ids: Arc<Vec<String>>, stop: Arc<AtomicBool>) -> anyhow::Result<Vec<f64>> {
    let mut reads = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let id = &ids[rand::rng().random_range(0..ids.len())];
        let asked = Instant::now();
        let found = reader.get(id).await?;
        reads.push(millis(asked));
        ensure!(found.id == *id, "another registration was answered than was asked for");
    }
    Ok(reads)
}
