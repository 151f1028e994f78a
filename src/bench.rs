//! The benchmark: the real binary as a child process, the sandbox as another, the happy path from submit to SUCCESS.

mod figures;
mod form;
mod mail;
mod packet;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use proto::v1;
use proto::v1::registrations_client::RegistrationsClient;
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tonic::Code;
use tonic::transport::Channel;

use crate::cli::{BenchArgs, BenchPart};
use crate::client;
use crate::serve::{self, ServiceFile};
use crate::show::tell;

/// How long a child may take until it is ready.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// The whole run must be over by then.
const RUN_TIMEOUT: Duration = Duration::from_secs(900);
/// How often the view is asked whether all have arrived, towards the end; before that a quarter of the time that is left by
/// how it went so far, because each look costs the service something.
const POLL: Duration = Duration::from_millis(20);
/// The longest time between two looks.
const POLL_MAX: Duration = Duration::from_millis(500);
/// One in so many registrations is followed from submit to SUCCESS.
const SAMPLE_EVERY: usize = 100;
/// First pause between two looks at one registration; then a tenth of its age, so that looking costs little and a latency
/// is known to within 10 %.
const LOOK: Duration = Duration::from_millis(1);
/// Records of one happy registration: Submitted; Dispatched + AttemptStarted; AttemptSucceeded + RegistrationSucceeded.
const RECORDS_EACH: usize = 3;
/// Most registrations a second that can be asked for.
const RATE_MAX: u32 = 1_000_000;
/// Messages in one batch of the raw server's run: the most that it takes.
const RAW_BATCH: usize = 1_000;

/// Runs and prints one JSON object.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    if let Some(part) = args.part {
        let figures = match part {
            BenchPart::Pdf => packet::run(args.count, 2).await?,
            BenchPart::Mail => mail::run(args.count, args.connections, 300).await?,
            BenchPart::Form => form::run(args.count, 5).await?,
        };
        tell!("{figures:#}");
        return Ok(());
    }
    ensure!(args.registrations >= 1, "--registrations must be at least 1");
    ensure!((1..=1_000).contains(&args.batch), "--batch must be 1 to 1000");
    ensure!((1..=1_000).contains(&args.in_flight), "--in-flight must be 1 to 1000");
    ensure!(args.rate.is_none_or(|rate| (1..=RATE_MAX).contains(&rate)), "--rate must be 1 to {RATE_MAX}");
    let folder = tempfile::Builder::new().prefix("regflow-bench-").tempdir()?;
    let (_sandbox, sandbox_url) = start_sandbox().await?;
    let mut service = start_service(folder.path(), &sandbox_url, args.relaxed).await?;
    let before = service.usage()?;
    let measured = tokio::time::timeout(RUN_TIMEOUT, happy_path(&service.file.grpc, &args)).await;
    let measured = measured.context("the run did not end in time")??;
    let after = service.usage()?;
    let raw = bus::raw_ceiling(
        &service.file.nats_url,
        measured.accepted * RECORDS_EACH,
        after.record_bytes(&before, measured.accepted),
        RAW_BATCH,
    )
    .await
    .context("failed to measure the raw server")?;
    tell!("{:#}", report(&args, &measured, &before, &after, raw));
    service.stop().await
}

fn report(args: &BenchArgs, measured: &Measured, before: &Usage, after: &Usage, raw: f64) -> Value {
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let count = measured.accepted as f64;
    let rate = count / measured.took.as_secs_f64();
    #[allow(clippy::cast_precision_loss, reason = "bytes of a benchmark are far below 2^52")]
    let disk = after.disk_bytes.saturating_sub(before.disk_bytes) as f64 / count;
    #[allow(clippy::cast_precision_loss, reason = "a small constant")]
    let used_of_raw = rate * RECORDS_EACH as f64 / raw;
    json!({
        "scenario": if args.rate.is_some() { "open_loop" } else { "happy" },
        "registrations": args.registrations,
        "offered_per_second": args.rate,
        "refused": args.registrations - measured.accepted,
        "submit_batch": args.batch,
        "durable": !args.relaxed,
        "registrations_per_second": round(rate),
        "submit_ms": quantiles(&measured.submit_ms),
        "end_to_end_ms": quantiles(&measured.end_to_end_ms),
        "cpu_ms_per_registration": {
            "regflow": round3((after.cpu_ms.0 - before.cpu_ms.0) / count),
            "nats_server": round3((after.cpu_ms.1 - before.cpu_ms.1) / count),
        },
        "peak_rss_mb": { "regflow": round(after.peak_rss_mb.0), "nats_server": round(after.peak_rss_mb.1) },
        "disk_bytes_per_registration": round(disk),
        "raw_server_messages_per_second": round(raw),
        "share_of_raw_server": round3(used_of_raw),
    })
}

fn round(value: f64) -> f64 {
    value.round()
}

fn round3(value: f64) -> f64 {
    (value * 1_000.0).round() / 1_000.0
}

fn quantiles(samples_ms: &[f64]) -> Value {
    let mut sorted = samples_ms.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |share: usize| sorted.get((sorted.len() * share / 100).min(sorted.len().saturating_sub(1))).copied();
    json!({ "p50": at(50).map(round3), "p99": at(99).map(round3), "samples": sorted.len() })
}

