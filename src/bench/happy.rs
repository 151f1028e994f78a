//! Scenarios `happy` (a closed loop, or with `--rate` an open one) and `latency` (an open loop at half of the peak, then one
//! registration after the other).

use std::time::Instant;

use serde_json::{Value, json};

use super::client::{Client, millis};
use super::course::course;
use super::load::{Load, Measured, Pace, Registrar, follow};
use super::report;
use super::stage::{Service, Stage, Usage};
use super::stats::{quantiles, round};
use crate::cli::BenchArgs;

/// Registrations that are alone on the machine.
const ALONE: usize = 20;

/// As fast as it goes, or at the given rate.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    let service = stage.serve().await?;
    let client = Client::open(&service.file, args.over, args.connections).await?;
    let (scenario, batch, pace) = match args.rate {
        None => ("happy", args.batch(), Pace::InFlight(args.in_flight)),
        Some(rate) => ("open_loop", args.arriving_batch(), Pace::PerSecond(rate)),
    };
    let load = Load { first: 0, count: args.registrations(), batch, pace };
    let before = service.usage().await?;
    let measured = load.run(&client, 0).await?;
    let mut told = json!({ "scenario": scenario, "over": args.over.as_str() });
    report::add(&mut told, figures(&service, &load, &measured, &before).await?);
    finish(stage, service, args, told, Some(&measured)).await
}

/// At half of the peak, then one after the other.
pub async fn latency(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    let service = stage.serve().await?;
    let client = Client::open(&service.file, args.over, args.connections).await?;
    // also where a rate is given: what runs for the first time takes longer
    let warm =
        Load { first: 0, count: args.registrations(), batch: args.batch(), pace: Pace::InFlight(args.in_flight) };
    let warmed = warm.run(&client, 0).await?;
    let Peak { rate, peak } = Peak::of(args, &warmed);
    let load = Load {
        first: warm.count,
        count: args.registrations(),
        batch: args.arriving_batch(),
        pace: Pace::PerSecond(rate),
    };
    let before = service.usage().await?;
    let measured = load.run(&client, warmed.accepted).await?;
    let mut told = json!({ "scenario": "open_loop", "over": args.over.as_str(), "peak_per_second": peak });
    report::add(&mut told, figures(&service, &load, &measured, &before).await?);
    report::add(&mut told, json!({ "alone": alone(&client, load.first + load.count).await? }));
    finish(stage, service, args, told, Some(&measured)).await
}

/// A rate that the service can keep up with.
pub struct Peak {
    /// Half of the peak, or what was asked for.
    pub rate: u32,
    /// Registrations a second in a closed loop; nothing when a rate was asked for.
    pub peak: Option<f64>,
}

impl Peak {
    /// Of a closed loop that was measured.
    pub fn of(args: &BenchArgs, measured: &Measured) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "some thousands a second")]
        let half = (measured.rate() / 2.0).round().max(1.0) as u32;
        match args.rate {
            None => Self { rate: half, peak: Some(round(measured.rate())) },
            Some(rate) => Self { rate, peak: None },
        }
    }
}

/// One at a time on an idle machine: each is handed over when the one before it has ended.
async fn alone(client: &Client, first: usize) -> anyhow::Result<Value> {
    let (mut submit, mut end_to_end) = (Vec::new(), Vec::new());
    for number in first..first + ALONE {
        let sent_at = Instant::now();
        for (_, id) in client.submit(number, 1).await? {
            submit.push(millis(sent_at));
            end_to_end.push(follow(client, &id, sent_at).await?);
        }
    }
    Ok(json!({ "submit_ms": quantiles(submit), "end_to_end_ms": quantiles(end_to_end) }))
}

/// What every load has in its report, with the raw server's figure for messages of the same number and size.
pub async fn figures(service: &Service, load: &Load, measured: &Measured, before: &Usage) -> anyhow::Result<Value> {
    let accepted = measured.accepted;
    let notified_ms = service.until_notified(before, accepted).await?;
    let after = service.usage().await?;
    let raw = report::raw(service, before, &after, accepted, measured.rate()).await?;
    let offered = match load.pace {
        Pace::InFlight(_) => None,
        Pace::PerSecond(rate) => Some(rate),
    };
    let in_flight = match load.pace {
        Pace::InFlight(requests) => Some(requests),
        Pace::PerSecond(_) => None,
    };
    let mut told = json!({
        "registrations": load.count,
        "offered_per_second": offered,
        "in_flight": in_flight,
        "refused": load.count - accepted,
        "submit_batch": load.batch,
        "registrations_per_second": round(measured.rate()),
        "submit_ms": quantiles(measured.submit.iter().map(|timed| timed.ms)),
        "end_to_end_ms": quantiles(measured.end_to_end.iter().map(|timed| timed.ms)),
        "cpu_ms_per_registration": after.cpu_each(before, accepted),
        "peak_rss_mb": after.peak(),
        "notified_after_ms": round(notified_ms),
    });
    report::add(&mut told, after.disk_each(before, accepted));
    report::add(&mut told, raw);
    Ok(told)
}

/// Adds what every report has and the course of its load, and clears the stage.
pub async fn finish(
    stage: Stage,
    service: Service,
    args: &BenchArgs,
    told: Value,
    measured: Option<&Measured>,
) -> anyhow::Result<Value> {
    let mut told = report::finished(told, args, &service).await;
    if let Some(measured) = measured {
        report::add(&mut told, json!({ "course": course(measured) }));
    }
    service.stop().await?;
    stage.clear().await?;
    Ok(told)
}
