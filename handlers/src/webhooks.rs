//! Webhooks: notifications are posted to a tenant's programs elsewhere, signed, tried again, and delivered again when an
//! operator wants it. What is to be delivered is remembered by the server of the log, so nothing here survives a restart
//! and nothing is lost by one.

mod send;
mod worker;

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::{Again, Lease, Outbox, Recipient, Standing, Unavailable};
use events::schedule::Schedule;
use events::{Timestamp, subject};
use outbound::{Client, Reach, Resolver};
use reqwest::Url;
use secrecy::{ExposeSecret, SecretString};
use standardwebhooks::Webhook;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::world::Clock;

/// What every secret begins with.
const SECRET_PREFIX: &str = "whsec_";
/// Shortest secret behind that, in base64: 24 bytes.
const SECRET_CHARS_MIN: usize = 32;
/// Longest name of an endpoint.
const NAME_BYTES_MAX: usize = 40;
/// Most times that the past is delivered again to one endpoint at once.
const AGAIN_MAX: usize = 4;
/// A try that was given no word comes again after twice its timeout (while it waits for a place there is a word each timeout) and
/// so long.
const ACK_GRACE: Duration = Duration::from_secs(5);

/// Where a tenant wants to be told.
pub struct EndpointOptions {
    /// Names it among the tenant's endpoints.
    pub name: String,
    /// Whose notifications it gets.
    pub tenant: String,
    /// Where they are posted.
    pub url: String,
    /// `whsec_...`; nothing when it is not set.
    pub secret: Option<SecretString>,
    /// Only these facts; all when empty.
    pub facts: Vec<String>,
    /// Whether the recipient is in the own house. One that is named as on this machine needs no word.
    pub is_private: bool,
}

/// How webhooks are delivered.
#[derive(Debug, Clone)]
pub struct WebhookOptions {
    /// Longest time of one try.
    pub timeout: Duration,
    /// Tries of one endpoint under way at once.
    pub concurrency: usize,
    /// The pauses between tries.
    pub schedule: Schedule,
    /// The clock.
    pub clock: Clock,
}

/// Webhooks cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Something is wrong with an endpoint's settings.
    #[error("webhooks[{place}].{key} {problem}")]
    Setting {
        /// Which endpoint, from 0.
        place: usize,
        /// Which key.
        key: &'static str,
        /// What is wrong and how to mend it.
        problem: String,
    },
    /// The TLS parts of the system cannot be set up.
    #[error("building the HTTP client for webhooks")]
    Client(#[from] reqwest::Error),
}

/// Delivering again was refused.
#[derive(Debug, thiserror::Error)]
pub enum RedeliverError {
    /// No endpoint of this name.
    #[error("the tenant `{0}` has no webhook named `{1}`; `regflow webhooks list` shows those that there are")]
    Unknown(String, String),
    /// Enough is under way.
    #[error("{AGAIN_MAX} redeliveries to `{0}` are under way; wait until one has ended")]
    Busy(String),
    /// Try again later.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What an operator sees of an endpoint.
#[derive(Debug, Clone)]
pub struct EndpointStatus {
    /// Its name.
    pub name: String,
    /// Its tenant.
    pub tenant: String,
    /// Its address without what may be secret in it.
    pub url: String,
    /// The facts that it gets; all when empty.
    pub facts: Vec<String>,
    /// How its deliveries stand; nothing when the server does not say.
    pub standing: Option<Standing>,
    /// How often the past is being delivered again at this moment.
    pub again: usize,
    /// When something was taken last, since this process delivers.
    pub succeeded_at: Option<Timestamp>,
    /// What failed last, and when, since this process delivers.
    pub failed: Option<(Timestamp, String)>,
    /// It answered 410 Gone: nothing is sent until the service starts anew or an operator asks for a redelivery.
    pub is_gone: bool,
}

/// All endpoints; a handle that clones share.
#[derive(Clone)]
pub struct Webhooks(Arc<Shared>);

struct Shared {
    outbox: Outbox,
    lease: Lease,
    clients: Clients,
    options: WebhookOptions,
    endpoints: Vec<Endpoint>,
}

struct Endpoint {
    name: String,
    tenant: String,
    url: Url,
    reach: Reach,
    key: Webhook,
    facts: Vec<String>,
    recipient: Recipient,
    known: Mutex<Known>,
    /// An operator wants the past again, or a gone endpoint woken.
    asked: Notify,
}

/// One client for recipients elsewhere, and one for those that an operator says are in the house.
struct Clients {
    public: Client,
    private: Client,
}

impl Clients {
    fn new(timeout: Duration, resolver: &Resolver) -> Result<Self, reqwest::Error> {
        let client = |reach| {
            let agent = concat!("regflow/", env!("CARGO_PKG_VERSION"));
            Client::new(reqwest::Client::builder().timeout(timeout).user_agent(agent), resolver, reach)
        };
        Ok(Self { public: client(Reach::Public)?, private: client(Reach::Private)? })
    }

