//! Finds out what became of messages whose acknowledgement was lost.

use std::time::Duration;

use events::Sequence;
use futures::StreamExt;

use crate::batch::{Guard, Outgoing};
use crate::committer::Job;
use crate::direct::Direct;
use crate::log::{AppendError, Unavailable};

/// Longest search after a lost acknowledgement; what is not found by then is answered with `Unknown`.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two looks.
const SETTLE_PAUSE: Duration = Duration::from_millis(50);
/// Direct gets under way at once.
const SETTLE_READS_MAX: usize = 64;

/// Answers each job with what the stream holds; all together within the time limit.
pub(crate) async fn settle_all(direct: &Direct, jobs: Vec<Job>) {
    if jobs.is_empty() {
        return;
    }
    tracing::warn!(messages = jobs.len(), "an acknowledgement was lost; looking whether the messages are stored");
    let deadline = tokio::time::Instant::now() + SETTLE_TIMEOUT;
    futures::stream::iter(jobs)
        .for_each_concurrent(SETTLE_READS_MAX, |job| async move {
            let found = tokio::time::timeout_at(deadline, find_patiently(direct, &job.message)).await;
            job.finish(found.unwrap_or(Err(AppendError::Unknown)));
        })
        .await;
}

/// What is not there may be on its way: it is looked for until the time is over.
async fn find_patiently(direct: &Direct, message: &Outgoing) -> Result<Sequence, AppendError> {
    loop {
        match find(direct, message).await {
            Ok(Err(AppendError::Unknown)) | Err(Unavailable { .. }) => tokio::time::sleep(SETTLE_PAUSE).await,
            Ok(answer) => return answer,
        }
    }
}

/// Stored (its sequence), overtaken (a conflict), or still unknown.
async fn find(direct: &Direct, message: &Outgoing) -> Result<Result<Sequence, AppendError>, Unavailable> {
    let Some(last) = direct.last(&message.subject).await? else {
        return Ok(Err(AppendError::Unknown));
    };
    if last.payload == message.payload {
        return Ok(Ok(last.sequence));
    }
    let Guard::LastOfSubject(expected) = message.guard else {
        return Ok(Err(AppendError::Unknown));
    };
    if last.sequence <= expected {
        return Ok(Err(AppendError::Unknown));
    }
    // somebody stands after the expected record: either after us, or in our place
    Ok(match direct.next(&message.subject, expected + 1).await? {
        Some(next) if next.payload == message.payload => Ok(next.sequence),
        Some(_) => Err(AppendError::Conflict { last: Some(last.sequence) }),
        None => Err(AppendError::Unknown),
    })
}
