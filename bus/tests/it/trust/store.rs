//! A store of a server to be copied and damaged, and what it serves.

use std::path::Path;
use std::time::Duration;

use events::record::Link;
use events::{NoteSigner, RegistrationId, Timestamp};
use regflow_bus::testing::TestServer;
use regflow_bus::{
    Check, Embedded, EmbeddedOptions, EventLog, NatsLog, RawMessage, ReadOptions, Report, StreamFacts, Trust,
    TrustFolder, TrustOptions, WholeLog,
};
use tokio_util::sync::CancellationToken;

use crate::records::{SHARD, SOON, maker_record, new_id, record_saying};

/// The streams' folder below that of the server.
pub const EVENTS: &str = "jetstream/$G/streams/EVENTS";

pub fn signer() -> NoteSigner {
    NoteSigner::new("regflow.invalid/log", &[7; 32]).unwrap()
}

pub fn options(folder: &Path) -> TrustOptions {
    TrustOptions {
        folder: TrustFolder::at(folder.to_owned()),
        witness: None,
        signer: signer(),
        sign_every: Duration::from_millis(50),
        clock: || Timestamp(1_000_000),
    }
}

/// Registrations with three records each; every third of them fat, so that the store has more than one block.
pub async fn append_histories(log: &NatsLog, count: usize) -> Vec<(RegistrationId, Link)> {
    let one = async |number: usize| {
        let id = new_id();
        let text = if number % 3 == 1 { "x".repeat(230_000) } else { "y".repeat(300) };
        let mut last = None;
        for step in 0..3 {
            let record = record_saying(&format!("{number} {step} {text}"), last);
            last = Some(log.append(SHARD, id, &record).await.unwrap());
        }
        (id, last.unwrap())
    };
    let mut histories = Vec::new();
    for first in (0..count).step_by(16) {
        histories.extend(futures::future::join_all((first..count.min(first + 16)).map(one)).await);
    }
    let last = log.last_of_maker(SHARD, "norrland").await.unwrap().map(|stored| stored.link());
    log.append_maker(SHARD, "norrland", &maker_record(last)).await.unwrap();
    histories
}

/// Verifies until everything is, and signs it.
pub async fn verify(log: WholeLog, folder: &Path) -> Trust {
    let last = log.facts().await.unwrap().unwrap().last;
    let trust = Trust::open(log, options(folder)).await.unwrap();
    let end = CancellationToken::new();
    let running = tokio::spawn(trust.clone().run(end.clone()));
    let mut status = trust.watch();
    let signed = status
        .wait_for(|status| status.trouble.is_some() || status.head.as_ref().is_some_and(|head| head.size >= last));
    tokio::time::timeout(SOON, signed).await.expect("all of it is signed").unwrap();
    end.cancel();
    running.await.unwrap();
    trust
}

/// A server on a folder, and a reader of its log.
pub async fn serve(data: &Path) -> (Embedded, WholeLog) {
    let options = EmbeddedOptions { data_dir: data.to_owned(), ..EmbeddedOptions::default() };
    let server = Embedded::start(options).await.unwrap();
    let log = WholeLog::connect(&server.client_url(), ReadOptions::default(), SOON).await.unwrap();
    (server, log)
}

pub async fn bus_of(server: &Embedded) -> regflow_bus::Bus {
    let throw_away = regflow_bus::BusOptions {
        embedded: Some(server.disk_sync()),
        ..regflow_bus::BusOptions::new(
            regflow_bus::Topology::committed().unwrap(),
            events::seal::MasterKey::new([7; 32]),
        )
    };
    regflow_bus::Bus::connect(&server.client_url(), throw_away).await.unwrap()
}

/// Everything that the server serves, by place; nothing where it has nothing.
pub async fn served(log: &WholeLog, upto: u64) -> Option<(StreamFacts, Vec<Option<RawMessage>>)> {
    let facts = log.facts().await.unwrap()?;
    let mut messages = Vec::new();
    for sequence in 1..=facts.last.max(upto) {
        messages.push(log.message(sequence).await.unwrap());
    }
    Some((facts, messages))
}

pub async fn check(log: &WholeLog, folder: &Path) -> Report {
    let folder = Some(TrustFolder::at(folder.to_owned()));
    let check = Check { log: log.clone(), folder, key: signer().verifier().clone() };
    tokio::time::timeout(SOON * 6, check.run(|_| {})).await.expect("it ends").unwrap()
}

pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (entry, target) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if entry.is_dir() {
            copy(&entry, &target);
        } else {
            std::fs::copy(&entry, &target).unwrap();
        }
    }
}

/// A throw-away server with its log.
pub async fn fresh() -> (TestServer, regflow_bus::Bus) {
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    (server, bus)
}