    fn of(&self, reach: Reach) -> &Client {
        match reach {
            Reach::Public => &self.public,
            Reach::Private => &self.private,
        }
    }
}

/// What this process has seen of an endpoint.
#[derive(Default)]
struct Known {
    succeeded_at: Option<Timestamp>,
    failed: Option<(Timestamp, String)>,
    is_gone: bool,
    /// Consumers that deliver the past again and have a task.
    again: HashSet<String>,
}

impl Webhooks {
    /// Checks the endpoints; nothing is sent before [`Self::run`].
    ///
    /// # Errors
    /// [`WebhookError`] with the setting that is wrong.
    pub fn new(
        outbox: Outbox,
        lease: Lease,
        endpoints: Vec<EndpointOptions>,
        options: WebhookOptions,
    ) -> Result<Self, WebhookError> {
        let clients = Clients::new(options.timeout, &Resolver::system())?;
        let ack_wait = 2 * options.timeout + ACK_GRACE;
        let mut names = HashSet::new();
        let mut known = Vec::new();
        for (place, endpoint) in endpoints.into_iter().enumerate() {
            let endpoint = Endpoint::new(endpoint, ack_wait).map_err(|(key, problem)| WebhookError::Setting {
                place,
                key,
                problem,
            })?;
            if !names.insert(endpoint.recipient.name.clone()) {
                let problem = format!("is `{}` a second time; give each of a tenant its own", endpoint.name);
                return Err(WebhookError::Setting { place, key: "name", problem });
            }
            known.push(endpoint);
        }
        Ok(Self(Arc::new(Shared { outbox, lease, clients, options, endpoints: known })))
    }

    /// Makes the server remember from now on what each endpoint is to get.
    ///
    /// # Errors
    /// [`Unavailable`] when the server does not answer or refuses.
    pub async fn prepare(&self) -> Result<(), Unavailable> {
        for endpoint in &self.0.endpoints {
            self.0.outbox.deliveries(&endpoint.recipient).await?;
        }
        Ok(())
    }

    /// Delivers until `shutdown`, as long as this process holds the lease.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut workers = JoinSet::new();
        for place in 0..self.0.endpoints.len() {
            workers.spawn(worker::run(self.0.clone(), place, shutdown.clone()));
        }
        while workers.join_next().await.is_some() {}
    }

    /// How all endpoints are doing.
    pub async fn list(&self) -> Vec<EndpointStatus> {
        let mut all = Vec::new();
        for endpoint in &self.0.endpoints {
            let standing = self.0.outbox.standing(&endpoint.recipient).await.ok();
            let known = endpoint.known();
            all.push(EndpointStatus {
                name: endpoint.name.clone(),
                tenant: endpoint.tenant.clone(),
                url: without_query(&endpoint.url),
                facts: endpoint.facts.clone(),
                standing,
                again: known.again.len(),
                succeeded_at: known.succeeded_at,
                failed: known.failed.clone(),
                is_gone: known.is_gone,
            });
        }
        all
    }

    /// Delivers the past again, from `again.since` to now; tells how many notifications that are. Also wakes an endpoint that
    /// said that it is gone.
    ///
    /// # Errors
    /// [`RedeliverError`]; nothing is delivered again then, unless the server did not answer.
    pub async fn redeliver(&self, tenant: &str, name: &str, again: Again) -> Result<u64, RedeliverError> {
        let of = |endpoint: &&Endpoint| endpoint.tenant == tenant && endpoint.name == name;
        let endpoint = self.0.endpoints.iter().find(of);
        let endpoint = endpoint.ok_or_else(|| RedeliverError::Unknown(tenant.to_owned(), name.to_owned()))?;
        if self.0.outbox.again_names(&endpoint.recipient).await?.len() >= AGAIN_MAX {
            return Err(RedeliverError::Busy(name.to_owned()));
        }
        let (consumer, count) = self.0.outbox.begin_again(&endpoint.recipient, &again).await?;
        let Again { operator, reason, .. } = again;
        tracing::info!(tenant, name, consumer, count, operator, reason, "webhooks are delivered again");
        endpoint.known().is_gone = false;
        endpoint.asked.notify_one();
        Ok(count)
    }
}

