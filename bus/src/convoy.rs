//! Readers that are behind and at the same place, as those of views are that are built anew, go on together: the stream is read
//! once for all of them. Who is much slower than the others is left behind and reads for itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use events::Sequence;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::follow::NatsFollow;
use crate::kept::{KeptPage, PAGE_MESSAGES_MAX, PAGE_WAIT, Shared};

/// How long those who are faster wait for who would be left behind by the next page.
const PATIENCE: Duration = Duration::from_millis(100);

/// Those who go together.
pub(crate) struct Convoy {
    shared: Arc<Shared>,
    news: watch::Receiver<u64>,
    members: Arc<Members>,
    _reading: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct Members {
    /// The pages that they take from next; gone with their owners.
    at: Mutex<Vec<Weak<AtomicU64>>>,
    moved: Notify,
}

/// A place in the convoy. The reader ends with the last one.
pub(crate) struct Member {
    convoy: Arc<Convoy>,
    at: Arc<AtomicU64>,
}

/// Where those who go together stand.
struct Span {
    first: u64,
    last: u64,
}

impl Convoy {
    /// Begins to read behind a place with `follow`; gives the first place in it, before page 0.
    pub fn start(follow: NatsFollow, after: Sequence) -> Member {
        let (sender, news) = watch::channel(0);
        let (shared, members, at) = (Arc::<Shared>::default(), Arc::<Members>::default(), Arc::default());
        shared.lock().begin(after);
        members.add(&at);
        let reader = Reader { shared: Arc::clone(&shared), sender, members: Arc::clone(&members) };
        let reading = AbortOnDropHandle::new(tokio::spawn(reader.run(follow)));
        Member { convoy: Arc::new(Self { shared, news, members, _reading: reading }), at }
    }

    /// A place in it for who has seen everything up to here, if it comes by there.
    pub fn join(self: &Arc<Self>, seen: Sequence) -> Option<(Member, u64)> {
        // a reader that has ended brings nothing any more
        self.news.has_changed().ok()?;
        let kept = self.shared.lock();
        let page = kept.page_behind(seen)?;
        let at = Arc::new(AtomicU64::new(page));
        // before anything goes that it needs
        self.members.add(&at);
        Some((Member { convoy: Arc::clone(self), at }, page))
    }
}

impl Member {
    /// The convoy, for others who come.
    pub fn convoy(&self) -> Weak<Convoy> {
        Arc::downgrade(&self.convoy)
    }

    pub fn kept(&self) -> Arc<Shared> {
        Arc::clone(&self.convoy.shared)
    }

    pub fn news(&self) -> watch::Receiver<u64> {
        self.convoy.news.clone()
    }

    /// It has come to this page.
    pub fn at(&self, page: u64) {
        self.at.store(page, Ordering::Relaxed);
        self.convoy.members.moved.notify_one();
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // it still counts while this runs, and nobody is told again after it
        self.at.store(u64::MAX, Ordering::Relaxed);
        self.convoy.members.moved.notify_one();
    }
}

impl Members {
    fn add(&self, at: &Arc<AtomicU64>) {
        self.at.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(at));
    }

    /// Nothing when all have left.
    fn span(&self) -> Option<Span> {
        let mut members = self.at.lock().unwrap_or_else(PoisonError::into_inner);
        members.retain(|member| member.strong_count() > 0);
        let places = || members.iter().filter_map(Weak::upgrade).map(|at| at.load(Ordering::Relaxed));
        Some(Span { first: places().min()?, last: places().max()? })
    }
}

/// Reads for all.
struct Reader {
    shared: Arc<Shared>,
    sender: watch::Sender<u64>,
    members: Arc<Members>,
}

impl Reader {
    async fn run(self, mut follow: NatsFollow) {
        loop {
            match follow.next_raw(PAGE_MESSAGES_MAX, PAGE_WAIT).await {
                Ok(page) if page.items.is_empty() && !page.anew => {}
                Ok(page) => self.shared.lock().push(KeptPage::of(page)),
                Err(error) => {
                    tracing::debug!(%error, "a shared reading of the log ends; its readers look for themselves");
                    self.shared.lock().give_up();
                    self.tell();
                    return;
                }
            }
            self.tell();
            // who is left behind gets on alone
            let all_are_near = timeout(PATIENCE, self.until(|span, room| span.first >= room)).await;
            if all_are_near == Ok(false) || !self.until(|span, room| span.last >= room).await {
                return;
            }
        }
    }

    fn tell(&self) {
        self.sender.send_modify(|count| *count += 1);
    }

    /// Waits until the members are as far as is wanted; `room`: the first page that stays with the next ones. False when all
    /// have left.
    async fn until(&self, is_far_enough: impl Fn(&Span, u64) -> bool) -> bool {
        loop {
            let moved = self.members.moved.notified();
            let room = self.shared.lock().room();
            match self.members.span() {
                Some(span) if is_far_enough(&span, room) => return true,
                Some(_) => moved.await,
                None => return false,
            }
        }
    }
}
