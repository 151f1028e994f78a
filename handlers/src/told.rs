//! What outside subscribers are told: which facts, in which words, as which CloudEvents. `nats/schemas/` describes the same
//! for them.

use bus::Notification;
use bytes::Bytes;
use events::record::TraceContext;
use events::{
    Event, FieldProblem, MakerEvent, ManualReason, Method, Sequence, Stored, StoredMaker, Timestamp, subject,
};
use jiff::civil::Date;
use serde::Serialize;
use serde_json::{Value, json};
use tracing::Span;

use crate::trace;

/// Room for most notifications without data of unusual length.
const BODY_BYTES: usize = 640;

/// The facts about registrations that are told, by name.
pub const FACTS: [&str; 9] = [
    "registration_succeeded",
    "outcome_unknown",
    "manual_required",
    "packet_sent",
    "user_completed",
    "correction_needed",
    "cancelled",
    "deadline_near",
    "expired",
];

/// What becomes known of a registration of `tenant` by one record, often nothing; each with its span.
#[must_use]
pub fn of_registration(stored: &Stored, tenant: &str) -> Vec<(Notification, Span)> {
    let told = stored.record.events.iter().enumerate().filter_map(|(place, event)| {
        let data = data(event)?;
        let (span, trace) = trace::notify(stored.record.trace, stored.registration, event.name());
        let traceparent = trace.map(TraceContext::to_traceparent);
        let head = Head {
            about: "registration",
            name: event.name(),
            id: format!("{}-{place}", stored.record.id),
            subject: &stored.registration.to_string(),
            at: stored.record.at,
            traceparent: traceparent.as_deref(),
            sequence: stored.sequence,
        };
        let body = cloud_event(&head, data)?;
        let subject = subject::notification(tenant, stored.registration, event.name());
        Some((Notification { subject, position: stored.sequence, traceparent, body }, span))
    });
    told.collect()
}

/// Whether outsiders learn anything of a record.
#[must_use]
pub(crate) fn is_told(stored: &Stored) -> bool {
    stored.record.events.iter().any(|event| data(event).is_some())
}

/// What operators' programs are told of a maker by one record.
#[must_use]
pub fn of_maker(stored: &StoredMaker) -> Vec<Notification> {
    let told = stored.record.events.iter().enumerate().filter_map(|(place, event)| {
        let head = Head {
            about: "maker",
            name: event.name(),
            id: format!("{}-{place}", stored.record.id),
            subject: &stored.connector,
            at: stored.record.at,
            traceparent: None,
            sequence: stored.sequence,
        };
        Some(Notification {
            subject: subject::maker_notification(&stored.connector, event.name()),
            position: stored.sequence,
            traceparent: None,
            body: cloud_event(&head, maker_data(event)?)?,
        })
    });
    told.collect()
}

/// What a notification says of itself.
struct Head<'a> {
    /// What it is about.
    about: &'static str,
    /// The fact's name.
    name: &'static str,
    id: String,
    subject: &'a str,
    at: Timestamp,
    traceparent: Option<&'a str>,
    sequence: Sequence,
}

/// A CloudEvent (1.0, JSON format) with what is common to all of ours.
#[derive(Serialize)]
struct CloudEvent<'a, Data> {
    specversion: &'static str,
    id: &'a str,
    source: &'static str,
    #[serde(rename = "type")]
    kind: String,
    subject: &'a str,
    time: String,
    datacontenttype: &'static str,
    dataschema: String,
    sequence: String,
    /// The extension "Distributed Tracing" of CloudEvents.
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    data: Data,
}

