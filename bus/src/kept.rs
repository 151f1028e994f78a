//! What one reader of the stream keeps for others: the pages that came last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Sequence;

use crate::log::FollowItem;
use crate::whole::{RawMessage, RawPage};

/// Messages that are kept for readers which are a little behind (some 1.5 KB each with what they say).
const KEPT_MESSAGES_MAX: usize = 8_192;
/// The same in bytes of the messages, because one can be large.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Messages that a reader for others takes in at once.
pub(crate) const PAGE_MESSAGES_MAX: usize = 1_024;
/// How long its page waits for a first message.
pub(crate) const PAGE_WAIT: Duration = Duration::from_secs(1);

/// What came last, for whoever reads it.
#[derive(Default)]
pub(crate) struct Shared(Mutex<Kept>);

impl Shared {
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came last.
#[derive(Default)]
pub(crate) struct Kept {
    /// Without a gap between them.
    pages: VecDeque<Arc<KeptPage>>,
    /// The number of the first one.
    first: u64,
    messages: usize,
    bytes: usize,
    /// The place before the first one, and the last that was read; nothing while the end of the stream is not known.
    span: Option<(Sequence, Sequence)>,
}

/// A page for all.
pub(crate) struct KeptPage {
    pub last: Sequence,
    bytes: usize,
    pub messages: Vec<(RawMessage, Option<FollowItem>)>,
    /// As in [`RawPage`].
    pub anew: bool,
}

impl KeptPage {
    pub fn of(page: RawPage) -> Self {
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
    pub fn begin(&mut self, at: Sequence) {
        self.span = Some((at, at));
    }

    /// Everything goes, also the numbers of pages that readers remember.
    pub fn give_up(&mut self) {
        self.first += self.pages.len() as u64 + 1;
        self.pages.clear();
        (self.messages, self.bytes, self.span) = (0, 0, None);
    }

    pub fn push(&mut self, page: KeptPage) {
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

    /// The first page that is kept when as many come as there are in half of the room.
    pub fn room(&self) -> u64 {
        let (mut messages, mut bytes, mut first) = (self.messages, self.bytes, self.first);
        for page in &self.pages {
            if messages <= KEPT_MESSAGES_MAX / 2 && bytes <= KEPT_BYTES_MAX / 2 {
                break;
            }
            (messages, bytes, first) = (messages - page.messages.len(), bytes - page.bytes, first + 1);
        }
        first
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
    pub fn page_behind(&self, seen: Sequence) -> Option<u64> {
        let (before, last) = self.span?;
        let passed = self.pages.iter().take_while(|page| page.last <= seen).count();
        (before <= seen && seen <= last).then_some(self.first + passed as u64)
    }

    /// The page of that number: nothing yet, or nothing any more.
    pub fn page(&self, number: u64) -> Option<Option<Arc<KeptPage>>> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (place <= self.pages.len() && self.span.is_some()).then(|| self.pages.get(place).cloned())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use bytes::Bytes;

    use super::*;

    /// A page of the messages of these places.
    fn page(sequences: std::ops::RangeInclusive<Sequence>) -> KeptPage {
        let message = |sequence| RawMessage::new(sequence, "elsewhere".into(), Bytes::new());
        KeptPage::of(RawPage { items: sequences.map(message).collect(), caught_up: true, anew: false })
    }

    fn kept(pages: impl IntoIterator<Item = KeptPage>) -> Kept {
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
        let anew = KeptPage::of(RawPage { items: Vec::new(), caught_up: true, anew: true });
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
    fn room_for_half_of_all_is_made_of_the_oldest_pages() {
        let half = KEPT_MESSAGES_MAX as Sequence / 2;
        let kept = kept([page(11..=20), page(21..=20 + half)]);
        assert_eq!(kept.room(), 1, "ten more than half are kept");
        assert_eq!(self::kept([page(11..=10 + half)]).room(), 0);
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
