//! What outside subscribers are told: which facts, in which words, as which CloudEvents. `nats/schemas/` describes the same
//! for them.

use bus::Notification;
use events::record::TraceContext;
use events::{Event, MakerEvent, Sequence, Stored, StoredMaker, subject};
use serde_json::{Value, json};
use tracing::Span;

use crate::trace;

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
        let kind = Kind { about: "registration", name: event.name() };
        let (span, trace) = trace::notify(stored.record.trace, stored.registration, event.name());
        let traceparent = trace.map(TraceContext::to_traceparent);
        let mut head = json!({
            "id": format!("{}-{place}", stored.record.id),
            "subject": stored.registration.to_string(),
            "time": stored.record.at.to_string(),
        });
        if let Some(trace) = &traceparent {
            // the extension "Distributed Tracing" of CloudEvents
            head["traceparent"] = json!(trace);
        }
        let told = Notification {
            subject: subject::notification(tenant, stored.registration, event.name()),
            position: stored.sequence,
            traceparent,
            body: cloud_event(head, kind, stored.sequence, data),
        };
        Some((told, span))
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
        let kind = Kind { about: "maker", name: event.name() };
        let head = json!({
            "id": format!("{}-{place}", stored.record.id),
            "subject": stored.connector,
            "time": stored.record.at.to_string(),
        });
        Some(Notification {
            subject: subject::maker_notification(&stored.connector, event.name()),
            position: stored.sequence,
            traceparent: None,
            body: cloud_event(head, kind, stored.sequence, maker_data(event)?),
        })
    });
    told.collect()
}

/// The kind of a notification: what it is about, and the fact's name.
#[derive(Clone, Copy)]
struct Kind {
    about: &'static str,
    name: &'static str,
}

/// A CloudEvent (1.0, JSON format) with what is common to all of ours.
fn cloud_event(mut head: Value, kind: Kind, sequence: Sequence, data: Value) -> bytes::Bytes {
    let Kind { about, name } = kind;
    head["specversion"] = json!("1.0");
    head["source"] = json!("/regflow");
    head["type"] = json!(format!("io.regflow.{about}.{name}.v1"));
    head["datacontenttype"] = json!("application/json");
    head["dataschema"] = json!(format!("urn:regflow:schema:{about}.{name}.v1"));
    head["sequence"] = json!(sequence.to_string());
    head["data"] = data;
    head.to_string().into()
}

/// Without personal data; nothing of the steps between, which are for the log alone.
fn data(event: &Event) -> Option<Value> {
    Some(match event {
        Event::RegistrationSucceeded(e) => json!({ "method": e.method, "confirmation": e.confirmation }),
        Event::OutcomeUnknown(e) => json!({ "attempt": e.attempt, "detail": e.detail }),
        Event::ManualRequired(e) => json!({ "reason": e.reason }),
        Event::PacketSent(e) => json!({ "message_id": e.message_id }),
        Event::UserCompleted(e) => json!({ "confirmation": e.confirmation }),
        Event::CorrectionNeeded(e) => json!({ "fields": e.fields }),
        Event::Cancelled(e) => json!({ "reason": e.reason }),
        Event::DeadlineNear(e) => json!({ "last_day": e.last_day }),
        Event::Expired(e) => json!({ "last_day": e.last_day }),
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
