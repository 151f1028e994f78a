//! Proofs of registrations, and what was sent about a person: compared with what the makers received.

use std::path::Path;

use proto::v1::persons_client::PersonsClient;
use proto::v1::{self, Arrival, DeliveryReason, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::Scope;
use sandbox::ledger::Entry;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Service, Stage, product, regflow};

/// Of the person in every submission of these tests.
const CANARIES: [&str; 4] = ["Canary-Müller", "zoe.canary@example.org", "5550199", "Lindenstraße"];

/// Without any service and any setting: exit code, standard output, standard error.
async fn alone(args: &[&str]) -> (i32, String, String) {
    output(regflow().args(args).env_clear()).await
}

async fn with(service: &Service, args: &[&str]) -> (i32, String, String) {
    output(regflow().args(args).env("REGFLOW_SERVER", &service.grpc)).await
}

async fn output(command: &mut tokio::process::Command) -> (i32, String, String) {
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

/// Norrland and Brightwell with short pauses between their tries.
fn hasten(stage: &Stage) {
    stage.maker("norrland", &[("base_ms = 1_000", "base_ms = 50")], "");
    stage.maker("brightwell", &[("base_ms = 500", "base_ms = 50")], "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_is_checked_without_the_service_and_a_change_or_another_key_is_found() {
    let stage = Stage::new().await;
    hasten(&stage);
    stage.fault(Maker::Norrland, Stage::answers(503, Some(1)));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL70000001")).await.id;
    let done = service.wait_for_state(&id, State::Success).await;
    let file = stage.data.path().join("a.proof.txt");
    let path = file.to_str().unwrap();
    let (code, _, told) = with(&service, &["proof", "get", &id, "-o", path]).await;
    assert_eq!(code, 0, "{told}");
    let key = told.trim().strip_prefix("signed by ").unwrap().to_owned();
    let (code, _, told) = with(&service, &["proof", "get", "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d"]).await;
    assert_eq!(code, 3, "{told}");
    assert_eq!(service.stop().await, Some(0));

    let (code, told, problem) = alone(&["proof", "verify", path, "--key", &key]).await;
    assert_eq!(code, 0, "{problem}");
    assert!(told.contains("it holds") && told.contains(done.confirmation()) && told.contains(&id), "{told}");
    let (code, told, _) = alone(&["proof", "verify", path, "--json"]).await;
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["holds"], &told["keyWasGiven"]), (0, &json!(true), &json!(false)));
    assert_eq!(told["deliveries"], 2, "the one that failed and the one that went well");
    let (_, told, _) = alone(&["proof", "verify", path]).await;
    assert!(told.contains("says nothing about who signed"), "{told}");
    refuses_what_was_touched(&file, &key).await;
    keep_what_was_given_out(&file);
}

async fn refuses_what_was_touched(file: &Path, key: &str) {
    let note = std::fs::read_to_string(file).unwrap();
    assert!(CANARIES[..2].iter().all(|canary| note.contains(canary)), "{note}");
    let touched = file.with_extension("touched");
    for (from, to) in
        [("SUCCESS", "EXPIRED"), ("zoe.canary", "eve.canary"), ("came back: registered", "came back: Registered")]
    {
        std::fs::write(&touched, note.replacen(from, to, 1)).unwrap();
        let (code, _, problem) = alone(&["proof", "verify", touched.to_str().unwrap(), "--key", key]).await;
        assert!(code == 1 && problem.contains("does not hold"), "{from}: {code} {problem}");
    }
    let other = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
    let (code, _, problem) = alone(&["proof", "verify", file.to_str().unwrap(), "--key", other]).await;
    assert!(code == 1 && problem.contains("not signed by the key"), "{problem}");
    let (code, ..) = alone(&["proof", "verify", file.to_str().unwrap(), "--key", "nonsense"]).await;
    assert_eq!(code, 2);
}

