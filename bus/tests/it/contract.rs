//! One suite that both logs pass: the one on a server and its twin in memory.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::record::{Link, RECORD_BYTES_MAX, RecordHash};
use events::{Sequence, subject};
use futures::future::join_all;
use regflow_bus::testing::TestServer;
use regflow_bus::{AppendError, Bus, EventLog, FollowError, FollowItem, LoadError, MemoryLog};

use crate::records::{SHARD, maker_record, new_id, read, record, record_saying, sequences};

/// A log under test.
trait Kit {
    async fn new() -> Self;
    fn log(&self) -> Arc<dyn EventLog>;
    /// Stores anything on any subject, as an operator could.
    async fn store(&self, subject: String, payload: Bytes) -> Sequence;
}

struct Memory(MemoryLog);

impl Kit for Memory {
    async fn new() -> Self {
        std::future::ready(Self(MemoryLog::default())).await
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.0.clone())
    }

    async fn store(&self, subject: String, payload: Bytes) -> Sequence {
        std::future::ready(self.0.store_unchecked(subject, payload)).await
    }
}

struct Nats {
    bus: Bus,
    client: async_nats::jetstream::Context,
    _server: TestServer,
}

impl Kit for Nats {
    async fn new() -> Self {
        let server = TestServer::start().await.unwrap();
        let client = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
        Self { bus: server.bus().await.unwrap(), client, _server: server }
    }

    fn log(&self) -> Arc<dyn EventLog> {
        Arc::new(self.bus.log.clone())
    }

    async fn store(&self, subject: String, payload: Bytes) -> Sequence {
        self.client.publish(subject, payload).await.unwrap().await.unwrap().sequence
    }
}

