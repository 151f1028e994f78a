//! Keys, files and notifications on a real server.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use events::PersonKeyId;
use events::ring::{RING_KEYS, RingId};
use events::seal::{MasterKey, NONCE_BYTES};
use events::subject::{self, NOTIFY_STREAM};
use futures::future::join_all;
use regflow_bus::testing::TestServer;
use regflow_bus::{
    Bus, BusError, BusOptions, Delivery, EventLog, KeyError, MemoryObjects, Notification, NotifyError,
    OBJECT_BYTES_MAX, ObjectError, ObjectStore, Recipient,
};

use crate::records::{SHARD, SOON, new_id, record};

#[tokio::test]
async fn a_leased_key_is_already_stored_and_opens_in_another_process() {
    let server = TestServer::start().await.unwrap();
    let (bus, other) = (server.bus().await.unwrap(), server.bus().await.unwrap());
    let registration = new_id();
    for (id, key) in join_all((0..500).map(|_| bus.keys.lease())).await.into_iter().map(Result::unwrap) {
        let sealed = key.seal_bytes(registration, &[1; NONCE_BYTES], b"secret").unwrap();
        let found = other.keys.get(id).await.unwrap().unwrap();
        assert_eq!(found.open_bytes(registration, &sealed).unwrap(), b"secret");
    }
}

#[tokio::test]
async fn a_destroyed_key_is_gone_from_the_server_and_from_its_disk() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (id, _) = bus.keys.lease().await.unwrap();
    let ring = ring_of(&server, id).await;
    assert!(is_on_disk(server.data_dir(), &ring));
    assert!(bus.keys.destroy(id).await.unwrap());
    assert!(bus.keys.get(id).await.unwrap().is_none());
    assert!(server.bus().await.unwrap().keys.get(id).await.unwrap().is_none());
    assert!(!is_on_disk(server.data_dir(), &ring));
    assert!(!bus.keys.destroy(id).await.unwrap());
}

/// The message of the ring that a key was stored on.
async fn ring_of(server: &TestServer, id: PersonKeyId) -> Bytes {
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream.get_stream("KV_KEYS").await.unwrap();
    let subject = format!("$KV.KEYS.ring_{}.*", RingId::of(id).unwrap().uuid().as_simple());
    stream.direct_get_next_for_subject(subject, None).await.unwrap().payload
}

#[tokio::test]
async fn a_ring_that_is_taken_apart_is_found_whole_by_all_at_any_moment_and_again_after_a_crash() {
    let server = TestServer::start().await.unwrap();
    let (bus, other) = (server.bus().await.unwrap(), server.bus().await.unwrap());
    let registration = new_id();
    let mut sealed = Vec::new();
    for _ in 0..RING_KEYS {
        let (id, key) = bus.keys.lease().await.unwrap();
        sealed.push((id, key.seal_bytes(registration, &[1; NONCE_BYTES], b"secret").unwrap()));
    }
    let gone = sealed.remove(7).0;
    assert!(sealed.iter().all(|(id, _)| RingId::of(*id) == RingId::of(gone)), "a ring is handed out as a whole");
    let ring = ring_of(&server, gone).await;
    let opens_all = async |bus: &Bus| {
        for (id, sealed) in &sealed {
            let key = bus.keys.get(*id).await.unwrap().unwrap();
            assert_eq!(key.open_bytes(registration, sealed).unwrap(), b"secret");
        }
    };
    let (destroyed, ()) = tokio::join!(bus.keys.destroy(gone), opens_all(&other));
    assert_eq!(destroyed, Ok(true));

    // as if it had stopped before the ring was erased: the ring is there beside the others' own places
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let master = server.options().unwrap().master.fingerprint();
    let subject = format!("$KV.KEYS.ring_{}.{master}", RingId::of(gone).unwrap().uuid().as_simple());
    jetstream.publish(subject, ring.clone()).await.unwrap().await.unwrap();
    let after = server.bus().await.unwrap();
    assert!(after.keys.get(gone).await.unwrap().is_some());
    assert_eq!((after.keys.destroy(gone).await, after.keys.destroy(gone).await), (Ok(true), Ok(false)));
    opens_all(&server.bus().await.unwrap()).await;
    assert!(after.keys.get(gone).await.unwrap().is_none() && !is_on_disk(server.data_dir(), &ring));
}

fn is_on_disk(folder: &Path, wanted: &Bytes) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let holds = |bytes: Vec<u8>| bytes.windows(wanted.len()).any(|window| window == wanted.as_ref());
        if path.is_dir() { is_on_disk(&path, wanted) } else { std::fs::read(&path).is_ok_and(holds) }
    })
}

#[tokio::test]
async fn a_vault_of_another_master_key_is_refused() {
    let server = TestServer::start().await.unwrap();
    drop(server.bus().await.unwrap());
    let options = BusOptions { master: MasterKey::new([8; 32]), ..server.options().unwrap() };
    let refused = Bus::connect(&server.url(), options).await.err().unwrap();
    assert!(matches!(refused, BusError::Keys(KeyError::WrongMaster)), "{refused}");
}

