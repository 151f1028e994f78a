//! Spans: one trace follows a registration. Where nobody listens to [`TARGET`], each of them is nothing.
//!
//! A span carries ids, the connector, the method, the attempt and the kind of an error; never personal data.

use events::record::TraceContext;
pub use events::trace::TARGET;
use events::{Conclusion, Outcome, Registration, RegistrationId, Step};
use opentelemetry::Context;
use opentelemetry::trace::{FutureExt, SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The trace that this code runs in: of the span that is open, else the client's own.
#[must_use]
pub fn current() -> Option<TraceContext> {
    Context::map_current(|context| own(context.span().span_context()))
}

/// A trace that began elsewhere, as the parent of what begins here.
#[must_use]
pub fn remote(trace: TraceContext) -> Context {
    let (trace_id, span_id) = (TraceId::from_bytes(trace.trace_id), SpanId::from_bytes(trace.span_id));
    let flags = TraceFlags::new(trace.flags);
    Context::new().with_remote_span_context(SpanContext::new(trace_id, span_id, flags, true, TraceState::NONE))
}

/// Runs `work` as a part of `trace`, inside its span.
pub(crate) async fn within<T>(trace: Option<TraceContext>, span: Span, work: impl Future<Output = T>) -> T {
    match trace {
        // also where nobody listens to spans: log lines name the client's trace then
        Some(trace) => work.instrument(span).with_context(remote(trace)).await,
        None => work.instrument(span).await,
    }
}

/// The span of an append, and the trace that its record carries: a registration stays in the trace that it came with, and
/// what another trace wants of it is linked to that.
pub(crate) fn append(id: RegistrationId, kept: Option<TraceContext>) -> (Span, Option<TraceContext>) {
    let span = info_span!(
        target: TARGET,
        "publish EVENTS",
        otel.kind = "producer",
        messaging.system = "nats",
        messaging.destination.name = "EVENTS",
        messaging.operation.name = "publish",
        messaging.operation.r#type = "send",
        regflow.registration.id = %id,
        otel.status_code = Empty,
    );
    if span.is_disabled() {
        return (span, kept);
    }
    let trace = match (context_of(&span), kept) {
        (Some(own), Some(kept)) if own.trace_id != kept.trace_id => {
            span.add_link(remote(kept).span().span_context().clone());
            Some(kept)
        }
        (own, kept) => own.or(kept),
    };
    (span, trace)
}

/// The span of a notification, and the trace that its reader is told.
pub(crate) fn notify(of: Option<TraceContext>, id: RegistrationId, what: &str) -> (Span, Option<TraceContext>) {
    let _parent = of.map(|trace| remote(trace).attach());
    let span = info_span!(
        target: TARGET,
        "publish NOTIFY",
        otel.kind = "producer",
        messaging.system = "nats",
        messaging.destination.name = "NOTIFY",
        messaging.operation.name = "publish",
        messaging.operation.r#type = "send",
        regflow.registration.id = %id,
        regflow.event = what,
        otel.status_code = Empty,
    );
    let own = if span.is_disabled() { None } else { context_of(&span) };
    (span, own.or(of))
}

/// The span of one step of a registration.
pub(crate) fn step(registration: &Registration, step: Step) -> Span {
    let _parent = registration.trace.map(|trace| remote(trace).attach());
    info_span!(
        target: TARGET,
        "process EVENTS",
        otel.name = name(step),
        otel.kind = "consumer",
        messaging.system = "nats",
        messaging.destination.name = "EVENTS",
        messaging.operation.r#type = "process",
        regflow.registration.id = %registration.id,
        regflow.maker = registration.connector,
        regflow.method = Empty,
        regflow.attempt = Empty,
        regflow.outcome = Empty,
        error.r#type = Empty,
    )
}

/// What came of the attempt that the present span is about.
pub(crate) fn attempted(method: events::Method, conclusion: &Conclusion) {
    let span = Span::current();
    span.record("regflow.method", method.as_str());
    span.record("regflow.attempt", conclusion.attempt);
    span.record("regflow.outcome", outcome(&conclusion.outcome));
    if let Outcome::Failed(failure) = &conclusion.outcome {
        span.record("error.type", failure.kind.as_str());
    }
}

/// An outcome in one word.
pub(crate) const fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Registered { already: false, .. } => "registered",
        Outcome::Registered { already: true, .. } => "already_registered",
        Outcome::Failed(_) => "failed",
    }
}

const fn name(step: Step) -> &'static str {
    match step {
        Step::Attempt(_) => "attempt EVENTS",
        Step::Skip(..) => "skip EVENTS",
        Step::LookUp => "look_up EVENTS",
        Step::GoManual(_) => "go_manual EVENTS",
        Step::SendPacket => "send_packet EVENTS",
        Step::MailOwner => "mail_owner EVENTS",
        Step::AlertDeadline => "alert_deadline EVENTS",
        Step::Expire => "expire EVENTS",
        Step::Erase => "erase EVENTS",
        Step::Rest | Step::WaitUntil(_) => "take_over EVENTS",
    }
}

fn context_of(span: &Span) -> Option<TraceContext> {
    own(span.context().span().span_context())
}

fn own(context: &SpanContext) -> Option<TraceContext> {
    context.is_valid().then(|| TraceContext {
        trace_id: context.trace_id().to_bytes(),
        span_id: context.span_id().to_bytes(),
        flags: context.trace_flags().to_u8(),
    })
}
