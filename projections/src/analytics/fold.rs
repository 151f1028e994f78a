//! What records make of the memory.

use events::maker_event::IncidentClosed;
use events::{ErrorKind, Event, MakerEvent, Stored, StoredMaker, Timestamp};
use jiff::civil::Date;

use super::keys::{self, List};
use super::listed::{self, CircuitRow, HealthRow, IncidentRow};
use super::memory::Memory;
use super::resolution::Resolution;
use super::tracked::Tracked;
use crate::error::ViewError;
use crate::store::Store;

/// Memory and store, while records are taken in.
pub(crate) struct Fold<'a> {
    pub memory: &'a mut Memory,
    pub store: &'a Store,
}

impl Fold<'_> {
    /// Takes in a record of a registration.
    pub(crate) fn registration(&mut self, stored: &Stored) -> Result<(), ViewError> {
        let (id, at) = (stored.registration, stored.record.at);
        let mut tracked = self.memory.take(self.store, id, stored.record.previous.is_none())?;
        let before = risk_of(&tracked);
        for event in &stored.record.events {
            tracked.apply(event, &mut self.memory.saved.funnel);
            self.outcome(event, &mut tracked, at)?;
        }
        self.deadline(before, &tracked)?;
        self.memory.keep(id, tracked);
        self.seen(at);
        Ok(())
    }

    /// Takes in a record of a maker.
    pub(crate) fn maker(&mut self, stored: &StoredMaker) -> Result<(), ViewError> {
        for (place, event) in stored.record.events.iter().enumerate() {
            self.maker_event(event, place, stored)?;
        }
        self.seen(stored.record.at);
        Ok(())
    }

    fn seen(&mut self, at: Timestamp) {
        let saved = &mut self.memory.saved;
        saved.newest = saved.newest.max(at);
    }

    /// Counts an attempt that ended in its minute, hour and day.
    fn outcome(&mut self, event: &Event, tracked: &mut Tracked, at: Timestamp) -> Result<(), ViewError> {
        let Some(ended) = ended(event) else { return Ok(()) };
        // it ended before: what a question to the maker found later is no other attempt
        let Some(method) = tracked.landed(ended.attempt) else { return Ok(()) };
        for resolution in Resolution::ALL {
            let key = keys::tally(resolution, resolution.stretch_of(at), &tracked.connector, method);
            self.memory.tally(self.store, key)?.count(ended.failure, ended.latency_ms);
        }
        Ok(())
    }

    fn deadline(&mut self, before: Option<(Date, String)>, after: &Tracked) -> Result<(), ViewError> {
        let after = risk_of(after);
        if before == after {
            return Ok(());
        }
        for (risk, more) in [(before, false), (after, true)] {
            if let Some((last_day, connector)) = risk {
                self.memory.count_deadline(self.store, (last_day, &connector), more)?;
            }
        }
        Ok(())
    }

    fn maker_event(&mut self, event: &MakerEvent, place: usize, stored: &StoredMaker) -> Result<(), ViewError> {
        let (at, connector) = (stored.record.at, stored.connector.clone());
        if let Some((method, reason)) = listed::circuit_change(event) {
            let (event, actor) = (event.name().to_owned(), stored.record.actor.to_string());
            let key = List::Circuits.key(at, &keys::event_of(stored.sequence, place));
            let row = CircuitRow { connector, method, event, actor, reason };
            self.memory.list(List::Circuits, key, super::encode(&row)?);
            return Ok(());
        }
        match event {
            MakerEvent::HealthChecked(checked) => {
                let key = List::Health.key(at, &keys::event_of(stored.sequence, place));
                let row = HealthRow { connector, state: checked.state, detail: listed::found(checked) };
                self.memory.list(List::Health, key, super::encode(&row)?);
            }
            MakerEvent::IncidentOpened(opened) => {
                let key = List::Incidents.key(at, connector.as_bytes());
                let row = IncidentRow { until_us: None, state: opened.state, detail: opened.detail.clone() };
                self.memory.list(List::Incidents, key, super::encode(&row)?);
            }
            MakerEvent::IncidentClosed(closed) => self.incident_closed(closed, &connector, at)?,
            MakerEvent::CircuitOpened(_)
            | MakerEvent::CircuitHalfOpened(_)
            | MakerEvent::CircuitClosed(_)
            | MakerEvent::CircuitForced(_)
            | MakerEvent::CircuitReleased(_)
            | MakerEvent::Paused(_)
            | MakerEvent::Resumed(_)
            | MakerEvent::AlertRaised(_)
            | MakerEvent::AlertCleared(_)
            | MakerEvent::OperatorsMailed(_) => {}
        }
        Ok(())
    }

    fn incident_closed(&mut self, closed: &IncidentClosed, connector: &str, at: Timestamp) -> Result<(), ViewError> {
        let key = List::Incidents.key(closed.opened_at, connector.as_bytes());
        // one that was dropped because it is too old stays so
        if let Some(value) = self.memory.listed(self.store, &key)? {
            let row: IncidentRow = super::decode(&value)?;
            let row = IncidentRow { until_us: Some(at.0), ..row };
            self.memory.listed.insert(key, super::encode(&row)?);
        }
        Ok(())
    }
}

/// The end of an attempt.
struct Ended {
    attempt: u32,
    /// Nothing when it went well.
    failure: Option<ErrorKind>,
    latency_ms: u32,
}

fn ended(event: &Event) -> Option<Ended> {
    match event {
        Event::AttemptSucceeded(done) => {
            Some(Ended { attempt: done.attempt, failure: None, latency_ms: done.latency_ms })
        }
        Event::AttemptFailed(failed) => {
            Some(Ended { attempt: failed.attempt, failure: Some(failed.kind), latency_ms: failed.latency_ms })
        }
        Event::Submitted(_)
        | Event::Dispatched(_)
        | Event::AttemptStarted(_)
        | Event::RetryScheduled(_)
        | Event::RegistrationSucceeded(_)
        | Event::OutcomeUnknown(_)
        | Event::ManualRequired(_)
        | Event::PacketSent(_)
        | Event::PacketFailed(_)
        | Event::UserCompleted(_)
        | Event::CorrectionNeeded(_)
        | Event::Corrected(_)
        | Event::RetryRequested(_)
        | Event::Cancelled(_)
        | Event::Held(_)
        | Event::MethodSkipped(_)
        | Event::MakerThrottled(_)
        | Event::AttemptRepeated(_)
        | Event::LookupScheduled(_)
        | Event::FoundUnregistered(_)
        | Event::LookupGivenUp(_)
        | Event::DeadlineNear(_)
        | Event::Expired(_)
        | Event::LeftInDoubt(_)
        | Event::OwnerMailed(_)
        | Event::OwnerMailFailed(_)
        | Event::PacketOpened(_)
        | Event::PersonForgotten(_)
        | Event::PersonErased(_) => None,
    }
}

/// Takes in the end of an attempt without counting it.
pub(crate) fn land(event: &Event, tracked: &mut Tracked) {
    if let Some(ended) = ended(event) {
        let _ended_now = tracked.landed(ended.attempt);
    }
}

fn risk_of(tracked: &Tracked) -> Option<(Date, String)> {
    Some((tracked.risk()?, tracked.connector.clone()))
}