#[tokio::test]
async fn both_object_stores_keep_replace_and_miss_files_alike() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let stores: [Arc<dyn ObjectStore>; 2] = [Arc::new(bus.objects.clone()), Arc::new(MemoryObjects::default())];
    for store in stores {
        let bytes = Bytes::from((0..1_000_000_u32).flat_map(u32::to_le_bytes).collect::<Vec<_>>());
        let reference = store.put("packets/a 1.pdf", bytes.clone()).await.unwrap();
        assert_eq!((reference.size_bytes, reference.sha256.len()), (4_000_000, 32));
        assert_eq!(store.get("packets/a 1.pdf").await, Ok(bytes));
        store.put("packets/a 1.pdf", Bytes::new()).await.unwrap();
        assert_eq!(store.get("packets/a 1.pdf").await, Ok(Bytes::new()));
        assert_eq!(store.get("other").await, Err(ObjectError::NotFound("other".to_owned())));
        assert_eq!(store.put("", Bytes::new()).await, Err(ObjectError::BadName));
        assert_eq!((store.erase("packets/a 1.pdf").await, store.erase("packets/a 1.pdf").await), (Ok(true), Ok(false)));
        assert!(matches!(store.get("packets/a 1.pdf").await, Err(ObjectError::NotFound(_))));
        let large = store.put("large", vec![0; OBJECT_BYTES_MAX + 1].into()).await;
        assert!(matches!(large, Err(ObjectError::TooLarge { .. })));
    }
}

fn notification(position: u64) -> Notification {
    Notification {
        subject: subject::notification("a", new_id(), "done"),
        position,
        traceparent: None,
        body: Bytes::from_static(b"{}"),
    }
}

#[tokio::test]
async fn a_notifier_that_begins_anew_goes_on_behind_what_was_told() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    assert_eq!(bus.notify.publish(vec![notification(1)]).await, Err(NotifyError::Overtaken), "position not yet read");
    assert_eq!(bus.notify.last_position().await, Ok(None));
    bus.notify.publish((1..=1_500).map(notification).collect()).await.unwrap();
    bus.notify.publish(vec![notification(1_501)]).await.unwrap();
    let anew = server.bus().await.unwrap();
    assert_eq!(anew.notify.last_position().await, Ok(Some(1_501)));
    anew.notify.publish(vec![notification(1_502), notification(1_503)]).await.unwrap();
    assert_eq!(bus.notify.publish(vec![notification(1_502)]).await, Err(NotifyError::Overtaken));
    assert_eq!(
        bus.notify.publish(vec![notification(1_502)]).await,
        Err(NotifyError::Overtaken),
        "until it is read again"
    );
    assert_eq!(bus.notify.last_position().await, Ok(Some(1_503)));
    bus.notify.publish(vec![notification(1_504), notification(1_505)]).await.unwrap();
}

#[tokio::test]
async fn when_all_notifications_have_aged_out_telling_begins_with_what_is_young_enough() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    for _ in 0..3 {
        bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    }
    bus.notify.last_position().await.unwrap();
    bus.notify.publish(vec![notification(1)]).await.unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let mut config = jetstream.get_stream(NOTIFY_STREAM).await.unwrap().cached_info().config.clone();
    (config.max_age, config.duplicate_window) = (Duration::from_millis(500), Duration::from_millis(500));
    jetstream.update_stream(config).await.unwrap();
    let aged_out = async {
        while bus.notify.last_position().await.unwrap() != Some(3) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(SOON, aged_out).await.unwrap();
    bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    assert_eq!(bus.notify.last_position().await, Ok(Some(3)), "the fourth record is young and was not told");
}

#[tokio::test]
async fn a_delivery_that_is_said_to_wait_does_not_come_again_meanwhile_and_one_without_a_word_does() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    assert_eq!(bus.notify.last_position().await, Ok(None));
    let recipient = |name: &str| Recipient {
        name: format!("webhook-a-{name}"),
        filters: subject::notifications_of("a", &[]),
        ack_wait: Duration::from_secs(2),
    };
    let patient = bus.outbox.deliveries(&recipient("patient")).await.unwrap();
    let silent = bus.outbox.deliveries(&recipient("silent")).await.unwrap();
    bus.notify.publish(vec![notification(1)]).await.unwrap();
    let [waiting] = <[Delivery; 1]>::try_from(patient.next(1, SOON).await.unwrap()).ok().unwrap();
    let first = silent.next(1, SOON).await.unwrap();
    let (_, again) = tokio::join!(
        async {
            for _ in 0..10 {
                waiting.waits_on().await;
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
        },
        silent.next(1, SOON),
    );
    assert_eq!((first[0].number, again.unwrap()[0].number), (1, 2));
    assert!(patient.next(1, Duration::from_millis(10)).await.unwrap().is_empty());
    waiting.arrived().await.unwrap();
}
