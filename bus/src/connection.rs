//! One connection to the server, with what its events tell: when it came back, and what the server refused.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectOptions, Event};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;

use crate::log::Unavailable;
use crate::storing::Storing;

/// Longest wait for an answer of the server's API and for a direct get.
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages that a slow reader may leave in memory before the client drops them (an ordered reader then starts anew).
const SUBSCRIPTION_MESSAGES_MAX: usize = 65_536;
/// Longest pause between two attempts to reconnect.
const RECONNECT_DELAY_MAX: Duration = Duration::from_secs(1);

/// How to reach the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Access {
    pub credentials_file: Option<PathBuf>,
    pub nkey_seed: Option<SecretString>,
    pub ca_file: Option<PathBuf>,
}

/// A shared connection.
#[derive(Clone)]
pub(crate) struct Connection {
    pub client: Client,
    pub jetstream: Context,
    /// What became of what was written to the streams that get batches.
    pub storing: Storing,
    signs: Arc<Signs>,
}

/// What the client's events told last.
struct Signs {
    /// Whether we are about to go: then a lost connection is no news.
    leaving: AtomicBool,
    /// Counts how often the connection was made.
    connected: watch::Sender<u64>,
    /// Counts the server's errors and keeps the last one's text.
    refused: watch::Sender<(u64, String)>,
}

impl Connection {
    /// Connects within `timeout`; afterwards reconnects by itself for ever.
    pub async fn open(url: &str, access: &Access, timeout: Duration) -> Result<Self, Unavailable> {
        let unreachable = |reason: String| Unavailable { doing: "connect to NATS", reason };
        let signs = Arc::new(Signs {
            leaving: AtomicBool::new(false),
            connected: watch::Sender::new(0),
            refused: watch::Sender::default(),
        });
        let options = options(access, &signs).await.map_err(|error| unreachable(error.to_string()))?;
        let client = tokio::time::timeout(timeout, options.connect(url))
            .await
            .map_err(|_| unreachable("no answer in time".to_owned()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let mut jetstream = jetstream::new(client.clone());
        jetstream.set_timeout(REQUEST_TIMEOUT);
        Ok(Self { client, jetstream, storing: Storing::default(), signs })
    }

    pub fn is_up(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// From now on a lost connection is expected.
    pub fn leave(&self) {
        self.signs.leaving.store(true, Ordering::Relaxed);
    }

    /// Changes each time the connection is made anew.
    pub fn connected(&self) -> watch::Receiver<u64> {
        self.signs.connected.subscribe()
    }

    /// How often the connection was made; another number at once when it is another one, before anything comes over it.
    pub fn times_made(&self) -> u64 {
        self.client.statistics().connects.load(Ordering::Relaxed)
    }

    /// How many errors the server has sent so far.
    pub fn refusals(&self) -> u64 {
        self.signs.refused.borrow().0
    }

    /// The text of a refused publish that came after `before` errors. The server does not answer such a publish.
    pub fn publish_refused_since(&self, before: u64) -> Option<String> {
        let refused = self.signs.refused.borrow();
        let text = refused.1.to_ascii_lowercase();
        (refused.0 > before && text.contains("violation") && text.contains("publish")).then(|| refused.1.clone())
    }
}

async fn options(access: &Access, signs: &Arc<Signs>) -> std::io::Result<ConnectOptions> {
    let signs = Arc::clone(signs);
    let mut options = ConnectOptions::new()
        .name("regflow")
        .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
        .request_timeout(Some(REQUEST_TIMEOUT))
        .reconnect_delay_callback(reconnect_delay)
        .event_callback(move |event| {
            signs.note(&event);
            std::future::ready(())
        });
    if let Some(path) = &access.ca_file {
        options = options.add_root_certificates(path.clone()).require_tls(true);
    }
    if let Some(seed) = &access.nkey_seed {
        options = options.nkey(seed.expose_secret().to_owned());
    }
    match &access.credentials_file {
        Some(path) => options.credentials_file(path).await,
        None => Ok(options),
    }
}

fn reconnect_delay(attempts: usize) -> Duration {
    let attempts = u32::try_from(attempts).unwrap_or(u32::MAX);
    Duration::from_millis(20).saturating_mul(attempts).min(RECONNECT_DELAY_MAX)
}

impl Signs {
    fn note(&self, event: &Event) {
        match event {
            Event::Connected => self.connected.send_modify(|count| *count += 1),
            Event::ServerError(error) => {
                tracing::warn!(%error, "the NATS server refuses something");
                self.refused.send_modify(|(count, text)| {
                    *count += 1;
                    *text = error.to_string();
                });
            }
            Event::Disconnected | Event::ClientError(_) if self.leaving.load(Ordering::Relaxed) => {
                tracing::debug!(%event, "the connection to NATS ends");
            }
            Event::Disconnected => tracing::warn!("the connection to NATS is lost"),
            Event::LameDuckMode => tracing::warn!("the NATS server is about to shut down"),
            Event::SlowConsumer(_) => tracing::warn!("messages were dropped because they were not read in time"),
            Event::ClientError(error) => tracing::warn!(%error, "the NATS client reports an error"),
            Event::Draining | Event::Closed => tracing::debug!(%event, "the connection to NATS ends"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempts_to_reconnect_come_quickly_and_later_ones_each_second() {
        assert_eq!(reconnect_delay(0), Duration::ZERO);
        assert_eq!(reconnect_delay(5), Duration::from_millis(100));
        assert_eq!(reconnect_delay(usize::MAX), RECONNECT_DELAY_MAX);
    }
}
