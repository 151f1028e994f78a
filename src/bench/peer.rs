//! Scenario `peer`: the same work by regflow and by what a user would pick instead, BullMQ on Redis with each write flushed, one
//! after the other in one run, with the same makers in a sandbox each.
//!
//! Three loads over HTTP: by hundreds as fast as it goes; in tens at half of what the peer reached, the same rate for both; and by
//! hundreds where the maker's API answers 503 to the first try of each. Either has done as many before: what runs for the first time
//! takes longer. `scripts/peer/bullmq.cjs` is the peer.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, ensure};
use proto::v1;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::client::{self, Accepted, Client};
use super::happy::Peak;
use super::load::{Load, Measured, Pace, Registrar};
use super::stage::{self, Service, Stage};
use super::stats::{float, quantiles, round, round3};
use super::{fallback, report, usage};
use crate::cli::{BenchArgs, Over};

/// The peer, and the packages that scripts/setup --bench gets for it, both from the repository's folder.
const SCRIPT: &str = "scripts/peer/bullmq.cjs";
const PACKAGES: &str = ".tools/peer/node_modules";
/// It must be ready by then.
const START_TIMEOUT: Duration = Duration::from_secs(30);
/// When it ends before that.
const ENDED: &str =
    "the peer ended before it was ready and says why above; if something is missing, type: scripts/setup --bench";
/// Figures that are set against the peer's.
const COMPARED: [&str; 7] = [
    "/registrations_per_second",
    "/submit_ms/p50",
    "/submit_ms/p99",
    "/end_to_end_ms/p50",
    "/end_to_end_ms/p99",
    "/cpu_ms_per_registration",
    "/disk_bytes_per_registration",
];

/// The peer first, then regflow, and so again where the first try fails.
pub async fn run(args: &BenchArgs) -> anyhow::Result<Value> {
    ensure!(
        Path::new(PACKAGES).is_dir() && Path::new(SCRIPT).is_file(),
        "there is no peer to compare with; for that, type in the repository's folder: scripts/setup --bench"
    );
    let peer = Peer::start(false).await?;
    let name = peer.told.peer.clone();
    let mut turn = peer.turn(args)?;
    let theirs = turn.as_fast_as_it_goes().await?;
    let rate = Peak::of(args, &theirs.measured).rate;
    let arriving_there = turn.at(rate).await?;
    peer.stop().await?;

    let (stage, service) = ours(false).await?;
    let mut turn = our_turn(&service, args).await?;
    let own = turn.as_fast_as_it_goes().await?;
    let arriving_here = turn.at(rate).await?;
    service.stop().await?;
    stage.clear().await?;

    let peer = Peer::start(true).await?;
    let failing_there = peer.turn(args)?.as_fast_as_it_goes().await?;
    peer.stop().await?;
    let (stage, service) = ours(true).await?;
    let mut turn = our_turn(&service, args).await?;
    let failing_here = turn.as_fast_as_it_goes().await?;
    let attempts = fallback::attempts(&turn.client, &failing_here.measured.ids).await?;
    ensure!(attempts == 2, "a first try was to fail, but a registration had {attempts} attempts");
    service.stop().await?;
    stage.clear().await?;

    let mut open_loop = compared(&arriving_here.told, &arriving_there.told);
    report::add(&mut open_loop, json!({ "offered_per_second": rate }));
    Ok(json!({
        "scenario": "peer",
        "over": Over::Http.as_str(),
        "beside": name,
        "registrations": args.registrations(),
        "happy": compared(&own.told, &theirs.told),
        "open_loop": open_loop,
        "fallback": compared(&failing_here.told, &failing_there.told),
    }))
}

/// Both, and the ratio of each figure.
fn compared(ours: &Value, theirs: &Value) -> Value {
    let figure = |of: &Value, path: &str| of.pointer(path).and_then(Value::as_f64);
    let ratios = COMPARED.iter().map(|path| {
        let ratio = figure(ours, path).zip(figure(theirs, path)).map(|(our, their)| round3(our / their));
        (path.trim_start_matches('/').replace('/', "_"), ratio.into())
    });
    json!({ "regflow": ours, "peer": theirs, "regflow_by_peer": ratios.collect::<serde_json::Map<_, Value>>() })
}

