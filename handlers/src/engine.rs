//! The engine: folds the log into the jobs that are open and the makers that guard them, and gives each job its turn.
//!
//! Every process folds; the one that holds the lease works. A registration is either idle here (in a line, or waiting for
//! a time) or with its driver; records that arrive meanwhile are laid aside and taken in when the driver comes back.

mod answers;
mod door;
mod makers;
mod slots;
mod snapshot;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bus::{Follow, FollowError, FollowItem, Page};
use connectors::Catalog;
use events::line::Ageing;
use events::{
    CheckResult, Event, Guards, MakerIndex, MakerPolicy, Registration, RegistrationId, Sequence, Shard, Stored,
    Timestamp,
};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

use answers::Question;
pub use answers::{EngineHandle, Explanation, MakerStatus, MethodStatus, Tried, WaitsFor};
use slots::{Slot, Slots};

use crate::another_try;
use crate::arrival::Arrival;
use crate::driver::Drove;
use crate::turns::{Turn, Turns};
use crate::world::World;

/// Records taken from the log at once.
const PAGE_RECORDS_MAX: usize = 1024;
/// How long a page waits for its first record.
const PAGE_WAIT: Duration = Duration::from_secs(1);
/// Pages read ahead of the fold.
const PAGES_AHEAD: usize = 4;
/// Pause of a registration whose log or store did not answer.
const STALL_PAUSE: Duration = Duration::from_secs(1);
/// Histories that are read anew at once.
const RELOADS_MAX: usize = 64;
/// Questions that may wait for an answer.
const QUESTIONS_MAX: usize = 256;

/// Bounds of the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Most API calls at once.
    pub api_concurrency: usize,
    /// Most forms at once.
    pub form_concurrency: usize,
    /// Most packets at once.
    pub manual_concurrency: usize,
    /// How those who wait long come to their turn.
    pub ageing: Ageing,
    /// How long a shutdown waits for what is under way.
    pub drain_timeout: Duration,
    /// After how long a snapshot is written, if there was anything; none is written or read when it is zero.
    pub snapshot_every: Duration,
}

/// What a task of the engine is about.
enum Task {
    /// A turn of a registration.
    Turn(Turn, Shard),
    /// A history that is read anew.
    Reload(Shard, RegistrationId),
    /// Something about a maker.
    Maker(MakerIndex),
}

/// The owner of all shards, or the one that stands by.
pub struct Engine {
    world: Arc<World>,
    options: EngineOptions,
    slots: Slots,
    turns: Turns,
    /// Asked for again in the past that is being folded.
    woken: HashMap<RegistrationId, Shard>,
    /// Histories that are read anew at this moment.
    reloads: usize,
    tasks: JoinSet<Drove>,
    under_way: HashMap<Id, Task>,
    position: Sequence,
    /// The log that was there at the start is folded.
    folded: bool,
    /// This process does the work: the lease is held, and all that was stored before that is folded.
    live: bool,
    live_since: Timestamp,
    makers: makers::Desk,
    questions: mpsc::Receiver<Question>,
    arrivals: mpsc::Receiver<Box<Arrival>>,
    door: door::Door,
    handle: EngineHandle,
    ready: watch::Sender<bool>,
    /// What a snapshot of the fold is kept by, if one is.
    keeper: Option<snapshot::Keeper>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[must_use]
    pub fn new(world: Arc<World>, options: EngineOptions) -> Self {
        let turns = Turns::new(Guards::new(policies(&world.catalog)), options.ageing);
        let (sender, questions) = mpsc::channel(QUESTIONS_MAX);
        let (door, arrivals) = mpsc::channel(door::ARRIVALS_MAX);
        Self {
            world,
            options,
            slots: Slots::default(),
            turns,
            woken: HashMap::new(),
            reloads: 0,
            tasks: JoinSet::new(),
            under_way: HashMap::new(),
            position: 0,
            folded: false,
            live: false,
            live_since: Timestamp::default(),
            makers: makers::Desk::default(),
            questions,
            arrivals,
            door: door::Door::default(),
            handle: EngineHandle::new(sender, door),
            ready: watch::Sender::new(false),
            keeper: None,
        }
    }

    /// Becomes true once the log that was there at the start is folded.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Where questions about the engine's state are asked.
    #[must_use]
    pub fn handle(&self) -> EngineHandle {
        self.handle.clone()
    }

