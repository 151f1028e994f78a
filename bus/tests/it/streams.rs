//! Topology, safety of writes and group commit on a real server.

use std::collections::HashSet;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Config;
use events::seal::MasterKey;
use events::subject::{EVENTS_STREAM, NOTIFY_STREAM};
use futures::TryStreamExt;
use futures::future::join_all;
use regflow_bus::testing::TestServer;
use regflow_bus::{
    Bus, BusError, BusOptions, DiskSync, Durability, Embedded, EmbeddedOptions, EventLog, Topology, TopologyError,
    Writes, raw_ceiling,
};

use crate::records::{SHARD, new_id, read, record, record_saying, sequences};

#[tokio::test]
async fn streams_are_made_once_and_found_again() {
    let server = TestServer::start().await.unwrap();
    let first = server.bus().await.unwrap();
    let link = first.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let second = server.bus().await.unwrap();
    let (one, two) = (first.log.head().await.unwrap(), second.log.head().await.unwrap());
    assert_eq!((one, one.last_sequence), (two, link.sequence));
}

/// The server with our streams on it, and how one of them is kept.
async fn made(server: &TestServer, stream: &str) -> (Context, Config) {
    drop(server.bus().await.unwrap());
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let config = jetstream.get_stream(stream).await.unwrap().cached_info().config.clone();
    (jetstream, config)
}

#[tokio::test]
async fn a_stream_that_differs_is_refused_and_left_alone() {
    let server = TestServer::start().await.unwrap();
    let (jetstream, mut config) = made(&server, NOTIFY_STREAM).await;
    config.max_age = Duration::from_secs(3_600);
    jetstream.update_stream(config).await.unwrap();
    let refused = server.bus().await.err().unwrap();
    assert!(matches!(&refused, BusError::Topology(TopologyError::Differs { setting: "max_age", .. })), "{refused}");
    assert!(refused.to_string().contains("NOTIFY") && refused.to_string().contains("3600s"), "{refused}");
    let found = jetstream.get_stream(NOTIFY_STREAM).await.unwrap();
    assert_eq!(found.cached_info().config.max_age, Duration::from_secs(3_600));
}

#[tokio::test]
async fn the_window_for_duplicates_is_the_servers_shortest_and_a_longer_one_of_an_older_stream_is_taken() {
    let server = TestServer::start().await.unwrap();
    let (jetstream, mut config) = made(&server, EVENTS_STREAM).await;
    assert_eq!(config.duplicate_window, Duration::from_millis(100));
    config.duplicate_window = Duration::from_secs(120);
    jetstream.update_stream(config).await.unwrap();
    assert!(server.bus().await.is_ok());
}

#[tokio::test]
async fn another_number_of_shards_than_the_log_was_made_with_is_refused() {
    let server = TestServer::start().await.unwrap();
    drop(server.bus().await.unwrap());
    let mut options = server.options().unwrap();
    options.topology.shards = 32;
    let refused = Bus::connect(&server.url(), options).await.err().unwrap().to_string();
    assert!(refused.contains(EVENTS_STREAM) && refused.contains("shards") && refused.contains("64"), "{refused}");
}

#[tokio::test]
async fn a_server_that_proves_nothing_is_refused_unless_that_is_accepted() {
    let server = TestServer::start().await.unwrap();
    let unproven = BusOptions { embedded: None, ..server.options().unwrap() };
    let refused = Bus::connect(&server.url(), unproven.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("not safe") && refused.contains("durability = \"relaxed\""), "{refused}");
    let accepted = BusOptions { writes: Writes::Relaxed, ..unproven.clone() };
    let bus = Bus::connect(&server.url(), accepted).await.unwrap();
    assert!(matches!(bus.durability, Durability::Unknown(_)));
    let proven = BusOptions { monitor_url: Some(server.embedded.monitor_url()), ..unproven };
    assert_eq!(Bus::connect(&server.url(), proven).await.unwrap().durability, Durability::Safe);
}

#[tokio::test]
async fn a_server_that_flushes_rarely_is_unsafe_by_its_own_word() {
    let folder = tempfile::tempdir().unwrap();
    let data_dir = folder.path().to_owned();
    let relaxed = EmbeddedOptions { data_dir, disk_sync: DiskSync::Relaxed, ..EmbeddedOptions::default() };
    let server = Embedded::start(relaxed).await.unwrap();
    let mut options = BusOptions::new(Topology::committed().unwrap(), MasterKey::new([1; 32]));
    options.monitor_url = Some(server.monitor_url());
    let refused = Bus::connect(&server.client_url(), options.clone()).await.err().unwrap().to_string();
    assert!(refused.contains("sync_interval"), "{refused}");
    options.writes = Writes::Relaxed;
    let bus = Bus::connect(&server.client_url(), options).await.unwrap();
    let fresh = record(None);
    let stored = join_all((0..100).map(|_| bus.log.append(SHARD, new_id(), &fresh))).await;
    assert!(stored.iter().all(Result::is_ok), "plain publishes serve as well");
}

