//! A check of the whole log: each message against the tree that was kept of it, the signed heads, and the chains of
//! histories. It keeps its own tree in a scratch file, so its memory does not grow with the log but for 2 bits a message and 8
//! bytes a history.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use events::tlog::{Node, TreeHead};
use events::{NoteVerifier, Sequence};
use serde::Serialize;

use super::folder::{ReadHead, TrustFolder};
use super::link::{Linked, leaf_of, linked};
use super::tree::{Nodes, Tree};
use crate::gate::Trouble;
use crate::log::{FollowError, Unavailable};
use crate::whole::{RawFollow, RawMessage, StreamFacts, WholeLog};

/// Messages taken at once.
const PAGE_MESSAGES_MAX: usize = 4_096;
/// How long a page is waited for.
const PAGE_WAIT: Duration = Duration::from_millis(300);
/// Pages without a message, although there should be one, after which it is asked for by its place.
const EMPTY_PAGES_MAX: u32 = 4;
/// Flaws that are told one by one.
const FLAWS_MAX: usize = 100;
/// A longer gap ends the check.
const GAP_MAX: u64 = 10_000_000;

/// What kind of flaw it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FlawKind {
    /// No message stands there, or the server cannot read it.
    Missing,
    /// Another message than the one that was verified.
    Differs,
    /// The log ends before what was verified.
    Rewound,
    /// Another stream, or none.
    Replaced,
    /// A record names a predecessor that is not there.
    BrokenLink,
    /// A second record names the same predecessor, or begins the same history.
    Forked,
    /// The messages up to here do not add up to a signed head.
    OtherRoot,
    /// A head is not signed by the key.
    BadHead,
    /// The tree that was kept does not have the root that was signed: it was damaged, not the log.
    BadTree,
}

impl FlawKind {
    /// The kind in one word, for machines.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Missing => "missing",
            Self::Differs => "differs",
            Self::Rewound => "rewound",
            Self::Replaced => "replaced",
            Self::BrokenLink => "broken_link",
            Self::Forked => "forked",
            Self::OtherRoot => "other_root",
            Self::BadHead => "bad_head",
            Self::BadTree => "bad_tree",
        }
    }
}

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flaw {
    /// Where; 0 when it is not about a message.
    pub sequence: Sequence,
    /// What.
    pub kind: FlawKind,
    /// The same in words.
    pub text: String,
}

/// What a check found.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Report {
    /// Messages that were read.
    pub messages: u64,
    /// The last sequence of the log.
    pub last: Sequence,
    /// Messages that were compared with the kept tree.
    pub compared: u64,
    /// Signed heads that the log adds up to.
    pub heads: u64,
    /// The size of the newest signed head; 0 when there is none.
    pub signed: u64,
    /// The root over all messages, hex.
    pub root: String,
    /// Histories of registrations and makers.
    pub histories: u64,
    /// Messages that are no records of this program.
    pub no_records: u64,
    /// Broken links that were there when an operator accepted the log.
    pub settled: u64,
    /// How many flaws there are.
    pub flaws: u64,
    /// The first of them, in the order of the log.
    pub first_flaws: Vec<Flaw>,
    /// Seconds that it took.
    pub seconds: f64,
}

impl Report {
    /// Whether the log is as it was.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.flaws == 0
    }

    /// The first flaw about a message.
    #[must_use]
    pub fn first(&self) -> Option<&Flaw> {
        self.first_flaws.first()
    }

    /// Why the log is not to be written to any more; a broken link alone is no reason, because anybody with a NATS client
    /// could make one.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        self.first_flaws.iter().find_map(|flaw| {
            let sequence = flaw.sequence;
            Some(match flaw.kind {
                FlawKind::Missing => Trouble::Missing { sequence },
                FlawKind::Differs => Trouble::Differs { sequence },
                FlawKind::Rewound => Trouble::Rewound { seen: self.signed.max(sequence), last: sequence - 1 },
                FlawKind::Replaced => Trouble::Replaced,
                FlawKind::OtherRoot => Trouble::OtherRoot { size: self.signed },
                FlawKind::BadHead => Trouble::BadHead { reason: flaw.text.clone() },
                FlawKind::BrokenLink | FlawKind::Forked | FlawKind::BadTree => return None,
            })
        })
    }
}

/// How far a check has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// The last sequence that was read.
    pub sequence: Sequence,
    /// Where the log ended at the beginning.
    pub last: Sequence,
}

/// Why a check could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The server.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The log changed under the check.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The folder of trust, or the scratch file.
    #[error("cannot read what was verified, or write a scratch file")]
    Io(#[from] io::Error),
}

/// A check to be run.
pub struct Check {
    /// The log.
    pub log: WholeLog,
    /// What was verified of it; nothing when only chains can be checked.
    pub folder: Option<TrustFolder>,
    /// Who signed the heads.
    pub key: NoteVerifier,
}

