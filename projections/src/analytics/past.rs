//! The analytics as they were: the fold of the view with no store behind it.

use events::{RegistrationId, Stored, StoredMaker};

use super::fold::Fold;
use super::memory::Memory;
use super::query::{Metrics, MetricsError, MetricsFilter, Query, Window};
use super::retention;
use super::saved::Saved;
use super::tracked::{Funnel, Tracked};
use crate::error::ViewError;
use crate::store::Store;

/// Tallies of minutes, hours and days, and what is open.
pub(crate) struct PastAnalytics {
    memory: Memory,
    store: Store,
}

impl PastAnalytics {
    pub(crate) fn new() -> Self {
        Self { memory: Memory::new(Saved::nothing(0)), store: Store::nothing() }
    }

    pub(crate) fn registration(&mut self, stored: &Stored) -> Result<(), ViewError> {
        Fold { memory: &mut self.memory, store: &self.store }.registration(stored)
    }

    pub(crate) fn maker(&mut self, stored: &StoredMaker) -> Result<(), ViewError> {
        Fold { memory: &mut self.memory, store: &self.store }.maker(stored)?;
        // the lists are not asked for
        self.memory.listed.clear();
        Ok(())
    }

    /// Remembers again what was forgotten of a registration, from its records so far; nothing is counted twice.
    pub(crate) fn recall(&mut self, id: RegistrationId, before: &[Stored]) {
        if self.memory.knows(id) {
            return;
        }
        let (mut tracked, mut counted_before) = (Tracked::default(), Funnel::default());
        for event in before.iter().flat_map(|stored| &stored.record.events) {
            tracked.apply(event, &mut counted_before);
            super::fold::land(event, &mut tracked);
        }
        // one that is over is forgotten by the view as well
        if !tracked.over {
            self.memory.keep(id, tracked);
        }
    }

    pub(crate) fn forget(&mut self, id: RegistrationId) {
        self.memory.forget(id);
    }

    /// Drops tallies that the view would have dropped.
    pub(crate) fn forget_old(&mut self) {
        retention::forget_old(&mut self.memory);
    }

    pub(crate) fn metrics(&self, window: Window, filter: &MetricsFilter) -> Result<Metrics, MetricsError> {
        Query { memory: &self.memory, store: &self.store }.metrics(window, filter)
    }

    pub(crate) const fn funnel(&self) -> Funnel {
        self.memory.saved.funnel
    }
}
