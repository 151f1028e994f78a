//! The owner is mailed that the product is registered: once, when that is wanted, and without holding the registration up.

use std::time::{Duration, Instant};

use proto::v1::{self, MailPreference, RegistrationState as State};

use crate::support::{PATIENCE, Service, Stage, product};

/// The service with the default of the settings: everybody is mailed.
fn command(stage: &Stage) -> tokio::process::Command {
    let mut command = stage.command();
    command.env_remove("REGFLOW__MAIL__PREFERENCE");
    command
}

fn request(brand: &str, serial: &str, preference: MailPreference) -> v1::SubmitRequest {
    v1::SubmitRequest { mail_preference: preference.into(), ..product(brand, "VK 200", serial) }
}

/// Waits until the history ends with this event, and gives its names.
async fn until_last(service: &Service, id: &str, event: &str) -> Vec<String> {
    let asked = Instant::now();
    loop {
        let names = service.story(id).await.concat();
        if names.last().is_some_and(|last| last == event) {
            return names;
        }
        assert!(asked.elapsed() < PATIENCE, "never {event}: {names:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_success_is_mailed_once_with_the_code_and_nothing_to_click() {
    let stage = Stage::new().await;
    let mut service = stage.start_with(command(&stage)).await;
    let id = service.submit(product("Norrland", "VK 200", "NL13000001")).await.id;
    let names = until_last(&service, &id, "owner_mailed").await;
    assert_eq!(names[names.len() - 3..], ["attempt_succeeded", "registration_succeeded", "owner_mailed"]);
    let seen = service.wait_for_state(&id, State::Success).await;

    let mails = stage.sandbox.mailbox().mails();
    assert_eq!(mails.len(), 1);
    let (mail, parsed) = (&mails[0], mails[0].parse().unwrap());
    let (text, html) = (parsed.body_text(0).unwrap(), parsed.body_html(0).unwrap());
    assert_eq!(mail.to, ["zoe.canary@example.org"]);
    assert!(mail.subject.starts_with("Norrland VK 200: it is registered (RF-"), "{}", mail.subject);
    assert!(text.contains(seen.confirmation()) && html.contains(seen.confirmation()), "{text}");
    assert!(text.contains("NL13000001") && !html.contains("href"), "{html}");
    if let Some(folder) = std::env::var_os("REGFLOW_KEEP_MAILS") {
        std::fs::write(std::path::Path::new(&folder).join("success.html"), html.as_bytes()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_wants_fewer_mails_gets_fewer_and_it_costs_no_further_record() {
    let stage = Stage::new().await;
    let mut service = stage.start_with(command(&stage)).await;
    let quiet = service.submit(request("Norrland", "NL13000002", MailPreference::None)).await.id;
    let modest = service.submit(request("Norrland", "NL13000003", MailPreference::ManualOnly)).await.id;
    let silent_packet = service.submit(request("Nobodys", "A-1", MailPreference::None)).await.id;
    let packet = service.submit(request("Nobodys", "A-2", MailPreference::ManualOnly)).await.id;
    for id in [&quiet, &modest] {
        service.wait_for_state(id, State::Success).await;
    }
    let kept = service.wait_for_packet(&silent_packet).await.packet.unwrap();
    assert!(kept.message_id.is_empty() && !kept.object.is_empty(), "{kept:?}");
    let sent = service.wait_for_packet(&packet).await.packet.unwrap();
    assert!(!sent.message_id.is_empty());
    let explained = service.client.explain(v1::ExplainRequest { id: silent_packet }).await.unwrap().into_inner();
    assert!(explained.waits_for.unwrap().sentence.contains("wants no mail"));

    // one that is mailed comes after them, so theirs would be there by now
    let mailed = service.submit(product("Norrland", "VK 200", "NL13000004")).await.id;
    until_last(&service, &mailed, "owner_mailed").await;
    for id in [&quiet, &modest] {
        assert_eq!(service.history(id).await.len(), 2);
    }
    let subjects: Vec<String> = stage.sandbox.mailbox().mails().iter().map(|mail| mail.subject.clone()).collect();
    let registered = subjects.iter().filter(|subject| subject.contains("it is registered")).count();
    assert_eq!((subjects.len(), registered), (2, 1), "{subjects:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_request_with_another_preference_is_told_what_differs() {
    let stage = Stage::new().await;
    let mut service = stage.start_with(command(&stage)).await;
    let mut first = request("Norrland", "NL13000005", MailPreference::None);
    first.request_id = "order-1".into();
    let id = service.submit(first.clone()).await.id;
    assert_eq!(service.submit(first.clone()).await.id, id);
    first.mail_preference = MailPreference::All.into();
    let refused = service.client.submit(first.clone()).await.unwrap_err();
    assert!(refused.message().contains("mail_preference"), "{}", refused.message());
    // who does not say takes what was said
    first.mail_preference = MailPreference::Unspecified.into();
    assert_eq!(service.submit(first).await.id, id);
}

/// The process dies at `place`; the next one goes on. Gives the Message-IDs that arrived.
async fn mails_after_a_crash_at(place: &str, serial: &str) -> Vec<Option<String>> {
    let stage = Stage::new().await;
    let mut crashing = command(&stage);
    crashing.env("FAILPOINTS", format!("{place}=1*return"));
    let mut service = stage.start_with(crashing).await;
    let id = service.submit(product("Norrland", "VK 200", serial)).await.id;
    tokio::time::timeout(PATIENCE, service.child.wait()).await.expect("it dies there").unwrap();

    let mut service = stage.start_with(command(&stage)).await;
    assert_eq!(service.wait_for_state(&id, State::Success).await.state(), State::Success);
    let names = until_last(&service, &id, "owner_mailed").await;
    assert_eq!(names.iter().filter(|name| *name == "owner_mailed").count(), 1);
    assert_eq!(stage.accepted(serial), 1);
    stage.sandbox.mailbox().mails().iter().map(|mail| mail.message_id.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_before_the_mail_leaves_one_mail() {
    assert_eq!(mails_after_a_crash_at("before_owner_mail", "NL13000006").await.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_right_after_the_mail_sends_the_same_letter_again() {
    let mails = mails_after_a_crash_at("after_owner_mail", "NL13000007").await;
    assert_eq!(mails.len(), 2);
    assert!(mails[0].is_some() && mails[0] == mails[1], "{mails:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mail_server_that_is_down_holds_no_registration_up_and_gets_the_mail_later() {
    let stage = Stage::new().await;
    // an address where nobody listens: taken, and let go of again
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let mut down = command(&stage);
    down.env("REGFLOW__SMTP__PORT", closed.port().to_string()).env("REGFLOW__PACKET__BASE_MS", "500");
    let mut service = stage.start_with(down).await;
    let id = service.submit(product("Norrland", "VK 200", "NL13000008")).await.id;
    service.wait_for_state(&id, State::Success).await;
    until_last(&service, &id, "owner_mail_failed").await;
    assert_eq!(service.get(&id).await.state(), State::Success);
    assert_eq!(service.stop().await, Some(0));

    let mut service = stage.start_with(command(&stage)).await;
    let names = until_last(&service, &id, "owner_mailed").await;
    assert!(names.iter().any(|name| name == "owner_mail_failed"));
    assert_eq!(stage.sandbox.mailbox().mails().len(), 1);
    assert_eq!(service.wait_for_state(&id, State::Success).await.state(), State::Success);
}
