//! A snapshot of the fold, written now and then and at a clean stop: a start folds only what came behind it.
//!
//! It is a cache (decision 20). In doubt it is set aside and the log is folded from its beginning. Nothing is copied while
//! the engine stands still for it: what waits is shared with whoever writes it, and copied only when it moves meanwhile.

mod file;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bus::{Follow, FollowError, FollowItem, Page};
use connectors::Catalog;
use events::snapshot::{Origin, Rules};
use events::{Link, RegistrationId, Sequence, Shard, Snapshot, Timestamp};
use jiff::civil::{Date, date};
use tokio::sync::oneshot::{self, error::TryRecvError};

use self::file::{NotUsed, NotWritten};
use super::{Engine, EngineOptions, PAGE_RECORDS_MAX, PAGE_WAIT, Task, policies};
use crate::turns::Turns;
use crate::world::World;

/// After so many records a snapshot is written; half a second to fold.
const EVERY_RECORDS: usize = 100_000;
/// The pause after one that could not be written.
const FAILED_PAUSE: Duration = Duration::from_secs(60);
/// The pause after one was written, in times that writing it took: a large one must not be all that the disk does.
const PAUSE_TIMES: u32 = 20;
/// With more open registrations none is written: sharing them would hold up the engine for too long.
const OPEN_MAX: usize = 500_000;
/// How long a stop waits for the last one.
const LAST_WITHIN: Duration = Duration::from_secs(10);
/// Pages, each of a second at most, in which the record that a snapshot ends with must come.
const CHECK_PAGES_MAX: usize = 10;
/// Any day: what a connector's file says about last days shows by it.
const SOME_DAY: Date = date(2026, 1, 1);

/// What is known of the snapshot on disk and of the next one.
pub(super) struct Keeper {
    path: PathBuf,
    incarnation: i64,
    rules: Rules,
    /// After this time one is written if there was any record.
    every: Duration,
    /// Where this process began to fold.
    began_behind: Sequence,
    /// The last record that is folded; messages that are no records do not count.
    seen: Option<Link>,
    /// Records that are folded and not in a snapshot.
    news: usize,
    /// When the one before was taken.
    taken_at: Timestamp,
    /// No other is taken before.
    not_before: Timestamp,
    /// The one that is being written.
    writing: Option<oneshot::Receiver<Result<u64, NotWritten>>>,
    /// It was said that it is too large.
    told: bool,
}

impl Keeper {
    async fn new(world: &World, path: PathBuf, every: Duration) -> Result<Self, FollowError> {
        let now = world.now();
        Ok(Self {
            path,
            incarnation: world.log.head().await?.incarnation.0,
            rules: rules(&world.catalog),
            every,
            began_behind: 0,
            seen: None,
            news: 0,
            taken_at: now,
            not_before: now,
            writing: None,
            told: false,
        })
    }

    /// Where the fold of this process began: behind the snapshot, or at 0.
    pub(super) const fn began_behind(&self) -> Sequence {
        self.began_behind
    }

    /// What is about to be folded.
    pub(super) fn saw(&mut self, items: &[FollowItem]) {
        self.news += items.len();
        if let Some(link) = items.iter().rev().find_map(link_of) {
            self.seen = Some(link);
        }
    }

    fn is_due(&self, now: Timestamp) -> bool {
        let enough = self.news >= EVERY_RECORDS || now.since(self.taken_at) >= self.every;
        self.news > 0 && enough && self.writing.is_none() && now >= self.not_before
    }

    /// Learns what became of the one that was being written.
    fn look(&mut self, now: Timestamp) {
        let result = match self.writing.as_mut().map(oneshot::Receiver::try_recv) {
            None | Some(Err(TryRecvError::Empty)) => return,
            Some(Ok(result)) => result,
            Some(Err(TryRecvError::Closed)) => Err(NotWritten::Lost),
        };
        self.writing = None;
        self.not_before = now.plus(now.since(self.taken_at) * PAUSE_TIMES);
        self.tell(result);
    }

