//! Where the interfaces listen: plain on loopback, or with TLS. A handshake has a bounded time, so that whoever connects and
//! says nothing holds up nobody; certificates are read again when their files change.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, ensure};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Sleep;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

use crate::config::{Server, Settings};

/// How long a handshake may take.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Most connections of gRPC, from their handshakes on; more wait in the system's own bounded queue.
const CONNECTIONS_MAX: usize = 4_096;
/// Connections that wait until gRPC takes them.
const WAITING_MAX: usize = 64;
/// Pause when no connection can be accepted, for example for want of file handles.
const PAUSE: Duration = Duration::from_millis(100);
/// How often it is looked whether the certificates have changed.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// What is spoken behind TLS.
const GRPC: &[u8] = b"h2";
const HTTP: &[u8] = b"http/1.1";

/// Both places.
pub struct Listeners {
    pub grpc: Door,
    pub http: Door,
}

impl Listeners {
    /// Binds both, and reads the certificates.
    ///
    /// # Errors
    /// When an address cannot be had, or a certificate cannot be used.
    pub async fn bind(settings: &Settings) -> anyhow::Result<Self> {
        let server = &settings.server;
        Ok(Self {
            grpc: Door::open("server.grpc", server.grpc, Tls::of(server, GRPC)?).await?,
            http: Door::open("server.http", server.http, Tls::of(server, HTTP)?).await?,
        })
    }
}

/// One place, with or without TLS.
pub struct Door {
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
}

impl Door {
    async fn open(key: &str, address: SocketAddr, tls: Option<Arc<Tls>>) -> anyhow::Result<Self> {
        let listener =
            TcpListener::bind(address).await.with_context(|| format!("failed to listen on {key} {address}"))?;
        Ok(Self { listener, tls })
    }

