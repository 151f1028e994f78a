//! Replays, exports and the past: over gRPC, over HTTP, from NATS and from the data folder, all the same.

use proto::v1;
use proto::v1::analytics_client::AnalyticsClient;
use proto::v1::audit_client::AuditClient;
use proto::v1::operations_client::OperationsClient;
use proto::v1::{RegistrationState as State, ReplayRequest};
use serde_json::Value;
use tonic::Code;

use crate::support::{PATIENCE, POLL, Service, Stage, product, regflow};

/// What a command printed: exit code, standard output, standard error.
pub async fn run(args: &[&str]) -> (i32, String, String) {
    let output = regflow().args(args).current_dir(env!("CARGO_MANIFEST_DIR")).output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

async fn audit(service: &Service) -> AuditClient<tonic::transport::Channel> {
    AuditClient::new(service.channel().await)
}

async fn records(service: &Service, request: ReplayRequest) -> Vec<v1::RecordView> {
    let mut stream = audit(service).await.replay(request).await.unwrap().into_inner();
    let mut records = Vec::new();
    while let Some(record) = stream.message().await.unwrap() {
        records.push(record);
    }
    records
}

async fn lines(service: &Service, request: ReplayRequest) -> String {
    let mut stream = audit(service).await.export(request).await.unwrap().into_inner();
    let mut lines = Vec::new();
    while let Some(chunk) = stream.message().await.unwrap() {
        lines.extend_from_slice(&chunk.lines);
    }
    String::from_utf8(lines).unwrap()
}

/// Two that succeed, one that goes to its owner; each has another owner. Their ids.
async fn three(service: &mut Service) -> [v1::Registration; 3] {
    let mut all = Vec::new();
    for (brand, serial) in [("Norrland", "NL90000001"), ("Norrland", "NL90000002"), ("Hartmann", "HS-1")] {
        let mut request = product(brand, "VK 200", serial);
        request.owner.as_mut().unwrap().email = format!("{serial}@example.org");
        all.push(service.submit(request).await.id);
    }
    service.wait_for_state(&all[0], State::Success).await;
    service.wait_for_state(&all[1], State::Success).await;
    service.wait_for_packet(&all[2]).await;
    [service.get(&all[0]).await, service.get(&all[1]).await, service.get(&all[2]).await]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_is_of_a_registration_a_person_a_maker_or_a_range_and_nothing_else_comes() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let [first, second, _] = three(&mut service).await;
    let mut operations = OperationsClient::new(service.channel().await);
    let pause = v1::PauseRequest {
        maker: "norrland".into(),
        reason: "their maintenance".into(),
        operator: "ada".into(),
        ..Default::default()
    };
    let paused_at = operations.pause(pause).await.unwrap().into_inner().sequence;

    let whole = records(&service, ReplayRequest { from_sequence: 1, ..Default::default() }).await;
    assert!(whole.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
    let of = |wanted: &dyn Fn(&v1::RecordView) -> bool| -> Vec<v1::RecordView> {
        whole.iter().filter(|record| wanted(record)).cloned().collect()
    };
    let id = ReplayRequest { id: first.id.clone(), ..Default::default() };
    let own = of(&|record| record.registration_id == first.id);
    assert_eq!((own.len(), records(&service, id).await), (2, own));

    let person = ReplayRequest { owner_ref: second.owner_ref.clone(), ..Default::default() };
    assert_eq!(records(&service, person.clone()).await, of(&|record| record.registration_id == second.id));
    assert_eq!(records(&service, ReplayRequest { tenant: "another".into(), ..person }).await, []);

    let maker = ReplayRequest { maker: "norrland".into(), ..Default::default() };
    let own = records(&service, maker.clone()).await;
    assert_eq!(own, of(&|record| record.maker == "norrland"));
    let pause = own.iter().find(|record| record.sequence == paused_at).unwrap();
    assert_eq!((pause.actor.as_str(), pause.events[0].name.as_str()), ("operator ada", "paused"));
    let both = ReplayRequest { with_registrations: true, ..maker };
    let is_of = |record: &v1::RecordView| [&first.id, &second.id].contains(&&record.registration_id);
    assert_eq!(records(&service, both).await, of(&|record| record.maker == "norrland" || is_of(record)));

    let (from, until) = (whole[2].sequence, whole[5].sequence);
    let range = ReplayRequest { from_sequence: from, until_sequence: until, ..Default::default() };
    assert_eq!(records(&service, range).await, of(&|record| (from..=until).contains(&record.sequence)));
    let times = ReplayRequest { from_time: whole[2].at, until_time: whole[5].at, ..Default::default() };
    let within = records(&service, times).await;
    assert!(within.contains(&whole[2]) && within.contains(&whole[5]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_makes_no_sense_names_its_fields() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let refused = async |request: ReplayRequest| {
        let status = audit(&service).await.replay(request).await.err().unwrap();
        (status.code(), status.message().to_owned())
    };
    let (code, text) = refused(ReplayRequest::default()).await;
    assert!(code == Code::InvalidArgument && text.contains("from_sequence 1 is the whole log"), "{text}");
    let (code, text) = refused(ReplayRequest { id: "x".into(), ..Default::default() }).await;
    assert!(code == Code::InvalidArgument && text.starts_with("id is"), "{text}");
    let unknown = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".to_owned();
    assert_eq!(refused(ReplayRequest { id: unknown.clone(), ..Default::default() }).await.0, Code::NotFound);
    let both = ReplayRequest { id: unknown, maker: "norrland".into(), tenant: "x".into(), ..Default::default() };
    let (code, text) = refused(both).await;
    assert_eq!(code, Code::InvalidArgument);
    assert!(text.contains("maker and id exclude each other") && text.contains("tenant only goes with"), "{text}");
    let at = proto::Timestamp { seconds: 1, nanos: 0 };
    let (_, text) = refused(ReplayRequest { from_sequence: 1, from_time: Some(at), ..Default::default() }).await;
    assert!(text.contains("from_time and from_sequence exclude each other"), "{text}");
    let past = v1::AsOfRequest { sequence: 1_000_000, ..Default::default() };
    assert_eq!(audit(&service).await.as_of(past).await.unwrap_err().code(), Code::OutOfRange);
    let past = v1::AsOfRequest { page_size: 2_000, ..Default::default() };
    assert_eq!(audit(&service).await.as_of(past).await.unwrap_err().code(), Code::InvalidArgument);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_lines_come_over_grpc_http_nats_and_from_the_folder_and_hold_nothing_personal() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let [first, ..] = three(&mut service).await;
    let end =
        records(&service, ReplayRequest { from_sequence: 1, ..Default::default() }).await.last().unwrap().sequence;
    let wish = ReplayRequest { from_sequence: 1, until_sequence: end, ..Default::default() };
    let over_grpc = lines(&service, wish).await;
    assert!(over_grpc.lines().count() > 12, "{over_grpc}");
    for personal in ["Zoë", "Canary", "example.org", "5550199", "Lindenstra"] {
        assert!(!over_grpc.contains(personal), "{personal}");
    }
    let url = format!("{}/api/audit/replay?from_sequence=1&until_sequence={end}", service.http);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/x-ndjson");
    assert_eq!(answer.text().await.unwrap(), over_grpc);
    let bad = reqwest::get(format!("{}/api/audit/replay?from_time=soon", service.http)).await.unwrap();
    assert_eq!(bad.status(), 400);
    assert!(bad.text().await.unwrap().contains("write it like 2026-11-25T08:00:00Z"));

    let until = end.to_string();
    let (code, printed, told) = run(&["audit", "export", "--until", &until, "--server", &service.grpc]).await;
    assert_eq!((code, printed.as_str()), (0, over_grpc.as_str()), "{told}");
    assert!(told.ends_with(&format!("events, up to sequence {end}\n")), "{told}");
    let (code, from_nats, told) = run(&["audit", "export", "--until", &until, "--nats", &service.nats_url]).await;
    assert_eq!((code, from_nats.as_str()), (0, over_grpc.as_str()), "{told}");
    let (code, _, told) = run(&["audit", "export", "--nats", "nats://127.0.0.1:9"]).await;
    assert!(code == 1 && told.contains("failed to read the log at nats://127.0.0.1:9"), "{told}");

    let data = stage.data.path().to_str().unwrap();
    let (code, printed, told) = run(&["audit", "export", "--data", data]).await;
    assert!(code == 1 && printed.is_empty() && told.contains("is in use by another regflow"), "{told}");
    assert_eq!(service.stop().await, Some(0));
    let file = stage.data.path().join("export.jsonl");
    let name = file.to_str().unwrap();
    let (code, printed, told) = run(&["audit", "export", "--until", &until, "--data", data, "--out", name]).await;
    assert_eq!((code, printed.as_str()), (0, ""), "{told}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), over_grpc);
    assert!(!stage.data.path().join("export.jsonl.part").exists());
    let (_, story, _) = run(&["audit", "show", "--id", &first.id, "--data", data]).await;
    assert!(story.contains("registration_succeeded"), "{story}");
    let (code, _, told) = run(&["audit", "show", "--data", name]).await;
    assert!(code == 1 && told.contains("holds no log"), "{told}");
    inspected(name, &over_grpc, &first.id).await;
}

/// A file as it is, and with a line that was taken out.
async fn inspected(name: &str, text: &str, id: &str) {
    let (code, told, _) = run(&["audit", "inspect", name]).await;
    assert!(code == 0 && told.ends_with("every line is whole, in order, and linked to the one before it\n"), "{told}");
    let (_, json, _) = run(&["audit", "inspect", name, "--json"]).await;
    let summary: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&summary["events"]["submitted"], &summary["makers"]["norrland"]), (&3.into(), &2.into()), "{summary}");
    let (code, own, _) = run(&["audit", "inspect", name, "--id", id]).await;
    assert!(code == 0 && own.lines().count() == 5 && own.lines().all(|line| line.contains(id)), "{own}");
    let dispatched = format!("{id}\"");
    let gone = text.lines().position(|line| line.contains(&dispatched) && line.contains("dispatched")).unwrap();
    let left: String =
        text.lines().enumerate().filter(|(at, _)| *at != gone).map(|(_, line)| format!("{line}\n")).collect();
    std::fs::write(name, left).unwrap();
    let (code, told, _) = run(&["audit", "inspect", name]).await;
    assert_eq!(code, 1);
    assert!(
        told.contains(&format!("line {} (sequence ", gone + 1)) && told.contains("those before it are missing"),
        "{told}"
    );
    let (code, _, told) = run(&["audit", "inspect", "nowhere.jsonl"]).await;
    assert!(code == 1 && told.contains("failed to read nowhere.jsonl"), "{told}");
}

/// What the live services show.
#[derive(Debug, PartialEq)]
struct Shown {
    registration: v1::Registration,
    list: Vec<v1::Registration>,
    counts: Vec<(State, u64)>,
    metrics: Option<v1::MetricValues>,
    paused: Vec<(String, bool)>,
}

const STATES: [State; 5] =
    [State::Success, State::ManualRequired, State::UserCompleted, State::Cancelled, State::Pending];

fn paused(makers: &[v1::MakerStatus]) -> Vec<(String, bool)> {
    makers
        .iter()
        .map(|maker| (maker.maker.clone(), maker.methods.iter().any(|method| method.pause.is_some())))
        .collect()
}

/// As it is, once the analytics view has counted so many attempts.
async fn shown(service: &mut Service, id: &str, attempts: u64) -> Shown {
    let (mut list, mut counts) = (service.client.clone(), Vec::new());
    for state in STATES {
        let request = v1::ListRequest { states: vec![state.into()], page_size: 1, ..Default::default() };
        let total = list.list(request).await.unwrap().into_inner().total_size;
        counts.push((state, u64::try_from(total).unwrap()));
    }
    let of_maker = v1::ListRequest { maker: "norrland".into(), page_size: 2, ..Default::default() };
    let makers = OperationsClient::new(service.channel().await).list_makers(v1::ListMakersRequest::default()).await;
    let mut analytics = AnalyticsClient::new(service.channel().await);
    let asked = std::time::Instant::now();
    let metrics = loop {
        let request = v1::MetricsRequest { maker: "norrland".into(), ..Default::default() };
        let metrics = analytics.metrics(request).await.unwrap().into_inner().total;
        if metrics.as_ref().is_some_and(|total| total.attempts == attempts) {
            break metrics;
        }
        assert!(asked.elapsed() < PATIENCE, "never counted: {metrics:?}");
        tokio::time::sleep(POLL).await;
    };
    Shown {
        registration: service.get(id).await,
        list: list.list(of_maker).await.unwrap().into_inner().registrations,
        counts,
        metrics,
        paused: paused(&makers.unwrap().into_inner().makers),
    }
}

fn shown_then(answer: v1::AsOfResponse) -> Shown {
    let count = |state: &State| answer.states.iter().find(|one| one.state() == *state).map_or(0, |one| one.count);
    Shown {
        counts: STATES.iter().map(|state| (*state, count(state))).collect(),
        registration: answer.registration.unwrap(),
        list: answer.registrations,
        metrics: answer.metrics.unwrap().total,
        paused: paused(&answer.makers),
    }
}

async fn head(service: &Service) -> u64 {
    records(service, ReplayRequest { from_sequence: 1, ..Default::default() }).await.last().unwrap().sequence
}

#[tokio::test(flavor = "multi_thread")]
async fn later_the_past_is_exactly_what_was_shown_when_it_was_the_present() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let [first, _, by_hand] = three(&mut service).await;
    let mut snapshots = vec![(head(&service).await, by_hand.id.clone(), shown(&mut service, &by_hand.id, 2).await)];

    let mut operations = OperationsClient::new(service.channel().await);
    let pause = v1::PauseRequest {
        maker: "norrland".into(),
        reason: "their maintenance".into(),
        operator: "ada".into(),
        ..Default::default()
    };
    operations.pause(pause).await.unwrap();
    let waits = service.submit(product("Norrland", "VK 200", "NL90000003")).await.id;
    service.wait_for_state(&waits, State::Waiting).await;
    snapshots.push((head(&service).await, waits.clone(), shown(&mut service, &waits, 2).await));

    service.client.complete(v1::CompleteRequest { id: by_hand.id.clone(), ..Default::default() }).await.unwrap();
    service.client.cancel(v1::CancelRequest { id: waits.clone(), ..Default::default() }).await.unwrap();
    snapshots.push((head(&service).await, waits.clone(), shown(&mut service, &waits, 2).await));
    snapshots.push((head(&service).await, first.id.clone(), shown(&mut service, &first.id, 2).await));

    assert_eq!(snapshots[0].2.counts[..2], [(State::Success, 2), (State::ManualRequired, 1)]);
    assert!(snapshots[1].2.paused.contains(&("norrland".to_owned(), true)));
    for (sequence, id, then) in &snapshots {
        let request = v1::AsOfRequest {
            sequence: *sequence,
            id: id.clone(),
            maker: "norrland".into(),
            page_size: 2,
            ..Default::default()
        };
        let answer = audit(&service).await.as_of(request).await.unwrap().into_inner();
        assert_eq!((answer.sequence, &shown_then(answer)), (*sequence, then));
    }
    let (sequence, id, then) = &snapshots[1];
    let (at, nats) = (sequence.to_string(), service.nats_url.clone());
    let as_of = ["audit", "as-of", &at, "--id", id, "--json", "--nats", &nats];
    let (code, json, told) = run(&as_of).await;
    assert_eq!(code, 0, "{told}");
    let answer: v1::AsOfResponse = serde_json::from_str(&json).unwrap();
    assert_eq!((answer.sequence, answer.registration.unwrap()), (*sequence, then.registration.clone()));
    let (code, text, told) = run(&["audit", "as-of", &at, "--list", "5", "--server", &service.grpc]).await;
    assert_eq!(code, 0, "{told}");
    assert!(text.contains(&format!("as of         sequence {at}, ")) && text.contains("2  SUCCESS"), "{text}");
    let url = format!("{}/api/audit/as-of?sequence={sequence}&id={id}", service.http);
    let over_http: v1::AsOfResponse = reqwest::get(url).await.unwrap().json().await.unwrap();
    assert_eq!(over_http.registration.unwrap(), then.registration);
}
