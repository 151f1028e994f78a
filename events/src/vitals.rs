//! How a maker is doing: the last hour's attempts, the last checks, what people were told of it; and what follows.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::circuit::CircuitPhase;
use crate::health::{CheckResult, HealthState};
use crate::maker::{GUARDED, Maker};
use crate::maker_event::{
    AlertCleared, AlertKind, AlertRaised, Condition, HealthChecked, IncidentClosed, IncidentOpened, MakerEvent,
};
use crate::policy::HealthPolicy;
use crate::time::Timestamp;

/// How far back attempts count.
const WINDOW: Duration = Duration::from_secs(3600);
/// Most attempts that are remembered; with more in an hour the newest count.
const ATTEMPTS_MAX: usize = 1_024;

/// The fold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    attempts: VecDeque<Attempt>,
    failures_in_a_row: u32,
    last: Option<(Timestamp, HealthChecked)>,
    checks_failed_in_a_row: u32,
    /// Rounds in a row in which a condition held, or did not.
    streaks: BTreeMap<AlertKind, Streak>,
    raised: BTreeMap<AlertKind, Raised>,
    unhealthy: Streak,
    incident: Option<Incident>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Attempt {
    at: Timestamp,
    well: bool,
    latency_ms: u32,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Streak {
    present: u32,
    absent: u32,
}

/// An alert that people were told of and that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Raised {
    /// Since when.
    pub since: Timestamp,
    /// One sentence.
    pub detail: String,
}

/// A time of ill health that is not over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Since when.
    pub since: Timestamp,
    /// How bad it was when it began.
    pub state: HealthState,
    /// One sentence.
    pub detail: String,
}

impl Streak {
    const fn take(&mut self, holds: bool) {
        if holds {
            *self = Self { present: self.present + 1, absent: 0 };
        } else {
            *self = Self { present: 0, absent: self.absent + 1 };
        }
    }
}

impl Vitals {
    /// An attempt that says something about the maker ended.
    pub fn on_attempt(&mut self, well: bool, latency_ms: u32, at: Timestamp) {
        self.failures_in_a_row = if well { 0 } else { self.failures_in_a_row + 1 };
        if self.attempts.len() == ATTEMPTS_MAX {
            self.attempts.pop_front();
        }
        self.attempts.push_back(Attempt { at, well, latency_ms });
    }

    /// Takes in a fact about its health.
    pub fn apply(&mut self, event: &MakerEvent, at: Timestamp) {
        match event {
            MakerEvent::HealthChecked(checked) => self.on_checked(checked, at),
            MakerEvent::AlertRaised(alert) => {
                self.raised.insert(alert.kind, Raised { since: at, detail: alert.detail.clone() });
            }
            MakerEvent::AlertCleared(alert) => {
                self.raised.remove(&alert.kind);
            }
            MakerEvent::IncidentOpened(incident) => {
                let (state, detail) = (incident.state, incident.detail.clone());
                self.incident = Some(Incident { since: at, state, detail });
            }
            MakerEvent::IncidentClosed(_) => self.incident = None,
            MakerEvent::CircuitOpened(_)
            | MakerEvent::CircuitHalfOpened(_)
            | MakerEvent::CircuitClosed(_)
            | MakerEvent::CircuitForced(_)
            | MakerEvent::CircuitReleased(_)
            | MakerEvent::Paused(_)
            | MakerEvent::Resumed(_)
            | MakerEvent::OperatorsMailed(_) => {}
        }
    }

    fn on_checked(&mut self, checked: &HealthChecked, at: Timestamp) {
        let failed = has_failed(checked.api.as_ref()) || has_failed(checked.form.as_ref());
        self.checks_failed_in_a_row = if failed { self.checks_failed_in_a_row + 1 } else { 0 };
        for kind in AlertKind::ALL {
            let holds = checked.conditions.iter().any(|condition| condition.kind == *kind);
            self.streaks.entry(*kind).or_default().take(holds);
        }
        self.unhealthy.take(checked.state != HealthState::Healthy);
        self.last = Some((at, checked.clone()));
    }

