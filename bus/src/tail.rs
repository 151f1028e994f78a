//! The end of the stream, read once for all readers of this process.
//!
//! Engine, views, notifications and the verifier all want each message soon after it is stored. With a consumer each, the
//! server would send, and we would parse, every message five times. So one reader goes ahead and keeps what came last; who
//! is further behind reads the stream in a [convoy](crate::convoy), or for itself, until it has caught up with that. Under load
//! what this process stores itself is not read at all: its acknowledgement tells it (`echo.rs`).

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use events::Sequence;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::Connection;
use crate::convoy::{Convoy, Member};
use crate::echo::{Ear, Echo, echo};
use crate::follow::NatsFollow;
use crate::kept::{KeptPage, PAGE_MESSAGES_MAX, PAGE_WAIT, Shared};
use crate::log::{Follow, FollowError, FollowItem, Head, Page};
use crate::nats_log::head;
use crate::whole::{RawMessage, RawPage};

/// Pause before the end of the stream is looked for again.
const PAUSE: Duration = Duration::from_secs(1);

/// The end of the stream; clones share it. Reading begins with the first who asks, and ends with the last handle.
#[derive(Clone)]
pub(crate) struct Tail(Arc<Handle>);

struct Handle {
    connection: Connection,
    shared: Arc<Shared>,
    /// The last one that started.
    convoy: Mutex<Weak<Convoy>>,
    /// Changes with each page; ends with the reader.
    news: OnceLock<watch::Receiver<u64>>,
    echo: Echo,
    /// Nothing once reading has begun.
    ear: Mutex<Option<Ear>>,
    end: CancellationToken,
    _end: DropGuard,
}

/// Where a reader of what another one keeps stands.
struct Joined {
    kept: Arc<Shared>,
    /// The number of the page that it takes from next.
    page: u64,
    news: watch::Receiver<u64>,
    /// Nothing at the end of the stream.
    member: Option<Member>,
}

/// One reader: of the tail, or of a convoy or the stream itself while it is too far behind.
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
        let (echo, ear) = echo();
        let (convoy, ear) = (Mutex::default(), Mutex::new(Some(ear)));
        Self(Arc::new(Handle { connection, shared, convoy, news, echo, ear, end, _end }))
    }

    /// Where whoever stores something tells so.
    pub fn echo(&self) -> Echo {
        self.0.echo.clone()
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
            None => Way::Joined(self.join_convoy(after, start).await?),
        };
        Ok(TailFollow { tail: self.clone(), way, seen: after, start, caught_up, told: false, anew: true })
    }

    /// Begins to read at the end of the stream.
    fn start(&self, head: Head) -> watch::Receiver<u64> {
        let (sender, news) = watch::channel(0);
        let follow = NatsFollow::behind(self.0.connection.clone(), head.last_sequence, head);
        self.0.shared.lock().begin(head.last_sequence);
        let ear = self.0.ear.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_else(|| echo().1);
        let reader = Reader { connection: self.0.connection.clone(), shared: Arc::clone(&self.0.shared), sender, ear };
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
        let page = self.0.shared.lock().page_behind(seen)?;
        Some(Joined { kept: Arc::clone(&self.0.shared), page, news, member: None })
    }

    /// A way on behind `seen` together with who is there, or may come.
    async fn join_convoy(&self, seen: Sequence, start: Head) -> Result<Joined, FollowError> {
        let present = self.convoy().upgrade().and_then(|convoy| convoy.join(seen));
        if let Some((member, page)) = present {
            return Ok(Joined::of(member, page));
        }
        let follow = NatsFollow::open(self.0.connection.clone(), seen, start).await?;
        let mut last = self.convoy();
        // somebody else may have started meanwhile
        if let Some((member, page)) = last.upgrade().and_then(|convoy| convoy.join(seen)) {
            return Ok(Joined::of(member, page));
        }
        let member = Convoy::start(follow, seen);
        *last = member.convoy();
        Ok(Joined::of(member, 0))
    }

    fn convoy(&self) -> MutexGuard<'_, Weak<Convoy>> {
        self.0.convoy.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Joined {
    fn of(member: Member, page: u64) -> Self {
        Self { kept: member.kept(), page, news: member.news(), member: Some(member) }
    }
}

/// Reads ahead.
struct Reader {
    connection: Connection,
    shared: Arc<Shared>,
    sender: watch::Sender<u64>,
    ear: Ear,
}

impl Reader {
    async fn run(mut self, mut follow: NatsFollow) {
        loop {
            match follow.next_raw(PAGE_MESSAGES_MAX, PAGE_WAIT).await {
                Ok(page) => {
                    self.keep(page);
                    follow = self.listen(follow).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the end of the log is lost; its readers look for themselves");
                    self.shared.lock().give_up();
                    self.tell();
                    follow = self.find_the_end().await;
                }
            }
        }
    }

    /// While all that comes is told, that is kept; then the reading goes on behind it.
    async fn listen(&mut self, follow: NatsFollow) -> NatsFollow {
        let mut seen = follow.seen();
        let Some(connection) = follow.compared_over() else { return follow };
        if !self.ear.hears_all_behind(seen, connection) {
            return follow;
        }
        let start = follow.end();
        while let Some(items) = self.ear.next(seen, connection).await {
            seen = items.last().map_or(seen, |message| message.sequence);
            self.keep(RawPage { items, caught_up: true, anew: false });
        }
        self.ear.stop();
        NatsFollow::behind(self.connection.clone(), seen, start)
    }

    fn keep(&self, page: RawPage) {
        if !page.items.is_empty() || page.anew {
            self.shared.lock().push(KeptPage::of(page));
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
                self.shared.lock().begin(head.last_sequence);
                return NatsFollow::behind(self.connection.clone(), head.last_sequence, head);
            }
        }
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

    /// A page of its own reader; nothing when it goes with others.
    async fn own_page(&mut self, max: usize, max_wait: Duration) -> Result<Option<RawPage>, FollowError> {
        self.catch_up();
        let Way::Own(follow) = &mut self.way else { return Ok(None) };
        let page = follow.next_raw(max, max_wait).await?;
        self.seen = page.items.last().map_or(self.seen, |message| message.sequence);
        self.caught_up |= page.caught_up;
        Ok(Some(page))
    }

    /// On by the tail as soon as it can be reached.
    fn catch_up(&mut self) {
        let is_behind = match &self.way {
            // who looks for itself has first to see that the stream is still the same
            Way::Own(follow) => follow.compared_over().is_some(),
            Way::Joined(joined) => joined.member.is_some(),
        };
        if let Some(joined) = is_behind.then(|| self.tail.join(self.seen)).flatten() {
            self.way = Way::Joined(joined);
            self.anew = true;
        }
    }

    /// What others have read, as far as `pick` wants it; and whether the consumer was made anew.
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
            let page = joined.kept.lock().page(joined.page);
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
                    joined.member.iter().for_each(|member| member.at(joined.page));
                }
                Some(None) if taken > 0 || anew => break,
                // who waits for the end of an empty log need not wait for a first message
                Some(None) if self.caught_up && !self.told => break,
                Some(None) => match timeout_at(deadline, joined.news.changed()).await {
                    Ok(Ok(())) => {}
                    // the end that was there at the start may have gone since: who reads for itself finds out, as a
                    // convoy does
                    Err(_) if self.caught_up || joined.member.is_some() => break,
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
