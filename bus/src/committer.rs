//! Group commit: gathers what waits while the previous commit is under way, and stores it together.
//!
//! With `sync_interval: always` a batch costs the server one flush to disk (some 2.5 ms) whatever its size, a plain
//! publish one each; so many waiting messages go as one atomic batch, few as plain pipelined publishes.

use std::collections::{HashSet, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::Bytes;
use events::Sequence;
use events::record::RecordHash;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::batch::{BATCH_MESSAGES_MAX, Guard, Outgoing, send_batch, send_one};
use crate::connection::Connection;
use crate::direct::Direct;
use crate::echo::Echo;
use crate::log::{AppendError, Unavailable};
use crate::meters;
use crate::settle::settle_all;
use crate::storing::Storing;
use crate::whole::RawMessage;

/// Messages that may wait for the next commit; the next one waits for a place.
const QUEUE_MESSAGES_MAX: usize = 8_192;
/// Longest wait for a place in the queue, and longest wait in it; then the message was certainly not sent.
const QUEUE_WAIT_MAX: Duration = Duration::from_secs(5);
/// From this many on, a batch is quicker than plain publishes (measured on two cores).
const BATCH_MESSAGES_MIN: usize = 16;
/// A refused batch of at most this many is not halved again: its messages go plainly and each learns its own fate.
const HALVE_ABOVE: usize = 64;
/// Most payload bytes in one commit, so that large records do not fill the server's memory.
const COMMIT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// How gathered messages are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitMode {
    /// Atomic batches when enough has gathered: the quick way where each commit is flushed to disk.
    Batches,
    /// Plain pipelined publishes always: the quick way where the server does not flush each, or replicates.
    Pipelined,
}

/// A handle to the task that commits to one stream; cheap to clone. The task ends with its last handle.
#[derive(Debug, Clone)]
pub struct Committer {
    queue: mpsc::Sender<Job>,
    storing: Storing,
}

/// One message on its way.
#[derive(Debug)]
pub(crate) struct Job {
    pub message: Outgoing,
    /// Of what it says, where that is known.
    hash: Option<RecordHash>,
    since: Instant,
    done: oneshot::Sender<Result<Sequence, AppendError>>,
}

impl Committer {
    /// `echo` is told what is stored.
    pub(crate) fn start(connection: Connection, direct: Direct, mode: CommitMode, echo: Option<Echo>) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE_MESSAGES_MAX);
        let storing = connection.storing.clone();
        tokio::spawn(Task { connection, direct, mode, echo, jobs, waiting: VecDeque::new() }.run());
        Self { queue, storing }
    }

    /// Stores one message and returns its sequence. Answers within a bounded time, whatever the server does. `hash` is that of
    /// the payload, where it is known.
    ///
    /// # Errors
    /// [`AppendError`]; only `Unknown` leaves open whether the message is stored.
    pub async fn commit(
        &self,
        subject: String,
        guard: Guard,
        payload: Bytes,
        hash: Option<RecordHash>,
    ) -> Result<Sequence, AppendError> {
        let message = Outgoing { subject: subject.into(), guard, headers: HeaderMap::new(), payload };
        let (done, answer) = oneshot::channel();
        let job = Job { message, hash, since: Instant::now(), done };
        let full = || Unavailable::new("queue a record", "too many records wait to be stored");
        self.queue.send_timeout(job, QUEUE_WAIT_MAX).await.map_err(|_| full())?;
        // the task is gone only when the runtime shuts down
        let answer = answer.await.unwrap_or(Err(AppendError::Unknown));
        self.storing.note(&answer, std::time::Instant::now());
        answer
    }
}

impl AsRef<Outgoing> for Job {
    fn as_ref(&self) -> &Outgoing {
        &self.message
    }
}

impl Job {
    pub fn finish(self, result: Result<Sequence, AppendError>) {
        // nobody waits any more: whoever asked will reload
        let _ = self.done.send(result);
    }

