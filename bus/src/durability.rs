//! Whether an acknowledged write survives a power cut: with its default settings a lone server forgets up to two minutes.

use std::time::Duration;

use async_nats::ServerInfo;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::embedded::DiskSync;

/// Longest wait for the server's monitoring page.
const MONITOR_TIMEOUT: Duration = Duration::from_secs(3);
/// Largest monitoring page that is read.
const MONITOR_BYTES_MAX: u64 = 4 * 1024 * 1024;
/// Copies from which on a power cut of one machine loses nothing.
const SAFE_REPLICAS: usize = 3;

/// What is known of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Durability {
    /// What is acknowledged stays.
    Safe,
    /// A power cut can lose acknowledged writes.
    Unsafe(String),
    /// The server does not tell, which is no proof.
    Unknown(String),
}

/// What may tell.
#[derive(Debug, Default)]
pub(crate) struct Evidence<'a> {
    /// The setting of a server that we started ourselves.
    pub embedded: Option<DiskSync>,
    /// Copies of each message of the log.
    pub replicas: usize,
    /// The server's monitoring address, for example `http://127.0.0.1:8222`.
    pub monitor_url: Option<&'a str>,
}

/// Judges by what can be known.
pub(crate) async fn judge(evidence: &Evidence<'_>, server: &ServerInfo) -> Durability {
    match (evidence.embedded, evidence.monitor_url) {
        _ if evidence.replicas >= SAFE_REPLICAS => Durability::Safe,
        (Some(DiskSync::Always), _) => Durability::Safe,
        (Some(DiskSync::Relaxed), _) => Durability::Unsafe("the embedded server runs with relaxed flushing".to_owned()),
        (None, None) => {
            Durability::Unknown("no nats.monitor_url is given that could tell the server's sync_interval".to_owned())
        }
        (None, Some(url)) => match tokio::time::timeout(MONITOR_TIMEOUT, page(url)).await {
            Ok(Ok(page)) => judge_page(&page, &server.server_id),
            Ok(Err(error)) => Durability::Unknown(format!("the monitoring page cannot be read: {error}")),
            Err(_) => Durability::Unknown("the monitoring page does not answer".to_owned()),
        },
    }
}

#[derive(Deserialize)]
struct Page {
    server_id: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Deserialize, Default)]
struct JetStream {
    #[serde(default)]
    config: Settings,
}

#[derive(Deserialize, Default)]
struct Settings {
    #[serde(default)]
    sync_always: bool,
}

fn judge_page(page: &[u8], server_id: &str) -> Durability {
    match serde_json::from_slice::<Page>(page) {
        Err(error) => Durability::Unknown(format!("the monitoring page is not understood: {error}")),
        Ok(page) if page.server_id != server_id => {
            Durability::Unknown("nats.monitor_url is another server's".to_owned())
        }
        Ok(page) if page.jetstream.config.sync_always => Durability::Safe,
        Ok(_) => Durability::Unsafe("the server runs without `sync_interval: always`".to_owned()),
    }
}

/// The page /varz by a plain HTTP/1.0 request: it needs no client library, and the answer is never chunked.
async fn page(url: &str) -> std::io::Result<Vec<u8>> {
    let wrong = |text: &str| std::io::Error::other(text.to_owned());
    let address = url.strip_prefix("http://").ok_or_else(|| wrong("nats.monitor_url must begin with http://"))?;
    let address = address.trim_end_matches('/');
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET /varz HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MONITOR_BYTES_MAX).read_to_end(&mut answer).await?;
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").ok_or_else(|| wrong("it answers no HTTP"))?;
    Ok(answer.split_off(end + 4))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_server_that_flushes_always_is_safe() {
        let page = br#"{"server_id":"A","jetstream":{"config":{"sync_always":true}}}"#;
        assert_eq!(judge_page(page, "A"), Durability::Safe);
        let page = br#"{"server_id":"A","jetstream":{"config":{"sync_interval":120000000000}}}"#;
        assert!(matches!(judge_page(page, "A"), Durability::Unsafe(_)));
    }

    #[test]
    fn the_page_of_another_server_and_nonsense_prove_nothing() {
        let page = br#"{"server_id":"B","jetstream":{"config":{"sync_always":true}}}"#;
        assert!(matches!(judge_page(page, "A"), Durability::Unknown(_)));
        assert!(matches!(judge_page(b"<html>", "A"), Durability::Unknown(_)));
    }
}
