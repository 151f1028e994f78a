//! The engine: folds the log into the jobs that are open, and gives each its turn.
//!
//! One process owns all shards. A registration is either idle here (in a queue, or waiting for a time) or with its
//! driver; records that arrive meanwhile are laid aside and taken in when the driver comes back.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bus::{Follow, FollowError, FollowItem, LoadError, Page};
use events::{Event, Registration, RegistrationId, Sequence, Shard, Step, Stored, Timestamp};
use tokio::sync::{mpsc, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::driver::{self, Drove};
use crate::journal::{self, JournalError};
use crate::queue::{Lane, Place, Queue};
use crate::world::World;

/// Records taken from the log at once.
const PAGE_RECORDS_MAX: usize = 1024;
/// How long a page waits for its first record.
const PAGE_WAIT: Duration = Duration::from_secs(1);
/// Pages read ahead of the fold.
const PAGES_AHEAD: usize = 4;
/// Pause of a registration whose log or store did not answer.
const STALL_PAUSE: Duration = Duration::from_secs(1);

/// Bounds of the engine.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// Most API calls at once.
    pub api_concurrency: usize,
    /// Most forms at once.
    pub form_concurrency: usize,
    /// Most packets at once.
    pub manual_concurrency: usize,
    /// How long a shutdown waits for what is under way.
    pub drain_timeout: Duration,
}

/// Where one open registration is.
enum Slot {
    /// In a queue, or waiting for a time.
    Idle(Box<Registration>),
    /// With its driver; what the log says meanwhile.
    Driving(Vec<Stored>),
    /// Came to rest at this sequence, which the fold has not seen yet.
    Resting(Sequence),
}

/// The owner of all shards.
pub struct Engine {
    world: Arc<World>,
    options: EngineOptions,
    slots: HashMap<RegistrationId, Slot>,
    resting: VecDeque<(Sequence, RegistrationId)>,
    queue: Queue,
    /// Asked for again in the past that is being folded.
    woken: HashMap<RegistrationId, Shard>,
    /// Nothing in place of the lane stands for a history that is read anew.
    busy: HashMap<Id, (Option<Lane>, Shard, RegistrationId)>,
    drivers: JoinSet<Drove>,
    position: Sequence,
    live: bool,
    ready: watch::Sender<bool>,
}

impl Engine {
    /// An engine that has seen nothing yet.
    #[must_use]
    pub fn new(world: Arc<World>, options: EngineOptions) -> Self {
        Self {
            world,
            options,
            slots: HashMap::new(),
            resting: VecDeque::new(),
            queue: Queue::default(),
            woken: HashMap::new(),
            busy: HashMap::new(),
            drivers: JoinSet::new(),
            position: 0,
            live: false,
            ready: watch::Sender::new(false),
        }
    }

    /// Becomes true once the log that was there at the start is folded.
    #[must_use]
    pub fn ready(&self) -> watch::Receiver<bool> {
        self.ready.subscribe()
    }

    /// Folds and drives until `shutdown`; then waits for what is under way, as long as the options say.
    pub async fn run(mut self, follow: Box<dyn Follow>, shutdown: CancellationToken) {
        let (sender, mut pages) = mpsc::channel(PAGES_AHEAD);
        let reader = tokio::spawn(read_pages(follow, sender, shutdown.clone()));
        while !shutdown.is_cancelled() {
            let wake = self.time_to_wake();
            tokio::select! {
                page = pages.recv() => match page {
                    Some(page) => self.on_page(page),
                    None => break,
                },
                Some(done) = self.drivers.join_next_with_id() => self.on_drove(done),
                () = tokio::time::sleep(wake) => {}
                () = shutdown.cancelled() => break,
            }
            while let Some(done) = self.drivers.try_join_next_with_id() {
                self.on_drove(done);
            }
            self.start_what_may();
        }
        reader.abort();
        self.drain().await;
    }

    fn on_page(&mut self, page: Page) {
        for item in page.items {
            match item {
                FollowItem::Record(stored) => {
                    self.position = stored.sequence;
                    self.on_record(stored);
                }
                FollowItem::Unreadable { sequence, reason } => {
                    tracing::error!(sequence, reason, "a message of the log cannot be read; it is passed over");
                    self.position = sequence;
                }
            }
        }
        while self.resting.front().is_some_and(|(sequence, _)| *sequence <= self.position) {
            self.forget_oldest_resting();
        }
        if page.caught_up && !self.live {
            self.go_live();
        }
    }

    fn forget_oldest_resting(&mut self) {
        if let Some((sequence, id)) = self.resting.pop_front()
            && matches!(self.slots.get(&id), Some(Slot::Resting(last)) if *last <= sequence)
        {
            self.slots.remove(&id);
        }
    }

    fn go_live(&mut self) {
        self.live = true;
        let open: Vec<RegistrationId> = self.slots.keys().copied().collect();
        tracing::info!(position = self.position, open = open.len(), "the engine has folded the log");
        for id in open {
            self.reschedule(id);
        }
        for (id, shard) in std::mem::take(&mut self.woken) {
            if !self.slots.contains_key(&id) {
                self.reload(shard, id);
            }
        }
        self.ready.send_replace(true);
    }

