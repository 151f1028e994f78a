//! The circuit of one method of one maker: when we stop trying, and how we find out that it works again.
//!
//! A registration that fails because its maker is down burns a try, and its calls keep the maker down. So a few failures
//! in a row open the circuit; after a while one attempt, the probe, is let through alone; a few probes that succeed close
//! it, one that fails opens it again. What happened is folded in here; what follows from it is a fact that `due` names and
//! somebody stores. A stored fact wins over what was counted, so everybody who reads the log sees the same phase.

use serde::{Deserialize, Serialize};

use crate::id::RegistrationId;
use crate::outcome::{ErrorKind, wire_enum};
use crate::policy::CircuitPolicy;
use crate::time::Timestamp;

/// One attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AttemptKey {
    /// Of which registration.
    pub registration: RegistrationId,
    /// Its number.
    pub attempt: u32,
}

/// What the end of an attempt says about the maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It works.
    Success,
    /// It is down.
    Failure,
    /// Nothing: the data were wrong, a captcha stood there, or the fault was ours.
    Neither,
}

/// What a failure of this kind says about the maker.
#[must_use]
pub const fn verdict_of(kind: ErrorKind) -> Verdict {
    if kind.counts_toward_circuit() { Verdict::Failure } else { Verdict::Neither }
}

/// What happened to a circuit, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CircuitFact {
    /// We stopped trying.
    Opened {
        /// Not before this is a probe let through.
        until: Timestamp,
        /// The failures in a row that did it; 1 when it was a probe.
        failures: u32,
    },
    /// Probes are let through, one at a time.
    HalfOpened,
    /// It works again.
    Closed,
    /// An operator decided, whatever is counted.
    Forced {
        /// Nothing passes; otherwise everything does.
        open: bool,
    },
    /// The operator took that back; counting begins anew.
    Released,
}

/// Whether an attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// It may.
    Pass,
    /// Exactly one may.
    Probe,
    /// None until the probe that is out has ended.
    Probing,
    /// None.
    Open {
        /// Until when; none when an operator decided so.
        until: Option<Timestamp>,
    },
}

wire_enum! {
    /// The phase of a circuit, in the words of the textbook.
    CircuitPhase {
        /// Attempts pass.
        Closed = 1, "CLOSED";
        /// None passes.
        Open = 2, "OPEN";
        /// One at a time passes.
        HalfOpen = 3, "HALF_OPEN";
    }
}

/// A circuit for people: the phase as stored, and what was counted since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitView {
    /// The phase.
    pub phase: CircuitPhase,
    /// Counted failures in a row: those so far, or those that opened it.
    pub failures: u32,
    /// Successful probes in a row.
    pub successes: u32,
    /// When it will let a probe through; only while open.
    pub until: Option<Timestamp>,
    /// Whether an operator decided the phase.
    pub forced: bool,
    /// The probe that is out.
    pub probe: Option<AttemptKey>,
    /// When the phase began; none while nothing was ever stored.
    pub since: Option<Timestamp>,
}

/// One circuit. It begins closed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Circuit {
    phase: Phase,
    since: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Phase {
    Closed { failures: u32, last_failure: Timestamp },
    Open { until: Timestamp, failures: u32 },
    HalfOpen(Probation),
    Forced { open: bool },
}

impl Default for Phase {
    fn default() -> Self {
        Self::Closed { failures: 0, last_failure: Timestamp(0) }
    }
}

/// How the probes went so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Probation {
    probe: Option<AttemptKey>,
    successes: u32,
    /// When a probe failed, which ends it.
    failed_at: Option<Timestamp>,
}

impl Circuit {
    /// An attempt was started: the probe, when one may go.
    pub fn on_started(&mut self, key: AttemptKey) {
        match &mut self.phase {
            Phase::HalfOpen(probation) if probation.failed_at.is_none() => {
                probation.probe.get_or_insert(key);
            }
            Phase::HalfOpen(_) | Phase::Closed { .. } | Phase::Open { .. } | Phase::Forced { .. } => {}
        }
    }

    /// An attempt ended. Once a fact is due, no further end counts until it is stored.
    pub fn on_ended(&mut self, key: AttemptKey, verdict: Verdict, at: Timestamp, policy: &CircuitPolicy) {
        match &mut self.phase {
            Phase::Closed { failures, last_failure } if !trips(*failures, policy) => match verdict {
                Verdict::Success => *failures = 0,
                Verdict::Failure => (*failures, *last_failure) = (*failures + 1, at),
                Verdict::Neither => {}
            },
            Phase::HalfOpen(probation) => probation.on_ended(key, verdict, at, policy),
            Phase::Closed { .. } | Phase::Open { .. } | Phase::Forced { .. } => {}
        }
    }

    /// A fact was stored at `at`. While an operator's decision stands, only an operator changes the phase.
    pub fn apply(&mut self, fact: CircuitFact, at: Timestamp) {
        let phase = match (fact, self.phase) {
            (CircuitFact::Forced { open }, _) => Phase::Forced { open },
            (CircuitFact::Released, _) => Phase::default(),
            (CircuitFact::Opened { .. } | CircuitFact::HalfOpened | CircuitFact::Closed, Phase::Forced { .. }) => {
                return;
            }
            (CircuitFact::Opened { until, failures }, _) => Phase::Open { until, failures },
            (CircuitFact::HalfOpened, before) => Phase::HalfOpen(before.probation().anew()),
            (CircuitFact::Closed, _) => Phase::default(),
        };
        (self.phase, self.since) = (phase, Some(at));
    }

