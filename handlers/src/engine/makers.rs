//! Makers at work: what their circuits ask to be stored, their rounds of health checks, and mail to operators.

use std::collections::HashMap;
use std::time::Duration;

use events::maker_event::OperatorsMailed;
use events::vitals;
use events::{Actor, MakerEvent, MakerIndex, Sequence, Timestamp};

use super::{Checks, Engine, MakerSet, STALL_PAUSE, Task};
use crate::driver::Drove;
use crate::journal;
use crate::{alert, health_check};

/// Pause after operators could not be mailed.
const MAIL_PAUSE: Duration = Duration::from_secs(60);
/// Makers that are checked at once: a check may need a browser.
const CHECKS_MAX: usize = 2;

/// What is under way for makers.
#[derive(Default)]
pub(super) struct Desk {
    /// Something about them changed, or will by time alone.
    pub(super) restless: MakerSet,
    /// The lease was taken and the log is not folded up to there yet.
    pub(super) taken_over: bool,
    /// A record is on its way; when its sequence is known, until it is folded.
    writing: HashMap<MakerIndex, Option<Sequence>>,
    /// Not before: the last try failed.
    paused: HashMap<MakerIndex, Timestamp>,
    /// Operators are not mailed before: the last try failed.
    mail_paused: HashMap<MakerIndex, Timestamp>,
    checking: MakerSet,
    checked: HashMap<MakerIndex, Checks>,
    mailing: MakerSet,
    /// Mailed, and not stored yet.
    mailed: HashMap<MakerIndex, Sequence>,
}

impl Desk {
    /// A record was stored at `sequence`, or not at all: then the facts are decided again after a pause.
    pub(super) fn written(&mut self, maker: MakerIndex, sequence: Option<Sequence>, now: Timestamp) {
        if sequence.is_some() {
            self.writing.insert(maker, sequence);
        } else {
            self.lost(maker, now);
        }
        self.restless.insert(maker);
    }

    /// A task about the maker ended early.
    pub(super) fn lost(&mut self, maker: MakerIndex, now: Timestamp) {
        self.writing.remove(&maker);
        self.checking.remove(&maker);
        self.mailing.remove(&maker);
        self.paused.insert(maker, now.plus(STALL_PAUSE));
    }

    pub(super) fn checked(&mut self, maker: MakerIndex, checks: Checks) {
        self.checking.remove(&maker);
        self.checked.insert(maker, checks);
        self.restless.insert(maker);
    }

    pub(super) fn mailed(&mut self, maker: MakerIndex, of: Option<Sequence>, now: Timestamp) {
        self.mailing.remove(&maker);
        self.restless.insert(maker);
        match of {
            Some(sequence) => drop(self.mailed.insert(maker, sequence)),
            None => drop(self.mail_paused.insert(maker, now.plus(MAIL_PAUSE))),
        }
    }
}

impl Engine {
    pub(super) fn see_to_makers(&mut self, now: Timestamp) {
        self.start_checks(now);
        let restless: Vec<_> = self.makers.restless.iter().copied().collect();
        for index in restless {
            if self.is_calm(index, now) {
                self.makers.restless.remove(&index);
            }
        }
    }

    /// Does what is due for one maker; true when nothing is, and only time or the log can change that.
    fn is_calm(&mut self, index: MakerIndex, now: Timestamp) -> bool {
        let folded = self.turns.guards.maker(index).last.map_or(0, |link| link.sequence);
        match self.makers.writing.get(&index) {
            Some(Some(sequence)) if *sequence <= folded => drop(self.makers.writing.remove(&index)),
            Some(_) => return false,
            None => {}
        }
        if self.makers.paused.get(&index).is_some_and(|until| *until > now) {
            return false;
        }
        self.makers.paused.remove(&index);
        let mailed = self.mail_operators(index, now);
        let events = self.facts(index, now);
        let calm = events.is_empty();
        if !calm {
            self.write_of_maker(index, events);
        }
        calm && mailed && self.turns.guards.maker(index).next_change().is_none()
    }

    /// The facts that must be stored now.
    fn facts(&mut self, index: MakerIndex, now: Timestamp) -> Vec<MakerEvent> {
        let maker = self.turns.guards.maker(index);
        let mut events = maker.due(now);
        if let Some((api, form)) = self.makers.checked.remove(&index) {
            events.extend(vitals::round(maker, api, form, now));
        }
        let unmailed = maker.unmailed().map(|(sequence, _)| sequence);
        match self.makers.mailed.get(&index) {
            Some(of) if unmailed == Some(*of) => events.push(OperatorsMailed { of: *of }.into()),
            // it is in the log
            Some(_) => drop(self.makers.mailed.remove(&index)),
            None => {}
        }
        events
    }

