//! The file that tells other programs where a service is, while it runs.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};

/// Its name below the data folder.
pub const SERVICE_FILE: &str = "service.json";
/// How often a child's file is looked for.
const POLL: Duration = Duration::from_millis(20);

/// Where a running service is; written once it is ready.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceFile {
    pub pid: u32,
    pub grpc: String,
    pub http: String,
    pub nats_url: String,
    pub nats_pid: Option<u32>,
}

impl ServiceFile {
    /// The file of a service that was just started on `data`.
    pub async fn wait_for(data: &Path, patience: Duration) -> anyhow::Result<Self> {
        let (path, asked) = (data.join(SERVICE_FILE), Instant::now());
        loop {
            if let Ok(text) = std::fs::read_to_string(&path) {
                return serde_json::from_str(&text).context("failed to read where the service is");
            }
            if asked.elapsed() > patience {
                bail!("the service did not come up within {} s", patience.as_secs());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Whole or not at all: a reader never sees half of it.
    pub fn write(&self, data: &Path) -> anyhow::Result<()> {
        let draft = data.join(format!("{SERVICE_FILE}.draft"));
        std::fs::write(&draft, serde_json::to_vec_pretty(self)?)?;
        std::fs::rename(&draft, data.join(SERVICE_FILE)).context("failed to tell where the service is")
    }
}
