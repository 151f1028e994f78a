//! Arrival: a registration whose turn comes as it is submitted is stored and begun in one record: one commit less to wait
//! for, and one message less in the log. Everybody else is stored first and stands in line.

use events::record::Link;
use events::{Command, Details, Method, Record, RecordHash, Registration, Shard, Stored, decide};
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use crate::driver::{self, Drove};
use crate::journal::JournalError;
use crate::meters;
use crate::world::World;

/// A registration that is about to be stored.
pub(crate) struct Arrival {
    /// As its first record begins it; that record is not stored yet.
    pub(crate) registration: Registration,
    /// That record.
    pub(crate) record: Record,
    pub(crate) details: Details,
    /// What the append is a part of.
    pub(crate) span: Span,
    pub(crate) answer: oneshot::Sender<Arrived>,
}

/// What became of it.
pub(crate) enum Arrived {
    /// It is stored, and its first attempt is under way; or it is not.
    Begun(Box<Result<Registration, JournalError>>),
    /// It must stand in line: whoever brought it stores it.
    MustWait(Box<Record>, Span),
}

/// The registration of a first record that is not stored yet.
pub(crate) fn expected(
    (shard, id): (Shard, events::RegistrationId),
    record: Record,
) -> Result<(Registration, Record), JournalError> {
    let hash = RecordHash([0; 32]);
    let stored = Stored { sequence: 0, shard, registration: id, record, hash };
    Ok((Registration::begin(&stored)?, stored.record))
}

/// Appends its first record.
///
/// # Errors
/// [`JournalError::Append`].
pub(crate) async fn store(
    world: &World,
    (shard, id): (Shard, events::RegistrationId),
    record: Record,
    span: Span,
) -> Result<Registration, JournalError> {
    crate::crash_point("before_submit");
    let appended = world.log.append(shard, id, &record).instrument(span).await;
    crate::crash_point("after_submit");
    let Link { sequence, hash } = appended.map_err(JournalError::Append)?;
    let stored = Stored { sequence, shard, registration: id, record, hash };
    let registration = Registration::begin(&stored)?;
    meters::stored(&registration, &stored.record.events);
    Ok(registration)
}

/// Stores it with the start of its first attempt, tells whoever brought it, and makes that attempt.
pub(crate) async fn begin(world: &World, arrival: Box<Arrival>, method: Method) -> Drove {
    let Arrival { registration, mut record, details, span, answer } = *arrival;
    let (id, shard) = (registration.id, registration.shard);
    let sends = driver::sending(world, &registration, method, &details);
    let stored = match decide(&registration, Command::StartAttempt(method, sends)) {
        Ok(events) => {
            record.events.extend(events);
            store(world, (shard, id), record, span).await
        }
        Err(refusal) => Err(refusal.into()),
    };
    match stored {
        Ok(registration) => {
            // whoever does not wait any more finds it in the log
            let _ = answer.send(Arrived::Begun(Box::new(Ok(registration.clone()))));
            driver::attempt_begun(world, registration, method, details).await
        }
        Err(error) => {
            let _ = answer.send(Arrived::Begun(Box::new(Err(error))));
            Drove::NotBegun(id)
        }
    }
}
