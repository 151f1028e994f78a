//! What a browser goes through: a SOCKS proxy on loopback that connects only to what its pass allows.
//!
//! SOCKS and not an HTTP proxy: bytes pass as they are, so pages, TLS and sockets behave as without it, and there is no
//! request of HTTP to be read differently here and at the maker.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;
use url::{Host, Url};

use crate::client::check_host;
use crate::resolver::refused_in;
use crate::socks::{Answer, Target, answer, read_target};
use crate::{Reach, Refused, Resolver};

/// Connections of one browser at once; more wait to be accepted.
pub const CONNECTIONS_MAX: usize = 256;
/// How long a browser may take to say what it wants.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one address may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of a name that are tried.
const TRIES_MAX: usize = 4;
/// Longest life of a connection; a pass ends long before.
const LIFE_MAX: Duration = Duration::from_secs(15 * 60);
/// After an accept that failed, most likely for want of file handles.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Where a browser may go for now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pass {
    /// Nowhere.
    Nowhere,
    /// Anywhere on the public internet.
    Public,
    /// To this host and port and to nothing else; it may be at home.
    Only(Host<String>, u16),
}

impl Pass {
    /// The pass of a page: by its reach the public internet, or the page's own site.
    #[must_use]
    pub fn of(url: &Url, reach: Reach) -> Self {
        match (reach, url.host(), url.port_or_known_default()) {
            (Reach::Public, ..) => Self::Public,
            (Reach::Private, Some(host), Some(port)) => Self::Only(host.to_owned(), port),
            (Reach::Private, ..) => Self::Nowhere,
        }
    }

    fn judge(&self, target: &Target) -> Result<Reach, Refused> {
        let reach = match self {
            Self::Nowhere => return Err(Refused::OtherSite),
            Self::Public => Reach::Public,
            Self::Only(host, port) if *host == target.host && *port == target.port => Reach::Private,
            Self::Only(..) => return Err(Refused::OtherSite),
        };
        let host = match &target.host {
            Host::Domain(name) => Host::Domain(name.as_str()),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        };
        check_host(&host, reach).map(|()| reach)
    }
}

/// What was refused under a pass.
#[derive(Debug, Clone, Copy, Default)]
struct Turned {
    times: u32,
    last: Option<Refused>,
}

/// A pass and what came of it.
#[derive(Debug, Clone)]
struct Leg {
    pass: Pass,
    turned: Arc<Mutex<Turned>>,
}

impl Leg {
    fn new(pass: Pass) -> Self {
        Self { pass, turned: Arc::default() }
    }

    // a panic while it was held leaves it whole: plain values are replaced
    fn turned(&self) -> std::sync::MutexGuard<'_, Turned> {
        self.turned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running proxy of one browser; it ends when this is dropped, with all its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    leg: watch::Sender<Leg>,
    accepting: AbortHandle,
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Proxy {
    /// Starts one on a free port of loopback. It lets nothing through before [`Self::admit`].
    ///
    /// # Errors
    /// No port can be had.
    pub async fn start(resolver: Resolver) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let (leg, current) = watch::channel(Leg::new(Pass::Nowhere));
        let accepting = tokio::spawn(accept(listener, resolver, current)).abort_handle();
        Ok(Self { address, leg, accepting })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Gives a new pass. What was opened under the one before is cut.
    pub fn admit(&self, pass: Pass) {
        self.leg.send_replace(Leg::new(pass));
    }

    /// How many connections were refused under the current pass, and why the last one was.
    #[must_use]
    pub fn refused(&self) -> (u32, Option<Refused>) {
        let turned = *self.leg.borrow().turned();
        (turned.times, turned.last)
    }
}

/// Dropping its future ends every connection.
async fn accept(listener: TcpListener, resolver: Resolver, leg: watch::Receiver<Leg>) {
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        if connections.len() >= CONNECTIONS_MAX {
            connections.join_next().await;
            continue;
        }
        match listener.accept().await {
            Ok((stream, _)) => _ = connections.spawn(serve(stream, resolver.clone(), leg.clone())),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// One connection, until either side ends it, the pass changes, or its time is over.
async fn serve(stream: TcpStream, resolver: Resolver, mut changes: watch::Receiver<Leg>) {
    let leg = changes.borrow_and_update().clone();
    tokio::select! {
        // errors are the browser's to see: it finds its connection closed
        _ = timeout(LIFE_MAX, pass_through(stream, &resolver, &leg)) => {}
        _ = changes.changed() => {}
    }
}

async fn pass_through(mut browser: TcpStream, resolver: &Resolver, leg: &Leg) -> io::Result<()> {
    browser.set_nodelay(true)?;
    let target = timeout(HANDSHAKE_TIMEOUT, read_target(&mut browser)).await??;
    match connect(&target, resolver, &leg.pass).await {
        Ok(mut maker) => {
            answer(&mut browser, Answer::Connected).await?;
            maker.set_nodelay(true)?;
            copy_bidirectional(&mut browser, &mut maker).await.map(drop)
        }
        Err(error) => {
            let said = match (refused_in(&error), error.kind()) {
                (Some(refused), _) => {
                    let mut turned = leg.turned();
                    *turned = Turned { times: turned.times.saturating_add(1), last: Some(refused) };
                    Answer::NotAllowed
                }
                (None, io::ErrorKind::ConnectionRefused) => Answer::Refused,
                (None, _) => Answer::Unreachable,
            };
            answer(&mut browser, said).await
        }
    }
}

/// Connects to an address that was judged, and to no other.
async fn connect(target: &Target, resolver: &Resolver, pass: &Pass) -> io::Result<TcpStream> {
    let reach = pass.judge(target).map_err(|refused| io::Error::new(io::ErrorKind::PermissionDenied, refused))?;
    let addresses = match &target.host {
        Host::Domain(name) => resolver.allowed(name, reach).await?,
        Host::Ipv4(address) => vec![IpAddr::V4(*address)],
        Host::Ipv6(address) => vec![IpAddr::V6(*address)],
    };
    let mut last = io::Error::from(io::ErrorKind::NotFound);
    for address in addresses.into_iter().take(TRIES_MAX) {
        match timeout(CONNECT_TIMEOUT, TcpStream::connect(resolver.route((address, target.port).into()))).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(late) => last = late.into(),
        }
    }
    Err(last)
}
