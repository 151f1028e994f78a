//! A nats-server of our own: started on a free loopback port, restarted when it dies, stopped with us.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;

use tokio::sync::oneshot;

use crate::keeper::{self, Stop};
use crate::server_conf::Ports;
use crate::staging::Staging;

/// When the server flushes what it acknowledges to disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DiskSync {
    /// Before each acknowledgement: a power cut loses nothing that was acknowledged.
    #[default]
    Always,
    /// Every two minutes: a power cut can lose what was acknowledged since. Only for trying things out.
    Relaxed,
}

/// How to run the embedded server.
#[derive(Debug, Clone, Default)]
pub struct EmbeddedOptions {
    /// The folder of its store, configuration and log; made when missing. One server at a time may use it.
    pub data_dir: PathBuf,
    /// The program to run instead of `.tools/nats-server` or the one on PATH.
    pub binary: Option<PathBuf>,
    /// When it flushes to disk.
    pub disk_sync: DiskSync,
    /// Its port instead of a free one.
    pub port: Option<u16>,
    /// A folder in memory where batches are staged, if there is room (`/dev/shm`); beside the store otherwise.
    pub memory_dir: Option<PathBuf>,
}

/// Why the embedded server does not run.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Neither set up nor on PATH.
    #[error("there is no nats-server; run `make setup`, or put one of version 2.12 or newer on PATH, or set nats.url")]
    NoBinary,
    /// Named, and not there.
    #[error("nats.binary names {}, where no file is; name another, or run `make setup` and leave it out", .0.display())]
    NotThere(PathBuf),
    /// Cannot do what we need.
    #[error("{} is too old ({says}); version 2.12 or newer is needed: run `make setup`", binary.display())]
    TooOld {
        /// What was asked.
        binary: PathBuf,
        /// What it answered.
        says: String,
    },
    /// Another one runs there.
    #[error("the folder {} is in use by another regflow; stop it, or give this one its own folder", .0.display())]
    InUse(PathBuf),
    /// Cannot be written into the server's configuration.
    #[error("the data folder's name holds a quote, a backslash, a control character or no UTF-8; choose another one")]
    BadPath,
    /// The file system or the process table refuses.
    #[error("cannot {doing}")]
    Io {
        /// What was wanted.
        doing: &'static str,
        /// The system's answer.
        source: std::io::Error,
    },
    /// Ended or stayed silent; its own words say more.
    #[error("nats-server did not come up: {says}")]
    NotUp {
        /// The end of its output.
        says: String,
    },
    /// The thread that watches the server has ended.
    #[error("the embedded server has ended for good")]
    KeeperGone,
}

/// A running server; killed when dropped.
#[derive(Debug)]
pub struct Embedded {
    orders: Option<mpsc::Sender<Stop>>,
    keeper: Option<JoinHandle<()>>,
    ports: Ports,
    disk_sync: DiskSync,
    vitals: Arc<Vitals>,
    staging: Option<Arc<Staging>>,
}

/// What the keeper tells about the child.
#[derive(Debug, Default)]
pub(crate) struct Vitals {
    pub pid: AtomicU32,
    pub restarts: AtomicU64,
    /// Somebody wants it started again.
    pub is_ill: AtomicBool,
}

/// Has a server started again that lives but stores nothing any more; may outlive it.
#[derive(Debug, Clone)]
pub struct Medic(Arc<Vitals>);

impl Medic {
    /// Has it started again soon. Of one that is just being started nothing is wanted.
    pub fn start_again(&self) {
        self.0.is_ill.store(true, Ordering::Relaxed);
    }

    /// The server's process id; 0 while it is being started.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.0.pid.load(Ordering::Relaxed)
    }
}

impl Embedded {
    /// Starts the server and waits until it answers.
    ///
    /// # Errors
    /// [`EmbeddedError`] with the remedy, when there is no fit binary, the folder is in use, or the server does not come up.
    pub async fn start(options: EmbeddedOptions) -> Result<Self, EmbeddedError> {
        let (orders, inbox) = mpsc::channel();
        let (started, ready) = oneshot::channel();
        let vitals = Arc::new(Vitals::default());
        let disk_sync = options.disk_sync;
        let kept = Arc::clone(&vitals);
        let staging = options.memory_dir.as_deref().and_then(|memory| Staging::prepare(memory, &options.data_dir));
        let staging = staging.map(Arc::new);
        let for_launch = staging.clone();
        // a thread of its own, and for the whole time: the parent-death signal comes when the starting *thread* ends
        let keeper = std::thread::Builder::new().name("nats-keeper".to_owned());
        let keeper = keeper.spawn(move || keeper::keep(&options, &kept, for_launch, &inbox, started));
        let keeper = keeper.map_err(|source| EmbeddedError::Io { doing: "start the keeper's thread", source })?;
        let ports = ready.await.unwrap_or(Err(EmbeddedError::KeeperGone))?;
        Ok(Self { orders: Some(orders), keeper: Some(keeper), ports, disk_sync, vitals, staging })
    }

    /// Where clients connect.
    #[must_use]
    pub fn client_url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.ports.client)
    }

    /// Stages the batches of new streams in memory, too. Those that the server has at a start are seen to by then.
    pub fn stage_new_streams(&self) {
        if let Some(staging) = &self.staging {
            staging.link();
        }
    }

    /// Where the server shows its state over HTTP.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports.monitor)
    }

    /// When it flushes to disk.
    #[must_use]
    pub const fn disk_sync(&self) -> DiskSync {
        self.disk_sync
    }

    /// The child's process id; 0 while it is being restarted.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.vitals.pid.load(Ordering::Relaxed)
    }

    /// How often it was started again.
    #[must_use]
    pub fn restarts(&self) -> u64 {
        self.vitals.restarts.load(Ordering::Relaxed)
    }

    /// Whoever sees that it stores nothing any more can have it started again.
    #[must_use]
    pub fn medic(&self) -> Medic {
        Medic(Arc::clone(&self.vitals))
    }

    /// Stops the server; forcibly when it takes too long.
    pub async fn stop(mut self) {
        let (done, stopped) = oneshot::channel();
        let is_told = self.orders.take().is_some_and(|orders| orders.send(done).is_ok());
        if !is_told || stopped.await.is_err() {
            tracing::debug!("the embedded server had already ended");
        }
    }
}

impl Drop for Embedded {
    /// Kills the server if it still runs; that takes a few milliseconds and loses nothing that was acknowledged.
    fn drop(&mut self) {
        self.orders = None;
        if let Some(keeper) = self.keeper.take()
            && keeper.join().is_err()
        {
            tracing::error!("the keeper of the embedded server panicked");
        }
    }
}
