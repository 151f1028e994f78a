//! What one record of a happy registration allocates in the pure parts and in the views: how often, and how many bytes.
//! Prints one JSON object; nothing is timed, so a debug build says the same of our own code.
//!
//! `cargo bench -p regflow-projections --bench allocations`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a measurement stops where it breaks")]

mod happy;

use std::hint::black_box;
use std::path::Path;

use events::seal::{NONCE_BYTES, PersonKey};
use events::{Record, Registration, Stored};
use happy::{BEGIN, PAGE_RECORDS, STREAM, details, id, log};
use regflow_projections::{AnalyticsView, StatusView};
use serde_json::{Value, json};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

/// Letters sealed and opened for their mean.
const SEALED: u64 = 100;

fn main() {
    let _profiler = dhat::Profiler::builder().testing().build();
    let log = log();
    let records = log.len() as u64;
    let encoded: Vec<_> = log.iter().map(|stored| stored.record.encode().unwrap()).collect();
    let story: Vec<Stored> = log.iter().filter(|stored| stored.registration == id(0)).cloned().collect();
    let (key, details) = (PersonKey::new([1; 32]), details());
    let seal = |number| key.seal(id(number), &[9; NONCE_BYTES], &details).unwrap();
    let sealed: Vec<_> = (0..SEALED).map(seal).collect();
    let folder = tempfile::tempdir().unwrap();
    println!(
        "{:#}",
        json!({
            "scenario": "allocations",
            "records": records,
            "record_bytes_mean": encoded.iter().map(|bytes| bytes.len() as u64).sum::<u64>() / records,
            "of_one_record": {
                "encode": each(records, || log.iter().for_each(|stored| drop(black_box(stored.record.encode().unwrap())))),
                "decode": each(records, || encoded.iter().for_each(|bytes| {
                    black_box::<Record>(Record::decode(bytes).unwrap());
                })),
                "fold_into_a_registration": each(3, || drop(black_box(Registration::replay(&story).unwrap()))),
                "status_view": status(folder.path(), &log),
                "analytics_view": analytics(folder.path(), &log),
            },
            "of_one_registration": {
                "seal": each(SEALED, || (0..SEALED).for_each(|number| drop(black_box(seal(number))))),
                "open": each(SEALED, || (0..SEALED).zip(&sealed).for_each(|(number, sealed)| {
                    black_box(key.open(id(number), sealed).unwrap());
                })),
            },
        })
    );
}

fn status(folder: &Path, log: &[Stored]) -> Value {
    let view = StatusView::open(&folder.join("status"), STREAM, BEGIN).unwrap().view;
    each(log.len() as u64, || {
        log.chunks(PAGE_RECORDS).for_each(|page| assert!(view.apply(page).unwrap() > 0));
        view.write().unwrap();
    })
}

fn analytics(folder: &Path, log: &[Stored]) -> Value {
    let view = AnalyticsView::open(&folder.join("analytics"), STREAM, BEGIN).unwrap().view;
    each(log.len() as u64, || {
        log.chunks(PAGE_RECORDS).for_each(|page| view.apply(page, &[] as &[events::StoredMaker]).unwrap());
        view.write().unwrap();
    })
}

/// What `work` allocates for each of `count`.
fn each(count: u64, work: impl FnOnce()) -> Value {
    let before = dhat::HeapStats::get();
    work();
    let after = dhat::HeapStats::get();
    let mean = |sum: u64| (sum as f64 / count as f64 * 10.0).round() / 10.0;
    json!({
        "allocations": mean(after.total_blocks - before.total_blocks),
        "bytes": mean(after.total_bytes - before.total_bytes),
    })
}
