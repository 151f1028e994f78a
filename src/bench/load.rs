//! Registrations that come in, as fast as it goes or when they are due, until the last of them is seen to end in SUCCESS.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::sync::{Semaphore, watch};
use tokio::task::{JoinHandle, JoinSet};

use super::client::{Accepted, millis};
use super::stats::float;

/// How often the view is asked whether all have arrived, towards the end; before that a quarter of the time that is left by
/// how it went so far, because each look costs the service something.
const POLL: Duration = Duration::from_millis(20);
/// The longest time between two looks, and how often one is taken while more come in.
const POLL_MAX: Duration = Duration::from_millis(500);
/// One in so many registrations is followed from submit to SUCCESS.
const SAMPLE_EVERY: usize = 100;
/// A load must be over after this, and after a second for each of so many registrations.
const TIMEOUT: Duration = Duration::from_secs(900);
const TIMEOUT_PER_S: usize = 200;
/// Once all are sent, some other must end in SUCCESS within so long.
const STALLED_AFTER: Duration = Duration::from_secs(60);
/// First pause between two looks at one registration; then a tenth of its age, so that looking costs little and a latency
/// is known to within 10 %.
const LOOK: Duration = Duration::from_millis(1);

/// Who takes registrations and tells what became of them: the service, or a peer of it. Clones share their connections.
pub trait Registrar: Clone + Send + Sync + 'static {
    /// Hands over the registrations with these numbers in one request.
    fn submit(&self, first: usize, count: usize) -> impl Future<Output = anyhow::Result<Accepted>> + Send;
    /// Whether this one has ended in SUCCESS; an error when it has ended as something else.
    fn has_succeeded(&self, id: &str) -> impl Future<Output = anyhow::Result<bool>> + Send;
    /// How many have ended in SUCCESS.
    fn count_successes(&self) -> impl Future<Output = anyhow::Result<usize>> + Send;
}

/// What comes in.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Number of the first registration; no two of a stage have the same.
    pub first: usize,
    /// How many.
    pub count: usize,
    /// Of them in one request.
    pub batch: usize,
    pub pace: Pace,
}

/// When requests are sent.
#[derive(Debug, Clone, Copy)]
pub enum Pace {
    /// A closed loop: the next one when one of so many was answered.
    InFlight(usize),
    /// An open loop: so many registrations a second, whether or not the service keeps up.
    PerSecond(u32),
}

/// A latency, and when it was over, since the begin of the load.
#[derive(Debug, Clone, Copy)]
pub struct Timed {
    pub at: Duration,
    pub ms: f64,
}

/// What the client saw.
pub struct Measured {
    /// From the first submit until the last SUCCESS was visible.
    pub took: Duration,
    /// All of them were seen to end in SUCCESS.
    pub accepted: usize,
    pub submit: Vec<Timed>,
    pub end_to_end: Vec<Timed>,
    /// How many were accepted, and when.
    pub accepted_at: Vec<(Duration, usize)>,
    /// How many had ended at a time.
    pub done_at: Vec<(Duration, usize)>,
    pub ids: Vec<String>,
}

impl Measured {
    /// Registrations a second.
    pub fn rate(&self) -> f64 {
        float(self.accepted) / self.took.as_secs_f64()
    }
}

impl Load {
    /// Sends everything and waits for its end. `visible_before` of other registrations are in the view already.
    pub async fn run(self, client: &impl Registrar, visible_before: usize) -> anyhow::Result<Measured> {
        let timeout = TIMEOUT + Duration::from_secs((self.count / TIMEOUT_PER_S) as u64);
        let ended = tokio::time::timeout(timeout, self.send_and_wait(client, visible_before)).await;
        ended.context("the run did not end in time")?
    }

    async fn send_and_wait(self, client: &impl Registrar, visible_before: usize) -> anyhow::Result<Measured> {
        let started = Instant::now();
        let (wanted, told) = watch::channel(None);
        let counting = tokio::spawn(count_until(client.clone(), visible_before, told, started));
        let mut sum = Sum::default();
        self.send(client, started, &mut sum).await?;
        ensure!(sum.accepted > 0, "the service refused every registration");
        wanted.send_replace(Some(sum.accepted));
        let (took, done_at) = counting.await??;
        let Sum { accepted, submit, accepted_at, ids, samples } = sum;
        let mut end_to_end = Vec::new();
        for sample in samples {
            end_to_end.push(sample.await??);
        }
        Ok(Measured { took, accepted, submit, end_to_end, accepted_at, done_at, ids })
    }