/// A service on a stage of its own; where it is asked for, the first try of each registration fails.
async fn ours(first_try_fails: bool) -> anyhow::Result<(Stage, Service)> {
    let stage = Stage::set(false).await?;
    if first_try_fails {
        fallback::prepare(&stage).await?;
    }
    let service = stage.serve().await?;
    if first_try_fails {
        fallback::hold_circuit(&service.file.grpc).await?;
    }
    Ok((stage, service))
}

async fn our_turn<'a>(service: &'a Service, args: &'a BenchArgs) -> anyhow::Result<Turn<'a, Client>> {
    let client = Client::open(&service.file, Over::Http, args.connections).await?;
    let (processes, files) = (service.processes()?.into(), service.nats_files());
    Ok(Turn { client, service: Some(service), processes, files, args, accepted: 0, sent: 0 })
}

/// Either of the two while it has the machine.
struct Turn<'a, C> {
    client: C,
    /// When it is regflow's turn: it tells outsiders, which belongs to what it costs.
    service: Option<&'a Service>,
    processes: Vec<u32>,
    /// Where it stores things.
    files: PathBuf,
    args: &'a BenchArgs,
    /// Registrations until now.
    accepted: usize,
    sent: usize,
}

/// One load, and what is told of it.
struct Done {
    measured: Measured,
    told: Value,
}

impl<C: Registrar> Turn<'_, C> {
    /// In a closed loop, after as many to warm up.
    async fn as_fast_as_it_goes(&mut self) -> anyhow::Result<Done> {
        let (batch, pace) = (self.args.batch(), Pace::InFlight(self.args.in_flight));
        self.load(batch, pace).await?;
        self.load(batch, pace).await
    }

    /// So many a second.
    async fn at(&mut self, rate: u32) -> anyhow::Result<Done> {
        self.load(self.args.arriving_batch(), Pace::PerSecond(rate)).await
    }

    async fn load(&mut self, batch: usize, pace: Pace) -> anyhow::Result<Done> {
        let load = Load { first: self.sent, count: self.args.registrations(), batch, pace };
        let told_before = match self.service {
            Some(service) => Some((service, service.usage().await?)),
            None => None,
        };
        let before = self.used()?;
        let measured = load.run(&self.client, self.accepted).await?;
        if let Some((service, before)) = told_before {
            service.until_notified(&before, measured.accepted).await?;
        }
        let after = self.used()?;
        self.sent += load.count;
        self.accepted += measured.accepted;
        let told = json!({
            "registrations_per_second": round(measured.rate()),
            "refused": load.count - measured.accepted,
            "submit_ms": quantiles(measured.submit.iter().map(|timed| timed.ms)),
            "end_to_end_ms": quantiles(measured.end_to_end.iter().map(|timed| timed.ms)),
            "cpu_ms_per_registration": round3((after.cpu_ms - before.cpu_ms) / float(measured.accepted)),
            "disk_bytes_per_registration": round((after.disk_bytes - before.disk_bytes) / float(measured.accepted)),
            "peak_rss_mb": round(after.peak_rss_mb),
        });
        Ok(Done { measured, told })
    }

    fn used(&self) -> anyhow::Result<Used> {
        let mut used =
            Used { disk_bytes: float(usize::try_from(usage::folder_bytes(&self.files)?)?), ..Used::default() };
        for pid in &self.processes {
            used.cpu_ms += usage::cpu_ms(*pid)?;
            used.peak_rss_mb += usage::peak_rss_mb(*pid)?;
        }
        Ok(used)
    }
}

/// Of all its processes together.
#[derive(Default)]
struct Used {
    cpu_ms: f64,
    peak_rss_mb: f64,
    disk_bytes: f64,
}

/// The peer with a sandbox of its own.
struct Peer {
    folder: TempDir,
    child: Child,
    sandbox: Child,
    told: Told,
}