    fn tell(&mut self, result: Result<u64, NotWritten>) {
        match result {
            Ok(bytes) => {
                self.told = false;
                tracing::debug!(bytes, "a snapshot of the engine is written");
            }
            // once, not each minute; the next start is slower, and that is all
            Err(error) if !std::mem::replace(&mut self.told, true) => {
                tracing::warn!(%error, "no snapshot of the engine is written; the next start folds more of the log");
            }
            Err(_) => {}
        }
    }

    fn begin(&mut self, snapshot: Result<Snapshot, NotWritten>, now: Timestamp) {
        (self.news, self.taken_at) = (0, now);
        match snapshot {
            Ok(snapshot) => self.writing = Some(file::write(self.path.clone(), snapshot)),
            Err(error) => {
                self.not_before = now.plus(FAILED_PAUSE);
                self.tell(Err(error));
            }
        }
    }

    async fn end(&mut self) {
        let Some(writing) = self.writing.take() else { return };
        let ended = tokio::time::timeout(LAST_WITHIN, writing).await;
        self.tell(ended.map_or(Err(NotWritten::Lost), |result| result.unwrap_or(Err(NotWritten::Lost))));
    }

    /// The snapshot on disk, and what came behind it, if the log is the one that it was folded from.
    async fn find(&self, world: &World) -> Result<Option<(Snapshot, Page, Box<dyn Follow>)>, FollowError> {
        let wanted = (self.incarnation, self.rules);
        let read = match file::read(self.path.clone(), wanted, policies(&world.catalog)).await {
            Ok(Some(snapshot)) => behind(world, snapshot.origin.last).await?.map(|(page, on)| (snapshot, page, on)),
            Ok(None) => return Ok(None),
            Err(why) => Err(why),
        };
        match read {
            Ok(found) => Ok(Some(found)),
            Err(why) => {
                let aside = file::set_aside(&self.path);
                let path = aside.map(|path| path.display().to_string()).unwrap_or_default();
                tracing::warn!(path, %why, "the engine's snapshot is set aside; the log is folded from its beginning");
                Ok(None)
            }
        }
    }
}

/// What the log holds behind `last`, if it holds that record.
async fn behind(world: &World, last: Link) -> Result<Result<(Page, Box<dyn Follow>), NotUsed>, FollowError> {
    let other = NotUsed::OtherRecord { sequence: last.sequence };
    let mut follow = match world.log.follow(last.sequence).await {
        Ok(follow) => follow,
        Err(error @ FollowError::Unavailable(_)) => return Err(error),
        Err(FollowError::Rewound { .. } | FollowError::Replaced) => return Ok(Err(other)),
    };
    for _ in 0..CHECK_PAGES_MAX {
        let mut page = match follow.next_page(PAGE_RECORDS_MAX, PAGE_WAIT).await {
            Ok(page) => page,
            Err(error @ FollowError::Unavailable(_)) => return Err(error),
            Err(FollowError::Rewound { .. } | FollowError::Replaced) => return Ok(Err(other)),
        };
        match page.items.first().map(link_of) {
            Some(link) if link == Some(last) => {
                page.items.remove(0);
                return Ok(Ok((page, follow)));
            }
            Some(_) => return Ok(Err(other)),
            None if page.caught_up => return Ok(Err(other)),
            None => {}
        }
    }
    Ok(Err(other))
}

fn link_of(item: &FollowItem) -> Option<Link> {
    match item {
        FollowItem::Record(stored) => Some(stored.link()),
        FollowItem::Maker(stored) => Some(stored.link()),
        FollowItem::Unreadable { .. } => None,
    }
}

/// What decides, besides the log, which registrations are open and when those at rest wake: the program, the ladders and
/// last days of the catalog; and by which limits and circuits attempts are counted.
fn rules(catalog: &Catalog) -> Rules {
    let mut spelt = format!("{:?}", file::program());
    for connector in catalog.iter() {
        let (policy, deadline) = (connector.policy(), connector.deadline(SOME_DAY));
        let of_last_day = (connector.deadline_rule(), deadline);
        let of_maker = (connector.ladder(), &policy.circuit, &policy.limits);
        // a String takes everything
        let _ = write!(spelt, "\n{} {} {of_maker:?} {of_last_day:?}", connector.id(), connector.is_generic());
    }
    Rules::of(&spelt)
}

