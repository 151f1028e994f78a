//! How an attempt ended, as whoever made it tells the rules.

use crate::outcome::{ObjectRef, Outcome};
use crate::sending::{Received, Sending};
use crate::time::Timestamp;

/// What an attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// Which attempt; an older one is refused.
    pub attempt: u32,
    /// What the maker answered.
    pub outcome: Outcome,
    /// How long it took, milliseconds.
    pub latency_ms: u32,
    /// A screenshot.
    pub evidence: Option<ObjectRef>,
    /// When a failure may be tried again by the same method; computed by [`crate::decide::retry_at`].
    pub retry_at: Option<Timestamp>,
    /// When the maker wants to hear from us again, all registrations together.
    pub throttled_until: Option<Timestamp>,
    /// When the maker is asked what became of it, if nobody knows; nothing when it cannot be asked.
    pub ask_at: Option<Timestamp>,
    /// What that question sends.
    pub asks: Option<Sending>,
    /// What came back.
    pub received: Option<Received>,
}

impl Conclusion {
    /// One with nothing more to tell than its outcome.
    #[must_use]
    pub const fn of(attempt: u32, outcome: Outcome, latency_ms: u32) -> Self {
        Self {
            attempt,
            outcome,
            latency_ms,
            evidence: None,
            retry_at: None,
            throttled_until: None,
            ask_at: None,
            asks: None,
            received: None,
        }
    }
}
