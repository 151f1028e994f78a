//! A letter and its way into RFC 5322 bytes; everything that could break the builder or the headers is refused first.

use std::time::SystemTime;

use jiff::Timestamp;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment as LettreAttachment, Mailbox, MultiPart};
use lettre::{Address, Message};
use uuid::Uuid;

use crate::MailError;

/// Longest name, address, subject, id or file name, in characters.
pub const HEADER_CHARS_MAX: usize = 320;
/// Largest text or HTML body, in bytes.
pub const BODY_BYTES_MAX: usize = 512 * 1024;
/// Most attachments.
pub const ATTACHMENTS_MAX: usize = 10;
/// All attachments together, in bytes; most servers take 25 MB a mail and base64 adds a third.
pub const ATTACHMENT_BYTES_MAX: usize = 15 * 1024 * 1024;

/// One mail to one owner.
#[derive(Clone, Debug)]
pub struct Letter {
    /// From [`message_id`], so that a letter that is sent twice is known as one.
    pub message_id: String,
    /// Time of writing: the `Date` header.
    pub written_at: Timestamp,
    /// Recipient's name; may be empty.
    pub to_name: String,
    /// Recipient's address.
    pub to_address: String,
    /// Subject, without personal data.
    pub subject: String,
    /// The plain text.
    pub text: String,
    /// The same as HTML.
    pub html: String,
    /// Files, in order.
    pub attachments: Vec<Attachment>,
}

/// One attached file.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// Name, without folders.
    pub filename: String,
    /// Media type, for example `application/pdf`.
    pub content_type: String,
    /// Content.
    pub bytes: Vec<u8>,
}

/// The Message-ID of one purpose (`packet`) of one registration: the same each time, and telling nothing.
pub fn message_id(registration_id: &str, purpose: &str, domain: &str) -> String {
    let name = format!("{registration_id}/{purpose}");
    let id = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes());
    let domain = idna::domain_to_ascii_strict(domain).ok().filter(|domain| !domain.is_empty());
    // an id without a domain is malformed, and a mail server may refuse it
    let domain = domain.as_deref().unwrap_or("regflow.invalid");
    format!("<{}@{domain}>", id.simple())
}

impl Letter {
    /// The mail, ready to send.
    pub(crate) fn to_message(&self, from: &Mailbox) -> Result<Message, MailError> {
        self.check()?;
        let to = mailbox(&self.to_name, &self.to_address).ok_or(MailError::Invalid { field: "to_address" })?;
        let written_at = SystemTime::from(self.written_at);
        let builder = Message::builder()
            .from(from.clone())
            .to(to)
            .subject(self.subject.clone())
            .date(written_at)
            .message_id(Some(self.message_id.clone()));
        // keeps holiday notices from answering (RFC 3834)
        let automatic = HeaderName::new_from_ascii_str("Auto-Submitted");
        let builder = builder.raw_header(HeaderValue::new(automatic, "auto-generated".to_owned()));
        builder.multipart(self.body()?).map_err(|_| MailError::Invalid { field: "letter" })
    }

    fn body(&self) -> Result<MultiPart, MailError> {
        let words = MultiPart::alternative_plain_html(self.text.clone(), self.html.clone());
        if self.attachments.is_empty() {
            return Ok(words);
        }
        let mut body = MultiPart::mixed().multipart(words);
        for attachment in &self.attachments {
            let content_type = ContentType::parse(&attachment.content_type)
                .map_err(|_| MailError::Invalid { field: "attachments.content_type" })?;
            let part = LettreAttachment::new(attachment.filename.clone());
            body = body.singlepart(part.body(attachment.bytes.clone(), content_type));
        }
        Ok(body)
    }

    fn check(&self) -> Result<(), MailError> {
        check_header("message_id", &self.message_id)?;
        check_header("to_name", &self.to_name)?;
        check_header("to_address", &self.to_address)?;
        check_header("subject", &self.subject)?;
        check("text", self.text.len() <= BODY_BYTES_MAX)?;
        check("html", self.html.len() <= BODY_BYTES_MAX)?;
        // the Date header cannot say earlier years
        check("written_at", self.written_at >= Timestamp::UNIX_EPOCH)?;
        check("attachments", self.attachments.len() <= ATTACHMENTS_MAX)?;
        let bytes: usize = self.attachments.iter().map(|attachment| attachment.bytes.len()).sum();
        check("attachments", bytes <= ATTACHMENT_BYTES_MAX)?;
        self.attachments.iter().try_for_each(|attachment| {
            check_header("attachments.content_type", &attachment.content_type)?;
            check_header("attachments.filename", &attachment.filename)?;
            check("attachments.filename", !attachment.filename.contains(['/', '\\']))
        })
    }
}

