//! The embedded server before it runs: its binary, its version, its ports and its configuration file.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::embedded::{DiskSync, EmbeddedError};

/// The committed configuration; its first block holds the values that are replaced.
const TEMPLATE: &str = include_str!("../../nats/server.conf");
/// Where `make setup` puts the binary, beside the folder we are started in or above it.
const SETUP_BINARY: &str = ".tools/nats-server";
/// The first version that knows atomic batches.
const VERSION_MIN: (u32, u32) = (2, 12);

/// The values of the first block.
#[derive(Debug)]
pub(crate) struct Values<'a> {
    pub name: &'a str,
    pub ports: Ports,
    pub data_dir: &'a Path,
    pub disk_sync: DiskSync,
}

/// Where the server listens, on loopback.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ports {
    pub client: u16,
    pub monitor: u16,
}

impl Ports {
    /// Free ones; `client` is kept when given. Somebody may take them before the server does: then choose again.
    pub fn choose(client: Option<u16>) -> std::io::Result<Self> {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let (one, two) = (free()?, free()?);
        Ok(Self { client: client.unwrap_or(one.local_addr()?.port()), monitor: two.local_addr()?.port() })
    }
}

/// The binary to start: the given one, else the one of `make setup`, else one on PATH.
pub(crate) fn find_binary(given: Option<&Path>) -> Result<PathBuf, EmbeddedError> {
    if let Some(given) = given.filter(|path| !path.is_file()) {
        return Err(EmbeddedError::NotThere(given.to_owned()));
    }
    let binary = given.map(Path::to_owned).or_else(set_up_binary).or_else(binary_on_path);
    let binary = binary.filter(|path| path.is_file()).ok_or(EmbeddedError::NoBinary)?;
    let output = Command::new(&binary).arg("--version").output();
    let output = output.map_err(|source| EmbeddedError::Io { doing: "run nats-server --version", source })?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match parse_version(&text) {
        Some(version) if version >= VERSION_MIN => Ok(binary),
        Some(_) | None => Err(EmbeddedError::TooOld { binary, says: text }),
    }
}

fn set_up_binary() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(SETUP_BINARY)).find(|path| path.is_file())
}

fn binary_on_path() -> Option<PathBuf> {
    which("nats-server")
}

/// The first file of that name on PATH.
pub(crate) fn which(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// From "nats-server: v2.15.1".
fn parse_version(text: &str) -> Option<(u32, u32)> {
    let (_, version) = text.rsplit_once('v')?;
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The configuration file's text.
pub(crate) fn render(values: &Values<'_>) -> Result<String, EmbeddedError> {
    let sync = match values.disk_sync {
        DiskSync::Always => "always",
        DiskSync::Relaxed => "2m",
    };
    let replaced = [
        ("regflow_name", quoted(values.name)?),
        ("regflow_port", values.ports.client.to_string()),
        ("regflow_monitor_port", values.ports.monitor.to_string()),
        ("regflow_store_dir", quoted_path(values.data_dir)?),
        ("regflow_log_file", quoted_path(&values.data_dir.join("server.log"))?),
        ("regflow_sync", quoted(sync)?),
    ];
    let mut text = String::with_capacity(TEMPLATE.len());
    for line in TEMPLATE.lines() {
        let key = line.split_once(" = ").map(|(key, _)| key);
        match replaced.iter().find(|(name, _)| Some(*name) == key) {
            Some((name, value)) => text.push_str(&format!("{name} = {value}")),
            None => text.push_str(line),
        }
        text.push('\n');
    }
    Ok(text)
}

fn quoted_path(path: &Path) -> Result<String, EmbeddedError> {
    quoted(path.to_str().ok_or(EmbeddedError::BadPath)?)
}

fn quoted(text: &str) -> Result<String, EmbeddedError> {
    if text.chars().any(|c| c.is_control() || c == '"' || c == '\\') {
        return Err(EmbeddedError::BadPath);
    }
    Ok(format!("\"{text}\""))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    fn values(data_dir: &Path) -> Values<'_> {
        Values { name: "x", ports: Ports { client: 1, monitor: 2 }, data_dir, disk_sync: DiskSync::Always }
    }

    #[test]
    fn every_value_of_the_template_is_replaced_once() {
        let text = render(&values(Path::new("/data"))).unwrap();
        let expected = [
            "regflow_name = \"x\"",
            "regflow_port = 1",
            "regflow_monitor_port = 2",
            "regflow_store_dir = \"/data\"",
            "regflow_log_file = \"/data/server.log\"",
        ];
        for line in expected.into_iter().chain(["regflow_sync = \"always\""]) {
            assert_eq!(text.lines().filter(|text| *text == line).count(), 1, "{line}");
        }
    }

    #[test]
    fn a_folder_name_that_would_break_out_of_its_quotes_is_refused() {
        assert!(matches!(render(&values(Path::new("/a\"b"))), Err(EmbeddedError::BadPath)));
        assert!(matches!(render(&values(Path::new("/a\nb"))), Err(EmbeddedError::BadPath)));
    }

    #[test]
    fn versions_are_read_and_compared() {
        assert_eq!(parse_version("nats-server: v2.15.1"), Some((2, 15)));
        assert!(parse_version("nats-server: v2.9.3").is_some_and(|version| version < VERSION_MIN));
        assert_eq!(parse_version("nonsense"), None);
    }

    #[test]
    fn a_binary_that_is_not_there_is_named_with_its_remedy() {
        let missing = find_binary(Some(Path::new("no/such/file"))).unwrap_err().to_string();
        assert!(missing.contains("no/such/file") && missing.contains("make setup"), "{missing}");
    }
}
