//! Everything of the server behind one URL: connect, check, open.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_nats::connection::State;
use events::seal::MasterKey;
use events::subject;
use secrecy::SecretString;
use tokio_util::sync::CancellationToken;

use crate::committer::CommitMode;
use crate::connection::{Access, Connection};
use crate::durability::{Durability, Evidence, judge};
use crate::embedded::DiskSync;
use crate::ensure::{TopologyError, ensure};
use crate::keys::{KeyError, KeyVault};
use crate::lease::{Lease, LeaseOptions};
use crate::log::Unavailable;
use crate::nats_log::NatsLog;
use crate::notify::NotifyLog;
use crate::objects::NatsObjects;
use crate::outbox::Outbox;
use crate::storing::StoringState;
use crate::tail::Tail;
use crate::topology::Topology;
use crate::whole::WholeLog;

/// Longest wait for an orderly end of the connection.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The name under which the owner of an embedded server holds the lease.
const EMBEDDED_OWNER: &str = "embedded";

/// Which writes are good enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Writes {
    /// Only those that a power cut cannot take back.
    #[default]
    Safe,
    /// Any: `durability = "relaxed"` stands in the configuration.
    Relaxed,
}

/// How to connect.
#[derive(Clone)]
pub struct BusOptions {
    /// The streams that must be there.
    pub topology: Topology,
    /// The key that wraps person keys.
    pub master: MasterKey,
    /// The one before it, while a rotation is under way.
    pub old_master: Option<MasterKey>,
    /// Which writes are good enough.
    pub writes: Writes,
    /// The setting of the server, when it is our own.
    pub embedded: Option<DiskSync>,
    /// The server's monitoring address, for example `http://127.0.0.1:8222`: tells whether writes are safe.
    pub monitor_url: Option<String>,
    /// A `.creds` file of the account.
    pub credentials_file: Option<PathBuf>,
    /// The seed of the user's nkey (`SU...`).
    pub nkey_seed: Option<SecretString>,
    /// Certificates that the server's is checked against, in place of none (then TLS is required).
    pub ca_file: Option<PathBuf>,
    /// Longest wait for the first connection.
    pub connect_timeout: Duration,
}

impl BusOptions {
    /// The defaults: safe writes, no credentials, ten seconds.
    #[must_use]
    pub const fn new(topology: Topology, master: MasterKey) -> Self {
        Self {
            topology,
            master,
            old_master: None,
            writes: Writes::Safe,
            embedded: None,
            monitor_url: None,
            credentials_file: None,
            nkey_seed: None,
            ca_file: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// Why the server does not serve.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// Not reachable.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// Its streams are not as declared.
    #[error(transparent)]
    Topology(#[from] TopologyError),
    /// It cannot do what we need.
    #[error("the NATS server has version {0}; 2.12 or newer is needed (atomic batches)")]
    TooOld(String),
    /// It can lose what it acknowledged.
    #[error(
        "writes are not safe here: {0}; set `sync_interval: always` on the server (nats/server.conf), \
         or use a cluster with 3 replicas, or accept it with nats.durability = \"relaxed\""
    )]
    NotSafe(String),
    /// The keys of persons are not to be had.
    #[error("cannot open the vault of keys")]
    Keys(#[from] KeyError),
}

/// An open server.
pub struct Bus {
    /// The log of all registrations.
    pub log: NatsLog,
    /// The keys of persons.
    pub keys: Arc<KeyVault>,
    /// Files.
    pub objects: NatsObjects,
    /// What outside subscribers read.
    pub notify: Arc<NotifyLog>,
    /// Notifications on their way to programs elsewhere.
    pub outbox: Outbox,
    /// The log's stream as it is stored, for those who check it.
    pub whole: WholeLog,
    /// What is known of the safety of writes.
    pub durability: Durability,
    connection: Connection,
    embedded: bool,
}

/// How the server does at this moment.
#[derive(Clone)]
pub struct ServerHealth(Connection);

impl ServerHealth {
    /// Whether it can be reached.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.0.is_up()
    }

    /// Whether it stores what it is given.
    #[must_use]
    pub fn storing(&self, now: Instant) -> StoringState {
        self.0.storing.state(now)
    }

    /// Something was done about a server that stores nothing: it gets its time anew.
    pub fn give_time(&self) {
        self.0.storing.forget();
    }
}

/// Ends the connection in order, so that a server which stops next is no news.
pub struct Closer(Connection);

impl Closer {
    /// Sends what is waiting; gives up after [`CLOSE_TIMEOUT`].
    pub async fn close(self) {
        self.0.leave();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.0.client.flush()).await.is_err() {
            tracing::debug!("the connection to NATS ends with something unsent");
        }
        // or clones of it would look for the server for ever
        if let Err(error) = self.0.client.drain().await {
            tracing::debug!(%error, "the connection to NATS had ended");
        }
    }
}

