//! The facts about a maker that are stored: its circuits, what operators did, its health. Their tags begin at 101.

use serde::{Deserialize, Serialize};

use crate::fact::facts;
use crate::health::{CheckResult, HealthState};
use crate::id::Sequence;
use crate::outcome::wire_enum;
use crate::time::Timestamp;
use crate::words::Method;

facts! {
    /// One fact about a maker.
    MakerEvent {
        /// Too many failures in a row: nothing is sent by this method for a while.
        CircuitOpened = 101 v 1 "circuit_opened";
        /// One probe may pass.
        CircuitHalfOpened = 102 v 1 "circuit_half_opened";
        /// The method works again.
        CircuitClosed = 103 v 1 "circuit_closed";
        /// An operator holds the circuit open or closed.
        CircuitForced = 104 v 1 "circuit_forced";
        /// The circuit is left to itself again.
        CircuitReleased = 105 v 1 "circuit_released";
        /// An operator paused the maker or one of its methods.
        Paused = 106 v 1 "paused";
        /// The pause ended.
        Resumed = 107 v 1 "resumed";
        /// A round of health checks ended.
        HealthChecked = 108 v 1 "health_checked";
        /// A condition has held long enough that people are told.
        AlertRaised = 109 v 1 "alert_raised";
        /// It has been gone long enough.
        AlertCleared = 110 v 1 "alert_cleared";
        /// The maker has been unhealthy long enough to call it an incident.
        IncidentOpened = 111 v 1 "incident_opened";
        /// It has been healthy long enough.
        IncidentClosed = 112 v 1 "incident_closed";
        /// Operators were mailed what a record says.
        OperatorsMailed = 113 v 1 "operators_mailed";
    }
}

wire_enum! {
    /// What operators are alerted of.
    AlertKind {
        /// The maker does not work.
        Down = 1, "down";
        /// Most of the last hour's attempts that failed are too many.
        SuccessRateCritical = 2, "success_rate_critical";
        /// More of the last hour's attempts failed than should.
        SuccessRateLow = 3, "success_rate_low";
        /// The maker is slow.
        LatencyHigh = 4, "latency_high";
        /// The last attempts all failed.
        FailuresInARow = 5, "failures_in_a_row";
        /// The form is not as the recipe knows it.
        FormDrift = 6, "form_drift";
        /// The last check failed.
        CheckFailed = 7, "check_failed";
    }
}

wire_enum! {
    /// How bad it is.
    Severity {
        /// Look at it today.
        Warning = 1, "warning";
        /// Look at it now.
        Critical = 2, "critical";
    }
}

impl AlertKind {
    /// How bad it is.
    #[must_use]
    pub const fn severity(self) -> Severity {
        match self {
            Self::Down | Self::SuccessRateCritical | Self::FailuresInARow => Severity::Critical,
            Self::SuccessRateLow | Self::LatencyHigh | Self::FormDrift | Self::CheckFailed => Severity::Warning,
        }
    }
}

/// See [`MakerEvent::CircuitOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitOpened {
    /// Of which method.
    pub method: Method,
    /// When one probe may pass.
    pub until: Timestamp,
    /// Failures in a row.
    pub failures: u32,
}

/// See [`MakerEvent::CircuitHalfOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitHalfOpened {
    /// Of which method.
    pub method: Method,
}

/// See [`MakerEvent::CircuitClosed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitClosed {
    /// Of which method.
    pub method: Method,
}

/// See [`MakerEvent::CircuitForced`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitForced {
    /// Of which method.
    pub method: Method,
    /// True: nothing passes. False: everything does, and nothing is counted.
    pub open: bool,
    /// Why.
    pub reason: String,
}

/// See [`MakerEvent::CircuitReleased`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CircuitReleased {
    /// Of which method.
    pub method: Method,
    /// Why.
    pub reason: String,
}

/// See [`MakerEvent::Paused`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Which method; all when absent.
    pub method: Option<Method>,
    /// Why.
    pub reason: String,
}

/// See [`MakerEvent::Resumed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resumed {
    /// Which method; all when absent.
    pub method: Option<Method>,
    /// Why.
    pub reason: String,
}

/// See [`MakerEvent::HealthChecked`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthChecked {
    /// The API's health endpoint; nothing when there is none.
    pub api: Option<CheckResult>,
    /// The form; nothing when there is none.
    pub form: Option<CheckResult>,
    /// How the maker is doing, all considered.
    pub state: HealthState,
    /// What holds at this moment, with a sentence for people each.
    pub conditions: Vec<Condition>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What.
    pub kind: AlertKind,
    /// One sentence for people.
    pub detail: String,
}

/// See [`MakerEvent::AlertRaised`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertRaised {
    /// What.
    pub kind: AlertKind,
    /// One sentence for people.
    pub detail: String,
}

/// See [`MakerEvent::AlertCleared`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertCleared {
    /// What.
    pub kind: AlertKind,
}

/// See [`MakerEvent::IncidentOpened`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentOpened {
    /// How the maker is doing.
    pub state: HealthState,
    /// One sentence for people.
    pub detail: String,
}

/// See [`MakerEvent::IncidentClosed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentClosed {
    /// When it was opened.
    pub opened_at: Timestamp,
}

/// See [`MakerEvent::OperatorsMailed`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OperatorsMailed {
    /// The record that they were mailed.
    pub of: Sequence,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;

    #[test]
    fn no_tag_or_name_is_shared_with_the_events_of_registrations() {
        for (tag, _, name) in MakerEvent::TAGS {
            assert!(Event::TAGS.iter().all(|(other, _, text)| other != tag && text != name), "{tag} {name}");
        }
    }
}
