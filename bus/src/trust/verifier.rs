//! The verifier's memory: the tree so far, what is expected next, and what did not fit.

use std::collections::VecDeque;
use std::io;

use events::tlog::{Edge, HeadError, Node, TreeHead};
use events::{Sequence, Timestamp};

use super::TrustOptions;
use super::folder::write_whole;
use super::link::{Linked, leaf_of, linked};
use super::tree::{Nodes, Tree};
use crate::gate::Trouble;
use crate::log::Incarnation;
use crate::whole::RawMessage;

/// Most leaves behind the signed head that are remembered from the run before: more than a service reads between two heads.
const TAIL_MAX: usize = 4_000_000;

/// What grows with each message.
pub(crate) struct Verifier {
    pub tree: Tree,
    /// Leaves that an earlier run has seen behind its last head: the same messages must stand there.
    expected: VecDeque<Node>,
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
    /// One that has seen nothing.
    pub fn fresh(options: &TrustOptions, incarnation: Incarnation, era: (u32, Sequence)) -> io::Result<Self> {
        let tree = Tree::resume(&options.folder.tree(), Edge::default())?;
        Ok(Self::new(tree, incarnation, era))
    }

    const fn new(tree: Tree, incarnation: Incarnation, (era, settled): (u32, Sequence)) -> Self {
        Self {
            tree,
            expected: VecDeque::new(),
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
        let expected = match (&intact, nodes) {
            (Some(_), Some(nodes)) => tail(&nodes, head.size)?,
            (_, _) => VecDeque::new(),
        };
        let is_intact = intact.is_some();
        if !is_intact {
            tracing::warn!(path = %path.display(), "the tree does not have the signed root; it is built anew from the log");
        }
        let tree = Tree::resume(&path, intact.unwrap_or_default())?;
        let mut verifier = Self::new(tree, Incarnation(head.incarnation), (head.era, settled));
        verifier.expected = expected;
        verifier.comes_by = (!is_intact).then(|| head.clone());
        verifier.head = Some(head);
        Ok(verifier)
    }

    /// Up to where messages were seen by this run or the one before.
    pub fn known(&self) -> Sequence {
        let seen = self.tree.size() + self.expected.len() as u64;
        self.comes_by.as_ref().map_or(seen, |head| head.size)
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
        if self.expected.front().is_some_and(|expected| *expected != leaf) {
            return Ok(Err(Trouble::Differs { sequence: next }));
        }
        match linked(&self.tree, message)? {
            Linked::First | Linked::Follows(_) => {}
            Linked::NoRecord => self.no_records += 1,
            Linked::Broken(link) => self.note_broken(message.sequence, link.sequence),
        }
        self.expected.pop_front();
        self.tree.push(leaf)?;
        Ok(self.passes_by())
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

fn tail(nodes: &Nodes, after: u64) -> io::Result<VecDeque<Node>> {
    let mut tail = VecDeque::new();
    for sequence in after + 1..=nodes.size() {
        match nodes.leaf(sequence)? {
            Some(leaf) if tail.len() < TAIL_MAX => tail.push_back(leaf),
            Some(_) | None => break,
        }
    }
    Ok(tail)
}
