//! The lease of all shards: of several processes one does the work, and another takes over when that one falls silent.
//!
//! The owner writes a message every second, guarded by the sequence of its last one. Others watch that message: no clock of
//! another machine is read, only "unchanged for so long by my own clock". The owner counts from before it wrote, watchers
//! from when they saw it, so the owner knows that it has lost the lease before anybody else can take it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use events::{Sequence, subject};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::batch::{Guard, Outgoing, send_one};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::log::{AppendError, Unavailable};

/// How a lease is kept.
#[derive(Debug, Clone, Copy)]
pub struct LeaseOptions {
    /// Silence after which another process takes over.
    pub ttl: Duration,
    /// Between two signs of life, and between two looks at the owner's.
    pub beat: Duration,
}

impl Default for LeaseOptions {
    fn default() -> Self {
        Self { ttl: Duration::from_secs(5), beat: Duration::from_secs(1) }
    }
}

/// A handle to the lease; clones share it.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    base: Instant,
    /// Milliseconds after `base` until which it is ours; 0 when it is not.
    held_until_ms: AtomicU64,
    held: watch::Sender<bool>,
}

/// What stands in the message.
#[derive(Debug, Serialize, Deserialize)]
struct Sign {
    /// Who wrote it, a name for people and for itself.
    owner: String,
    /// False: given back, anybody may take it at once.
    held: bool,
}

struct Keeper {
    lease: Lease,
    connection: Connection,
    direct: Direct,
    options: LeaseOptions,
    name: String,
    /// The last sign that was seen, and when it was seen first.
    seen: Option<(Sequence, Instant)>,
    /// Nobody holds it, or we did in an earlier life: no need to wait.
    free: bool,
}

impl Lease {
    /// A lease that is always held: for one process alone, and for tests.
    #[must_use]
    pub fn always() -> Self {
        let lease = Self::nobodys();
        lease.0.held_until_ms.store(u64::MAX, Ordering::Release);
        lease.0.held.send_replace(true);
        lease
    }

    fn nobodys() -> Self {
        let (base, held_until_ms, held) = (Instant::now(), AtomicU64::new(0), watch::Sender::new(false));
        Self(Arc::new(Shared { base, held_until_ms, held }))
    }

    /// Competes for the lease until `shutdown`, then gives it back. `name` tells processes apart;
    /// whoever uses a name again must know that its last owner is dead.
    pub(crate) async fn keep(
        connection: Connection,
        name: String,
        options: LeaseOptions,
        shutdown: CancellationToken,
    ) -> Result<Self, Unavailable> {
        let direct = Direct::open(&connection, subject::LEASES_STREAM).await?;
        let lease = Self::nobodys();
        let keeper = Keeper { lease: lease.clone(), connection, direct, options, name, seen: None, free: false };
        tokio::spawn(keeper.run(shutdown));
        Ok(lease)
    }

    /// Whether it is ours at this moment: to be asked right before anything leaves the house.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let now_ms = u64::try_from(self.0.base.elapsed().as_millis()).unwrap_or(u64::MAX);
        now_ms < self.0.held_until_ms.load(Ordering::Acquire)
    }

    /// Changes when it is taken or lost.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<bool> {
        self.0.held.subscribe()
    }

    fn hold_until(&self, until: Instant) {
        let until_ms = u64::try_from(until.duration_since(self.0.base).as_millis()).unwrap_or(u64::MAX);
        self.0.held_until_ms.store(until_ms, Ordering::Release);
        self.note();
    }

    fn lose(&self) {
        self.0.held_until_ms.store(0, Ordering::Release);
        self.note();
    }

    /// Tells watchers when it has changed.
    fn note(&self) {
        let held = self.is_held();
        self.0.held.send_if_modified(|known| std::mem::replace(known, held) != held);
    }
}

