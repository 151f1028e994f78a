//! All makers as the log tells them: records of registrations and of makers come in, in the order of the log.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::circuit::AttemptKey;
use crate::event::Event;
use crate::id::RegistrationId;
use crate::maker::Maker;
use crate::policy::MakerPolicy;
use crate::record::{Stored, StoredMaker};
use crate::words::Method;

/// Which maker, in [`Guards`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MakerIndex(pub u32);

/// The fold.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Guards {
    makers: Vec<Maker>,
    #[serde(skip)]
    index: HashMap<String, MakerIndex>,
    /// Attempts without an outcome.
    flights: HashMap<RegistrationId, Flight>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Flight {
    maker: MakerIndex,
    method: Method,
    attempt: u32,
}

impl Guards {
    /// Guards of the makers of a catalog.
    pub fn new<'a>(policies: impl IntoIterator<Item = (&'a str, MakerPolicy)>) -> Self {
        let mut guards = Self::default();
        for (connector, policy) in policies {
            guards.add(connector, policy);
        }
        guards
    }

    /// Guards that were read from a snapshot, with the policies that hold now.
    pub(crate) fn with_policies<'a>(mut self, policies: impl IntoIterator<Item = (&'a str, MakerPolicy)>) -> Self {
        let places = (0..).map(MakerIndex);
        self.index = self.makers.iter().map(|maker| maker.connector.clone()).zip(places).collect();
        for (connector, policy) in policies {
            let index = self.index_of(connector);
            self.change(index).policy = policy;
        }
        self
    }

    fn add(&mut self, connector: &str, policy: MakerPolicy) -> MakerIndex {
        let index = MakerIndex(u32::try_from(self.makers.len()).unwrap_or(u32::MAX));
        self.makers.push(Maker::new(connector, policy));
        self.index.insert(connector.to_owned(), index);
        index
    }

    /// The maker of a connector; one that has left the catalog is treated as others are by default.
    pub fn index_of(&mut self, connector: &str) -> MakerIndex {
        match self.index.get(connector) {
            Some(index) => *index,
            None => self.add(connector, MakerPolicy::default()),
        }
    }

    /// The maker of a connector, if it is known.
    #[must_use]
    pub fn find(&self, connector: &str) -> Option<&Maker> {
        self.index.get(connector).map(|index| self.maker(*index))
    }

    /// A maker.
    ///
    /// # Panics
    /// When the index is of other guards.
    #[must_use]
    pub fn maker(&self, index: MakerIndex) -> &Maker {
        &self.makers[index.0 as usize]
    }

    /// All of them.
    pub fn makers(&self) -> impl Iterator<Item = (MakerIndex, &Maker)> {
        (0..).map(MakerIndex).zip(&self.makers)
    }

    /// Attempts with a maker's method that have no outcome yet.
    #[must_use]
    pub fn under_way(&self, maker: MakerIndex, method: Method) -> u32 {
        let flights = self.flights.values().filter(|flight| flight.maker == maker && flight.method == method);
        u32::try_from(flights.count()).unwrap_or(u32::MAX)
    }

    /// Takes in a record of a registration. Tells the maker whose attempt it is about, if it is about one.
    pub fn take(&mut self, stored: &Stored) -> Option<MakerIndex> {
        let mut about = None;
        for event in &stored.record.events {
            self.event(event, stored, &mut about);
        }
        about
    }

    /// Takes in a record of a maker.
    pub fn take_maker(&mut self, stored: &StoredMaker) -> MakerIndex {
        let index = self.index_of(&stored.connector);
        self.change(index).apply(stored);
        index
    }

    fn event(&mut self, event: &Event, stored: &Stored, about: &mut Option<MakerIndex>) {
        let (id, at) = (stored.registration, stored.record.at);
        match event {
            // written before connectors stood in it: nothing can be counted
            Event::AttemptStarted(started) if started.connector.is_empty() => {}
            Event::AttemptStarted(started) => {
                let (maker, method, attempt) = (self.index_of(&started.connector), started.method, started.attempt);
                self.flights.insert(id, Flight { maker, method, attempt });
                self.change(maker).on_started(method, AttemptKey { registration: id, attempt }, at);
                *about = Some(maker);
            }
            Event::AttemptRepeated(_) => {
                *about = self.flights.get(&id).map(|flight| flight.maker);
                about.iter().for_each(|maker| self.change(*maker).on_repeated(at));
            }
            Event::AttemptSucceeded(ended) => {
                if let Some((flight, key)) = self.landed(id, ended.attempt) {
                    self.change(flight.maker).on_success(flight.method, key, ended.latency_ms, at);
                    *about = Some(flight.maker);
                }
            }
            Event::AttemptFailed(ended) => {
                if let Some((flight, key)) = self.landed(id, ended.attempt) {
                    self.change(flight.maker).on_failure(flight.method, key, ended.kind, ended.latency_ms, at);
                    *about = Some(flight.maker);
                }
            }
            // stands behind the failure in the same record
            Event::MakerThrottled(throttled) => {
                about.iter().for_each(|maker| self.change(*maker).bucket.throttle(throttled.until));
            }
            Event::Submitted(_)
            | Event::Dispatched(_)
            | Event::RetryScheduled(_)
            | Event::RegistrationSucceeded(_)
            | Event::OutcomeUnknown(_)
            | Event::ManualRequired(_)
            | Event::PacketSent(_)
            | Event::PacketFailed(_)
            | Event::OwnerMailed(_)
            | Event::OwnerMailFailed(_)
            | Event::UserCompleted(_)
            | Event::CorrectionNeeded(_)
            | Event::Corrected(_)
            | Event::RetryRequested(_)
            | Event::Cancelled(_)
            | Event::Held(_)
            | Event::MethodSkipped(_)
            | Event::LookupScheduled(_)
            | Event::FoundUnregistered(_)
            | Event::LookupGivenUp(_)
            | Event::DeadlineNear(_)
            | Event::Expired(_)
            | Event::LeftInDoubt(_)
            | Event::PacketOpened(_)
            | Event::PersonForgotten(_)
            | Event::PersonErased(_) => {}
        }
    }

    fn change(&mut self, maker: MakerIndex) -> &mut Maker {
        &mut self.makers[maker.0 as usize]
    }

    /// The attempt that ended was under way; it is no longer.
    fn landed(&mut self, id: RegistrationId, attempt: u32) -> Option<(Flight, AttemptKey)> {
        let flight = *self.flights.get(&id).filter(|flight| flight.attempt == attempt)?;
        self.flights.remove(&id);
        Some((flight, AttemptKey { registration: id, attempt }))
    }
}
