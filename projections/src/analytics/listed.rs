//! What happened to makers, as the lists show it.

use events::maker_event::{CircuitForced, CircuitOpened, HealthChecked};
use events::{HealthState, MakerEvent, Method, Sequence, Timestamp};
use serde::{Deserialize, Serialize};

use super::keys;
use crate::error::ViewError;

/// A circuit changed, or an operator paused or resumed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CircuitChange {
    /// The place of its record in the log.
    pub sequence: Sequence,
    /// When.
    pub at: Timestamp,
    /// The maker.
    pub connector: String,
    /// The method; nothing when all of them were paused or resumed.
    pub method: Option<Method>,
    /// The name of the event.
    pub event: String,
    /// Who.
    pub actor: String,
    /// Why.
    pub reason: String,
}

/// A round of health checks of one maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthRound {
    /// When.
    pub at: Timestamp,
    /// The maker.
    pub connector: String,
    /// What came of it.
    pub state: HealthState,
    /// What is wrong, in one line; empty when nothing is.
    pub detail: String,
}

/// A time of ill health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastIncident {
    /// The maker.
    pub connector: String,
    /// Since when.
    pub since: Timestamp,
    /// Until when; nothing when it is not over.
    pub until: Option<Timestamp>,
    /// How bad it was when it began.
    pub state: HealthState,
    /// In one sentence.
    pub detail: String,
}

/// The stored rest of a circuit change.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct CircuitRow {
    pub connector: String,
    pub method: Option<Method>,
    pub event: String,
    pub actor: String,
    pub reason: String,
}

/// The stored rest of a round.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct HealthRow {
    pub connector: String,
    pub state: HealthState,
    pub detail: String,
}

/// The stored rest of an incident; the connector stands in its key.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct IncidentRow {
    pub until_us: Option<i64>,
    pub state: HealthState,
    pub detail: String,
}

/// The method and the reason of an event that changes a circuit or a pause; nothing for others.
pub(crate) fn circuit_change(event: &MakerEvent) -> Option<(Option<Method>, String)> {
    match event {
        MakerEvent::CircuitOpened(opened) => Some((Some(opened.method), opened_because(opened))),
        MakerEvent::CircuitHalfOpened(half) => Some((Some(half.method), "one attempt may pass as a probe".to_owned())),
        MakerEvent::CircuitClosed(closed) => Some((Some(closed.method), "the probes succeeded".to_owned())),
        MakerEvent::CircuitForced(forced) => Some((Some(forced.method), forced_because(forced))),
        MakerEvent::CircuitReleased(released) => Some((Some(released.method), released.reason.clone())),
        MakerEvent::Paused(paused) => Some((paused.method, paused.reason.clone())),
        MakerEvent::Resumed(resumed) => Some((resumed.method, resumed.reason.clone())),
        MakerEvent::HealthChecked(_)
        | MakerEvent::AlertRaised(_)
        | MakerEvent::AlertCleared(_)
        | MakerEvent::IncidentOpened(_)
        | MakerEvent::IncidentClosed(_)
        | MakerEvent::OperatorsMailed(_) => None,
    }
}

fn opened_because(opened: &CircuitOpened) -> String {
    match opened.failures {
        1 => format!("an attempt failed; a probe may pass at {}", opened.until),
        many => format!("{many} attempts in a row failed; a probe may pass at {}", opened.until),
    }
}

fn forced_because(forced: &CircuitForced) -> String {
    format!("held {}: {}", if forced.open { "open" } else { "closed" }, forced.reason)
}

/// What a round found, in one line.
pub(crate) fn found(checked: &HealthChecked) -> String {
    let details: Vec<&str> = checked.conditions.iter().map(|condition| condition.detail.as_str()).collect();
    details.join("; ")
}

impl CircuitChange {
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<Self, ViewError> {
        let (at, rest) = keys::listed(key)?;
        let CircuitRow { connector, method, event, actor, reason } = super::decode(value)?;
        Ok(Self { sequence: keys::sequence_of(rest)?, at, connector, method, event, actor, reason })
    }
}

impl HealthRound {
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<Self, ViewError> {
        let (at, _) = keys::listed(key)?;
        let HealthRow { connector, state, detail } = super::decode(value)?;
        Ok(Self { at, connector, state, detail })
    }
}

impl PastIncident {
    pub(crate) fn read(key: &[u8], value: &[u8]) -> Result<Self, ViewError> {
        let (since, rest) = keys::listed(key)?;
        let connector = std::str::from_utf8(rest).map_err(|_| ViewError::Undecodable)?.to_owned();
        let IncidentRow { until_us, state, detail } = super::decode(value)?;
        Ok(Self { connector, since, until: until_us.map(Timestamp), state, detail })
    }
}
