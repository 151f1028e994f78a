//! Which records a replay hands out, and that it ends.

use bus::testing::TestServer;
use bus::{AppendError, EventLog, FollowItem, ReadOnlyLog, ReadOptions};
use events::{Event, RegistrationId, Sequence, Timestamp};
use regflow_audit::{About, Moment, Replay, ReplayError, Wish, place_of};
use uuid::Uuid;

use crate::story::{BEGIN, SHARDS, Teller};

const STEPS: usize = 1_500;

async fn all(log: &dyn EventLog, wish: Wish) -> Vec<FollowItem> {
    let mut replay = Replay::open(log, wish, SHARDS).await.unwrap();
    let mut items = Vec::new();
    while let Some(page) = replay.next_page().await.unwrap() {
        assert!(page.len() <= regflow_audit::PAGE_RECORDS, "a page is bounded");
        items.extend(page);
    }
    items
}

async fn about(log: &dyn EventLog, about: About) -> Vec<FollowItem> {
    all(log, Wish { about, ..Wish::default() }).await
}

fn sequences(items: &[FollowItem]) -> Vec<Sequence> {
    items.iter().map(FollowItem::sequence).collect()
}

async fn story(steps: usize) -> Teller {
    let mut teller = Teller::new(7);
    for _ in 0..steps {
        teller.tell().await;
    }
    teller
}

fn registration_of(item: &FollowItem) -> Option<RegistrationId> {
    if let FollowItem::Record(stored) = item { Some(stored.registration) } else { None }
}

fn shard_of(item: &FollowItem) -> events::Shard {
    if let FollowItem::Record(stored) = item { stored.shard } else { events::Shard(0) }
}