/// Control characters panic the builder or start a header of their own.
fn check_header(field: &'static str, text: &str) -> Result<(), MailError> {
    check(field, !text.chars().any(char::is_control) && text.chars().count() <= HEADER_CHARS_MAX)
}

fn check(field: &'static str, holds: bool) -> Result<(), MailError> {
    if holds { Ok(()) } else { Err(MailError::Invalid { field }) }
}

/// Name and address, the domain as DNS knows it (`müller.example` is `xn--mller-kva.example`); letters beyond ASCII before the @ need
/// SMTPUTF8 all the way to the recipient, which few servers have, and are refused.
fn mailbox(name: &str, address: &str) -> Option<Mailbox> {
    let (user, domain) = address.trim().rsplit_once('@')?;
    let domain = idna::domain_to_ascii(domain).ok()?;
    let address = Address::new(user, domain).ok().filter(|_| user.is_ascii())?;
    let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
    Some(Mailbox::new(name, address))
}

/// The sender of the settings: `Name <address>` or an address.
pub(crate) fn sender(from: &str) -> Result<Mailbox, MailError> {
    check_header("from", from)?;
    let bare = from.trim().strip_suffix('>').and_then(|rest| rest.rsplit_once('<'));
    let (name, address) = bare.unwrap_or(("", from));
    mailbox(name.trim().trim_matches('"'), address).ok_or(MailError::Invalid { field: "from" })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    /// A field and what makes it unusable.
    type Spoiled = (&'static str, fn(&mut Letter));

    fn letter() -> Letter {
        Letter {
            message_id: message_id("019ab2f0", "packet", "regflow.example"),
            written_at: "2026-11-23T08:30:00Z".parse().unwrap(),
            to_name: "Zoë Müller".to_owned(),
            to_address: "zoe@müller.example".to_owned(),
            subject: "One step is left".to_owned(),
            text: "Hello".to_owned(),
            html: "<p>Hello</p>".to_owned(),
            attachments: Vec::new(),
        }
    }

    fn refused_field(letter: &Letter) -> MailError {
        letter.to_message(&sender("regflow <post@regflow.example>").unwrap()).unwrap_err()
    }

    #[test]
    fn a_message_id_is_the_same_each_time_and_differs_by_purpose() {
        let first = message_id("019ab2f0", "packet", "regflow.example");
        assert_eq!(first, message_id("019ab2f0", "packet", "regflow.example"));
        assert_ne!(first, message_id("019ab2f0", "other", "regflow.example"));
        assert!(first.ends_with("@regflow.example>") && !first.contains("019ab2f0"));
        assert!(message_id("a", "b", "evil>\r\nBcc: x").ends_with("@regflow.invalid>"));
    }

    #[test]
    fn a_domain_with_umlauts_becomes_punycode() {
        let message = letter().to_message(&sender("post@regflow.example").unwrap()).unwrap();
        let recipients: Vec<String> = message.envelope().to().iter().map(ToString::to_string).collect();
        assert_eq!(recipients, ["zoe@xn--mller-kva.example"]);
        assert!(message.formatted().is_ascii());
    }

    #[test]
    fn control_characters_are_refused_by_field() {
        let cases: [Spoiled; 5] = [
            ("to_name", |letter| letter.to_name.push('\u{7}')),
            ("to_address", |letter| letter.to_address.insert(1, '\n')),
            ("subject", |letter| letter.subject.push_str("\r\nBcc: a@b.example")),
            ("message_id", |letter| letter.message_id.push('\0')),
            ("attachments.filename", |letter| {
                letter.attachments.push(Attachment {
                    filename: "a\n.pdf".to_owned(),
                    content_type: "application/pdf".to_owned(),
                    bytes: Vec::new(),
                });
            }),
        ];
        for (field, spoil) in cases {
            let mut letter = letter();
            spoil(&mut letter);
            assert_eq!(refused_field(&letter), MailError::Invalid { field });
        }
    }

    #[test]
    fn addresses_that_no_server_takes_are_refused() {
        for address in ["", "zoe", "zoe@", "@a.example", "zoë@a.example", "a b@c.example", "zoe@a..example"] {
            let mut letter = letter();
            letter.to_address = address.to_owned();
            assert_eq!(refused_field(&letter), MailError::Invalid { field: "to_address" }, "{address}");
        }
    }

    #[test]
    fn attachments_past_the_bound_are_refused() {
        let mut letter = letter();
        let bytes = vec![0; ATTACHMENT_BYTES_MAX + 1];
        let content_type = "application/pdf".to_owned();
        letter.attachments.push(Attachment { filename: "a.pdf".to_owned(), content_type, bytes });
        assert_eq!(refused_field(&letter), MailError::Invalid { field: "attachments" });
    }
}
