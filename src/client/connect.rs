//! The way to the service: TLS where its address says so, and the key or token that says who we are.

use std::path::Path;

use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tonic::metadata::AsciiMetadataValue;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Status};

use super::{CONNECT_TIMEOUT, ClientError};
use crate::cli::{Client, ClientTls};
use crate::secrets;

/// The variable with the key or token, or with _FILE behind it the name of its file.
const TOKEN: &str = "REGFLOW_TOKEN";
/// Largest PEM file, in bytes.
const PEM_BYTES_MAX: u64 = 1024 * 1024;

/// A channel on which each call says who asks.
pub type Wire = InterceptedService<Channel, Credential>;

/// What each call says; nothing where nobody is asked.
#[derive(Clone)]
pub struct Credential(Option<AsciiMetadataValue>);

impl Credential {
    fn new(token: Option<SecretString>) -> anyhow::Result<Self> {
        let Some(token) = token else { return Ok(Self(None)) };
        let text = zeroize::Zeroizing::new(format!("Bearer {}", token.expose_secret().trim()));
        let mut value: AsciiMetadataValue =
            MetadataValue::try_from(text.as_str()).with_context(|| format!("{TOKEN} is no key and no token"))?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for Credential {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A channel to the service that a command line names, with the key or token of the environment.
pub async fn connect(client: &Client) -> Result<Wire, ClientError> {
    connect_to(&client.server, &client.tls).await
}

/// The same to this address.
pub async fn connect_to(server: &str, files: &ClientTls) -> Result<Wire, ClientError> {
    let token = secrets::secret(TOKEN)?;
    let endpoint = endpoint(server)?;
    let uri = endpoint.uri();
    let is_tls = uri.scheme_str() == Some("https");
    if token.is_some() && !is_tls && !uri.host().is_some_and(is_this_machine) {
        return Err(ClientError::Usage("a key or token would travel readable for all: give an https:// address"));
    }
    let endpoint = if is_tls { endpoint.tls_config(tls(files)?).context("TLS cannot be used")? } else { endpoint };
    Ok(InterceptedService::new(open(endpoint, server).await?, Credential::new(token)?))
}

/// A channel to a service that asks nobody who they are.
pub async fn connect_plainly(server: &str) -> Result<Channel, ClientError> {
    open(endpoint(server)?, server).await
}

fn endpoint(server: &str) -> anyhow::Result<Endpoint> {
    let endpoint = Endpoint::from_shared(server.to_owned()).context("the server's address is no URL")?;
    Ok(endpoint.connect_timeout(CONNECT_TIMEOUT))
}

async fn open(endpoint: Endpoint, server: &str) -> Result<Channel, ClientError> {
    endpoint.connect().await.map_err(|error| {
        let why = std::error::Error::source(&error).map(|why| innermost(why).to_string()).unwrap_or_default();
        ClientError::Unreachable { server: server.to_owned(), why }
    })
}

/// What happened in the end: the errors around it say only that they could not connect.
fn innermost<'a>(mut error: &'a (dyn std::error::Error + 'static)) -> &'a (dyn std::error::Error + 'static) {
    while let Some(source) = error.source() {
        error = source;
    }
    error
}

fn is_this_machine(host: &str) -> bool {
    let address: Option<std::net::IpAddr> = host.trim_matches(['[', ']']).parse().ok();
    host == "localhost" || address.is_some_and(|address| address.is_loopback())
}

fn tls(files: &ClientTls) -> anyhow::Result<ClientTlsConfig> {
    let config = match &files.ca {
        Some(path) => ClientTlsConfig::new().ca_certificate(Certificate::from_pem(pem(path)?)),
        None => ClientTlsConfig::new().with_native_roots(),
    };
    match (&files.certificate, &files.certificate_key) {
        (Some(certificate), Some(key)) => Ok(config.identity(Identity::from_pem(pem(certificate)?, pem(key)?))),
        (Some(_) | None, _) => Ok(config),
    }
}

fn pem(path: &Path) -> anyhow::Result<Vec<u8>> {
    let doing = || format!("failed to read {}", path.display());
    let size = std::fs::metadata(path).with_context(doing)?.len();
    anyhow::ensure!(size <= PEM_BYTES_MAX, "{} has {size} bytes; at most {PEM_BYTES_MAX} are read", path.display());
    std::fs::read(path).with_context(doing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_this_machine() {
        for host in ["localhost", "127.0.0.1", "127.0.0.2", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["192.0.2.1", "127.0.0.1.example", "localhost.example", "[2001:db8::1]"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
