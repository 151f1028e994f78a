//! A throw-away server for tests: a real nats-server in a folder that goes with it.

use std::time::Duration;

use events::seal::MasterKey;
use tempfile::TempDir;

use crate::bus::{Bus, BusError, BusOptions};
use crate::embedded::{DiskSync, Embedded, EmbeddedError, EmbeddedOptions};
use crate::topology::Topology;

/// How often it is looked whether it was started again.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// The master key of every test.
const MASTER: [u8; 32] = [7; 32];

/// A running server; killed and removed when dropped.
pub struct TestServer {
    /// The server itself.
    pub embedded: Embedded,
    // after the server, which writes into it
    folder: TempDir,
}

impl TestServer {
    /// Starts one that flushes each write to disk, as the product does.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn start() -> Result<Self, EmbeddedError> {
        let folder = tempfile::tempdir().map_err(|source| EmbeddedError::Io { doing: "make a folder", source })?;
        let options = EmbeddedOptions { data_dir: folder.path().to_owned(), ..EmbeddedOptions::default() };
        Ok(Self { embedded: Embedded::start(options).await?, folder })
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        self.embedded.client_url()
    }

    /// The folder of its store.
    #[must_use]
    pub fn data_dir(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Has it started again, as when it stores nothing any more, and waits until it answers.
    pub async fn restart(&self) {
        let before = self.embedded.restarts();
        self.embedded.medic().start_again();
        while self.embedded.restarts() == before {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Options that fit it.
    ///
    /// # Errors
    /// [`crate::TopologyFileError`] when the committed topology is broken.
    pub fn options(&self) -> Result<BusOptions, crate::TopologyFileError> {
        let embedded = Some(DiskSync::Always);
        Ok(BusOptions { embedded, ..BusOptions::new(Topology::committed()?, MasterKey::new(MASTER)) })
    }

    /// A connection of its own, with the streams made.
    ///
    /// # Errors
    /// As [`Bus::connect`].
    pub async fn bus(&self) -> Result<Bus, BusError> {
        let options = self.options().map_err(|error| crate::Unavailable::new("read the topology", error))?;
        Bus::connect(&self.url(), options).await
    }
}
