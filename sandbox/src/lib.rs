//! The outside world of regflow, simulated: makers with APIs and web forms, faults on demand, and a mailbox.
//!
//! For the demo, the tests, and people who write connectors. The parts: `makers` (one file each), `faults` and the door
//! in front of each maker, `ledger` (what they received), `mailbox` (SMTP and pages), `web` (what the rest shares).

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

mod checks;
mod codes;
mod countries;
mod desk;
pub mod faults;
pub mod ledger;
mod mailbox;
mod maker;
mod makers;
mod registry;
mod web;

use crate::desk::Desk;
use crate::faults::FaultBoard;
use crate::ledger::Ledger;
pub use crate::mailbox::store::{Attachment, Mail, Mailbox};
pub use crate::maker::Maker;

/// After the shutdown, requests under way have this long.
const DRAIN_MAX: Duration = Duration::from_secs(2);

/// How the sandbox is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the makers, the mailbox's pages and the control interface listen; port 0 takes a free one.
    pub http: SocketAddr,
    /// Where the mailbox takes mail; port 0 takes a free one.
    pub smtp: SocketAddr,
    /// Added to every request to a maker.
    pub latency: Duration,
    /// Whether the ledger keeps the fields that were received (of the newest entries).
    pub record_bodies: bool,
}

impl Default for Options {
    /// Free loopback ports, no latency, bodies recorded.
    fn default() -> Self {
        let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
        Options { http: any_port, smtp: any_port, latency: Duration::ZERO, record_bodies: true }
    }
}

/// Why the sandbox did not start.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// An address is taken or not ours.
    #[error("open the sandbox's {what} port at {address}")]
    Bind {
        /// `HTTP` or `SMTP`.
        what: &'static str,
        /// The address that was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A page template is broken; that is a defect of the sandbox.
    #[error("read the sandbox's page templates")]
    Templates(#[source] minijinja::Error),
}

/// A running sandbox. Dropping it does not stop it; the shutdown token does.
pub struct Sandbox {
    /// Where the makers listen.
    pub http_addr: SocketAddr,
    /// Where the mailbox takes mail.
    pub smtp_addr: SocketAddr,
    desk: Arc<Desk>,
    tasks: TaskTracker,
}

impl Sandbox {
    /// What the makers received.
    pub fn ledger(&self) -> &Ledger {
        &self.desk.ledger
    }

    /// The mails that were sent.
    pub fn mailbox(&self) -> &Mailbox {
        &self.desk.mailbox
    }

    /// The faults on demand.
    pub fn faults(&self) -> &FaultBoard {
        &self.desk.faults
    }

    /// The address of a path on the makers' side: `http://127.0.0.1:40123/norrland`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.http_addr)
    }

    /// Waits until everything has ended after the shutdown, at most two seconds.
    pub async fn stopped(&self) {
        self.desk.shutdown.cancelled().await;
        let _ = tokio::time::timeout(DRAIN_MAX, self.tasks.wait()).await;
    }
}

/// Opens both ports and serves until `shutdown`.
///
/// # Errors
/// When a port cannot be opened.
pub async fn start(options: Options, shutdown: CancellationToken) -> Result<Sandbox, SandboxError> {
    let http = bind("HTTP", options.http).await?;
    let smtp = bind("SMTP", options.smtp).await?;
    let desk = Arc::new(open_desk(&options, shutdown.clone())?);
    let tasks = TaskTracker::new();
    let sandbox = Sandbox {
        http_addr: address_of(&http, "HTTP", options.http)?,
        smtp_addr: address_of(&smtp, "SMTP", options.smtp)?,
        desk: Arc::clone(&desk),
        tasks: tasks.clone(),
    };
    tasks.spawn(web::server::serve(http, routes(&desk), shutdown, tasks.clone()));
    tasks.spawn(mailbox::smtp_server::serve(smtp, desk, tasks.clone()));
    tasks.close();
    Ok(sandbox)
}

fn open_desk(options: &Options, shutdown: CancellationToken) -> Result<Desk, SandboxError> {
    Ok(Desk {
        latency: options.latency,
        record_bodies: options.record_bodies,
        shutdown,
        ledger: Ledger::default(),
        faults: FaultBoard::default(),
        mailbox: Mailbox::default(),
        pages: web::pages::Pages::new().map_err(SandboxError::Templates)?,
        sessions: web::sessions::Sessions::default(),
        tokens: web::tokens::Tokens::default(),
        registries: Default::default(),
    })
}

fn routes(desk: &Arc<Desk>) -> Router {
    Router::new()
        .merge(web::console::routes())
        .merge(web::control::routes())
        .merge(mailbox::pages::routes())
        .merge(makers::routes(desk))
        .with_state(Arc::clone(desk))
}

async fn bind(what: &'static str, address: SocketAddr) -> Result<TcpListener, SandboxError> {
    TcpListener::bind(address).await.map_err(|source| SandboxError::Bind { what, address, source })
}

fn address_of(listener: &TcpListener, what: &'static str, asked: SocketAddr) -> Result<SocketAddr, SandboxError> {
    listener.local_addr().map_err(|source| SandboxError::Bind { what, address: asked, source })
}
