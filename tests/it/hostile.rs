//! Hostile values through the whole service: taken as they are or refused by the name of their field, and obeyed nowhere.

use std::time::{Duration, Instant};

use events::{Details, RegistrationId, Shard, subject};
use proto::v1::{self, RegistrationState as State};
use reqwest::{Method, StatusCode};
use tokio::process::Command;

use crate::browser::{DESK, Person};
use crate::http::Web;
use crate::support::{BOUGHT_DAYS_AGO, PATIENCE, Service, Stage, days_ago, product, regflow};

#[path = "../hostile/values.rs"]
mod values;

/// Between two looks.
const POLL: Duration = Duration::from_millis(50);

type Field = (&'static str, fn(&mut Details) -> &mut String);

const FIELDS: [Field; 7] = [
    ("product.brand", |of| &mut of.product.brand),
    ("product.model", |of| &mut of.product.model),
    ("product.serial", |of| &mut of.product.serial),
    ("purchase.shop", |of| of.purchase.shop.get_or_insert_default()),
    ("owner.name", |of| &mut of.owner.name),
    ("owner.email", |of| &mut of.owner.email),
    ("owner.address.street", |of| of.owner.address.street.get_or_insert_default()),
];

fn details() -> Details {
    let mut details = Details::default();
    details.product.brand = "Norrland".to_owned();
    details.product.model = "VK 200".to_owned();
    details.product.serial = "NL70000001".to_owned();
    details.owner.name = "Ada".to_owned();
    details.owner.email = "ada@example.org".to_owned();
    details
}

fn is_taken(value: &str) -> bool {
    events::details::text_problem("x", value).is_none() && !value.trim().is_empty()
}

#[test]
fn every_hostile_value_is_taken_or_refused_by_the_name_of_its_field() {
    let today = "2026-11-23".parse().unwrap();
    assert_eq!(details().problems(today).len(), 0);
    let (mut taken, mut refused) = (0, 0);
    for value in values::all() {
        for (name, field) in FIELDS {
            let mut details = details();
            field(&mut details).clone_from(&value);
            let problems = details.problems(today);
            assert!(problems.iter().all(|problem| problem.field == name), "{value:?} in {name}: {problems:?}");
            // what is refused is told without the value: problems go to logs and terminals
            let told = problems.iter().all(|problem| value.len() < 4 || !problem.problem.contains(&value));
            assert!(told, "{value:?} in {name}: {problems:?}");
            if problems.is_empty() { taken += 1 } else { refused += 1 }
        }
    }
    assert!(taken > 1_000 && refused > 400, "{taken} taken, {refused} refused");
}

#[test]
fn every_hostile_value_is_one_token_of_a_subject() {
    let id = RegistrationId::of_request("default", "order-17");
    for value in values::all() {
        let subjects = [
            (subject::notification(&value, id, "submitted"), 4),
            (subject::maker(Shard(3), &value), 3),
            (subject::maker_notification(&value, "alert"), 4),
            (subject::notifications_of(&value, std::slice::from_ref(&value)).remove(0), 4),
        ];
        for (subject, tokens) in subjects {
            assert_eq!(subject.split('.').count(), tokens, "{value:?}: {subject}");
            assert!(subject.split('.').all(|token| !token.is_empty()), "{value:?}: {subject}");
            assert!(subject.bytes().all(|b| b.is_ascii_graphic() && b != b'>'), "{value:?}: {subject}");
            // the one that stands in a filter for every registration
            assert!(subject.matches('*').count() <= usize::from(subject.starts_with("notify") && tokens == 4));
        }
    }
}

/// Registers a product of each value; model, street and shop are the value.
async fn registered(service: &mut Service) -> Vec<(String, String)> {
    let values: Vec<String> = values::all().into_iter().filter(|value| is_taken(value)).collect();
    assert!(values.len() >= 200, "{}", values.len());
    let mut known = Vec::new();
    for (n, value) in values.into_iter().enumerate() {
        let mut request = product("Norrland", &value, &format!("NL71{n:06}"));
        request.purchase.as_mut().unwrap().shop.clone_from(&value);
        request.owner.as_mut().unwrap().address.as_mut().unwrap().street.clone_from(&value);
        let registration = service.submit(request).await;
        assert_eq!(registration.model, value);
        known.push((registration.id, value));
    }
    known
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_reach_maker_terminal_and_page_as_the_text_that_they_are() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let known = registered(&mut service).await;
    for (id, value) in &known {
        let settled =
            |r: &v1::Registration| !matches!(r.state(), State::Processing | State::Waiting | State::Unspecified);
        let done = service.wait_for(id, settled).await;
        assert_eq!(done.state(), State::Success, "{value:?}: {done:?}");
    }
    let sent: Vec<String> = stage.ledger().iter().map(|entry| entry.fields.to_string()).collect();
    for (_, value) in &known {
        // the sandbox's form of what it received leaves out white space around a value
        let quoted = serde_json::Value::from(value.as_str()).to_string();
        let trimmed = serde_json::Value::from(value.trim()).to_string();
        let arrived = sent.iter().any(|fields| fields.contains(&quoted) || fields.contains(&trimmed));
        assert!(arrived, "{value:?} did not arrive as it is: {sent:?}");
    }
    terminal_is_safe(&service, &known).await;
    sheet_is_safe(&service, &known).await;
    pages_are_safe(&service, &known).await;
}

async fn output(service: &Service, arguments: &[&str]) -> String {
    let mut command: Command = regflow();
    let output = command.args(arguments).args(["--server", &service.grpc]).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    text
}

async fn terminal_is_safe(service: &Service, known: &[(String, String)]) {
    let bidi = |c: char| matches!(c, '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let (id, _) = &known[known.len() / 2];
    for arguments in [&["list", "--limit", "500"][..], &["status", id], &["explain", id], &["audit", id], &["makers"]] {
        let text = output(service, arguments).await;
        let moves = text.chars().find(|c| (c.is_control() && *c != '\n') || bidi(*c));
        assert_eq!(moves, None, "{arguments:?}: {text:?}");
    }
}

async fn sheet_is_safe(service: &Service, known: &[(String, String)]) {
    let text = output(service, &["list", "--limit", "500", "--csv"]).await;
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
    assert_eq!(rows.len(), known.len());
    for (id, value) in known {
        let row = rows.iter().find(|row| &row[0] == id.as_str()).unwrap();
        let model = &row[4];
        assert!(!model.trim_start().starts_with(['=', '+', '-', '@']), "{model:?}");
        assert_eq!(model.strip_prefix('\'').unwrap_or(model), value.strip_prefix('\'').unwrap_or(value));
    }
}

async fn said(person: &Person, script: &str) -> serde_json::Value {
    person.page.execute(script, vec![]).await.unwrap().json().clone()
}

/// In a real browser: values are text, no script of theirs runs, and no element is made of them.
async fn pages_are_safe(service: &Service, known: &[(String, String)]) {
    let person = Person::at(&service.http, "/registrations", DESK).await;
    // the latest fifty stand on the first page
    let (latest, _) = known.last().unwrap();
    person.sees(&format!("a[href='/track/{latest}']")).await;
    let text = said(&person, "return document.body.textContent").await;
    let text = text.as_str().unwrap();
    for (id, value) in known.iter().rev().take(50) {
        assert!(text.contains(value.as_str()), "{id} {value:?} is not there as text");
    }
    let looks_hostile = "return document.querySelectorAll('main :is(script, iframe, object, embed, svg, math, base, meta, \
                         link, form[action], [onload], [onerror], [onfocus], [ontoggle], [onmouseover])').length";
    let links = "return [...document.querySelectorAll('a[href]')].filter(a => new URL(a.href).origin !== location.origin).length";
    let (strange, elsewhere) = (said(&person, looks_hostile).await, said(&person, links).await);
    assert_eq!((strange.as_u64(), elsewhere.as_u64()), (Some(0), Some(0)), "elements were made of data");
    for (id, value) in known.iter().filter(|(_, value)| value.contains("script")).take(3) {
        person.goes_to(&format!("/track/{id}")).await;
        person.sees_text("main", value.trim()).await;
    }
    assert!(person.page.get_alert_text().await.is_err(), "no dialog opened");
    person.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_that_are_no_unicode_are_refused_and_the_service_goes_on() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let web = Web::of(&service);
    let body = |model: &[u8]| {
        let before = br#"{"product":{"brand":"Norrland","model":""#;
        let behind =
            br#"","serial":"NL72000001"},"owner":{"name":"Ada","email":"ada@example.org"},"purchase":{"date":""#;
        let day = days_ago(BOUGHT_DAYS_AGO).to_string();
        [&before[..], model, &behind[..], day.as_bytes(), &br#""}}"#[..]].concat()
    };
    let hostile: [&[u8]; 12] = [
        br"\ud800",
        br"\udc00",
        br"x\ud83dx",
        br"\udc00\ud800",
        br"\ud83d\u0041",
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        b"\xf8\x88\x80\x80\x80",
        b"\x80",
        br"\u0000",
        br"\x41",
    ];
    for (n, model) in hostile.into_iter().enumerate() {
        let request = web.request(Method::POST, "/api/registration").header("Idempotency-Key", format!("bad-{n}"));
        let answer = request.header("content-type", "application/json").body(body(model)).send().await.unwrap();
        assert!(answer.status().is_client_error(), "{model:?}: {}", answer.status());
        let problem: serde_json::Value = answer.json().await.unwrap();
        assert!(problem["detail"].as_str().is_some_and(|text| !text.chars().any(char::is_control)), "{problem}");
    }
    let request = web.request(Method::POST, "/api/registration").header("Idempotency-Key", "good");
    let answer = request.header("content-type", "application/json").body(body(b"VK 200")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::ACCEPTED, "{}", answer.text().await.unwrap());
}

/// Never ends on the processor, and is small.
const LOOPS: &str = "#for a in range(100000) { for b in range(100000) { let c = a + b } }";
/// Takes memory without end.
const EATS: &str = "#let list = (\"0123456789abcdef\" * 64,)\n#for n in range(40) { list = list + list }\n#list.len()";

const TEMPLATE: &str = "template.typ";

/// A service whose packets are drawn from the folder's template, which never ends.
fn looping(stage: &Stage) -> (tempfile::TempDir, Command) {
    let folder = tempfile::tempdir().unwrap();
    let template = folder.path().join(TEMPLATE);
    std::fs::write(&template, LOOPS).unwrap();
    let mut command = stage.command();
    command.env("FAILPOINTS", format!("packet_template=return({})", template.display()));
    (folder, command)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_takes_for_ever_or_all_memory_is_given_up_and_drawn_when_it_can_be() {
    let stage = Stage::new().await;
    let (folder, mut command) = looping(&stage);
    command
        .env("REGFLOW__PACKET__RENDER_MS", "1500")
        .env("REGFLOW__PACKET__MEMORY_MB", "256")
        .env("REGFLOW__PACKET__BASE_MS", "50")
        .env("REGFLOW__PACKET__CAP_MS", "300")
        .env("REGFLOW__PACKET__TRIES_MAX", "100");
    let mut service = stage.start_with(command).await;
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10001")).await.id;
    failed_with(&service, &id, "took longer than 1500 ms").await;
    // meanwhile others are served
    let other = service.submit(product("Norrland", "VK 200", "NL73000001")).await.id;
    service.wait_for_state(&other, State::Success).await;
    let template = folder.path().join(TEMPLATE);
    std::fs::write(&template, EATS).unwrap();
    failed_with(&service, &id, "refused more memory").await;
    std::fs::write(&template, "= A packet\n").unwrap();
    service.wait_for_packet(&id).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_that_never_can_be_drawn_is_stuck_with_its_reason() {
    let stage = Stage::new().await;
    let (_folder, mut command) = looping(&stage);
    command
        .env("REGFLOW__PACKET__RENDER_MS", "200")
        .env("REGFLOW__PACKET__BASE_MS", "50")
        .env("REGFLOW__PACKET__TRIES_MAX", "2");
    let mut service = stage.start_with(command).await;
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10002")).await.id;
    failed_with(&service, &id, "took longer than 200 ms").await;
    let deadline = Instant::now() + PATIENCE;
    let last = loop {
        let failures: Vec<_> = service.history(&id).await.into_iter().filter(is_packet_failure).collect();
        if let [_, last] = failures.as_slice() {
            break last.clone();
        }
        assert!(Instant::now() < deadline && failures.len() < 2, "{failures:#?}");
        tokio::time::sleep(POLL).await;
    };
    // no time of another try stands there
    assert!(!format!("{:?}", last.events).contains("NumberValue"), "{last:#?}");
    let stuck = service.get(&id).await;
    let packet = stuck.packet.as_ref().map(|packet| packet.state());
    assert_eq!((stuck.state(), packet), (State::ManualRequired, Some(v1::PacketState::Stuck)));
}

fn is_packet_failure(record: &v1::RecordView) -> bool {
    record.events.iter().any(|event| event.name == "packet_failed")
}

async fn failed_with(service: &Service, id: &str, words: &str) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let history = format!("{:?}", service.history(id).await);
        if history.contains(words) {
            return;
        }
        assert!(Instant::now() < deadline, "no failure says `{words}`: {history}");
        tokio::time::sleep(POLL).await;
    }
}