    async fn send(self, client: &impl Registrar, started: Instant, sum: &mut Sum) -> anyhow::Result<()> {
        let permits = match self.pace {
            Pace::InFlight(requests) => Some(Arc::new(Semaphore::new(requests))),
            Pace::PerSecond(_) => None,
        };
        let mut submits = JoinSet::new();
        for offset in (0..self.count).step_by(self.batch) {
            let permit = match &permits {
                Some(permits) => Some(permits.clone().acquire_owned().await?),
                None => None,
            };
            let sent_at = match self.pace {
                Pace::InFlight(_) => Instant::now(),
                // counted from when it was due: a service that holds up its clients shall not look quicker for it
                Pace::PerSecond(rate) => arrival(started, offset, rate).await,
            };
            let (client, first, count) = (client.clone(), self.first + offset, self.batch.min(self.count - offset));
            submits.spawn(async move {
                let answer = client.submit(first, count).await;
                drop(permit);
                Sent::new(&client, first, sent_at, started, answer)
            });
            while let Some(sent) = submits.try_join_next() {
                sum.add(sent??);
            }
        }
        while let Some(sent) = submits.join_next().await {
            sum.add(sent??);
        }
        Ok(())
    }
}

/// Waits until the registration of this number is due.
pub async fn arrival(started: Instant, number: usize, rate: u32) -> Instant {
    let due = started + Duration::from_secs_f64(float(number) / f64::from(rate));
    tokio::time::sleep_until(due.into()).await;
    due
}

/// Milliseconds from `since` until SUCCESS is visible.
pub async fn follow(client: &impl Registrar, id: &str, since: Instant) -> anyhow::Result<f64> {
    while !client.has_succeeded(id).await? {
        ensure!(since.elapsed() < TIMEOUT, "a registration did not end in time");
        tokio::time::sleep((since.elapsed() / 10).max(LOOK)).await;
    }
    Ok(millis(since))
}

/// One request's answer, and the samples that are being followed.
struct Sent {
    submit: Timed,
    ids: Vec<String>,
    samples: Vec<JoinHandle<anyhow::Result<Timed>>>,
}

impl Sent {
    fn new(
        client: &impl Registrar,
        first: usize,
        sent_at: Instant,
        started: Instant,
        answer: anyhow::Result<Accepted>,
    ) -> anyhow::Result<Self> {
        let submit = Timed { at: started.elapsed(), ms: millis(sent_at) };
        let accepted = answer?;
        let sampled = accepted.iter().filter(|(place, _)| (first + place).is_multiple_of(SAMPLE_EVERY));
        let samples = sampled.map(|(_, id)| {
            let (client, id) = (client.clone(), id.clone());
            tokio::spawn(async move {
                let ms = follow(&client, &id, sent_at).await?;
                Ok(Timed { at: started.elapsed(), ms })
            })
        });
        let samples = samples.collect();
        Ok(Self { submit, ids: accepted.into_iter().map(|(_, id)| id).collect(), samples })
    }
}

/// All answers so far.
#[derive(Default)]
struct Sum {
    accepted: usize,
    submit: Vec<Timed>,
    accepted_at: Vec<(Duration, usize)>,
    ids: Vec<String>,
    samples: Vec<JoinHandle<anyhow::Result<Timed>>>,
}

impl Sum {
    fn add(&mut self, mut sent: Sent) {
        if !sent.ids.is_empty() {
            self.submit.push(sent.submit);
            self.accepted_at.push((sent.submit.at, sent.ids.len()));
        }
        self.accepted += sent.ids.len();
        self.ids.append(&mut sent.ids);
        self.samples.append(&mut sent.samples);
    }
}

/// Counts those that have ended until as many have as were accepted, which is told once it is known.
async fn count_until(
    client: impl Registrar,
    before: usize,
    mut told: watch::Receiver<Option<usize>>,
    started: Instant,
) -> anyhow::Result<(Duration, Vec<(Duration, usize)>)> {
    let mut counts = Vec::new();
    let (mut grown_at, mut most) = (Instant::now(), 0);
    loop {
        let wanted = *told.borrow_and_update();
        let done = client.count_successes().await?.saturating_sub(before);
        counts.push((started.elapsed(), done));
        if done > most {
            (grown_at, most) = (Instant::now(), done);
        }
        match wanted {
            Some(wanted) if done >= wanted => return Ok((started.elapsed(), counts)),
            Some(wanted) => {
                ensure!(
                    grown_at.elapsed() < STALLED_AFTER,
                    "{done} of {wanted} registrations have ended in SUCCESS, and no other for {STALLED_AFTER:?}: the rest has \
                     failed or waits for a person; what happened is in what the service says above"
                );
                let left = started.elapsed().mul_f64(float(wanted - done) / float(done.max(1)) / 4.0);
                tokio::time::sleep(left.clamp(POLL, POLL_MAX)).await;
            }
            None => {
                // an error means that whoever sends has given up
                let waited = tokio::time::timeout(POLL_MAX, told.changed()).await;
                ensure!(!matches!(waited, Ok(Err(_))), "the registrations were not all sent");
            }
        }
    }
}
