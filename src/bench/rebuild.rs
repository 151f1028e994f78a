//! Scenario `rebuild`: how long a start takes that builds the views from the log.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::client::{Client, millis};
use super::load::{Load, Pace};
use super::stage::{Service, Stage};
use super::stats::{round, round3};
use super::{happy, lean};
use crate::cli::BenchArgs;
use crate::client;

/// The service that is served once the analytics view has caught up.
const ANALYTICS: &str = "regflow.v1.Analytics";
/// How often it is asked for.
const POLL: Duration = Duration::from_millis(10);
/// The views are built by then, or never.
const TIMEOUT: Duration = Duration::from_secs(600);

/// Fills the log; starts once with the views and once without.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    let stage = Stage::set(args.relaxed).await?;
    let service = stage.serve().await?;
    let client = Client::open(&service.file, args.over, args.connections).await?;
    let load =
        Load { first: 0, count: args.registrations(), batch: args.batch(), pace: Pace::InFlight(args.in_flight) };
    let filled = load.run(&client, 0).await?;
    drop(client);
    // once for what the server must load, once for the figure
    bus::raw_read(&service.file.nats_url).await?;
    let (records, read) = bus::raw_read(&service.file.nats_url).await.context("failed to read the log")?;
    let views = service.views();
    service.stop().await?;
    let Start { service, ready_ms: with_views_ms, .. } = start(&stage).await?;
    service.stop().await?;
    std::fs::remove_dir_all(&views).context("failed to delete the views")?;
    let Start { service, ready_ms, analytics_ms } = start(&stage).await?;
    let visible = lean::count_successes(client::connect_plainly(&service.file.grpc).await?).await?;
    ensure!(visible >= filled.accepted, "the view that was built anew has {visible} of {}", filled.accepted);
    #[allow(clippy::cast_precision_loss, reason = "records of a benchmark are far below 2^52")]
    let (per_second, bare) = (records as f64 / ready_ms * 1_000.0, records as f64 / read.as_secs_f64());
    let told = json!({
        "scenario": "rebuild",
        "over": args.over.as_str(),
        "registrations": load.count,
        "records": records,
        "fill_per_second": round(filled.rate()),
        "start_with_views_ms": round(with_views_ms),
        "rebuild_ms": round(ready_ms),
        "rebuild_with_analytics_ms": round(analytics_ms),
        "records_per_second": round(per_second),
        "bare_read_per_second": round(bare),
        "ratio_to_bare_read": round3(per_second / bare),
        "peak_rss_mb": service.usage().await?.peak(),
    });
    happy::finish(stage, service, args, told, None).await
}

/// A service that has caught up.
struct Start {
    service: Service,
    /// From the start of the process until status view and engine had caught up.
    ready_ms: f64,
    /// The same with the analytics view.
    analytics_ms: f64,
}

async fn start(stage: &Stage) -> anyhow::Result<Start> {
    let started = Instant::now();
    let service = stage.serve().await?;
    let ready_ms = millis(started);
    let mut health = HealthClient::new(client::connect_plainly(&service.file.grpc).await?);
    loop {
        let answer = health.check(HealthCheckRequest { service: ANALYTICS.into() }).await?.into_inner();
        if answer.status() == ServingStatus::Serving {
            return Ok(Start { service, ready_ms, analytics_ms: millis(started) });
        }
        ensure!(started.elapsed() < TIMEOUT, "the analytics view was not built in time");
        tokio::time::sleep(POLL).await;
    }
}
