//! Flow 3: nothing automatic works, so the owner gets a packet and finishes it.

use proto::v1::{self, RegistrationState as State};
use sandbox::faults::Target;
use tonic::Code;

use crate::support::{BOUGHT_DAYS_AGO, Stage, days_ago, product};

#[tokio::test(flavor = "multi_thread")]
async fn a_captcha_sends_the_owner_a_packet_and_done_is_said_once() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Veloce", "Gran Fondo", "WV12345678")).await.id;
    let waiting = service.wait_for_packet(&id).await;
    assert_eq!((waiting.state(), waiting.manual_reason()), (State::ManualRequired, v1::ManualReason::Captcha));

    let mail = stage.mail().await;
    assert_eq!(mail.to, ["zoe.canary@example.org"]);
    assert!(mail.subject.contains("Gran Fondo"), "{}", mail.subject);
    assert_eq!(mail.message_id.as_deref(), waiting.packet.as_ref().map(|p| p.message_id.trim_matches(['<', '>'])));
    let (pdf, bytes) = mail.attachment(1).unwrap();
    assert_eq!(pdf.content_type, "application/pdf");
    assert!(bytes.starts_with(b"%PDF"));
    assert_eq!(stage.accepted("WV12345678"), 0);

    let complete = v1::CompleteRequest { id: id.clone(), confirmation: "VB-1".into(), ..Default::default() };
    let done = service.client.complete(complete.clone()).await.unwrap().into_inner();
    assert_eq!((done.state(), done.confirmation()), (State::UserCompleted, "VB-1"));
    let refused = service.client.complete(complete).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition);
    assert!(refused.message().contains("completed already"), "{}", refused.message());
    let names = service.story(&id).await.concat();
    let tail = ["attempt_failed", "dispatched", "manual_required", "packet_sent", "user_completed"];
    assert_eq!(names[names.len() - tail.len()..], tail, "{names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_brand_gets_a_packet_of_the_generic_kind() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Tamsin & Lowe", "Toaster", "T-1")).await.id;
    let waiting = service.wait_for_packet(&id).await;
    assert_eq!(waiting.maker, "generic");
    assert_eq!(waiting.manual_reason(), v1::ManualReason::UnknownBrand);
    let mail = stage.mail().await;
    assert!(mail.parse().unwrap().body_text(0).unwrap().contains("Tamsin & Lowe"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_the_fonts_cannot_draw_is_reported_and_the_packet_still_comes() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut request = product("Hartmann", "Kaffeemühle", "HS-5");
    request.owner.as_mut().unwrap().name = "王小明".into();
    let id = service.submit(request).await.id;
    let waiting = service.wait_for_packet(&id).await;
    assert!(waiting.packet.unwrap().missing_glyphs.contains(&"owner.name".to_owned()));
    assert_eq!(stage.sandbox.mailbox().mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_register_by_date_comes_as_a_calendar_entry() {
    let stage = Stage::new().await;
    stage.fault(sandbox::Maker::Norrland, Stage::answers(401, None));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL60000001")).await.id;
    let waiting = service.wait_for_packet(&id).await;
    assert_eq!(waiting.manual_reason(), v1::ManualReason::MethodsExhausted);
    let mail = stage.mail().await;
    let (calendar, bytes) = mail.attachment(2).unwrap();
    assert!(calendar.filename.ends_with(".ics"), "{}", calendar.filename);
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    // Norrland takes it for 60 days
    let last_day = days_ago(BOUGHT_DAYS_AGO - 60).strftime("%Y%m%d").to_string();
    assert!(text.contains(&format!("DTSTART;VALUE=DATE:{last_day}")), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_mail_server_is_tried_again_and_the_mail_comes_once() {
    let stage = Stage::new().await;
    stage.sandbox.faults().set(Target::Smtp, Stage::answers(451, Some(2)));
    let mut command = stage.command();
    command.env("REGFLOW__PACKET__BASE_MS", "50");
    let mut service = stage.start_with(command).await;
    let id = service.submit(product("Hartmann & Söhne", "Kaffeemühle", "HS-1")).await.id;
    service.wait_for_packet(&id).await;
    let names = service.story(&id).await.concat();
    assert_eq!(names.iter().filter(|name| *name == "packet_failed").count(), 2, "{names:?}");
    assert_eq!(stage.sandbox.mailbox().mails().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawn_registration_stays_withdrawn() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Hartmann", "Kaffeemühle", "HS-2")).await.id;
    service.wait_for_packet(&id).await;
    let cancel = v1::CancelRequest { id: id.clone(), reason: "sold it".into(), ..Default::default() };
    assert_eq!(service.client.cancel(cancel.clone()).await.unwrap().into_inner().state(), State::Cancelled);
    assert_eq!(service.client.cancel(cancel).await.unwrap_err().code(), Code::FailedPrecondition);
}
