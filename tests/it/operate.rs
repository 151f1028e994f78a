//! What an operator does with makers, and what they are told: pauses, held circuits, redrives, explanations.

use events::MakerEvent;
use events::record::Record;
use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, CircuitPosition, CircuitState, Method, RegistrationState as State, WaitKind};
use sandbox::Maker;
use sandbox::faults::Scope;
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;

use crate::notifications::Subscriber;
use crate::support::{PATIENCE, Service, Stage, days_ago, product};

/// One try of the API, so that a failure decides at once.
const ONE_TRY: &[(&str, &str)] = &[("tries_max = 4", "tries_max = 1")];

async fn operations(service: &Service) -> OperationsClient<Channel> {
    OperationsClient::new(service.channel().await)
}

fn pause(maker: &str) -> v1::PauseRequest {
    v1::PauseRequest {
        maker: maker.into(),
        reason: "their maintenance".into(),
        operator: "ada".into(),
        ..Default::default()
    }
}

fn resume(maker: &str) -> v1::ResumeRequest {
    v1::ResumeRequest {
        maker: maker.into(),
        reason: "they are back".into(),
        operator: "grace".into(),
        ..Default::default()
    }
}

fn force(maker: &str, position: CircuitPosition) -> v1::ForceCircuitRequest {
    v1::ForceCircuitRequest {
        maker: maker.into(),
        method: Method::Api.into(),
        position: position.into(),
        reason: "their release".into(),
        operator: "ada".into(),
    }
}

fn release(maker: &str) -> v1::ReleaseCircuitRequest {
    v1::ReleaseCircuitRequest {
        maker: maker.into(),
        method: Method::Api.into(),
        reason: "it is out".into(),
        operator: "ada".into(),
    }
}

fn redrive(maker: &str) -> v1::RedriveRequest {
    v1::RedriveRequest {
        maker: maker.into(),
        from_method: Method::Api.into(),
        reason: "the API is back".into(),
        operator: "ada".into(),
        ..Default::default()
    }
}

async fn explain(service: &mut Service, id: &str) -> v1::Explanation {
    service.client.explain(v1::ExplainRequest { id: id.to_owned() }).await.unwrap().into_inner()
}

