//! The end of the stream, read once for all readers of this process.
//!
//! Engine, views, notifications and the verifier all want each message soon after it is stored. With a consumer each, the
//! server would send, and we would parse, every message five times. So one reader goes ahead and keeps what came last; who
//! is further behind reads the stream for itself until it has caught up with that.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use events::Sequence;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::Connection;
use crate::follow::NatsFollow;
use crate::log::{Follow, FollowError, FollowItem, Head, Page};
use crate::nats_log::head;
use crate::whole::{RawMessage, RawPage};

/// Messages that are kept for readers which are a little behind (some 1.5 KB each with what they say).
const KEPT_MESSAGES_MAX: usize = 8_192;
/// The same in bytes of the messages, because one can be large.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Messages taken in at once.
const PAGE_MESSAGES_MAX: usize = 1_024;
/// How long a page waits for its first message.
const PAGE_WAIT: Duration = Duration::from_secs(1);
/// Pause before the end of the stream is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// The end of the stream; clones share it. Reading begins with the first who asks, and ends with the last handle.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Handle>);

struct Handle {
    connection: Connection,
    shared: Arc<Shared>,
    /// Changes with each page; ends with the reader.
    news: OnceLock<watch::Receiver<u64>>,
    end: CancellationToken,
    _end: DropGuard,
}

#[derive(Default)]
struct Shared(Mutex<Kept>);

/// What came last.
#[derive(Default)]
struct Kept {
    /// Without a gap between them.
    pages: VecDeque<Arc<TailPage>>,
    /// The number of the first one.
    first: u64,
    messages: usize,
    bytes: usize,
    /// The place before the first one, and the last that was read; nothing while the end of the stream is not known.
    span: Option<(Sequence, Sequence)>,
}

struct TailPage {
    last: Sequence,
    bytes: usize,
    messages: Vec<(RawMessage, Option<FollowItem>)>,
    /// As in [`RawPage`].
    anew: bool,
}

/// Where a reader of the tail stands.
struct Joined {
    /// The number of the page that it takes from next.
    page: u64,
    news: watch::Receiver<u64>,
}

/// One reader: of the tail, or of the stream itself while it is too far behind.
pub(crate) struct TailFollow {
    tail: Tail,
    way: Way,
    seen: Sequence,
    /// The end of the stream when following began.
    start: Head,
    caught_up: bool,
    /// Whether that was said.
    told: bool,
    /// Whether it has changed over, so that nobody can say whether the stream was still the same in between.
    anew: bool,
}

enum Way {
    Own(Box<NatsFollow>),
    Joined(Joined),
}

impl Tail {
    pub fn new(connection: Connection) -> Self {
        let end = CancellationToken::new();
        let (shared, news, _end) = (Arc::default(), OnceLock::new(), end.clone().drop_guard());
        Self(Arc::new(Handle { connection, shared, news, end, _end }))
    }

    /// Follows everything behind a place.
    pub async fn follow(&self, after: Sequence) -> Result<TailFollow, FollowError> {
        let start = head(&self.0.connection).await?;
        if after > start.last_sequence {
            return Err(FollowError::Rewound { seen: after, last: start.last_sequence });
        }
        self.0.news.get_or_init(|| self.start(start));
        let caught_up = after == start.last_sequence;
        let way = match self.join(after) {
            Some(joined) => Way::Joined(joined),
            None => Way::Own(Box::new(NatsFollow::open(self.0.connection.clone(), after, start).await?)),
        };
        Ok(TailFollow { tail: self.clone(), way, seen: after, start, caught_up, told: false, anew: true })
    }

    /// Begins to read at the end of the stream.
    fn start(&self, head: Head) -> watch::Receiver<u64> {
        let (sender, news) = watch::channel(0);
        let follow = NatsFollow::behind(self.0.connection.clone(), head.last_sequence, head);
        lock(&self.0.shared).begin(head.last_sequence);
        let reader = Reader { connection: self.0.connection.clone(), shared: Arc::clone(&self.0.shared), sender };
        let end = self.0.end.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = reader.run(follow) => {}
                () = end.cancelled() => {}
            }
        });
        news
    }

    /// A way on behind `seen`, if that is among what is kept.
    fn join(&self, seen: Sequence) -> Option<Joined> {
        let news = self.0.news.get()?.clone();
        // a reader that has ended brings nothing any more
        news.has_changed().ok()?;
        let page = lock(&self.0.shared).page_behind(seen)?;
        Some(Joined { page, news })
    }
}

/// Reads ahead.
struct Reader {
    connection: Connection,
    shared: Arc<Shared>,
    sender: watch::Sender<u64>,
}

