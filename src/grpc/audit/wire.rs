//! Records and events on the wire.

use bus::FollowItem;
use events::record::{Record, RecordHash};
use events::{Event, MakerEvent, Sequence};
use proto::{Timestamp, v1};
use serde::Serialize;
use serde_json::Value;

/// What stands at one place of the log.
pub fn item(item: &FollowItem) -> v1::RecordView {
    match item {
        FollowItem::Record(stored) => v1::RecordView {
            registration_id: stored.registration.to_string(),
            events: stored.record.events.iter().map(event).collect(),
            ..head(&stored.record, stored.sequence, stored.hash)
        },
        FollowItem::Maker(stored) => v1::RecordView {
            maker: stored.connector.clone(),
            events: stored.record.events.iter().map(maker_event).collect(),
            ..head(&stored.record, stored.sequence, stored.hash)
        },
        FollowItem::Unreadable { sequence, reason } => {
            v1::RecordView { sequence: *sequence, problem: reason.clone(), ..Default::default() }
        }
    }
}

fn head<F>(record: &Record<F>, sequence: Sequence, hash: RecordHash) -> v1::RecordView {
    v1::RecordView {
        sequence,
        record_id: record.id.to_string(),
        at: Some(timestamp(record.at)),
        actor: record.actor.to_string(),
        cause: record.cause.map(|cause| cause.to_string()).unwrap_or_default(),
        trace: record.trace.map(|trace| hex::encode(trace.trace_id)).unwrap_or_default(),
        previous_sequence: record.previous.map(|link| link.sequence).unwrap_or_default(),
        previous_hash: record.previous.map(|link| hex::encode(link.hash.0)).unwrap_or_default(),
        hash: hex::encode(hash.0),
        ..Default::default()
    }
}

/// An event on the wire: its fields as they are stored, bytes as hex digits, what is sealed as its length only.
pub fn event(event: &Event) -> v1::EventView {
    view(event.name(), event.tag(), event.schema_version(), event)
}

fn maker_event(event: &MakerEvent) -> v1::EventView {
    view(event.name(), event.tag(), event.schema_version(), event)
}

fn view(name: &str, tag: u16, version: u16, fields: &impl Serialize) -> v1::EventView {
    let mut fields = serde_json::to_value(fields).unwrap_or_default();
    tidy(&mut fields);
    v1::EventView {
        name: name.to_owned(),
        tag: tag.into(),
        version: version.into(),
        fields: serde_json::from_value(fields).ok(),
    }
}

fn tidy(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.retain(|_, value| !value.is_null());
    for (name, value) in fields {
        match (name.as_str(), &*value) {
            ("sealed", Value::Array(bytes)) => *value = format!("{} bytes, sealed", bytes.len()).into(),
            ("owner_ref" | "sha256", Value::Array(bytes)) => *value = hex_of(bytes).into(),
            _ => tidy(value),
        }
    }
}

fn hex_of(bytes: &[Value]) -> String {
    let bytes: Vec<u8> = bytes.iter().filter_map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect();
    hex::encode(bytes)
}

/// A point in time on the wire.
pub fn timestamp(at: events::Timestamp) -> Timestamp {
    let nanos = at.0.rem_euclid(1_000_000) * 1_000;
    Timestamp { seconds: at.0.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}
