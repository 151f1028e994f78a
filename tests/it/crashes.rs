//! Crashes: the process, or its nats-server, is killed between any two steps, again and again on the same log; in the end
//! every registration has come to its end, and the makers' ledger shows none that was accepted twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::Scope;

use crate::support::{PATIENCE, Service, Stage, files_with, product};

/// Every place where the program can be killed (handlers/src/crash.rs).
const PLACES: [&str; 12] = [
    "before_submit",
    "after_submit",
    "before_append",
    "after_append",
    "before_call",
    "before_form",
    "after_form",
    "before_outcome",
    "before_mail",
    "after_mail",
    "before_maker_append",
    "after_maker_append",
];
/// Kills in the long mode, which `REGFLOW_LONG_TESTS=1` chooses.
const KILLS_LONG: usize = 200;
/// Of so many lives one ends with its nats-server being killed.
const NATS_LIFE_EVERY: usize = 6;
/// How long a life may last in which nobody came to the place.
const LIFE_MAX: Duration = Duration::from_secs(8);

/// One life of the process: where it dies, and how often it passes there before.
struct Life {
    number: usize,
    place: &'static str,
    passes: usize,
}

fn lives() -> Vec<Life> {
    let count = if std::env::var_os("REGFLOW_LONG_TESTS").is_some() { KILLS_LONG } else { PLACES.len() };
    (0..count)
        .map(|number| Life { number, place: PLACES[number % PLACES.len()], passes: (number * 7 / PLACES.len()) % 5 })
        .collect()
}

/// What is handed over in one life: each way a registration can go.
fn requests(life: usize) -> Vec<v1::SubmitRequest> {
    let with_id =
        |request: v1::SubmitRequest, what: &str| v1::SubmitRequest { request_id: format!("{what}-{life}"), ..request };
    let mut requests = vec![
        with_id(product("Norrland", "VK 200", &format!("CR{life:08}")), "api"),
        with_id(product("Norrland", "VK 200", &format!("CS{life:08}")), "api-too"),
        with_id(product("Kestrel", "Impact Driver", &format!("K7{life:08}")), "no-repeat"),
        with_id(product("Veloce", "Strada", &format!("VL{life:08}")), "captcha"),
    ];
    // a form takes seconds
    if life.is_multiple_of(3) {
        requests.push(with_id(product("Brightwell", "Monitor 5", &format!("BW26-{life:06}")), "form"));
    }
    requests
}

/// Hands everything over that was not answered for yet; what the service's death leaves open stays in `open`.
async fn hand_over(service: &mut Service, open: &mut Vec<v1::SubmitRequest>, ids: &mut BTreeMap<String, String>) {
    let mut left = Vec::new();
    for request in std::mem::take(open) {
        match service.client.submit(request.clone()).await {
            Ok(answer) => {
                let registration = answer.into_inner().registration.unwrap();
                ids.insert(request.request_id.clone(), registration.id);
            }
            Err(_) => left.push(request),
        }
    }
    *open = left;
}

