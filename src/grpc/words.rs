//! What a registration waits for, in words that fit after "waits for".

use events::{ErrorKind, HoldReason, Method};

/// The packet could not be sent and will be sent again.
pub const PACKET_AGAIN: &str = "another try to mail the packet";

/// Another try after a failure.
pub fn retry(method: Method, after: ErrorKind) -> String {
    format!("another try by {} after {}", name(method), failure(after))
}

/// A guard of the maker, in front of a method.
pub fn guard(method: Method, reason: HoldReason) -> String {
    match reason {
        HoldReason::CircuitOpen => format!("the circuit of {} to close", name(method)),
        HoldReason::RateLimit => "a token of the maker's rate limit".to_owned(),
        HoldReason::Turn => format!("its turn with {}", name(method)),
        HoldReason::Paused => format!("an operator to resume {}", name(method)),
    }
}

/// What the maker will say about an attempt whose outcome is not known.
pub fn answer(attempt: u32) -> String {
    format!("the maker's answer about attempt {attempt}")
}

/// A method in the middle of a sentence.
pub const fn name(method: Method) -> &'static str {
    match method {
        Method::Api => "the maker's API",
        Method::AutomationReliable => "the web form",
        Method::AssistedManual => "the packet",
    }
}

const fn failure(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Network => "a connection that failed",
        ErrorKind::Timeout => "a timeout",
        ErrorKind::Server => "an error of the maker's server",
        ErrorKind::RateLimited => "too many requests",
        ErrorKind::Auth => "refused credentials",
        ErrorKind::Validation => "refused data",
        ErrorKind::Captcha => "a captcha",
        ErrorKind::FormChanged => "a form or an API that has changed",
        ErrorKind::LoginRequired => "a form that wants an account",
        ErrorKind::UnknownOutcome => "an outcome that nobody knows",
        ErrorKind::Internal => "a fault of regflow itself",
    }
}
