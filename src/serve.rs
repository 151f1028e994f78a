//! The service: starts what it needs in order, keeps it together, and takes it down in the reverse order.

use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bus::{
    Bus, BusOptions, Closer, DiskSync, Embedded, EmbeddedOptions, GatedLog, Lease, LeaseOptions, Outbox, ServerHealth,
    Topology, Trust, Writes,
};
use connectors::{ApiClient, ApiOptions, Catalog};
use events::schedule::Schedule;
use events::{NoteSigner, RetryPolicy};
use form::{BrowserOptions, Browsers, Found};
use handlers::webhooks::{EndpointOptions, WebhookOptions, Webhooks};
use handlers::{Engine, EngineOptions, LookupOptions, Notifier, World, WorldOptions, rotation, system_clock};
use mail::{Mailer, SmtpConfig, Templates};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access::Access;
use crate::config::{BrowserSettings, Durability, Settings, WebhookNetwork, WebhookSettings};
use crate::grpc::{self, GrpcOptions, Services, Views, ViewsOpening};
use crate::http::{self, HttpOptions};
use crate::keys::{self, MasterKeys};
use crate::listen::Listeners;
use crate::press::packets;
use crate::secrets;
use crate::service_file::SERVICE_FILE;
pub use crate::service_file::ServiceFile;
use crate::standing::{Signs, Standing};
use crate::telemetry;

/// Nobody else on the machine reads in a data folder that we make.
const DATA_MODE: u32 = 0o700;
/// The embedded server's folder below the data folder.
pub const NATS_FOLDER: &str = "nats";
/// The views' folder below the data folder.
pub const VIEWS_FOLDER: &str = "views";
/// What the engine has folded, so that a start is quick; not among the views, so that deleting those does not cost it.
const SNAPSHOT_FILE: &str = "engine.snapshot";
/// What was verified of the log, below the data folder.
pub const TRUST_FOLDER: &str = "trust";
/// Interrupted, as shells count it.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs until SIGINT or SIGTERM.
pub async fn run(settings: Settings) -> anyhow::Result<()> {
    let shutdown = shutdown_signal();
    loop {
        let serving = shutdown.child_token();
        let running = Box::pin(start(settings.clone(), serving.clone())).await?;
        tracing::info!(page = %format_args!("{}://{}/", running.scheme, running.http_addr), grpc = %running.grpc_addr, nats = secrets::masked(&running.nats_url), "regflow serves");
        until(serving.clone(), running.world.trust.until_accepted()).await;
        let starts_anew = !serving.is_cancelled();
        serving.cancel();
        tracing::info!(starts_anew, "stopping; what is under way stays in the log");
        running.stopped().await?;
        if !starts_anew {
            return Ok(());
        }
    }
}

/// A token that SIGINT or SIGTERM cancels. A second signal ends the process at once.
pub fn shutdown_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return;
        };
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if cancelled.is_cancelled() {
                std::process::exit(EXIT_INTERRUPTED);
            }
            cancelled.cancel();
        }
    });
    token
}

/// A service that serves.
pub struct Running {
    pub grpc_addr: SocketAddr,
    pub http_addr: SocketAddr,
    pub nats_url: String,
    /// Of both addresses.
    scheme: &'static str,
    data: PathBuf,
    shutdown: CancellationToken,
    world: Arc<World>,
    embedded: Option<Embedded>,
    bus: Closer,
    grpc: JoinHandle<anyhow::Result<()>>,
    http: JoinHandle<anyhow::Result<()>>,
    engine: JoinHandle<anyhow::Result<()>>,
    readers: Vec<JoinHandle<()>>,
    readers_end: CancellationToken,
}

