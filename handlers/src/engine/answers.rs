//! Answers: what one registration waits for, and how the makers are doing, as the engine knows it at this moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bus::AppendError;
use events::bucket::Level;
use events::circuit::CircuitView;
use events::maker::{GUARDED, Maker, Pause};
use events::vitals::{Incident, LastHour, Raised};
use events::{
    Admission, AlertKind, Details, HealthState, Link, Method, Priority, Record, Registration, RegistrationId, Sequence,
    Shard, Stage, Timestamp,
};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot, watch};
use tracing::Span;

use super::{Engine, Slot};
use crate::arrival::{self, Arrival, Arrived};
use crate::driver;
use crate::journal::JournalError;
use crate::turns::{Closed, LineKey, Place, opens_at};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long an operator waits until the engine knows what they want.
const OBEY_TIMEOUT: Duration = Duration::from_secs(2);

/// Where questions are asked; cheap to clone.
#[derive(Debug, Clone)]
pub struct EngineHandle {
    pub(super) questions: mpsc::Sender<Question>,
    pub(super) position: Arc<watch::Sender<Sequence>>,
    /// Where registrations come in that may be let through at once.
    door: mpsc::Sender<Box<Arrival>>,
    /// Whether there is a place for one, now or soon.
    room: Arc<AtomicBool>,
}

/// A question and where its answer goes.
#[derive(Debug)]
pub(super) enum Question {
    Explain(RegistrationId, oneshot::Sender<Option<WaitsFor>>),
    Makers(oneshot::Sender<Vec<MakerStatus>>),
}

impl EngineHandle {
    pub(super) fn new(questions: mpsc::Sender<Question>, door: mpsc::Sender<Box<Arrival>>) -> Self {
        Self { questions, position: Arc::default(), door, room: Arc::default() }
    }

    /// Stores a registration and begins its first attempt in one record, if its turn comes at once.
    pub(crate) async fn arrive(
        &self,
        place: (Shard, RegistrationId),
        record: Record,
        details: &Details,
        span: Span,
    ) -> Result<Arrived, JournalError> {
        if !self.room.load(Ordering::Relaxed) {
            return Ok(Arrived::MustWait(Box::new(record), span));
        }
        let (registration, record) = arrival::expected(place, record)?;
        let (sender, answer) = oneshot::channel();
        let arrival = Box::new(Arrival { registration, record, details: details.clone(), span, answer: sender });
        match self.door.try_send(arrival) {
            // dropped only when the engine ends, with what was on its way: it is stored, or it is not
            Ok(()) => Ok(answer.await.map_err(|_| JournalError::Append(AppendError::Unknown))?),
            Err(TrySendError::Full(back) | TrySendError::Closed(back)) => {
                Ok(Arrived::MustWait(Box::new(back.record), back.span))
            }
        }
    }

    pub(super) fn tell_room(&self, room: bool) {
        self.room.store(room, Ordering::Relaxed);
    }

    /// What an open registration waits for; nothing when the engine does not have it, because it rests.
    ///
    /// Nothing as well when the engine has ended or does not answer in time.
    pub async fn explain(&self, id: RegistrationId) -> Option<WaitsFor> {
        self.ask(|answer| Question::Explain(id, answer)).await.flatten()
    }

    /// How the makers are doing, by their connectors' names.
    pub async fn makers(&self) -> Vec<MakerStatus> {
        self.ask(Question::Makers).await.unwrap_or_default()
    }

    /// The last place of the log that the engine has folded.
    #[must_use]
    pub fn position(&self) -> Sequence {
        *self.position.borrow()
    }

    /// Waits until the engine has folded a place of the log, at most [`OBEY_TIMEOUT`]: what was decided there holds from then on
    /// for everybody who arrives.
    pub async fn obeys(&self, sequence: Sequence) {
        let mut position = self.position.subscribe();
        // after it nothing more can be promised: the wish is stored
        let _ = tokio::time::timeout(OBEY_TIMEOUT, position.wait_for(|at| *at >= sequence)).await;
    }

    async fn ask<A>(&self, question: impl FnOnce(oneshot::Sender<A>) -> Question) -> Option<A> {
        let (sender, answer) = oneshot::channel();
        self.questions.send_timeout(question(sender), ANSWER_TIMEOUT).await.ok()?;
        tokio::time::timeout(ANSWER_TIMEOUT, answer).await.ok()?.ok()
    }
}

