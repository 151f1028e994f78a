//! Explain: what was tried with a registration and why it moved on, from its history; what it waits for, from the engine.

use events::{Event, Method, Registration, RegistrationId, Shard, Stored};

use crate::driver;
use crate::engine::{EngineHandle, Explanation, Tried};
use crate::journal::JournalError;
use crate::world::World;

/// Explains one registration.
///
/// # Errors
/// [`JournalError`] when there is none or its history cannot be read.
pub async fn explain(
    world: &World,
    engine: &EngineHandle,
    (shard, id): (Shard, RegistrationId),
) -> Result<Explanation, JournalError> {
    let history = world.log.load(shard, id).await?;
    let registration = Registration::replay(&history)?.ok_or(JournalError::NotFound)?;
    let connector = world.connector(&registration);
    let latest_safe = driver::outlook(&registration, &connector).deadline.map(|deadline| deadline.latest_safe());
    let waits_for = engine.explain(id).await;
    Ok(Explanation::new(registration, waits_for, tried(&history), latest_safe))
}

/// The attempts and what came of them, and the methods that were passed over.
fn tried(history: &[Stored]) -> Vec<Tried> {
    let mut tried: Vec<Tried> = Vec::new();
    for stored in history {
        for event in &stored.record.events {
            match outcome_of(event) {
                Some(What::Began(method, attempt)) => tried.push(Tried {
                    method,
                    attempt: Some(attempt),
                    at: stored.record.at,
                    outcome: "no outcome yet".to_owned(),
                }),
                Some(What::PassedOver(method, outcome)) => {
                    tried.push(Tried { method, attempt: None, at: stored.record.at, outcome });
                }
                Some(What::CameTo(attempt, outcome)) => {
                    if let Some(of) = tried.iter_mut().rev().find(|tried| tried.attempt == Some(attempt)) {
                        of.outcome = outcome;
                    }
                }
                None => {}
            }
        }
    }
    tried
}

enum What {
    Began(Method, u32),
    PassedOver(Method, String),
    CameTo(u32, String),
}

fn outcome_of(event: &Event) -> Option<What> {
    Some(match event {
        Event::AttemptStarted(started) => What::Began(started.method, started.attempt),
        Event::MethodSkipped(skipped) => {
            What::PassedOver(skipped.method, format!("passed over: {}", skipped.reason.as_str().replace('_', " ")))
        }
        Event::AttemptSucceeded(done) if done.already_registered => {
            What::CameTo(done.attempt, "the maker had it registered already".to_owned())
        }
        Event::AttemptSucceeded(done) => What::CameTo(done.attempt, "registered".to_owned()),
        Event::AttemptFailed(failed) => What::CameTo(failed.attempt, format!("{}: {}", failed.kind, failed.detail)),
        Event::FoundUnregistered(found) => {
            What::CameTo(found.attempt, "the maker was asked and has nothing of it".to_owned())
        }
        Event::LookupGivenUp(given_up) => What::CameTo(given_up.attempt, given_up.detail.clone()),
        Event::Submitted(_)
        | Event::Dispatched(_)
        | Event::RetryScheduled(_)
        | Event::RegistrationSucceeded(_)
        | Event::OutcomeUnknown(_)
        | Event::ManualRequired(_)
        | Event::PacketSent(_)
        | Event::PacketFailed(_)
        | Event::OwnerMailed(_)
        | Event::OwnerMailFailed(_)
        | Event::UserCompleted(_)
        | Event::CorrectionNeeded(_)
        | Event::Corrected(_)
        | Event::RetryRequested(_)
        | Event::Cancelled(_)
        | Event::Held(_)
        | Event::MakerThrottled(_)
        | Event::AttemptRepeated(_)
        | Event::LookupScheduled(_)
        | Event::DeadlineNear(_)
        | Event::Expired(_)
        | Event::LeftInDoubt(_)
        | Event::PacketOpened(_)
        | Event::PersonForgotten(_)
        | Event::PersonErased(_) => return None,
    })
}
