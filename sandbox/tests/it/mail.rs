//! The mailbox: an SMTP conversation over a socket, then the pages and the JSON.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{World, world};

/// No reply takes longer than this on loopback.
const REPLY_MAX: Duration = Duration::from_secs(5);

const MAIL: &str = "From: =?utf-8?B?UmVnZmxvdw==?= <regflow@example.org>\r\nTo: Zoe <zoe@example.org>\r\n\
    Subject: =?utf-8?B?R3LDvMOfZSDigJQgZXhhY3RseQ==?=\r\nMessage-ID: <abc.packet@example.org>\r\nMIME-Version: 1.0\r\n\
    Content-Type: multipart/mixed; boundary=out\r\n\r\n\
    --out\r\nContent-Type: multipart/alternative; boundary=in\r\n\r\n\
    --in\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n..a line with a dot\r\n\
    --in\r\nContent-Type: text/html; charset=utf-8\r\n\r\n<p>Hello <b>you</b></p><script>alert(1)</script>\r\n--in--\r\n\
    --out\r\nContent-Type: application/pdf; name=packet.pdf\r\nContent-Disposition: attachment; filename=packet.pdf\r\n\
    Content-Transfer-Encoding: base64\r\n\r\nJVBERi0xLjcK\r\n\
    --out\r\nContent-Type: text/calendar; charset=utf-8\r\nContent-Disposition: attachment; filename=\"register by.ics\"\r\n\r\n\
    BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n--out--\r\n";

struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    async fn open(world: &World) -> Self {
        let stream = BufReader::new(TcpStream::connect(world.sandbox.smtp_addr).await.unwrap());
        let mut conversation = Conversation { stream };
        assert_eq!(conversation.reply().await, 220);
        conversation
    }

    async fn say(&mut self, text: &str) -> u16 {
        self.send(text).await;
        self.reply().await
    }

    async fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(format!("{text}\r\n").as_bytes()).await.unwrap();
    }

    /// The code of the next reply; 0 when the server has closed.
    async fn reply(&mut self) -> u16 {
        loop {
            let mut line = String::new();
            tokio::time::timeout(REPLY_MAX, self.stream.read_line(&mut line)).await.unwrap().unwrap();
            match line.as_bytes().get(3) {
                Some(b'-') => {}
                Some(_) => return line[..3].parse().unwrap(),
                None => return 0,
            }
        }
    }

    async fn envelope(&mut self) {
        assert_eq!(self.say("EHLO test").await, 250);
        assert_eq!(self.say("MAIL FROM:<regflow@example.org> BODY=8BITMIME SMTPUTF8").await, 250);
        assert_eq!(self.say("RCPT TO:<zoe@example.org>").await, 250);
        assert_eq!(self.say("DATA").await, 354);
    }
}

async fn send_mail(world: &World) {
    let mut conversation = Conversation::open(world).await;
    conversation.envelope().await;
    assert_eq!(conversation.say(&format!("{MAIL}.")).await, 250);
    assert_eq!(conversation.say("QUIT").await, 221);
}

async fn mails(world: &World) -> Value {
    world.get("/mail.json").await.json::<Value>().await.unwrap()["mails"].take()
}

#[tokio::test]
async fn a_mail_arrives_in_the_json_with_its_attachments() {
    let world = world().await;
    send_mail(&world).await;
    let mail = mails(&world).await[0].take();
    assert_eq!(mail["to"], json!(["zoe@example.org"]));
    assert_eq!((&mail["subject"], &mail["message_id"]), (&json!("Grüße — exactly"), &json!("abc.packet@example.org")));
    let expected = json!([
        { "filename": "packet.pdf", "content_type": "application/pdf", "size": 9 },
        { "filename": "register by.ics", "content_type": "text/calendar", "size": 30 },
    ]);
    assert_eq!(mail["attachments"], expected);
    assert!(mail["at"].is_string());
}

#[tokio::test]
async fn a_mail_is_shown_in_its_parts() {
    let world = world().await;
    send_mail(&world).await;
    assert!(world.get("/mail").await.text().await.unwrap().contains("Grüße — exactly"));
    let page = world.get("/mail/1").await.text().await.unwrap();
    assert!(
        page.contains("<pre>.a line with a dot") && page.contains("packet.pdf") && page.contains("<iframe"),
        "{page}"
    );
    assert!(!page.contains("alert(1)"), "{page}");
    let html = world.get("/mail/1/html").await;
    assert!(html.headers()["content-security-policy"].to_str().unwrap().starts_with("sandbox"));
    assert!(html.text().await.unwrap().contains("<b>you</b>"));
    assert!(world.get("/mail/1/raw").await.text().await.unwrap().contains("\r\n.a line with a dot\r\n"));
    assert_eq!(world.get("/mail/2").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn an_attachment_can_be_saved() {
    let world = world().await;
    send_mail(&world).await;
    let pdf = world.get("/mail/1/attachments/1").await;
    assert_eq!(pdf.headers()["content-type"], "application/pdf");
    assert_eq!(pdf.bytes().await.unwrap().as_ref(), b"%PDF-1.7\n");
    let calendar = world.get("/mail/1/attachments/2").await;
    assert_eq!(calendar.headers()["content-disposition"], "attachment; filename=\"register_by.ics\"");
    assert_eq!(world.get("/mail/1/attachments/3").await.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let world = world().await;
    let mut conversation = Conversation::open(&world).await;
    conversation
        .send("EHLO test\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@example.org>\r\nNOOP\r\nRSET\r\nDATA\r\nQUIT")
        .await;
    let mut codes = Vec::new();
    for _ in 0..7 {
        codes.push(conversation.reply().await);
    }
    assert_eq!(codes, [250, 250, 250, 250, 250, 503, 221]);
}

#[tokio::test]
async fn a_mailbox_refuses_as_told_and_then_takes_the_mail() {
    let world = world().await;
    world.fault("smtp", json!({ "mode": "status", "status": 451, "times": 1 })).await;
    let mut conversation = Conversation::open(&world).await;
    conversation.say("EHLO test").await;
    conversation.say("MAIL FROM:<a@example.org>").await;
    assert_eq!(conversation.say("RCPT TO:<b@example.org>").await, 451);
    assert_eq!(conversation.say("DATA").await, 503);
    world.fault("smtp", json!({ "mode": "status", "status": 550, "times": 1 })).await;
    assert_eq!(conversation.say("RCPT TO:<b@example.org>").await, 550);
    assert_eq!(conversation.say("RCPT TO:<b@example.org>").await, 250);
}

#[tokio::test]
async fn a_mail_can_be_kept_without_a_word() {
    let world = world().await;
    world.fault("smtp", json!({ "mode": "drop_after_commit", "times": 1 })).await;
    let mut conversation = Conversation::open(&world).await;
    conversation.envelope().await;
    assert_eq!(conversation.say(&format!("{MAIL}.")).await, 0);
    assert_eq!(mails(&world).await.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_oversized_mail_is_refused_and_the_conversation_goes_on() {
    let world = world().await;
    let mut conversation = Conversation::open(&world).await;
    conversation.envelope().await;
    let line = format!("{}\r\n", "x".repeat(1_022));
    conversation.send(&line.repeat(26 * 1024)).await;
    assert_eq!(conversation.say(".").await, 552);
    conversation.envelope().await;
    assert_eq!(conversation.say(&format!("{MAIL}.")).await, 250);
    assert_eq!(world.sandbox.mailbox().mails().len(), 1);
}
