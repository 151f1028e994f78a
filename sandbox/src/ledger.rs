//! The ledger: what the makers received and how they answered, so that a test can count who was registered twice.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

use crate::maker::Maker;

/// The oldest entry goes when one more than this arrives.
pub const ENTRIES_MAX: usize = 200_000;
/// Only this many of the newest entries keep the fields that were received.
pub const ENTRIES_WITH_FIELDS_MAX: usize = 10_000;

/// How a registration reached the maker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// By the maker's API.
    Api,
    /// By the maker's web form.
    Form,
}

/// One request that a maker received.
#[derive(Clone, Debug, Serialize)]
pub struct Entry {
    /// The maker's slug.
    pub maker: &'static str,
    /// API or form.
    pub method: Method,
    /// The serial number as it was sent; empty when none was.
    pub serial: Box<str>,
    /// True for the one request that registered the product; false for refusals, duplicates, repeats and earlier steps.
    pub accepted: bool,
    /// The HTTP status that the maker answered; 0 when it closed the connection or hung.
    pub status: u16,
    /// The confirmation code, for an accepted request, a repeat or a duplicate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirmation: Option<Box<str>>,
    /// When the maker decided.
    pub at: Timestamp,
    /// The `Idempotency-Key` header, or the maker's own field for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idempotency_key: Option<Box<str>>,
    /// Everything that was received; null in old entries and when bodies are not recorded.
    pub fields: Value,
}

/// Which entries are asked for.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this maker's, by slug.
    pub maker: Option<String>,
    /// Only this serial's.
    pub serial: Option<String>,
}

impl Filter {
    /// The entries of one product.
    pub fn product(maker: Maker, serial: &str) -> Self {
        Filter { maker: Some(maker.slug().to_owned()), serial: Some(serial.to_owned()) }
    }

    fn matches(&self, entry: &Entry) -> bool {
        self.maker.as_deref().is_none_or(|slug| slug == entry.maker)
            && self.serial.as_deref().is_none_or(|serial| serial == &*entry.serial)
    }
}

/// How many entries there are, of a filter or in all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// All entries.
    pub total: usize,
    /// Those that registered a product.
    pub accepted: usize,
}

/// A bounded list of entries, newest last.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: Mutex<VecDeque<Entry>>,
}

impl Ledger {
    pub(crate) fn record(&self, entry: Entry) {
        let mut entries = self.lock();
        entries.push_back(entry);
        if let Some(index) = entries.len().checked_sub(ENTRIES_WITH_FIELDS_MAX + 1) {
            entries[index].fields = Value::Null;
        }
        if entries.len() > ENTRIES_MAX {
            entries.pop_front();
        }
    }

    /// The newest entries that match, at most `limit`, oldest of them first.
    pub fn entries(&self, filter: &Filter, limit: usize) -> Vec<Entry> {
        let mut found: Vec<Entry> =
            self.lock().iter().rev().filter(|entry| filter.matches(entry)).take(limit).cloned().collect();
        found.reverse();
        found
    }

    /// How many entries match.
    pub fn count(&self, filter: &Filter) -> Count {
        self.lock().iter().filter(|entry| filter.matches(entry)).fold(Count::default(), |count, entry| Count {
            total: count.total + 1,
            accepted: count.accepted + usize::from(entry.accepted),
        })
    }

    /// Forgets all entries. Products stay registered.
    pub fn clear(&self) {
        self.lock().clear();
    }

    // A panic elsewhere cannot leave the deque half-written, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn entry(maker: Maker, serial: &str, accepted: bool) -> Entry {
        Entry {
            maker: maker.slug(),
            method: Method::Api,
            serial: serial.into(),
            accepted,
            status: 201,
            confirmation: None,
            at: Timestamp::UNIX_EPOCH,
            idempotency_key: None,
            fields: json!({ "serial": serial }),
        }
    }

    #[test]
    fn a_filter_finds_the_entries_of_one_product_in_their_order() {
        let ledger = Ledger::default();
        ledger.record(entry(Maker::Aurora, "A", true));
        ledger.record(entry(Maker::Kestrel, "A", true));
        ledger.record(entry(Maker::Aurora, "A", false));
        ledger.record(entry(Maker::Aurora, "B", true));
        let filter = Filter::product(Maker::Aurora, "A");
        let accepted: Vec<bool> = ledger.entries(&filter, 10).iter().map(|entry| entry.accepted).collect();
        assert_eq!(accepted, [true, false]);
        assert_eq!(ledger.count(&filter), Count { total: 2, accepted: 1 });
    }

    #[test]
    fn only_the_newest_entries_keep_their_fields() {
        let ledger = Ledger::default();
        for _ in 0..=ENTRIES_WITH_FIELDS_MAX {
            ledger.record(entry(Maker::Aurora, "A", true));
        }
        let entries = ledger.entries(&Filter::default(), usize::MAX);
        assert!(entries[0].fields.is_null());
        assert!(entries[1..].iter().all(|entry| entry.fields.is_object()));
    }

    #[test]
    fn the_oldest_entry_goes_when_the_ring_is_full() {
        let ledger = Ledger::default();
        ledger.record(entry(Maker::Aurora, "first", true));
        for _ in 0..ENTRIES_MAX {
            ledger.record(entry(Maker::Aurora, "later", true));
        }
        assert_eq!(ledger.count(&Filter::default()).total, ENTRIES_MAX);
        assert_eq!(ledger.count(&Filter::product(Maker::Aurora, "first")).total, 0);
    }
}
