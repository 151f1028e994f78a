//! The makers' web forms, walked through page by page.

use regflow_sandbox::Maker;
use regflow_sandbox::ledger::{Filter, Method};
use reqwest::StatusCode;

use crate::support::{Browser, Page, World, between, world};

const SERIAL: &str = "2025-FRN-04417";
const PRODUCT: [(&str, &str); 3] = [("family", "forni"), ("model", "Forno 90"), ("serial", SERIAL)];
const PURCHASE: [(&str, &str); 4] = [("day", "3"), ("month", "10"), ("year", "2026"), ("shop", "Casa & Co")];
const OWNER: [(&str, &str); 9] = [
    ("firstname", "Niccolò"),
    ("lastname", "D'Alò"),
    ("email", "niccolo@example.org"),
    ("email_confirm", "niccolo@example.org"),
    ("street", "Via Roma 1"),
    ("zip", "50123"),
    ("city", "Firenze"),
    ("country", "IT"),
    ("terms", "1"),
];

async fn to_owner(browser: &mut Browser<'_>) -> Page {
    browser.open("/castello/registrazione").await;
    let page = browser.submit("/castello/registrazione", &PRODUCT).await;
    assert_eq!(page.path, "/castello/registrazione/acquisto", "{}", page.html);
    browser
        .submit_multipart("/castello/registrazione/acquisto", &PURCHASE, ("receipt", "scontrino.pdf", "%PDF-1.7"))
        .await
}

#[tokio::test]
async fn castello_registers_in_three_steps() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    assert_eq!(to_owner(&mut browser).await.path, "/castello/registrazione/proprietario");
    let page = browser.submit("/castello/registrazione/proprietario", &OWNER).await;
    assert_eq!((page.status, page.path.as_str()), (StatusCode::OK, "/castello/registrazione/grazie"));
    let code = between(&page.html, "<p id=\"codice\">Il suo codice di registrazione: <strong>", "</strong>").unwrap();
    let entries = world.sandbox.ledger().entries(&Filter::product(Maker::Castello, SERIAL), 10);
    let last = entries.last().unwrap();
    assert_eq!((last.method, last.accepted, last.confirmation.as_deref()), (Method::Form, true, Some(code)));
    assert_eq!((&last.fields["month"], &last.fields["receipt"]["size"]), (&"10".into(), &8.into()));
    assert_eq!(last.fields.get("marketing"), None);
}

#[tokio::test]
async fn castello_says_what_is_wrong_and_keeps_what_was_typed() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    browser.open("/castello/registrazione").await;
    let wrong = [("family", "forni"), ("model", "Forno \"90\""), ("serial", "1")];
    let page = browser.submit("/castello/registrazione", &wrong).await;
    assert_eq!(page.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(page.html.contains("<li data-field=\"serial\" data-code=\"invalid_format\">"), "{}", page.html);
    assert!(page.html.contains("value=\"Forno &quot;90&quot;\""), "{}", page.html);
    to_owner(&mut browser).await;
    let mut owner = OWNER;
    owner[3] = ("email_confirm", "someone.else@example.org");
    owner[8] = ("marketing", "1");
    let page = browser.submit("/castello/registrazione/proprietario", &owner).await;
    assert!(
        page.html.contains("<li data-field=\"terms\"") && page.html.contains("<li data-field=\"email_confirm\""),
        "{}",
        page.html
    );
}

#[tokio::test]
async fn castello_refuses_a_day_that_does_not_exist() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    browser.open("/castello/registrazione").await;
    browser.submit("/castello/registrazione", &PRODUCT).await;
    let purchase = [("day", "31"), ("month", "9"), ("year", "2026"), ("shop", "Casa")];
    let page = browser.submit_multipart("/castello/registrazione/acquisto", &purchase, ("receipt", "", "")).await;
    assert!(page.html.contains("<li data-field=\"date\" data-code=\"invalid_date\">"), "{}", page.html);
}

#[tokio::test]
async fn castello_knows_a_product_again() {
    let world = world().await;
    for _ in 0..2 {
        let mut browser = Browser::new(&world);
        to_owner(&mut browser).await;
        browser.submit("/castello/registrazione/proprietario", &OWNER).await;
    }
    let mut browser = Browser::new(&world);
    to_owner(&mut browser).await;
    let page = browser.submit("/castello/registrazione/proprietario", &OWNER).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(page.html.contains("data-code=\"already_registered\"") && page.html.contains("CC-"), "{}", page.html);
    let registered = world.sandbox.ledger().count(&Filter::product(Maker::Castello, SERIAL)).accepted;
    assert_eq!(registered, 1);
}