    fn stored_at(&self, sequence: Sequence) -> RawMessage {
        let Outgoing { subject, payload, .. } = self.message.clone();
        match self.hash {
            Some(hash) => RawMessage::hashed(sequence, subject, payload, hash),
            None => RawMessage::new(sequence, subject, payload),
        }
    }
}

struct Task {
    connection: Connection,
    direct: Direct,
    mode: CommitMode,
    echo: Option<Echo>,
    jobs: mpsc::Receiver<Job>,
    /// Taken from the queue, not yet part of a commit.
    waiting: VecDeque<Job>,
}

impl Task {
    async fn run(mut self) {
        let mut arrived = Vec::new();
        loop {
            let space = QUEUE_MESSAGES_MAX.saturating_sub(self.waiting.len());
            if self.waiting.is_empty() {
                if self.jobs.recv_many(&mut arrived, space).await == 0 {
                    return;
                }
            } else {
                arrived.extend(std::iter::from_fn(|| self.jobs.try_recv().ok()).take(space));
            }
            self.waiting.extend(arrived.drain(..));
            put_continuing_first(&mut self.waiting);
            let round = take_round(&mut self.waiting);
            self.commit(round).await;
        }
    }

    async fn commit(&self, round: Vec<Job>) {
        let up = self.connection.is_up();
        let late = |job: &Job| !up || job.since.elapsed() > QUEUE_WAIT_MAX;
        let (late, round): (Vec<_>, Vec<_>) = round.into_iter().partition(late);
        for job in late {
            job.finish(Err(Unavailable::new("store a record", "the NATS server is away or does not keep up").into()));
        }
        if !round.is_empty() {
            meters::commits(round.len());
        }
        match self.mode {
            CommitMode::Batches if round.len() >= BATCH_MESSAGES_MIN => self.commit_batches(round).await,
            CommitMode::Batches | CommitMode::Pipelined => self.commit_plainly(round).await,
        }
    }

    /// One batch; refused, it is halved until the culprits stand among few enough to be published plainly.
    async fn commit_batches(&self, round: Vec<Job>) {
        let mut parts = vec![round];
        while let Some(mut part) = parts.pop() {
            match send_batch(&self.connection, &part).await {
                Ok(ack) => self.finish_stored(part, ack.sequence),
                Err(AppendError::Unknown) => settle_all(&self.direct, part).await,
                Err(error @ (AppendError::Unavailable(_) | AppendError::ReadOnly(_))) => finish_failed(part, &error),
                Err(AppendError::Conflict { .. } | AppendError::TooLarge) if part.len() > HALVE_ABOVE => {
                    let second = part.split_off(part.len() / 2);
                    parts.extend([second, part]);
                }
                Err(AppendError::Conflict { .. } | AppendError::TooLarge) => self.commit_plainly(part).await,
                Err(AppendError::Refused(reason)) => {
                    tracing::warn!(
                        reason,
                        messages = part.len(),
                        "the server refuses a batch; its messages go one by one"
                    );
                    self.commit_plainly(part).await;
                }
            }
        }
    }

    async fn commit_plainly(&self, round: Vec<Job>) {
        let mut answers: FuturesUnordered<_> = round
            .into_iter()
            .map(|job| async {
                let answer = send_one(&self.connection, &job.message).await;
                (job, answer)
            })
            .collect();
        let mut unknown = Vec::new();
        while let Some((job, answer)) = answers.next().await {
            match answer {
                Err(AppendError::Unknown) => unknown.push(job),
                Ok(ack) => self.finish_stored(vec![job], ack.sequence),
                Err(error) => job.finish(Err(error)),
            }
        }
        settle_all(&self.direct, unknown).await;
    }

