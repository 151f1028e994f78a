//! Another try: a failure whose retry is due at once keeps its turn, when whoever gives turns lets it (decision 21). One record
//! stores the failure and the next start then: one commit less to wait for, one message less in the log.

use std::sync::Arc;

use events::{Actor, Command, Conclusion, Details, ErrorKind, Method, Outcome, Registration, Step, decide};

use crate::driver::{self, Drove};
use crate::journal;
use crate::world::World;

/// How an attempt ended.
pub(crate) enum Ended {
    /// What came of it is stored, or refused as late.
    Stored,
    /// Its method may be tried again at once; nothing of that is stored.
    MayTryAgain(Box<NextTry>),
}

/// A failure that is not stored yet, and what the next try needs.
#[derive(Debug)]
pub(crate) struct NextTry {
    pub(crate) method: Method,
    pub(crate) conclusion: Conclusion,
    pub(crate) details: Details,
    /// The registration as it will be once the failure is stored.
    pub(crate) after: Registration,
}

impl NextTry {
    /// What the failure is.
    pub(crate) const fn kind(&self) -> ErrorKind {
        match &self.conclusion.outcome {
            Outcome::Failed(failure) => failure.kind,
            // never: what went well is not tried again
            Outcome::Registered { .. } => ErrorKind::Internal,
        }
    }
}

/// The registration as it will be, if what an attempt came to leads to another one by the same method now.
pub(crate) fn due(
    world: &World,
    registration: &Registration,
    method: Method,
    conclusion: &Conclusion,
) -> Option<Registration> {
    let now = world.now();
    conclusion.retry_at.filter(|at| *at <= now)?;
    // a refusal or a history that does not fit is told by whoever stores it
    let events = decide(registration, Command::Conclude(conclusion.clone())).ok()?;
    let after = registration.after(&events, now).ok()?;
    (driver::next(world, &after) == Step::Attempt(method)).then_some(after)
}

/// What a driver comes back with after an attempt.
pub(crate) fn after(registration: Registration, ended: Ended) -> Drove {
    match ended {
        Ended::Stored => Drove::Done(registration),
        Ended::MayTryAgain(next) => Drove::MayTryAgain(registration, next),
    }
}

/// Stores the failure with the start of the next attempt, and makes that attempt.
pub(crate) async fn keep_turn(world: Arc<World>, mut registration: Registration, next: Box<NextTry>) -> Drove {
    if !world.lease.is_held() {
        return give_way(world, registration, next).await;
    }
    crate::crash_point("before_outcome");
    let (method, conclusion) = (next.method, next.conclusion.clone());
    let sends = driver::sending(&world, &next.after, method, &next.details);
    let both = (Command::Conclude(conclusion), Command::StartAttempt(method, sends));
    match journal::record_both(&world, &mut registration, both, Actor::System).await {
        Ok(()) => driver::attempt_begun(&world, registration, method, next.details).await,
        Err(error) => {
            tracing::info!(id = %registration.id, %error, "another try must stand in line");
            give_way(world, registration, next).await
        }
    }
}

/// Stores the failure alone: the next try stands in line.
pub(crate) async fn give_way(world: Arc<World>, mut registration: Registration, next: Box<NextTry>) -> Drove {
    driver::conclude(&world, &mut registration, Command::Conclude(next.conclusion)).await;
    Drove::Done(registration)
}