/// What it says when it is ready.
#[derive(Deserialize)]
struct Told {
    http: String,
    processes: Vec<u32>,
    peer: String,
}

impl Peer {
    async fn start(first_try_fails: bool) -> anyhow::Result<Self> {
        let folder = stage::new_folder()?;
        let (sandbox, makers) = stage::start_sandbox().await?;
        if first_try_fails {
            fallback::fail_first_tries(&makers).await?;
        }
        let mut child = Command::new("node")
            .arg(SCRIPT)
            .arg(folder.path())
            .arg(&makers)
            .env("NODE_PATH", std::path::absolute(PACKAGES)?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // not killed when dropped, but left without input, so that it takes Redis with it
            .spawn()
            .context("failed to start the peer with node; if it is missing, type: scripts/setup --bench")?;
        let mut lines = BufReader::new(child.stdout.take().context("the peer has no output")?).lines();
        let line = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await.context("the peer takes too long")?;
        let told = serde_json::from_str(&line?.context(ENDED)?)?;
        Ok(Self { folder, child, sandbox, told })
    }

    fn turn<'a>(&self, args: &'a BenchArgs) -> anyhow::Result<Turn<'a, OfPeer>> {
        let client = OfPeer { http: client::http_client()?, address: self.told.http.clone() };
        let (processes, files) = (self.told.processes.clone(), self.folder.path().to_owned());
        Ok(Turn { client, service: None, processes, files, args, accepted: 0, sent: 0 })
    }

    /// It ends with its input.
    async fn stop(mut self) -> anyhow::Result<()> {
        drop(self.child.stdin.take());
        let ended = tokio::time::timeout(START_TIMEOUT, self.child.wait()).await;
        ended.context("the peer did not stop in time")??;
        self.sandbox.kill().await.context("failed to end the sandbox")?;
        self.folder.close().context("failed to remove the peer's folder")
    }
}

/// The peer's client.
#[derive(Clone)]
struct OfPeer {
    http: reqwest::Client,
    address: String,
}

#[derive(Deserialize)]
struct Ids {
    ids: Vec<String>,
}

#[derive(Deserialize)]
struct State {
    state: String,
}

#[derive(Deserialize)]
struct Count {
    done: usize,
}

impl OfPeer {
    async fn get<A: DeserializeOwned>(&self, path: &str) -> anyhow::Result<A> {
        read(self.http.get(format!("{}{path}", self.address))).await
    }
}

async fn read<A: DeserializeOwned>(request: reqwest::RequestBuilder) -> anyhow::Result<A> {
    let answer = request.send().await?.error_for_status().context("the peer has failed")?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}

impl Registrar for OfPeer {
    async fn submit(&self, first: usize, count: usize) -> anyhow::Result<Accepted> {
        let batch = v1::SubmitBatchRequest { requests: client::requests(first, count) };
        let answer: Ids = read(self.http.post(&self.address).json(&batch)).await?;
        Ok(answer.ids.into_iter().enumerate().collect())
    }

    async fn has_succeeded(&self, id: &str) -> anyhow::Result<bool> {
        let State { state } = self.get(id).await?;
        ensure!(state != "failed", "a registration by the peer failed");
        Ok(state == "completed")
    }

    async fn count_successes(&self) -> anyhow::Result<usize> {
        let Count { done } = self.get("done").await?;
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_set_against_the_peers() {
        let told = |per_second: u32, p50: f64| json!({ "registrations_per_second": per_second, "submit_ms": { "p50": p50, "p99": null } });
        let both = compared(&told(3_000, 5.0), &told(2_000, 10.0));
        assert_eq!(both["regflow_by_peer"]["registrations_per_second"], 1.5);
        assert_eq!(both["regflow_by_peer"]["submit_ms_p50"], 0.5);
        assert_eq!(both["regflow_by_peer"]["submit_ms_p99"], Value::Null);
        assert_eq!(both["peer"]["submit_ms"]["p50"], 10.0);
    }
}
