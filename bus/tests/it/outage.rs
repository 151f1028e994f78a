//! A server that lives but does not answer: what was sent is unknown, and is looked up when it answers again.

use std::time::Duration;

use events::subject::EVENTS_STREAM;
use regflow_bus::testing::TestServer;
use regflow_bus::{AppendError, EventLog, FollowError};

use crate::embedded::{append_soon, signal};
use crate::records::{SHARD, SOON, new_id, read, record, sequences};

/// Longer than the wait for an acknowledgement, shorter than that and the search after it.
const OUTAGE: Duration = Duration::from_millis(4_700);

#[tokio::test]
async fn a_lost_acknowledgement_is_settled_by_reading_what_is_stored() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (id, sent) = (new_id(), record(None));
    signal("STOP", server.embedded.pid());
    let outage = async {
        // the length of the outage is what is tested, not a wait for something
        tokio::time::sleep(OUTAGE).await;
        signal("CONT", server.embedded.pid());
    };
    let (appended, ()) = tokio::join!(bus.log.append(SHARD, id, &sent), outage);
    let history = bus.log.load(SHARD, id).await.unwrap();
    assert_eq!(history.iter().map(|stored| stored.link()).collect::<Vec<_>>(), [appended.unwrap()]);
}

#[tokio::test]
async fn a_wedged_server_leaves_an_append_unknown_and_works_after_a_restart() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    signal("STOP", server.embedded.pid());
    let fresh = record(None);
    let appended = tokio::time::timeout(Duration::from_secs(9), bus.log.append(SHARD, new_id(), &fresh)).await;
    assert_eq!(appended.expect("an answer in time"), Err(AppendError::Unknown));
    server.restart().await;
    append_soon(&bus.log).await;
    assert_eq!(server.embedded.restarts(), 1);
}

#[tokio::test]
async fn while_the_server_is_away_an_append_is_refused_at_once() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    server.embedded.stop().await;
    let gone = async {
        while bus.is_connected() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), gone).await.unwrap();
    let started = std::time::Instant::now();
    let refused = bus.log.append(SHARD, new_id(), &record(None)).await;
    assert!(matches!(refused, Err(AppendError::Unavailable(_))), "{refused:?}");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn who_read_a_stream_that_was_replaced_is_not_led_on_by_those_who_began_anew() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let mut follow = bus.log.follow(0).await.unwrap();
    for _ in 0..3 {
        bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    }
    assert_eq!(sequences(&read(follow.as_mut(), 3).await), [1, 2, 3]);

    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    jetstream.delete_stream(EVENTS_STREAM).await.unwrap();
    let other = server.bus().await.unwrap();
    // the end of the new stream is read again, for all of that process
    let begun_anew = async {
        let mut stream = jetstream.get_stream(EVENTS_STREAM).await.unwrap();
        while stream.info().await.unwrap().state.consumer_count == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, begun_anew).await.expect("somebody reads");
    // and has come by the place where ours stands
    for _ in 0..5 {
        other.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    }
    assert_eq!(sequences(&read(bus.log.follow(3).await.unwrap().as_mut(), 3).await), [3, 4, 5]);

    let led_on = async {
        loop {
            match follow.next_page(10, Duration::from_millis(50)).await {
                Ok(page) => assert!(page.items.is_empty(), "{:?}", sequences(&page.items)),
                Err(error) => return error,
            }
        }
    };
    assert_eq!(tokio::time::timeout(SOON, led_on).await.expect("it is told"), FollowError::Replaced);
}
