//! The log as a transparency log: one leaf a message, the Merkle tree of RFC 6962 over all leaves, and a signed head
//! (c2sp.org/tlog-checkpoint). Whoever holds a head can tell later whether the log still begins as it did then.
//!
//! A leaf binds place, payload and subject of a message, and can be computed from a link alone: that a record names the
//! right predecessor is checked against the tree, without the predecessor's bytes.

use std::fmt;

use tlog_tiles::{Checkpoint, EMPTY_HASH, Hash, node_hash, record_hash};

use crate::id::Sequence;
use crate::note::{NoteError, NoteSigner, NoteVerifier};
use crate::record::RecordHash;
use crate::time::Timestamp;

/// Bytes of a node of the tree.
pub const NODE_BYTES: usize = 32;
/// The line of a head that says in which stream the log stands.
const INCARNATION: &str = "incarnation ";
/// The line that counts how often an operator accepted a log that was not the one before.
const ERA: &str = "era ";
/// The line with the time of the head, microseconds since 1970.
const AT: &str = "at ";

/// A leaf, an inner node or the root of the tree (SHA-256).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Node(pub [u8; NODE_BYTES]);

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(&self.0[..8]))
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// The leaf of the message at `sequence` on `subject` whose payload hashes to `payload` (BLAKE3):
/// SHA-256 of 0, the sequence (8 bytes, big-endian), the payload's hash (32 bytes) and the subject.
#[must_use]
pub fn leaf(subject: &str, sequence: Sequence, payload: RecordHash) -> Node {
    let mut data = Vec::with_capacity(8 + 32 + subject.len());
    data.extend_from_slice(&sequence.to_be_bytes());
    data.extend_from_slice(&payload.0);
    data.extend_from_slice(subject.as_bytes());
    Node(record_hash(&data).0)
}

/// Where the leaf of a sequence stands among the stored nodes: nodes are stored in the order in which they become complete,
/// so that a tree only ever grows at its end (`stored_hash_index` of Go's and Cloudflare's tlog).
#[must_use]
pub fn place_of_leaf(sequence: Sequence) -> u64 {
    tlog_tiles::stored_hash_index(0, sequence.saturating_sub(1))
}

/// How many nodes are stored for a tree of `size` leaves.
#[must_use]
pub fn nodes_of(size: u64) -> u64 {
    tlog_tiles::stored_hash_count(size)
}

/// The size of the largest tree that has all its nodes among `nodes` stored ones.
#[must_use]
pub fn size_of(nodes: u64) -> u64 {
    // a tree of n leaves has at least n and fewer than 2 n nodes
    let (mut fits, mut too_many) = (0, nodes.saturating_add(1));
    while too_many - fits > 1 {
        let middle = fits + (too_many - fits) / 2;
        if nodes_of(middle) <= nodes { fits = middle } else { too_many = middle }
    }
    fits
}

/// The right edge of a tree: all that is needed to grow it and to know its root, at most 64 nodes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Edge {
    size: u64,
    /// The roots of its complete subtrees, the largest first: one for each bit that is set in `size`.
    peaks: Vec<Node>,
}

impl Edge {
    /// The places among the stored nodes of what the edge of a tree of `size` leaves is made of.
    #[must_use]
    pub fn places(size: u64) -> Vec<u64> {
        if size == 0 { Vec::new() } else { tlog_tiles::sub_tree_index(0, size, Vec::new()) }
    }

    /// The edge of a tree of `size` leaves, of the nodes at [`Self::places`]; nothing when they are too many or too few.
    #[must_use]
    pub fn of(size: u64, peaks: Vec<Node>) -> Option<Self> {
        (peaks.len() == size.count_ones() as usize).then_some(Self { size, peaks })
    }

    /// Leaves so far.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Adds a leaf; `store` gets each node that is complete now, in the order in which nodes are stored.
    pub fn push(&mut self, leaf: Node, mut store: impl FnMut(Node)) {
        store(leaf);
        let (mut node, mut rest) = (Hash(leaf.0), self.size);
        while rest & 1 == 1 {
            let Some(left) = self.peaks.pop() else { break };
            node = node_hash(Hash(left.0), node);
            store(Node(node.0));
            rest >>= 1;
        }
        self.peaks.push(Node(node.0));
        self.size += 1;
    }

    /// The root of the tree.
    #[must_use]
    pub fn root(&self) -> Node {
        let mut peaks = self.peaks.iter().rev().map(|peak| Hash(peak.0));
        let Some(last) = peaks.next() else { return Node(EMPTY_HASH.0) };
        Node(peaks.fold(last, |right, left| node_hash(left, right)).0)
    }
}

/// What a signed head says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// The name of the log.
    pub origin: String,
    /// How many messages it has: the sequence of the last one.
    pub size: u64,
    /// The root of the tree over them.
    pub root: Node,
    /// When the stream that holds them was created, nanoseconds since 1970.
    pub incarnation: i64,
    /// How often an operator accepted a log that was not the one before.
    pub era: u32,
    /// When it was signed.
    pub at: Timestamp,
}

/// A head that cannot be believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadError {
    /// Its signature.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// Its text.
    #[error("this is no head of a log: want its name, size and root, and the lines incarnation, era and at")]
    Malformed,
}