macro_rules! contract {
    ($($test:ident)+) => {
        mod on_a_server { $(#[tokio::test] async fn $test() { super::$test::<super::Nats>().await })+ }
        mod in_memory { $(#[tokio::test] async fn $test() { super::$test::<super::Memory>().await })+ }
    };
}

contract! {
    a_record_decided_on_an_old_state_is_refused
    of_fifty_concurrent_appends_exactly_one_wins_each_sequence
    one_lost_race_does_not_fail_the_innocent_members_of_a_batch
    a_history_is_read_back_oldest_first_with_its_links
    a_registration_that_nobody_knows_has_no_history
    a_makers_records_are_guarded_and_followed_beside_those_of_registrations
    a_record_that_its_successor_was_not_chained_to_breaks_the_chain
    an_unreadable_record_stops_the_history_of_its_registration
    following_begins_at_a_sequence_and_goes_on_live
    following_an_empty_log_is_caught_up_at_once
    following_gives_pages_of_at_most_the_wanted_size
    following_passes_over_what_it_cannot_read_and_says_so
    following_from_beyond_the_end_means_that_the_log_was_cut
    an_oversized_record_is_refused_and_nothing_is_stored
    the_head_moves_and_the_incarnation_stays
}

async fn a_record_decided_on_an_old_state_is_refused<K: Kit>() {
    let (kit, id) = (K::new().await, new_id());
    let log = kit.log();
    let first = log.append(SHARD, id, &record(None)).await.unwrap();
    let second = log.append(SHARD, id, &record(Some(first))).await.unwrap();
    assert!(second.sequence > first.sequence);
    let late = log.append(SHARD, id, &record(Some(first))).await;
    assert!(matches!(late, Err(AppendError::Conflict { .. })), "{late:?}");
    let again = log.append(SHARD, id, &record(None)).await;
    assert!(matches!(again, Err(AppendError::Conflict { .. })), "{again:?}");
    assert_eq!(log.load(SHARD, id).await.unwrap().len(), 2);
}

async fn of_fifty_concurrent_appends_exactly_one_wins_each_sequence<K: Kit>() {
    let (kit, id) = (K::new().await, new_id());
    let log = kit.log();
    let mut last: Option<Link> = None;
    for round in 1..=3 {
        let records: Vec<_> = (0..50).map(|racer| record_saying(&racer.to_string(), last)).collect();
        let results = join_all(records.iter().map(|record| log.append(SHARD, id, record))).await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1, "round {round}");
        assert!(results.iter().all(|result| matches!(result, Ok(_) | Err(AppendError::Conflict { .. }))));
        last = won.first().copied().copied();
        assert_eq!(log.load(SHARD, id).await.unwrap().len(), round);
    }
}

async fn one_lost_race_does_not_fail_the_innocent_members_of_a_batch<K: Kit>() {
    let (kit, taken) = (K::new().await, new_id());
    let log = kit.log();
    log.append(SHARD, taken, &record(None)).await.unwrap();
    let mut ids: Vec<_> = (0..300).map(|_| new_id()).collect();
    ids[137] = taken;
    let fresh = record(None);
    let results = join_all(ids.iter().map(|id| log.append(SHARD, *id, &fresh))).await;
    for ((id, result), place) in ids.iter().zip(&results).zip(0..) {
        if place == 137 {
            assert!(matches!(result, Err(AppendError::Conflict { .. })), "{result:?}");
        } else {
            let stored = log.load(SHARD, *id).await.unwrap();
            assert_eq!(stored.iter().map(|stored| stored.link()).collect::<Vec<_>>(), [*result.as_ref().unwrap()]);
        }
    }
    let head = log.head().await.unwrap();
    assert_eq!(head.last_sequence, 300);
}

async fn a_history_is_read_back_oldest_first_with_its_links<K: Kit>() {
    let (kit, id, other) = (K::new().await, new_id(), new_id());
    let log = kit.log();
    let (mut links, mut records) = (Vec::new(), Vec::new());
    for text in ["one", "two", "three"] {
        log.append(SHARD, other, &record(log.load(SHARD, other).await.unwrap().last().map(|stored| stored.link())))
            .await
            .unwrap();
        records.push(record_saying(text, links.last().copied()));
        links.push(log.append(SHARD, id, records.last().unwrap()).await.unwrap());
    }
    let stored = log.load(SHARD, id).await.unwrap();
    assert_eq!(stored.iter().map(|stored| stored.link()).collect::<Vec<_>>(), links);
    assert!(stored.iter().all(|stored| stored.shard == SHARD && stored.registration == id));
    assert_eq!(stored.into_iter().map(|stored| stored.record).collect::<Vec<_>>(), records);
}

async fn a_makers_records_are_guarded_and_followed_beside_those_of_registrations<K: Kit>() {
    let kit = K::new().await;
    let log = kit.log();
    assert_eq!(log.last_of_maker(SHARD, "norrland").await.unwrap(), None);
    let first = log.append_maker(SHARD, "norrland", &maker_record(None)).await.unwrap();
    log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let late = log.append_maker(SHARD, "norrland", &maker_record(None)).await;
    assert!(matches!(late, Err(AppendError::Conflict { .. })), "{late:?}");
    let second = log.append_maker(SHARD, "norrland", &maker_record(Some(first))).await.unwrap();
    let last = log.last_of_maker(SHARD, "norrland").await.unwrap().unwrap();
    assert_eq!((last.link(), last.connector.as_str()), (second, "norrland"));
    let page = read(&mut *log.follow(0).await.unwrap(), 3).await;
    let kinds: Vec<_> = page.iter().map(|item| matches!(item, FollowItem::Maker(_))).collect();
    assert_eq!(kinds, [true, false, true]);
}

async fn a_registration_that_nobody_knows_has_no_history<K: Kit>() {
    assert_eq!(K::new().await.log().load(SHARD, new_id()).await, Ok(Vec::new()));
}

async fn a_record_that_its_successor_was_not_chained_to_breaks_the_chain<K: Kit>() {
    let (kit, id) = (K::new().await, new_id());
    let log = kit.log();
    let first = log.append(SHARD, id, &record(None)).await.unwrap();
    let forged = Link { hash: RecordHash([9; 32]), ..first };
    log.append(SHARD, id, &record(Some(forged))).await.unwrap();
    assert_eq!(log.load(SHARD, id).await, Err(LoadError::ChainBroken { sequence: first.sequence }));
    // a link to a record of somebody else
    let (one, two) = (new_id(), new_id());
    let others = log.append(SHARD, one, &record(None)).await.unwrap();
    let forged = record(Some(others)).encode().unwrap();
    kit.store(subject::registration(SHARD, two), forged).await;
    assert_eq!(log.load(SHARD, two).await, Err(LoadError::ChainBroken { sequence: others.sequence }));
}

async fn an_unreadable_record_stops_the_history_of_its_registration<K: Kit>() {
    let (kit, id) = (K::new().await, new_id());
    let sequence = kit.store(subject::registration(SHARD, id), Bytes::from_static(b"junk")).await;
    let refused = kit.log().load(SHARD, id).await;
    assert!(matches!(refused, Err(LoadError::Unreadable { sequence: at, .. }) if at == sequence), "{refused:?}");
}

async fn following_begins_at_a_sequence_and_goes_on_live<K: Kit>() {
    let kit = K::new().await;
    let log = kit.log();
    for _ in 0..3 {
        log.append(SHARD, new_id(), &record(None)).await.unwrap();
    }
    let mut follow = log.follow(2).await.unwrap();
    let page = follow.next_page(10, Duration::from_secs(5)).await.unwrap();
    let mut items = page.items;
    if items.len() < 2 {
        assert!(!page.caught_up);
        items.extend(read(follow.as_mut(), 1).await);
    }
    assert_eq!(sequences(&items), [2, 3]);
    let (id, live) = (new_id(), record(None));
    log.append(SHARD, id, &live).await.unwrap();
    let items = read(follow.as_mut(), 1).await;
    assert!(matches!(&items[..], [FollowItem::Record(stored)] if stored.registration == id && stored.record == live));
    let page = follow.next_page(10, Duration::from_millis(50)).await.unwrap();
    assert!(page.caught_up && page.items.is_empty());
}

async fn following_an_empty_log_is_caught_up_at_once<K: Kit>() {
    let kit = K::new().await;
    let mut follow = kit.log().follow(1).await.unwrap();
    let page = follow.next_page(10, Duration::from_millis(50)).await.unwrap();
    assert!(page.caught_up && page.items.is_empty());
}

async fn following_gives_pages_of_at_most_the_wanted_size<K: Kit>() {
    let kit = K::new().await;
    let log = kit.log();
    let fresh = record(None);
    join_all((0..40).map(|_| log.append(SHARD, new_id(), &fresh))).await.into_iter().for_each(|link| {
        link.unwrap();
    });
    let mut follow = log.follow(1).await.unwrap();
    let (mut seen, mut caught_up) = (0, false);
    while seen < 40 {
        assert!(!caught_up, "caught up only with the last of what was there");
        let page = follow.next_page(7, Duration::from_secs(5)).await.unwrap();
        assert!((1..=7).contains(&page.items.len()));
        seen += page.items.len();
        caught_up = page.caught_up;
    }
    assert!(caught_up);
}

async fn following_passes_over_what_it_cannot_read_and_says_so<K: Kit>() {
    let kit = K::new().await;
    let log = kit.log();
    log.append(SHARD, new_id(), &record(None)).await.unwrap();
    kit.store(subject::registration(SHARD, new_id()), Bytes::from_static(b"RF\x07junk")).await;
    log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let items = read(log.follow(0).await.unwrap().as_mut(), 3).await;
    assert_eq!(sequences(&items), [1, 2, 3]);
    assert!(
        matches!(&items[1], FollowItem::Unreadable { sequence: 2, reason } if reason.contains("version 7")),
        "{items:?}"
    );
    assert!(matches!(&items[2], FollowItem::Record(_)));
}

async fn following_from_beyond_the_end_means_that_the_log_was_cut<K: Kit>() {
    let kit = K::new().await;
    kit.log().append(SHARD, new_id(), &record(None)).await.unwrap();
    assert!(kit.log().follow(2).await.is_ok());
    assert_eq!(kit.log().follow(9).await.err(), Some(FollowError::Rewound { seen: 8, last: 1 }));
}

async fn an_oversized_record_is_refused_and_nothing_is_stored<K: Kit>() {
    let (kit, id) = (K::new().await, new_id());
    let log = kit.log();
    let large = record_saying(&"x".repeat(RECORD_BYTES_MAX), None);
    assert_eq!(log.append(SHARD, id, &large).await, Err(AppendError::TooLarge));
    let nearly = record_saying(&"x".repeat(RECORD_BYTES_MAX - 100), None);
    log.append(SHARD, id, &nearly).await.unwrap();
    assert_eq!(log.head().await.unwrap().last_sequence, 1);
}

async fn the_head_moves_and_the_incarnation_stays<K: Kit>() {
    let kit = K::new().await;
    let log = kit.log();
    let before = log.head().await.unwrap();
    assert_eq!(before.last_sequence, 0);
    log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let after = log.head().await.unwrap();
    assert_eq!((after.last_sequence, after.incarnation), (1, before.incarnation));
}
