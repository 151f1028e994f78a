//! What this process stores itself, told to its reader of the log's end as the server acknowledges it (decision 27): under load
//! nearly everything comes that way, and need not be sent back to us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use events::Sequence;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

use crate::whole::RawMessage;

/// So many messages of our own within [`WINDOW`] are load.
const LOAD: u64 = 256;
const WINDOW: Duration = Duration::from_secs(1);
/// Silence after which the server is asked again: others may have stored something.
const SILENCE: Duration = Duration::from_millis(50);
/// How long a message may be missing between two of ours: then somebody else stored it, or its acknowledgement was lost.
const GAP: Duration = Duration::from_millis(10);
/// Who stores beside others reads from the server for so long.
const REST: Duration = Duration::from_secs(5);
/// Acknowledged commits that wait to be heard; when there are more, the server is asked.
const COMMITS_MAX: usize = 256;
/// Messages that wait for one before them.
const WAITING_MAX: usize = 8_192;

/// Where commits are told; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Echo {
    sender: mpsc::Sender<Commit>,
    wanted: Arc<Wanted>,
}

/// Where they are heard.
#[derive(Debug)]
pub(crate) struct Ear {
    receiver: mpsc::Receiver<Commit>,
    wanted: Arc<Wanted>,
    /// In the order of their places; some before them may be missing.
    waiting: Vec<RawMessage>,
    /// The first place of all that was told since it listens.
    first: Option<Sequence>,
    /// When the count was last looked at, and what it was.
    counted: (Instant, u64),
    rests_until: Instant,
}

#[derive(Debug, Default)]
struct Wanted {
    is_on: AtomicBool,
    /// Messages that were stored, told or not.
    stored: AtomicU64,
}

/// Messages that the server has acknowledged over one connection.
#[derive(Debug)]
struct Commit {
    messages: Vec<RawMessage>,
    connection: u64,
}

/// An echo and its ear.
pub(crate) fn echo() -> (Echo, Ear) {
    let (sender, receiver) = mpsc::channel(COMMITS_MAX);
    let (wanted, now) = (Arc::<Wanted>::default(), Instant::now());
    let echo = Echo { sender, wanted: Arc::clone(&wanted) };
    (echo, Ear { receiver, wanted, waiting: Vec::new(), first: None, counted: (now, 0), rests_until: now })
}

impl Echo {
    /// Tells of messages that were acknowledged over this connection; they are only made when somebody listens.
    pub fn tell(&self, count: usize, connection: u64, messages: impl FnOnce() -> Vec<RawMessage>) {
        self.wanted.stored.fetch_add(count as u64, Ordering::Relaxed);
        if self.wanted.is_on.load(Ordering::Acquire) {
            // who does not keep up finds a gap, and asks the server
            let _ = self.sender.try_send(Commit { messages: messages(), connection });
        }
    }
}

impl Ear {
    /// Whether all that comes behind `seen` will be told. While there is no load nothing is listened for.
    pub fn hears_all_behind(&mut self, seen: Sequence, connection: u64) -> bool {
        if !self.is_under_load() {
            self.stop();
            return false;
        }
        if !self.wanted.is_on.swap(true, Ordering::AcqRel) {
            return false;
        }
        if !self.take_what_came(connection) {
            self.stop();
            return false;
        }
        self.forget_until(seen);
        self.first.is_some_and(|first| first <= seen + 1)
    }

    fn is_under_load(&mut self) -> bool {
        let (now, stored) = (Instant::now(), self.wanted.stored.load(Ordering::Relaxed));
        let (since, before) = self.counted;
        if now.duration_since(since) > WINDOW {
            self.counted = (now, stored);
        }
        now >= self.rests_until && (self.wanted.is_on.load(Ordering::Relaxed) || stored - before >= LOAD)
    }

    /// What comes next behind `seen`, without a gap; nothing when the server must be asked.
    pub async fn next(&mut self, seen: Sequence, connection: u64) -> Option<Vec<RawMessage>> {
        let mut deadline = Instant::now() + SILENCE;
        while self.take_what_came(connection) {
            let run = self.run_behind(seen);
            if !run.is_empty() {
                return Some(run);
            }
            if !self.waiting.is_empty() {
                deadline = deadline.min(Instant::now() + GAP);
            }
            match timeout_at(deadline, self.receiver.recv()).await {
                Ok(Some(commit)) => {
                    if !self.take(commit, connection) {
                        break;
                    }
                }
                Ok(None) => break,
                Err(_) => {
                    if !self.waiting.is_empty() {
                        self.rests_until = Instant::now() + REST;
                    }
                    break;
                }
            }
        }
        None
    }

    /// Nothing is told from here on.
    pub fn stop(&mut self) {
        self.wanted.is_on.store(false, Ordering::Release);
        while self.receiver.try_recv().is_ok() {}
        self.waiting = Vec::new();
        self.first = None;
    }

    /// As [`Self::take`], of all that has been told.
    fn take_what_came(&mut self, connection: u64) -> bool {
        while let Ok(commit) = self.receiver.try_recv() {
            if !self.take(commit, connection) {
                return false;
            }
        }
        true
    }