impl Running {
    /// Waits until everything has ended after the shutdown: requests and attempts first, then the readers, then NATS.
    pub async fn stopped(self) -> anyhow::Result<()> {
        let served = self.grpc.await.context("the gRPC server ended badly");
        let shown = self.http.await.context("the HTTP server ended badly");
        let engine = self.engine.await.context("the engine ended badly");
        self.world.browsers.shutdown().await;
        self.readers_end.cancel();
        for reader in self.readers {
            reader.await.context("a reader of the log ended badly")?;
        }
        self.bus.close().await;
        if let Some(embedded) = self.embedded {
            embedded.stop().await;
        }
        if let Err(error) = std::fs::remove_file(self.data.join(SERVICE_FILE)) {
            tracing::debug!(%error, "the service's file was gone already");
        }
        served??;
        shown??;
        engine?
    }
}

/// Starts everything and waits until the log is folded.
pub async fn start(settings: Settings, shutdown: CancellationToken) -> anyhow::Result<Running> {
    let parts = Parts::prepare(&settings).await?;
    let views_folder = settings.server.data.join(VIEWS_FOLDER);
    let views = ViewsOpening::begin(&views_folder)?;
    let embedded = embedded(&settings).await?;
    let nats_url = embedded.as_ref().map_or_else(|| settings.nats.url.clone(), Embedded::client_url);
    let bus = connect(&settings, &nats_url, embedded.as_ref(), &parts.master).await?;
    if let Some(embedded) = &embedded {
        embedded.stage_new_streams();
    }
    let (closer, notify, readers_end) = (bus.closer(), bus.notify.clone(), CancellationToken::new());
    let (health, (told, stores)) = (bus.health(), watch::channel(true));
    let lease = bus.lease(LeaseOptions::default(), readers_end.clone()).await?;
    let webhooks = webhooks(&settings, bus.outbox.clone(), lease.clone())?;
    webhooks.prepare().await.context("failed to prepare the webhooks")?;
    let trust = crate::trust::open(&settings, bus.whole.clone(), &parts.signer).await?;
    let access = Access::new(&settings.access, &settings.server.data, bus.keys.owner_secrets(), system_clock)?;
    let access = Arc::new(access);
    let (world, listeners) = parts.into_world(bus, lease.clone(), trust, &settings)?;

    let log = world.log.clone();
    let (views, feeders) = Views::start(views, log.clone(), system_clock, readers_end.clone()).await?;
    let snapshot = settings.server.data.join(SNAPSHOT_FILE);
    let engine = Engine::resume(world.clone(), engine_options(&settings), snapshot).await;
    let (engine, follow) = engine.context("failed to follow the log")?;
    let (ready, handle) = (both(views.ready(), engine.ready()), engine.handle());
    let engine = tokio::spawn(supervised(engine.run(follow, shutdown.clone()), shutdown.clone()));
    let notifier = tokio::spawn(Notifier::new(log.clone(), notify, lease, system_clock).run(readers_end.clone()));
    let delivering = tokio::spawn(webhooks.clone().run(readers_end.clone()));
    let verifying = tokio::spawn(crate::trust::run(world.clone(), readers_end.clone()));
    let (grpc_addr, http_addr) = (listeners.grpc.address()?, listeners.http.address()?);
    let (scheme, keeping) = (listeners.http.scheme(), tokio::spawn(access.clone().run(readers_end.clone())));
    let (submit_timeout, submissions_max) = (settings.submit_timeout(), settings.server.submissions_max);
    let services = Services::new(&world, &views, &handle, &webhooks, submit_timeout, submissions_max, shutdown.clone());
    tokio::spawn(until(readers_end.clone(), rotation::resume(world.clone())));
    let looker = telemetry::watch(world.clone(), views, handle);
    let looker = tokio::spawn(until(readers_end.clone(), looker));
    let signs = Signs { ready: ready.clone(), stores };
    let (over_grpc, over_http) = interfaces(listeners, services, access, signs, &world, &settings);
    let running = Running {
        grpc_addr,
        http_addr,
        nats_url,
        scheme,
        data: settings.server.data.clone(),
        shutdown: shutdown.clone(),
        world,
        embedded,
        bus: closer,
        grpc: tokio::spawn(grpc::serve(over_grpc, shutdown.clone())),
        http: tokio::spawn(http::serve(over_http, shutdown)),
        engine,
        readers: feeders.into_iter().chain([notifier, delivering, verifying, looker, keeping]).collect(),
        readers_end,
    };
    running.up(ready, health, told).await
}

