//! Under load a process does not read back what it has stored itself, and misses nothing of what others store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use events::Sequence;
use events::subject::EVENTS_STREAM;
use regflow_bus::testing::TestServer;
use regflow_bus::{EventLog, Follow, NatsLog};
use tokio::task::JoinSet;

use crate::records::{SHARD, SOON, new_id, read, record, sequences};

/// Appends that wait at once.
const AT_ONCE: usize = 40;
/// How long until nobody reads: sooner than the server forgets a consumer that a restart has left behind.
const LOADED_WITHIN: Duration = Duration::from_secs(25);

/// Stores records all the time until it is told to stop; gives the last place.
struct Load {
    stop: Arc<AtomicBool>,
    writers: JoinSet<Sequence>,
}

impl Load {
    fn start(log: &NatsLog) -> Self {
        let (stop, mut writers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
        for _ in 0..AT_ONCE {
            let (log, stop) = (log.clone(), Arc::clone(&stop));
            writers.spawn(async move {
                let mut last = 0;
                while !stop.load(Ordering::Relaxed) {
                    last = log.append(SHARD, new_id(), &record(None)).await.unwrap().sequence;
                }
                last
            });
        }
        Self { stop, writers }
    }

    async fn end(self) -> Sequence {
        self.stop.store(true, Ordering::Relaxed);
        self.writers.join_all().await.into_iter().max().unwrap()
    }
}

/// Reads on until nobody reads from the server any more.
async fn read_until_nobody_reads(server: &TestServer, follow: &mut dyn Follow, read: &mut Vec<Sequence>) {
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut stream = jetstream.get_stream(EVENTS_STREAM).await.unwrap();
    let reading = async {
        while stream.info().await.unwrap().state.consumer_count > 0 {
            read.extend(sequences(&follow.next_page(1_000, Duration::from_millis(5)).await.unwrap().items));
        }
    };
    tokio::time::timeout(LOADED_WITHIN, reading).await.expect("under load nothing is read back");
}

async fn read_up_to(follow: &mut dyn Follow, last: Sequence, read: &mut Vec<Sequence>) {
    let missing = usize::try_from(last).unwrap() - read.len();
    read.extend(sequences(&self::read(follow, missing).await));
}

#[tokio::test]
async fn what_others_store_meanwhile_and_afterwards_is_read_in_its_place() {
    let server = TestServer::start().await.unwrap();
    let (bus, other) = (server.bus().await.unwrap(), server.bus().await.unwrap());
    let (mut follow, mut read) = (bus.log.follow(0).await.unwrap(), Vec::new());
    let load = Load::start(&bus.log);
    read_until_nobody_reads(&server, follow.as_mut(), &mut read).await;
    let theirs = other.log.append(SHARD, new_id(), &record(None)).await.unwrap().sequence;
    read_up_to(follow.as_mut(), theirs, &mut read).await;
    let last = load.end().await;
    read_up_to(follow.as_mut(), last, &mut read).await;
    let theirs = other.log.append(SHARD, new_id(), &record(None)).await.unwrap().sequence;
    read_up_to(follow.as_mut(), theirs, &mut read).await;
    assert_eq!(read, Vec::from_iter(1..=theirs));
}

#[tokio::test]
async fn who_goes_silent_sees_what_others_store() {
    let server = TestServer::start().await.unwrap();
    let (bus, other) = (server.bus().await.unwrap(), server.bus().await.unwrap());
    let (mut follow, mut read) = (bus.log.follow(0).await.unwrap(), Vec::new());
    let load = Load::start(&bus.log);
    read_until_nobody_reads(&server, follow.as_mut(), &mut read).await;
    let last = load.end().await;
    let theirs = other.log.append(SHARD, new_id(), &record(None)).await.unwrap().sequence;
    assert_eq!(theirs, last + 1);
    read_up_to(follow.as_mut(), theirs, &mut read).await;
    assert_eq!(read, Vec::from_iter(1..=theirs));
}

#[tokio::test]
async fn a_server_that_is_started_again_is_read_from_and_may_be_left_alone_again() {
    let server = TestServer::start().await.unwrap();
    let (bus, other) = (server.bus().await.unwrap(), server.bus().await.unwrap());
    let (mut follow, mut read) = (bus.log.follow(0).await.unwrap(), Vec::new());
    for _ in 0..2 {
        let load = Load::start(&bus.log);
        read_until_nobody_reads(&server, follow.as_mut(), &mut read).await;
        let last = load.end().await;
        server.restart().await;
        let stored = async {
            loop {
                match other.log.append(SHARD, new_id(), &record(None)).await {
                    Ok(link) => return link.sequence,
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let theirs = tokio::time::timeout(SOON, stored).await.unwrap();
        assert!(theirs > last);
        read_up_to(follow.as_mut(), theirs, &mut read).await;
    }
    assert_eq!(read, Vec::from_iter(1..=read.len() as u64));
}