    /// False when it was acknowledged over another connection, or too much waits.
    fn take(&mut self, commit: Commit, connection: u64) -> bool {
        let first = commit.messages.first().map(|message| message.sequence);
        self.first = self.first.or(first);
        self.waiting.extend(commit.messages);
        commit.connection == connection && self.waiting.len() <= WAITING_MAX
    }

    fn run_behind(&mut self, seen: Sequence) -> Vec<RawMessage> {
        self.forget_until(seen);
        let places = self.waiting.iter().map(|message| message.sequence).zip(seen + 1..);
        let run = places.take_while(|(place, next)| place == next).count();
        self.waiting.drain(..run).collect()
    }

    fn forget_until(&mut self, seen: Sequence) {
        self.waiting.sort_by_key(|message| message.sequence);
        let behind = self.waiting.partition_point(|message| message.sequence <= seen);
        self.waiting.drain(..behind);
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    /// The connection that all goes over.
    const HERE: u64 = 1;

    fn tell(echo: &Echo, places: std::ops::RangeInclusive<Sequence>, connection: u64) {
        let message = |place| RawMessage::new(place, "a".into(), Bytes::new());
        let messages = || places.clone().map(message).collect();
        echo.tell(places.clone().count(), connection, messages);
    }

    /// Under load, everything behind `LOAD` being told.
    async fn listening() -> (Echo, Ear) {
        let (echo, mut ear) = echo();
        tell(&echo, 1..=LOAD, HERE);
        assert!(!ear.hears_all_behind(0, HERE), "what was stored before it listened is to be read");
        tell(&echo, LOAD + 1..=LOAD + 2, HERE);
        assert!(!ear.hears_all_behind(LOAD - 1, HERE));
        assert!(ear.hears_all_behind(LOAD, HERE));
        assert_eq!(next(&mut ear, LOAD).await, Some(vec![LOAD + 1, LOAD + 2]));
        (echo, ear)
    }

    async fn next(ear: &mut Ear, seen: Sequence) -> Option<Vec<Sequence>> {
        Some(ear.next(seen, HERE).await?.iter().map(|message| message.sequence).collect())
    }

    #[tokio::test(start_paused = true)]
    async fn without_load_nothing_is_listened_for() {
        let (echo, mut ear) = echo();
        for place in 1..LOAD {
            tell(&echo, place..=place, HERE);
            assert!(!ear.hears_all_behind(place, HERE));
        }
        tokio::time::advance(2 * WINDOW).await;
        assert!(!ear.hears_all_behind(LOAD - 1, HERE));
        tell(&echo, LOAD..=LOAD + 9, HERE);
        assert!(!ear.hears_all_behind(LOAD + 9, HERE));
        assert!(!echo.wanted.is_on.load(Ordering::Relaxed), "ten in a second are none");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_comes_in_the_order_of_its_places_and_once() {
        let (echo, mut ear) = listening().await;
        let seen = LOAD + 2;
        tell(&echo, seen + 3..=seen + 4, HERE);
        tell(&echo, seen..=seen + 2, HERE);
        assert_eq!(next(&mut ear, seen).await, Some(Vec::from_iter(seen + 1..=seen + 4)));
        assert_eq!(next(&mut ear, seen + 4).await, None, "silence");
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_that_is_missing_sends_us_to_the_server_for_a_while() {
        let (echo, mut ear) = listening().await;
        let (seen, told) = (LOAD + 2, Instant::now());
        tell(&echo, seen + 2..=seen + 3, HERE);
        assert_eq!((next(&mut ear, seen).await, told.elapsed() < SILENCE), (None, true));
        ear.stop();
        tell(&echo, 1..=2 * LOAD, HERE);
        assert!(!ear.hears_all_behind(2 * LOAD, HERE) && !echo.wanted.is_on.load(Ordering::Relaxed));
        tokio::time::advance(REST).await;
        tell(&echo, 1..=2 * LOAD, HERE);
        ear.hears_all_behind(2 * LOAD, HERE);
        tell(&echo, 1..=2 * LOAD, HERE);
        ear.hears_all_behind(2 * LOAD, HERE);
        assert!(echo.wanted.is_on.load(Ordering::Relaxed), "the load is still there");
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_over_another_connection_is_not_believed() {
        let (echo, mut ear) = listening().await;
        let seen = LOAD + 2;
        tell(&echo, seen + 1..=seen + 1, HERE + 1);
        assert_eq!(next(&mut ear, seen).await, None);
        ear.stop();
        tell(&echo, 1..=LOAD, HERE + 1);
        assert!(!ear.hears_all_behind(LOAD, HERE + 1));
        tell(&echo, LOAD + 1..=LOAD + 1, HERE + 1);
        assert!(!ear.hears_all_behind(LOAD, HERE), "the stream was not compared over this one");
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_keep_up_is_sent_to_the_server() {
        let (echo, mut ear) = listening().await;
        let seen = LOAD + 2;
        for place in 1..=COMMITS_MAX as u64 + 10 {
            tell(&echo, seen + place..=seen + place, HERE);
        }
        let kept = seen + COMMITS_MAX as u64;
        assert_eq!(next(&mut ear, seen).await, Some(Vec::from_iter(seen + 1..=kept)));
        tell(&echo, kept + 11..=kept + 11, HERE);
        assert_eq!(next(&mut ear, kept).await, None);
    }
}