fn interfaces(
    listeners: Listeners,
    services: Services,
    access: Arc<Access>,
    signs: Signs,
    world: &World,
    settings: &Settings,
) -> (GrpcOptions, HttpOptions) {
    let grpc = GrpcOptions {
        door: listeners.grpc,
        access: access.clone(),
        services: services.clone(),
        signs: signs.clone(),
        requests_max: settings.server.requests_max,
    };
    let http = HttpOptions {
        door: listeners.http,
        access,
        session_minutes: settings.access.session_minutes,
        services,
        signs,
        public_url: world.options.public_url.clone(),
        connections_max: settings.server.http_connections_max,
        requests_per_s: settings.server.http_requests_per_s,
    };
    (grpc, http)
}

/// What can be wrong without anything being started, so that it is found first.
struct Parts {
    catalog: Arc<Catalog>,
    mailer: Mailer,
    packets: packet::Press,
    browsers: Browsers,
    master: MasterKeys,
    signer: NoteSigner,
    listeners: Listeners,
}

impl Parts {
    async fn prepare(settings: &Settings) -> anyhow::Result<Self> {
        let (catalog, mailer, packets) =
            (catalog(settings)?, Mailer::new(&smtp(settings)?)?, packets(&settings.packet).await?);
        let data = &settings.server.data;
        let made = std::fs::DirBuilder::new().recursive(true).mode(DATA_MODE).create(data);
        made.with_context(|| format!("failed to make the data folder {}", data.display()))?;
        Ok(Self {
            catalog,
            mailer,
            packets,
            browsers: Browsers::start(browser_options(&settings.browser, data)?)?,
            master: MasterKeys::load(settings)?,
            signer: keys::signer(settings)?,
            listeners: Listeners::bind(settings).await?,
        })
    }

    fn into_world(
        self,
        bus: Bus,
        lease: Lease,
        trust: Trust,
        settings: &Settings,
    ) -> anyhow::Result<(Arc<World>, Listeners)> {
        let public_url = match settings.server.public_url.trim_end_matches('/') {
            "" => format!("{}://{}", self.listeners.http.scheme(), self.listeners.http.address()?),
            url => url.to_owned(),
        };
        let world = World {
            log: Arc::new(GatedLog::new(bus.log, trust.gate())),
            trust,
            lease,
            keys: bus.keys,
            objects: Arc::new(bus.objects),
            catalog: self.catalog,
            api: ApiClient::new(ApiOptions::default())?,
            browsers: self.browsers,
            packets: self.packets,
            mailer: self.mailer,
            letters: Templates::new()?,
            master_file: self.master.file,
            signer: self.signer,
            options: world_options(settings, public_url)?,
            clock: system_clock,
        };
        Ok((Arc::new(world), self.listeners))
    }
}

impl Running {
    /// Waits until it is ready, says where it is, and looks after its standing from then on.
    async fn up(
        mut self,
        ready: watch::Receiver<bool>,
        health: ServerHealth,
        told: watch::Sender<bool>,
    ) -> anyhow::Result<Self> {
        self.wait_until_ready(ready).await?;
        let (file, data, medic) = (self.service_file(), self.data.clone(), self.embedded.as_ref().map(Embedded::medic));
        file.write(&data)?;
        let standing = Standing { health, medic, told, file, data };
        self.readers.push(tokio::spawn(until(self.readers_end.clone(), standing.keep())));
        Ok(self)
    }

    async fn wait_until_ready(&self, mut ready: watch::Receiver<bool>) -> anyhow::Result<()> {
        tokio::select! {
            ready = ready.wait_for(|ready| *ready) => { ready.context("the log cannot be folded")?; }
            // a stop that comes early is obeyed by the caller
            () = self.shutdown.cancelled() => {}
        }
        Ok(())
    }