    fn on_record(&mut self, stored: Stored) {
        match self.slots.get_mut(&stored.registration) {
            Some(Slot::Driving(later)) => later.push(stored),
            Some(Slot::Idle(registration)) => match registration.apply(&stored) {
                Ok(()) => self.reschedule(stored.registration),
                Err(error) => {
                    tracing::error!(id = %stored.registration, %error, "a record does not fit, reading its history anew");
                    self.reload(stored.shard, stored.registration);
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
        } else if stored.record.events.iter().any(|event| matches!(event, Event::RetryRequested(_))) {
            // while the past is folded it may have come to rest again since: looked at once, when the fold is done
            if self.live {
                self.reload(stored.shard, stored.registration);
            } else {
                self.woken.insert(stored.registration, stored.shard);
            }
        }
    }

    fn reschedule(&mut self, id: RegistrationId) {
        match self.slots.remove(&id) {
            Some(Slot::Idle(registration)) => self.schedule(*registration),
            Some(other) => drop(self.slots.insert(id, other)),
            None => {}
        }
    }

    /// Puts it where its next step waits, or lets go of it when there is none.
    fn schedule(&mut self, registration: Registration) {
        let step = driver::next(&self.world, &registration);
        let id = registration.id;
        match (driver::lane(&registration, step), step) {
            (Some(lane), _) if self.live => {
                let (class, since) = (registration.priority.number(), registration.last.sequence);
                self.queue.push(lane, Place { class, since, id });
            }
            (Some(_), _) => {}
            (None, Step::WaitUntil(at)) => self.queue.wake_at(at, id),
            (None, _) => return self.let_rest(id, registration.last.sequence),
        }
        self.slots.insert(id, Slot::Idle(Box::new(registration)));
    }

    fn let_rest(&mut self, id: RegistrationId, last: Sequence) {
        if last > self.position {
            self.slots.insert(id, Slot::Resting(last));
            self.resting.push_back((last, id));
        } else {
            self.slots.remove(&id);
        }
    }

    fn start_what_may(&mut self) {
        if !self.live {
            return;
        }
        let now = self.world.now();
        while let Some(id) = self.queue.pop_due(now) {
            self.reschedule(id);
        }
        for lane in Lane::ALL {
            let busy = self.busy.values().filter(|(busy, ..)| *busy == Some(lane)).count();
            for _ in busy..self.bound(lane) {
                let Some(place) = self.queue.pop(lane) else { break };
                self.start(lane, place.id);
            }
        }
    }

    const fn bound(&self, lane: Lane) -> usize {
        match lane {
            Lane::Api => self.options.api_concurrency,
            Lane::Form => self.options.form_concurrency,
            Lane::Manual => self.options.manual_concurrency,
        }
    }

    fn start(&mut self, lane: Lane, id: RegistrationId) {
        match self.slots.remove(&id) {
            Some(Slot::Idle(registration)) => {
                let shard = registration.shard;
                let task = self.drivers.spawn(driver::drive(self.world.clone(), *registration, lane));
                self.busy.insert(task.id(), (Some(lane), shard, id));
                self.slots.insert(id, Slot::Driving(Vec::new()));
            }
            Some(other) => drop(self.slots.insert(id, other)),
            None => {}
        }
    }

    /// Reads its history anew; the result comes back as a driver's does, but takes nobody's turn.
    fn reload(&mut self, shard: Shard, id: RegistrationId) {
        let task = self.drivers.spawn(read_anew(self.world.clone(), shard, id));
        self.busy.insert(task.id(), (None, shard, id));
        self.slots.insert(id, Slot::Driving(Vec::new()));
    }

    fn on_drove(&mut self, done: Result<(Id, Drove), JoinError>) {
        match done {
            Ok((task, Drove::Done(registration))) => {
                self.busy.remove(&task);
                let registration = self.take_in_later(registration);
                self.schedule(registration);
            }
            Ok((task, Drove::Stalled(registration))) => {
                self.busy.remove(&task);
                let registration = self.take_in_later(registration);
                self.queue.wake_at(self.world.now().plus(STALL_PAUSE), registration.id);
                self.slots.insert(registration.id, Slot::Idle(Box::new(registration)));
            }
            Ok((task, Drove::Unreadable(id))) => {
                self.busy.remove(&task);
                self.slots.remove(&id);
            }
            Err(error) => {
                let lost = self.busy.remove(&error.id());
                tracing::error!(%error, "a driver ended early");
                if let Some((_, shard, id)) = lost {
                    self.reload(shard, id);
                }
            }
        }
    }

    fn take_in_later(&mut self, mut registration: Registration) -> Registration {
        if let Some(Slot::Driving(later)) = self.slots.remove(&registration.id) {
            for stored in later {
                if let Err(error) = registration.apply(&stored) {
                    tracing::error!(id = %registration.id, %error, "a record does not fit");
                }
            }
        }
        registration
    }

    fn time_to_wake(&self) -> Duration {
        let now: Timestamp = self.world.now();
        self.queue.next_wake().map_or(PAGE_WAIT, |at| at.since(now).min(PAGE_WAIT))
    }

    async fn drain(mut self) {
        let under_way = self.drivers.len();
        if under_way > 0 {
            tracing::info!(under_way, waiting = self.queue.ready(), "finishing what is under way");
        }
        let all = async { while self.drivers.join_next().await.is_some() {} };
        if tokio::time::timeout(self.options.drain_timeout, all).await.is_err() {
            tracing::warn!("some attempts did not end in time; the log keeps them for the next start");
        }
    }
}

/// Waits for the log as long as it is away; a history that cannot be right is left alone and reported.
async fn read_anew(world: Arc<World>, shard: Shard, id: RegistrationId) -> Drove {
    loop {
        match journal::load(&world, shard, id).await {
            Ok(registration) => return Drove::Done(registration),
            Err(JournalError::Load(LoadError::Unavailable(error))) => {
                tracing::warn!(%id, %error, "a history cannot be read, trying again soon");
            }
            Err(error) => {
                tracing::error!(%id, %error, "a history is broken; this registration is left alone");
                return Drove::Unreadable(id);
            }
        }
        tokio::time::sleep(STALL_PAUSE).await;
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
