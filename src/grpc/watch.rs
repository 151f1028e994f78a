//! Watch: a stream of updates that leaves nothing out; what a slow reader missed is read again from the log.

use std::sync::Arc;

use bus::{EventLog, FollowItem};
use connectors::Catalog;
use events::{Event, RegistrationId, Sequence, Stored};
use projections::{Row, Update};
use proto::v1;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tonic::{Code, Status};

use super::views::{self, CATCH_UP_TIMEOUT, Views};
use super::{audit, errors, wire};
use crate::access::Sight;

/// Records read from the log at once.
const PAGE_RECORDS_MAX: usize = 512;

/// What a watcher is sent through.
pub type Updates = mpsc::Sender<Result<v1::Update, Status>>;

/// One watcher's task.
pub struct Watcher {
    pub views: Arc<Views>,
    pub log: Arc<dyn EventLog>,
    pub catalog: Arc<Catalog>,
    pub wanted: Wanted,
    /// What the watcher sees at all.
    pub sight: Sight,
    /// Everything after this is sent.
    pub after: Sequence,
    pub updates: Updates,
    /// Readers of the past take turns: each reads the records of everybody.
    pub past: Arc<Semaphore>,
}

/// Which registrations a watcher is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    All,
    One(RegistrationId),
    /// Those of an owner, by pseudonym.
    Owner([u8; 16]),
}

impl Wanted {
    fn holds(self, row: &Row) -> bool {
        match self {
            Self::All => true,
            Self::One(id) => row.registration.id == id,
            Self::Owner(owner) => row.registration.owner_ref == owner,
        }
    }
}

/// The reader has left, or an error was sent: nothing more to do.
struct Over;

impl Watcher {
    /// Sends until the reader leaves.
    pub async fn run(mut self) {
        let view = self.views.status.clone();
        let Ok(mut live) = tokio::task::spawn_blocking(move || view.updates()).await else { return };
        let reader = self.updates.clone();
        tokio::select! {
            () = self.follow(&mut live) => {}
            () = reader.closed() => {}
        }
    }

    fn holds(&self, row: &Row) -> bool {
        self.wanted.holds(row) && views::sees(&self.sight, row)
    }

    async fn follow(&mut self, live: &mut Receiver<Arc<Update>>) {
        while self.catch_up().await.is_ok() {
            loop {
                match live.recv().await {
                    Ok(update) if update.sequence <= self.after => {}
                    Ok(update) if !self.holds(&update.row) => self.after = update.sequence,
                    Ok(update) => {
                        let row = wire::row(&update.row, &self.catalog);
                        if self.send(update.sequence, row, &update.events).await.is_err() {
                            return;
                        }
                    }
                    Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }

    /// What the view has taken in and the watcher has not seen, from the log.
    async fn catch_up(&mut self) -> Result<(), Over> {
        let upto = self.views.status.position();
        if self.after >= upto {
            return Ok(());
        }
        match self.wanted {
            Wanted::One(id) => self.catch_up_one(id, upto).await,
            Wanted::All | Wanted::Owner(_) => self.catch_up_all(upto).await,
        }
    }

    async fn catch_up_one(&mut self, id: RegistrationId, upto: Sequence) -> Result<(), Over> {
        let Some(shard) = self.views.shard_of(id).ok().flatten() else { return Ok(()) };
        let history = match self.log.load(shard, id).await {
            Ok(history) => history,
            Err(error) => return self.fail(errors::of_journal(&error.into())).await,
        };
        for stored in history.iter().filter(|stored| stored.sequence <= upto) {
            self.send_stored(stored).await?;
        }
        Ok(())
    }

    async fn catch_up_all(&mut self, upto: Sequence) -> Result<(), Over> {
        let mut follow = match self.log.follow(self.after + 1).await {
            Ok(follow) => follow,
            Err(error) => return self.fail(unavailable(&error)).await,
        };
        while self.after < upto {
            // given back before a slow reader is waited for; never closed
            let turn = self.past.acquire().await;
            let page = follow.next_page(PAGE_RECORDS_MAX, CATCH_UP_TIMEOUT).await;
            drop(turn);
            let page = match page {
                Ok(page) => page,
                Err(error) => return self.fail(unavailable(&error)).await,
            };
            for item in page.items.into_iter().take_while(|item| item.sequence() <= upto) {
                let sequence = item.sequence();
                match item {
                    FollowItem::Record(stored) => self.send_stored(&stored).await?,
                    FollowItem::Maker(_) | FollowItem::Unreadable { .. } => {
                        self.after = sequence;
                    }
                }
            }
        }
        Ok(())
    }

    /// A record from the log with the registration as the view has it now, which may be newer.
    async fn send_stored(&mut self, stored: &Stored) -> Result<(), Over> {
        if stored.sequence <= self.after {
            return Ok(());
        }
        match self.views.row(stored.registration, stored.sequence).await {
            Ok(Some(row)) if !self.holds(&row) => {
                self.after = stored.sequence;
                Ok(())
            }
            Ok(Some(row)) => {
                let row = wire::row(&row, &self.catalog);
                self.send(stored.sequence, row, &stored.record.events).await
            }
            Ok(None) => Ok(()),
            Err(status) => self.fail(status).await,
        }
    }

    async fn send(&mut self, sequence: Sequence, registration: v1::Registration, events: &[Event]) -> Result<(), Over> {
        self.after = sequence;
        let events = events.iter().map(audit::event).collect();
        let update = v1::Update { sequence, registration: Some(registration), events };
        self.updates.send(Ok(update)).await.map_err(|_| Over)
    }

    async fn fail(&self, status: Status) -> Result<(), Over> {
        // fails only when the reader has left
        drop(self.updates.send(Err(status)).await);
        Err(Over)
    }
}

fn unavailable(error: &bus::FollowError) -> Status {
    errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", error.to_string())
}
