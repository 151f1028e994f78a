//! What is measured: the real binary as a child process, its NATS server, and the sandbox as another.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use events::subject::EVENTS_STREAM;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use super::client::millis;
use super::stats::{float, round, round3};
use super::usage;
use crate::serve::{self, ServiceFile};

/// How long the sandbox may take until it is ready.
const SANDBOX_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a service may take until it is ready, and until it has stopped: with a long log both take a while.
const SERVICE_TIMEOUT: Duration = Duration::from_secs(600);

/// How often the number of notifications is looked at.
const NOTIFIED_POLL: Duration = Duration::from_millis(20);

/// A folder for everything, and a sandbox; services come and go on them.
pub struct Stage {
    folder: TempDir,
    sandbox: Child,
    /// Where the makers are.
    pub sandbox_url: String,
    sandbox_pid: u32,
    relaxed: bool,
}

impl Stage {
    /// Starts the sandbox.
    pub async fn set(relaxed: bool) -> anyhow::Result<Self> {
        let folder = new_folder()?;
        let (sandbox, sandbox_url) = start_sandbox().await?;
        let sandbox_pid = sandbox.id().context("the sandbox has ended")?;
        Ok(Self { folder, sandbox, sandbox_url, sandbox_pid, relaxed })
    }

    /// A folder for files of makers that differ from the built-in ones; services started from now on read it.
    pub fn catalog(&self) -> anyhow::Result<PathBuf> {
        let catalog = self.folder.path().join("catalog");
        std::fs::create_dir_all(&catalog)?;
        Ok(catalog)
    }

    /// Starts a service on the stage's data, and waits until it is ready.
    pub async fn serve(&self) -> anyhow::Result<Service> {
        let data = self.folder.path().join("service");
        let catalog = self.folder.path().join("catalog");
        let mut command = of_ours()?;
        command
            .arg("serve")
            .env("REGFLOW__SERVER__GRPC", "127.0.0.1:0")
            .env("REGFLOW__SERVER__HTTP", "127.0.0.1:0")
            .env("REGFLOW__SERVER__DATA", &data)
            // one client stands for many
            .env("REGFLOW__SERVER__HTTP_REQUESTS_PER_S", "100000")
            .env("REGFLOW__CATALOG__SANDBOX", &self.sandbox_url)
            .env("REGFLOW__NATS__DURABILITY", if self.relaxed { "relaxed" } else { "safe" })
            .env("REGFLOW__LOG__LEVEL", "warn")
            .kill_on_drop(true);
        if catalog.is_dir() {
            command.env("REGFLOW__CATALOG__FOLDER", &catalog);
        }
        let mut child = command.spawn().context("failed to start the service")?;
        let file = until_up(&mut child, &data, SERVICE_TIMEOUT).await?;
        Ok(Service { child, file, data, sandbox_pid: self.sandbox_pid })
    }

    /// Ends the sandbox, and removes the folder.
    pub async fn clear(mut self) -> anyhow::Result<()> {
        self.sandbox.kill().await.context("failed to end the sandbox")?;
        self.folder.close().context("failed to remove the folder of the run")
    }
}

/// A folder of a run, which goes with it.
pub fn new_folder() -> std::io::Result<TempDir> {
    tempfile::Builder::new().prefix("regflow-bench-").tempdir()
}

/// This very program, for a process that also ends with a bench that is killed: the parent-death signal comes when the thread
/// that starts it ends, which is the program's first.
fn of_ours() -> std::io::Result<Command> {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM", "--"]).arg(std::env::current_exe()?);
    Ok(command)
}

/// Where the service is, once it is ready; an error when it ends before that.
async fn until_up(child: &mut Child, data: &Path, patience: Duration) -> anyhow::Result<ServiceFile> {
    tokio::select! {
        file = ServiceFile::wait_for(data, patience) => file,
        ended = child.wait() => bail!("the service ended before it was ready ({})", ended?),
    }
}

