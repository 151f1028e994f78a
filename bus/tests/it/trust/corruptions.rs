//! Random damage to the store's files: the first place at which the server then serves something else is named, and damage
//! that changes nothing of what is served raises no alarm. As many as `REGFLOW_CORRUPTIONS` says.

use std::path::{Path, PathBuf};

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use regflow_bus::{RawMessage, Trust};

use super::damage::{self, KINDS};
use super::store::{EVENTS, append_histories, bus_of, check, copy, options, serve, served, verify};

/// How many of each, when nobody says.
const COUNT: u64 = 16;
/// Histories in each half of the store.
const HISTORIES: usize = 25;

fn count() -> u64 {
    std::env::var("REGFLOW_CORRUPTIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(COUNT)
}

/// A store, what was verified of it, and an older copy of the store.
struct Sample {
    folder: tempfile::TempDir,
    truth: Vec<RawMessage>,
    incarnation: i64,
}

impl Sample {
    async fn make() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (data, trust) = (folder.path().join("data"), folder.path().join("trust"));
        let (server, log) = serve(&data).await;
        append_histories(&bus_of(&server).await.log, HISTORIES).await;
        verify(log, &trust).await;
        server.stop().await;
        copy(&data, &folder.path().join("older"));
        let (server, log) = serve(&data).await;
        append_histories(&bus_of(&server).await.log, HISTORIES).await;
        verify(log.clone(), &trust).await;
        let (facts, truth) = served(&log, 0).await.unwrap();
        server.stop().await;
        assert!(damage::blocks(&data.join(EVENTS).join("msgs")).len() > 1, "more than one block");
        Self { folder, truth: truth.into_iter().map(Option::unwrap).collect(), incarnation: facts.incarnation.0 }
    }

    /// A copy of store and trust in a folder of its own.
    fn copied(&self, store: &str) -> (tempfile::TempDir, PathBuf, PathBuf) {
        let case = tempfile::tempdir().unwrap();
        let (data, trust) = (case.path().join("data"), case.path().join("trust"));
        copy(&self.folder.path().join(store), &data);
        copy(&self.folder.path().join("trust"), &trust);
        (case, data, trust)
    }

    /// The first place at which the server serves something else than before; nothing when there is none.
    async fn first_difference(&self, log: &regflow_bus::WholeLog) -> Option<u64> {
        let upto = self.truth.len() as u64;
        let Some((facts, now)) = served(log, upto).await else { return Some(1) };
        if facts.incarnation.0 != self.incarnation {
            return Some(1);
        }
        let differs = |sequence: &u64| {
            let at = usize::try_from(*sequence - 1).unwrap();
            now[at].as_ref() != Some(&self.truth[at])
        };
        (1..=upto).find(differs)
    }
}

async fn damaged(sample: &Sample, number: u64) -> (usize, bool, bool) {
    let (kind, mut rng) = (usize::try_from(number).unwrap() % KINDS.len(), StdRng::seed_from_u64(number));
    let reused = kind == 14;
    let (_case, data, trust) = sample.copied(if reused { "older" } else { "data" });
    if reused {
        let (server, _) = serve(&data).await;
        append_histories(&bus_of(&server).await.log, rng.random_range(1..2 * HISTORIES)).await;
        server.stop().await;
    } else {
        damage::apply(kind, &data.join(EVENTS), &mut rng);
    }
    let (_server, log) = serve(&data).await;
    let expected = sample.first_difference(&log).await;
    let report = check(&log, &trust).await;
    let named = report.first().map(|flaw| flaw.sequence);
    assert_eq!(named, expected, "case {number}, {}: {report:#?}", KINDS[kind]);
    let closed = at_start(&log, &trust).await;
    assert!(expected.is_some() || !closed, "case {number}, {}: a false alarm", KINDS[kind]);
    (kind, expected.is_some(), closed)
}

/// Whether the start of a service closes the gate, without reading all of the log.
async fn at_start(log: &regflow_bus::WholeLog, trust: &Path) -> bool {
    let trust = Trust::open(log.clone(), options(trust)).await.unwrap();
    trust.gate().trouble().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_bad_place_of_every_random_corruption_is_named() {
    let sample = Box::pin(Sample::make()).await;
    let (mut bad, mut harmless, mut at_start) = (vec![0; KINDS.len()], vec![0; KINDS.len()], 0);
    for number in 0.. {
        // some damage is mended by the server itself: it does not count
        if bad.iter().sum::<u64>() == count() {
            break;
        }
        let (kind, is_bad, closed) = Box::pin(damaged(&sample, number)).await;
        let tally = if is_bad { &mut bad } else { &mut harmless };
        tally[kind] += 1;
        at_start += u64::from(closed);
    }
    eprintln!("named: {bad:?}, harmless: {harmless:?}, {at_start} of the bad ones close the gate at the start already");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_clean_run_raises_an_alarm() {
    let sample = Box::pin(Sample::make()).await;
    for number in 0..count() {
        let mut rng = StdRng::seed_from_u64(number);
        let (_case, data, trust) = sample.copied("data");
        let index = data.join(EVENTS).join("msgs/index.db");
        match number % 4 {
            // the server reads its blocks instead
            0 => std::fs::remove_file(index).unwrap(),
            // it was killed: its index is older than its messages
            1 => {
                let older = sample.folder.path().join("older").join(EVENTS).join("msgs/index.db");
                std::fs::copy(older, index).unwrap();
            }
            _ => {}
        }
        for _ in 0..rng.random_range(1..3) {
            let (server, log) = serve(&data).await;
            append_histories(&bus_of(&server).await.log, rng.random_range(0..3)).await;
            let verified = verify(log.clone(), &trust).await;
            assert_eq!(verified.gate().trouble(), None, "run {number}");
            let report = check(&log, &trust).await;
            assert!(report.is_good() && report.compared == report.messages, "run {number}: {report:#?}");
            // half of the servers are killed
            if rng.random() { server.stop().await } else { drop(server) }
        }
    }
}
