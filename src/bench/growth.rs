//! Scenario `growth`: does a registration cost the same when the log is long? And what do memory, the views' files and a start
//! cost then?

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};

use super::client::{Client, millis};
use super::load::{Load, Measured, Pace, Registrar};
use super::stage::{self, Service, Stage, Usage};
use super::stats::{float, quantiles, round, round3};
use super::{happy, report};
use crate::cli::BenchArgs;

/// Registrations of a window in which the cost is measured, unless there are too few in all for four of them.
const WINDOW: usize = 10_000;
/// Longest time that the service is left alone before its memory counts as that of an idle one.
const IDLE_MAX: Duration = Duration::from_secs(10);
/// The views, by their folders.
const VIEWS: [&str; 2] = ["status", "analytics"];

/// Fills the log, and looks at its beginning and its end.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    let service = stage.serve().await?;
    let before = service.usage().await?;
    let idle_at_first = before.rss();
    let Filled { early, late, all, last } = fill(args, &service).await?;
    let after = service.usage().await?;
    let raw = report::raw(&service, &before, &after, last, all.rate()).await?;
    tokio::time::sleep(IDLE_MAX.min(Duration::from_millis(last as u64))).await;
    let idle = service.usage().await?.rss();
    let views = service.views();
    service.stop().await?;
    let on_disk = tokio::task::spawn_blocking(move || view_sizes(&views)).await??;
    let (service, start_to_first_accept_ms) = start_to_first_accept(&stage, args, last).await?;
    let after_restart = service.usage().await?.rss();
    let mut told = json!({
        "scenario": "growth",
        "over": args.over.as_str(),
        "registrations": args.registrations(),
        "submit_batch": args.batch(),
        "in_flight": args.in_flight,
        "registrations_per_second": round(all.rate()),
        "early": early,
        "late": late,
        "late_to_early_cpu": ratio(&late, &early, "regflow"),
        "late_to_early_cpu_of_sandbox": ratio(&late, &early, "sandbox"),
        "rss_mb": {
            "idle_at_first": idle_at_first, "at_the_end": after.rss(), "idle_then": idle, "after_restart": after_restart,
        },
        "peak_rss_mb": after.peak(),
        "start_to_first_accept_ms": start_to_first_accept_ms,
        "views": on_disk,
    });
    report::add(&mut told, after.disk_each(&before, last));
    report::add(&mut told, raw);
    happy::finish(stage, service, args, told, Some(&all)).await
}

struct Filled {
    early: Value,
    late: Value,
    /// What lies between the two windows.
    all: Measured,
    /// How many registrations there are.
    last: usize,
}

/// A window to warm up, one to measure, as many as it takes, and one to measure.
async fn fill(args: &BenchArgs, service: &Service) -> anyhow::Result<Filled> {
    let window = WINDOW.min(args.registrations() / 4).max(1);
    let client = Client::open(&service.file, args.over, args.connections).await?;
    let load = |first, count| Load { first, count, batch: args.batch(), pace: Pace::InFlight(args.in_flight) };
    run_all(load(0, window), &client).await?;
    let early = measured_window(service, &client, load(window, window)).await?;
    let between = load(2 * window, args.registrations().saturating_sub(3 * window).max(1));
    let all = run_all(between, &client).await?;
    let last = between.first + between.count;
    let late = measured_window(service, &client, load(last, window)).await?;
    Ok(Filled { early, late, all, last: last + window })
}

/// One after the other, so that all before it are in the view.
async fn run_all(load: Load, client: &Client) -> anyhow::Result<Measured> {
    let measured = load.run(client, load.first).await?;
    let refused = load.count - measured.accepted;
    ensure!(refused == 0, "{refused} of {} registrations were refused; give a smaller --in-flight", load.count);
    Ok(measured)
}

async fn measured_window(service: &Service, client: &Client, load: Load) -> anyhow::Result<Value> {
    let before = service.usage().await?;
    let measured = run_all(load, client).await?;
    service.until_notified(&before, load.count).await?;
    let after = service.usage().await?;
    Ok(window(&load, &measured, &before, &after))
}

fn window(load: &Load, measured: &Measured, before: &Usage, after: &Usage) -> Value {
    json!({
        "first": load.first,
        "registrations": load.count,
        "registrations_per_second": round(measured.rate()),
        "cpu_ms_per_registration": after.cpu_each(before, load.count),
        "submit_ms": quantiles(measured.submit.iter().map(|timed| timed.ms)),
        "end_to_end_ms": quantiles(measured.end_to_end.iter().map(|timed| timed.ms)),
    })
}

/// How much more processor time of a process a registration costs at the end. The sandbox does the same all the time: its ratio is
/// the machine's.
fn ratio(late: &Value, early: &Value, process: &str) -> Option<f64> {
    let cost = |of: &Value| of["cpu_ms_per_registration"][process].as_f64();
    Some(round3(cost(late)? / cost(early).filter(|cost| *cost > 0.0)?))
}

/// Bytes of each view: of its files, and of what is in them.
fn view_sizes(views: &std::path::Path) -> anyhow::Result<Value> {
    let mut sizes = serde_json::Map::new();
    for name in VIEWS {
        let disk = stage::view_bytes(views, name)?;
        let live =
            projections::live_bytes(&views.join(name)).with_context(|| format!("failed to read the view {name}"))?;
        let float = |bytes: u64| float(usize::try_from(bytes).unwrap_or(usize::MAX));
        let size = json!({
            "disk_bytes": disk, "live_bytes": live, "disk_to_live": round3(float(disk) / float(live.max(1))),
        });
        sizes.insert(name.to_owned(), size);
    }
    Ok(sizes.into())
}

/// From the start of the process to the first submission that it accepts, in milliseconds.
async fn start_to_first_accept(stage: &Stage, args: &BenchArgs, number: usize) -> anyhow::Result<(Service, f64)> {
    let started = Instant::now();
    let service = stage.serve().await?;
    let client = Client::open(&service.file, args.over, 1).await?;
    let accepted = client.submit(number, 1).await?;
    let took = millis(started);
    ensure!(accepted.len() == 1, "the restarted service refused the first submission");
    Ok((service, round(took)))
}
