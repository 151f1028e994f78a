//! What a health check found, in the words that are stored.

use serde::{Deserialize, Serialize};

use crate::outcome::wire_enum;

wire_enum! {
    /// How a maker is doing.
    HealthState {
        /// Nothing is wrong.
        Healthy = 1, "healthy";
        /// Works, but not well.
        Degraded = 2, "degraded";
        /// Does not work.
        Down = 3, "down";
    }
}

wire_enum! {
    /// What differs between a form and the one that the recipe knows.
    DriftKind {
        /// A field has another name.
        Renamed = 1, "renamed";
        /// A field is new.
        Added = 2, "added";
        /// A field is gone.
        Removed = 3, "removed";
        /// A field must be filled in that need not be before, or the other way round.
        RequiredChanged = 4, "required_changed";
        /// A field is of another type.
        TypeChanged = 5, "type_changed";
        /// The form is sent elsewhere.
        ActionChanged = 6, "action_changed";
        /// A captcha stands before it.
        CaptchaAdded = 7, "captcha_added";
        /// It wants an account.
        LoginWall = 8, "login_wall";
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// What kind of.
    pub kind: DriftKind,
    /// The field in question by its name in the form; empty when it is about the whole form.
    pub field: String,
    /// One sentence for people, for example "`serial` is now named `serial_no`".
    pub detail: String,
}

/// What one check of an API or a form came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Why it failed, in one line; nothing when it went well. A drifted form that can be reached went well.
    pub failure: Option<String>,
    /// How the form differs from its baseline; always empty for an API.
    pub drift: Vec<Drift>,
    /// How long it took, milliseconds.
    pub latency_ms: u32,
}

impl CheckResult {
    /// A check that failed.
    pub fn failed(why: impl Into<String>, latency_ms: u32) -> Self {
        Self { failure: Some(why.into()), drift: Vec::new(), latency_ms }
    }

    /// A check that went well.
    #[must_use]
    pub const fn well(drift: Vec<Drift>, latency_ms: u32) -> Self {
        Self { failure: None, drift, latency_ms }
    }
}