#[tokio::test]
async fn a_step_cannot_be_skipped_and_a_foreign_token_is_refused() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.open("/castello/registrazione/proprietario").await.path, "/castello/registrazione");
    assert_eq!(browser.submit("/castello/registrazione/proprietario", &OWNER).await.status, StatusCode::FORBIDDEN);
    let mut stranger = Browser::new(&world);
    assert_eq!(stranger.submit("/castello/registrazione", &PRODUCT).await.status, StatusCode::FORBIDDEN);
}

async fn brightwell(world: &World, serial: &str) -> Page {
    let mut browser = Browser::new(world);
    browser.open("/brightwell/register").await;
    let fields = [
        ("product_model", "Studio One-V"),
        ("serial_number", serial),
        ("purchase_date", "2026-10-20"),
        ("name", "Zoë Ørsted"),
        ("email", "zoe@example.org"),
        ("country", "DK"),
    ];
    browser.submit("/brightwell/register", &fields).await
}

#[tokio::test]
async fn brightwell_takes_a_vintage_model_by_its_form() {
    let world = world().await;
    let page = brightwell(&world, "BW19-000417").await;
    let code =
        between(&page.html, "<div class=\"confirmation\">Registration code: <code class=\"code\">", "</code>").unwrap();
    assert!(code.starts_with("BW-"));
    let page = brightwell(&world, "BW19-000417").await;
    assert!(page.html.contains("already-registered") && page.html.contains(code), "{}", page.html);
    let page = brightwell(&world, "19-000417").await;
    assert!(page.html.contains("id=\"serial_number-error\""), "{}", page.html);
    assert!(page.html.contains("<option value=\"DK\" selected>"), "{}", page.html);
}

#[tokio::test]
async fn aurora_wants_the_terms_accepted() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    browser.open("/aurora/register").await;
    let mut fields = vec![
        ("sku", "Luna cot"),
        ("serial", "AB04C9E17F2A"),
        ("bought_on", "2026-11-01"),
        ("parent_name", "Ελένη Παπαδοπούλου"),
        ("email", "eleni@example.org"),
        ("street", "Ερμού 12"),
        ("postal_code", "105 57"),
        ("city", "Αθήνα"),
        ("country", "GR"),
    ];
    let page = browser.submit("/aurora/register", &fields).await;
    assert!(page.html.contains("<p class=\"error\" data-field=\"accept_terms\">"), "{}", page.html);
    fields.push(("accept_terms", "yes"));
    let page = browser.submit("/aurora/register", &fields).await;
    assert!(between(&page.html, "data-testid=\"confirmation-number\">", "</code>").unwrap().starts_with("AU-"));
    let entry = world.sandbox.ledger().entries(&Filter::product(Maker::Aurora, "AB04C9E17F2A"), 10).pop().unwrap();
    assert_eq!((&entry.fields["city"], entry.fields.get("safety_notices")), (&"Αθήνα".into(), None));
}

#[tokio::test]
async fn veloce_lets_nobody_through() {
    let world = world().await;
    let mut browser = Browser::new(&world);
    let page = browser.open("/veloce/register").await;
    assert!(page.html.contains("class=\"g-recaptcha\""), "{}", page.html);
    let fields = [
        ("frame_number", "WV7K20QX41"),
        ("model", "Stelvio"),
        ("purchased", "01/11/2026"),
        ("name", "A"),
        ("email", "a@example.org"),
    ];
    let page = browser.submit("/veloce/register", &fields).await;
    assert!(page.html.contains("data-field=\"g-recaptcha-response\""), "{}", page.html);
    assert_eq!(world.sandbox.ledger().count(&Filter::default()).accepted, 0);
}

#[tokio::test]
async fn pages_for_people_are_there() {
    let world = world().await;
    for path in ["/norrland/warranty", "/kestrel/warranty", "/hartmann/garantie"] {
        let response = world.get(path).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert!(response.text().await.unwrap().contains("+4"), "{path}");
    }
}
