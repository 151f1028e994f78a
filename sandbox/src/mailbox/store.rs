//! The mails that were received, newest last, within bounds of number and weight.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use mail_parser::{Message, MessageParser, MessagePart, MimeHeaders};
use serde::Serialize;

use super::smtp::Envelope;

/// The oldest mail goes when one more than this arrives.
pub const MAILS_MAX: usize = 1_000;
/// The oldest mails go also when all of them together are heavier than this.
pub const MAILS_BYTES_MAX: usize = 256 * 1024 * 1024;

/// One received mail: what a list shows of it, and the mail itself.
#[derive(Clone, Debug, Serialize)]
pub struct Mail {
    /// Counts from 1 and is never used again; the page of the mail is `/mail/{number}`.
    pub number: u64,
    /// When it arrived.
    pub at: Timestamp,
    /// The sender of the envelope.
    pub from: String,
    /// The recipients of the envelope.
    pub to: Vec<String>,
    /// The decoded subject.
    pub subject: String,
    /// The Message-ID, without its angle brackets.
    pub message_id: Option<String>,
    /// The attachments in their order; the first has the number 1 in links.
    pub attachments: Vec<Attachment>,
    /// The mail as it came over the wire, dots unstuffed.
    #[serde(skip)]
    pub raw: Bytes,
}

/// What a list shows of an attachment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The file name that the sender gave, else `attachment-1`.
    pub filename: String,
    /// The media type without its parameters.
    pub content_type: String,
    /// The decoded size in bytes.
    pub size: usize,
}

impl Mail {
    fn new(number: u64, envelope: Envelope, raw: Bytes) -> Self {
        let parsed = MessageParser::default().parse(&raw[..]);
        let subject = parsed.as_ref().and_then(Message::subject).unwrap_or_default().to_owned();
        let message_id = parsed.as_ref().and_then(Message::message_id).map(str::to_owned);
        let attachments = parsed.as_ref().map(list_attachments).unwrap_or_default();
        let from = envelope.from.unwrap_or_default();
        Mail { number, at: Timestamp::now(), from, to: envelope.to, subject, message_id, attachments, raw }
    }

    /// The parts of the mail; nothing when it is no mail at all.
    pub fn parse(&self) -> Option<Message<'_>> {
        MessageParser::default().parse(&self.raw[..])
    }

    /// The decoded bytes of an attachment; the first has the number 1.
    pub fn attachment(&self, number: usize) -> Option<(Attachment, Bytes)> {
        let index = number.checked_sub(1)?;
        let parsed = self.parse()?;
        let part = parsed.attachments().nth(index)?;
        Some((self.attachments.get(index)?.clone(), Bytes::copy_from_slice(part.contents())))
    }
}

fn list_attachments(message: &Message<'_>) -> Vec<Attachment> {
    message.attachments().enumerate().map(|(index, part)| describe(index + 1, part)).collect()
}

fn describe(number: usize, part: &MessagePart<'_>) -> Attachment {
    let content_type = part.content_type().map(|kind| match kind.subtype() {
        Some(subtype) => format!("{}/{subtype}", kind.ctype()),
        None => kind.ctype().to_owned(),
    });
    Attachment {
        filename: part.attachment_name().map_or_else(|| format!("attachment-{number}"), str::to_owned),
        content_type: content_type.unwrap_or_else(|| "application/octet-stream".to_owned()).to_ascii_lowercase(),
        size: part.contents().len(),
    }
}

/// The received mails.
#[derive(Debug, Default)]
pub struct Mailbox {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    mails: VecDeque<Arc<Mail>>,
    taken: u64,
    bytes: usize,
}

impl Mailbox {
    pub(crate) fn deliver(&self, envelope: Envelope, raw: Bytes) -> u64 {
        let number = {
            let mut inner = self.lock();
            inner.taken += 1;
            inner.taken
        };
        // Parsed outside the lock: a mail may be large.
        let mail = Arc::new(Mail::new(number, envelope, raw));
        let mut inner = self.lock();
        inner.bytes += mail.raw.len();
        inner.mails.push_back(mail);
        while inner.mails.len() > MAILS_MAX || inner.bytes > MAILS_BYTES_MAX {
            let Some(oldest) = inner.mails.pop_front() else { break };
            inner.bytes -= oldest.raw.len();
        }
        number
    }

    /// All mails that are kept, oldest first.
    pub fn mails(&self) -> Vec<Arc<Mail>> {
        self.lock().mails.iter().cloned().collect()
    }

    /// The mail of that number, if it is still kept.
    pub fn mail(&self, number: u64) -> Option<Arc<Mail>> {
        self.lock().mails.iter().find(|mail| mail.number == number).cloned()
    }

    /// Throws all mails away.
    pub fn clear(&self) {
        let mut inner = self.lock();
        inner.mails.clear();
        inner.bytes = 0;
    }

    // Numbers, mails and weight are changed without a step that can panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAIL: &str = "From: a@example.org\r\nTo: b@example.org\r\nMessage-ID: <1@example.org>\r\n\
        Subject: =?utf-8?B?R3LDvMOfZQ==?=\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n\
        --x\r\nContent-Type: text/plain\r\n\r\nHello\r\n--x\r\nContent-Type: application/pdf\r\n\
        Content-Disposition: attachment; filename=\"packet.pdf\"\r\nContent-Transfer-Encoding: base64\r\n\r\n\
        JVBERi0=\r\n--x--\r\n";

    #[test]
    fn a_mail_is_listed_with_its_attachments() {
        let mailbox = Mailbox::default();
        mailbox.deliver(Envelope::default(), Bytes::from_static(MAIL.as_bytes()));
        let mail = &mailbox.mails()[0];
        assert_eq!((mail.subject.as_str(), mail.message_id.as_deref()), ("Grüße", Some("1@example.org")));
        let expected =
            Attachment { filename: "packet.pdf".to_owned(), content_type: "application/pdf".to_owned(), size: 5 };
        assert_eq!(mail.attachment(1), Some((expected, Bytes::from_static(b"%PDF-"))));
        assert_eq!(mail.attachment(0), None);
    }

    #[test]
    fn the_oldest_mail_makes_room() {
        let mailbox = Mailbox::default();
        for _ in 0..=MAILS_MAX {
            mailbox.deliver(Envelope::default(), Bytes::from_static(b"Subject: x\r\n\r\n"));
        }
        assert_eq!(mailbox.mails().len(), MAILS_MAX);
        assert!(mailbox.mail(1).is_none() && mailbox.mail(2).is_some());
    }
}