    /// Folds and drives until `shutdown`; then waits for what is under way, as long as the options say.
    pub async fn run(mut self, follow: Box<dyn Follow>, shutdown: CancellationToken) {
        let mut reader = Reader::start(follow, &shutdown);
        let mut lease = self.world.lease.watch();
        lease.mark_changed();
        while !shutdown.is_cancelled() {
            let wake = self.time_to_wake();
            tokio::select! {
                page = reader.pages.recv() => match page {
                    Some(page) => self.on_page(page),
                    None => break,
                },
                Some(done) = self.tasks.join_next_with_id() => self.on_done(done),
                Some(question) = self.questions.recv() => self.answer(question),
                Some(arrival) = self.arrivals.recv() => self.door.arrive(arrival, self.world.now()),
                Ok(()) = lease.changed() => {
                    let held = *lease.borrow_and_update();
                    if !self.on_lease(held, &mut reader, &shutdown).await {
                        lease.mark_changed();
                    }
                }
                () = tokio::time::sleep(wake) => {}
                () = shutdown.cancelled() => break,
            }
            while let Some(done) = self.tasks.try_join_next_with_id() {
                self.on_done(done);
            }
            self.do_what_is_due();
            self.see_to_the_door();
            self.see_to_the_snapshot();
        }
        reader.task.abort();
        self.close_the_door();
        self.write_the_last_snapshot().await;
        self.drain().await;
    }

    /// The lease was taken or lost. Taken: what was stored before must be folded first, so the log is followed anew from
    /// here, and the first page that says "caught up" makes us live. False when that cannot be done yet.
    async fn on_lease(&mut self, held: bool, reader: &mut Reader, shutdown: &CancellationToken) -> bool {
        self.live = false;
        self.makers.taken_over = false;
        if !held {
            return true;
        }
        while let Ok(page) = reader.pages.try_recv() {
            self.on_page(page);
        }
        match self.world.log.follow(self.position + 1).await {
            Ok(follow) => {
                reader.task.abort();
                *reader = Reader::start(follow, shutdown);
                self.makers.taken_over = true;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "the log cannot be followed after the lease was taken, trying again");
                tokio::time::sleep(STALL_PAUSE).await;
                false
            }
        }
    }

    fn on_page(&mut self, page: Page) {
        if let Some(keeper) = &mut self.keeper {
            keeper.saw(&page.items);
        }
        for item in page.items {
            self.position = self.position.max(item.sequence());
            match item {
                FollowItem::Record(stored) => {
                    if let Some(maker) = self.turns.take(&stored) {
                        self.makers.restless.insert(maker);
                    }
                    self.on_record(stored);
                }
                FollowItem::Maker(stored) => {
                    let maker = self.turns.take_maker(&stored);
                    self.makers.restless.insert(maker);
                }
                FollowItem::Unreadable { sequence, reason } => {
                    tracing::error!(sequence, reason, "a message of the log cannot be read; it is passed over");
                    self.turns.pass_over(sequence);
                }
            }
        }
        self.handle.position.send_replace(self.position);
        self.slots.forget_resting(self.position);
        if page.caught_up {
            self.caught_up();
        }
    }

    fn caught_up(&mut self) {
        if !self.folded {
            self.folded = true;
            let open: Vec<RegistrationId> = self.slots.idle_ids();
            let behind = self.keeper.as_ref().map_or(0, snapshot::Keeper::began_behind);
            tracing::info!(behind, position = self.position, open = open.len(), "the engine has folded the log");
            open.into_iter().for_each(|id| self.reschedule(id));
            self.ready.send_replace(true);
        }
        if !self.live && self.makers.taken_over && self.world.lease.is_held() {
            self.live = true;
            self.live_since = self.world.now();
            self.makers.taken_over = false;
            self.makers.restless.extend(self.turns.guards.makers().map(|(index, _)| index));
            for (id, shard) in std::mem::take(&mut self.woken) {
                self.slots.alarm_at(self.live_since, id, shard);
            }
        }
    }

    pub(super) fn on_record(&mut self, stored: Arc<Stored>) {
        let id = stored.registration;
        self.let_go(&stored);
        match self.slots.get_mut(id) {
            Some(Slot::Driving(later)) => later.push(stored),
            Some(Slot::Idle(registration, _)) => match Arc::make_mut(registration).apply(&stored) {
                Ok(()) => self.reschedule(id),
                Err(error) => {
                    tracing::error!(%id, %error, "a record does not fit, reading its history anew");
                    self.reload(stored.shard, id);
                }
            },
            Some(Slot::Resting(last)) if stored.sequence <= *last => {}
            Some(Slot::Resting(_)) | None => self.on_new(&stored),
        }
    }

    /// A record of a registration that is not open: a new one, or one that somebody woke.
    fn on_new(&mut self, stored: &Stored) {
        if stored.record.previous.is_none() {
            match Registration::begin(stored) {
                Ok(registration) => self.schedule(registration),
                Err(error) => tracing::error!(id = %stored.registration, %error, "a registration is passed over"),
            }
        } else if stored.record.events.iter().any(wakes) {
            // while the past is folded it may have come to rest again since: looked at once, when the fold is done
            if self.live {
                self.reload(stored.shard, stored.registration);
            } else {
                self.woken.insert(stored.registration, stored.shard);
            }
        }
    }

    /// What is erased wakes nobody at the next start; and a key that another process destroyed goes from this one's memory.
    fn let_go(&mut self, stored: &Stored) {
        for event in &stored.record.events {
            if let Event::PersonErased(erased) = event {
                self.woken.remove(&stored.registration);
                erased.keys.iter().for_each(|key| self.world.keys.let_go(*key));
            }
        }
    }

    /// Whether this process may begin anything at this moment. A lease that ran out for a moment and that nobody else took
    /// is ours again by the next sign of life.
    fn works(&self) -> bool {
        self.live && self.world.lease.is_held()
    }

    fn time_to_wake(&self) -> Duration {
        let now = self.world.now();
        let timed = self.slots.next_wake();
        let alarm = self.slots.next_alarm().filter(|_| self.reloads < RELOADS_MAX);
        let work = [alarm, self.next_of_makers(now), self.turns.next_opening(now)];
        let timed = timed.into_iter().chain(self.door.next_wake()).min();
        let next = if self.works() { work.into_iter().chain([timed]).flatten().min() } else { timed };
        next.map_or(PAGE_WAIT, |at| at.since(now).min(PAGE_WAIT))
    }

    async fn drain(mut self) {
        let under_way = self.tasks.len();
        if under_way > 0 {
            tracing::info!(under_way, waiting = self.turns.len(), "finishing what is under way");
        }
        let all = async {
            while let Some(done) = self.tasks.join_next().await {
                // nothing begins any more, but what came of an attempt is stored
                if let Ok(Drove::MayTryAgain(registration, next)) = done {
                    self.tasks.spawn(another_try::give_way(self.world.clone(), registration, next));
                }
            }
        };
        if tokio::time::timeout(self.options.drain_timeout, all).await.is_err() {
            tracing::warn!("some attempts did not end in time; the log keeps them for the next start");
        }
    }
}