impl Bus {
    /// Connects, checks version, streams and safety of writes, and opens everything.
    ///
    /// # Errors
    /// [`BusError`] with what is wrong and the remedy.
    pub async fn connect(url: &str, options: BusOptions) -> Result<Self, BusError> {
        let access = Access {
            credentials_file: options.credentials_file.clone(),
            nkey_seed: options.nkey_seed.clone(),
            ca_file: options.ca_file.clone(),
        };
        let connection = Connection::open(url, &access, options.connect_timeout).await?;
        if !connection.client.is_server_compatible(2, 12, 0) {
            return Err(BusError::TooOld(connection.client.server_info().version));
        }
        ensure(&connection.jetstream, &options.topology).await?;
        let durability = durability(&connection, &options).await?;
        let mode = commit_mode(&durability, options.topology.replicas);
        let tail = Tail::new(connection.clone());
        Ok(Self {
            log: NatsLog::open(connection.clone(), mode, tail.clone()).await?,
            keys: Arc::new(KeyVault::open(connection.clone(), mode, (options.master, options.old_master)).await?),
            objects: NatsObjects::open(&connection).await?,
            notify: Arc::new(NotifyLog::open(connection.clone()).await?),
            outbox: Outbox::open(&connection).await?,
            whole: WholeLog::over(connection.clone(), tail).await?,
            durability,
            embedded: options.embedded.is_some(),
            connection,
        })
    }

    /// A handle that ends the connection when everything else is done.
    #[must_use]
    pub fn closer(&self) -> Closer {
        Closer(self.connection.clone())
    }

    /// How the server does from now on.
    #[must_use]
    pub fn health(&self) -> ServerHealth {
        ServerHealth(self.connection.clone())
    }

    /// Competes for the lease of all shards until `shutdown`, under a name of this process's own. The owner of an embedded
    /// server always has the same name: that server dies with it, so the one before is surely dead.
    ///
    /// # Errors
    /// [`Unavailable`] when the server cannot be reached.
    pub async fn lease(&self, options: LeaseOptions, shutdown: CancellationToken) -> Result<Lease, Unavailable> {
        let name = match self.embedded {
            true => EMBEDDED_OWNER.to_owned(),
            false => format!("{}-{}", std::process::id(), uuid::Uuid::new_v4().simple()),
        };
        Lease::keep(self.connection.clone(), name, options, shutdown).await
    }

    /// Whether the server can be reached at this moment.
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connection.client.connection_state() == State::Connected
    }
}

async fn durability(connection: &Connection, options: &BusOptions) -> Result<Durability, BusError> {
    let stream = connection.jetstream.get_stream(subject::EVENTS_STREAM).await;
    let stream = stream.map_err(|error| Unavailable::new("look at the streams of the server", error))?;
    let evidence = Evidence {
        embedded: options.embedded,
        replicas: stream.cached_info().config.num_replicas,
        monitor_url: options.monitor_url.as_deref(),
    };
    let durability = judge(&evidence, &connection.client.server_info()).await;
    match (&durability, options.writes) {
        (Durability::Unsafe(why) | Durability::Unknown(why), Writes::Safe) => Err(BusError::NotSafe(why.clone())),
        (Durability::Unsafe(why) | Durability::Unknown(why), Writes::Relaxed) => {
            tracing::warn!(why, "a power cut can lose acknowledged writes, as the configuration accepts");
            Ok(durability)
        }
        (Durability::Safe, Writes::Safe | Writes::Relaxed) => Ok(durability),
    }
}

/// Batches pay where each commit is flushed to disk; elsewhere plain publishes are the quicker way.
const fn commit_mode(durability: &Durability, replicas: usize) -> CommitMode {
    match durability {
        Durability::Safe if replicas == 1 => CommitMode::Batches,
        Durability::Safe | Durability::Unsafe(_) | Durability::Unknown(_) => CommitMode::Pipelined,
    }
}