    /// A batch stands in the stream without gaps and in its order; the answer names the last one.
    fn finish_stored(&self, part: Vec<Job>, last: Sequence) {
        let first = last + 1 - part.len() as u64;
        if let Some(echo) = &self.echo {
            let messages = || part.iter().zip(first..).map(|(job, sequence)| job.stored_at(sequence)).collect();
            echo.tell(part.len(), self.connection.times_made(), messages);
        }
        for (job, sequence) in part.into_iter().zip(first..) {
            job.finish(Ok(sequence));
        }
    }
}

/// What continues a history goes before what begins one: under load work is finished before more is taken on, so the
/// latency of accepted work stays bounded. Those that begin are not starved, because only they make others continue.
fn put_continuing_first(waiting: &mut VecDeque<Job>) {
    waiting.make_contiguous().sort_by_key(|job| matches!(job.message.guard, Guard::LastOfSubject(0)));
}

/// What goes into the next commit: in order, but no subject twice (a batch refuses that, and the second one was
/// decided without knowing the first), and not more than a commit holds.
fn take_round(waiting: &mut VecDeque<Job>) -> Vec<Job> {
    // hashes, because two subjects that share one would only be parted
    let mut subjects: HashSet<u64> = HashSet::with_capacity(waiting.len());
    let hasher = subjects.hasher().clone();
    let (mut round, mut later) = (Vec::with_capacity(waiting.len()), VecDeque::new());
    let mut bytes = 0;
    for job in waiting.drain(..) {
        let fits = round.is_empty() || bytes + job.message.payload.len() <= COMMIT_BYTES_MAX;
        if fits && round.len() < BATCH_MESSAGES_MAX && subjects.insert(hasher.hash_one(job.message.subject.as_str())) {
            bytes += job.message.payload.len();
            round.push(job);
        } else {
            later.push_back(job);
        }
    }
    *waiting = later;
    round
}

fn finish_failed(part: Vec<Job>, error: &AppendError) {
    for job in part {
        job.finish(Err(error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(jobs: &[(&str, usize)]) -> VecDeque<Job> {
        let job = |(subject, bytes): &(&str, usize)| Job {
            message: Outgoing {
                subject: (*subject).into(),
                guard: Guard::Free,
                headers: HeaderMap::new(),
                payload: vec![0; *bytes].into(),
            },
            hash: None,
            since: Instant::now(),
            done: oneshot::channel().0,
        };
        jobs.iter().map(job).collect()
    }

    fn subjects<'a>(jobs: impl IntoIterator<Item = &'a Job>) -> Vec<&'a str> {
        jobs.into_iter().map(|job| job.message.subject.as_str()).collect()
    }

    #[tokio::test]
    async fn a_subject_that_waits_twice_goes_into_two_commits() {
        let mut queue = waiting(&[("a", 1), ("b", 1), ("a", 1), ("c", 1)]);
        assert_eq!(subjects(&take_round(&mut queue)), ["a", "b", "c"]);
        assert_eq!(subjects(&queue), ["a"]);
    }

    #[tokio::test]
    async fn what_continues_goes_before_what_begins_and_each_kind_keeps_its_order() {
        let mut queue = waiting(&[("new 1", 1), ("old 1", 1), ("new 2", 1), ("old 2", 1)]);
        for job in &mut queue {
            let begins = job.message.subject.starts_with("new");
            job.message.guard = Guard::LastOfSubject(if begins { 0 } else { 7 });
        }
        put_continuing_first(&mut queue);
        assert_eq!(subjects(&queue), ["old 1", "old 2", "new 1", "new 2"]);
    }

    #[tokio::test]
    async fn a_commit_stays_under_its_bytes_but_takes_one_large_message() {
        let mut queue = waiting(&[("a", COMMIT_BYTES_MAX + 1), ("b", 1), ("c", COMMIT_BYTES_MAX)]);
        assert_eq!(subjects(&take_round(&mut queue)), ["a"]);
        assert_eq!(subjects(&take_round(&mut queue)), ["b"]);
        assert_eq!(subjects(&take_round(&mut queue)), ["c"]);
    }
}
