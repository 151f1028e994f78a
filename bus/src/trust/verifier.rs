//! The verifier's memory: the tree so far, what is expected next, and what did not fit.

use std::io;

use events::tlog::{Edge, HeadError, TreeHead};
use events::{Sequence, Timestamp};

use super::TrustOptions;
use super::folder::write_whole;
use super::link::{Linked, leaf_of, linked};
use super::tree::Tree;
use crate::gate::Trouble;
use crate::log::Incarnation;
use crate::whole::RawMessage;

/// What grows with each message.
pub(crate) struct Verifier {
    /// Where an earlier run has left leaves behind its last head, the same messages must stand.
    pub tree: Tree,
    /// The signed head that the tree must come by, when it is built anew from the log.
    comes_by: Option<TreeHead>,
    /// The newest head.
    pub head: Option<TreeHead>,
    pub incarnation: Incarnation,
    pub era: u32,
    settled: Sequence,
    pub broken: u64,
    pub first_broken: Option<Sequence>,
    pub no_records: u64,
}

impl Verifier {
    /// One that has signed nothing. A tree that is there all the same is of a run that ended before its first head.
    pub fn fresh(options: &TrustOptions, incarnation: Incarnation, era: (u32, Sequence)) -> io::Result<Self> {
        let tree = Tree::resume(&options.folder.tree(), Edge::default())?;
        Ok(Self::new(tree, incarnation, era))
    }

    const fn new(tree: Tree, incarnation: Incarnation, (era, settled): (u32, Sequence)) -> Self {
        Self {
            tree,
            comes_by: None,
            head: None,
            incarnation,
            era,
            settled,
            broken: 0,
            first_broken: None,
            no_records: 0,
        }
    }

    /// Goes on behind a signed head. A tree that does not have its root is damaged, and is built anew from the log.
    pub fn behind(options: &TrustOptions, head: TreeHead, settled: Sequence) -> io::Result<Self> {
        let (path, nodes) = (options.folder.tree(), options.folder.nodes()?);
        let edge = nodes.as_ref().map(|nodes| nodes.edge(head.size)).transpose()?.flatten();
        let intact = edge.filter(|edge| edge.root() == head.root);
        let is_intact = intact.is_some();
        let tree = if let Some(edge) = intact {
            Tree::resume(&path, edge)?
        } else {
            tracing::warn!(path = %path.display(), "the tree does not have the signed root; it is built anew from the log");
            Tree::anew(&path)?
        };
        let mut verifier = Self::new(tree, Incarnation(head.incarnation), (head.era, settled));
        verifier.comes_by = (!is_intact).then(|| head.clone());
        verifier.head = Some(head);
        Ok(verifier)
    }

    /// Up to where messages were seen by this run or the one before.
    pub fn known(&self) -> Sequence {
        let seen = self.tree.size().max(self.tree.left());
        self.comes_by.as_ref().map_or(seen, |head| head.size.max(seen))
    }

    /// Takes in the next message, or says what is wrong with it.
    pub fn take(&mut self, message: &RawMessage) -> io::Result<Result<(), Trouble>> {
        let next = self.tree.size() + 1;
        if message.sequence < next {
            return Ok(Ok(()));
        }
        if message.sequence > next {
            return Ok(Err(Trouble::Missing { sequence: next }));
        }
        let leaf = leaf_of(message);
        if self.tree.left_next()?.is_some_and(|expected| expected != leaf) {
            return Ok(Err(Trouble::Differs { sequence: next }));
        }
        match linked(&self.tree, message)? {
            Linked::First | Linked::Follows(_) => {}
            Linked::NoRecord => self.no_records += 1,
            Linked::Broken(link) => self.note_broken(message.sequence, link.sequence),
        }
        let written = self.tree.push(leaf);
        // also when it cannot be written: the tree comes by only once
        match self.passes_by() {
            Err(trouble) => Ok(Err(trouble)),
            Ok(()) => written.map(Ok),
        }
    }

    fn note_broken(&mut self, sequence: Sequence, names: Sequence) {
        if sequence <= self.settled {
            return;
        }
        tracing::error!(sequence, names, "a record names a predecessor that is not there");
        self.broken += 1;
        self.first_broken.get_or_insert(sequence);
    }

    fn passes_by(&mut self) -> Result<(), Trouble> {
        match self.comes_by.take_if(|head| head.size == self.tree.size()) {
            Some(head) if head.root != self.tree.edge().root() => Err(Trouble::OtherRoot { size: head.size }),
            Some(_) | None => Ok(()),
        }
    }

    /// Signs what is verified now, and keeps it.
    pub fn sign(&mut self, options: &TrustOptions, now: Timestamp) -> io::Result<()> {
        self.tree.sync()?;
        let head = TreeHead {
            origin: options.signer.verifier().name().to_owned(),
            size: self.tree.size(),
            root: self.tree.edge().root(),
            incarnation: self.incarnation.0,
            era: self.era,
            at: now,
        };
        let note = head.sign(&options.signer).map_err(|error: HeadError| io::Error::other(error))?;
        options.folder.keep_head(&head, &note)?;
        if let Some(witness) = &options.witness
            && let Err(error) = write_whole(&witness.join("checkpoint"), &note)
        {
            tracing::warn!(%error, "the signed head cannot be copied to audit.witness");
        }
        self.head = Some(head);
        Ok(())
    }

    /// Whether there is something that no head covers, and no head is waited for.
    pub fn has_news(&self) -> bool {
        self.comes_by.is_none() && self.head.as_ref().is_none_or(|head| head.size != self.tree.size())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::tlog::{self, NODE_BYTES, Node};

    use crate::trust::tree::PENDING_BYTES_MAX;

    #[test]
    fn the_signed_root_is_compared_also_when_the_disk_is_full_just_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let is_written = |size: &u64| tlog::nodes_of(*size) >= (PENDING_BYTES_MAX / NODE_BYTES) as u64;
        let size = (1..).find(is_written).unwrap();
        let tree = Tree::resume(&path, Edge::default()).unwrap();
        let mut verifier = Verifier::new(tree, Incarnation(1), (0, 0));
        let (origin, root) = ("regflow.invalid/log".to_owned(), Node::default());
        verifier.comes_by = Some(TreeHead { origin, size, root, incarnation: 1, era: 0, at: Timestamp(1) });
        let message = |sequence| RawMessage::new(sequence, "elsewhere".into(), bytes::Bytes::new());
        for sequence in 1..size {
            verifier.take(&message(sequence)).unwrap().unwrap();
        }
        assert_eq!(verifier.take(&message(size)).unwrap(), Err(Trouble::OtherRoot { size }));
        assert!(verifier.take(&message(size + 1)).is_err(), "the disk is full");
    }
}
