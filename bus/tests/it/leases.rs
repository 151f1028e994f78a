//! The lease of all shards: one process holds it, and another takes it when that one goes or falls silent.

use std::time::{Duration, Instant};

use regflow_bus::testing::TestServer;
use regflow_bus::{Bus, BusOptions, Lease, LeaseOptions, Writes};
use tokio_util::sync::CancellationToken;

const QUICK: LeaseOptions = LeaseOptions { ttl: Duration::from_millis(600), beat: Duration::from_millis(100) };
const PATIENCE: Duration = Duration::from_secs(10);

/// A process to which the server does not belong.
async fn stranger(server: &TestServer) -> Bus {
    let options = BusOptions { embedded: None, writes: Writes::Relaxed, ..server.options().unwrap() };
    Bus::connect(&server.url(), options).await.unwrap()
}

async fn held(lease: &Lease) {
    let mut watch = lease.watch();
    tokio::time::timeout(PATIENCE, watch.wait_for(|held| *held)).await.expect("in time").unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_one_takes_it_at_once_and_a_second_one_waits() {
    let server = TestServer::start().await.unwrap();
    let (one, other) = (stranger(&server).await, stranger(&server).await);
    let shutdown = CancellationToken::new();
    let first = one.lease(QUICK, shutdown.clone()).await.unwrap();
    held(&first).await;
    let second = other.lease(QUICK, shutdown.clone()).await.unwrap();
    tokio::time::sleep(QUICK.ttl * 3).await;
    assert!(first.is_held() && !second.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_given_back_is_taken_without_waiting_for_its_end() {
    let server = TestServer::start().await.unwrap();
    let (one, other) = (stranger(&server).await, stranger(&server).await);
    let slow = LeaseOptions { ttl: Duration::from_secs(60), ..QUICK };
    let leaving = CancellationToken::new();
    let first = one.lease(slow, leaving.clone()).await.unwrap();
    held(&first).await;
    let second = other.lease(slow, CancellationToken::new()).await.unwrap();
    leaving.cancel();
    held(&second).await;
    assert!(!first.is_held());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_whose_owner_falls_silent_is_taken_after_its_time_and_never_held_by_two() {
    let server = TestServer::start().await.unwrap();
    let (one, other) = (stranger(&server).await, stranger(&server).await);
    // an owner that dies without a word: its runtime goes away
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = dying.spawn(async move { one.lease(QUICK, CancellationToken::new()).await.unwrap() }).await.unwrap();
    held(&first).await;
    let second = other.lease(QUICK, CancellationToken::new()).await.unwrap();
    tokio::time::sleep(QUICK.ttl).await;
    assert!(first.is_held() && !second.is_held());
    dying.shutdown_background();
    let died = Instant::now();
    while !second.is_held() {
        assert!(died.elapsed() < PATIENCE, "nobody took it");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(!first.is_held(), "two processes hold it");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_of_an_embedded_server_has_it_again_at_once_after_a_crash() {
    let server = TestServer::start().await.unwrap();
    let one = server.bus().await.unwrap();
    let slow = LeaseOptions { ttl: Duration::from_secs(60), ..QUICK };
    let dying = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let first = dying.spawn(async move { one.lease(slow, CancellationToken::new()).await.unwrap() }).await.unwrap();
    held(&first).await;
    dying.shutdown_background();
    let again = server.bus().await.unwrap().lease(slow, CancellationToken::new()).await.unwrap();
    held(&again).await;
}
