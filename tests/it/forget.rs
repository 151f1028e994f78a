//! Forgetting a person: nothing of them is left in any file, and what happened can still be proven.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;

use proto::v1::persons_client::PersonsClient;
use proto::v1::{self, RegistrationState as State};
use reqwest::StatusCode;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use serde_json::json;
use tokio::process::Command;
use tonic::Code;
use tonic::transport::Channel;

use crate::canaries::Search;
use crate::cli::run;
use crate::done::{link_and_code, press};
use crate::http::Web;
use crate::support::{PATIENCE, Service, Stage, product, vault};

const EMAIL: &str = "zyx.canary.owner@example.org";
const PROOF: &str = "canary-proof-of-purchase-K7Q";
const PHOTO: &str = "canary-photo-of-the-card-W3Z";
/// What is looked for afterwards: no clock and no random id spells one of these.
const CANARIES: [&str; 20] = [
    "Zyx\u{f6}nia Canariello",
    EMAIL,
    "+49 30 918273645-canary",
    "Kanarienvogelweg 4711a",
    "Q7X-POSTCANARY",
    "Kanarienhausen am See",
    "Kanarienladen Pfauenstra\u{df}e",
    "4815162,34 KANARIENTALER",
    "NL48151623",
    "4815-CNR-16234",
    "HARTMANN-CANARY-4815",
    PROOF,
    PHOTO,
    "extra-canary-alpha",
    "extra-canary-bravo",
    "extra-canary-charlie",
    "extra-canary-delta",
    "extra-canary-echo",
    "extra-canary-foxtrot",
    "extra-canary-golf",
];

fn canary_of(brand: &str, model: &str, serial: &str) -> v1::SubmitRequest {
    let mut request = product(brand, model, serial);
    let (owner, purchase) = (request.owner.as_mut().unwrap(), request.purchase.as_mut().unwrap());
    (owner.name, owner.email, owner.phone) = (CANARIES[0].into(), EMAIL.into(), CANARIES[2].into());
    owner.address = Some(v1::Address {
        street: CANARIES[3].into(),
        postal_code: CANARIES[4].into(),
        city: CANARIES[5].into(),
        country: "DE".into(),
    });
    (purchase.shop, purchase.price) = (CANARIES[6].into(), CANARIES[7].into());
    let extra = CANARIES[13..].iter().enumerate().map(|(n, value)| (format!("note{n}"), (*value).to_owned()));
    request.extra.extend(extra);
    request.proof_of_purchase =
        Some(v1::ProofOfPurchase { content: format!("%PDF-1.4 {PROOF}").into_bytes().into(), ..Default::default() });
    request
}

/// Everything that the service writes goes below its data folder: its log, and what it and its browsers hold for a moment.
fn confined(stage: &Stage) -> Command {
    let data = stage.data.path();
    std::fs::create_dir_all(data.join("tmp")).unwrap();
    let log = File::options().create(true).append(true).open(data.join("log.txt")).unwrap();
    let mut command = stage.command();
    command.env("TMPDIR", data.join("tmp")).env("REGFLOW__LOG__LEVEL", "debug").stderr(Stdio::from(log));
    command
}

async fn persons(service: &Service) -> PersonsClient<Channel> {
    PersonsClient::new(service.channel().await)
}

async fn until_story_has(service: &Service, id: &str, name: &str) {
    let deadline = std::time::Instant::now() + PATIENCE;
    while !service.story(id).await.concat().iter().any(|told| told == name) {
        assert!(std::time::Instant::now() < deadline, "{:?}", service.story(id).await);
        tokio::time::sleep(crate::support::POLL).await;
    }
}

fn forget_request(email: &str) -> v1::ForgetRequest {
    let who = Some(v1::person_ref::Who::Email(email.to_owned()));
    let person = Some(v1::PersonRef { tenant: String::new(), who });
    v1::ForgetRequest { person, reason: v1::ForgetReason::PersonAsked.into(), dry_run: false }
}

fn assert_nothing_left(search: &Search, data: &Path) {
    let (found, files, bytes) = search.below(data);
    assert!(found.is_empty(), "{found:#?}");
    assert!(files > 10 && bytes > 100_000, "looked at {files} files of {bytes} bytes");
}

/// One by each method, to its end: with screenshot, packet, proof and photo.
async fn three_ways(stage: &Stage, service: &mut Service) -> [String; 3] {
    let api = service.submit(canary_of("Norrland", "VK 200", CANARIES[8])).await.id;
    let form = service.submit(canary_of("Castello", "Espresso 9", CANARIES[9])).await.id;
    let manual = service.submit(canary_of("Hartmann", "Kaffeem\u{fc}hle", CANARIES[10])).await.id;
    service.wait_for_state(&api, State::Success).await;
    let by_form = service.wait_for_state(&form, State::Success).await;
    assert_eq!((by_form.method(), by_form.attempts), (v1::Method::AutomationReliable, 1));
    service.wait_for_packet(&manual).await;
    let (path, _) = link_and_code(stage, service).await;
    let photo = [b"\x89PNG ", PHOTO.as_bytes()].concat();
    assert_eq!(press(&Web::of(service), &path, "HS-1", &photo).await.status(), StatusCode::SEE_OTHER);
    service.wait_for_state(&manual, State::UserCompleted).await;
    [api, form, manual]
}

