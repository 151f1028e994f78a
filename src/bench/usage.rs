//! What processes use: processor time, memory, disk; and the machine that they run on.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::TcpStream;

/// How long the NATS server may take to say who it is.
const GREETING_TIMEOUT: Duration = Duration::from_secs(5);
/// Its greeting is not longer, in bytes.
const GREETING_BYTES_MAX: u64 = 64 * 1024;

/// Processor time of a process in milliseconds, user and system, all threads (proc(5), `stat`, fields 14 and 15).
pub fn cpu_ms(pid: u32) -> anyhow::Result<f64> {
    /// Linux counts in hundredths of a second on every architecture that we know (`USER_HZ`).
    const MS_PER_TICK: f64 = 10.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let after_name = stat.rsplit_once(')').context("/proc stat has no name")?.1;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let ticks =
        |place: usize| -> anyhow::Result<f64> { Ok(fields.get(place).context("/proc stat is short")?.parse()?) };
    Ok((ticks(11)? + ticks(12)?) * MS_PER_TICK)
}

/// Peak resident memory in megabytes (proc(5), `status`, VmHWM).
pub fn peak_rss_mb(pid: u32) -> anyhow::Result<f64> {
    status_mb(pid, "VmHWM:")
}

/// Resident memory at this moment in megabytes (proc(5), `status`, VmRSS).
pub fn rss_mb(pid: u32) -> anyhow::Result<f64> {
    status_mb(pid, "VmRSS:")
}

fn status_mb(pid: u32, name: &str) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let line = line.with_context(|| format!("/proc status has no {name}"))?;
    let kilobytes: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kilobytes / 1_024.0)
}

/// Bytes of all files below a folder.
pub fn folder_bytes(folder: &Path) -> anyhow::Result<u64> {
    let mut sum = 0;
    for entry in std::fs::read_dir(folder).with_context(|| format!("failed to read {}", folder.display()))? {
        let entry = entry?;
        // a file that was just replaced is somebody's who works there
        let Ok(metadata) = entry.metadata() else { continue };
        sum += if metadata.is_dir() { folder_bytes(&entry.path())? } else { metadata.len() };
    }
    Ok(sum)
}

/// The machine and the programs, as far as figures depend on them.
pub async fn machine(nats_url: Option<&str>) -> Value {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor.lines().find(|line| line.starts_with("model name"));
    let nats_server = match nats_url {
        Some(url) => nats_version(url).await.ok(),
        None => None,
    };
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    json!({
        "cpus": std::thread::available_parallelism().map_or(0, usize::from),
        "cpu_model": processor.and_then(|line| line.split_once(':')).map_or("unknown", |(_, model)| model.trim()),
        "kernel": kernel.trim(),
        "regflow": env!("CARGO_PKG_VERSION"),
        "optimised": !cfg!(debug_assertions),
        "nats_server": nats_server,
    })
}

/// The server says it first of all, before anybody must say who they are (NATS client protocol, INFO).
async fn nats_version(url: &str) -> anyhow::Result<String> {
    let url: url::Url = url.parse()?;
    let address = (url.host_str().context("no host")?, url.port().unwrap_or(4222));
    let greeting = async {
        let stream = TcpStream::connect(address).await?;
        let mut line = String::new();
        BufReader::new(stream.take(GREETING_BYTES_MAX)).read_line(&mut line).await?;
        anyhow::Ok(line)
    };
    let line = tokio::time::timeout(GREETING_TIMEOUT, greeting).await??;
    let info: Value = serde_json::from_str(line.trim().strip_prefix("INFO ").context("no greeting")?)?;
    Ok(info["version"].as_str().context("no version")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_used_time_and_memory() {
        let own = std::process::id();
        assert!(cpu_ms(own).is_ok());
        let (now, peak) = (rss_mb(own).expect("memory"), peak_rss_mb(own).expect("memory"));
        assert!(now > 1.0 && peak >= now * 0.9, "{now} {peak}");
    }

    #[test]
    fn a_folder_has_the_bytes_of_all_files_below_it() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("deeper")).expect("a folder");
        std::fs::write(folder.path().join("a"), [0; 10]).expect("a file");
        std::fs::write(folder.path().join("deeper/b"), [0; 5]).expect("a file");
        assert_eq!(folder_bytes(folder.path()).expect("bytes"), 15);
    }
}