#[tokio::test]
async fn thousands_of_concurrent_appends_get_each_its_own_sequence() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let ids: Vec<_> = (0..5_000).map(|_| new_id()).collect();
    let fresh = record(None);
    let links = join_all(ids.iter().map(|id| bus.log.append(SHARD, *id, &fresh))).await;
    let sequences: HashSet<_> = links.iter().map(|link| link.as_ref().unwrap().sequence).collect();
    assert_eq!(sequences.len(), 5_000);
    for (id, link) in ids.iter().zip(links).step_by(97) {
        assert_eq!(bus.log.load(SHARD, *id).await.unwrap()[0].link(), link.unwrap());
    }
}

#[tokio::test]
async fn a_reader_that_is_left_far_behind_the_others_reads_for_itself_and_misses_nothing() {
    /// More than the end of the log that all readers share.
    const FAR: usize = 9_000;
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (mut slow, mut quick) = (bus.log.follow(0).await.unwrap(), bus.log.follow(0).await.unwrap());
    let fresh = record(None);
    for _ in 0..3 {
        let links = join_all((0..FAR / 3).map(|_| bus.log.append(SHARD, new_id(), &fresh))).await;
        assert!(links.iter().all(Result::is_ok));
        assert_eq!(read(quick.as_mut(), FAR / 3).await.len(), FAR / 3);
    }
    let all: Vec<_> = (1..=FAR as u64).collect();
    assert_eq!(sequences(&read(slow.as_mut(), FAR).await), all);
    bus.log.append(SHARD, new_id(), &fresh).await.unwrap();
    for follow in [&mut slow, &mut quick] {
        assert_eq!(sequences(&read(follow.as_mut(), 1).await), [FAR as u64 + 1]);
    }
}

#[tokio::test]
async fn readers_that_begin_at_one_place_read_the_log_once_and_the_slow_one_holds_up_nobody() {
    /// More than a convoy keeps for the last of its members.
    const FAR: usize = 12_000;
    let server = TestServer::start().await.unwrap();
    let writing = server.bus().await.unwrap();
    let fresh = record(None);
    for _ in 0..4 {
        let links = join_all((0..FAR / 4).map(|_| writing.log.append(SHARD, new_id(), &fresh))).await;
        assert!(links.iter().all(Result::is_ok));
    }
    let reading = server.bus().await.unwrap();
    let (mut slow, mut quick) = (reading.log.follow(0).await.unwrap(), reading.log.follow(0).await.unwrap());
    let all: Vec<_> = (1..=FAR as u64).collect();
    assert_eq!(sequences(&read(slow.as_mut(), 10).await), all[..10]);
    let half = FAR / 2;
    assert_eq!(sequences(&read(quick.as_mut(), half).await), all[..half]);
    let client = async_nats::connect(server.url()).await.unwrap();
    let mut stream = async_nats::jetstream::new(client).get_stream(EVENTS_STREAM).await.unwrap();
    // of the convoy, and of the end of the log
    assert_eq!(stream.info().await.unwrap().state.consumer_count, 2);
    assert_eq!(sequences(&read(quick.as_mut(), FAR - half).await), all[half..]);
    assert_eq!(sequences(&read(slow.as_mut(), FAR - 10).await), all[10..]);
}

#[tokio::test]
async fn large_records_come_also_when_they_are_more_than_is_asked_for_at_once() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (large, count) = (record_saying(&"long ".repeat(40_000), None), 120);
    for _ in 0..count {
        bus.log.append(SHARD, new_id(), &large).await.unwrap();
    }
    let items = read(bus.log.follow(0).await.unwrap().as_mut(), count).await;
    assert_eq!(sequences(&items), Vec::from_iter(1..=count as u64));
}

#[tokio::test]
async fn a_consumer_that_the_server_lost_is_made_anew_and_no_record_is_missed() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let mut follow = bus.log.follow(0).await.unwrap();
    bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    assert_eq!(sequences(&read(follow.as_mut(), 1).await), [1]);
    let client = async_nats::connect(server.url()).await.unwrap();
    let stream = async_nats::jetstream::new(client).get_stream(EVENTS_STREAM).await.unwrap();
    let names: Vec<String> = stream.consumer_names().try_collect().await.unwrap();
    assert!(!names.is_empty());
    for name in names {
        stream.delete_consumer(&name).await.unwrap();
    }
    bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    assert_eq!(sequences(&read(follow.as_mut(), 1).await), [2]);
}

#[tokio::test]
async fn the_raw_servers_rate_is_measured_and_the_scratch_stream_goes() {
    let server = TestServer::start().await.unwrap();
    assert!(raw_ceiling(&server.url(), 1_000, 300, 100).await.unwrap() > 0.0);
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    assert!(jetstream.get_stream("RAW_BENCH").await.is_err());
}