async fn live(stage: &Stage, life: &Life, open: &mut Vec<v1::SubmitRequest>, ids: &mut BTreeMap<String, String>) {
    let mut command = stage.command();
    let kills_nats = life.number % NATS_LIFE_EVERY == NATS_LIFE_EVERY - 1;
    command.env("REGFLOW__LOG__LEVEL", "off");
    // each next life goes on from wherever this one was when it last had the time to write one
    command.env("REGFLOW__ENGINE__SNAPSHOT_EVERY_MS", "20");
    if !kills_nats {
        command.env("FAILPOINTS", format!("{}={}*off->1*return", life.place, life.passes));
    }
    open.extend(requests(life.number));
    // work that was left over may bring it to the place before it serves
    let Ok(mut service) = stage.try_start_at(stage.data.path(), &mut command).await else { return };
    hand_over(&mut service, open, ids).await;
    if kills_nats {
        service.signal_nats("KILL");
        hand_over(&mut service, open, ids).await;
    }
    // some places are only reached when something fails: that life ends by a kill from outside
    let died = tokio::time::timeout(LIFE_MAX, service.child.wait()).await;
    if died.is_err() {
        service.crash().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_between_any_two_steps_nothing_is_registered_twice_and_nothing_is_forgotten() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[], "[circuit]\nopen_s = 1\n[health]\nevery_s = 1");
    // a counted fault spares lookups
    stage.fault(Maker::Brightwell, Stage::answers(503, Some(100_000)).at(Scope::Api));
    let (mut open, mut ids) = (Vec::new(), BTreeMap::new());
    for life in lives() {
        live(&stage, &life, &mut open, &mut ids).await;
    }
    assert!(stage.data.path().join("engine.snapshot").exists(), "no life that was cut off left a snapshot");
    let mut service = stage.start().await;
    let asked = Instant::now();
    while !open.is_empty() {
        hand_over(&mut service, &mut open, &mut ids).await;
        assert!(
            asked.elapsed() < PATIENCE,
            "never taken: {:?}",
            open.iter().map(|r| &r.request_id).collect::<Vec<_>>()
        );
    }
    for (request, id) in &ids {
        let settled = service.wait_for(id, is_settled).await;
        judge_state(request, &settled);
    }
    judge_ledger(&stage);
    judge_mail(&stage, ids.len());
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(browsers_of(stage.data.path()), Vec::<String>::new());
    assert!(files_with(stage.data.path(), &["zoe.canary@example.org"]).is_empty());
}

fn is_settled(r: &v1::Registration) -> bool {
    let sent = r.packet.as_ref().is_some_and(|packet| packet.state() == v1::PacketState::Sent);
    match r.state() {
        State::Success => true,
        State::ManualRequired => sent,
        State::OutcomeUnknown => r.waiting.is_none(),
        State::Unspecified
        | State::Pending
        | State::Processing
        | State::Waiting
        | State::UserCompleted
        | State::NeedsCorrection
        | State::Cancelled
        | State::Expired => false,
    }
}

fn judge_state(request: &str, r: &v1::Registration) {
    let allowed: &[State] = match request.split('-').next() {
        Some("api") => &[State::Success],
        // two forms cut off are two tries used up: then it is the owner's turn
        Some("form") => &[State::Success, State::ManualRequired],
        // these makers cannot be asked: of an attempt that was cut off a person decides
        Some("no") => &[State::Success, State::OutcomeUnknown],
        _ => &[State::ManualRequired, State::OutcomeUnknown],
    };
    assert!(allowed.contains(&r.state()), "{request} ended as {r:?}");
}

fn judge_ledger(stage: &Stage) {
    let mut accepted: BTreeMap<String, usize> = BTreeMap::new();
    for entry in stage.sandbox.ledger().entries(&sandbox::ledger::Filter::default(), 100_000) {
        *accepted.entry(entry.serial.to_string()).or_default() += usize::from(entry.accepted);
    }
    let twice: Vec<_> = accepted.iter().filter(|(_, count)| **count > 1).collect();
    assert!(twice.is_empty(), "registered twice: {twice:?}");
}

/// A letter may come twice when we died right after it was taken, but as the same letter.
fn judge_mail(stage: &Stage, registrations: usize) {
    let mut letters: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for mail in stage.sandbox.mailbox().mails() {
        letters.entry(mail.subject.clone()).or_default().insert(mail.message_id.clone().unwrap_or_default());
    }
    assert!(letters.len() <= registrations);
    let twice: Vec<_> = letters.iter().filter(|(_, ids)| ids.len() > 1).collect();
    assert!(twice.is_empty(), "two letters about one registration: {twice:?}");
}

/// Command lines of processes that work in this folder.
fn browsers_of(folder: &Path) -> Vec<String> {
    let name = folder.display().to_string();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
    lines.filter(|line| line.contains(&name) && line.contains("chrom")).collect()
}