/// What the clients saw.
struct Measured {
    took: Duration,
    /// All of them were seen to end in SUCCESS.
    accepted: usize,
    submit_ms: Vec<f64>,
    end_to_end_ms: Vec<f64>,
}

async fn happy_path(grpc: &str, args: &BenchArgs) -> anyhow::Result<Measured> {
    let service = RegistrationsClient::new(client::connect_plainly(grpc).await?);
    let (permits, started) = (Arc::new(Semaphore::new(args.in_flight)), Instant::now());
    let mut submits = tokio::task::JoinSet::new();
    for first in (0..args.registrations).step_by(args.batch) {
        let (permit, sent_at) = match args.rate {
            None => (Some(permits.clone().acquire_owned().await?), Instant::now()),
            // counted from when it was due: a service that holds up its clients shall not look quicker for it
            Some(rate) => (None, arrival(started, first, rate).await),
        };
        let (service, count) = (service.clone(), args.batch.min(args.registrations - first));
        submits.spawn(async move {
            let sent = submit(service, first, count, sent_at).await;
            drop(permit);
            sent
        });
    }
    let (mut submit_ms, mut samples, mut accepted) = (Vec::new(), Vec::new(), 0);
    while let Some(sent) = submits.join_next().await {
        let sent = sent??;
        if sent.accepted > 0 {
            submit_ms.push(sent.submit_ms);
        }
        accepted += sent.accepted;
        samples.extend(sent.sampled);
    }
    ensure!(accepted > 0, "the service refused every registration");
    let took = wait_until_visible(service, accepted, started).await?;
    let mut end_to_end_ms = Vec::new();
    for sample in samples {
        end_to_end_ms.extend(sample.await??);
    }
    Ok(Measured { took, accepted, submit_ms, end_to_end_ms })
}

/// Waits until the registration of this number is due.
async fn arrival(started: Instant, number: usize, rate: u32) -> Instant {
    #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
    let due = started + Duration::from_secs_f64(number as f64 / f64::from(rate));
    tokio::time::sleep_until(due.into()).await;
    due
}

/// One request's answer, and the samples that are being followed.
struct Sent {
    submit_ms: f64,
    accepted: usize,
    sampled: Vec<tokio::task::JoinHandle<anyhow::Result<Option<f64>>>>,
}

async fn submit(
    mut service: RegistrationsClient<Channel>,
    first: usize,
    count: usize,
    sent_at: Instant,
) -> anyhow::Result<Sent> {
    let requests = (first..first + count).map(request).collect();
    let answer = service.submit_batch(v1::SubmitBatchRequest { requests }).await;
    let (submit_ms, mut accepted, mut sampled) = (millis(sent_at), 0, Vec::new());
    let answer = match answer {
        Ok(answer) => answer.into_inner(),
        // too many requests: none of this one was looked at
        Err(status) if status.code() == Code::ResourceExhausted => return Ok(Sent { submit_ms, accepted, sampled }),
        Err(status) => return Err(status.into()),
    };
    for (offset, result) in answer.results.into_iter().enumerate() {
        match result.result {
            Some(v1::submit_result::Result::Submitted(submitted)) => {
                accepted += 1;
                if (first + offset).is_multiple_of(SAMPLE_EVERY) {
                    let id = submitted.registration.unwrap_or_default().id;
                    sampled.push(tokio::spawn(follow(service.clone(), id, sent_at)));
                }
            }
            Some(v1::submit_result::Result::Error(error)) if error.code == i32::from(Code::ResourceExhausted) => {}
            Some(v1::submit_result::Result::Error(error)) => bail!("a submission was refused: {}", error.message),
            None => bail!("a submission got no answer"),
        }
    }
    Ok(Sent { submit_ms, accepted, sampled })
}

/// Milliseconds from `sent_at` until SUCCESS is visible.
async fn follow(
    mut service: RegistrationsClient<Channel>,
    id: String,
    sent_at: Instant,
) -> anyhow::Result<Option<f64>> {
    loop {
        let found = service.get(v1::GetRequest { id: id.clone(), min_sequence: 0 }).await;
        let state = found.map_or(v1::RegistrationState::Unspecified, |answer| answer.into_inner().state());
        if state == v1::RegistrationState::Success {
            return Ok(Some(millis(sent_at)));
        }
        ensure!(!client::is_settled(state), "a registration ended as {}", state.as_str_name());
        ensure!(sent_at.elapsed() < RUN_TIMEOUT, "a registration did not end in time");
        tokio::time::sleep((sent_at.elapsed() / 10).max(LOOK)).await;
    }
}