/// How each maker of the catalog is treated.
fn policies(catalog: &Catalog) -> impl Iterator<Item = (&str, MakerPolicy)> {
    catalog.iter().map(|connector| (connector.id(), connector.policy().clone()))
}

/// Whether it gives one that rests something to do.
const fn wakes(event: &Event) -> bool {
    matches!(event, Event::RetryRequested(_) | Event::PersonForgotten(_))
}

/// Reads pages ahead of the fold.
struct Reader {
    pages: mpsc::Receiver<Page>,
    task: JoinHandle<()>,
}

impl Reader {
    fn start(follow: Box<dyn Follow>, shutdown: &CancellationToken) -> Self {
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        Self { pages, task: tokio::spawn(read_pages(follow, sender, shutdown.clone())) }
    }
}

async fn read_pages(mut follow: Box<dyn Follow>, sender: mpsc::Sender<Page>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match follow.next_page(PAGE_RECORDS_MAX, PAGE_WAIT).await {
            Ok(page) => {
                if sender.send(page).await.is_err() {
                    return;
                }
            }
            Err(FollowError::Unavailable(error)) => {
                tracing::warn!(%error, "the log cannot be followed, trying again soon");
                tokio::time::sleep(STALL_PAUSE).await;
            }
            Err(error @ (FollowError::Rewound { .. } | FollowError::Replaced)) => {
                tracing::error!(%error, "the log is not the one that was read before; the engine stops");
                return;
            }
        }
    }
}

type Checks = (Option<CheckResult>, Option<CheckResult>);
type MakerSet = HashSet<MakerIndex>;
