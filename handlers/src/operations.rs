//! What an operator asks of a maker: pause, resume, hold a circuit open or closed, let it go. Each is an event with who
//! and why; nothing that waits is lost by any of them.

use events::maker_event::{CircuitForced, CircuitReleased, Paused, Resumed};
use events::{Actor, FieldProblem, MakerEvent, Method, Sequence, Shard};

use crate::journal::{self, JournalError};
use crate::world::World;

/// Lost races in a row before we give up.
const RACES_MAX: usize = 8;
/// Longest reason, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// A wish about a maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// Begin no attempt, by this method or any, until resumed.
    Pause(Option<Method>),
    /// Go on.
    Resume(Option<Method>),
    /// Hold the circuit open: nothing passes.
    ForceOpen(Method),
    /// Hold the circuit closed: everything passes and nothing is counted.
    ForceClosed(Method),
    /// Leave the circuit to itself again.
    Release(Method),
}

/// An operator's wish was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum OperationError {
    /// No connector of this name is in the catalog.
    #[error("no maker `{0}` is in the catalog")]
    UnknownMaker(String),
    /// The request has mistakes.
    #[error("the request has mistakes")]
    Invalid(Vec<FieldProblem>),
    /// The log did not take it.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Wish {
    const fn method(&self) -> Option<Method> {
        match self {
            Self::Pause(method) | Self::Resume(method) => *method,
            Self::ForceOpen(method) | Self::ForceClosed(method) | Self::Release(method) => Some(*method),
        }
    }

    fn into_event(self, reason: String) -> MakerEvent {
        match self {
            Self::Pause(method) => Paused { method, reason }.into(),
            Self::Resume(method) => Resumed { method, reason }.into(),
            Self::ForceOpen(method) => CircuitForced { method, open: true, reason }.into(),
            Self::ForceClosed(method) => CircuitForced { method, open: false, reason }.into(),
            Self::Release(method) => CircuitReleased { method, reason }.into(),
        }
    }
}

/// Stores an operator's wish as a fact; tells where it stands in the log.
///
/// # Errors
/// [`OperationError`]; nothing is stored then, unless the log did not answer.
pub async fn operate(
    world: &World,
    connector: &str,
    wish: Wish,
    reason: String,
    operator: String,
) -> Result<Sequence, OperationError> {
    check(world, connector, &wish, &reason, &operator)?;
    let (event, actor) = (wish.into_event(reason), Actor::Operator(operator));
    let shard = Shard::of(connector, world.options.shards);
    let mut races = 0;
    loop {
        let last = world.log.last_of_maker(shard, connector).await.map_err(JournalError::from)?;
        let behind = (last.as_ref().map(events::StoredMaker::link), last.as_ref().map(|last| last.record.id));
        match journal::record_of_maker(world, connector, behind, vec![event.clone()], actor.clone()).await {
            Ok(link) => return Ok(link.sequence),
            Err(JournalError::LostRace) if races < RACES_MAX => races += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

fn check(world: &World, connector: &str, wish: &Wish, reason: &str, operator: &str) -> Result<(), OperationError> {
    let Some(known) = world.catalog.get(connector) else {
        return Err(OperationError::UnknownMaker(connector.to_owned()));
    };
    let mut problems = said_why(reason, operator);
    if let Some(method) = wish.method().filter(|method| !can_be_guarded(known, *method)) {
        let problem = format!("is {method}, which {} does not have or which is not guarded", known.name());
        problems.push(FieldProblem::new("method", problem));
    }
    if problems.is_empty() { Ok(()) } else { Err(OperationError::Invalid(problems)) }
}

fn can_be_guarded(connector: &connectors::Connector, method: Method) -> bool {
    method != Method::AssistedManual && connector.ladder().contains(&method)
}

/// What is wrong with who asks and why; both must be told, because others will want to know.
#[must_use]
pub fn said_why(reason: &str, operator: &str) -> Vec<FieldProblem> {
    let unfit = |text: &str| {
        text.trim().is_empty() || text.chars().count() > REASON_CHARS_MAX || text.chars().any(char::is_control)
    };
    let problem = |field: &str, text: &str| {
        let remedy = format!("must be 1 to {REASON_CHARS_MAX} characters without control characters");
        unfit(text).then(|| FieldProblem::new(field, remedy))
    };
    [problem("reason", reason), problem("operator", operator)].into_iter().flatten().collect()
}