async fn wait_until_visible(
    mut service: RegistrationsClient<Channel>,
    wanted: usize,
    started: Instant,
) -> anyhow::Result<Duration> {
    let success =
        v1::ListRequest { states: vec![v1::RegistrationState::Success.into()], page_size: 1, ..Default::default() };
    loop {
        let page = service.list(success.clone()).await?.into_inner();
        let (there, elapsed) = (usize::try_from(page.total_size).unwrap_or(0), started.elapsed());
        if there >= wanted {
            return Ok(elapsed);
        }
        #[allow(clippy::cast_precision_loss, reason = "counts of a benchmark are far below 2^52")]
        let left = elapsed.mul_f64((wanted - there) as f64 / there.max(1) as f64 / 4.0);
        tokio::time::sleep(left.clamp(POLL, POLL_MAX)).await;
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// A submission of the size that people send; each has an owner of its own.
fn request(number: usize) -> v1::SubmitRequest {
    v1::SubmitRequest {
        product: Some(v1::Product {
            brand: "Norrland".into(),
            model: "VK 200 Combi".into(),
            serial: format!("NL{:08}", number % 100_000_000),
        }),
        purchase: Some(v1::Purchase {
            date: "2026-11-02".into(),
            shop: "Elgiganten Malmö".into(),
            price: "8 990 kr".into(),
            ..Default::default()
        }),
        owner: Some(v1::Owner {
            name: format!("Åsa Öberg {number}"),
            email: format!("owner{number}@example.org"),
            phone: "+46 40 123456".into(),
            address: Some(v1::Address {
                street: "Östra Förstadsgatan 12".into(),
                postal_code: "211 31".into(),
                city: "Malmö".into(),
                country: "SE".into(),
            }),
        }),
        // the happy path is measured without the letter at its end, which is as fast as the mail server is
        mail_preference: v1::MailPreference::None.into(),
        ..Default::default()
    }
}

async fn start_sandbox() -> anyhow::Result<(Child, String)> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = Command::new(std::env::current_exe()?)
        .args(["sandbox", "--json", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the sandbox")?;
    let mut lines = BufReader::new(child.stdout.take().context("the sandbox has no output")?).lines();
    let line = tokio::time::timeout(START_TIMEOUT, lines.next_line()).await??.context("the sandbox said nothing")?;
    let addresses: Value = serde_json::from_str(&line)?;
    let http = addresses["http"].as_str().context("the sandbox did not tell its address")?;
    Ok((child, format!("http://{http}/")))
}

/// The service under test.
struct Service {
    child: Child,
    file: ServiceFile,
    store: PathBuf,
}

async fn start_service(folder: &Path, sandbox: &str, relaxed: bool) -> anyhow::Result<Service> {
    let data = folder.join("service");
    let durability = if relaxed { "relaxed" } else { "safe" };
    let child = Command::new(std::env::current_exe()?)
        .arg("serve")
        .env("REGFLOW__SERVER__GRPC", "127.0.0.1:0")
        .env("REGFLOW__SERVER__HTTP", "127.0.0.1:0")
        .env("REGFLOW__SERVER__DATA", &data)
        .env("REGFLOW__CATALOG__SANDBOX", sandbox)
        .env("REGFLOW__NATS__DURABILITY", durability)
        .env("REGFLOW__LOG__LEVEL", "warn")
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the service")?;
    let file = ServiceFile::wait_for(&data, START_TIMEOUT).await?;
    Ok(Service { child, file, store: data.join(serve::NATS_FOLDER) })
}

/// What the processes have used so far: (regflow, nats-server).
struct Usage {
    cpu_ms: (f64, f64),
    peak_rss_mb: (f64, f64),
    disk_bytes: u64,
}

impl Usage {
    /// The mean size of a stored record, for a raw run with messages of the same size.
    fn record_bytes(&self, before: &Self, registrations: usize) -> usize {
        let grown = usize::try_from(self.disk_bytes.saturating_sub(before.disk_bytes)).unwrap_or(usize::MAX);
        // the key and the notification of each registration are messages as well
        (grown / registrations.max(1) / (RECORDS_EACH + 2)).clamp(64, 4_096)
    }
}

impl Service {
    fn usage(&self) -> anyhow::Result<Usage> {
        let (own, nats) = (self.file.pid, self.file.nats_pid.context("the embedded NATS has no process")?);
        Ok(Usage {
            cpu_ms: (cpu_ms(own)?, cpu_ms(nats)?),
            peak_rss_mb: (peak_rss_mb(own)?, peak_rss_mb(nats)?),
            disk_bytes: folder_bytes(&self.store)?,
        })
    }

    async fn stop(&mut self) -> anyhow::Result<()> {
        terminate(self.file.pid)?;
        let ended = tokio::time::timeout(START_TIMEOUT, self.child.wait()).await;
        ended.context("the service did not stop in time")??;
        Ok(())
    }
}

/// Asks a process that we started to stop.
fn terminate(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("not a process id")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

/// Processor time of a process, user and system, all threads (proc(5), `stat`, fields 14 and 15).
fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    /// Linux counts in hundredths of a second on every architecture that we know (`USER_HZ`).
    const MS_PER_TICK: f64 = 10.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("/proc stat has no name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |place: usize| -> anyhow::Result<f64> { Ok(fields.get(place).context("/proc stat is short")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) * MS_PER_TICK)
}

/// Peak resident memory (proc(5), `status`, VmHWM).
fn peak_rss_mb(pid: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("/proc status has no VmHWM")?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1_024.0)
}

fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        sum += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}
