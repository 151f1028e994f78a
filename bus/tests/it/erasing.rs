//! What is erased is gone from the server's files, and a rotated master key opens nothing any more.

use std::path::Path;

use bytes::Bytes;
use events::ring::{KeyRing, RING_KEYS, RingId};
use events::seal::{MasterKey, NONCE_BYTES};
use regflow_bus::testing::TestServer;
use regflow_bus::{Bus, BusError, BusOptions, KeyError, Lease, LeaseOptions, ObjectStore};
use tokio_util::sync::CancellationToken;

use crate::records::new_id;

fn is_on_disk(folder: &Path, wanted: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let path = entry.unwrap().path();
        let holds = |bytes: Vec<u8>| bytes.windows(wanted.len()).any(|window| window == wanted);
        if path.is_dir() { is_on_disk(&path, wanted) } else { std::fs::read(&path).is_ok_and(holds) }
    })
}

/// A megabyte in which each place can be told from the others.
fn file(salt: u32) -> Bytes {
    let words = (0..250_000_u32).flat_map(|word| (word ^ salt).to_le_bytes());
    Bytes::from(words.collect::<Vec<_>>())
}

#[tokio::test]
async fn an_erased_file_is_gone_from_the_servers_disk_and_its_neighbour_is_not() {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let (gone, stays) = (file(0x5eed_0000), file(0x7777_0000));
    bus.objects.put("packet/gone.pdf", gone.clone()).await.unwrap();
    bus.objects.put("packet/stays.pdf", stays.clone()).await.unwrap();
    // of each chunk some bytes
    let parts = |file: &Bytes| (0..1_000_000).step_by(131_072).map(|at| file.slice(at..at + 48)).collect::<Vec<_>>();
    assert!(parts(&gone).iter().all(|part| is_on_disk(server.data_dir(), part)));
    assert!(bus.objects.erase("packet/gone.pdf").await.unwrap());
    assert!(!parts(&gone).iter().any(|part| is_on_disk(server.data_dir(), part)));
    assert!(parts(&stays).iter().all(|part| is_on_disk(server.data_dir(), part)));
    assert_eq!(bus.objects.get("packet/stays.pdf").await, Ok(stays));
}

fn with(server: &TestServer, present: u8, old: Option<u8>) -> BusOptions {
    let key = |byte: u8| MasterKey::new([byte; 32]);
    BusOptions { master: key(present), old_master: old.map(key), ..server.options().unwrap() }
}

async fn opened(server: &TestServer, present: u8, old: Option<u8>) -> Result<Bus, BusError> {
    Bus::connect(&server.url(), with(server, present, old)).await
}

fn refused(opened: Result<Bus, BusError>) -> KeyError {
    match opened.err() {
        Some(BusError::Keys(error)) => error,
        other => panic!("not refused by the vault: {other:?}"),
    }
}

#[tokio::test]
async fn a_rotation_wraps_every_key_anew_and_leaves_nothing_that_the_old_master_key_opens() {
    let server = TestServer::start().await.unwrap();
    let first = opened(&server, 1, None).await.unwrap();
    let registration = new_id();
    let mut sealed = Vec::new();
    for _ in 0..200 {
        let (id, key) = first.keys.lease().await.unwrap();
        sealed.push((id, key.seal_bytes(registration, &[1; NONCE_BYTES], b"secret").unwrap()));
    }
    let (pseudonym, token) = (first.keys.pseudonym("t", "a@b.c"), first.keys.link_key().code(registration));
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream.get_stream("KV_KEYS").await.unwrap();
    // one ring stays whole, one is taken apart before the rotation
    let taken_apart = sealed.pop().unwrap().0;
    assert!(first.keys.destroy(taken_apart).await.unwrap());
    let old_place = format!("$KV.KEYS.ring_{}.*", RingId::of(sealed[0].0).unwrap().uuid().as_simple());
    let by_the_old = stream.direct_get_next_for_subject(old_place, None).await.unwrap().payload;
    assert!(is_on_disk(server.data_dir(), &by_the_old));
    drop(first);

    // a start with both is all that it needs; every key opens at any moment of it
    let second = opened(&server, 2, Some(1)).await.unwrap();
    assert!(second.keys.is_rotating().await);
    assert_eq!(refused(opened(&server, 2, None).await), KeyError::RotationUnderWay);
    assert_eq!(refused(opened(&server, 1, None).await), KeyError::RotationUnderWay);
    assert_eq!(refused(opened(&server, 3, Some(1)).await), KeyError::RotationUnderWay);
    let opens_all = async {
        for (id, sealed) in &sealed {
            let key = second.keys.get(*id).await.unwrap().unwrap();
            assert_eq!(key.open_bytes(registration, sealed).unwrap(), b"secret");
        }
    };
    let always = Lease::always();
    let (moved, ()) = tokio::join!(second.keys.finish_rotation(&always), opens_all);
    assert!(moved.unwrap() > 200);
    assert!(!is_on_disk(server.data_dir(), &by_the_old));
    drop(second);

    assert_eq!(refused(opened(&server, 1, None).await), KeyError::WrongMaster);
    let third = opened(&server, 2, None).await.unwrap();
    for (id, sealed) in &sealed {
        let key = third.keys.get(*id).await.unwrap().unwrap();
        assert_eq!(key.open_bytes(registration, sealed).unwrap(), b"secret");
    }
    assert_eq!((third.keys.pseudonym("t", "a@b.c"), third.keys.link_key().code(registration)), (pseudonym, token));
    // whatever is there, the old one unwraps none of it
    let mut from = 1;
    let old = MasterKey::new([1; 32]);
    let mut looked_at = 0;
    while let Ok(message) = stream.direct_get_next_for_subject("$KV.KEYS.>", Some(from)).await {
        let name = message.subject.trim_start_matches("$KV.KEYS.").split('.').next().unwrap().to_owned();
        let (of_ring, name) = name.strip_prefix("ring_").map_or((false, name.as_str()), |name| (true, name));
        let id = uuid::Uuid::try_parse(name).unwrap_or_default();
        let opens = if of_ring {
            KeyRing::unwrapped_by(&old, RingId::parse(name).unwrap(), &message.payload).is_ok()
        } else {
            old.unwrap(events::PersonKeyId(id), &message.payload).is_ok()
        };
        assert!(!opens, "{}", message.subject);
        (from, looked_at) = (message.sequence + 1, looked_at + 1);
    }
    assert!(looked_at > 31 + 200 / RING_KEYS, "31 by themselves, the rings, checks and secrets");
    assert!(third.keys.get(taken_apart).await.unwrap().is_none());
}

