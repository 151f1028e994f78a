//! The text of a proof, version 1: read by people, and by `verify`, which writes it again from the records in it and compares.
//! What stands here is frozen: a proof that was handed out must verify for ever. Another wording is a version 2.

use std::collections::VecDeque;
use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use events::record::hash_of;
use events::{Method, ObjectRef, Record, RegistrationId, Sequence, Timestamp};

use super::account::{Account, Arrived, Delivery, Given, What};
use super::gather::Show;
use super::verify::NOTE_BYTES_MAX;

/// The longest text: what a signed note may hold beside its signature.
pub const TEXT_BYTES_MAX: usize = NOTE_BYTES_MAX - SIGNATURE_BYTES_MAX;
/// Room for the signature: a line of the key's name and 68 bytes in base64.
const SIGNATURE_BYTES_MAX: usize = 4_096;
/// The first two lines.
const TITLE: &str = "regflow proof of registration\nversion 1\n";
/// The headings, in their order.
const SENT: &str = "What was sent to the maker";
const MAILED: &str = "What was mailed to the owner";
const KEPT: &str = "What is kept, sealed";
const CHAIN: &str = "The records, oldest first: each names the hash (BLAKE3) of the one before it";
/// What stands before a value.
const VALUE: &str = "   - ";
/// What stands before a file's hash from before it was sealed.
const OPENED: &str = "   sha-256 before it was sealed: ";
/// What stands before where a mail went.
const MAIL_TO: &str = "   to: ";
/// The heading of the salts, and what stands before each.
const SALTS: &str = "Salts: blake3(salt, name, a zero byte, value) is the hash of a value in the proof without values";
const SALT: &str = "   salt ";
const NOTHING: &str = "nothing\n";

/// What the records do not say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The key that signs it, as its verifiers write it.
    pub signer: String,
    /// The moment that it tells of; `written` in the text, in microseconds since 1970.
    pub written_at: Timestamp,
    pub show: Show,
}

/// The text.
pub fn write(head: &Head, account: &Account, records: &[(Sequence, Bytes)]) -> String {
    let mut text = format!("{TITLE}\n");
    write_head(&mut text, head, account);
    section(&mut text, SENT, &account.deliveries, write_delivery);
    section(&mut text, MAILED, &account.mails, |text, mail| {
        line(text, &format!("{}, at {}, Message-ID {}", mail.what, mail.at, mail.message_id));
        line(text, &format!("{MAIL_TO}{}", mail.to));
    });
    section(&mut text, KEPT, &account.kept, |text, kept| {
        line(text, &format!("{}: {}", kept.what, kept.object.name));
        let ObjectRef { size_bytes, sha256, .. } = &kept.object;
        line(text, &format!("   sha-256 as it is stored, {size_bytes} bytes: {}", hex::encode(sha256)));
        line(text, &format!("{OPENED}{}", kept.opened));
    });
    if !account.salts.is_empty() {
        let _ = writeln!(text, "\n{SALTS}");
    }
    for (corrections, field, salt) in &account.salts {
        line(&mut text, &format!("{SALT}{corrections} {field}: {salt}"));
    }
    let _ = writeln!(text, "\n{CHAIN}");
    for (sequence, bytes) in records {
        write_record(&mut text, *sequence, bytes);
    }
    text
}

fn write_head(text: &mut String, head: &Head, account: &Account) {
    let registration = &account.registration;
    let mut fact = |name: &str, value: &str| line(text, &format!("{name}: {value}"));
    fact("registration", &account.id.to_string());
    fact("reference", &account.id.reference());
    fact("product", &account.product());
    fact("maker", &account.maker);
    fact("status", registration.stage.status().as_str());
    fact("confirmation", account.confirmation.as_deref().unwrap_or("none"));
    fact("handed over", &format!("{} by {}", registration.submitted_at, account.asked_by));
    fact("last change", &registration.updated_at.to_string());
    fact(
        "values",
        match head.show {
            Show::Values => "as they were sent",
            Show::Hashes => "as salted hashes",
        },
    );
    fact("written", &head.written_at.0.to_string());
    fact("signed by", &head.signer);
}

fn section<T>(text: &mut String, heading: &str, entries: &[T], write: impl Fn(&mut String, &T)) {
    let _ = writeln!(text, "\n{heading}");
    if entries.is_empty() {
        text.push_str(NOTHING);
    }
    for (place, entry) in entries.iter().enumerate() {
        let _ = write!(text, "{}. ", place + 1);
        write(text, entry);
    }
}

fn write_delivery(text: &mut String, delivery: &Delivery) {
    let what = match delivery.what {
        What::Attempt => "attempt",
        What::Repeat => "the same again, attempt",
        What::Question => "a question about attempt",
    };
    let way = match delivery.method {
        Method::Api => "API",
        Method::AutomationReliable => "web form",
        Method::AssistedManual => "packet",
    };
    let to = delivery.sent.as_ref().map_or("a host that was not recorded", |sent| &sent.to);
    let (number, at, record) = (delivery.attempt, delivery.at, delivery.sequence);
    line(text, &format!("{what} {number}, at {at}, to {to} by {way} (record {record})"));
    match &delivery.sent {
        None => line(text, "   which values was not recorded"),
        Some(sent) => sent.values.iter().for_each(|(name, value)| line(text, &format!("{VALUE}{name}: {value}"))),
    }
    let arrived = match delivery.arrived {
        Arrived::Yes => "yes",
        Arrived::No => "no",
        Arrived::Perhaps => "not known",
    };
    line(text, &format!("   arrived: {arrived}"));
    line(text, &format!("   came back: {}", delivery.came_back));
    if let Some(received) = &delivery.received {
        line(text, &format!("   answer: HTTP {}, blake3 {}", received.status, hex::encode(received.body)));
    }
}