#[tokio::test(flavor = "multi_thread")]
async fn after_forgetting_no_file_spells_the_person_and_the_history_still_replays() {
    let stage = Stage::new().await;
    let data = stage.data.path();
    let mut service = stage.start_with(confined(&stage)).await;
    let search = Search::for_all(&CANARIES);
    let empty = tempfile::tempdir().unwrap();
    search.prove_itself(empty.path());
    let [api, form, manual] = three_ways(&stage, &mut service).await;
    let web = Web::of(&service);
    let files = [
        format!("/api/registration/{manual}/packet"),
        format!("/api/registration/{manual}/photo"),
        format!("/api/registration/{manual}/proof"),
        format!("/api/registration/{form}/evidence/1"),
    ];
    for path in &files {
        assert_eq!(web.get(path).await.status(), StatusCode::OK, "{path}");
    }
    let owner_ref = service.get(&api).await.owner_ref;
    let keys = vault(&service, data).await;
    let key_of_api = person_key(&service, &api).await;
    assert!(keys.get(key_of_api).await.unwrap().is_some());

    // told first, then done
    let forget = ["person", "forget", "--email", EMAIL, "--reason", "person-asked"];
    let (code, told, _) = run(&service, &forget).await;
    assert_eq!((code, told.contains("3 would be forgotten"), told.contains("--yes")), (0, true, true), "{told}");
    assert_eq!(service.get(&api).await.owner_ref, owner_ref);
    let (code, told, problem) = run(&service, &[&forget[..], &["--yes"]].concat()).await;
    assert_eq!(
        (code, told.contains("3 forgotten"), told.contains("is being erased")),
        (0, true, false),
        "{told}{problem}"
    );

    assert_nothing_left(&search, data);
    keys.let_go(key_of_api);
    assert!(keys.get(key_of_api).await.unwrap().is_none());
    for path in &files {
        assert!(web.get(path).await.status().is_client_error(), "{path}");
    }
    judge_histories(&mut service, [&api, &form, &manual], &owner_ref).await;
    let again = persons(&service).await.forget(forget_request(EMAIL)).await.unwrap_err();
    assert_eq!(again.code(), Code::NotFound);
    let retry = service.client.retry(v1::RetryRequest { id: form.clone(), ..Default::default() }).await.unwrap_err();
    assert_eq!(retry.code(), Code::FailedPrecondition);
    assert!(retry.message().contains("forgotten"), "{}", retry.message());

    // the same from nothing: the view is built anew from the log alone
    assert_eq!(service.stop().await, Some(0));
    assert_nothing_left(&search, data);
    std::fs::remove_dir_all(data.join("views")).unwrap();
    let mut service = stage.start_with(confined(&stage)).await;
    judge_histories(&mut service, [&api, &form, &manual], &owner_ref).await;
    assert_nothing_left(&search, data);

    // whoever comes again is welcome, with a key of their own, and found under the same pseudonym
    let new = service.submit(canary_of("Norrland", "VK 200", CANARIES[8])).await;
    service.wait_for_state(&new.id, State::Success).await;
    assert_eq!(service.get(&new.id).await.owner_ref, owner_ref);
    assert_ne!(person_key(&service, &new.id).await, key_of_api);
}

/// The key that a registration's details are sealed with.
async fn person_key(service: &Service, id: &str) -> events::PersonKeyId {
    let first = service.history(id).await.remove(0);
    let fields = serde_json::to_value(first.events[0].fields.as_ref().unwrap()).unwrap();
    events::PersonKeyId(fields["person_key"].as_str().unwrap().parse().unwrap())
}