impl Check {
    /// Reads the log from its first message to what is its last one now. `progress` is told after each page.
    ///
    /// # Errors
    /// [`CheckError`] when it cannot be read.
    pub async fn run(&self, mut progress: impl FnMut(Progress)) -> Result<Report, CheckError> {
        let begun = Instant::now();
        let mut known = Known::read(self.folder.as_ref(), &self.key)?;
        // after the tree was looked at: what is in the tree was in the log before
        let facts = self.log.facts().await?;
        let mut run = Run::new(known.settled)?;
        known.flaws.drain(..).for_each(|flaw| run.flaw(flaw));
        match facts {
            Some(facts) => self.read(&mut run, &known, facts, &mut progress).await?,
            None => run.replaced("there is no stream of the log"),
        }
        run.end(&known);
        run.report.seconds = begun.elapsed().as_secs_f64();
        Ok(run.report)
    }

    async fn read(
        &self,
        run: &mut Run,
        known: &Known,
        facts: StreamFacts,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), CheckError> {
        run.report.last = facts.last;
        if known.head.as_ref().is_some_and(|head| head.incarnation != facts.incarnation.0) {
            run.replaced("the stream was created at another time than the one that was signed");
        }
        let mut follow = self.log.follow(1).await?;
        let mut empty = 0;
        while run.next <= facts.last {
            let page = follow.next_page(PAGE_MESSAGES_MAX, PAGE_WAIT).await?;
            empty = if page.items.is_empty() { empty + 1 } else { 0 };
            for message in page.items.iter().filter(|message| message.sequence <= facts.last) {
                if !run.take(message, known)? {
                    return Ok(());
                }
            }
            progress(Progress { sequence: run.next - 1, last: facts.last });
            let is_passed = page.items.last().is_some_and(|message| message.sequence > facts.last);
            if is_passed || (empty > 0 && page.caught_up) || empty >= EMPTY_PAGES_MAX {
                match self.get_past(run, known, facts.last).await? {
                    Some(on) => (follow, empty) = (on, 0),
                    None => return Ok(()),
                }
            }
        }
        Ok(())
    }

    /// The reader does not get on: asks for messages by their place until there is one. Nothing when there is none.
    async fn get_past(&self, run: &mut Run, known: &Known, last: Sequence) -> Result<Option<RawFollow>, CheckError> {
        let from = run.next;
        for sequence in from..=last.min(from + GAP_MAX) {
            if let Some(message) = self.log.message(sequence).await? {
                run.take(&message, known)?;
                return if run.next > last { Ok(None) } else { Ok(Some(self.log.follow(run.next).await?)) };
            }
        }
        run.missing(from, last);
        run.next = last + 1;
        Ok(None)
    }
}

/// What was verified before.
struct Known {
    /// Its leaves can be believed up to the signed head, and say what was seen behind it.
    nodes: Option<Nodes>,
    head: Option<TreeHead>,
    /// All signed heads, the smallest first.
    heads: Vec<TreeHead>,
    settled: Sequence,
    flaws: Vec<Flaw>,
}

impl Known {
    fn read(folder: Option<&TrustFolder>, key: &NoteVerifier) -> io::Result<Self> {
        let mut known = Self { nodes: None, head: None, heads: Vec::new(), settled: 0, flaws: Vec::new() };
        let Some(folder) = folder else { return Ok(known) };
        known.settled = folder.era()?.settled.unwrap_or(0);
        for (path, head) in folder.past_heads(key)? {
            known.keep(&path, head);
        }
        let newest = folder.head(key)?;
        if let ReadHead::Signed(head) = &newest {
            known.head = Some(head.clone());
        }
        known.keep(&folder.path().join("checkpoint"), newest);
        known.heads.sort_by_key(|head| head.size);
        known.nodes = folder.nodes()?;
        if let (Some(nodes), Some(head)) = (&known.nodes, &known.head) {
            let root = nodes.edge(head.size)?.map(|edge| edge.root());
            if root != Some(head.root) {
                known.nodes = None;
                let text = "the kept tree does not have the root that was signed; heads alone are compared".to_owned();
                known.flaws.push(Flaw { sequence: 0, kind: FlawKind::BadTree, text });
            }
        }
        Ok(known)
    }

    fn keep(&mut self, path: &Path, head: ReadHead) {
        match head {
            ReadHead::Signed(head) => self.heads.push(head),
            ReadHead::None => {}
            ReadHead::Bad(reason) => {
                let text = format!("{}: {reason}", path.display());
                self.flaws.push(Flaw { sequence: 0, kind: FlawKind::BadHead, text });
            }
        }
    }

    /// Up to where messages were seen.
    fn size(&self) -> u64 {
        let signed = self.head.as_ref().map_or(0, |head| head.size);
        signed.max(self.nodes.as_ref().map_or(0, Nodes::size))
    }
}

/// A check under way.
struct Run {
    tree: Tree,
    next: Sequence,
    settled: Sequence,
    /// A bit for each message that another one names as its predecessor.
    followed: Vec<u64>,
    begun: HashSet<u64>,
    hasher: RandomState,
    /// The size of the last signed head that fitted.
    fitted: u64,
    /// Which of the signed heads comes next.
    next_head: usize,
    report: Report,
}