    /// Whether nothing happens that a round of checks could judge.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.attempts.is_empty() && self.raised.is_empty() && self.incident.is_none()
    }

    /// When it was last checked.
    #[must_use]
    pub fn checked_at(&self) -> Option<Timestamp> {
        self.last.as_ref().map(|(at, _)| *at)
    }

    /// What the last round found.
    #[must_use]
    pub fn last_check(&self) -> Option<&HealthChecked> {
        self.last.as_ref().map(|(_, checked)| checked)
    }

    /// What people were told of and is not over.
    #[must_use]
    pub const fn raised(&self) -> &BTreeMap<AlertKind, Raised> {
        &self.raised
    }

    /// The incident that is not over, if there is one.
    #[must_use]
    pub const fn incident(&self) -> Option<&Incident> {
        self.incident.as_ref()
    }

    /// Attempts of the last hour, those that went well, and the 95th percentile of their latency in milliseconds.
    #[must_use]
    pub fn last_hour(&self, now: Timestamp) -> LastHour {
        let recent: Vec<_> = self.attempts.iter().filter(|attempt| now.since(attempt.at) < WINDOW).collect();
        let well = recent.iter().filter(|attempt| attempt.well).count();
        let mut latencies: Vec<u32> = recent.iter().map(|attempt| attempt.latency_ms).collect();
        latencies.sort_unstable();
        // nearest rank
        let rank = (latencies.len() * 95).div_ceil(100).saturating_sub(1);
        LastHour { attempts: recent.len(), well, latency_ms_p95: latencies.get(rank).copied() }
    }
}

/// The attempts of the last hour, together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastHour {
    /// How many ended; refusals of wrong data are not among them.
    pub attempts: usize,
    /// How many of them went well.
    pub well: usize,
    /// The 95th percentile of their latency, milliseconds (nearest rank); nothing without attempts.
    pub latency_ms_p95: Option<u32>,
}

impl LastHour {
    /// The share that went well, in percent; nothing when there were fewer attempts than `attempts_min`.
    #[must_use]
    pub fn success_percent(&self, attempts_min: u32) -> Option<f64> {
        let enough = self.attempts > 0 && self.attempts >= attempts_min as usize;
        enough.then(|| self.well as f64 * 100.0 / self.attempts as f64)
    }
}

/// The facts that a round of checks leads to: what was found, and what people are told because of it.
#[must_use]
pub fn round(maker: &Maker, api: Option<CheckResult>, form: Option<CheckResult>, now: Timestamp) -> Vec<MakerEvent> {
    let checked = assess(maker, api, form, now);
    let mut after = maker.vitals.clone();
    after.apply(&checked.clone().into(), now);
    let told = tell(&after, &checked, &maker.policy.health);
    std::iter::once(checked.into()).chain(told).collect()
}

fn assess(maker: &Maker, api: Option<CheckResult>, form: Option<CheckResult>, now: Timestamp) -> HealthChecked {
    let (policy, hour) = (&maker.policy.health, maker.vitals.last_hour(now));
    let rate = hour.success_percent(policy.attempts_min);
    let down = why_down(maker, api.as_ref(), form.as_ref(), rate);
    let degraded = rate.is_some_and(|rate| rate < f64::from(policy.degraded_below_percent));
    let state = match (&down, degraded) {
        (Some(_), _) => HealthState::Down,
        (None, true) => HealthState::Degraded,
        (None, false) => HealthState::Healthy,
    };
    let mut conditions: Vec<Condition> =
        down.map(|detail| Condition { kind: AlertKind::Down, detail }).into_iter().collect();
    conditions.extend(rate.and_then(|rate| low_rate(rate, hour, policy)));
    conditions.extend(slow(hour, policy));
    conditions.extend(failing(&maker.vitals, policy));
    conditions.extend(drifted(form.as_ref()));
    conditions.extend(check_failed("API", api.as_ref()).or_else(|| check_failed("form", form.as_ref())));
    HealthChecked { api, form, state, conditions }
}

