//! What a view holds, small enough to be compared: a view must be what a fresh fold of the same records comes to.

use crate::checkpoint::Checkpoint;

/// What a view held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Which records it had taken in.
    pub checkpoint: Checkpoint,
    /// A row each, or a kind of entry each, in the order of their keys.
    pub parts: Vec<Part>,
}

/// A part of what a view holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// What it is, in a word or two.
    pub what: &'static str,
    /// Of a row: the sequence of its submission; else 0.
    pub key: u64,
    /// BLAKE3 of its bytes.
    pub hash: [u8; 32],
}

impl Part {
    /// The hash of texts of bytes, each with its length before it.
    pub(crate) fn hash_of(texts: &[&[u8]]) -> [u8; 32] {
        let mut hasher = blake3::Hasher::new();
        for text in texts {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text);
        }
        *hasher.finalize().as_bytes()
    }
}

impl Fingerprint {
    /// The first part that differs in `other`, of either; nothing when all parts are the same.
    #[must_use]
    pub fn first_difference(&self, other: &Self) -> Option<Part> {
        let longer = if self.parts.len() > other.parts.len() { &self.parts } else { &other.parts };
        let differs = self.parts.iter().zip(&other.parts).find(|(one, two)| one != two);
        match differs {
            Some((one, two)) => Some(if one.key <= two.key { *one } else { *two }),
            None => longer.get(self.parts.len().min(other.parts.len())).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(rows: &[(u64, u8)]) -> Fingerprint {
        let part = |(key, byte): &(u64, u8)| Part { what: "row", key: *key, hash: [*byte; 32] };
        Fingerprint { checkpoint: Checkpoint::nothing_seen(1), parts: rows.iter().map(part).collect() }
    }

    #[test]
    fn the_first_row_that_one_of_them_has_otherwise_or_alone_is_named() {
        let base = of(&[(1, 1), (4, 4), (7, 7)]);
        assert_eq!(base.first_difference(&base), None);
        for (other, key) in [(of(&[(1, 1), (4, 9), (7, 7)]), 4), (of(&[(1, 1), (7, 7)]), 4), (of(&[(1, 1), (4, 4)]), 7)]
        {
            let named = |part: Option<Part>| part.map(|part| part.key);
            assert_eq!(
                (named(base.first_difference(&other)), named(other.first_difference(&base))),
                (Some(key), Some(key))
            );
        }
    }
}