/// Explains until it waits for this kind of thing.
async fn explained(service: &mut Service, id: &str, kind: WaitKind) -> (v1::Explanation, v1::WaitsFor) {
    let asked = std::time::Instant::now();
    loop {
        let explanation = explain(service, id).await;
        let waits_for = explanation.waits_for.clone().unwrap();
        assert!(!waits_for.sentence.is_empty() && waits_for.kind() != WaitKind::Unspecified, "{explanation:#?}");
        if waits_for.kind() == kind {
            return (explanation, waits_for);
        }
        assert!(asked.elapsed() < PATIENCE, "never {kind:?}: {explanation:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

/// The status of a maker, once it shows the record at `sequence`.
async fn maker(service: &Service, maker: &str, sequence: u64) -> v1::MakerStatus {
    let (mut operations, asked) = (operations(service).await, std::time::Instant::now());
    loop {
        let request = v1::ListMakersRequest { maker: maker.into() };
        let status = operations.list_makers(request).await.unwrap().into_inner().makers.remove(0);
        if status.sequence >= sequence {
            return status;
        }
        assert!(asked.elapsed() < PATIENCE, "never at {sequence}: {status:#?}");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_comes_while_a_maker_is_paused_waits_with_who_and_why_across_a_crash_and_goes_on_after_it() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let paused = operations(&service).await.pause(pause("norrland")).await.unwrap().into_inner();
    service.crash().await;

    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NP00000001")).await.id;
    let waiting = service.wait_for_state(&id, State::Waiting).await.waiting.unwrap();
    assert_eq!(waiting.reason, "an operator to resume the maker's API");
    let (explanation, waits_for) = explained(&mut service, &id, WaitKind::Operator).await;
    assert_eq!((waits_for.by.as_str(), waits_for.reason.as_str()), ("operator ada", "their maintenance"));
    assert_eq!((waits_for.method(), explanation.tried.len()), (Method::Api, 0));
    assert!(waits_for.since.is_some() && explanation.latest_safe_time.is_some(), "{explanation:#?}");
    let status = maker(&service, "norrland", paused.sequence).await;
    assert_eq!(status.methods[0].pause.as_ref().map(|pause| pause.by.as_str()), Some("operator ada"));
    assert_eq!((status.methods[0].waiting, stage.ledger().len()), (1, 0));

    let resumed = operations(&service).await.resume(resume("norrland")).await.unwrap().into_inner();
    assert!(resumed.sequence > paused.sequence);
    assert_eq!(service.wait_for_state(&id, State::Success).await.attempts, 1);
    let story = service.story(&id).await.concat();
    assert_eq!(
        story,
        ["submitted", "held", "dispatched", "attempt_started", "attempt_succeeded", "registration_succeeded"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn each_wish_is_an_event_in_the_log_with_who_and_why() {
    let stage = Stage::new().await;
    // no check of the maker comes in between
    stage.maker("norrland", &[], "[health]\nevery_s = 3600");
    let service = stage.start().await;
    let mut log = Subscriber::connect_to(&service, "circuit.*.norrland").await;
    let mut operations = operations(&service).await;
    operations.pause(v1::PauseRequest { method: Method::Api.into(), ..pause("norrland") }).await.unwrap();
    operations.resume(resume("norrland")).await.unwrap();
    operations.force_circuit(force("norrland", CircuitPosition::Open)).await.unwrap();
    operations.force_circuit(force("norrland", CircuitPosition::Closed)).await.unwrap();
    operations.release_circuit(release("norrland")).await.unwrap();
    let mut told = Vec::new();
    while told.len() < 5 {
        let record = Record::<MakerEvent>::decode(&log.next_bytes_in_time().await.1).unwrap();
        let own = record.events.iter().filter(|event| !matches!(event, MakerEvent::HealthChecked(_)));
        told.extend(own.map(|event| format!("{} {}: {}", record.actor, event.name(), why(event))));
    }
    let by_whom = [
        "operator ada paused: their maintenance",
        "operator grace resumed: they are back",
        "operator ada circuit_forced: their release",
        "operator ada circuit_forced: their release",
        "operator ada circuit_released: it is out",
    ];
    assert_eq!(told, by_whom);
}

fn why(event: &MakerEvent) -> String {
    serde_json::to_value(event).unwrap()["reason"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_is_held_open_lets_nothing_pass_until_it_is_released() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let held = operations(&service).await.force_circuit(force("norrland", CircuitPosition::Open)).await;
    let status = maker(&service, "norrland", held.unwrap().into_inner().sequence).await;
    let circuit = status.methods[0].circuit.clone().unwrap();
    assert_eq!((circuit.state(), circuit.forced), (CircuitState::Open, true));

    let mut ids = Vec::new();
    for n in 0..2 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NP0000001{n}"))).await.id);
        let waiting = service.wait_for_state(&ids[n], State::Waiting).await.waiting.unwrap();
        assert_eq!(waiting.reason, "the circuit of the maker's API to close");
    }
    let (explanation, waits_for) = explained(&mut service, &ids[1], WaitKind::Circuit).await;
    assert_eq!((waits_for.until, waits_for.ahead), (None, Some(1)), "{explanation:#?}");
    assert_eq!(stage.ledger().len(), 0);

    operations(&service).await.release_circuit(release("norrland")).await.unwrap();
    for id in &ids {
        assert_eq!(service.wait_for_state(id, State::Success).await.attempts, 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_form_is_left_a_circuit_that_is_held_open_sends_it_there_and_explain_says_so() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    operations(&service).await.force_circuit(force("brightwell", CircuitPosition::Open)).await.unwrap();
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000201")).await.id;
    assert_eq!(service.wait_for_state(&id, State::Success).await.method(), Method::AutomationReliable);
    let tried = explain(&mut service, &id).await.tried;
    let told: Vec<_> = tried.iter().map(|one| (one.method(), one.attempt, one.outcome.as_str())).collect();
    let passed_over = (Method::Api, 0, "passed over: circuit open");
    assert_eq!(told, [passed_over, (Method::AutomationReliable, 1, "registered")]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_is_held_closed_stays_so_however_much_fails() {
    let stage = Stage::new().await;
    stage.maker("norrland", ONE_TRY, "[circuit]\nfailures = 2\nopen_s = 600");
    stage.fault(Maker::Norrland, Stage::answers(503, None));
    let mut service = stage.start().await;
    operations(&service).await.force_circuit(force("norrland", CircuitPosition::Closed)).await.unwrap();
    for n in 0..4 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NP0000002{n}"))).await.id;
        assert_eq!(service.wait_for_state(&id, State::ManualRequired).await.attempts, 1);
    }
    let circuit = maker(&service, "norrland", 0).await.methods[0].circuit.clone().unwrap();
    assert_eq!((circuit.state(), circuit.forced), (CircuitState::Closed, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_tells_first_and_then_tries_each_again_from_the_chosen_rung_as_its_operators_wish() {
    let stage = Stage::new().await;
    stage.maker("norrland", ONE_TRY, "");
    stage.fault(Maker::Norrland, Stage::answers(503, None).at(Scope::Api));
    let mut service = stage.start().await;
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NP0000003{n}"))).await.id);
    }
    let by_hand = service.submit(product("Hartmann", "Kaffeemühle", "10003")).await.id;
    for id in ids.iter().chain([&by_hand]) {
        service.wait_for_packet(id).await;
    }
    stage.sandbox.faults().clear();

    let mut operations = operations(&service).await;
    let all = v1::RedriveRequest { dry_run: true, ..redrive("") };
    let foreseen = operations.redrive(all).await.unwrap().into_inner();
    assert_eq!((foreseen.matched, foreseen.redriven, foreseen.more), (4, 3, false));
    assert_eq!((foreseen.refused[0].id.as_str(), foreseen.refused.len()), (by_hand.as_str(), 1));
    assert_eq!(foreseen.refused[0].problem, "Hartmann & Söhne does not have the method API");
    let newest_first: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(foreseen.ids, newest_first);
    assert_eq!(service.get(&ids[0]).await.state(), State::ManualRequired);

    let two = v1::RedriveRequest { limit: 2, ..redrive("norrland") };
    let done = operations.redrive(two).await.unwrap().into_inner();
    assert_eq!((done.matched, done.redriven, done.more), (2, 2, true));
    let rest = operations.redrive(redrive("norrland")).await.unwrap().into_inner();
    assert_eq!((rest.redriven, rest.more), (1, false), "{rest:?}");
    for id in &ids {
        assert_eq!(service.wait_for_state(id, State::Success).await.method(), Method::Api);
    }
    let history = service.history(&ids[0]).await;
    let asked = history.iter().find(|record| record.events[0].name == "retry_requested").unwrap();
    let fields = serde_json::to_value(&asked.events[0].fields).unwrap();
    assert_eq!((asked.actor.as_str(), fields["from"].as_str()), ("operator ada", Some("API")));
    assert_eq!(fields["reason"], "the API is back");
    assert_eq!(service.get(&by_hand).await.state(), State::ManualRequired);
}

/// The code, the reason, the fields and the text of a refusal.
fn refusal<T: std::fmt::Debug>(answer: Result<T, Status>) -> (Code, String, Vec<String>, String) {
    let status = answer.unwrap_err();
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.clone()).unwrap_or_default();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let fields = violations.into_iter().map(|violation| violation.field).collect();
    (status.code(), reason, fields, status.message().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_wish_is_named_with_its_remedy_and_nothing_is_stored() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let mut operations = operations(&service).await;

    for (written, remedy) in
        [("norland", "did you mean `norrland`?"), ("Hartmann und Soehne", "did you mean `hartmann`?")]
    {
        let (code, reason, _, text) = refusal(operations.pause(pause(written)).await);
        assert_eq!((code, reason.as_str()), (Code::NotFound, "MAKER_NOT_FOUND"));
        assert!(text.contains(remedy), "{text}");
    }
    let (code, _, _, text) = refusal(operations.list_makers(v1::ListMakersRequest { maker: "zzz".into() }).await);
    assert!(code == Code::NotFound && text.contains("`regflow makers` shows those there are"), "{text}");

    let silent = v1::PauseRequest { reason: "  ".into(), operator: String::new(), ..pause("norrland") };
    let (code, _, fields, text) = refusal(operations.pause(silent).await);
    assert_eq!((code, fields), (Code::InvalidArgument, vec!["reason".to_owned(), "operator".to_owned()]));
    assert!(text.contains("must be 1 to 500 characters"), "{text}");
    let by_form = v1::PauseRequest { method: Method::AutomationReliable.into(), ..pause("norrland") };
    let (_, _, fields, text) = refusal(operations.pause(by_form).await);
    assert_eq!(fields, ["method"]);
    assert!(text.contains("AUTOMATION_RELIABLE, which Norrland Appliances does not have"), "{text}");
    let nothing = v1::ForceCircuitRequest { maker: "norrland".into(), ..Default::default() };
    let (_, _, fields, _) = refusal(operations.force_circuit(nothing).await);
    assert_eq!(fields, ["method", "position", "reason", "operator"]);
    let ended = v1::RedriveRequest { states: vec![State::Success.into()], ..redrive("") };
    let (_, _, fields, text) = refusal(operations.redrive(ended).await);
    assert!(fields == ["states"] && text.contains("names SUCCESS: those have ended well"), "{text}");

    assert_eq!(maker(&service, "norrland", 0).await.methods[0].pause, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_has_not_ended_waits_for_something_that_explain_names() {
    let stage = Stage::new().await;
    stage.maker("norrland", ONE_TRY, "");
    let mut service = stage.start().await;
    let done = service.submit(product("Norrland", "VK 200", "NP00000041")).await.id;
    service.wait_for_state(&done, State::Success).await;
    let (explanation, waits_for) = explained(&mut service, &done, WaitKind::Nothing).await;
    assert_eq!(waits_for.sentence, "nothing: it is registered");
    assert_eq!((explanation.latest_safe_time, explanation.tried[0].outcome.as_str()), (None, "registered"));

    let by_hand = service.submit(product("Hartmann", "Kaffeemühle", "10004")).await.id;
    service.wait_for_packet(&by_hand).await;
    let (_, waits_for) = explained(&mut service, &by_hand, WaitKind::Person).await;
    assert_eq!(waits_for.by, "owner");
    assert!(waits_for.sentence.contains("who has the packet"), "{waits_for:?}");

    stage.fault(Maker::Norrland, Stage::answers(503, Some(1)));
    let failed = service.submit(product("Norrland", "VK 200", "NP00000042")).await.id;
    service.wait_for_packet(&failed).await;
    let tried = explain(&mut service, &failed).await.tried;
    assert_eq!((tried.len(), tried[0].attempt), (1, 1));
    assert!(tried[0].outcome.starts_with("server: "), "{tried:?}");

    let odd = service.submit(product("Norrland", "VK 200", "XX")).await.id;
    service.wait_for_state(&odd, State::NeedsCorrection).await;
    let (_, waits_for) = explained(&mut service, &odd, WaitKind::Person).await;
    assert_eq!(waits_for.sentence, "its owner to correct product.serial, which the maker refused");

    let unknown = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".to_owned();
    let (code, reason, ..) = refusal(service.client.explain(v1::ExplainRequest { id: unknown }).await);
    assert_eq!((code, reason.as_str()), (Code::NotFound, "REGISTRATION_NOT_FOUND"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_for_another_try_stands_in_the_history_and_days_that_makers_count_from_are_taken() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut request = product("Hartmann", "Kaffeemühle", "10005");
    if let Some(purchase) = &mut request.purchase {
        (purchase.installation_date, purchase.delivery_date) = (days_ago(3).to_string(), days_ago(7).to_string());
    }
    let id = service.submit(request).await.id;
    service.wait_for_packet(&id).await;
    let retry = v1::RetryRequest { id: id.clone(), reason: "the letter was lost".into(), ..Default::default() };
    service.client.retry(retry).await.unwrap();
    service.wait_for_packet(&id).await;
    let history = service.history(&id).await;
    let asked = history.iter().flat_map(|record| &record.events).find(|event| event.name == "retry_requested");
    assert_eq!(serde_json::to_value(&asked.unwrap().fields).unwrap()["reason"], "the letter was lost");

    let mut early = product("Hartmann", "Kaffeemühle", "10006");
    if let Some(purchase) = &mut early.purchase {
        (purchase.installation_date, purchase.delivery_date) = (days_ago(3).to_string(), "soon".into());
    }
    let (_, _, fields, text) = refusal(service.client.submit(early).await);
    assert!(fields == ["purchase.delivery_date"] && text.contains("YYYY-MM-DD"), "{fields:?} {text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_for_operators_says_that_it_serves() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let request = HealthCheckRequest { service: "regflow.v1.Operations".into() };
    let answer = HealthClient::new(service.channel().await).check(request).await.unwrap();
    assert_eq!(answer.into_inner().status(), ServingStatus::Serving);
}
