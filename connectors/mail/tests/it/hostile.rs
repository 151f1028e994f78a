//! Hostile values in letters: no header more, no part more, and in HTML nothing but text.

use std::collections::BTreeSet;

use mail_parser::{MessageParser, MimeHeaders};
use regflow_mail::{Letter, MailError, PacketLetter, RegisterByEvent, SuccessLetter, Templates, register_by_event};

use crate::sink::{Manner, Sink};
use crate::{letter, mailer};

#[path = "../../../../tests/hostile/values.rs"]
mod values;

/// What a letter is made of, however it is worded: names of headers, kinds of parts, names of files, recipients.
fn build_of(bytes: &[u8]) -> (BTreeSet<String>, Vec<String>, usize) {
    let mail = MessageParser::default().parse(bytes).unwrap();
    let headers = mail.headers().iter().map(|header| header.name().to_lowercase()).collect();
    let kind = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().map(|kind| format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default()));
        format!("{} {}", kind.unwrap_or_default(), part.attachment_name().unwrap_or_default())
    };
    let people = mail.to().map_or(0, |to| to.iter().count()) + mail.cc().map_or(0, |cc| cc.iter().count());
    (headers, mail.parts.iter().map(kind).collect(), people)
}

/// What is markup in an HTML text; what is data has none of it.
fn markup_of(html: &str) -> [usize; 4] {
    ['<', '>', '"', '\''].map(|sign| html.matches(sign).count())
}

fn packet_letter(value: &str) -> PacketLetter {
    PacketLetter {
        owner_name: value.to_owned(),
        product: value.to_owned(),
        maker: value.to_owned(),
        reference: "RF-7K4M".to_owned(),
        reason: value.to_owned(),
        steps: vec![value.to_owned()],
        link: Some("https://maker.example/".to_owned()),
        register_by: None,
        done_link: None,
        done_hint: value.to_owned(),
    }
}

fn success_letter(value: &str) -> SuccessLetter {
    SuccessLetter {
        owner_name: value.to_owned(),
        product: value.to_owned(),
        serial: value.to_owned(),
        maker: value.to_owned(),
        reference: "RF-7K4M".to_owned(),
        registered_on: "2026-11-23".parse().unwrap(),
        confirmation: Some(value.to_owned()),
    }
}

#[test]
fn no_hostile_value_becomes_markup_of_a_letter() {
    let templates = Templates::new().unwrap();
    let packet = markup_of(&templates.render_packet(&packet_letter("Ada")).unwrap().html);
    let success = markup_of(&templates.render_success(&success_letter("Ada")).unwrap().html);
    let mut written = 0;
    for value in values::all().iter().filter(|value| !value.trim().is_empty()) {
        for (rendered, plain) in [
            (templates.render_packet(&packet_letter(value)), packet),
            (templates.render_success(&success_letter(value)), success),
        ] {
            let rendered = rendered.unwrap();
            assert_eq!(markup_of(&rendered.html), plain, "{value:?}");
            assert!(!rendered.subject.chars().any(char::is_control), "{value:?} in a subject");
            written += 1;
        }
    }
    assert!(written > 400, "{written} letters");
}

/// The names of the lines of a calendar entry, continuations put together.
fn lines_of(calendar: &str) -> Vec<String> {
    let whole = calendar.replace("\r\n ", "");
    whole.split("\r\n").map(|line| line.split([':', ';']).next().unwrap().to_owned()).collect()
}

#[test]
fn no_hostile_value_becomes_a_line_of_a_calendar_entry() {
    let entry = |value: &str| {
        register_by_event(&RegisterByEvent {
            uid: "019ab2f0",
            written_at: "2026-11-23T08:30:00Z".parse().unwrap(),
            date: "2026-12-01".parse().unwrap(),
            summary: value,
            description: value,
            url: Some("https://maker.example/"),
        })
    };
    let plain = lines_of(&entry("Ada"));
    assert!(plain.len() > 8, "{plain:?}");
    for value in values::all() {
        let hostile = entry(&value);
        assert_eq!(lines_of(&hostile), plain, "{value:?}");
        let controls = hostile.replace("\r\n", "").chars().filter(|c| c.is_control()).count();
        assert_eq!(controls, 0, "{value:?}");
    }
}

#[tokio::test]
async fn no_hostile_value_becomes_a_header_a_part_or_a_recipient() {
    let mut sink = Sink::start(Manner::Accept).await;
    let (mailer, mut refused) = (mailer(sink.port), 0);
    mailer.send(&letter()).await.unwrap();
    let plain = build_of(&sink.received.recv().await.unwrap().bytes);
    let values: Vec<String> = values::all().into_iter().filter(|value| !value.trim().is_empty()).collect();
    for value in &values {
        // a name is cut where a list of people would go on; the two texts hold it in full
        let hostile = Letter {
            to_name: value.clone(),
            subject: value.clone(),
            text: value.clone(),
            html: value.clone(),
            ..letter()
        };
        match mailer.send(&hostile).await {
            Ok(()) => {
                let received = sink.received.recv().await.unwrap();
                assert_eq!(received.recipient, "<zoe@xn--mller-kva.example>", "{value:?}");
                assert_eq!(build_of(&received.bytes), plain, "{value:?}");
                let mail = MessageParser::default().parse(&received.bytes).unwrap();
                let text = mail.body_text(0).unwrap();
                assert_eq!(text.trim_end(), value.trim_end(), "{value:?}");
            }
            Err(error) => {
                let of_the_header = matches!(error, MailError::Invalid { field: "to_name" | "subject" });
                assert!(of_the_header, "{value:?}: {error}");
                refused += 1;
            }
        }
    }
    assert!(refused > 30 && refused < values.len() / 2, "{refused} of {}", values.len());
}