#[tokio::test]
async fn everything_comes_in_the_order_of_the_log_and_then_it_ends() {
    let teller = story(STEPS).await;
    let items = about(&teller.log, About::Everything).await;
    assert_eq!(sequences(&items), (1..=STEPS as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_is_stored_after_its_begin_does_not_come() {
    let mut teller = story(20).await;
    let mut replay = Replay::open(&teller.log, Wish::default(), SHARDS).await.unwrap();
    for _ in 0..20 {
        teller.tell().await;
    }
    let mut items = Vec::new();
    while let Some(page) = replay.next_page().await.unwrap() {
        items.extend(page);
    }
    assert_eq!((replay.range(), sequences(&items).last().copied()), ((1, 20), Some(20)));
}

#[tokio::test]
async fn a_registrations_records_come_with_and_without_its_shard_and_within_a_range() {
    let teller = story(STEPS).await;
    let id = teller.ids[3];
    let everything = about(&teller.log, About::Everything).await;
    let own: Vec<_> = everything.into_iter().filter(|item| registration_of(item) == Some(id)).collect();
    assert!(own.len() > 2);
    assert_eq!(about(&teller.log, About::Registration { id, shard: None }).await, own);
    let shard = if let FollowItem::Record(stored) = &own[0] { stored.shard } else { unreachable!() };
    let second = own[1].sequence();
    let until = Some(Moment::Sequence(second));
    let wish = Wish { about: About::Registration { id, shard: Some(shard) }, until, from: until };
    assert_eq!(all(&teller.log, wish).await, own[1..2]);
    let nobody = RegistrationId(Uuid::from_u128(1));
    let refused = Replay::open(
        &teller.log,
        Wish { about: About::Registration { id: nobody, shard: None }, ..Wish::default() },
        SHARDS,
    );
    assert!(matches!(refused.await, Err(ReplayError::NotFound(id)) if id == nobody));
}

#[tokio::test]
async fn a_persons_records_are_those_of_the_tenant_and_no_others_also_in_the_middle_of_the_log() {
    let teller = story(STEPS).await;
    let everything = about(&teller.log, About::Everything).await;
    let is_theirs = |item: &&FollowItem| {
        let place = registration_of(item).and_then(|id| teller.ids.iter().position(|other| *other == id));
        place.is_some_and(|place| Teller::owner(place) == Teller::owner(2) && !place.is_multiple_of(5))
    };
    let theirs: Vec<_> = everything.iter().filter(is_theirs).cloned().collect();
    let person = About::Person { tenant: "shop".into(), owner_ref: Teller::owner(2), known: None };
    assert!(theirs.len() > 20);
    assert_eq!(about(&teller.log, person.clone()).await, theirs);
    // who knows the registrations gets the same without reading everything
    let mut known: Vec<_> = theirs.iter().filter_map(|item| Some((shard_of(item), registration_of(item)?))).collect();
    known.sort_unstable();
    known.dedup();
    let looked_up = About::Person { tenant: "shop".into(), owner_ref: Teller::owner(2), known: Some(known) };
    assert_eq!(about(&teller.log, looked_up).await, theirs);
    // registrations that began before the range count as well
    let later = theirs[theirs.len() / 2].sequence();
    let wish = Wish { about: person, from: Some(Moment::Sequence(later)), until: None };
    assert_eq!(all(&teller.log, wish).await, theirs[theirs.len() / 2..]);
}

#[tokio::test]
async fn a_makers_own_records_come_alone_or_with_its_registrations() {
    let teller = story(STEPS).await;
    let everything = about(&teller.log, About::Everything).await;
    let is_own = |item: &FollowItem| matches!(item, FollowItem::Maker(stored) if stored.connector == "kestrel");
    let is_its = |item: &FollowItem| {
        let place = registration_of(item).and_then(|id| teller.ids.iter().position(|other| *other == id));
        place.is_some_and(|place| Teller::connector(place) == "kestrel")
    };
    let own: Vec<_> = everything.iter().filter(|item| is_own(item)).cloned().collect();
    let with: Vec<_> = everything.iter().filter(|item| is_own(item) || is_its(item)).cloned().collect();
    assert!(!own.is_empty() && with.len() > own.len());
    let maker = |with_registrations| About::Maker { connector: "kestrel".into(), with_registrations };
    assert_eq!(about(&teller.log, maker(false)).await, own);
    assert_eq!(about(&teller.log, maker(true)).await, with);
}

#[tokio::test]
async fn a_range_of_time_holds_what_was_decided_in_it() {
    let teller = story(STEPS).await;
    let everything = about(&teller.log, About::Everything).await;
    let at = |item: &FollowItem| match item {
        FollowItem::Record(stored) => stored.record.at,
        FollowItem::Maker(stored) => stored.record.at,
        FollowItem::Unreadable { .. } => Timestamp(0),
    };
    let (from, until) = (at(&everything[500]), at(&everything[1_200]));
    let wish = Wish { about: About::Everything, from: Some(Moment::Time(from)), until: Some(Moment::Time(until)) };
    assert_eq!(sequences(&all(&teller.log, wish).await), (501..=1_201).collect::<Vec<_>>());
    assert_eq!(place_of(&teller.log, Timestamp(BEGIN.0 - 1), STEPS as u64).await.unwrap(), 0);
    assert_eq!(place_of(&teller.log, Timestamp(i64::MAX), STEPS as u64).await.unwrap(), STEPS as u64);
}

/// Messages that are no records, more than one look of the search holds.
fn store_unreadable(log: &bus::MemoryLog) {
    for _ in 0..70 {
        log.store_unchecked("ops.pause".into(), bytes::Bytes::from_static(b"RF"));
    }
}

#[tokio::test]
async fn a_time_is_found_between_messages_that_cannot_be_read() {
    let mut teller = Teller::new(7);
    for _ in 0..4 {
        store_unreadable(&teller.log);
        for _ in 0..5 {
            teller.tell().await;
        }
    }
    store_unreadable(&teller.log);
    let head = teller.log.head().await.unwrap().last_sequence;
    let records: Vec<(Sequence, Timestamp)> = about(&teller.log, About::Everything)
        .await
        .iter()
        .filter_map(|item| match item {
            FollowItem::Record(stored) => Some((stored.sequence, stored.record.at)),
            FollowItem::Maker(stored) => Some((stored.sequence, stored.record.at)),
            FollowItem::Unreadable { .. } => None,
        })
        .collect();
    assert_eq!((records.len(), head), (20, 370));
    for time in records.iter().flat_map(|(_, at)| [Timestamp(at.0 - 1), *at]) {
        let later = records.iter().find(|(_, at)| *at > time);
        let wanted = later.map_or(head, |(sequence, _)| sequence - 1);
        assert_eq!(place_of(&teller.log, time, head).await.unwrap(), wanted, "{time}");
    }
}

#[tokio::test]
async fn a_range_that_holds_nothing_ends_at_once() {
    let teller = story(10).await;
    for (from, until) in [(11, 20), (5, 4), (u64::MAX, u64::MAX)] {
        let (from, until) = (Some(Moment::Sequence(from)), Some(Moment::Sequence(until)));
        assert_eq!(all(&teller.log, Wish { about: About::Everything, from, until }).await, []);
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_shown_in_its_place_and_only_to_who_wants_everything() {
    let teller = story(3).await;
    let sequence = teller.log.store_unchecked("ops.pause".into(), bytes::Bytes::from_static(b"RF"));
    let items = about(&teller.log, About::Everything).await;
    assert!(matches!(items.last(), Some(FollowItem::Unreadable { sequence: at, .. }) if *at == sequence));
    let maker = About::Maker { connector: "kestrel".into(), with_registrations: true };
    assert!(about(&teller.log, maker).await.iter().all(|item| item.sequence() < sequence));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_server_is_replayed_without_keys_or_lease_and_cannot_be_appended_to() {
    let mut teller = story(1_200).await;
    let server = TestServer::start().await.unwrap();
    let empty = ReadOnlyLog::open(&server.url(), ReadOptions::default()).await;
    assert!(empty.is_err_and(|error| error.to_string().contains("cannot read the end of the log")));
    let bus = server.bus().await.unwrap();
    for item in about(&teller.log, About::Everything).await {
        // written through the real append, so that the places and the chain are the same
        match item {
            FollowItem::Record(stored) => {
                let link = bus.log.append(stored.shard, stored.registration, &stored.record).await.unwrap();
                assert_eq!(link.sequence, stored.sequence);
            }
            FollowItem::Maker(stored) => {
                let shard = events::Shard::of(&stored.connector, SHARDS);
                bus.log.append_maker(shard, &stored.connector, &stored.record).await.unwrap();
            }
            FollowItem::Unreadable { .. } => unreachable!(),
        }
    }
    let log = ReadOnlyLog::open(&server.url(), ReadOptions::default()).await.unwrap();
    for wish in [
        About::Everything,
        About::Registration { id: teller.ids[1], shard: None },
        About::Person { tenant: "shop".into(), owner_ref: Teller::owner(1), known: None },
        About::Maker { connector: "norrland".into(), with_registrations: true },
    ] {
        assert_eq!(about(&log, wish.clone()).await, about(&teller.log, wish).await);
    }
    let time = BEGIN.plus(std::time::Duration::from_secs(6_000));
    let found = place_of(&log, time, 1_200).await.unwrap();
    assert!(found > 0 && found < 1_200);
    assert_eq!(found, place_of(&teller.log, time, 1_200).await.unwrap());
    teller.submit().await;
    let history = about(&teller.log, About::Everything).await;
    let Some(FollowItem::Record(last)) = history.last() else { unreachable!() };
    assert!(matches!(last.record.events[0], Event::Submitted(_)));
    let refused = log.append(last.shard, last.registration, &last.record).await;
    assert!(matches!(refused, Err(AppendError::Refused(reason)) if reason.contains("for reading only")));
}