#[tokio::test]
async fn what_a_straggler_wrapped_by_the_old_master_key_is_moved_once_more_and_by_the_holder_of_the_lease_alone() {
    let server = TestServer::start().await.unwrap();
    let straggler = opened(&server, 1, None).await.unwrap();
    let always = Lease::always();
    let second = opened(&server, 2, Some(1)).await.unwrap();
    second.keys.finish_rotation(&always).await.unwrap();
    assert!(!second.keys.is_rotating().await);
    // more than its pool had: some of them are wrapped after the rotation has ended
    let mut late = Vec::new();
    for _ in 0..200 {
        late.push(straggler.keys.lease().await.unwrap().0);
    }
    drop((straggler, second));

    let third = opened(&server, 2, Some(1)).await.unwrap();
    assert!(third.keys.is_rotating().await);
    assert!(third.keys.get(late[199]).await.unwrap().is_some());
    // it runs out at once, and nobody renews it
    let ended = CancellationToken::new();
    let patient = LeaseOptions { ttl: std::time::Duration::from_millis(1), ..LeaseOptions::default() };
    let lease = third.lease(patient, ended.clone()).await.unwrap();
    ended.cancel();
    let until_it_ran_out = async {
        while lease.is_held() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), until_it_ran_out).await.expect("it runs out");
    assert_eq!(third.keys.move_keys(&lease).await, Err(KeyError::NotOurTurn));
    assert!(third.keys.move_keys(&always).await.unwrap() > 0);
    assert_eq!(third.keys.move_keys(&always).await, Ok(0));
    assert_eq!(third.keys.finish_rotation(&always).await, Ok(0));
    drop(third);

    let fourth = opened(&server, 2, None).await.unwrap();
    for id in late {
        assert!(fourth.keys.get(id).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn keys_and_links_of_a_vault_from_before_the_secrets_were_stored_stay_as_they_were() {
    let server = TestServer::start().await.unwrap();
    drop(opened(&server, 1, None).await.unwrap());
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let stream = jetstream.get_stream("KV_KEYS").await.unwrap();
    // as such a vault was: no secrets, and keys under their bare names
    let master = MasterKey::new([1; 32]);
    stream.purge().filter("$KV.KEYS.owner_secrets.*").await.unwrap();
    let (id, key) = (events::PersonKeyId(uuid::Uuid::from_u128(77)), events::seal::PersonKey::new([9; 32]));
    let wrapped = master.wrap(id, &[5; NONCE_BYTES], &key).unwrap();
    let subject = format!("$KV.KEYS.{}", id.0.as_simple());
    jetstream.publish(subject, wrapped.clone().into()).await.unwrap().await.unwrap();

    let derived = events::secrets::OwnerSecrets::derived_from(&master);
    let registration = new_id();
    let is_as_before = |bus: &Bus| {
        assert_eq!(bus.keys.pseudonym("t", "a@b.c"), derived.pseudonym("t", "a@b.c"));
        assert_eq!(bus.keys.link_key().code(registration), derived.link_key().code(registration));
    };
    let bus = opened(&server, 1, None).await.unwrap();
    is_as_before(&bus);
    let sealed = key.seal_bytes(registration, &[1; NONCE_BYTES], b"x").unwrap();
    let opens = |found: Option<events::seal::PersonKey>| found.unwrap().open_bytes(registration, &sealed).unwrap();
    assert_eq!(opens(bus.keys.get(id).await.unwrap()), b"x");
    drop(bus);
    let rotated = opened(&server, 2, Some(1)).await.unwrap();
    rotated.keys.finish_rotation(&Lease::always()).await.unwrap();
    is_as_before(&rotated);
    drop(rotated);
    let after = opened(&server, 2, None).await.unwrap();
    is_as_before(&after);
    assert_eq!(opens(after.keys.get(id).await.unwrap()), b"x");
    assert!(after.keys.destroy(id).await.unwrap());
    assert!(after.keys.get(id).await.unwrap().is_none());
    assert!(!is_on_disk(server.data_dir(), &wrapped));
}