/// Always something: all that it is made of can be JSON.
fn cloud_event(head: &Head<'_>, data: impl Serialize) -> Option<Bytes> {
    let Head { about, name, .. } = head;
    let event = CloudEvent {
        specversion: "1.0",
        id: &head.id,
        source: "/regflow",
        kind: format!("io.regflow.{about}.{name}.v1"),
        subject: head.subject,
        time: head.at.to_string(),
        datacontenttype: "application/json",
        dataschema: format!("urn:regflow:schema:{about}.{name}.v1"),
        sequence: head.sequence.to_string(),
        traceparent: head.traceparent,
        data,
    };
    let mut body = Vec::with_capacity(BODY_BYTES);
    serde_json::to_writer(&mut body, &event).ok()?;
    Some(body.into())
}

/// What is told of one event of a registration.
#[derive(Serialize)]
#[serde(untagged)]
enum Data<'a> {
    Succeeded { method: Method, confirmation: Option<&'a str> },
    InDoubt { attempt: u32, detail: &'a str },
    Manual { reason: &'a ManualReason },
    Packet { message_id: &'a str },
    Completed { confirmation: Option<&'a str> },
    Correction { fields: &'a [FieldProblem] },
    Cancelled { reason: Option<&'a str> },
    Deadline { last_day: Date },
}

/// Without personal data; nothing of the steps between, which are for the log alone.
fn data(event: &Event) -> Option<Data<'_>> {
    Some(match event {
        Event::RegistrationSucceeded(e) => {
            Data::Succeeded { method: e.method, confirmation: e.confirmation.as_deref() }
        }
        Event::OutcomeUnknown(e) => Data::InDoubt { attempt: e.attempt, detail: &e.detail },
        Event::ManualRequired(e) => Data::Manual { reason: &e.reason },
        Event::PacketSent(e) => Data::Packet { message_id: &e.message_id },
        Event::UserCompleted(e) => Data::Completed { confirmation: e.confirmation.as_deref() },
        Event::CorrectionNeeded(e) => Data::Correction { fields: &e.fields },
        Event::Cancelled(e) => Data::Cancelled { reason: e.reason.as_deref() },
        Event::DeadlineNear(e) => Data::Deadline { last_day: e.last_day },
        Event::Expired(e) => Data::Deadline { last_day: e.last_day },
        Event::Submitted(_)
        | Event::Dispatched(_)
        | Event::AttemptStarted(_)
        | Event::AttemptSucceeded(_)
        | Event::AttemptFailed(_)
        | Event::RetryScheduled(_)
        | Event::PacketFailed(_)
        | Event::OwnerMailed(_)
        | Event::OwnerMailFailed(_)
        | Event::Corrected(_)
        | Event::RetryRequested(_)
        | Event::Held(_)
        | Event::MethodSkipped(_)
        | Event::MakerThrottled(_)
        | Event::AttemptRepeated(_)
        | Event::LookupScheduled(_)
        | Event::FoundUnregistered(_)
        | Event::LookupGivenUp(_)
        | Event::LeftInDoubt(_)
        | Event::PacketOpened(_)
        | Event::PersonForgotten(_)
        | Event::PersonErased(_) => return None,
    })
}

/// Rounds of checks and our own book-keeping are for the log alone. Times are texts here, as in the rest of the message.
fn maker_data(event: &MakerEvent) -> Option<Value> {
    Some(match event {
        MakerEvent::CircuitOpened(e) => {
            json!({ "method": e.method, "until": e.until.to_string(), "failures": e.failures })
        }
        MakerEvent::IncidentClosed(e) => json!({ "opened_at": e.opened_at.to_string() }),
        MakerEvent::CircuitHalfOpened(_)
        | MakerEvent::CircuitClosed(_)
        | MakerEvent::CircuitForced(_)
        | MakerEvent::CircuitReleased(_)
        | MakerEvent::Paused(_)
        | MakerEvent::Resumed(_)
        | MakerEvent::AlertRaised(_)
        | MakerEvent::AlertCleared(_)
        | MakerEvent::IncidentOpened(_) => json!(event),
        MakerEvent::HealthChecked(_) | MakerEvent::OperatorsMailed(_) => return None,
    })
}