impl Engine {
    /// An engine that goes on from the snapshot at `path` where that may be used, and what it is to follow.
    ///
    /// # Errors
    /// [`FollowError`] when the log cannot be followed.
    pub async fn resume(
        world: Arc<World>,
        options: EngineOptions,
        path: PathBuf,
    ) -> Result<(Self, Box<dyn Follow>), FollowError> {
        if options.snapshot_every.is_zero() {
            let follow = world.log.follow(0).await?;
            return Ok((Self::new(world, options), follow));
        }
        let keeper = Keeper::new(&world, path, options.snapshot_every).await?;
        let found = keeper.find(&world).await?;
        let mut engine = Self::new(world, options);
        engine.keeper = Some(keeper);
        let follow = match found {
            Some((snapshot, page, follow)) => {
                engine.restore(snapshot);
                engine.on_page(page);
                follow
            }
            None => engine.world.log.follow(0).await?,
        };
        Ok((engine, follow))
    }

    fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { origin, guards, open, to_be_read, alarms } = snapshot;
        let position = origin.last.sequence;
        tracing::info!(position, open = open.len(), "the engine goes on from its snapshot");
        self.turns = Turns::new(guards, self.options.ageing);
        self.turns.pass_over(position);
        self.position = position;
        self.handle.position.send_replace(position);
        if let Some(keeper) = &mut self.keeper {
            (keeper.began_behind, keeper.seen) = (position, Some(origin.last));
        }
        alarms.into_iter().for_each(|(at, id, shard)| self.slots.alarm_at(at, id, shard));
        self.woken.extend(to_be_read);
        open.into_iter().for_each(|registration| self.schedule(Arc::unwrap_or_clone(registration)));
    }

    pub(super) fn see_to_the_snapshot(&mut self) {
        let now = self.world.now();
        let Some(keeper) = &mut self.keeper else { return };
        keeper.look(now);
        if self.folded && keeper.is_due(now) {
            self.write_a_snapshot(now);
        }
    }

    /// What was stored by those that are still under way is folded at the next start.
    pub(super) async fn write_the_last_snapshot(&mut self) {
        let now = self.world.now();
        let Some(keeper) = &mut self.keeper else { return };
        keeper.end().await;
        if self.folded && keeper.news > 0 {
            self.write_a_snapshot(now);
        }
        if let Some(keeper) = &mut self.keeper {
            keeper.end().await;
        }
    }

    fn write_a_snapshot(&mut self, now: Timestamp) {
        let origin = self.keeper.as_ref().and_then(|keeper| {
            Some(Origin { incarnation: keeper.incarnation, rules: keeper.rules, last: keeper.seen? })
        });
        let Some(origin) = origin else { return };
        let snapshot = if self.slots.len() > OPEN_MAX { Err(NotWritten::TooMany) } else { Ok(self.snapshot(origin)) };
        if let Some(keeper) = &mut self.keeper {
            keeper.begin(snapshot, now);
        }
    }

    /// The fold up to `origin`. Whoever is with its driver, or was brought further by it than the fold has come, is read
    /// anew at the start, as after a crash.
    fn snapshot(&self, origin: Origin) -> Snapshot {
        let mut open = Vec::with_capacity(self.slots.len());
        let mut to_be_read: Vec<(RegistrationId, Shard)> = Vec::new();
        for registration in self.slots.idle() {
            if registration.last.sequence <= origin.last.sequence {
                open.push(Arc::clone(registration));
            } else {
                to_be_read.push((registration.id, registration.shard));
            }
        }
        to_be_read.extend(self.under_way.values().filter_map(whose));
        to_be_read.extend(self.slots.resting());
        to_be_read.extend(self.woken.iter().map(|(id, shard)| (*id, *shard)));
        let (guards, alarms) = (self.turns.guards.clone(), self.slots.alarms());
        Snapshot { origin, guards, open, to_be_read, alarms }
    }
}

fn whose(task: &Task) -> Option<(RegistrationId, Shard)> {
    match task {
        Task::Turn(turn, shard) => Some((turn.id, *shard)),
        Task::Reload(shard, id) => Some((*id, *shard)),
        Task::Maker(_) => None,
    }
}
