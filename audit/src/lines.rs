//! Records as JSON Lines: one CloudEvent 1.0 (structured JSON) for each event, so a record of two events has two lines that
//! stand together and name the same place of the log.

use bus::FollowItem;
use events::record::{Record, RecordHash, TraceContext};
use events::{Event, MakerEvent, Sequence, Timestamp};
use serde::Serialize;

use crate::plain;

/// Where these events come from. Not that of notifications: the ids are the same, and what is told differs.
pub const SOURCE: &str = "/regflow/log";
/// What all types begin with.
pub const TYPE_PREFIX: &str = "io.regflow.log.";
/// What stands for a message that is no record.
pub const UNREADABLE: &str = "io.regflow.log.unreadable.v1";
/// The media type of one line.
pub const CLOUD_EVENT: &str = "application/cloudevents+json";
/// Bytes of one line as they usually are.
pub const LINE_BYTES_USUAL: usize = 768;

/// Writes the lines of `item` behind what stands in `out`, each with its line end; gives how many.
pub fn write(item: &FollowItem, out: &mut Vec<u8>) -> usize {
    match item {
        FollowItem::Record(stored) => {
            let id = stored.registration.to_string();
            let place = Place { sequence: stored.sequence, hash: stored.hash };
            write_record(&stored.record, place, ("registration", &id), out)
        }
        FollowItem::Maker(stored) => {
            let place = Place { sequence: stored.sequence, hash: stored.hash };
            write_record(&stored.record, place, ("maker", &stored.connector), out)
        }
        FollowItem::Unreadable { sequence, reason } => {
            out.extend_from_slice(br#"{"specversion":"1.0","id":"unreadable-"#);
            push_number(out, *sequence);
            push(out, &format!(r#"","source":"{SOURCE}","type":"{UNREADABLE}","sequence":""#));
            push_number(out, *sequence);
            push(out, r#"","data":{"reason":"#);
            push_json(out, reason);
            push(out, "}}\n");
            1
        }
    }
}

struct Place {
    sequence: Sequence,
    hash: RecordHash,
}

/// What the two kinds of facts have in common here.
trait Named: Serialize {
    fn name(&self) -> &'static str;
    fn version(&self) -> u16;
}

impl Named for Event {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn version(&self) -> u16 {
        self.schema_version()
    }
}

impl Named for MakerEvent {
    fn name(&self) -> &'static str {
        self.name()
    }

    fn version(&self) -> u16 {
        self.schema_version()
    }
}

fn write_record<F: Named>(record: &Record<F>, at: Place, (about, subject): (&str, &str), out: &mut Vec<u8>) -> usize {
    let (mut id, mut common) = ([0; uuid_len()], Vec::with_capacity(LINE_BYTES_USUAL));
    let id = &*record.id.0.hyphenated().encode_lower(&mut id);
    write_common(record, &at, subject, &mut common);
    for (place, event) in record.events.iter().enumerate() {
        let begin = out.len();
        push(out, r#"{"specversion":"1.0","id":""#);
        push(out, id);
        push(out, "-");
        push_number(out, place as u64);
        push(out, r#"","source":"/regflow/log","type":"io.regflow.log."#);
        push(out, about);
        push(out, ".");
        push(out, event.name());
        push(out, ".v");
        push_number(out, event.version().into());
        push(out, r#"","recordplace":"#);
        push_number(out, place as u64);
        out.extend_from_slice(&common);
        if plain::write(event, out).is_err() {
            // cannot happen with our events; half a line would be worse than an empty one
            out.truncate(begin);
            continue;
        }
        push(out, "}\n");
    }
    record.events.len()
}

const fn uuid_len() -> usize {
    36
}

/// What is the same for all events of a record, from its subject to the key of the data.
fn write_common<F>(record: &Record<F>, at: &Place, subject: &str, out: &mut Vec<u8>) {
    push(out, r#","recordevents":"#);
    push_number(out, record.events.len() as u64);
    push(out, r#","subject":"#);
    push_json(out, subject);
    push(out, r#","time":""#);
    push_time(out, record.at);
    push(out, r#"","sequence":""#);
    push_number(out, at.sequence);
    push(out, r#"","recordhash":""#);
    push_hex(out, &at.hash.0);
    if let Some(link) = record.previous {
        push(out, r#"","previoussequence":""#);
        push_number(out, link.sequence);
        push(out, r#"","previoushash":""#);
        push_hex(out, &link.hash.0);
    }
    push(out, r#"","actor":"#);
    push_json(out, &record.actor.to_string());
    if let Some(cause) = record.cause {
        push(out, r#","cause":""#);
        push(out, &*cause.0.hyphenated().encode_lower(&mut [0; uuid_len()]));
        push(out, r#"""#);
    }
    if let Some(trace) = record.trace {
        push(out, r#","traceparent":""#);
        push(out, &TraceContext::to_traceparent(trace));
        push(out, r#"""#);
    }
    push(out, r#","datacontenttype":"application/json","data":"#);
}

fn push(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(text.as_bytes());
}

/// A text from outside: quoted and escaped.
fn push_json(out: &mut Vec<u8>, text: &str) {
    // only writing can fail, and a Vec takes everything
    let _ = serde_json::to_writer(out, text);
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    let _ = serde_json::to_writer(out, &number);
}

fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    bytes.iter().for_each(|byte| out.extend_from_slice(&plain::hex_of(*byte)));
}

/// RFC 3339 in UTC with microseconds, as exact as it is stored.
fn push_time(out: &mut Vec<u8>, at: Timestamp) {
    push(out, &format!("{:.6}", at.to_jiff()));
}