impl TreeHead {
    /// The head as a signed note.
    ///
    /// # Errors
    /// [`HeadError`] when the origin cannot stand in a note.
    pub fn sign(&self, signer: &NoteSigner) -> Result<String, HeadError> {
        let lines = format!("{INCARNATION}{}\n{ERA}{}\n{AT}{}\n", self.incarnation, self.era, self.at.0);
        let checkpoint = Checkpoint::new(&self.origin, self.size, Hash(self.root.0), &lines);
        let text = checkpoint.map_err(|_| HeadError::Malformed)?.to_bytes();
        Ok(signer.sign(&String::from_utf8(text).map_err(|_| HeadError::Malformed)?)?)
    }

    /// The head in a note that this key signed.
    ///
    /// # Errors
    /// [`HeadError`] when another key signed it, or none, or its text is no head.
    pub fn open(note: &str, key: &NoteVerifier) -> Result<Self, HeadError> {
        let text = key.open(note)?;
        let checkpoint = Checkpoint::from_bytes(text.as_bytes()).map_err(|_| HeadError::Malformed)?;
        let line = |name: &str| checkpoint.extension().lines().find_map(|line| line.strip_prefix(name));
        let number = |name: &str| line(name).and_then(|text| text.parse::<i64>().ok()).ok_or(HeadError::Malformed);
        Ok(Self {
            origin: checkpoint.origin().to_owned(),
            size: checkpoint.size(),
            root: Node(checkpoint.hash().0),
            incarnation: number(INCARNATION)?,
            era: u32::try_from(number(ERA)?).map_err(|_| HeadError::Malformed)?,
            at: Timestamp(number(AT)?),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tlog_tiles::{Error, HashReader, stored_hashes_for_record_hash, tree_hash};

    struct Nodes(Vec<Node>);

    impl HashReader for Nodes {
        fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, Error> {
            let node = |place: &u64| usize::try_from(*place).ok().and_then(|place| self.0.get(place));
            places.iter().map(|place| node(place).map(|node| Hash(node.0)).ok_or(Error::IndexesNotInTree)).collect()
        }
    }

    fn leaf_of(number: u64) -> Node {
        leaf("reg.1.a", number, RecordHash([u8::try_from(number % 251).unwrap_or(0); 32]))
    }

    #[test]
    fn the_tree_is_that_of_the_library_at_every_size() {
        let (mut edge, mut nodes) = (Edge::default(), Nodes(Vec::new()));
        assert_eq!(edge.root().0, EMPTY_HASH.0);
        for number in 1..=130 {
            let by_library = stored_hashes_for_record_hash(number - 1, Hash(leaf_of(number).0), &nodes).expect("nodes");
            let before = nodes.0.len();
            edge.push(leaf_of(number), |node| nodes.0.push(node));
            let ours: Vec<_> = nodes.0[before..].iter().map(|node| Hash(node.0)).collect();
            assert_eq!(ours, by_library);
            assert_eq!(Hash(edge.root().0), tree_hash(number, &nodes).expect("a root"));
            let count = nodes.0.len() as u64;
            assert_eq!((nodes_of(number), size_of(count)), (count, number));
            assert_eq!(nodes.0[usize::try_from(place_of_leaf(number)).expect("small")], leaf_of(number));
            let places = Edge::places(number);
            let peaks = places.iter().map(|place| nodes.0[usize::try_from(*place).expect("small")]);
            assert_eq!(Edge::of(number, peaks.collect()), Some(edge.clone()));
        }
    }

    #[test]
    fn a_leaf_binds_subject_place_and_payload() {
        let (one, other) = (RecordHash([1; 32]), RecordHash([2; 32]));
        let base = leaf("reg.1.a", 7, one);
        for changed in [leaf("reg.1.b", 7, one), leaf("reg.1.a", 8, one), leaf("reg.1.a", 7, other)] {
            assert_ne!(changed, base);
        }
    }

    fn head(size: u64) -> TreeHead {
        let root = Node([9; NODE_BYTES]);
        TreeHead { origin: "regflow.invalid/log".into(), size, root, incarnation: -5, era: 2, at: Timestamp(7) }
    }

    fn signer(seed: u8) -> NoteSigner {
        NoteSigner::new("regflow.invalid/log", &[seed; 32]).expect("a good name")
    }

    #[test]
    fn a_head_opens_with_its_key_only_and_has_the_form_of_other_logs() {
        let note = head(12).sign(&signer(7)).expect("signed");
        assert!(note.starts_with("regflow.invalid/log\n12\nCQkJCQ"), "{note}");
        assert_eq!(TreeHead::open(&note, signer(7).verifier()), Ok(head(12)));
        assert_eq!(TreeHead::open(&note, signer(8).verifier()), Err(HeadError::Note(NoteError::OtherKey)));
        let forged = note.replacen("\n12\n", "\n13\n", 1);
        assert_eq!(TreeHead::open(&forged, signer(7).verifier()), Err(HeadError::Note(NoteError::Forged)));
    }

    #[test]
    fn a_signed_text_that_is_no_head_is_refused() {
        for text in
            ["hello\n", "regflow.invalid/log\n12\nCQkJ\n", "a\n1\nCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQk=\n"]
        {
            let note = signer(7).sign(text).expect("signed");
            assert_eq!(TreeHead::open(&note, signer(7).verifier()), Err(HeadError::Malformed), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_size_is_found_for_any_number_of_nodes(nodes in 0_u64..1_000_000) {
            let size = size_of(nodes);
            prop_assert!(nodes_of(size) <= nodes && nodes < nodes_of(size + 1));
        }
    }
}