impl Run {
    fn new(settled: Sequence) -> io::Result<Self> {
        Ok(Self {
            tree: Tree::scratch()?,
            next: 1,
            settled,
            followed: Vec::new(),
            begun: HashSet::new(),
            hasher: RandomState::new(),
            fitted: 0,
            next_head: 0,
            report: Report::default(),
        })
    }

    fn flaw(&mut self, flaw: Flaw) {
        self.report.flaws += 1;
        let at = self.report.first_flaws.partition_point(|known| known.sequence <= flaw.sequence);
        if at < FLAWS_MAX {
            self.report.first_flaws.insert(at, flaw);
            self.report.first_flaws.truncate(FLAWS_MAX);
        }
    }

    fn found(&mut self, sequence: Sequence, kind: FlawKind, text: String) {
        self.flaw(Flaw { sequence, kind, text });
    }

    fn replaced(&mut self, text: &str) {
        self.found(1, FlawKind::Replaced, text.to_owned());
    }

    fn missing(&mut self, from: Sequence, to: Sequence) {
        let text = match to - from {
            0 => "the message is missing, or the server cannot read it".to_owned(),
            more => format!("the message and the {more} after it are missing, or the server cannot read them"),
        };
        self.found(from, FlawKind::Missing, text);
    }

    /// False when it is not worth going on.
    fn take(&mut self, message: &RawMessage, known: &Known) -> io::Result<bool> {
        if message.sequence < self.next {
            return Ok(true);
        }
        if message.sequence > self.next {
            self.missing(self.next, message.sequence - 1);
            if message.sequence - self.next > GAP_MAX {
                return Ok(false);
            }
            while self.next < message.sequence {
                self.push(Node::default(), known)?;
            }
        }
        self.report.messages += 1;
        let leaf = leaf_of(message);
        if let Some(nodes) = &known.nodes
            && let Some(seen) = nodes.leaf(message.sequence)?
        {
            self.report.compared += 1;
            if seen != leaf {
                let text = "another message stands here than the one that was verified";
                self.found(message.sequence, FlawKind::Differs, text.to_owned());
            }
        }
        self.check_link(message)?;
        self.push(leaf, known)?;
        Ok(true)
    }

    fn push(&mut self, leaf: Node, known: &Known) -> io::Result<()> {
        self.tree.push(leaf)?;
        self.next += 1;
        while let Some(head) = known.heads.get(self.next_head).filter(|head| head.size <= self.tree.size()) {
            self.next_head += 1;
            if head.size != self.tree.size() {
                continue;
            }
            if head.root == self.tree.edge().root() {
                self.report.heads += 1;
                self.fitted = head.size;
            } else {
                self.other_root(head.size);
            }
        }
        Ok(())
    }

    /// Only where nothing before tells it more exactly.
    fn other_root(&mut self, size: u64) {
        let is_told = |flaw: &Flaw| (1..=size).contains(&flaw.sequence) && flaw.kind != FlawKind::BrokenLink;
        if !self.report.first_flaws.iter().any(is_told) {
            let text = format!("somewhere from here to {size} the messages are not those of the head that was signed");
            self.found(self.fitted + 1, FlawKind::OtherRoot, text);
        }
    }

    fn check_link(&mut self, message: &RawMessage) -> io::Result<()> {
        let sequence = message.sequence;
        match linked(&self.tree, message)? {
            Linked::NoRecord => self.report.no_records += 1,
            Linked::First => {
                self.report.histories += 1;
                if !self.begun.insert(self.hasher.hash_one(message.subject())) {
                    self.chain_flaw(
                        sequence,
                        FlawKind::Forked,
                        "the record begins a history that was begun before".into(),
                    );
                }
            }
            Linked::Follows(link) => {
                if !self.follow_first(link.sequence) {
                    let text = format!("the record follows {}, which another one follows already", link.sequence);
                    self.chain_flaw(sequence, FlawKind::Forked, text);
                }
            }
            Linked::Broken(link) => {
                let text = format!("the record names one at {} as its predecessor that is not there", link.sequence);
                self.chain_flaw(sequence, FlawKind::BrokenLink, text);
            }
        }
        Ok(())
    }

    fn chain_flaw(&mut self, sequence: Sequence, kind: FlawKind, text: String) {
        if sequence <= self.settled {
            self.report.settled += 1;
        } else {
            self.found(sequence, kind, text);
        }
    }

    /// Marks a message as followed; false when it was.
    fn follow_first(&mut self, sequence: Sequence) -> bool {
        let (Ok(word), bit) = (usize::try_from(sequence / 64), 1_u64 << (sequence % 64)) else { return true };
        if self.followed.len() <= word {
            self.followed.resize(word + 1, 0);
        }
        let is_first = self.followed[word] & bit == 0;
        self.followed[word] |= bit;
        is_first
    }

    fn end(&mut self, known: &Known) {
        self.report.root = self.tree.edge().root().to_string();
        self.report.signed = known.head.as_ref().map_or(0, |head| head.size);
        let (seen, last) = (known.size(), self.report.last);
        if seen > last {
            let text = format!("the log ends at {last}, but it was verified up to {seen}");
            self.found(last + 1, FlawKind::Rewound, text);
        }
    }
}
