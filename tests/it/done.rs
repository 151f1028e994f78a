//! Done, said by the mail's link or by the short code; looking changes nothing.

use events::Timestamp;
use proto::v1::RegistrationState as State;
use reqwest::header::{CONTENT_TYPE, LOCATION};
use reqwest::{Method, StatusCode};

use crate::http::Web;
use crate::support::{Service, Stage, product, vault};

/// The path of the link in the one mail, and the code beside it.
pub async fn link_and_code(stage: &Stage, service: &Service) -> (String, String) {
    let mail = stage.mail().await;
    let text = mail.parse().unwrap().body_text(0).unwrap().into_owned();
    let link = text.lines().find_map(|line| line.trim().strip_prefix(&format!("{}/done/", service.http))).unwrap();
    let code = text.split("and the code ").nth(1).unwrap();
    (format!("/done/{link}"), code.chars().take(9).collect())
}

/// A form as browsers send it, with a photo.
fn form(confirmation: &str, photo: &[u8]) -> (String, Vec<u8>) {
    let part = |head: &str| format!("--bound\r\nContent-Disposition: form-data; {head}\r\n\r\n").into_bytes();
    let body = [
        part("name=\"confirmation\""),
        confirmation.as_bytes().to_vec(),
        b"\r\n".to_vec(),
        part("name=\"photo\"; filename=\"p.png\""),
        photo.to_vec(),
        b"\r\n--bound--\r\n".to_vec(),
    ];
    ("multipart/form-data; boundary=bound".to_owned(), body.concat())
}

pub async fn press(web: &Web, path: &str, confirmation: &str, photo: &[u8]) -> reqwest::Response {
    let (kind, body) = form(confirmation, photo);
    web.request(Method::POST, path).header(CONTENT_TYPE, kind).body(body).send().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_looks_change_nothing_and_one_press_of_the_button_does() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10001")).await.id;
    let before = service.wait_for_packet(&id).await;
    let (path, _) = link_and_code(&stage, &service).await;
    for n in 0..100 {
        let method = if n % 2 == 0 { Method::GET } else { Method::HEAD };
        assert_eq!(web.request(method, &path).send().await.unwrap().status(), StatusCode::OK);
    }
    assert_eq!(service.get(&id).await.sequence, before.sequence, "mail scanners do no harm");
    let page = web.get(&path).await.text().await.unwrap();
    assert!(page.contains("Kaffeemühle") && page.contains("10001"), "{page}");

    // a browser with a person before it says so, once
    for _ in 0..2 {
        let opened = web.request(Method::POST, &format!("{path}/opened")).send().await.unwrap();
        assert_eq!(opened.status(), StatusCode::NO_CONTENT);
    }
    let refused = press(&web, &path, "HS-1", b"no picture").await;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    assert!(refused.text().await.unwrap().contains("neither PDF, PNG nor JPEG"));
    let pressed = press(&web, &path, "HS-1", b"\x89PNG photo").await;
    assert_eq!(
        (pressed.status(), pressed.headers()[LOCATION].to_str().unwrap()),
        (StatusCode::SEE_OTHER, path.as_str())
    );
    let done = service.wait_for_state(&id, State::UserCompleted).await;
    assert_eq!(done.confirmation(), "HS-1");
    assert_eq!(press(&web, &path, "HS-2", b"").await.status(), StatusCode::SEE_OTHER, "a second press does no harm");
    let photo = web.get(&format!("/api/registration/{id}/photo")).await.bytes().await.unwrap();
    assert_eq!(&photo[..], b"\x89PNG photo");

    let history = service.history(&id).await;
    let told: Vec<_> = history.iter().map(|r| (r.actor.as_str(), r.events[0].name.as_str())).collect();
    assert_eq!(told[told.len() - 2..], [("owner", "packet_opened"), ("owner", "user_completed")]);
    assert!(history.iter().filter(|record| record.events[0].name == "packet_opened").count() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_short_code_leads_to_the_same_page_and_guesses_are_counted() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10002")).await.id;
    let reference = service.wait_for_packet(&id).await.reference;
    let (_, code) = link_and_code(&stage, &service).await;
    let typed = |code: &str| {
        let body = format!("reference={}&code={}", reference.to_lowercase(), code.to_lowercase().replace('-', "+"));
        web.request(Method::POST, "/done").header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(body).send()
    };
    let found = typed(&code).await.unwrap();
    assert_eq!(found.status(), StatusCode::SEE_OTHER);
    let page = found.headers()[LOCATION].to_str().unwrap().to_owned();
    assert!(web.get(&page).await.text().await.unwrap().contains("Kaffeemühle"));
    assert_eq!(typed("0000-0000").await.unwrap().status(), StatusCode::NOT_FOUND);
    let mut last = StatusCode::OK;
    for _ in 0..10 {
        last = typed("0000-0000").await.unwrap().status();
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(press(&web, &page, "", b"").await.status(), StatusCode::SEE_OTHER);
    service.wait_for_state(&id, State::UserCompleted).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_expired_link_opens_nothing_and_leads_to_the_code() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10003")).await.id;
    let before = service.wait_for_packet(&id).await;
    let (path, _) = link_and_code(&stage, &service).await;
    let (head, tail) = path.split_at(path.len() - 5);
    let forged = format!("{head}{}", tail.chars().rev().collect::<String>());
    // signed by the service's own key, for a second that is long gone
    let key = vault(&service, stage.data.path()).await.link_key();
    let expired = key.token(id.parse().unwrap(), Timestamp(1_000_000));
    for (path, says) in [
        (forged.as_str(), "it was changed"),
        ("/done/nonsense", "it was changed"),
        (&format!("/done/{expired}"), "has expired"),
    ] {
        let page = web.get(path).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        let text = page.text().await.unwrap();
        assert!(text.contains("action=\"/done\"") && text.contains(says), "the page for the code: {text}");
        assert_eq!(press(&web, path, "X", b"").await.status(), StatusCode::NOT_FOUND);
    }
    assert_eq!(service.get(&id).await.sequence, before.sequence);
}
