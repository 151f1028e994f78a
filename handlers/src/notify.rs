//! Notify: tells outside subscribers what became of a registration, each fact once, as CloudEvents JSON on the stream NOTIFY.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::{EventLog, FollowError, FollowItem, Lease, LoadError, Notification, NotifyError, NotifyLog};
use events::state::HistoryError;
use events::{Event, Registration, RegistrationId, Sequence, Stored, Timestamp};
use tokio_util::sync::CancellationToken;
use tracing::Span;

use crate::world::Clock;
use crate::{meters, told};

/// Records whose notifications are published together at most.
const RECORDS_MAX: usize = 4_096;
/// How long the first record is waited for.
const WAIT: Duration = Duration::from_secs(1);
/// So long after a publish what comes is left to gather for the next one: each costs the server a flush to disk that registrations
/// wait for.
const GATHER: Duration = Duration::from_millis(60);
/// Who tells of records of this age is behind, and does not wait for more.
const BEHIND: Duration = Duration::from_secs(1);
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
    clock: Clock,
    tenants: HashMap<RegistrationId, Arc<str>>,
    position: Sequence,
}

impl Notifier {
    /// A notifier between two streams; it is silent while another process holds the lease.
    #[must_use]
    pub fn new(log: Arc<dyn EventLog>, notify: Arc<NotifyLog>, lease: Lease, clock: Clock) -> Self {
        Self { log, notify, lease, clock, tenants: HashMap::new(), position: 0 }
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
        while self.lease.is_held() {
            let items = follow.next_page(RECORDS_MAX, WAIT).await?.items;
            let newest = items.iter().rev().find_map(written_at);
            if self.publish(items).await? && !is_behind(newest, (self.clock)()) {
                tokio::time::sleep(GATHER).await;
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

/// When a record was decided.
fn written_at(item: &FollowItem) -> Option<Timestamp> {
    match item {
        FollowItem::Record(stored) => Some(stored.record.at),
        FollowItem::Maker(stored) => Some(stored.record.at),
        FollowItem::Unreadable { .. } => None,
    }
}

/// Whether there is more to tell already, by the newest record that was told.
fn is_behind(newest: Option<Timestamp>, now: Timestamp) -> bool {
    newest.is_some_and(|newest| now.since(newest) >= BEHIND)
}

const fn ends(event: &Event) -> bool {
    matches!(event, Event::RegistrationSucceeded(_) | Event::UserCompleted(_) | Event::Cancelled(_) | Event::Expired(_))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_800_000_000_000_000);

    #[test]
    fn who_tells_what_has_just_been_written_waits_for_more() {
        assert!(!is_behind(Some(NOW), NOW.plus(BEHIND - Duration::from_millis(1))));
        // clocks of two machines
        assert!(!is_behind(Some(NOW.plus(BEHIND)), NOW));
    }

    #[test]
    fn who_tells_what_was_written_a_second_ago_does_not_wait() {
        assert!(is_behind(Some(NOW), NOW.plus(BEHIND)));
    }

    #[test]
    fn a_page_that_cannot_be_read_says_nothing_of_when_it_was_written() {
        let unreadable = FollowItem::Unreadable { sequence: 1, reason: String::new() };
        assert!(!is_behind(written_at(&unreadable), NOW));
    }
}
