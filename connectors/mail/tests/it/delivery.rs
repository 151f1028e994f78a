//! What arrives, read back by a parser that is not ours.

use mail_parser::{MessageParser, MimeHeaders};
use regflow_mail::{MailError, Tls};

use crate::sink::{Manner, Sink};
use crate::{config, letter, mailer};

#[tokio::test]
async fn a_letter_arrives_with_both_texts_and_its_attachments() {
    let mut sink = Sink::start(Manner::Accept).await;
    mailer(sink.port).send(&letter()).await.unwrap();
    let received = sink.received.recv().await.unwrap();
    assert_eq!(received.recipient, "<zoe@xn--mller-kva.example>");
    let mail = MessageParser::default().parse(&received.bytes).unwrap();
    assert_eq!(mail.subject(), Some(letter().subject.as_str()));
    let to = mail.to().and_then(|to| to.first()).unwrap();
    assert_eq!(to.name(), Some("Zoë Müller, Köln"));
    let text = mail.body_text(0).unwrap().replace("\r\n", "\n");
    assert_eq!(text.trim_end(), letter().text.trim_end());
    assert_eq!(mail.body_html(0).unwrap().trim_end(), "<p>Grüße</p>");
    let attachments: Vec<_> = mail.attachments().collect();
    assert_eq!(attachments.len(), 2);
    assert_eq!(attachments[0].attachment_name(), Some("Garantie Übersicht.pdf"));
    assert_eq!(attachments[0].contents(), letter().attachments[0].bytes);
    assert!(attachments[1].is_content_type("text", "calendar"));
}

#[tokio::test]
async fn a_letter_carries_its_id_and_date_and_asks_for_no_answer() {
    let mut sink = Sink::start(Manner::Accept).await;
    mailer(sink.port).send(&letter()).await.unwrap();
    let bytes = sink.received.recv().await.unwrap().bytes;
    assert!(bytes.is_ascii(), "nothing depends on 8BITMIME");
    let mail = MessageParser::default().parse(&bytes).unwrap();
    assert_eq!(mail.message_id().map(|id| format!("<{id}>")), Some(letter().message_id));
    assert_eq!(mail.date().unwrap().to_timestamp(), letter().written_at.as_second());
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\r\nAuto-Submitted: auto-generated\r\n"));
}

#[tokio::test]
async fn letters_share_one_connection() {
    let mut sink = Sink::start(Manner::Accept).await;
    let mailer = mailer(sink.port);
    for _ in 0..3 {
        mailer.send(&letter()).await.unwrap();
        assert!(sink.received.recv().await.is_some());
    }
    assert_eq!(sink.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_is_replaced() {
    let mut sink = Sink::start(Manner::AcceptsAndCloses).await;
    let mailer = mailer(sink.port);
    for _ in 0..2 {
        mailer.send(&letter()).await.unwrap();
        assert!(sink.received.recv().await.is_some());
    }
    assert_eq!(sink.connections(), 2);
}

#[tokio::test]
async fn many_letters_at_once_stay_within_the_pool() {
    let sink = Sink::start(Manner::Accept).await;
    let mailer = mailer(sink.port);
    let letter = letter();
    let sends: [_; 8] = std::array::from_fn(|_| mailer.send(&letter));
    let [a, b, c, d, e, f, g, h] = sends;
    let results = tokio::join!(a, b, c, d, e, f, g, h);
    assert_eq!(results, (Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(()), Ok(())));
    assert!(sink.connections() <= 2, "{} connections", sink.connections());
}

#[tokio::test]
async fn without_starttls_nothing_is_sent_in_clear() {
    let mut sink = Sink::start(Manner::Accept).await;
    let mut config = config(sink.port);
    config.tls = Tls::Required;
    let result = regflow_mail::Mailer::new(&config).unwrap().send(&letter()).await;
    assert!(matches!(result, Err(MailError::Unreachable { .. })), "{result:?}");
    assert!(sink.received.try_recv().is_err());
}
