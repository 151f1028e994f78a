//! The verifier at work: it grows with the log, goes on after a stop, and closes the gate when the log is another one.

use std::path::{Path, PathBuf};
use std::time::Duration;

use events::record::Record;
use events::tlog::TreeHead;
use regflow_bus::{AppendError, Embedded, EventLog, GatedLog, ReadHead, Trouble, Trust, TrustFolder, TrustOptions};
use tokio_util::sync::CancellationToken;

use super::store::{EVENTS, append_histories, bus_of, check, copy, fresh, options, serve, signer, verify};
use crate::records::{SHARD, SOON, new_id, record};

fn head(folder: &std::path::Path) -> TreeHead {
    match TrustFolder::at(folder.to_owned()).head(signer().verifier()).unwrap() {
        ReadHead::Signed(head) => head,
        other @ (ReadHead::None | ReadHead::Bad(_)) => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_appended_is_verified_and_signed_over_stops() {
    let (_server, bus) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    append_histories(&bus.log, 5).await;
    let trust = verify(bus.whole.clone(), folder.path()).await;
    assert_eq!((trust.status().verified, head(folder.path()).size), (16, 16));
    append_histories(&bus.log, 5).await;
    let trust = verify(bus.whole.clone(), folder.path()).await;
    let status = trust.status();
    assert_eq!((status.verified, status.broken, status.trouble), (32, 0, None));
    let report = check(&bus.whole, folder.path()).await;
    assert!(report.is_good(), "{report:?}");
    assert_eq!((report.messages, report.compared, report.signed, report.histories), (32, 32, 32, 11));
    assert_eq!(report.root, head(folder.path()).root.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_tree_is_built_anew_from_a_log_that_still_has_the_signed_root() {
    let (_server, bus) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    append_histories(&bus.log, 5).await;
    verify(bus.whole.clone(), folder.path()).await;
    let path = folder.path().join("tree");
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, &good[..good.len() / 2]).unwrap();
    let report = check(&bus.whole, folder.path()).await;
    assert_eq!(report.first().map(|flaw| flaw.text.contains("kept tree")), Some(true), "{report:?}");
    assert_eq!((report.trouble(), report.heads > 0), (None, true));
    let trust = verify(bus.whole.clone(), folder.path()).await;
    assert_eq!((trust.status().trouble, std::fs::read(&path).unwrap()), (None, good));
    assert!(check(&bus.whole, folder.path()).await.is_good());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_of_another_key_is_not_believed() {
    let (_server, bus) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    append_histories(&bus.log, 1).await;
    verify(bus.whole.clone(), folder.path()).await;
    let mut other = options(folder.path());
    other.signer = events::NoteSigner::new("regflow.invalid/log", &[8; 32]).unwrap();
    let trust = Trust::open(bus.whole.clone(), other).await.unwrap();
    assert!(matches!(trust.gate().trouble(), Some(Trouble::BadHead { .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_names_no_predecessor_of_its_own_is_named_and_leaves_the_gate_open() {
    let (_server, bus) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    let first = bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    // the guard of the server wants only the number; that it is another registration's record it cannot know
    let stranger = Record { previous: Some(first), ..record(None) };
    let client = async_nats::connect(_server.url()).await.unwrap();
    let subject = events::subject::registration(SHARD, new_id());
    client.publish(subject, stranger.encode().unwrap()).await.unwrap();
    client.flush().await.unwrap();
    while bus.log.head().await.unwrap().last_sequence < 2 {
        tokio::task::yield_now().await;
    }
    let trust = verify(bus.whole.clone(), folder.path()).await;
    assert_eq!((trust.status().first_broken, trust.gate().trouble()), (Some(2), None));
    let report = check(&bus.whole, folder.path()).await;
    assert_eq!((report.first().unwrap().sequence, report.flaws, report.trouble()), (2, 1, None), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_closes_the_gate_over_restarts_until_an_operator_accepts_it() {
    let (data, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (now, old) = (data.path().join("now"), data.path().join("old"));
    let (server, log) = serve(&now).await;
    let bus = bus_of(&server).await;
    append_histories(&bus.log, 3).await;
    verify(log, trusted.path()).await;
    server.stop().await;
    copy(&now, &old);
    let (server, log) = serve(&now).await;
    let bus = bus_of(&server).await;
    append_histories(&bus.log, 3).await;
    verify(log, trusted.path()).await;
    server.stop().await;

    let (server, log) = serve(&old).await;
    let bus = bus_of(&server).await;
    let trust = Trust::open(log.clone(), options(trusted.path())).await.unwrap();
    assert_eq!(trust.gate().trouble(), Some(Trouble::Rewound { seen: 20, last: 10 }));
    let gated = GatedLog::new(bus.log.clone(), trust.gate());
    let refused = gated.append(SHARD, new_id(), &record(None)).await;
    assert!(matches!(refused, Err(AppendError::ReadOnly(Trouble::Rewound { .. }))), "{refused:?}");
    assert_eq!(gated.head().await.unwrap().last_sequence, 20, "readers keep what was verified");
    // somebody without a gate uses the places again
    append_histories(&bus.log, 5).await;
    let trust = Trust::open(log.clone(), options(trusted.path())).await.unwrap();
    assert_eq!(trust.gate().trouble(), Some(Trouble::Rewound { seen: 20, last: 10 }), "it is remembered");
    assert_eq!(check(&log, trusted.path()).await.first().map(|flaw| flaw.sequence), Some(11));

    let accepted = trust.folder().accept("eva", "restored from the backup", events::Timestamp(5)).unwrap().unwrap();
    assert_eq!((accepted.era, trust.folder().journal().unwrap()), (1, vec![accepted.clone()]));
    let trust = verify(log.clone(), trusted.path()).await;
    assert_eq!((trust.gate().trouble(), head(trusted.path()).era, head(trusted.path()).size), (None, 1, 26));
    assert!(check(&log, trusted.path()).await.is_good());
    assert!(trusted.path().join("aside-1/checkpoint").exists(), "what was believed is kept");
    assert_eq!(trust.folder().accept("eva", "again", events::Timestamp(6)).unwrap(), None);
}

/// The folder of a server's store, and a copy of its empty log.
async fn with_a_copy(data: &Path) -> (PathBuf, PathBuf) {
    let (now, old) = (data.join("now"), data.join("old"));
    let (server, _) = serve(&now).await;
    bus_of(&server).await;
    server.stop().await;
    copy(&now.join(EVENTS), &old);
    (now, old)
}

/// The server comes back with an older store, as after a disk that lied.
fn comes_back_with(server: &Embedded, old: &Path, now: &Path) {
    crate::embedded::signal("STOP", server.pid());
    std::fs::remove_dir_all(now.join(EVENTS)).unwrap();
    copy(old, &now.join(EVENTS));
    crate::embedded::signal("KILL", server.pid());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_given_out_again_while_all_run_closes_the_gate_at_once() {
    let (data, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (now, old) = with_a_copy(data.path()).await;
    let (server, log) = serve(&now).await;
    let bus = bus_of(&server).await;
    let trust = Trust::open(log, options(trusted.path())).await.unwrap();
    let running = tokio::spawn(trust.clone().run(CancellationToken::new()));
    let gated = GatedLog::new(bus.log.clone(), trust.gate());
    for _ in 0..3 {
        gated.append(SHARD, new_id(), &record(None)).await.unwrap();
    }
    comes_back_with(&server, &old, &now);
    let mut gate = trust.gate().watch();
    let appending = async {
        while trust.gate().trouble().is_none() {
            drop(gated.append(SHARD, new_id(), &record(None)).await);
        }
    };
    tokio::time::timeout(SOON, appending).await.expect("the gate closes");
    let trouble = gate.wait_for(Option::is_some).await.unwrap().clone().unwrap();
    assert!(
        matches!(
            trouble,
            Trouble::Rewound { .. } | Trouble::Reused { .. } | Trouble::Missing { .. } | Trouble::Differs { .. }
        ),
        "{trouble}"
    );
    let last = bus.log.head().await.unwrap().last_sequence;
    assert!(last <= 2, "at most one record came through before it was seen: {last}");
    running.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_seen_before_the_first_head_is_known_at_the_next_start() {
    let (data, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (now, old) = (data.path().join("now"), data.path().join("old"));
    let (server, _) = serve(&now).await;
    append_histories(&bus_of(&server).await.log, 3).await;
    server.stop().await;
    copy(&now, &old);
    let (server, log) = serve(&now).await;
    append_histories(&bus_of(&server).await.log, 3).await;
    let never = TrustOptions { sign_every: Duration::from_secs(3_600), ..options(trusted.path()) };
    let trust = Trust::open(log, never).await.unwrap();
    let running = tokio::spawn(trust.clone().run(CancellationToken::new()));
    let mut status = trust.watch();
    let seen = status.wait_for(|status| status.verified == 20);
    tokio::time::timeout(SOON, seen).await.expect("all of it is read").unwrap();
    // as a service that is killed
    running.abort();
    server.stop().await;
    let (_server, log) = serve(&old).await;
    let trust = Trust::open(log, options(trusted.path())).await.unwrap();
    let rewound = Some(Trouble::Rewound { seen: 20, last: 10 });
    assert_eq!((trust.gate().trouble(), trust.folder().era().unwrap().trouble), (rewound.clone(), rewound));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_while_the_server_is_away_ends_and_a_gate_that_was_closed_meanwhile_is_remembered() {
    let (data, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (server, log) = serve(data.path()).await;
    append_histories(&bus_of(&server).await.log, 1).await;
    let trust = Trust::open(log, options(trusted.path())).await.unwrap();
    server.stop().await;
    let end = CancellationToken::new();
    let running = tokio::spawn(trust.clone().run(end.clone()));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let reused = Trouble::Reused { sequence: 3 };
    trust.gate().close(reused.clone());
    end.cancel();
    tokio::time::timeout(SOON, running).await.expect("it ends").unwrap();
    assert_eq!(trust.folder().era().unwrap().trouble, Some(reused));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rewind_that_has_grown_again_is_seen_by_who_only_reads() {
    let (data, trusted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (now, old) = with_a_copy(data.path()).await;
    let (server, log) = serve(&now).await;
    let bus = bus_of(&server).await;
    append_histories(&bus.log, 1).await;
    verify(log.clone(), trusted.path()).await;
    let trust = Trust::open(log, options(trusted.path())).await.unwrap();
    let running = tokio::spawn(trust.clone().run(CancellationToken::new()));
    let last = bus.log.append(SHARD, new_id(), &record(None)).await.unwrap().sequence;
    let mut status = trust.watch();
    let followed = status.wait_for(|status| status.verified == last);
    tokio::time::timeout(SOON, followed).await.expect("it follows").unwrap();
    comes_back_with(&server, &old, &now);
    let growing = async {
        while trust.gate().trouble().is_none() {
            drop(bus.log.append(SHARD, new_id(), &record(None)).await);
        }
    };
    tokio::time::timeout(SOON, growing).await.expect("the gate closes");
    assert_eq!(trust.status().verified, last, "nothing of the other log was taken in");
    running.abort();
}