    /// The fact that must be stored now.
    #[must_use]
    pub fn due(&self, now: Timestamp, policy: &CircuitPolicy) -> Option<CircuitFact> {
        match self.phase {
            Phase::Closed { failures, last_failure } if trips(failures, policy) => {
                Some(CircuitFact::Opened { until: last_failure.plus(policy.open_for), failures })
            }
            Phase::Open { until, .. } if now >= until => Some(CircuitFact::HalfOpened),
            Phase::HalfOpen(probation) => probation.due(policy),
            Phase::Closed { .. } | Phase::Open { .. } | Phase::Forced { .. } => None,
        }
    }

    /// Whether an attempt may start now. Time alone opens no gate: that takes the stored fact, which `due` names.
    #[must_use]
    pub fn gate(&self, now: Timestamp, policy: &CircuitPolicy) -> Gate {
        match self.due(now, policy) {
            Some(CircuitFact::Opened { until, .. }) => return Gate::Open { until: Some(until) },
            Some(CircuitFact::Closed) => return Gate::Probing,
            Some(CircuitFact::HalfOpened | CircuitFact::Forced { .. } | CircuitFact::Released) | None => {}
        }
        match self.phase {
            Phase::Closed { .. } | Phase::Forced { open: false } => Gate::Pass,
            Phase::Open { until, .. } => Gate::Open { until: Some(until) },
            Phase::HalfOpen(Probation { probe: None, .. }) => Gate::Probe,
            Phase::HalfOpen(Probation { probe: Some(_), .. }) => Gate::Probing,
            Phase::Forced { open: true } => Gate::Open { until: None },
        }
    }

    /// Whether an open gate stays open when so many failures are taken in that ended and are not folded yet. Their order
    /// among the successes that are not folded either is not known: the worst is assumed, that none lies between them.
    #[must_use]
    pub const fn bears(&self, failures: u32, policy: &CircuitPolicy) -> bool {
        match self.phase {
            Phase::Closed { failures: counted, .. } => !trips(counted.saturating_add(failures), policy),
            // one of them may be the probe
            Phase::HalfOpen(_) => failures == 0,
            Phase::Open { .. } | Phase::Forced { .. } => true,
        }
    }

    /// When time alone will change it: a probe becomes possible.
    #[must_use]
    pub const fn next_change(&self) -> Option<Timestamp> {
        match self.phase {
            Phase::Open { until, .. } => Some(until),
            Phase::Closed { .. } | Phase::HalfOpen(_) | Phase::Forced { .. } => None,
        }
    }

    /// For people.
    #[must_use]
    pub fn view(&self) -> CircuitView {
        let phase = match self.phase {
            Phase::Closed { .. } | Phase::Forced { open: false } => CircuitPhase::Closed,
            Phase::Open { .. } | Phase::Forced { open: true } => CircuitPhase::Open,
            Phase::HalfOpen(_) => CircuitPhase::HalfOpen,
        };
        let probation = self.phase.probation();
        CircuitView {
            phase,
            failures: self.phase.failures(),
            successes: probation.successes,
            until: self.next_change(),
            forced: matches!(self.phase, Phase::Forced { .. }),
            probe: probation.probe,
            since: self.since,
        }
    }
}

impl Phase {
    const fn failures(self) -> u32 {
        match self {
            Self::Closed { failures, .. } | Self::Open { failures, .. } => failures,
            Self::HalfOpen(Probation { failed_at, .. }) => failed_at.is_some() as u32,
            Self::Forced { .. } => 0,
        }
    }

    /// How the probes went so far; a fresh one outside of HALF_OPEN.
    fn probation(self) -> Probation {
        match self {
            Self::HalfOpen(probation) => probation,
            Self::Closed { .. } | Self::Open { .. } | Self::Forced { .. } => Probation::default(),
        }
    }
}

impl Probation {
    /// Counted from zero; a probe that is out stays out, or a second one would join it.
    fn anew(self) -> Self {
        Self { probe: self.probe, ..Self::default() }
    }

    fn on_ended(&mut self, key: AttemptKey, verdict: Verdict, at: Timestamp, policy: &CircuitPolicy) {
        if self.probe != Some(key) {
            return;
        }
        self.probe = None;
        match verdict {
            Verdict::Success => self.successes += 1,
            Verdict::Failure if self.due(policy).is_none() => self.failed_at = Some(at),
            Verdict::Failure | Verdict::Neither => {}
        }
    }

    fn due(self, policy: &CircuitPolicy) -> Option<CircuitFact> {
        if let Some(failed_at) = self.failed_at {
            return Some(CircuitFact::Opened { until: failed_at.plus(policy.open_for), failures: 1 });
        }
        (self.successes >= policy.successes.max(1)).then_some(CircuitFact::Closed)
    }
}

/// A policy of no failures at all would never let anything pass.
const fn trips(failures: u32, policy: &CircuitPolicy) -> bool {
    failures >= if policy.failures == 0 { 1 } else { policy.failures }
}
