//! The embedded server: started, watched, restarted, stopped.

use std::process::Command;

use events::record::Link;
use events::seal::MasterKey;
use regflow_bus::testing::TestServer;
use regflow_bus::{Bus, BusOptions, Embedded, EmbeddedError, EmbeddedOptions, EventLog, Topology};

use crate::records::{SHARD, SOON, new_id, read, record, sequences};

pub fn signal(name: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().unwrap().success());
}

/// Appends until it works: while the server is away each try is refused or left open.
pub async fn append_soon(log: &dyn EventLog) -> Link {
    let tries = async {
        loop {
            if let Ok(link) = log.append(SHARD, new_id(), &record(None)).await {
                return link;
            }
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, tries).await.expect("the server should be back")
}

#[tokio::test]
async fn a_killed_server_is_started_again_on_its_port_and_nothing_is_lost() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (id, first) = (new_id(), record(None));
    bus.log.append(SHARD, id, &first).await.unwrap();
    let mut follow = bus.log.follow(1).await.unwrap();
    assert_eq!(sequences(&read(follow.as_mut(), 1).await), [1]);
    let (url, pid) = (server.url(), server.embedded.pid());
    signal("KILL", pid);
    let link = append_soon(&bus.log).await;
    assert_eq!((server.url(), server.embedded.restarts()), (url, 1));
    assert_ne!(server.embedded.pid(), pid);
    assert_eq!(bus.log.load(SHARD, id).await.unwrap()[0].record, first);
    let items = read(follow.as_mut(), 1).await;
    assert_eq!(items[0].sequence(), 2);
    assert!(link.sequence >= 2);
}

#[tokio::test]
async fn a_stopped_server_leaves_its_folder_and_what_it_stored() {
    let folder = tempfile::tempdir().unwrap();
    let options = EmbeddedOptions { data_dir: folder.path().to_owned(), ..EmbeddedOptions::default() };
    let server = Embedded::start(options.clone()).await.unwrap();
    let refused = Embedded::start(options.clone()).await.err().unwrap();
    assert!(matches!(refused, EmbeddedError::InUse(_)), "{refused}");
    let pid = server.pid();
    server.stop().await;
    assert!(!Command::new("kill").args(["-0", &pid.to_string()]).output().unwrap().status.success());
    let again = Embedded::start(options).await.unwrap();
    assert_eq!(again.restarts(), 0);
}

#[tokio::test]
async fn a_port_that_somebody_has_is_named_in_the_error() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let port = Some(taken.local_addr().unwrap().port());
    let options = EmbeddedOptions { data_dir: folder.path().to_owned(), port, ..EmbeddedOptions::default() };
    let refused = Embedded::start(options).await.err().unwrap().to_string();
    assert!(refused.contains("did not come up") && refused.contains("address already in use"), "{refused}");
}

/// Many at once, so that they go as atomic batches; what is stored of them.
async fn append_many(log: &dyn EventLog) -> usize {
    let appends =
        (0..100).map(|_| async { log.append(SHARD, new_id(), &record(None)).await.map(|link| link.sequence) });
    futures::future::join_all(appends).await.into_iter().filter(Result::is_ok).count()
}

#[tokio::test]
async fn batches_are_staged_in_memory_also_after_a_kill_and_nothing_of_it_stays() {
    let (folder, memory) = (tempfile::tempdir().unwrap(), tempfile::tempdir_in("/dev/shm").unwrap());
    let (data_dir, memory_dir) = (folder.path().to_owned(), Some(memory.path().to_owned()));
    let server = Embedded::start(EmbeddedOptions { data_dir, memory_dir, ..EmbeddedOptions::default() }).await.unwrap();
    let options = BusOptions {
        embedded: Some(server.disk_sync()),
        ..BusOptions::new(Topology::committed().unwrap(), MasterKey::new([7; 32]))
    };
    let bus = Bus::connect(&server.client_url(), options).await.unwrap();
    server.stage_new_streams();
    let batches = ["EVENTS", "KV_KEYS", "NOTIFY"]
        .map(|stream| folder.path().join("jetstream/$G/streams").join(stream).join("batches"));
    let is_staged = |batches| std::fs::read_link(batches).is_ok_and(|target| target.starts_with(memory.path()));
    let staged_in_memory = || batches.iter().all(is_staged);
    assert_eq!((append_many(&bus.log).await, staged_in_memory()), (100, true));

    signal("KILL", server.pid());
    append_soon(&bus.log).await;
    assert_eq!((append_many(&bus.log).await, staged_in_memory()), (100, true));

    server.stop().await;
    let linked = batches.iter().filter(|batches| batches.is_symlink()).count();
    assert_eq!((linked, std::fs::read_dir(memory.path()).unwrap().count()), (0, 0));
}
