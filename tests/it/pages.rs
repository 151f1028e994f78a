//! The pages in a real browser against the real service: register and watch it live, finish by the mailed page, operate.

use proto::v1::{self, RegistrationState as State};
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope};
use thirtyfour::{By, Key};

use crate::browser::{DESK, PHONE, Person};
use crate::done::link_and_code;
use crate::support::{BOUGHT_DAYS_AGO, Service, Stage, days_ago, product};

/// The slowest first paint that people do not notice.
const FIRST_PAINT_MS_MAX: f64 = 1_000.0;
/// A round of checks each second, told after two.
const EVERY_SECOND: &str = "[health]\nevery_s = 1\nchecks_failed = 2";

#[tokio::test(flavor = "multi_thread")]
async fn a_person_registers_a_product_and_watches_it_succeed() {
    let stage = Stage::new().await;
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    let mut service = stage.start().await;
    let person = Person::at(&service.http, "/", DESK).await;
    let painted = person.first_paint_ms().await;
    assert!(painted > 0.0, "the page is painted");
    println!("first paint of the register page after {painted:.0} ms (aim: under {FIRST_PAINT_MS_MAX})");

    person.types("[name=\"product.brand\"]", "Brightwell").await;
    person.sees("[name=\"product.brand\"]").await.send_keys(Key::Tab).await.unwrap();
    person.types("[name=\"product.model\"]", "Monitor 5").await;
    // O for 0, as people read type plates
    person.types("[name=\"product.serial\"]", "BW26-0O0777").await;
    person.sets("[name=\"purchase.date\"]", &days_ago(BOUGHT_DAYS_AGO).to_string()).await;
    person.presses(".suggestion").await;
    let serial = person.sees("[name=\"product.serial\"]").await.value().await.unwrap();
    assert_eq!(serial.as_deref(), Some("BW26-000777"));
    person.types("[name=\"owner.name\"]", "Zoë Canary-Müller").await;
    person.types("[name=\"owner.email\"]", "zoe.canary@example.org").await;
    person.presses("#optional-section summary").await;
    person.sets("[name=\"owner.address.country\"]", "DE").await;
    let consent = person.page.find(By::Css("[name=marketing_consent]")).await.unwrap();
    assert!(!consent.is_selected().await.unwrap(), "nobody ticks it for the owner");
    person.keeps_picture("register").await;
    person.presses("#submit").await;

    person.sees("#story [data-event=submitted]").await;
    person.sees("#story [data-event=attempt_failed]").await;
    person.sees("#story [data-event=registration_succeeded]").await;
    let address = person.page.current_url().await.unwrap();
    let id = address.path().trim_start_matches("/track/").to_owned();
    let done = service.wait_for_state(&id, State::Success).await;
    person.sees_text("main", done.confirmation()).await;
    person.keeps_picture("track").await;
    person.leaves().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_finishes_by_the_mailed_page_on_a_phone_while_somebody_watches() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10001")).await.id;
    service.wait_for_packet(&id).await;
    let watcher = Person::at(&service.http, &format!("/track/{id}"), DESK).await;
    watcher.sees("#story [data-event=packet_sent]").await;
    watcher.sees("[data-action=complete]").await;

    let (page, _) = link_and_code(&stage, &service).await;
    let owner = Person::at(&service.http, &page, PHONE).await;
    owner.sees_text("main", "Kaffeemühle").await;
    watcher.sees("#story [data-event=packet_opened]").await;
    owner.keeps_picture("done").await;
    owner.types("[name=confirmation]", "HS-4711").await;
    owner.presses("form button").await;
    watcher.sees("#story [data-event=user_completed]").await;
    watcher.sees_text("main", "HS-4711").await;
    owner.sees_text("main", "registered").await;
    let done = service.wait_for_state(&id, State::UserCompleted).await;
    assert_eq!(done.confirmation(), "HS-4711");
    owner.leaves().await;
    watcher.leaves().await;
}

/// Makers in every kind of trouble, and what people registered with them.
async fn busy_day(stage: &Stage) -> Service {
    stage.maker("norrland", &[], EVERY_SECOND);
    stage.maker("aurora", &[], EVERY_SECOND);
    stage.maker("brightwell", &[], "[circuit]\nfailures = 3");
    let mut service = stage.start().await;
    for n in 0..12 {
        service.submit(product("Norrland", "VK 200", &format!("NO500000{n:02}"))).await;
    }
    for n in 0..3 {
        let id = service.submit(product("Hartmann", "Kaffeemühle", &format!("1000{n}"))).await.id;
        service.wait_for_packet(&id).await;
    }
    let mut late = product("Veloce", "Gran Fondo", "WV12345679");
    // of thirty days four are left
    late.purchase.as_mut().unwrap().date = days_ago(26).to_string();
    let late = service.submit(late).await.id;
    service.wait_for_packet(&late).await;
    let finished = service.submit(product("Hartmann", "Standuhr", "10009")).await.id;
    service.wait_for_packet(&finished).await;
    let complete = v1::CompleteRequest { id: finished, ..Default::default() };
    service.client.complete(complete).await.unwrap();
    stage.fault(Maker::Aurora, Stage::answers(503, None));
    stage.fault(Maker::Brightwell, Stage::answers(503, None).at(Scope::Api));
    for n in 0..3 {
        service.submit(product("Brightwell", "Monitor 5", &format!("BW26-00050{n}"))).await;
    }
    stage.fault(Maker::Kestrel, Fault::lasting(Mode::Latency { ms: 400 }));
    for n in 0..4 {
        service.submit(product("Kestrel", "KG-40", &format!("K12345678{n}"))).await;
    }
    service
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_sees_every_panel_filled_pauses_and_resumes_on_one_screen() {
    let stage = Stage::new().await;
    let mut service = busy_day(&stage).await;
    let operator = Person::at(&service.http, "/operate", DESK).await;
    println!("first paint of the operate page after {:.0} ms", operator.first_paint_ms().await);
    operator.sees_text("#cards", "Norrland Appliances").await;
    operator.sees_text("#maker-aurora", "down").await;
    operator.sees_text("#maker-brightwell", "open").await;

    operator.presses("[data-do=pause][data-maker=norrland]").await;
    operator.types("#wish-operator", "ada").await;
    operator.types("#wish-reason", "their maintenance").await;
    operator.presses("#wish-submit").await;
    operator.sees_text("#maker-norrland", "paused").await;
    let waiting = service.submit(product("Norrland", "VK 200", "NO50000099")).await.id;
    service.wait_for_state(&waiting, State::Waiting).await;
    // the past is fetched when the overview says that it changed
    operator.sees("#chart-latency .uplot").await;
    operator.sees_text("#deadlines", "Veloce").await;
    operator.sees_text("#incidents", "Aurora").await;
    operator.sees_text("#circuits", "Brightwell").await;
    operator.sees_text("#health", "Norrland").await;
    operator.keeps_picture("operate").await;

    operator.presses("[data-do=resume][data-maker=norrland]").await;
    operator.types("#wish-reason", "they are back").await;
    operator.presses("#wish-submit").await;
    service.wait_for_state(&waiting, State::Success).await;
    operator.sees_no_text("#maker-norrland", "paused").await;
    operator.goes_to("/registrations?state=SUCCESS&maker=norrland").await;
    operator.sees("#rows tr").await;
    operator.keeps_picture("registrations").await;
    operator.leaves().await;
}