/// What a registration waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WaitsFor {
    /// An attempt, a packet or a note is under way.
    UnderWay,
    /// Its turn.
    Turn {
        /// By which method; nothing for packets and questions.
        method: Option<Method>,
        /// How many are before it, as far as it can be told.
        ahead: Option<usize>,
    },
    /// The circuit of the method.
    Circuit {
        /// Which method.
        method: Method,
        /// When a probe may pass; nothing when an operator holds it open, or a probe is out.
        until: Option<Timestamp>,
        /// How many are before it.
        ahead: Option<usize>,
    },
    /// A token of the maker's rate limit.
    Token {
        /// By which method.
        method: Method,
        /// When the next one comes back.
        at: Timestamp,
        /// How many are before it.
        ahead: Option<usize>,
    },
    /// An operator, who paused the maker or the method.
    Operator {
        /// Which method.
        method: Method,
        /// Who, why, since when.
        pause: Pause,
    },
    /// A time: the pause after a failure, the next question to the maker, the next try to mail.
    Time(Timestamp),
}

/// One thing that was tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// How.
    pub method: Method,
    /// The number of the attempt; nothing when the method was passed over.
    pub attempt: Option<u32>,
    /// When it began, or was passed over.
    pub at: Timestamp,
    /// What came of it, in one line.
    pub outcome: String,
}

/// Everything about where a registration stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// It.
    pub registration: Registration,
    /// What it waits for.
    pub waits_for: Option<WaitsFor>,
    /// What was tried, oldest first.
    pub tried: Vec<Tried>,
    /// When the next attempt is made, as far as it is known.
    pub next_attempt_at: Option<Timestamp>,
    /// Until when waiting leaves the owner enough time.
    pub latest_safe: Option<Timestamp>,
}

/// How a maker is doing.
#[derive(Debug, Clone, PartialEq)]
pub struct MakerStatus {
    /// Its connector.
    pub connector: String,
    /// By the last round of checks; nothing before the first.
    pub health: Option<HealthState>,
    /// When that was.
    pub checked_at: Option<Timestamp>,
    /// When it is checked next.
    pub next_check_at: Option<Timestamp>,
    /// Each guarded method that it has.
    pub methods: Vec<MethodStatus>,
    /// Its rate limits.
    pub levels: Vec<Level>,
    /// The maker asked us to send nothing before.
    pub throttled_until: Option<Timestamp>,
    /// Its attempts of the last hour.
    pub last_hour: LastHour,
    /// Alerts that are not over.
    pub alerts: Vec<(AlertKind, Raised)>,
    /// The incident that is not over.
    pub incident: Option<Incident>,
    /// Its last record.
    pub last: Option<Link>,
}

impl MakerStatus {
    /// As its records tell at that time; when it will be checked the engine alone knows.
    #[must_use]
    pub fn of(maker: &Maker, methods: Vec<MethodStatus>, at: Timestamp) -> Self {
        Self {
            connector: maker.connector.clone(),
            health: maker.vitals.last_check().map(|checked| checked.state),
            checked_at: maker.vitals.checked_at(),
            next_check_at: None,
            methods,
            levels: maker.bucket.levels(at),
            throttled_until: maker.bucket.throttled_until(at),
            last_hour: maker.vitals.last_hour(at),
            alerts: maker.vitals.raised().iter().map(|(kind, raised)| (*kind, raised.clone())).collect(),
            incident: maker.vitals.incident().cloned(),
            last: maker.last,
        }
    }
}

/// How one method of a maker is doing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MethodStatus {
    /// Which.
    pub method: Method,
    /// Its circuit.
    pub circuit: CircuitView,
    /// The pause, if it is paused.
    pub pause: Option<Pause>,
    /// Attempts under way.
    pub under_way: u32,
    /// Registrations that wait for it.
    pub waiting: usize,
    /// Since when the longest waiting of each class does.
    pub oldest: Vec<(Priority, Timestamp)>,
}