    /// Where it is.
    pub fn address(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// The scheme of its URLs.
    pub const fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The next connection, before its handshake.
    pub async fn accept(&self) -> std::io::Result<Knock> {
        let (stream, peer) = self.listener.accept().await?;
        stream.set_nodelay(true)?;
        Ok(Knock { stream, peer, tls: self.tls.clone() })
    }

    /// All connections until `shutdown`, each after its handshake.
    pub fn connections(self, shutdown: CancellationToken) -> ReceiverStream<std::io::Result<Connection>> {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
        tokio::spawn(async move {
            tokio::select! {
                () = self.accept_all(&sender, places) => {}
                () = shutdown.cancelled() => {}
                () = sender.closed() => {}
            }
        });
        ReceiverStream::new(receiver)
    }

    async fn accept_all(&self, sender: &mpsc::Sender<std::io::Result<Connection>>, places: Arc<Semaphore>) {
        loop {
            let Ok(place) = places.clone().acquire_owned().await else { return };
            match self.accept().await {
                Ok(knock) => {
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        if let Some(mut connection) = knock.open().await {
                            connection.place = Some(place);
                            // fails only when nobody serves any more
                            drop(sender.send(Ok(connection)).await);
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A connection before its handshake.
pub struct Knock {
    stream: TcpStream,
    pub peer: SocketAddr,
    tls: Option<Arc<Tls>>,
}

impl Knock {
    /// The connection, or nothing when there is no agreement in time.
    pub async fn open(self) -> Option<Connection> {
        let peer = self.peer;
        let Some(tls) = self.tls else { return Some(Connection::new(peer, Stream::Plain(self.stream))) };
        let shaken = tokio::time::timeout(HANDSHAKE_TIMEOUT, tls.acceptor().accept(self.stream)).await;
        match shaken {
            Ok(Ok(stream)) => Some(Connection::new(peer, Stream::Tls(Box::new(stream)))),
            Ok(Err(error)) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
            Err(_) => {
                tracing::debug!("a handshake took too long");
                None
            }
        }
    }
}

/// A connection that is ready to be spoken on.
pub struct Connection {
    pub peer: SocketAddr,
    stream: Stream,
    /// Its place among those that may be open.
    place: Option<OwnedSemaphorePermit>,
    /// Nothing once something was heard: until then it has only so long.
    silence: Option<Pin<Box<Sleep>>>,
}

impl Connection {
    fn new(peer: SocketAddr, stream: Stream) -> Self {
        let silence = Some(Box::pin(tokio::time::sleep(HANDSHAKE_TIMEOUT)));
        Self { peer, stream, place: None, silence }
    }

    /// Whether nothing was heard for too long since it was opened.
    fn is_silent(&mut self, context: &mut Context<'_>) -> bool {
        self.silence.as_mut().is_some_and(|silence| silence.as_mut().poll(context).is_ready())
    }
}

enum Stream {
    Plain(TcpStream),
    // boxed, because it is ten times as large
    Tls(Box<TlsStream<TcpStream>>),
}

/// Who is at the other end, for whoever answers.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

impl Connected for Connection {
    type ConnectInfo = Peer;

    fn connect_info(&self) -> Peer {
        Peer(self.peer)
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let read = match &mut this.stream {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, into),
            Stream::Tls(stream) => Pin::new(stream).poll_read(context, into),
        };
        match read {
            Poll::Pending if this.is_silent(context) => Poll::Ready(Err(std::io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
            Poll::Ready(read) => {
                this.silence = None;
                Poll::Ready(read)
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        match &mut self.get_mut().stream {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
            Stream::Tls(stream) => Pin::new(stream).poll_write_vectored(context, bytes),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.stream {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }
}

/// The files of TLS.
struct Files {
    certificate: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    protocol: &'static [u8],
}

/// When each file was last changed.
type Stamp = [Option<SystemTime>; 3];

/// TLS with the files as they are now.
pub struct Tls {
    files: Files,
    now: Mutex<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    stamp: Stamp,
    looked_at: Instant,
}

impl Tls {
    /// As the settings say; nothing when they name no key.
    fn of(server: &Server, protocol: &'static [u8]) -> anyhow::Result<Option<Arc<Self>>> {
        if server.tls_key.is_empty() {
            return Ok(None);
        }
        let client_ca = (!server.tls_client_ca.is_empty()).then(|| server.tls_client_ca.clone().into());
        let (certificate, key) = (server.tls_certificate.clone().into(), server.tls_key.clone().into());
        let files = Files { certificate, key, client_ca, protocol };
        let (stamp, config) = (files.stamp(), files.load()?);
        let now = Mutex::new(Loaded { config, stamp, looked_at: Instant::now() });
        Ok(Some(Arc::new(Self { files, now })))
    }

    fn acceptor(&self) -> TlsAcceptor {
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.looked_at.elapsed() >= LOOK_EVERY {
            now.looked_at = Instant::now();
            let stamp = self.files.stamp();
            if stamp != now.stamp {
                now.stamp = stamp;
                match self.files.load() {
                    Ok(config) => {
                        tracing::info!("the certificate has changed, and is in force");
                        now.config = config;
                    }
                    Err(error) => tracing::error!(
                        error = format!("{error:#}"),
                        "the certificate has changed and cannot be used; the one before stays in force"
                    ),
                }
            }
        }
        TlsAcceptor::from(now.config.clone())
    }
}

impl Files {
    fn stamp(&self) -> Stamp {
        let changed = |path: &Path| std::fs::metadata(path).and_then(|of| of.modified()).ok();
        [changed(&self.certificate), changed(&self.key), self.client_ca.as_deref().and_then(changed)]
    }

    fn load(&self) -> anyhow::Result<Arc<ServerConfig>> {
        let chain = certificates("server.tls_certificate", &self.certificate)?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| anyhow::anyhow!("failed to read server.tls_key {}: {error}", self.key.display()))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let versions = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions()?;
        let clients = match &self.client_ca {
            None => versions.with_no_client_auth(),
            Some(path) => versions.with_client_cert_verifier(verifier(path, provider)?),
        };
        let mut config = clients
            .with_single_cert(chain, key)
            .context("server.tls_certificate and server.tls_key do not belong together, or cannot be used")?;
        config.alpn_protocols = vec![self.protocol.to_vec()];
        Ok(Arc::new(config))
    }
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> anyhow::Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates("server.tls_client_ca", path)? {
        roots.add(certificate).context("server.tls_client_ca has a certificate that cannot be used")?;
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
    verifier.context("server.tls_client_ca cannot be used")
}

fn certificates(key: &str, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let bad = |error| anyhow::anyhow!("failed to read {key} {}: {error}", path.display());
    let read = CertificateDer::pem_file_iter(path).map_err(bad)?;
    let chain: Vec<_> = read.collect::<Result<_, _>>().map_err(bad)?;
    ensure!(!chain.is_empty(), "{key} {} has no certificate", path.display());
    Ok(chain)
}
