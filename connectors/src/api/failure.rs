//! Which failure a broken call is: what matters is whether the maker may have taken the registration.

use std::time::Duration;

use events::{ErrorKind, Failure};
use outbound::SendError;
use reqwest::header::{HeaderMap, RETRY_AFTER};

use super::retry_after;

/// A call that broke, whose request registers something.
///
/// Before the request could be sent nothing is in doubt. After it, a maker that tells repeats apart may be asked again;
/// of any other nobody knows.
pub(super) fn while_registering(error: &SendError, repeatable: bool) -> Failure {
    if error.is_connect() || error.is_builder() {
        return before_sending(error);
    }
    let (kind, what) = if error.is_timeout() {
        (ErrorKind::Timeout, "the maker did not answer in time")
    } else {
        (ErrorKind::Network, "the connection broke before the maker answered")
    };
    after_sending(kind, what, repeatable)
}

/// A failure of this kind when the request had been sent.
pub(super) fn after_sending(kind: ErrorKind, what: &str, repeatable: bool) -> Failure {
    if repeatable {
        Failure { in_doubt: true, ..Failure::new(kind, format!("{what}; it may be asked again with the same key")) }
    } else {
        Failure::new(ErrorKind::UnknownOutcome, format!("{what}; whether it took the registration is not known"))
    }
}

/// A call that broke and registered nothing for certain.
pub(super) fn before_sending(error: &SendError) -> Failure {
    // only the kind: the error's own text holds the address, and with it perhaps a serial number
    if let Some(refused) = error.refused() {
        super::unusable(format!("the maker's address may not be called: {refused}"))
    } else if error.is_builder() {
        super::unusable("the request cannot be built from the connector's file")
    } else if error.is_timeout() {
        Failure::new(ErrorKind::Timeout, "the maker could not be reached in time")
    } else {
        Failure::new(ErrorKind::Network, "the maker could not be reached")
    }
}

/// A failure of the second try, after the maker had answered the first that the token was old.
///
/// The detail says so, because a proof reads from it whether what was sent arrived.
pub(super) fn after_a_401(failure: Failure) -> Failure {
    Failure { detail: format!("the maker answered 401 to the old token; {}", failure.detail), ..failure }
}

/// The Retry-After of an answer.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after::parse(headers.get(RETRY_AFTER)?.to_str().ok()?, jiff::Timestamp::now())
}