impl Engine {
    pub(super) fn answer(&self, question: Question) {
        // nobody waits any more: nothing is lost
        match question {
            Question::Explain(id, answer) => drop(answer.send(self.waits_for(id))),
            Question::Makers(answer) => drop(answer.send(self.maker_statuses())),
        }
    }

    fn waits_for(&self, id: RegistrationId) -> Option<WaitsFor> {
        match self.slots.get(id)? {
            Slot::Driving(_) => Some(WaitsFor::UnderWay),
            Slot::Resting(_) => None,
            Slot::Idle(registration, place) => self.place_of(registration, *place),
        }
    }

    fn place_of(&self, registration: &Registration, place: Place) -> Option<WaitsFor> {
        match place {
            Place::Line(key) => Some(self.place_in_line(registration, key)),
            Place::Lane(lane) => {
                Some(WaitsFor::Turn { method: None, ahead: Some(self.turns.ahead_in_lane(lane, registration)) })
            }
            Place::Time => Some(match driver::next(&self.world, registration) {
                events::Step::WaitUntil(at) => WaitsFor::Time(at),
                events::Step::Attempt(_)
                | events::Step::Skip(..)
                | events::Step::LookUp
                | events::Step::GoManual(_)
                | events::Step::SendPacket
                | events::Step::MailOwner
                | events::Step::AlertDeadline
                | events::Step::Expire
                | events::Step::Erase
                | events::Step::Rest => WaitsFor::Turn { method: registration.method(), ahead: None },
            }),
        }
    }

    fn place_in_line(&self, registration: &Registration, key: LineKey) -> WaitsFor {
        let (method, now) = (key.method, self.world.now());
        let (closed, ahead) = self.turns.look(key, registration.id, now);
        let Some(Closed::Guard(admission)) = closed else { return WaitsFor::Turn { method: Some(method), ahead } };
        let pause = self.turns.maker(key).pause(method);
        match (admission, pause) {
            (Admission::Paused, Some(pause)) => WaitsFor::Operator { method, pause: pause.clone() },
            (Admission::RateLimited(at), _) => WaitsFor::Token { method, at, ahead },
            (Admission::CircuitOpen(_) | Admission::Probing, _) => {
                WaitsFor::Circuit { method, until: opens_at(admission), ahead }
            }
            (Admission::Free | Admission::Probe | Admission::Paused, _) => {
                WaitsFor::Turn { method: Some(method), ahead }
            }
        }
    }

    fn maker_statuses(&self) -> Vec<MakerStatus> {
        let now = self.world.now();
        let makers = self.turns.guards.makers();
        let mut statuses: Vec<_> = makers
            .map(|(index, maker)| MakerStatus {
                next_check_at: self.next_check(index),
                ..MakerStatus::of(maker, self.methods_of(LineKey { maker: index, method: Method::Api }), now)
            })
            .collect();
        statuses.sort_by(|one, other| one.connector.cmp(&other.connector));
        statuses
    }

    fn methods_of(&self, any: LineKey) -> Vec<MethodStatus> {
        let maker = self.turns.maker(any);
        let ladder = self.world.catalog.get(&maker.connector).map(|known| known.ladder().to_vec()).unwrap_or_default();
        let status = |method: Method| {
            let key = LineKey { method, ..any };
            let (waiting, oldest) = self.turns.waiting(key);
            Some(MethodStatus {
                method,
                circuit: maker.circuit(method)?.view(),
                pause: maker.pause(method).cloned(),
                under_way: self.turns.running_in(key),
                waiting,
                oldest,
            })
        };
        GUARDED.into_iter().filter(|method| ladder.contains(method)).filter_map(status).collect()
    }
}

impl Explanation {
    /// Puts together what the log and the engine know.
    pub(crate) fn new(
        registration: Registration,
        waits_for: Option<WaitsFor>,
        tried: Vec<Tried>,
        latest_safe: Option<Timestamp>,
    ) -> Self {
        let next_attempt_at = match (&registration.stage, &waits_for) {
            (Stage::Backoff { until, .. }, _) => Some(*until),
            (_, Some(WaitsFor::Token { at, .. })) => Some(*at),
            (_, Some(WaitsFor::Circuit { until, .. })) => *until,
            _ => None,
        };
        Self { registration, waits_for, tried, next_attempt_at, latest_safe }
    }
}
