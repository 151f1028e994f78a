//! What is counted and timed of registrations, as far as this process does it. Without a meter provider it is nothing.

use std::sync::LazyLock;

use events::{Conclusion, Event, Method, Outcome, Registration};
use opentelemetry::metrics::{Counter, Histogram};
use opentelemetry::{KeyValue, global};

use crate::trace;

/// Bounds of the attempts' buckets, in seconds: an API answers in a tenth, a form may need a minute.
const SECONDS: [f64; 12] = [0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];

static REGISTRATIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("regflow")
        .u64_counter("regflow.registrations")
        .with_unit("{registration}")
        .with_description("Registrations that came in, ended or were handed on, as this process stored it.")
        .build()
});
static ATTEMPTS: LazyLock<Histogram<f64>> = LazyLock::new(|| {
    global::meter("regflow")
        .f64_histogram("regflow.attempt.duration")
        .with_unit("s")
        .with_description("How long attempts took.")
        .with_boundaries(SECONDS.to_vec())
        .build()
});
static NOTIFICATIONS: LazyLock<Counter<u64>> = LazyLock::new(|| {
    global::meter("regflow")
        .u64_counter("regflow.notifications")
        .with_unit("{notification}")
        .with_description("Notifications that are stored in NOTIFY.")
        .build()
});

/// Facts of a registration were stored.
pub(crate) fn stored(registration: &Registration, events: &[Event]) {
    for event in events.iter().filter(|event| is_counted(event)) {
        let event = KeyValue::new("regflow.event", event.name());
        let maker = KeyValue::new("regflow.maker", registration.connector.clone());
        match registration.method().map(|method| KeyValue::new("regflow.method", method.as_str())) {
            Some(method) => REGISTRATIONS.add(1, &[event, maker, method]),
            None => REGISTRATIONS.add(1, &[event, maker]),
        }
    }
}

/// An attempt has ended.
pub(crate) fn attempted(connector: &str, method: Method, conclusion: &Conclusion) {
    let [maker, method, outcome] = [
        KeyValue::new("regflow.maker", connector.to_owned()),
        KeyValue::new("regflow.method", method.as_str()),
        KeyValue::new("regflow.outcome", trace::outcome(&conclusion.outcome)),
    ];
    let seconds = f64::from(conclusion.latency_ms) / 1_000.0;
    match &conclusion.outcome {
        Outcome::Registered { .. } => ATTEMPTS.record(seconds, &[maker, method, outcome]),
        Outcome::Failed(failure) => {
            let kind = KeyValue::new("error.type", failure.kind.as_str());
            ATTEMPTS.record(seconds, &[maker, method, outcome, kind]);
        }
    }
}

/// So many notifications are stored.
pub(crate) fn notified(notifications: usize) {
    NOTIFICATIONS.add(notifications as u64, &[]);
}

/// The facts that a person would call news; the steps between are seen in attempts.
const fn is_counted(event: &Event) -> bool {
    match event {
        Event::Submitted(_)
        | Event::RegistrationSucceeded(_)
        | Event::OutcomeUnknown(_)
        | Event::ManualRequired(_)
        | Event::PacketSent(_)
        | Event::PacketOpened(_)
        | Event::UserCompleted(_)
        | Event::CorrectionNeeded(_)
        | Event::Cancelled(_)
        | Event::DeadlineNear(_)
        | Event::Expired(_)
        | Event::RetryRequested(_)
        | Event::PersonForgotten(_) => true,
        Event::Dispatched(_)
        | Event::AttemptStarted(_)
        | Event::AttemptSucceeded(_)
        | Event::AttemptFailed(_)
        | Event::RetryScheduled(_)
        | Event::PacketFailed(_)
        | Event::Corrected(_)
        | Event::Held(_)
        | Event::MethodSkipped(_)
        | Event::MakerThrottled(_)
        | Event::AttemptRepeated(_)
        | Event::LookupScheduled(_)
        | Event::FoundUnregistered(_)
        | Event::LookupGivenUp(_)
        | Event::LeftInDoubt(_)
        | Event::OwnerMailed(_)
        | Event::OwnerMailFailed(_)
        | Event::PersonErased(_) => false,
    }
}