impl Reader {
    async fn run(self, mut follow: NatsFollow) {
        loop {
            match follow.next_raw(PAGE_MESSAGES_MAX, PAGE_WAIT).await {
                Ok(page) => self.keep(page),
                Err(error) => {
                    tracing::debug!(%error, "the end of the log is lost; its readers look for themselves");
                    lock(&self.shared).give_up();
                    self.tell();
                    follow = self.find_the_end().await;
                }
            }
        }
    }

    fn keep(&self, page: RawPage) {
        if !page.items.is_empty() || page.anew {
            lock(&self.shared).push(TailPage::of(page));
            self.tell();
        }
    }

    fn tell(&self) {
        self.sender.send_modify(|count| *count += 1);
    }

    async fn find_the_end(&self) -> NatsFollow {
        loop {
            tokio::time::sleep(PAUSE).await;
            if let Ok(head) = head(&self.connection).await {
                lock(&self.shared).begin(head.last_sequence);
                return NatsFollow::behind(self.connection.clone(), head.last_sequence, head);
            }
        }
    }
}

impl TailPage {
    fn of(page: RawPage) -> Self {
        let last = page.items.last().map_or(0, |message| message.sequence);
        let bytes = page.items.iter().map(|message| message.payload.len()).sum();
        let read = |message: RawMessage| {
            let item = message.record();
            (message, item)
        };
        Self { last, bytes, messages: page.items.into_iter().map(read).collect(), anew: page.anew }
    }
}

impl Kept {
    fn begin(&mut self, at: Sequence) {
        self.span = Some((at, at));
    }

    /// Everything goes, also the numbers of pages that readers remember.
    fn give_up(&mut self) {
        self.first += self.pages.len() as u64 + 1;
        self.pages.clear();
        (self.messages, self.bytes, self.span) = (0, 0, None);
    }

    fn push(&mut self, page: TailPage) {
        self.messages += page.messages.len();
        self.bytes += page.bytes;
        if let Some((_, last)) = &mut self.span {
            *last = page.last.max(*last);
        }
        self.pages.push_back(Arc::new(page));
        while self.pages.len() > 1 && self.is_too_much() {
            self.let_go_of_the_first();
        }
    }

    fn is_too_much(&self) -> bool {
        // a page can be empty
        self.messages.max(self.pages.len()) > KEPT_MESSAGES_MAX || self.bytes > KEPT_BYTES_MAX
    }

    fn let_go_of_the_first(&mut self) {
        if let Some(page) = self.pages.pop_front() {
            self.first += 1;
            self.messages -= page.messages.len();
            self.bytes -= page.bytes;
            if let Some((before, _)) = &mut self.span {
                *before = page.last.max(*before);
            }
        }
    }

    /// The number of the page that holds what comes behind `seen`; nothing when that is not kept.
    fn page_behind(&self, seen: Sequence) -> Option<u64> {
        let (before, last) = self.span?;
        let passed = self.pages.iter().take_while(|page| page.last <= seen).count();
        (before <= seen && seen <= last).then_some(self.first + passed as u64)
    }

    /// The page of that number: nothing yet, or nothing any more.
    fn page(&self, number: u64) -> Option<Option<Arc<TailPage>>> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (place <= self.pages.len() && self.span.is_some()).then(|| self.pages.get(place).cloned())
    }
}

impl TailFollow {
    /// As [`Follow::next_page`], of messages as they are stored.
    pub async fn next_raw(&mut self, max: usize, max_wait: Duration) -> Result<RawPage, FollowError> {
        let messages = |(message, _): &(RawMessage, Option<FollowItem>)| Some(message.clone());
        let (items, anew) = match self.own_page(max, max_wait).await? {
            Some(page) => (page.items, page.anew),
            None => self.joined_page(max, max_wait, messages).await,
        };
        Ok(RawPage { items, caught_up: self.tell_caught_up(), anew: std::mem::take(&mut self.anew) || anew })
    }

    /// A page of its own reader; nothing once it has caught up with the tail.
    async fn own_page(&mut self, max: usize, max_wait: Duration) -> Result<Option<RawPage>, FollowError> {
        let Way::Own(follow) = &mut self.way else { return Ok(None) };
        if let Some(joined) = self.tail.join(self.seen) {
            self.way = Way::Joined(joined);
            self.anew = true;
            return Ok(None);
        }
        let page = follow.next_raw(max, max_wait).await?;
        self.seen = page.items.last().map_or(self.seen, |message| message.sequence);
        self.caught_up |= page.caught_up;
        Ok(Some(page))
    }