    fn write_of_maker(&mut self, index: MakerIndex, events: Vec<MakerEvent>) {
        let maker = self.turns.guards.maker(index);
        let (world, connector) = (self.world.clone(), maker.connector.clone());
        let behind = (maker.last, maker.last_record);
        for event in events.iter().filter(|event| !matches!(event, MakerEvent::HealthChecked(_))) {
            tracing::info!(connector, event = event.name(), "a fact about a maker is stored");
        }
        self.makers.writing.insert(index, None);
        let task = self.tasks.spawn(async move {
            match journal::record_of_maker(&world, &connector, behind, events, Actor::System).await {
                Ok(link) => Drove::Written(index, Some(link.sequence)),
                Err(error) => {
                    tracing::warn!(connector, %error, "a fact about a maker is not stored, deciding again soon");
                    Drove::Written(index, None)
                }
            }
        });
        self.under_way.insert(task.id(), Task::Maker(index));
    }

    fn start_checks(&mut self, now: Timestamp) {
        let due: Vec<_> = self.due_for_a_check(now).collect();
        for index in due {
            if self.makers.checking.len() >= CHECKS_MAX {
                return;
            }
            let (world, connector) = (self.world.clone(), self.turns.guards.maker(index).connector.clone());
            self.makers.checking.insert(index);
            let task = self.tasks.spawn(async move {
                let (api, form) = health_check::check(&world, &connector).await;
                Drove::Checked(index, api, form)
            });
            self.under_way.insert(task.id(), Task::Maker(index));
        }
    }

    fn due_for_a_check(&self, now: Timestamp) -> impl Iterator<Item = MakerIndex> {
        let free = |index: &MakerIndex| {
            !self.makers.checking.contains(index)
                && !self.makers.checked.contains_key(index)
                && !self.makers.writing.contains_key(index)
        };
        let makers = self.turns.guards.makers().map(|(index, _)| index).filter(free);
        makers.filter(move |index| self.next_check(*index).is_some_and(|at| at <= now))
    }

    /// When a maker is checked next; nothing when there is nothing to check and nothing to judge.
    pub(super) fn next_check(&self, index: MakerIndex) -> Option<Timestamp> {
        let maker = self.turns.guards.maker(index);
        let connector = self.world.catalog.get(&maker.connector)?;
        if !health_check::can_check(connector) && maker.vitals.is_idle() {
            return None;
        }
        Some(maker.next_check().unwrap_or_else(|| self.live_since.plus(maker.first_check_after())))
    }

    /// When time alone asks for something about a maker.
    pub(super) fn next_of_makers(&self, now: Timestamp) -> Option<Timestamp> {
        let changes = self.makers.restless.iter().filter_map(|index| self.turns.guards.maker(*index).next_change());
        let pauses = self.makers.paused.values().chain(self.makers.mail_paused.values()).copied();
        let can_check = self.makers.checking.len() < CHECKS_MAX;
        let checks = self.turns.guards.makers().filter_map(|(index, _)| {
            (can_check && !self.makers.checking.contains(&index)).then(|| self.next_check(index)).flatten()
        });
        changes.chain(pauses).chain(checks).filter(|at| *at > now).min()
    }

    /// Tells operators of what they were not told yet; true when there is nothing of the kind.
    fn mail_operators(&mut self, index: MakerIndex, now: Timestamp) -> bool {
        let (operators, maker) = (&self.world.options.operators, self.turns.guards.maker(index));
        let Some((sequence, told)) = maker.unmailed().filter(|_| !operators.is_empty()) else { return true };
        let busy = self.makers.mailing.contains(&index) || self.makers.mailed.contains_key(&index);
        if busy || self.makers.mail_paused.get(&index).is_some_and(|until| *until > now) {
            return false;
        }
        self.makers.mail_paused.remove(&index);
        let (world, connector, told) = (self.world.clone(), maker.connector.clone(), told.to_vec());
        self.makers.mailing.insert(index);
        let task = self.tasks.spawn(async move {
            match alert::mail(&world, &connector, sequence, &told).await {
                Ok(()) => Drove::Mailed(index, Some(sequence)),
                Err(error) => {
                    tracing::warn!(connector, %error, "operators cannot be mailed, trying again later");
                    Drove::Mailed(index, None)
                }
            }
        });
        self.under_way.insert(task.id(), Task::Maker(index));
        false
    }
}
