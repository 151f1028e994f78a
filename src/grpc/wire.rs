//! Our registrations as the wire shows them.

use connectors::Catalog;
use events::{ErrorKind, ManualReason, Method, Priority, Registration, Stage, Status};
use projections::{Row, Waiting};
use proto::v1::{self, RegistrationState as State};

use super::audit::timestamp;
use super::{convert, words};

/// A registration as its own events tell it.
pub fn registration(r: &Registration, catalog: &Catalog) -> v1::Registration {
    let connector = catalog.get(&r.connector).unwrap_or_else(|| catalog.generic());
    let register_by = r.register_by.or_else(|| connector.register_by_purchase(r.purchased_on?));
    let may_wait = !r.stage.status().is_settled();
    let latest_safe = register_by.filter(|_| may_wait).map(|day| connector.deadline(day).latest_safe());
    v1::Registration {
        id: r.id.to_string(),
        reference: r.id.reference(),
        tenant: r.tenant.clone(),
        request_id: r.request_id.clone().unwrap_or_default(),
        state: state(r.stage.status()).into(),
        method: method(r.method()).into(),
        maker: r.connector.clone(),
        brand: r.brand.clone(),
        model: r.model.clone(),
        purchase_date: r.purchased_on.map(|day| day.to_string()).unwrap_or_default(),
        register_by: register_by.map(|day| day.to_string()).unwrap_or_default(),
        priority: priority(r.priority).into(),
        // nobody is behind it any more
        owner_ref: if r.forgetting.is_none() { hex::encode(r.owner_ref) } else { String::new() },
        attempts: r.attempts,
        submit_time: Some(timestamp(r.submitted_at)),
        update_time: Some(timestamp(r.updated_at)),
        sequence: r.last.sequence,
        etag: format!("\"{}\"", r.last.sequence),
        latest_safe_time: latest_safe.map(timestamp),
        ..Default::default()
    }
}

/// A registration as the view shows it.
pub fn row(row: &Row, catalog: &Catalog) -> v1::Registration {
    let error = row.last_error.as_ref();
    v1::Registration {
        method: method(row.method).into(),
        confirmation: row.confirmation().map(str::to_owned),
        already_registered: row.already_registered,
        waiting: row.waiting().map(|what| waiting(what, row.registration.attempts)),
        manual_reason: row.manual_reason.map_or(v1::ManualReason::Unspecified, manual_reason).into(),
        corrections: convert::problems(row.corrections()),
        last_error_kind: error.map_or(v1::ErrorKind::Unspecified, |error| error_kind(error.kind)).into(),
        last_error_detail: error.map(|error| error.detail.clone()).unwrap_or_default(),
        packet: packet(row),
        evidence: row.evidence.clone().unwrap_or_default(),
        ..registration(&row.registration, catalog)
    }
}

fn waiting(waiting: Waiting, attempt: u32) -> v1::Waiting {
    let (reason, until) = match waiting {
        Waiting::Retry { method, after, until } => (words::retry(method, after), Some(until)),
        Waiting::Guard { method, reason, until } => (words::guard(method, reason), until),
        Waiting::Answer { until } => (words::answer(attempt), Some(until)),
        Waiting::Packet { until } => (words::PACKET_AGAIN.to_owned(), Some(until)),
    };
    v1::Waiting { reason, until: until.map(timestamp) }
}

fn packet(row: &Row) -> Option<v1::Packet> {
    let (stage, sent) = (&row.registration.stage, row.packet.as_ref());
    let state = if matches!(stage, Stage::PacketDue { .. }) {
        v1::PacketState::Due
    } else if matches!(stage, Stage::PacketStuck { .. }) {
        v1::PacketState::Stuck
    } else {
        sent.map(|_| v1::PacketState::Sent)?
    };
    Some(v1::Packet {
        state: state.into(),
        object: sent.map(|sent| sent.pdf.name.clone()).unwrap_or_default(),
        message_id: sent.map(|sent| sent.message_id.clone()).unwrap_or_default(),
        missing_glyphs: sent.map(|sent| sent.missing_glyphs.clone()).unwrap_or_default(),
    })
}

/// A status on the wire.
pub const fn state(status: Status) -> State {
    match status {
        Status::Pending => State::Pending,
        Status::Processing => State::Processing,
        Status::Waiting => State::Waiting,
        Status::OutcomeUnknown => State::OutcomeUnknown,
        Status::Success => State::Success,
        Status::ManualRequired => State::ManualRequired,
        Status::UserCompleted => State::UserCompleted,
        Status::NeedsCorrection => State::NeedsCorrection,
        Status::Cancelled => State::Cancelled,
        Status::Expired => State::Expired,
    }
}

/// A status of the wire; nothing for "unspecified".
pub const fn status(state: State) -> Option<Status> {
    Some(match state {
        State::Unspecified => return None,
        State::Pending => Status::Pending,
        State::Processing => Status::Processing,
        State::Waiting => Status::Waiting,
        State::OutcomeUnknown => Status::OutcomeUnknown,
        State::Success => Status::Success,
        State::ManualRequired => Status::ManualRequired,
        State::UserCompleted => Status::UserCompleted,
        State::NeedsCorrection => Status::NeedsCorrection,
        State::Cancelled => Status::Cancelled,
        State::Expired => Status::Expired,
    })
}

/// A method on the wire.
pub const fn method(method: Option<Method>) -> v1::Method {
    match method {
        None => v1::Method::Unspecified,
        Some(Method::Api) => v1::Method::Api,
        Some(Method::AutomationReliable) => v1::Method::AutomationReliable,
        Some(Method::AssistedManual) => v1::Method::AssistedManual,
    }
}

/// A class on the wire.
pub const fn priority(priority: Priority) -> v1::Priority {
    match priority {
        Priority::High => v1::Priority::High,
        Priority::Normal => v1::Priority::Normal,
        Priority::Low => v1::Priority::Low,
    }
}

const fn manual_reason(reason: ManualReason) -> v1::ManualReason {
    match reason {
        ManualReason::MakerIsManualOnly => v1::ManualReason::MakerIsManualOnly,
        ManualReason::UnknownBrand => v1::ManualReason::UnknownBrand,
        ManualReason::Captcha => v1::ManualReason::Captcha,
        ManualReason::FormChanged => v1::ManualReason::FormChanged,
        ManualReason::LoginRequired => v1::ManualReason::LoginRequired,
        ManualReason::MethodsExhausted => v1::ManualReason::MethodsExhausted,
        ManualReason::DeadlineNear => v1::ManualReason::DeadlineNear,
    }
}

/// A kind of failure on the wire.
pub const fn error_kind(kind: ErrorKind) -> v1::ErrorKind {
    match kind {
        ErrorKind::Network => v1::ErrorKind::Network,
        ErrorKind::Timeout => v1::ErrorKind::Timeout,
        ErrorKind::Server => v1::ErrorKind::Server,
        ErrorKind::RateLimited => v1::ErrorKind::RateLimited,
        ErrorKind::Auth => v1::ErrorKind::Auth,
        ErrorKind::Validation => v1::ErrorKind::Validation,
        ErrorKind::Captcha => v1::ErrorKind::Captcha,
        ErrorKind::FormChanged => v1::ErrorKind::FormChanged,
        ErrorKind::LoginRequired => v1::ErrorKind::LoginRequired,
        ErrorKind::UnknownOutcome => v1::ErrorKind::UnknownOutcome,
        ErrorKind::Internal => v1::ErrorKind::Internal,
    }
}
