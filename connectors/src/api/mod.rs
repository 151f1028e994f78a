//! The API method: one request to the maker, one outcome.

mod account;
mod call;
mod failure;
mod fetch;
mod health;
mod judge;
mod lookup;
mod oauth;
mod retry_after;
mod scrub;
mod send;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use events::{Details, ErrorKind, Failure, Outcome, Received, RegistrationId};
use outbound::{Client, Reach, Resolver};

use crate::connector::Connector;
use crate::file::Network;
use account::Account;
pub use lookup::Lookup;

/// An idle connection is dropped before the usual server drops it (5 s): a request sent into a connection that is just
/// being closed breaks after it was sent, and then nobody knows whether it was taken.
const POOL_IDLE: Duration = Duration::from_secs(4);
/// Idle connections kept per maker.
const POOL_IDLE_PER_HOST_MAX: usize = 512;

/// Settings of the client.
#[derive(Debug, Clone)]
pub struct ApiOptions {
    /// Longest time until a connection stands; a maker's own timeout may be shorter.
    pub connect_timeout: Duration,
    /// What makers see as our name.
    pub user_agent: String,
    /// Reads an environment variable, for secrets.
    pub environment: fn(&str) -> Option<String>,
    /// Turns makers' names into addresses.
    pub resolver: Resolver,
}

impl Default for ApiOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            user_agent: concat!("regflow/", env!("CARGO_PKG_VERSION")).to_owned(),
            environment: |name| std::env::var(name).ok(),
            resolver: Resolver::system(),
        }
    }
}

/// The HTTP client could not be built.
#[derive(Debug, thiserror::Error)]
#[error("building the HTTP client for makers' APIs")]
pub struct ClientError(#[from] reqwest::Error);

/// One registration on its way to a maker's API.
#[derive(Debug, Clone)]
pub struct ApiRequest<'a> {
    /// Which registration, for the log.
    pub registration: RegistrationId,
    /// Which attempt, for the log.
    pub attempt: u32,
    /// Sent as it is in the maker's header. Tries that may follow an unknown fate must carry the same key.
    pub idempotency_key: String,
    /// What to register; only what the connector declares leaves.
    pub details: &'a Details,
}

/// Calls makers' APIs. One for the whole process: connections, tokens and secrets are kept in it.
#[derive(Debug)]
pub struct ApiClient {
    /// For makers on the public internet.
    public: Client,
    /// For makers in the own house; their connections never serve the others.
    private: Client,
    environment: fn(&str) -> Option<String>,
    /// By connector id; bounded by the catalog.
    accounts: RwLock<HashMap<String, Arc<Account>>>,
}

impl ApiClient {
    /// A client with its pools of connections. No proxies and no redirects: what leaves goes where the catalog says, and that
    /// is the public internet unless it says `network = "private"`.
    ///
    /// # Errors
    /// When the TLS parts of the system cannot be set up.
    pub fn new(options: ApiOptions) -> Result<Self, ClientError> {
        let client = |reach| {
            let builder = reqwest::Client::builder()
                .http1_only()
                .connect_timeout(options.connect_timeout)
                .pool_idle_timeout(POOL_IDLE)
                .pool_max_idle_per_host(POOL_IDLE_PER_HOST_MAX)
                .user_agent(&options.user_agent);
            Client::new(builder, &options.resolver, reach)
        };
        Ok(Self {
            public: client(Reach::Public)?,
            private: client(Reach::Private)?,
            environment: options.environment,
            accounts: RwLock::default(),
        })
    }

    /// Sends one registration and tells what came of it. Never tries again by itself, except with a fresh token where the
    /// maker refused an old one.
    pub async fn register(&self, connector: &Connector, request: &ApiRequest<'_>) -> Outcome {
        self.exchange(connector, request).await.0
    }

    /// As [`Self::register`], with what came back when it came back whole.
    pub async fn exchange(&self, connector: &Connector, request: &ApiRequest<'_>) -> (Outcome, Option<Received>) {
        let started = Instant::now();
        let (outcome, received) =
            self.call(connector, request).await.unwrap_or_else(|failure| (Outcome::Failed(failure), None));
        let (id, attempt, connector) = (request.registration, request.attempt, connector.id());
        let latency_ms = started.elapsed().as_millis();
        tracing::debug!(%id, attempt, connector, latency_ms, outcome = word(&outcome), "the maker's API was called");
        (outcome, received)
    }

    /// The client that goes as far as this maker's calls may.
    fn http(&self, connector: &Connector) -> &Client {
        match connector.network() {
            Network::Public => &self.public,
            Network::Private => &self.private,
        }
    }

    /// Our account with the maker, made at the first call.
    fn account(&self, connector: &Connector) -> Result<Arc<Account>, Failure> {
        // a panic while the map was held leaves it whole: entries are only put in or taken out
        let known = self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(connector.id()).cloned();
        if let Some(account) = known {
            return Ok(account);
        }
        let account = Arc::new(Account::open(connector, self.environment)?);
        let mut accounts = self.accounts.write().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(accounts.entry(connector.id().to_owned()).or_insert(account)))
    }

    /// The maker refused what we showed: the next call reads the secret again, it may have been changed meanwhile.
    fn forget_account(&self, connector: &Connector) {
        self.accounts.write().unwrap_or_else(PoisonError::into_inner).remove(connector.id());
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Registered { already: false, .. } => "registered",
        Outcome::Registered { already: true, .. } => "already_registered",
        Outcome::Failed(failure) => failure.kind.as_str(),
    }
}

/// The catalog and the request do not go together; the next rung may.
fn unusable(detail: impl Into<String>) -> Failure {
    Failure::new(ErrorKind::FormChanged, detail)
}