    fn service_file(&self) -> ServiceFile {
        ServiceFile {
            pid: std::process::id(),
            grpc: format!("{}://{}", self.scheme, self.grpc_addr),
            http: format!("{}://{}", self.scheme, self.http_addr),
            nats_url: secrets::masked(&self.nats_url),
            nats_pid: self.embedded.as_ref().map(Embedded::pid),
        }
    }
}

/// A part that ends before its time takes the service down with it, rather than leave half of it standing.
async fn supervised(part: impl Future<Output = ()>, shutdown: CancellationToken) -> anyhow::Result<()> {
    // also when it panics
    let _stop = shutdown.clone().drop_guard();
    part.await;
    anyhow::ensure!(shutdown.is_cancelled(), "the engine has ended, so the service stops");
    Ok(())
}

async fn until(end: CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = work => {}
        () = end.cancelled() => {}
    }
}

/// True once both are.
fn both(mut one: watch::Receiver<bool>, mut other: watch::Receiver<bool>) -> watch::Receiver<bool> {
    let (sender, receiver) = watch::channel(false);
    tokio::spawn(async move {
        if one.wait_for(|ready| *ready).await.is_ok() && other.wait_for(|ready| *ready).await.is_ok() {
            sender.send_replace(true);
        }
        // kept until nobody listens, so that a late listener still finds the answer
        sender.closed().await;
    });
    receiver
}

/// The makers, with the sandbox where the settings say it is.
pub fn catalog(settings: &Settings) -> anyhow::Result<Arc<Catalog>> {
    let folder = path(&settings.catalog.folder);
    Ok(Arc::new(Catalog::load(folder.as_deref())?.with_sandbox(sandbox(settings)?)))
}

/// Where the sandbox is, if the settings say so.
pub fn sandbox(settings: &Settings) -> anyhow::Result<Option<Url>> {
    let url = Some(settings.catalog.sandbox.as_str()).filter(|url| !url.is_empty());
    url.map(|url| url.parse().context("catalog.sandbox is no URL; write it like http://127.0.0.1:7470/")).transpose()
}

fn webhooks(settings: &Settings, outbox: Outbox, lease: Lease) -> anyhow::Result<Webhooks> {
    let endpoint = |of: &WebhookSettings| {
        anyhow::Ok(EndpointOptions {
            name: of.name.clone(),
            tenant: of.tenant.clone(),
            url: of.url.clone(),
            secret: secrets::secret(&of.secret_env)?,
            facts: of.types.clone(),
            is_private: of.network == WebhookNetwork::Private,
        })
    };
    let endpoints = settings.webhooks.iter().map(endpoint).collect::<anyhow::Result<Vec<_>>>()?;
    let delivery = &settings.delivery;
    let options = WebhookOptions {
        timeout: Duration::from_millis(delivery.timeout_ms),
        concurrency: delivery.concurrency,
        schedule: Schedule(delivery.retry_ms.iter().copied().map(Duration::from_millis).collect()),
        clock: system_clock,
    };
    Ok(Webhooks::new(outbox, lease, endpoints, options)?)
}

fn smtp(settings: &Settings) -> anyhow::Result<SmtpConfig> {
    let smtp = &settings.smtp;
    let password = secrets::secret("REGFLOW_SMTP_PASSWORD")?;
    anyhow::ensure!(
        password.is_some() != smtp.username.is_empty(),
        "smtp.username and REGFLOW_SMTP_PASSWORD belong together; give both or neither"
    );
    Ok(SmtpConfig {
        host: smtp.host.clone(),
        port: smtp.port,
        tls: smtp.tls,
        username: (!smtp.username.is_empty()).then(|| smtp.username.clone()),
        password,
        from: smtp.from.clone(),
        timeout: Duration::from_secs(smtp.timeout_s),
        pool_size: smtp.connections,
    })
}