    /// What the tail has, as far as `pick` wants it; and whether the consumer was made anew.
    async fn joined_page<T>(
        &mut self,
        max: usize,
        max_wait: Duration,
        pick: impl Fn(&(RawMessage, Option<FollowItem>)) -> Option<T>,
    ) -> (Vec<T>, bool) {
        let deadline = Instant::now() + max_wait;
        let (mut items, mut taken, mut anew) = (Vec::new(), 0, false);
        while let Way::Joined(joined) = &mut self.way {
            joined.news.mark_unchanged();
            let page = lock(&self.tail.0.shared).page(joined.page);
            match page {
                Some(Some(page)) => {
                    anew |= page.anew;
                    let behind = page.messages.partition_point(|(message, _)| message.sequence <= self.seen);
                    let wanted = page.messages[behind..].iter().take(max - taken);
                    taken += wanted.len();
                    for message in wanted {
                        self.seen = message.0.sequence;
                        items.extend(pick(message));
                    }
                    if self.seen < page.last {
                        break;
                    }
                    joined.page += 1;
                }
                Some(None) if taken > 0 || anew => break,
                // who waits for the end of an empty log need not wait for a first message
                Some(None) if self.caught_up && !self.told => break,
                Some(None) => match timeout_at(deadline, joined.news.changed()).await {
                    Ok(Ok(())) => {}
                    // the end that was there at the start may have gone since: who reads for itself finds out
                    Err(_) if self.caught_up => break,
                    Ok(Err(_)) | Err(_) => self.part(),
                },
                None => self.part(),
            }
        }
        self.caught_up |= self.seen >= self.start.last_sequence;
        (items, anew)
    }

    /// On by its own reader, which also finds out whether the stream is still the one that it was.
    fn part(&mut self) {
        let follow = NatsFollow::behind(self.tail.0.connection.clone(), self.seen, self.start);
        self.way = Way::Own(Box::new(follow));
        self.anew = true;
    }

    fn tell_caught_up(&mut self) -> bool {
        self.told = self.caught_up;
        self.caught_up
    }
}

#[async_trait]
impl Follow for TailFollow {
    async fn next_page(&mut self, max: usize, max_wait: Duration) -> Result<Page, FollowError> {
        let items = match self.own_page(max, max_wait).await? {
            Some(page) => page.items.iter().filter_map(RawMessage::record).collect(),
            None => self.joined_page(max, max_wait, |(_, item)| item.clone()).await.0,
        };
        Ok(Page { items, caught_up: self.tell_caught_up() })
    }
}

fn lock(shared: &Shared) -> MutexGuard<'_, Kept> {
    shared.0.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use bytes::Bytes;

    use super::*;

    /// A page of the messages of these places.
    fn page(sequences: std::ops::RangeInclusive<Sequence>) -> TailPage {
        let message = |sequence| RawMessage::new(sequence, "elsewhere".into(), Bytes::new());
        TailPage::of(RawPage { items: sequences.map(message).collect(), caught_up: true, anew: false })
    }

    fn kept(pages: impl IntoIterator<Item = TailPage>) -> Kept {
        let mut kept = Kept::default();
        kept.begin(10);
        pages.into_iter().for_each(|page| kept.push(page));
        kept
    }

    #[test]
    fn a_reader_joins_at_the_page_that_holds_what_comes_next_and_nowhere_else() {
        let kept = kept([page(11..=20), page(21..=30)]);
        assert_eq!(
            [9, 10, 15, 20, 30, 31].map(|seen| kept.page_behind(seen)),
            [None, Some(0), Some(0), Some(1), Some(2), None]
        );
        assert!(kept.page(2).unwrap().is_none(), "it is still to come");
        assert!(kept.page(3).is_none());
    }

    #[test]
    fn an_empty_page_that_says_that_the_connection_is_another_one_stands_in_its_place() {
        let anew = TailPage::of(RawPage { items: Vec::new(), caught_up: true, anew: true });
        let kept = kept([page(11..=20), anew, page(21..=30)]);
        assert_eq!(kept.page_behind(19), Some(0));
        assert!(kept.page(1).unwrap().unwrap().anew);
        assert_eq!(kept.page_behind(20), Some(2));
    }

    #[test]
    fn what_is_too_much_goes_and_who_stood_there_must_read_for_itself() {
        let many = KEPT_MESSAGES_MAX as Sequence;
        let kept = kept([page(11..=10 + many), page(11 + many..=11 + many)]);
        assert!(kept.page(0).is_none(), "the first page has gone");
        assert_eq!([10, 10 + many].map(|seen| kept.page_behind(seen)), [None, Some(1)]);
    }

    #[test]
    fn when_the_end_is_lost_no_number_of_a_page_means_anything_any_more() {
        let mut kept = kept([page(11..=20)]);
        kept.give_up();
        assert_eq!((kept.page_behind(20), kept.page(0).is_none(), kept.page(1).is_none()), (None, true, true));
        kept.begin(5);
        kept.push(page(6..=7));
        assert!(kept.page(1).is_none(), "a reader that waited for the next page is not given another log's");
        assert_eq!(kept.page_behind(5), Some(2));
    }
}