impl Endpoint {
    fn new(options: EndpointOptions, ack_wait: Duration) -> Result<Self, (&'static str, String)> {
        let EndpointOptions { name, tenant, url, secret, facts, is_private } = options;
        check_token("name", &name)?;
        check_token("tenant", &tenant)?;
        let unknown = facts.iter().find(|fact| !crate::told::FACTS.contains(&fact.as_str()));
        if let Some(fact) = unknown {
            return Err((
                "types",
                format!("has `{fact}`, which is never told; known are {}", crate::told::FACTS.join(", ")),
            ));
        }
        let recipient = Recipient {
            name: format!("webhook-{tenant}-{name}"),
            filters: subject::notifications_of(&tenant, &facts),
            ack_wait,
        };
        let url = address(&url)?;
        let reach = if is_private || is_this_machine(&url) { Reach::Private } else { Reach::Public };
        if let Err(refused) = outbound::check_url(&url, reach) {
            let remedy = "for a recipient in the own house write network = \"private\"";
            return Err(("url", format!("cannot be posted to: {refused}; {remedy}")));
        }
        Ok(Self {
            url,
            reach,
            key: key(secret.as_ref())?,
            recipient,
            name,
            tenant,
            facts,
            known: Mutex::default(),
            asked: Notify::new(),
        })
    }

    fn gone(&self, now: Timestamp) {
        let mut known = self.known();
        known.is_gone = true;
        known.failed = Some((now, "answered 410 Gone".to_owned()));
    }

    /// A panic while it was held leaves it whole: fields are only replaced.
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn check_token(key: &'static str, text: &str) -> Result<(), (&'static str, String)> {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.bytes().all(fits) || text.contains("-again-") {
        return Err((key, format!("is `{text}`; it must be 1 to {NAME_BYTES_MAX} characters of a-z, 0-9, - and _")));
    }
    Ok(())
}

fn address(text: &str) -> Result<Url, (&'static str, String)> {
    let url = Url::parse(text).map_err(|error| ("url", format!("is no address: {error}")))?;
    if url.scheme() != "https" && !(url.scheme() == "http" && is_this_machine(&url)) {
        return Err(("url", "must begin with https://; http:// is only taken for this machine (127.0.0.1)".to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(("url", "must hold no user and password; the recipient checks the signature".to_owned()));
    }
    Ok(url)
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn key(secret: Option<&SecretString>) -> Result<Webhook, (&'static str, String)> {
    let remedy = "make one by: echo \"whsec_$(openssl rand -base64 32)\"";
    let Some(secret) = secret else {
        return Err((
            "secret_env",
            format!("names a variable that is not set, and nor is the one with _FILE; {remedy}"),
        ));
    };
    let secret = secret.expose_secret();
    let body = secret.strip_prefix(SECRET_PREFIX).filter(|body| body.len() >= SECRET_CHARS_MIN);
    let key = body.and_then(|_| Webhook::new(secret).ok());
    key.ok_or_else(|| ("secret_env", format!("names something that is no secret of Standard Webhooks; {remedy}")))
}

fn without_query(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut EndpointOptions);

    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn endpoint(change: impl FnOnce(&mut EndpointOptions)) -> Result<Endpoint, (&'static str, String)> {
        let mut options = EndpointOptions {
            name: "crm".to_owned(),
            tenant: "shop".to_owned(),
            url: "https://crm.example/hook?token=abc".to_owned(),
            secret: Some(SECRET.into()),
            facts: vec!["expired".to_owned()],
            is_private: false,
        };
        change(&mut options);
        Endpoint::new(options, ACK_GRACE)
    }

    #[test]
    fn what_is_shown_of_an_address_holds_no_query() {
        let known = endpoint(|_| {}).map(|endpoint| (without_query(&endpoint.url), endpoint.recipient));
        let (url, recipient) = known.expect("valid");
        assert_eq!((url.as_str(), recipient.name.as_str()), ("https://crm.example/hook", "webhook-shop-crm"));
        assert_eq!(recipient.filters, ["notify.shop.*.expired"]);
    }

    #[test]
    fn each_mistake_is_named_by_its_key() {
        let wrong: [(&str, Change); 10] = [
            ("name", |of| of.name = "Mine!".to_owned()),
            ("tenant", |of| of.tenant = String::new()),
            ("url", |of| of.url = "http://crm.example/".to_owned()),
            ("url", |of| of.url = "https://10.0.0.7/".to_owned()),
            ("url", |of| of.url = "https://169.254.169.254/".to_owned()),
            ("url", |of| of.url = "ftp://127.0.0.1/".to_owned()),
            ("url", |of| of.url = "https://me:pw@crm.example/".to_owned()),
            ("secret_env", |of| of.secret = None),
            ("secret_env", |of| of.secret = Some("whsec_short".into())),
            ("types", |of| of.facts = vec!["submitted".to_owned()]),
        ];
        for (key, change) in wrong {
            assert_eq!(endpoint(change).err().map(|(key, _)| key), Some(key));
        }
        assert!(endpoint(|of| of.url = "http://127.0.0.1:9/".to_owned()).is_ok());
        let at_home = |url: &str| {
            endpoint(|of| {
                of.url = url.to_owned();
                of.is_private = true;
            })
        };
        assert!(at_home("https://10.0.0.7/").is_ok());
        assert!(at_home("https://169.254.169.254/").is_err());
    }
}
