//! Notify: tells outside subscribers what became of a registration, each fact once, as CloudEvents JSON on the stream NOTIFY.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{EventLog, Follow, FollowError, FollowItem, Lease, LoadError, Notification, NotifyError, NotifyLog};
use events::state::HistoryError;
use events::{Event, Registration, RegistrationId, Sequence, Stored};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::{meters, told};

/// Records whose notifications are published together at most.
const RECORDS_MAX: usize = 4_096;
/// How long the first record is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// So long after a publish what comes is gathered for the next one: each costs the server a flush to disk that registrations
/// wait for.
const GATHER: Duration = Duration::from_millis(60);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Tenants remembered of registrations that have not ended; more are read from the log again.
const TENANTS_MAX: usize = 100_000;

/// Notifications cannot go on.
#[derive(Debug, thiserror::Error)]
enum PublishError {
    #[error(transparent)]
    Notify(#[from] NotifyError),
    #[error("failed to follow the log")]
    Follow(#[from] FollowError),
    #[error("failed to find whose registration it is")]
    Load(#[from] LoadError),
    #[error("failed to find whose registration it is")]
    History(#[from] HistoryError),
}

/// Follows the log and publishes.
pub struct Notifier {
    log: Arc<dyn EventLog>,
    notify: Arc<NotifyLog>,
    lease: Lease,
    tenants: HashMap<RegistrationId, Arc<str>>,
    position: Sequence,
}

impl Notifier {
    /// A notifier between two streams; it is silent while another process holds the lease.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, notify: Arc<NotifyLog>, lease: Lease) -> Self {
        Self { log, notify, lease, tenants: HashMap::new(), position: 0 }
    }

    /// Publishes until `shutdown`. After any failure it asks the stream NOTIFY itself how far it had come.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            let ended = tokio::select! {
                ended = self.publish_from_where_it_stands() => ended,
                () = shutdown.cancelled() => return,
            };
            if let Err(error) = ended {
                tracing::warn!(%error, "notifications pause");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn publish_from_where_it_stands(&mut self) -> Result<(), PublishError> {
        // ends with the last handle of the lease, of which we hold one
        let _ = self.lease.watch().wait_for(|held| *held).await;
        // a shorter log was accepted by an operator: what comes now is new, whatever stood there before
        let last = self.log.head().await.map_err(FollowError::from)?.last_sequence;
        self.position = self.notify.last_position().await?.unwrap_or(0).min(last);
        let mut follow = self.log.follow(self.position + 1).await?;
        let mut gathered_until = Instant::now();
        while self.lease.is_held() {
            let items = gather(follow.as_mut(), gathered_until).await?;
            if self.publish(items).await? {
                gathered_until = Instant::now() + GATHER;
            }
        }
        Ok(())
    }

    /// Whether there was anything to tell.
    async fn publish(&mut self, items: Vec<FollowItem>) -> Result<bool, PublishError> {
        let mut batch = Vec::new();
        let mut position = self.position;
        for item in items {
            match item {
                FollowItem::Record(stored) => {
                    position = stored.sequence;
                    self.remember_tenant(&stored);
                    batch.extend(self.notifications(&stored).await?);
                }
                FollowItem::Maker(stored) => {
                    position = stored.sequence;
                    batch.extend(told::of_maker(&stored).into_iter().map(|told| (told, Span::none())));
                }
                FollowItem::Unreadable { sequence, .. } => position = sequence,
            }
        }
        let told = batch.len();
        if told > 0 {
            let (batch, spans): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            self.notify.publish(batch).await?;
            meters::notified(told);
            drop(spans);
        }
        self.position = position;
        Ok(told > 0)
    }

    fn remember_tenant(&mut self, stored: &Stored) {
        if let Some(Event::Submitted(submitted)) = stored.record.events.first()
            && self.tenants.len() < TENANTS_MAX
        {
            self.tenants.insert(stored.registration, submitted.tenant.as_str().into());
        }
    }

    /// Each with its span, which ends when it is stored.
    async fn notifications(&mut self, stored: &Stored) -> Result<Vec<(Notification, Span)>, PublishError> {
        if !told::is_told(stored) {
            return Ok(Vec::new());
        }
        let tenant = match self.tenant(stored).await {
            Ok(tenant) => tenant,
            Err(PublishError::Load(LoadError::Unavailable(error))) => return Err(LoadError::from(error).into()),
            Err(error) => {
                tracing::error!(sequence = stored.sequence, %error, "a history is broken; nobody is told of it");
                return Ok(Vec::new());
            }
        };
        if stored.record.events.iter().any(ends) {
            self.tenants.remove(&stored.registration);
        }
        Ok(told::of_registration(stored, &tenant))
    }

    async fn tenant(&self, stored: &Stored) -> Result<Arc<str>, PublishError> {
        if let Some(tenant) = self.tenants.get(&stored.registration) {
            return Ok(tenant.clone());
        }
        let history = self.log.load(stored.shard, stored.registration).await?;
        let registration = Registration::replay(&history)?.ok_or(HistoryError::NotSubmitted)?;
        Ok(registration.tenant.into())
    }
}

/// All that comes before `until`, or what comes next when that has passed; in as many pages as it takes, since who reads for itself
/// gets small ones.
async fn gather(follow: &mut dyn Follow, until: Instant) -> Result<Vec<FollowItem>, FollowError> {
    let mut items = Vec::new();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = if left.is_zero() { WAIT } else { left };
        items.append(&mut follow.next_page(RECORDS_MAX - items.len(), wait).await?.items);
        if items.len() >= RECORDS_MAX || Instant::now() >= until {
            return Ok(items);
        }
    }
}

const fn ends(event: &Event) -> bool {
    matches!(event, Event::RegistrationSucceeded(_) | Event::UserCompleted(_) | Event::Cancelled(_) | Event::Expired(_))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use std::collections::VecDeque;

    use bus::{FollowError, FollowItem, Page};

    use super::*;

    /// What comes, one message a page, each so many milliseconds after the one before.
    struct Trickle(VecDeque<u64>);

    #[async_trait::async_trait]
    impl Follow for Trickle {
        async fn next_page(&mut self, _: usize, max_wait: Duration) -> Result<Page, FollowError> {
            let wait = self.0.front().map_or(max_wait, |after| Duration::from_millis(*after));
            if wait >= max_wait {
                tokio::time::sleep(max_wait).await;
                self.0.iter_mut().take(1).for_each(|after| *after -= u64::try_from(max_wait.as_millis()).unwrap());
                return Ok(Page::default());
            }
            tokio::time::sleep(wait).await;
            self.0.pop_front();
            let item = FollowItem::Unreadable { sequence: 1, reason: String::new() };
            Ok(Page { items: vec![item], caught_up: true })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_record_after_silence_is_told_at_once() {
        let (mut follow, begun) = (Trickle([500, 5, 5].into()), Instant::now());
        assert_eq!(gather(&mut follow, begun).await.unwrap().len(), 1);
        assert_eq!(begun.elapsed().as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_publish_what_comes_meanwhile_is_told_together_in_however_small_pages_it_is_read() {
        let (mut follow, begun) = (Trickle(vec![0; 2_000].into()), Instant::now());
        follow.0.extend([20, 20, 30]);
        assert_eq!(gather(&mut follow, begun + GATHER).await.unwrap().len(), 2_002);
        assert_eq!(begun.elapsed(), GATHER);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_behind_does_not_wait_for_more() {
        let (mut follow, begun) = (Trickle(vec![0; 2 * RECORDS_MAX].into()), Instant::now());
        assert_eq!(gather(&mut follow, begun + GATHER).await.unwrap().len(), RECORDS_MAX);
        assert_eq!(begun.elapsed(), Duration::ZERO);
    }
}