/// Starts the sandbox as a process; gives its address with a slash at the end.
pub async fn start_sandbox() -> anyhow::Result<(Child, String)> {
    use tokio::io::{AsyncBufReadExt, BufReader};
    let mut child = of_ours()?
        .args(["sandbox", "--json", "--without-bodies", "--http", "127.0.0.1:0", "--smtp", "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("failed to start the sandbox")?;
    let mut lines = BufReader::new(child.stdout.take().context("the sandbox has no output")?).lines();
    let line = tokio::time::timeout(SANDBOX_TIMEOUT, lines.next_line()).await??.context("the sandbox said nothing")?;
    let addresses: Value = serde_json::from_str(&line)?;
    let http = addresses["http"].as_str().context("the sandbox did not tell its address")?;
    Ok((child, format!("http://{http}/")))
}

/// The service under test.
pub struct Service {
    child: Child,
    /// Where it is.
    pub file: ServiceFile,
    data: PathBuf,
    sandbox_pid: u32,
}

impl Service {
    /// What everybody has used so far.
    pub async fn usage(&self) -> anyhow::Result<Usage> {
        let [own, nats] = self.processes()?;
        Ok(Usage {
            cpu_ms: [own, nats, self.sandbox_pid, std::process::id()]
                .map(usage::cpu_ms)
                .into_iter()
                .collect::<anyhow::Result<_>>()?,
            peak_rss_mb: (usage::peak_rss_mb(own)?, usage::peak_rss_mb(nats)?),
            rss_mb: (usage::rss_mb(own)?, usage::rss_mb(nats)?),
            disk_bytes: usage::folder_bytes(&self.nats_files())?,
            log_bytes: usage::folder_bytes(&self.nats_files().join(bus::STREAMS_FOLDER).join(EVENTS_STREAM))?,
            records: bus::raw_length(&self.file.nats_url).await.context("failed to ask the log for its length")?,
            notified: self.notified().await?,
        })
    }

    async fn notified(&self) -> anyhow::Result<u64> {
        bus::raw_notified(&self.file.nats_url).await.context("failed to ask for the number of notifications")
    }

    /// Waits until outsiders have been told of all these registrations as well, which belongs to what they cost; gives the
    /// milliseconds that it took.
    pub async fn until_notified(&self, before: &Usage, registrations: usize) -> anyhow::Result<f64> {
        let started = Instant::now();
        while self.notified().await? < before.notified + registrations as u64 {
            ensure!(started.elapsed() < SERVICE_TIMEOUT, "not all registrations were told of in time");
            tokio::time::sleep(NOTIFIED_POLL).await;
        }
        Ok(millis(started))
    }

    /// Regflow and nats-server.
    pub fn processes(&self) -> anyhow::Result<[u32; 2]> {
        Ok([self.file.pid, self.file.nats_pid.context("the embedded NATS has no process")?])
    }

    /// The folder of all streams.
    pub fn nats_files(&self) -> PathBuf {
        self.data.join(serve::NATS_FOLDER)
    }

    /// The folder of the views; nobody may touch it while the service runs.
    pub fn views(&self) -> PathBuf {
        self.data.join(serve::VIEWS_FOLDER)
    }

    /// Stops it, and waits until it has ended.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        terminate(self.file.pid)?;
        let ended = tokio::time::timeout(SERVICE_TIMEOUT, self.child.wait()).await;
        ended.context("the service did not stop in time")??;
        Ok(())
    }
}

/// Asks a process that we started to stop.
fn terminate(pid: u32) -> anyhow::Result<()> {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw).context("not a process id")?;
    Ok(rustix::process::kill_process(pid, rustix::process::Signal::TERM)?)
}

/// What the processes have used so far.
pub struct Usage {
    /// Of regflow, nats-server, the sandbox, and this client.
    cpu_ms: Vec<f64>,
    /// Of regflow and nats-server.
    peak_rss_mb: (f64, f64),
    /// The same at this moment.
    rss_mb: (f64, f64),
    /// Of nats-server's files.
    disk_bytes: u64,
    /// Of those of the log.
    log_bytes: u64,
    /// In the log.
    records: u64,
    /// Notifications.
    notified: u64,
}

impl Usage {
    /// Processor time since `before`, divided among registrations: the service's and the server's, and that of those who
    /// play the world around them on the same processors.
    pub fn cpu_each(&self, before: &Self, registrations: usize) -> Value {
        let each = |place: usize| {
            let used = self.cpu_ms.get(place).zip(before.cpu_ms.get(place)).map(|(now, then)| now - then);
            used.map(|ms| round3(ms / float(registrations)))
        };
        json!({ "regflow": each(0), "nats_server": each(1), "sandbox": each(2), "client": each(3) })
    }

    /// Peak memory of both.
    pub fn peak(&self) -> Value {
        json!({ "regflow": round(self.peak_rss_mb.0), "nats_server": round(self.peak_rss_mb.1) })
    }

    /// Memory of both at this moment.
    pub fn rss(&self) -> Value {
        json!({ "regflow": round(self.rss_mb.0), "nats_server": round(self.rss_mb.1) })
    }

    /// Bytes on disk since `before`, divided among registrations: of all streams, and of the log alone.
    pub fn disk_each(&self, before: &Self, registrations: usize) -> Value {
        let each = |now: u64, then: u64| {
            let grown = usize::try_from(now.saturating_sub(then)).unwrap_or(usize::MAX);
            round(float(grown) / float(registrations))
        };
        json!({
            "disk_bytes_per_registration": each(self.disk_bytes, before.disk_bytes),
            "log_bytes_per_registration": each(self.log_bytes, before.log_bytes),
        })
    }

    /// Records that the log has got since `before`.
    pub fn records_since(&self, before: &Self) -> usize {
        usize::try_from(self.records.saturating_sub(before.records)).unwrap_or(usize::MAX)
    }

    /// Records and notifications since `before`.
    pub fn messages_since(&self, before: &Self) -> usize {
        let notified = self.notified.saturating_sub(before.notified);
        self.records_since(before) + usize::try_from(notified).unwrap_or(usize::MAX)
    }

    /// The mean size of a stored message since `before`, for a raw run with messages of the same size.
    pub fn message_bytes(&self, before: &Self) -> usize {
        let grown = usize::try_from(self.disk_bytes.saturating_sub(before.disk_bytes)).unwrap_or(usize::MAX);
        (grown / self.messages_since(before).max(1)).clamp(64, 4_096)
    }
}

/// Bytes of a view's files on disk.
pub fn view_bytes(views: &Path, name: &str) -> anyhow::Result<u64> {
    usage::folder_bytes(&views.join(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_service_that_ends_before_it_is_ready_is_not_waited_for() {
        let mut child = Command::new("false").spawn().expect("started");
        let waited = until_up(&mut child, Path::new("/nowhere"), SERVICE_TIMEOUT).await;
        let error = waited.expect_err("it never comes up").to_string();
        assert_eq!(error, "the service ended before it was ready (exit status: 1)");
    }
}
