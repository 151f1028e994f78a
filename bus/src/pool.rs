//! A pool of person keys that are already stored, so that handing one out costs nothing but taking it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use events::PersonKeyId;
use events::ring::{KeyRing, RING_BYTES, RING_KEYS, RingId};
use events::seal::{NONCE_BYTES, Nonce, PersonKey};
use futures::future::try_join_all;
use tokio::sync::{RwLock, Semaphore, mpsc};
use tokio::time::Instant;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::key_store::{KeyStore, name_of_ring};
use crate::log::{AppendError, Unavailable};
use crate::masters::{Masters, place};

/// Keys kept ready for a household.
const READY_MIN: usize = 64;
/// Keys kept ready at most, for thousands a second; those that are not used stay in the bucket for nothing.
const READY_MAX: usize = 4_096;
/// Refills that follow one another faster than this double what is kept ready ...
const BUSY_WITHIN: Duration = Duration::from_secs(1);
/// ... and slower than this halve it.
const CALM_AFTER: Duration = Duration::from_secs(60);
/// Longest wait for a key while none is ready.
const LEASE_WAIT_MAX: Duration = Duration::from_secs(5);
/// Pause after keys could not be stored.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Keys that wait to be handed out.
pub(crate) struct Pool {
    ready: Arc<Ready>,
    /// Tells the filler that the pool is low; the filler ends when this is gone.
    low: mpsc::Sender<()>,
}

struct Ready {
    keys: Mutex<Vec<(PersonKeyId, PersonKey)>>,
    /// One permit a key.
    count: Semaphore,
    /// How many to keep ready.
    target: AtomicUsize,
}

impl Pool {
    /// A pool with a task that fills it.
    pub fn start(store: Arc<KeyStore>, masters: Arc<RwLock<Masters>>) -> Self {
        let (low, wakes) = mpsc::channel(1);
        let ready =
            Arc::new(Ready { keys: Mutex::default(), count: Semaphore::new(0), target: AtomicUsize::new(READY_MIN) });
        tokio::spawn(Filler { ready: Arc::clone(&ready), store, masters, wakes }.run());
        Self { ready, low }
    }

    /// A key that is stored and that nobody else has.
    pub async fn lease(&self) -> Result<(PersonKeyId, PersonKey), Unavailable> {
        let none = || Unavailable::new("get a key for a person", "no stored key became ready in time");
        let permit = tokio::time::timeout(LEASE_WAIT_MAX, self.ready.count.acquire()).await;
        permit.map_err(|_| none())?.map_err(|_| none())?.forget();
        let leased = self.ready.take();
        if self.ready.is_low() {
            // a full channel has already told it
            let _ = self.low.try_send(());
        }
        leased.ok_or_else(none)
    }
}

impl Ready {
    fn take(&self) -> Option<(PersonKeyId, PersonKey)> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn missing(&self) -> usize {
        let there = self.keys.lock().unwrap_or_else(PoisonError::into_inner).len();
        self.target.load(Ordering::Relaxed).saturating_sub(there)
    }

    /// Whether more than half are missing.
    fn is_low(&self) -> bool {
        self.missing() > self.target.load(Ordering::Relaxed) / 2
    }

    fn add(&self, made: Vec<(PersonKeyId, PersonKey)>) {
        let count = made.len();
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).extend(made);
        self.count.add_permits(count);
    }
}

struct Filler {
    ready: Arc<Ready>,
    store: Arc<KeyStore>,
    masters: Arc<RwLock<Masters>>,
    wakes: mpsc::Receiver<()>,
}

impl Filler {
    async fn run(mut self) {
        let mut filled: Option<Instant> = None;
        while !self.wakes.is_closed() {
            if !self.ready.is_low() {
                // nothing: the pool is gone
                let _ = self.wakes.recv().await;
                continue;
            }
            if let Some(filled) = filled {
                self.adapt(filled.elapsed());
            }
            self.fill().await;
            filled = Some(Instant::now());
        }
    }

    /// Keeps more ready when keys go quickly, fewer when they do not.
    fn adapt(&self, since_last: Duration) {
        let target = self.ready.target.load(Ordering::Relaxed);
        let target = match since_last {
            elapsed if elapsed < BUSY_WITHIN => target * 2,
            elapsed if elapsed > CALM_AFTER => target / 2,
            _ => target,
        };
        self.ready.target.store(target.clamp(READY_MIN, READY_MAX), Ordering::Relaxed);
    }

    /// Whole rings, all in one commit: whoever takes keys as fast as they are made gets more of them.
    async fn fill(&self) {
        match self.make(self.ready.missing().div_ceil(RING_KEYS)).await {
            Ok(made) => self.ready.add(made),
            Err(error) => {
                tracing::warn!(%error, "keys for persons cannot be stored; trying again soon");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }

    /// Makes rings of keys and stores them; the keys are ready only when all are stored.
    async fn make(&self, rings: usize) -> Result<Vec<(PersonKeyId, PersonKey)>, AppendError> {
        // held until they are stored: a rotation that begins waits for them
        let masters = self.masters.read().await;
        let master = &masters.present;
        let puts = (0..rings).map(|_| async {
            let (id, ring) = (RingId::new(Uuid::now_v7()), fresh_ring());
            let wrapped = ring.wrapped_by(master, id, &fresh_nonce());
            let wrapped = wrapped.map_err(|error| AppendError::Refused(error.to_string()))?;
            self.store.put(&place(&name_of_ring(id), master), wrapped.into()).await?;
            Ok::<_, AppendError>(ring.keys(id).collect::<Vec<_>>())
        });
        Ok(try_join_all(puts).await?.into_iter().flatten().collect())
    }
}

fn fresh_ring() -> KeyRing {
    let mut bytes = Zeroizing::new([0; RING_BYTES]);
    rand::Rng::fill(&mut rand::rng(), bytes.as_mut());
    KeyRing::new(&bytes)
}

/// 192 random bits never repeat.
pub(crate) fn fresh_nonce() -> Nonce {
    let mut nonce = [0; NONCE_BYTES];
    rand::Rng::fill(&mut rand::rng(), &mut nonce);
    nonce
}
