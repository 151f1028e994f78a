//! Makers on the wire: how each is doing at this moment.

use connectors::Catalog;
use events::circuit::{CircuitPhase, CircuitView};
use events::vitals::{Incident, LastHour, Raised};
use events::{AlertKind, HealthState, Level, Refill, Severity};
use handlers::{MakerStatus, MethodStatus};
use proto::v1;

use super::audit::timestamp;
use super::wire;

/// A maker.
pub fn maker(status: MakerStatus, catalog: &Catalog) -> v1::MakerStatus {
    let name = catalog.get(&status.connector).map(|connector| connector.name().to_owned());
    v1::MakerStatus {
        display_name: name.unwrap_or_default(),
        maker: status.connector,
        health: status.health.map_or(v1::Health::Unspecified, health).into(),
        check_time: status.checked_at.map(timestamp),
        next_check_time: status.next_check_at.map(timestamp),
        methods: status.methods.into_iter().map(method).collect(),
        limits: status.levels.iter().map(limit).collect(),
        throttled_until_time: status.throttled_until.map(timestamp),
        last_hour: Some(last_hour(status.last_hour)),
        alerts: status.alerts.into_iter().map(alert).collect(),
        incident: status.incident.map(incident),
        sequence: status.last.map(|link| link.sequence).unwrap_or_default(),
    }
}

/// A state of health.
pub const fn health(state: HealthState) -> v1::Health {
    match state {
        HealthState::Healthy => v1::Health::Healthy,
        HealthState::Degraded => v1::Health::Degraded,
        HealthState::Down => v1::Health::Down,
    }
}

fn method(status: MethodStatus) -> v1::MethodStatus {
    let oldest = status.oldest.into_iter().map(|(priority, since)| v1::OldestWaiting {
        priority: wire::priority(priority).into(),
        since: Some(timestamp(since)),
    });
    v1::MethodStatus {
        method: wire::method(Some(status.method)).into(),
        circuit: Some(circuit(status.circuit)),
        pause: status.pause.map(|pause| v1::PauseStatus {
            since: Some(timestamp(pause.since)),
            by: pause.by.to_string(),
            reason: pause.reason,
        }),
        under_way: status.under_way,
        waiting: u64::try_from(status.waiting).unwrap_or(u64::MAX),
        oldest: oldest.collect(),
    }
}

fn circuit(view: CircuitView) -> v1::CircuitStatus {
    let state = match view.phase {
        CircuitPhase::Closed => v1::CircuitState::Closed,
        CircuitPhase::Open => v1::CircuitState::Open,
        CircuitPhase::HalfOpen => v1::CircuitState::HalfOpen,
    };
    v1::CircuitStatus {
        state: state.into(),
        failures: view.failures,
        successes: view.successes,
        probe_time: view.until.map(timestamp),
        forced: view.forced,
        probe_registration: view.probe.map(|probe| probe.registration.to_string()).unwrap_or_default(),
        since: view.since.map(timestamp),
    }
}

fn limit(level: &Level) -> v1::LimitStatus {
    let refill = match level.limit.refill {
        Refill::Interval => v1::Refill::Interval,
        Refill::Smooth => v1::Refill::Smooth,
    };
    v1::LimitStatus {
        max: level.limit.max,
        per_seconds: level.limit.per.as_secs_f64(),
        refill: refill.into(),
        left: level.left,
        full_time: level.full_at.map(timestamp),
    }
}

fn last_hour(hour: LastHour) -> v1::LastHour {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    v1::LastHour {
        attempts: count(hour.attempts),
        succeeded: count(hour.well),
        success_percent: hour.success_percent(1),
        latency_ms_p95: hour.latency_ms_p95,
    }
}

fn alert((kind, raised): (AlertKind, Raised)) -> v1::Alert {
    let severity = match kind.severity() {
        Severity::Warning => v1::Severity::Warning,
        Severity::Critical => v1::Severity::Critical,
    };
    v1::Alert {
        kind: alert_kind(kind).into(),
        severity: severity.into(),
        since: Some(timestamp(raised.since)),
        detail: raised.detail,
    }
}

const fn alert_kind(kind: AlertKind) -> v1::AlertKind {
    match kind {
        AlertKind::Down => v1::AlertKind::Down,
        AlertKind::SuccessRateCritical => v1::AlertKind::SuccessRateCritical,
        AlertKind::SuccessRateLow => v1::AlertKind::SuccessRateLow,
        AlertKind::LatencyHigh => v1::AlertKind::LatencyHigh,
        AlertKind::FailuresInARow => v1::AlertKind::FailuresInARow,
        AlertKind::FormDrift => v1::AlertKind::FormDrift,
        AlertKind::CheckFailed => v1::AlertKind::CheckFailed,
    }
}

fn incident(incident: Incident) -> v1::Incident {
    v1::Incident {
        since: Some(timestamp(incident.since)),
        health: health(incident.state).into(),
        detail: incident.detail,
    }
}