async fn judge_histories(service: &mut Service, ids: [&String; 3], owner_ref: &str) {
    let states = [State::Success, State::Success, State::UserCompleted];
    for (id, state) in ids.into_iter().zip(states) {
        let history = service.history(id).await;
        let tail: Vec<_> = history.iter().rev().take(2).rev().collect();
        let told: Vec<_> = tail.iter().map(|record| record.events.last().unwrap().name.as_str()).collect();
        assert_eq!(told, ["person_forgotten", "person_erased"], "{history:#?}");
        assert_eq!((tail[0].actor.as_str(), tail[1].actor.as_str()), ("client grpc", "regflow"));
        let seen = service.get(id).await;
        assert_eq!(seen.state(), state, "{seen:?}");
        assert_eq!((seen.owner_ref.as_str(), seen.confirmation.as_deref().unwrap_or_default()), ("", ""));
    }
    let list = v1::ListRequest { owner_ref: owner_ref.to_owned(), ..Default::default() };
    assert_eq!(service.client.list(list).await.unwrap().into_inner().registrations, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_law_keeps_what_it_wants_and_the_rest_goes() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let seat = service.submit(product("Aurora", "Moonlight", "AB04C9E17F2A")).await.id;
    service.wait_for_state(&seat, State::Success).await;
    let email = "zoe.canary@example.org";
    let refused = persons(&service).await.forget(forget_request(email)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("16 CFR 1130.8") && refused.message().contains(&seat), "{}", refused.message());

    let drill = service.submit(product("Norrland", "VK 200", "NL48151601")).await.id;
    service.wait_for_state(&drill, State::Success).await;
    let answer = persons(&service).await.forget(forget_request(email)).await.unwrap().into_inner();
    assert_eq!(answer.forgotten, [v1::ForgottenRegistration { id: drill.clone(), erased: true }]);
    let bought = crate::support::days_ago(crate::support::BOUGHT_DAYS_AGO);
    let until = bought.checked_add(jiff::Span::new().years(6)).unwrap().to_string();
    assert_eq!((answer.kept[0].id.as_str(), answer.kept[0].until.as_str()), (seat.as_str(), until.as_str()));
    assert!(!service.get(&seat).await.owner_ref.is_empty());
    // over HTTP, by the pseudonym that is left
    let person = json!({ "ownerRef": service.get(&seat).await.owner_ref });
    let body = json!({ "person": person, "reason": "FORGET_REASON_ORDERED" });
    let (status, problem) = Web::of(&service).post("/api/persons/forget", &body).await;
    assert_eq!((status, problem["reason"].as_str()), (StatusCode::CONFLICT, Some("MUST_BE_KEPT")), "{problem}");
    let no_reason = json!({ "person": { "email": email } });
    let (status, _) = Web::of(&service).post("/api/persons/forget", &no_reason).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_under_way_is_fenced_and_its_late_outcome_changes_nothing() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[("timeout_ms = 10_000", "timeout_ms = 90_000")], "[concurrency]\napi = 1");
    stage.fault(Maker::Norrland, Fault::lasting(Mode::Latency { ms: 60_000 }).at(Scope::Api));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL48151602")).await.id;
    service.wait_for(&id, |r| r.attempts == 1).await;
    let mut asked = persons(&service).await;
    let asked = tokio::spawn(async move { asked.forget(forget_request("zoe.canary@example.org")).await });
    until_story_has(&service, &id, "person_forgotten").await;
    // only now the maker answers
    stage.sandbox.faults().clear();
    let answer = asked.await.unwrap().unwrap().into_inner();
    assert_eq!(answer.forgotten, [v1::ForgottenRegistration { id: id.clone(), erased: true }]);
    let names = service.story(&id).await.concat();
    let tail = ["attempt_started", "attempt_failed", "cancelled", "person_forgotten", "person_erased"];
    assert_eq!(names[names.len() - tail.len()..], tail, "{names:?}");
    assert_eq!(service.get(&id).await.state(), State::Cancelled);
    // its place with the maker is free again
    let mut request = product("Norrland", "VK 200", "NL48151603");
    request.owner.as_mut().unwrap().email = "somebody.else@example.org".into();
    let next = service.submit(request).await.id;
    service.wait_for_state(&next, State::Success).await;
    assert_eq!(service.story(&id).await.concat(), names);
}

/// Where the program is killed while it forgets; the first before anything is stored.
const PLACES: [&str; 5] = ["before_forget", "after_forget", "after_key", "after_file", "before_outcome"];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_place_of_forgetting_it_is_finished_at_the_next_start() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut request = product("Hartmann", "Kaffeem\u{fc}hle", "18873");
    let content = b"\x89PNG receipt".to_vec().into();
    request.proof_of_purchase = Some(v1::ProofOfPurchase { content, ..Default::default() });
    let id = service.submit(request).await.id;
    service.wait_for_packet(&id).await;
    assert_eq!(service.stop().await, Some(0));
    for (life, place) in PLACES.into_iter().enumerate() {
        let mut command = stage.command();
        command.env("FAILPOINTS", format!("{place}=return")).env("REGFLOW__LOG__LEVEL", "off");
        // what was begun before may bring it to the place before it serves
        let Ok(mut service) = stage.try_start_at(stage.data.path(), &mut command).await else { continue };
        if life < 2 {
            persons(&service).await.forget(forget_request("zoe.canary@example.org")).await.unwrap_err();
        }
        tokio::time::timeout(PATIENCE, service.child.wait()).await.expect("it dies there").unwrap();
    }
    let mut service = stage.start().await;
    service.wait_for_state(&id, State::Cancelled).await;
    until_story_has(&service, &id, "person_erased").await;
    let names = service.story(&id).await.concat();
    for name in ["person_forgotten", "person_erased"] {
        assert_eq!(names.iter().filter(|known| *known == name).count(), 1, "{names:?}");
    }
    let keys = vault(&service, stage.data.path()).await;
    assert!(keys.get(person_key(&service, &id).await).await.unwrap().is_none());
    assert!(Web::of(&service).get(&format!("/api/registration/{id}/packet")).await.status().is_client_error());
}