pub fn browser_options(settings: &BrowserSettings, data: &Path) -> anyhow::Result<BrowserOptions> {
    let found = match (path(&settings.chromedriver), path(&settings.binary)) {
        (Some(chromedriver), Some(browser)) => Found { chromedriver, browser },
        (chromedriver, browser) => {
            let found = form::discover()?;
            Found {
                chromedriver: chromedriver.unwrap_or(found.chromedriver),
                browser: browser.unwrap_or(found.browser),
            }
        }
    };
    Ok(BrowserOptions {
        sessions_max: settings.sessions,
        total_timeout: Duration::from_secs(settings.form_timeout_s),
        ..BrowserOptions::new(found, data.join("browser"))
    })
}

async fn embedded(settings: &Settings) -> anyhow::Result<Option<Embedded>> {
    if !settings.nats.url.is_empty() {
        return Ok(None);
    }
    let options = EmbeddedOptions {
        data_dir: settings.server.data.join(NATS_FOLDER),
        binary: path(&settings.nats.binary),
        disk_sync: match settings.nats.durability {
            Durability::Safe => DiskSync::Always,
            Durability::Relaxed => DiskSync::Relaxed,
        },
        port: None,
        memory_dir: path(&settings.nats.memory),
    };
    Ok(Some(Embedded::start(options).await.context("failed to start the embedded NATS")?))
}

async fn connect(
    settings: &Settings,
    url: &str,
    embedded: Option<&Embedded>,
    master: &MasterKeys,
) -> anyhow::Result<Bus> {
    let topology = Topology::committed()?.with_replicas(settings.nats.replicas);
    let monitor_url = embedded.map_or_else(|| settings.nats.monitor_url.clone(), Embedded::monitor_url);
    let options = BusOptions {
        writes: match settings.nats.durability {
            Durability::Safe => Writes::Safe,
            Durability::Relaxed => Writes::Relaxed,
        },
        embedded: embedded.map(Embedded::disk_sync),
        monitor_url: (!monitor_url.is_empty()).then_some(monitor_url),
        credentials_file: path(&settings.nats.credentials),
        nkey_seed: secrets::secret("REGFLOW_NATS_NKEY")?,
        ca_file: path(&settings.nats.ca),
        old_master: master.old.clone(),
        ..BusOptions::new(topology, master.present.clone())
    };
    Bus::connect(url, options).await.with_context(|| format!("failed to open NATS at {}", secrets::masked(url)))
}

fn world_options(settings: &Settings, public_url: String) -> anyhow::Result<WorldOptions> {
    let packet = &settings.packet;
    Ok(WorldOptions {
        shards: Topology::committed()?.shards,
        mail_domain: packet.mail_domain.clone(),
        packet_retry: RetryPolicy { tries_max: packet.tries_max, base_ms: packet.base_ms, cap_ms: packet.cap_ms },
        lookup: LookupOptions {
            first_after: Duration::from_millis(settings.engine.lookup_first_ms),
            again_after: Duration::from_millis(settings.engine.lookup_again_ms),
            asks_max: settings.engine.lookups_max,
        },
        operators: settings.alerts.to.clone(),
        mail_preference: settings.mail.preference,
        done_hint: packet.done_hint.clone(),
        public_url,
        link_lasts: Duration::from_secs(u64::from(packet.link_days) * 24 * 3_600),
    })
}

/// The engine's bounds.
pub const fn engine_options(settings: &Settings) -> EngineOptions {
    EngineOptions {
        api_concurrency: settings.engine.api_concurrency,
        form_concurrency: settings.browser.sessions,
        manual_concurrency: settings.engine.manual_concurrency,
        ageing: settings.engine.ageing(),
        drain_timeout: Duration::from_secs(settings.engine.drain_timeout_s),
        snapshot_every: Duration::from_millis(settings.engine.snapshot_every_ms),
    }
}

/// A path, or nothing for an empty one.
pub fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}