/// The proof whose every byte a unit test changes; written once, as golden bytes are.
fn keep_what_was_given_out(file: &Path) {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/proof/given-out-v1.txt");
    if std::env::var_os("REGFLOW_WRITE_GOLDEN").is_some() && std::fs::read(&kept).unwrap().is_empty() {
        std::fs::copy(file, kept).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_comes_over_http_as_a_text_or_for_paper_with_values_or_without() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    // goes to its owner: the packet is told of with its hash and its Message-ID
    let id = service.submit(product("Hartmann", "Standuhr", "HS-1")).await.id;
    service.wait_for_packet(&id).await;
    let path = format!("{}/api/registration/{id}/proof-of-registration", service.http);
    let get = |query: &'static str, accept: &'static str| {
        let request = reqwest::Client::new().get(format!("{path}{query}")).header("accept", accept);
        async move {
            let answer = request.send().await.unwrap();
            let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
            (answer.status().as_u16(), kind, answer.bytes().await.unwrap().to_vec())
        }
    };
    let (status, kind, note) = get("", "*/*").await;
    let note = String::from_utf8(note).unwrap();
    assert_eq!((status, kind.as_str()), (200, "text/plain; charset=utf-8"));
    assert_eq!(get("", "*/*").await.2, note.as_bytes(), "the same state gives the same file");
    let mail = stage.mail().await;
    let message_id = mail.message_id.clone().unwrap();
    assert!(note.contains(message_id.trim_matches(['<', '>'])), "{message_id}: {note}");
    assert!(
        note.contains("\nWhat was sent to the maker\nnothing\n") && note.contains("status: MANUAL_REQUIRED"),
        "{note}"
    );
    let pdf_of_the_mail = note.lines().find_map(|line| line.strip_prefix("   sha-256 before it was sealed: ")).unwrap();
    assert_eq!(pdf_of_the_mail.len(), 64, "{note}");
    let (_, _, bare) = get("?values=false", "*/*").await;
    let bare = String::from_utf8(bare).unwrap();
    assert!(!CANARIES.iter().any(|canary| bare.contains(canary)) && bare.contains("blake3:"), "{bare}");
    for (query, accept) in [("?format=pdf", "*/*"), ("", "application/pdf")] {
        let (status, kind, pdf) = get(query, accept).await;
        assert_eq!((status, kind.as_str(), &pdf[..5]), (200, "application/pdf", &b"%PDF-"[..]));
    }
    assert_eq!(get("?format=doc", "*/*").await.0, 400);
    let other = format!("{}/api/registration/0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d/proof-of-registration", service.http);
    assert_eq!(reqwest::get(other).await.unwrap().status().as_u16(), 404);
}

/// All that the service reports of a person.
async fn report(service: &Service, who: v1::person_ref::Who) -> Vec<v1::ReportedRegistration> {
    let mut persons = PersonsClient::new(service.channel().await);
    let request = v1::PersonRef { tenant: String::new(), who: Some(who) };
    let mut stream = persons.report(request).await.unwrap().into_inner();
    let mut all = Vec::new();
    while let Some(one) = stream.message().await.unwrap() {
        all.push(one);
    }
    all
}

fn zoe() -> v1::person_ref::Who {
    v1::person_ref::Who::Email("Zoe.Canary@example.org".into())
}

/// The process dies when the maker has answered and before that is stored; the next one sends it again.
async fn register_across_a_crash(stage: &Stage, serial: &str) -> Service {
    let mut command = stage.command();
    command.env("FAILPOINTS", "before_outcome=1*return");
    let mut dying = stage.start_with(command).await;
    let request = v1::SubmitRequest { request_id: serial.to_owned(), ..product("Norrland", "VK 200", serial) };
    // it may die before its answer is out; the next one is asked again, which makes no second registration
    drop(dying.client.submit(request.clone()).await);
    tokio::time::timeout(PATIENCE, dying.child.wait()).await.expect("it dies").unwrap();
    let mut service = stage.start().await;
    let id = service.submit(request).await.id;
    service.wait_for_state(&id, State::Success).await;
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_about_a_person_is_what_the_makers_received_no_more_and_no_less() {
    let stage = Stage::new().await;
    hasten(&stage);
    let mut service = register_across_a_crash(&stage, "NL70000011").await;
    stage.fault(Maker::Norrland, Stage::answers(503, Some(2)));
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    let wanted = [
        product("Norrland", "VK 300", "NL70000012"),
        product("Brightwell", "Monitor 5", "BW26-000701"),
        v1::SubmitRequest { marketing_consent: true, ..product("Norrland", "VK 400", "NL70000013") },
    ];
    for request in wanted {
        let id = service.submit(request).await.id;
        service.wait_for_state(&id, State::Success).await;
    }
    let mut other = product("Norrland", "VK 200", "NL70000014");
    other.owner.as_mut().unwrap().email = "other@example.org".into();
    let other = service.submit(other).await.id;
    service.wait_for_state(&other, State::Success).await;

    let reported = report(&service, zoe()).await;
    assert_eq!(reported.len(), 4, "{reported:?}");
    let mut deliveries: Vec<&v1::Delivery> = reported.iter().flat_map(|one| &one.deliveries).collect();
    deliveries.sort_by_key(|delivery| delivery.sequence);
    let again = deliveries.iter().filter(|delivery| delivery.reason() == DeliveryReason::Repeat).count();
    assert_eq!(again, 1, "the one that the crash cut off");
    assert!(deliveries.iter().all(|one| one.recorded && one.arrived() != Arrival::No), "{deliveries:#?}");
    let host = stage.sandbox.http_addr.to_string();
    assert!(deliveries.iter().all(|one| one.host == host), "{deliveries:#?}");
    let told: Vec<Value> = deliveries.iter().map(|delivery| as_the_maker_sees_it(delivery)).collect();
    let ledger: Vec<Entry> = stage.ledger().into_iter().filter(|entry| &*entry.serial != "NL70000014").collect();
    let received: Vec<Value> = ledger.iter().map(|entry| without_our_key(&entry.fields)).collect();
    assert_eq!(told, received);
    assert_eq!(received.len(), 2 + 3 + 4 + 1, "a repeat, two failures and a success, three and the form, one at once");
    the_command_tells_the_same(&service, &reported).await;
}

/// The body of a delivery, made of nothing but what the report says of it.
fn as_the_maker_sees_it(delivery: &v1::Delivery) -> Value {
    let value = |field: &str| {
        let found = delivery.values.iter().find(|sent| sent.field == field);
        found.unwrap_or_else(|| panic!("{field} is not told of: {delivery:?}")).value.clone()
    };
    let day = value("purchase.date");
    let parts: Vec<&str> = day.split('-').collect();
    let known = match (delivery.maker.as_str(), delivery.method()) {
        ("norrland", _) => json!({
            "product": {
                "model": value("product.model"), "serialNumber": value("product.serial"), "purchaseDate": day,
            },
            "customer": {
                "firstName": "Zoë", "lastName": value("owner.name").replace("Zoë ", ""),
                "email": value("owner.email"), "phone": value("owner.phone"),
                "address": {
                    "street": value("owner.address.street"), "postalCode": value("owner.address.postal_code"),
                    "city": value("owner.address.city"), "country": value("owner.address.country"),
                },
            },
            "marketingOptIn": value("marketing_consent") == "true",
        }),
        (_, v1::Method::Api) => json!({
            "serial": value("product.serial"), "model": value("product.model"),
            "purchased": format!("{}.{}.{}", parts[2], parts[1], parts[0]),
            "owner": {
                "name": value("owner.name"), "email": value("owner.email"), "country": value("owner.address.country"),
            },
            "newsletter": value("marketing_consent") == "true",
        }),
        (_, _) => json!({
            "product_model": value("product.model"), "serial_number": value("product.serial"), "purchase_date": day,
            "country": value("owner.address.country"), "name": value("owner.name"), "email": value("owner.email"),
        }),
    };
    // no value is told of that is not in it
    let told = delivery.values.len();
    let by_form = delivery.method() == v1::Method::AutomationReliable;
    assert_eq!(
        told,
        if delivery.maker == "norrland" {
            11
        } else if by_form {
            6
        } else {
            7
        },
        "{delivery:?}"
    );
    known
}

/// The key of the request is ours.
fn without_our_key(fields: &Value) -> Value {
    let mut fields = fields.clone();
    fields.as_object_mut().unwrap().remove("externalRef");
    fields
}

async fn the_command_tells_the_same(service: &Service, reported: &[v1::ReportedRegistration]) {
    let email = ["person", "report", "--email", "zoe.canary@example.org"];
    let (code, told, _) = with(service, &[&email[..], &["--json"]].concat()).await;
    let told: Vec<v1::ReportedRegistration> = told.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((code, told.as_slice()), (0, reported));
    let owner = service.client.clone().get(v1::GetRequest { id: reported[0].id.clone(), min_sequence: 0 }).await;
    let owner = owner.unwrap().into_inner().owner_ref;
    assert_eq!(report(service, v1::person_ref::Who::OwnerRef(owner.clone())).await, reported);
    let (code, text, _) = with(service, &["person", "report", "--owner", &owner]).await;
    assert!(code == 0 && CANARIES.iter().all(|canary| text.contains(canary)), "{text}");
    assert!(text.contains("the same again, attempt 1 by API to norrland 127.0.0.1:"), "{text}");
    let (code, text, told) = with(service, &[&email[..], &["--tenant", "another"]].concat()).await;
    assert!(code == 0 && text.is_empty() && told.contains("nothing is known"), "{text} {told}");
    let (code, ..) = with(service, &["person", "report"]).await;
    assert_eq!(code, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_that_the_maker_was_asked_is_told_of_with_what_it_sent() {
    let stage = Stage::new().await;
    stage.brightwell_can_only_be_asked(Stage::loses_an_answer());
    let mut service = stage.start().await;
    let id = service.submit(product("Brightwell", "Monitor 5", "BW26-000702")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let reported = report(&service, zoe()).await.remove(0);
    let told: Vec<_> = reported.deliveries.iter().map(|one| (one.reason(), one.arrived())).collect();
    let (attempt, question) = (DeliveryReason::Attempt, DeliveryReason::Question);
    assert_eq!(told, [(attempt, Arrival::Unspecified), (question, Arrival::Yes)], "{reported:#?}");
    let asked = &reported.deliveries[1];
    let values: Vec<_> = asked.values.iter().map(|sent| (sent.field.as_str(), sent.value.as_str())).collect();
    assert_eq!((values.as_slice(), asked.came_back.as_str()), (&[("product.serial", "BW26-000702")][..], "registered"));
}
