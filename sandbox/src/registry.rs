//! What a maker remembers: which serials are registered, and which idempotency key asked for which of them.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;

/// A maker forgets its oldest product when one more than this is registered.
pub(crate) const PRODUCTS_MAX: usize = 500_000;

/// A product that a maker has registered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Registration {
    pub confirmation: Box<str>,
    pub purchased: Date,
}

/// What became of one wish to register.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// Registered just now.
    First(Registration),
    /// This very request was registered before: the key is known, the answer is the same again.
    Repeat(Registration),
    /// Somebody registered this serial before.
    Taken(Registration),
}

/// One maker's memory.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    books: Mutex<Books>,
}

#[derive(Debug, Default)]
struct Books {
    products: HashMap<Box<str>, Registration>,
    serial_by_key: HashMap<Box<str>, Box<str>>,
    /// Oldest first, with the key that came along, so that both maps stay bounded.
    order: VecDeque<(Box<str>, Option<Box<str>>)>,
}

impl Registry {
    /// Registers `serial` unless it, or the key, is known. `make` is called for a new one only.
    pub(crate) fn claim(&self, serial: &str, key: Option<&str>, make: impl FnOnce() -> Registration) -> Claim {
        // The maps are never left half-written by a panic that could be caught, so a poisoned lock is still good.
        let mut books = self.books.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = key.and_then(|key| books.by_key(key)) {
            return Claim::Repeat(known.clone());
        }
        if let Some(known) = books.products.get(serial) {
            return Claim::Taken(known.clone());
        }
        let registration = make();
        books.enter(serial.into(), key.map(Into::into), registration.clone());
        Claim::First(registration)
    }

    pub(crate) fn find(&self, serial: &str) -> Option<Registration> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner).products.get(serial).cloned()
    }
}

impl Books {
    fn by_key(&self, key: &str) -> Option<&Registration> {
        self.products.get(self.serial_by_key.get(key)?)
    }

    fn enter(&mut self, serial: Box<str>, key: Option<Box<str>>, registration: Registration) {
        if self.order.len() >= PRODUCTS_MAX {
            self.forget_oldest();
        }
        if let Some(key) = &key {
            self.serial_by_key.insert(key.clone(), serial.clone());
        }
        self.products.insert(serial.clone(), registration);
        self.order.push_back((serial, key));
    }

    fn forget_oldest(&mut self) {
        if let Some((serial, key)) = self.order.pop_front() {
            self.products.remove(&serial);
            if let Some(key) = key {
                self.serial_by_key.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration(confirmation: &str) -> Registration {
        Registration { confirmation: confirmation.into(), purchased: jiff::civil::date(2026, 10, 1) }
    }

    #[test]
    fn a_serial_is_registered_once() {
        let registry = Registry::default();
        assert_eq!(registry.claim("S1", None, || registration("C1")), Claim::First(registration("C1")));
        assert_eq!(registry.claim("S1", None, || registration("C2")), Claim::Taken(registration("C1")));
    }

    #[test]
    fn the_same_key_gets_the_same_answer_and_another_key_does_not() {
        let registry = Registry::default();
        registry.claim("S1", Some("k1"), || registration("C1"));
        assert_eq!(registry.claim("S1", Some("k1"), || registration("C2")), Claim::Repeat(registration("C1")));
        assert_eq!(registry.claim("S2", Some("k1"), || registration("C2")), Claim::Repeat(registration("C1")));
        assert_eq!(registry.claim("S1", Some("k2"), || registration("C2")), Claim::Taken(registration("C1")));
        assert_eq!(registry.find("S2"), None);
    }
}
