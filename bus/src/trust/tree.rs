//! The tree of leaves in a file: its nodes in the order in which they become complete, 32 bytes each.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use events::Sequence;
use events::tlog::{self, Edge, NODE_BYTES, Node};

/// Nodes in memory after which they are written.
pub(crate) const PENDING_BYTES_MAX: usize = 1024 * 1024;

/// A tree that grows.
pub(crate) struct Tree {
    file: File,
    edge: Edge,
    /// Bytes of nodes that are in the file.
    written: u64,
    pending: Vec<u8>,
    /// Leaves that an earlier run has left in the file: more than the edge has when its last ones were not signed.
    left: u64,
}

/// A tree that is only read.
pub(crate) struct Nodes {
    file: File,
    size: u64,
}

impl Nodes {
    /// The tree in a file; nothing when there is no file.
    pub(crate) fn open(path: &Path) -> io::Result<Option<Self>> {
        match File::open(path) {
            Ok(file) => {
                let size = leaves_in(&file)?;
                Ok(Some(Self { file, size }))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Leaves that it has.
    pub(crate) const fn size(&self) -> u64 {
        self.size
    }

    /// The leaf of a sequence; nothing beyond its end, nor where the file holds none.
    pub(crate) fn leaf(&self, sequence: Sequence) -> io::Result<Option<Node>> {
        if sequence == 0 || sequence > self.size {
            return Ok(None);
        }
        leaf_in(&self.file, sequence)
    }

    /// The edge of its first `size` leaves.
    pub(crate) fn edge(&self, size: u64) -> io::Result<Option<Edge>> {
        if size > self.size {
            return Ok(None);
        }
        let peaks = Edge::places(size).into_iter().map(|place| read(&self.file, place)).collect::<io::Result<_>>()?;
        Ok(Edge::of(size, peaks))
    }
}

impl Tree {
    /// Goes on with the tree in `path` behind `edge`. What is beyond stays until the same is written over it: until then it
    /// is all that tells what was seen there, also for the start after one that fails.
    pub(crate) fn resume(path: &Path, edge: Edge) -> io::Result<Self> {
        let file = open(path)?;
        let (left, written) = (leaves_in(&file)?, tlog::nodes_of(edge.size()) * NODE_BYTES as u64);
        Ok(Self { file, edge, written, pending: Vec::new(), left })
    }

    /// An empty one in `path`; what stands there is not believed, and goes.
    pub(crate) fn anew(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        file.set_len(0)?;
        Ok(Self::empty(file))
    }

    /// An empty one in a file that goes with it.
    pub(crate) fn scratch() -> io::Result<Self> {
        tempfile::tempfile().map(Self::empty)
    }

    fn empty(file: File) -> Self {
        Self { file, edge: Edge::default(), written: 0, pending: Vec::new(), left: 0 }
    }

    pub(crate) const fn edge(&self) -> &Edge {
        &self.edge
    }

    pub(crate) const fn size(&self) -> u64 {
        self.edge.size()
    }

    /// Leaves that an earlier run has left in the file.
    pub(crate) const fn left(&self) -> u64 {
        self.left
    }

    /// What an earlier run has left as the next leaf; nothing when it left none. Nodes are written in order, so that nothing
    /// has been written over it yet.
    pub(crate) fn left_next(&self) -> io::Result<Option<Node>> {
        let next = self.size() + 1;
        if next > self.left { Ok(None) } else { leaf_in(&self.file, next) }
    }

    /// Adds a leaf. It is in the tree also when what is in memory cannot be written: that is tried again.
    pub(crate) fn push(&mut self, leaf: Node) -> io::Result<()> {
        let pending = &mut self.pending;
        self.edge.push(leaf, |node| pending.extend_from_slice(&node.0));
        if self.pending.len() >= PENDING_BYTES_MAX { self.write() } else { Ok(()) }
    }

    /// The leaf of a sequence; nothing beyond its end.
    pub(crate) fn leaf(&self, sequence: Sequence) -> io::Result<Option<Node>> {
        if sequence == 0 || sequence > self.size() {
            return Ok(None);
        }
        let place = tlog::place_of_leaf(sequence);
        let offset = place * NODE_BYTES as u64;
        let Some(behind) = offset.checked_sub(self.written) else { return read(&self.file, place).map(Some) };
        let start = usize::try_from(behind).map_err(io::Error::other)?;
        let node = self.pending.get(start..).and_then(|bytes| bytes.first_chunk());
        Ok(node.map(|bytes| Node(*bytes)))
    }

    /// Hands what is in memory to the operating system.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        self.file.write_all_at(&self.pending, self.written)?;
        self.written += self.pending.len() as u64;
        self.pending.clear();
        Ok(())
    }

    /// Writes all of it to disk.
    pub(crate) fn sync(&mut self) -> io::Result<()> {
        self.write()?;
        self.file.sync_data()
    }
}

fn open(path: &Path) -> io::Result<File> {
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

/// How many leaves a file holds, without the zeroes at its end.
fn leaves_in(file: &File) -> io::Result<u64> {
    let mut size = tlog::size_of(file.metadata()?.len() / NODE_BYTES as u64);
    while size > 0 && leaf_in(file, size)?.is_none() {
        size -= 1;
    }
    Ok(size)
}

/// A leaf within the file; nothing where it holds none: after a power cut the end of a file can be zeroes.
fn leaf_in(file: &File, sequence: Sequence) -> io::Result<Option<Node>> {
    let node = read(file, tlog::place_of_leaf(sequence))?;
    Ok((node != Node::default()).then_some(node))
}

fn read(file: &File, place: u64) -> io::Result<Node> {
    let mut node = Node::default();
    file.read_exact_at(&mut node.0, place * NODE_BYTES as u64)?;
    Ok(node)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::record::hash_of;

    fn leaf(number: u64) -> Node {
        tlog::leaf("reg.1.a", number, hash_of(&number.to_be_bytes()))
    }

    #[test]
    fn a_tree_is_read_back_and_grown_from_any_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tree");
        assert!(Nodes::open(&path).unwrap().is_none());
        let mut tree = Tree::resume(&path, Edge::default()).unwrap();
        (1..=20).for_each(|number| tree.push(leaf(number)).unwrap());
        assert_eq!(tree.leaf(13).unwrap(), Some(leaf(13)), "not written yet");
        tree.sync().unwrap();
        let nodes = Nodes::open(&path).unwrap().unwrap();
        assert_eq!((nodes.size(), nodes.leaf(13).unwrap()), (20, Some(leaf(13))));
        assert_eq!((nodes.leaf(0).unwrap(), nodes.leaf(21).unwrap()), (None, None));
        assert_eq!(nodes.edge(20).unwrap().unwrap().root(), tree.edge().root());

        let mut shorter = Tree::resume(&path, nodes.edge(11).unwrap().unwrap()).unwrap();
        assert_eq!((shorter.left(), shorter.left_next().unwrap()), (20, Some(leaf(12))), "it is still known");
        (12..=20).for_each(|number| shorter.push(leaf(number)).unwrap());
        assert_eq!(shorter.edge(), tree.edge());
        assert_eq!(shorter.leaf(3).unwrap(), Some(leaf(3)));
        assert_eq!(shorter.left_next().unwrap(), None);
        drop(shorter);
        assert_eq!(Nodes::open(&path).unwrap().unwrap().size(), 20, "nothing is cut off");

        let bytes = std::fs::metadata(&path).unwrap().len();
        tree.file.set_len(bytes + 10 * NODE_BYTES as u64).unwrap();
        assert_eq!(Nodes::open(&path).unwrap().unwrap().size(), 20, "zeroes are no leaves");
        assert_eq!((Tree::anew(&path).unwrap().left(), Nodes::open(&path).unwrap().unwrap().size()), (0, 0));
    }
}