/// Why the maker counts as down, if it does.
fn why_down(maker: &Maker, api: Option<&CheckResult>, form: Option<&CheckResult>, rate: Option<f64>) -> Option<String> {
    let policy = &maker.policy.health;
    let open = |method| maker.circuit(method).is_some_and(|circuit| circuit.view().phase == CircuitPhase::Open);
    if let Some(method) = GUARDED.into_iter().find(|method| open(*method)) {
        return Some(format!("the circuit of {method} is open"));
    }
    if let Some(rate) = rate.filter(|rate| *rate < f64::from(policy.down_below_percent)) {
        return Some(format!("only {rate:.0} % of the last hour's attempts succeeded"));
    }
    let failed = has_failed(api) || has_failed(form);
    let in_a_row = if failed { maker.vitals.checks_failed_in_a_row + 1 } else { 0 };
    (in_a_row >= policy.checks_failed).then(|| format!("{in_a_row} health checks in a row failed"))
}

fn low_rate(rate: f64, hour: LastHour, policy: &HealthPolicy) -> Option<Condition> {
    let kind = match rate {
        rate if rate < f64::from(policy.critical_below_percent) => AlertKind::SuccessRateCritical,
        rate if rate < f64::from(policy.warning_below_percent) => AlertKind::SuccessRateLow,
        _ => return None,
    };
    let detail = format!("{} of the last hour's {} attempts succeeded ({rate:.0} %)", hour.well, hour.attempts);
    Some(Condition { kind, detail })
}

fn slow(hour: LastHour, policy: &HealthPolicy) -> Option<Condition> {
    let p95 = Duration::from_millis(hour.latency_ms_p95?.into());
    (p95 > policy.latency_p95_max).then(|| Condition {
        kind: AlertKind::LatencyHigh,
        detail: format!("one attempt in twenty takes longer than {:.0} s", p95.as_secs_f64()),
    })
}

fn failing(vitals: &Vitals, policy: &HealthPolicy) -> Option<Condition> {
    (vitals.failures_in_a_row >= policy.failures_in_a_row).then(|| Condition {
        kind: AlertKind::FailuresInARow,
        detail: format!("the last {} attempts failed", vitals.failures_in_a_row),
    })
}

fn drifted(form: Option<&CheckResult>) -> Option<Condition> {
    let drift = &form?.drift;
    let details: Vec<&str> = drift.iter().map(|drift| drift.detail.as_str()).collect();
    (!drift.is_empty()).then(|| Condition { kind: AlertKind::FormDrift, detail: details.join("; ") })
}

fn check_failed(what: &str, check: Option<&CheckResult>) -> Option<Condition> {
    let why = check?.failure.as_ref()?;
    Some(Condition { kind: AlertKind::CheckFailed, detail: format!("the check of the {what} failed: {why}") })
}

fn has_failed(check: Option<&CheckResult>) -> bool {
    check.is_some_and(|check| check.failure.is_some())
}

/// What people are told after a round: only what has held, or been gone, long enough.
fn tell(after: &Vitals, checked: &HealthChecked, policy: &HealthPolicy) -> Vec<MakerEvent> {
    let mut told = Vec::new();
    for (kind, streak) in &after.streaks {
        let raised = after.raised.contains_key(kind);
        let condition = checked.conditions.iter().find(|condition| condition.kind == *kind);
        if let (false, Some(condition)) = (raised, condition)
            && streak.present >= policy.alert_after
        {
            told.push(AlertRaised { kind: *kind, detail: condition.detail.clone() }.into());
        } else if raised && streak.absent >= policy.recover_after {
            told.push(AlertCleared { kind: *kind }.into());
        }
    }
    told.extend(incident(after, checked, policy));
    told
}

fn incident(after: &Vitals, checked: &HealthChecked, policy: &HealthPolicy) -> Option<MakerEvent> {
    match &after.incident {
        None if after.unhealthy.present >= policy.alert_after => {
            let detail = checked.conditions.first().map_or("the maker is unhealthy", |first| first.detail.as_str());
            Some(IncidentOpened { state: checked.state, detail: detail.to_owned() }.into())
        }
        Some(open) if after.unhealthy.absent >= policy.recover_after => {
            Some(IncidentClosed { opened_at: open.since }.into())
        }
        None | Some(_) => None,
    }
}