impl Keeper {
    async fn run(mut self, shutdown: CancellationToken) {
        let mut beat = tokio::time::interval(self.options.beat);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = beat.tick() => self.beat().await,
                () = shutdown.cancelled() => break,
            }
        }
        self.give_back().await;
    }

    async fn beat(&mut self) {
        let was_held = self.lease.is_held();
        // one that ran out and is taken again below was lost in between, and watchers must hear of it
        self.lease.note();
        let doing = if was_held { self.renew().await } else { self.try_to_take().await };
        if let Err(error) = doing {
            tracing::debug!(%error, "the lease cannot be asked for");
        }
        self.lease.note();
        match (was_held, self.lease.is_held()) {
            (false, true) => tracing::info!(name = self.name, "this process does the work now"),
            (true, false) => tracing::warn!(name = self.name, "another process may do the work now"),
            (true, true) | (false, false) => {}
        }
    }

    async fn renew(&mut self) -> Result<(), Unavailable> {
        let Some((sequence, _)) = self.seen else {
            self.lease.lose();
            return Ok(());
        };
        match self.write(sequence, true).await {
            Err(AppendError::Conflict { .. }) => self.look_whose(true).await,
            // until it runs out it is ours
            Ok(()) | Err(_) => Ok(()),
        }
    }

    async fn try_to_take(&mut self) -> Result<(), Unavailable> {
        self.look_whose(false).await?;
        let Some((sequence, since)) = self.seen else { return self.take(0).await };
        // half a beat on top: what the owner wrote may have been seen late, never early
        if self.free || since.elapsed() > self.options.ttl + self.options.beat / 2 {
            self.take(sequence).await?;
        }
        Ok(())
    }

    async fn take(&mut self, sequence: Sequence) -> Result<(), Unavailable> {
        match self.write(sequence, true).await {
            Ok(()) => Ok(()),
            Err(AppendError::Conflict { .. } | AppendError::Unknown) => self.look_whose(false).await,
            Err(AppendError::Unavailable(error)) => Err(error),
            Err(error @ (AppendError::TooLarge | AppendError::Refused(_) | AppendError::ReadOnly(_))) => {
                Err(Unavailable::new("take the lease", error))
            }
        }
    }

    /// Reads the last sign. One of ours whose answer was lost is ours; one that was given back, or that we wrote ourselves
    /// before a crash, may be taken at once.
    async fn look_whose(&mut self, held: bool) -> Result<(), Unavailable> {
        let Some(message) = self.direct.last(subject::SHARDS_LEASE).await? else {
            self.seen = None;
            self.lease.lose();
            return Ok(());
        };
        let sign = serde_json::from_slice(&message.payload).unwrap_or(Sign { owner: String::new(), held: true });
        if self.seen.is_none_or(|(sequence, _)| sequence != message.sequence) {
            self.seen = Some((message.sequence, Instant::now()));
        }
        if held && sign.owner != self.name {
            self.lease.lose();
        }
        self.free = !sign.held || sign.owner == self.name;
        Ok(())
    }

    /// Writes a sign behind `sequence`; it is ours from before it was written.
    async fn write(&mut self, sequence: Sequence, held: bool) -> Result<(), AppendError> {
        let begun = Instant::now();
        let sign = Sign { owner: self.name.clone(), held };
        let payload = serde_json::to_vec(&sign).map_err(|error| AppendError::Refused(error.to_string()))?;
        let message = Outgoing {
            subject: subject::SHARDS_LEASE.into(),
            guard: Guard::LastOfSubject(sequence),
            headers: HeaderMap::new(),
            payload: payload.into(),
        };
        let ack = send_one(&self.connection, &message).await?;
        self.seen = Some((ack.sequence, Instant::now()));
        if held {
            self.lease.hold_until(begun + self.options.ttl);
        }
        Ok(())
    }

    async fn give_back(&mut self) {
        if let (true, Some((sequence, _))) = (self.lease.is_held(), self.seen) {
            self.lease.lose();
            if let Err(error) = self.write(sequence, false).await {
                tracing::debug!(%error, "the lease runs out by itself");
            }
        }
    }
}
