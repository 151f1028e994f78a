//! What is to be replayed.

use std::collections::HashSet;

use bus::FollowItem;
use events::{Event, RegistrationId, Shard, Stored};

use crate::place::Moment;

/// Whose records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum About {
    /// All of them, also what cannot be read.
    #[default]
    Everything,
    /// Those of one registration.
    Registration {
        /// Which.
        id: RegistrationId,
        /// Its shard, if it is known; else it is looked for in all of them.
        shard: Option<Shard>,
    },
    /// Those of all registrations of one person.
    Person {
        /// Through whose service they came.
        tenant: String,
        /// The person's pseudonym there.
        owner_ref: [u8; 16],
        /// All of the person's registrations, if somebody knows them; else the log is read from its begin.
        known: Option<Vec<(Shard, RegistrationId)>>,
    },
    /// Those of one maker.
    Maker {
        /// Its connector.
        connector: String,
        /// Those of its registrations as well, not only its own.
        with_registrations: bool,
    },
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Wish {
    /// Whose.
    pub about: About,
    /// The first; from the first of all when absent.
    pub from: Option<Moment>,
    /// The last; up to the end of the log as it is at the beginning when absent.
    pub until: Option<Moment>,
}

/// Tells wanted records from others, in the order of the log from its first record on.
#[derive(Debug)]
pub(crate) struct Sieve {
    about: About,
    /// Registrations that are wanted: some 20 bytes each, only those of the person or the maker.
    ids: HashSet<RegistrationId>,
}

impl Sieve {
    pub(crate) fn new(about: About) -> Self {
        Self { about, ids: HashSet::new() }
    }

    /// Whether it must see everything before what is wanted, because only a first record says whose it is.
    pub(crate) const fn looks_back(&self) -> bool {
        match self.about {
            About::Everything | About::Registration { .. } | About::Maker { with_registrations: false, .. } => false,
            About::Person { .. } | About::Maker { with_registrations: true, .. } => true,
        }
    }

    pub(crate) fn wants(&mut self, item: &FollowItem) -> bool {
        match item {
            FollowItem::Record(stored) => self.wants_record(stored),
            FollowItem::Maker(stored) => match &self.about {
                About::Everything => true,
                About::Maker { connector, .. } => *connector == stored.connector,
                About::Registration { .. } | About::Person { .. } => false,
            },
            FollowItem::Unreadable { .. } => self.about == About::Everything,
        }
    }

    fn wants_record(&mut self, stored: &Stored) -> bool {
        match &self.about {
            About::Everything => return true,
            About::Registration { id, .. } => return stored.registration == *id,
            About::Maker { with_registrations: false, .. } => return false,
            About::Person { .. } | About::Maker { with_registrations: true, .. } => {}
        }
        if let Some(Event::Submitted(submitted)) = stored.record.events.first() {
            let is_wanted = match &self.about {
                About::Person { tenant, owner_ref, .. } => {
                    submitted.tenant == *tenant && submitted.owner_ref == *owner_ref
                }
                About::Maker { connector, .. } => submitted.connector == *connector,
                About::Everything | About::Registration { .. } => false,
            };
            if is_wanted {
                self.ids.insert(stored.registration);
            }
            return is_wanted;
        }
        self.ids.contains(&stored.registration)
    }
}
