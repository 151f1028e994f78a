//! The mailer against a real SMTP conversation on loopback.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod delivery;
mod faults;
mod hostile;
mod sink;

use std::time::Duration;

use regflow_mail::{Attachment, Letter, Mailer, SmtpConfig, Tls, message_id};

/// Settings for a server on loopback.
fn config(port: u16) -> SmtpConfig {
    SmtpConfig {
        host: "127.0.0.1".to_owned(),
        port,
        tls: Tls::None,
        username: None,
        password: None,
        from: "regflow <post@regflow.example>".to_owned(),
        timeout: Duration::from_secs(10),
        pool_size: 2,
    }
}

fn mailer(port: u16) -> Mailer {
    Mailer::new(&config(port)).unwrap()
}

fn letter() -> Letter {
    Letter {
        message_id: message_id("019ab2f0", "packet", "regflow.example"),
        written_at: "2026-11-23T08:30:00Z".parse().unwrap(),
        to_name: "Zoë Müller, Köln".to_owned(),
        to_address: "zoe@müller.example".to_owned(),
        subject: "Größe zählt: ein Schritt fehlt noch – bitte öffnen Sie diesen Brief bis Jänner (RF-7K4M)".to_owned(),
        text: "Grüße,\n.\n.leading dots\nand a long line: ".to_owned() + &"wörter ".repeat(200),
        html: "<p>Grüße</p>".to_owned(),
        attachments: vec![
            Attachment {
                filename: "Garantie Übersicht.pdf".to_owned(),
                content_type: "application/pdf".to_owned(),
                bytes: (0..=255).cycle().take(70_000).collect(),
            },
            Attachment {
                filename: "register-by.ics".to_owned(),
                content_type: "text/calendar; charset=utf-8; method=PUBLISH".to_owned(),
                bytes: b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n".to_vec(),
            },
        ],
    }
}
