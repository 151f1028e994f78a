//! How keys are spelt: one tree, the first byte says what an entry is, big-endian numbers keep the order.

use events::{RegistrationId, Sequence, Status};

/// The one checkpoint.
pub(crate) const CHECKPOINT: &[u8] = b"c";
/// Rows, by the sequence of their submission.
pub(crate) const ROWS: &[u8] = b"r";

/// The key of a row.
pub(crate) fn row(submission: Sequence) -> Vec<u8> {
    with_sequence(ROWS, submission)
}

/// Leads from an id to the sequence of its submission.
pub(crate) fn id(id: RegistrationId) -> [u8; 17] {
    let mut key = [b'i'; 17];
    key[1..].copy_from_slice(id.0.as_bytes());
    key
}

/// All rows of an owner.
pub(crate) fn owner(owner_ref: &[u8; 16]) -> [u8; 17] {
    let mut key = [b'o'; 17];
    key[1..].copy_from_slice(owner_ref);
    key
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
    let mut key = vec![kind, length];
    key.extend_from_slice(&name.as_bytes()[..usize::from(length)]);
    key
}

/// An index that holds all rows of a status, perhaps beside others. PENDING and PROCESSING share one, and there is none
/// for SUCCESS: most rows go that way, and each index costs them a write when they enter it and one when they leave.
pub(crate) fn status(status: Status) -> Option<[u8; 2]> {
    match status {
        Status::Success => None,
        Status::Pending | Status::Processing => Some([b's', Status::Processing.number()]),
        Status::Waiting
        | Status::OutcomeUnknown
        | Status::ManualRequired
        | Status::UserCompleted
        | Status::NeedsCorrection
        | Status::Cancelled
        | Status::Expired => Some([b's', status.number()]),
    }
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
        assert!(row(255) < row(256));
        assert_eq!(sequence_of(&row(256)), Some(256));
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