fn write_record(text: &mut String, sequence: Sequence, bytes: &[u8]) {
    let previous = Record::<events::Event>::decode(bytes).ok().and_then(|record| record.previous);
    let after = previous.map_or_else(
        || "the first".to_owned(),
        |link| format!("after record {} with hash {}", link.sequence, hex::encode(link.hash.0)),
    );
    line(text, &format!("record {sequence}, {after}"));
    line(text, &format!("hash: {}", hex::encode(hash_of(bytes).0)));
    line(text, &format!("bytes: {}", STANDARD.encode(bytes)));
}

/// One line, whatever is in it: what would end it or draw it differently is written as its code.
fn line(text: &mut String, content: &str) {
    for c in content.chars() {
        let hidden =
            matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || hidden {
            let _ = write!(text, "\\u{{{:04x}}}", u32::from(c));
        } else {
            text.push(c);
        }
    }
    text.push('\n');
}

/// What a text says that the records do not, and the records.
#[derive(Debug)]
pub struct Read {
    pub id: RegistrationId,
    pub maker: String,
    pub head: Head,
    /// With the line that holds its bytes.
    pub records: Vec<(Sequence, Bytes, usize)>,
    /// In the order of the text, to be handed out one after the other.
    pub shown: Shown,
}

/// The values and hashes that stand in a text.
#[derive(Debug, Default)]
pub struct Shown {
    values: VecDeque<(String, String)>,
    mailed_to: VecDeque<String>,
    opened: VecDeque<String>,
    salts: VecDeque<String>,
}

/// A text that is none of a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Counted from 1.
    pub line: usize,
    pub what: &'static str,
}

/// Reads a text as far as it cannot be told from the records in it.
pub fn read(text: &str) -> Result<Read, Unreadable> {
    let wrong = |line: usize, what: &'static str| Unreadable { line, what };
    if !text.starts_with(TITLE) {
        return Err(wrong(1, "it does not begin as a proof of version 1 does"));
    }
    let fact = |name: &'static str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        found.ok_or(wrong(4, "a line of the head is missing"))
    };
    let written = fact("written")?.parse().map_err(|_| wrong(4, "the time of writing is no number"))?;
    let show = match fact("values")? {
        "as they were sent" => Show::Values,
        _ => Show::Hashes,
    };
    let mut read = Read {
        id: fact("registration")?.parse().map_err(|_| wrong(4, "the registration is no id"))?,
        maker: fact("maker")?.to_owned(),
        head: Head { signer: fact("signed by")?.to_owned(), written_at: Timestamp(written), show },
        records: Vec::new(),
        shown: Shown::default(),
    };
    let mut sequence = None;
    for (index, content) in text.lines().enumerate() {
        let number = index + 1;
        if let Some((place, _)) = content.strip_prefix("record ").and_then(|rest| rest.split_once(',')) {
            sequence = Some(place.parse().map_err(|_| wrong(number, "the record's number cannot be read"))?);
        } else if let Some(bytes) = content.strip_prefix("bytes: ") {
            let sequence = sequence.take().ok_or(wrong(number, "these bytes belong to no record"))?;
            let bytes = STANDARD.decode(bytes).map_err(|_| wrong(number, "the record's bytes are no base64"))?;
            read.records.push((sequence, bytes.into(), number));
        } else {
            read.shown.take(content);
        }
    }
    Ok(read)
}

impl Shown {
    /// Keeps a line that holds what the records do not.
    fn take(&mut self, content: &str) {
        let named = |prefix: &str| content.strip_prefix(prefix).and_then(|rest| rest.split_once(": "));
        if let Some((name, value)) = named(VALUE) {
            self.values.push_back((name.to_owned(), value.to_owned()));
        } else if let Some(to) = content.strip_prefix(MAIL_TO) {
            self.mailed_to.push_back(to.to_owned());
        } else if let Some((_, salt)) = named(SALT) {
            self.salts.push_back(salt.to_owned());
        } else if let Some(opened) = content.strip_prefix(OPENED) {
            self.opened.push_back(opened.to_owned());
        }
    }
}

impl Given for Shown {
    fn value(&mut self, _corrections: usize, field: &str) -> String {
        let next = self.values.pop_front().filter(|(name, _)| name == field);
        next.map(|(_, value)| value).unwrap_or_default()
    }

    fn salt(&mut self, _corrections: usize, _field: &str) -> Option<String> {
        self.salts.pop_front()
    }

    fn address(&mut self, _corrections: usize) -> String {
        self.mailed_to.pop_front().unwrap_or_default()
    }

    fn opened(&mut self, _corrections: usize, _object: &ObjectRef) -> String {
        self.opened.pop_front().unwrap_or_default()
    }
}
