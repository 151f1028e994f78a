//! How keys are spelt: one tree, the first byte says what an entry is, big-endian numbers keep the order.

use std::ops::Range;

use events::Sequence;

/// The one checkpoint.
pub(crate) const CHECKPOINT: &[u8] = b"c";

/// The rows of a stretch of the log.
pub(crate) fn block(number: u64) -> Vec<u8> {
    with_sequence(b"b", number)
}

/// Which statuses some blocks in a row hold.
pub(crate) fn marks(number: u64) -> Vec<u8> {
    with_sequence(b"s", number)
}

/// Pairs of the finder that stand in no partition yet.
pub(crate) fn journal(number: u64) -> Vec<u8> {
    with_sequence(b"j", number)
}

/// A run of pairs in a partition of the finder.
pub(crate) fn run(partition: u64, number: u32) -> Vec<u8> {
    let mut key = with_sequence(b"x", partition);
    key.extend_from_slice(&number.to_be_bytes());
    key
}

/// All runs of a partition.
pub(crate) fn runs(partition: u64) -> Range<Vec<u8>> {
    run(partition, 0)..run(partition, u32::MAX)
}

/// The number at the end of the key of a run.
pub(crate) fn number_of_run(key: &[u8]) -> Option<u32> {
    key.last_chunk().map(|last| u32::from_be_bytes(*last))
}

/// All rows of a maker.
pub(crate) fn maker(connector: &str) -> Vec<u8> {
    named(b'm', connector)
}

/// All rows of a tenant.
pub(crate) fn tenant(tenant: &str) -> Vec<u8> {
    named(b't', tenant)
}

/// Longer names share a prefix; lists look into the row in any case.
fn named(kind: u8, name: &str) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap_or(u8::MAX);
    let mut key = Vec::with_capacity(2 + usize::from(length));
    key.extend_from_slice(&[kind, length]);
    key.extend_from_slice(&name.as_bytes()[..usize::from(length)]);
    key
}

/// The rows whose owner's turn it is, by the reference that stands on their packet.
pub(crate) fn reference(reference: &str) -> Vec<u8> {
    [b"f", reference.as_bytes()].concat()
}

/// A key that ends in a sequence.
pub(crate) fn with_sequence(prefix: &[u8], sequence: Sequence) -> Vec<u8> {
    let mut key = Vec::with_capacity(prefix.len() + 8);
    key.extend_from_slice(prefix);
    key.extend_from_slice(&sequence.to_be_bytes());
    key
}

/// The sequence at the end of a key or in a value.
pub(crate) fn sequence_of(bytes: &[u8]) -> Option<Sequence> {
    bytes.last_chunk::<8>().map(|last| Sequence::from_be_bytes(*last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_one_kind_stand_in_the_order_of_their_sequences() {
        assert!(block(255) < block(256));
        assert_eq!(sequence_of(&block(256)), Some(256));
        assert_eq!(sequence_of(b"short"), None);
    }

    #[test]
    fn no_makers_and_no_tenants_rows_stand_among_those_of_another() {
        for index in [maker, tenant] {
            let [short, long] = ["a", "ab"].map(|name| with_sequence(&index(name), 7));
            assert!(!long.starts_with(&index("a")) && !short.starts_with(&index("ab")));
            assert_eq!(index(&"x".repeat(300)).len(), 2 + 255);
        }
        assert_ne!(maker("a"), tenant("a"));
    }
}
