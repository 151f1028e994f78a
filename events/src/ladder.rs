//! What a registration should do next: the ladder of methods and the waits on it.

use crate::outcome::ErrorKind;
use crate::state::{Registration, Stage};
use crate::time::Timestamp;
use crate::words::{ManualReason, Method};

/// The next thing to do: a wish, never stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Begin an attempt by this method.
    Attempt(Method),
    /// Hand it to its owner.
    GoManual(ManualReason),
    /// Make the packet and mail it.
    SendPacket,
    /// Nothing before this time.
    WaitUntil(Timestamp),
    /// Nothing until something happens: an attempt ends, or a person acts.
    Rest,
}

/// The next step of `registration` on its connector's `ladder` at `now`.
///
/// `unknown_brand` tells whether the generic connector was taken for want of a better one.
#[must_use]
pub fn next_step(registration: &Registration, ladder: &[Method], unknown_brand: bool, now: Timestamp) -> Step {
    match &registration.stage {
        Stage::Fresh { from } => {
            let first = from.or_else(|| ladder.first().copied()).unwrap_or(Method::AssistedManual);
            let only_manual = ladder.iter().all(|rung| *rung == Method::AssistedManual);
            let reason = match (unknown_brand, only_manual) {
                (true, _) => ManualReason::UnknownBrand,
                (false, true) => ManualReason::MakerIsManualOnly,
                // somebody chose it although others are there
                (false, false) => ManualReason::MethodsExhausted,
            };
            rung(first, reason)
        }
        Stage::Backoff { method, until, .. } if now >= *until => Step::Attempt(*method),
        Stage::Backoff { until, .. } => Step::WaitUntil(*until),
        Stage::MethodFailed { method, kind } => {
            let after = ladder.iter().skip_while(|rung| *rung != method).nth(1).copied();
            rung(after.unwrap_or(Method::AssistedManual), manual_reason(*kind))
        }
        Stage::PacketDue { not_before: Some(at), .. } if now < *at => Step::WaitUntil(*at),
        Stage::PacketDue { .. } => Step::SendPacket,
        Stage::Attempting { .. }
        | Stage::Unknown { .. }
        | Stage::PacketStuck { .. }
        | Stage::PacketSent { .. }
        | Stage::NeedsCorrection { .. }
        | Stage::Succeeded { .. }
        | Stage::Completed { .. }
        | Stage::Cancelled => Step::Rest,
    }
}

const fn rung(method: Method, reason_if_manual: ManualReason) -> Step {
    match method {
        Method::Api | Method::AutomationReliable => Step::Attempt(method),
        Method::AssistedManual => Step::GoManual(reason_if_manual),
    }
}

const fn manual_reason(kind: ErrorKind) -> ManualReason {
    match kind {
        ErrorKind::Captcha => ManualReason::Captcha,
        ErrorKind::FormChanged => ManualReason::FormChanged,
        ErrorKind::LoginRequired => ManualReason::LoginRequired,
        ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Auth
        | ErrorKind::Validation
        | ErrorKind::UnknownOutcome => ManualReason::MethodsExhausted,
    }
}
