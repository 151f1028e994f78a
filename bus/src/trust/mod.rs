//! Whether the log still is the one that was written: a tree over all of its messages and signed heads, kept outside of the
//! stream; a verifier that always runs; and a check of the whole.
//!
//! A server that lost messages gives their places to new ones and says nothing. So at each start, and whenever the
//! connection comes back, the log is compared with what was seen of it; in doubt the [`Gate`] closes.

mod check;
mod folder;
mod link;
mod tree;
mod verifier;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use events::tlog::TreeHead;
use events::{NoteSigner, NoteVerifier, Sequence, Timestamp};
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

pub use check::{Check, CheckError, Flaw, FlawKind, Progress, Report};
pub use folder::{Accepted, Era, ReadHead, TrustFolder};
use link::leaf_of;
use tree::Tree;
use verifier::Verifier;

use crate::gate::{Gate, Trouble};
use crate::log::{FollowError, Head, Incarnation, Unavailable};
use crate::whole::{RawFollow, StreamFacts, WholeLog};

/// Messages taken in at once.
const PAGE_MESSAGES_MAX: usize = 4_096;
/// How long a page is waited for; also how soon a closed gate or a stop is noticed.
const PAGE_WAIT: Duration = Duration::from_millis(200);
/// Pause after a log that does not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How long a stop may take to read what is left.
const CATCH_UP_WITHIN: Duration = Duration::from_secs(2);
/// How long nothing may come while a start reads again what was seen before. The whole may take as long as the log is.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How the log is verified.
#[derive(Clone)]
pub struct TrustOptions {
    /// Where what was verified is kept.
    pub folder: TrustFolder,
    /// Where each signed head is copied to, for somebody else to carry away.
    pub witness: Option<PathBuf>,
    /// Signs heads.
    pub signer: NoteSigner,
    /// Between two heads, while the log grows.
    pub sign_every: Duration,
    /// Tells the time.
    pub clock: fn() -> Timestamp,
}

/// How far verification has come and what it found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TrustStatus {
    /// Everything up to here is in the tree.
    pub verified: Sequence,
    /// Where the log ended when it was looked at last.
    pub last: Sequence,
    /// The newest signed head.
    pub head: Option<TreeHead>,
    /// How often an operator accepted another log.
    pub era: u32,
    /// Why the log is read-only.
    pub trouble: Option<Trouble>,
    /// Records that name a predecessor which is not there; seen by this run.
    pub broken: u64,
    /// The first of them.
    pub first_broken: Option<Sequence>,
    /// Messages that are no records; seen by this run.
    pub no_records: u64,
}

/// Why nothing can be verified.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The server.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The folder.
    #[error("cannot use the folder of trust {}", folder.display())]
    Folder {
        /// Where it is.
        folder: PathBuf,
        /// The system's answer.
        source: io::Error,
    },
    /// The server does not hand out what it says that it has: nothing came for too long.
    #[error("the log could not be read again up to sequence {0} in time")]
    TooSlow(Sequence),
}

/// Verification of one log; clones share it.
#[derive(Clone)]
pub struct Trust(Arc<Shared>);

struct Shared {
    log: WholeLog,
    options: TrustOptions,
    gate: Gate,
    status: watch::Sender<TrustStatus>,
    /// Nothing while the log is read-only.
    verifier: Mutex<Option<Verifier>>,
    accepted: CancellationToken,
}

/// A trouble, or something that stands in the way of finding out.
enum Halt {
    Trouble(Trouble),
    Error(TrustError),
}

impl From<Trouble> for Halt {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<Unavailable> for Halt {
    fn from(error: Unavailable) -> Self {
        Self::Error(error.into())
    }
}

impl From<FollowError> for Halt {
    fn from(error: FollowError) -> Self {
        match error {
            FollowError::Unavailable(error) => error.into(),
            FollowError::Rewound { seen, last } => Trouble::Rewound { seen, last }.into(),
            FollowError::Replaced => Trouble::Replaced.into(),
        }
    }
}

impl Trust {
    /// Compares the log with what was verified of it before, and closes the gate when it is another one. Reads what was
    /// seen since the last signed head; what is new is left to [`Self::run`].
    ///
    /// # Errors
    /// [`TrustError`] when that cannot be found out.
    pub async fn open(log: WholeLog, options: TrustOptions) -> Result<Self, TrustError> {
        let (gate, status) = (Gate::default(), watch::Sender::default());
        let (verifier, accepted) = (Mutex::new(None), CancellationToken::new());
        let trust = Self(Arc::new(Shared { log, options, gate, status, verifier, accepted }));
        let era = trust.io(trust.folder().era())?;
        if let Some(trouble) = era.trouble {
            trust.believe_last_head();
            trust.0.gate.close(trouble);
            trust.tell(None, 0);
            return Ok(trust);
        }
        let mut slot = trust.0.verifier.lock().await;
        match trust.resume(era).await {
            Ok((verifier, last)) => {
                trust.tell(Some(&verifier), last);
                *slot = Some(verifier);
            }
            Err(Halt::Error(error)) => return Err(error),
            Err(Halt::Trouble(trouble)) => {
                trust.believe_last_head();
                trust.doubt(trouble).await?;
            }
        }
        drop(slot);
        Ok(trust)
    }

    /// The gate that closes when the log is another one.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.0.gate.clone()
    }

    /// How far it has come.
    #[must_use]
    pub fn status(&self) -> TrustStatus {
        self.0.status.borrow().clone()
    }

    /// Tells what changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<TrustStatus> {
        self.0.status.subscribe()
    }

    /// Where what was verified is kept.
    #[must_use]
    pub fn folder(&self) -> &TrustFolder {
        &self.0.options.folder
    }

    /// A check of the whole log against what this has verified.
    #[must_use]
    pub fn check(&self) -> Check {
        Check {
            log: self.0.log.clone(),
            folder: Some(self.folder().clone()),
            key: self.0.options.signer.verifier().clone(),
        }
    }

    /// Makes the log read-only, now and at the next start.
    ///
    /// # Errors
    /// [`TrustError::Folder`] when it cannot be remembered; the gate is closed all the same.
    pub fn distrust(&self, trouble: Trouble) -> Result<(), TrustError> {
        self.0.gate.close(trouble.clone());
        let kept = self.io(self.folder().distrust(&trouble, (self.0.options.clock)()));
        self.tell(None, 0);
        kept
    }

    /// The doubt of a start. It is remembered before the first bad place is looked for: that reads the whole log, and a start
    /// that is killed meanwhile must not forget it.
    async fn doubt(&self, trouble: Trouble) -> Result<(), TrustError> {
        self.io(self.folder().distrust(&trouble, (self.0.options.clock)()))?;
        let exact = self.first_of(trouble.clone()).await;
        self.io(self.folder().tell_exactly(&trouble, &exact))?;
        self.distrust(exact)
    }

    /// An operator takes the log as it is now; see [`TrustFolder::accept`]. The service must start anew: what it knows is of
    /// the log that was.
    ///
    /// # Errors
    /// [`TrustError::Folder`]; it may be tried again.
    pub fn accept(&self, operator: &str, reason: &str) -> Result<Option<Accepted>, TrustError> {
        let accepted = self.io(self.folder().accept(operator, reason, (self.0.options.clock)()))?;
        if accepted.is_some() {
            self.0.accepted.cancel();
        }
        Ok(accepted)
    }

    /// Waits until an operator has accepted the log.
    pub async fn until_accepted(&self) {
        self.0.accepted.cancelled().await;
    }

    /// Who can check the signed heads.
    #[must_use]
    pub fn key(&self) -> &NoteVerifier {
        self.0.options.signer.verifier()
    }

    /// Verifies what comes until `shutdown`; signs a head now and then, and a last one at the end.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut slot = self.0.verifier.lock().await;
        while let Some(verifier) = slot.as_mut() {
            match self.follow(verifier, &shutdown).await {
                Ok(()) => {
                    self.sign_the_rest(verifier).await;
                    return;
                }
                Err(Halt::Error(error)) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "the log is not verified for now");
                    tokio::select! {
                        () = shutdown.cancelled() => {}
                        () = tokio::time::sleep(PAUSE) => {}
                    }
                }
                Err(Halt::Trouble(trouble)) => {
                    // the tree keeps what was seen, for whoever looks
                    if let Err(error) = verifier.tree.sync() {
                        tracing::error!(%error, "the tree cannot be written");
                    }
                    *slot = None;
                    if let Err(error) = self.distrust(trouble) {
                        tracing::error!(
                            error = &error as &dyn std::error::Error,
                            "read-only until the next start only"
                        );
                    }
                }
            }
        }
        shutdown.cancelled().await;
    }

    async fn follow(&self, verifier: &mut Verifier, shutdown: &CancellationToken) -> Result<(), Halt> {
        // a gate that was closed by an append is remembered, also when the log does not answer
        self.check_gate()?;
        let mut follow = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(()),
            follow = self.0.log.follow_live(verifier.tree.size() + 1) => follow?,
        };
        let mut signed_at = Instant::now();
        while !shutdown.is_cancelled() {
            self.check_gate()?;
            self.take_page(verifier, &mut follow).await?;
            if signed_at.elapsed() >= self.0.options.sign_every && verifier.has_news() {
                self.sign(verifier)?;
                signed_at = Instant::now();
            }
        }
        Ok(())
    }

    async fn take_page(&self, verifier: &mut Verifier, follow: &mut RawFollow) -> Result<(), Halt> {
        let page = follow.next_page(PAGE_MESSAGES_MAX, PAGE_WAIT).await?;
        if page.anew {
            // before anything is taken in: behind a new message, a log that was cut and has grown again is not seen any more
            self.compare(verifier, self.0.log.facts().await?).await?;
        }
        for message in &page.items {
            self.io(verifier.take(message)).map_err(Halt::Error)??;
        }
        self.io(verifier.tree.write()).map_err(Halt::Error)?;
        if let Some(last) = page.items.last() {
            self.believe(verifier);
            self.tell(Some(verifier), last.sequence);
        }
        Ok(())
    }

    fn check_gate(&self) -> Result<(), Halt> {
        self.0.gate.trouble().map_or(Ok(()), |trouble| Err(trouble.into()))
    }

    /// What can be found out about the log without reading it.
    async fn compare(&self, verifier: &Verifier, facts: Option<StreamFacts>) -> Result<(), Halt> {
        let facts = facts.filter(|facts| facts.incarnation == verifier.incarnation).ok_or(Trouble::Replaced)?;
        let known = verifier.known();
        if facts.last < known {
            return Err(Trouble::Rewound { seen: known, last: facts.last }.into());
        }
        self.sample(verifier).await?;
        if !facts.is_whole() {
            // which one is found by reading
            return Err(Trouble::Missing { sequence: facts.first.saturating_sub(1).max(1) }.into());
        }
        Ok(())
    }

    /// The last message that was verified must still stand in its place: a log that was cut and has grown again is found by it.
    async fn sample(&self, verifier: &Verifier) -> Result<(), Halt> {
        let sequence = verifier.tree.size();
        let Some(leaf) = self.io(verifier.tree.leaf(sequence)).map_err(Halt::Error)? else { return Ok(()) };
        match self.0.log.message(sequence).await? {
            Some(message) if leaf_of(&message) == leaf => Ok(()),
            Some(_) => Err(Trouble::Differs { sequence }.into()),
            None => Err(Trouble::Missing { sequence }.into()),
        }
    }

    /// The stop of the service: what came last is verified and signed, if that is quickly done.
    async fn sign_the_rest(&self, verifier: &mut Verifier) {
        let read = tokio::time::timeout(CATCH_UP_WITHIN, self.read_the_rest(verifier)).await;
        let ended = match read {
            Ok(Err(Halt::Trouble(trouble))) => Err(Halt::Trouble(trouble)),
            // as far as it came: what is in the tree was verified
            Ok(Ok(_) | Err(Halt::Error(_))) | Err(_) if verifier.has_news() => self.sign(verifier),
            Ok(Ok(_) | Err(Halt::Error(_))) | Err(_) => self.check_gate(),
        };
        match ended {
            Ok(()) => {}
            Err(Halt::Error(error)) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the last head is not signed");
            }
            Err(Halt::Trouble(trouble)) => drop(self.distrust(trouble)),
        }
    }

    async fn read_the_rest(&self, verifier: &mut Verifier) -> Result<bool, Halt> {
        let last = self.0.log.facts().await?.map_or(0, |facts| facts.last);
        self.catch_up(verifier, last).await
    }

    /// Reads up to `last`; false when nothing comes for too long.
    async fn catch_up(&self, verifier: &mut Verifier, last: Sequence) -> Result<bool, Halt> {
        if verifier.tree.size() >= last {
            return Ok(true);
        }
        let mut grown_at = Instant::now();
        let mut follow = self.0.log.follow(verifier.tree.size() + 1).await?;
        while verifier.tree.size() < last {
            let before = verifier.tree.size();
            self.take_page(verifier, &mut follow).await?;
            if verifier.tree.size() > before {
                grown_at = Instant::now();
            } else if grown_at.elapsed() > SILENCE_MAX {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn sign(&self, verifier: &mut Verifier) -> Result<(), Halt> {
        self.check_gate()?;
        self.io(verifier.sign(&self.0.options, (self.0.options.clock)())).map_err(Halt::Error)?;
        self.tell(Some(verifier), verifier.tree.size());
        Ok(())
    }

    async fn resume(&self, era: Era) -> Result<(Verifier, Sequence), Halt> {
        let (folder, options) = (self.folder(), &self.0.options);
        let head = match self.io(folder.head(options.signer.verifier())).map_err(Halt::Error)? {
            ReadHead::Bad(reason) => return Err(Trouble::BadHead { reason }.into()),
            ReadHead::Signed(head) => Some(head),
            ReadHead::None => None,
        };
        let facts = self.0.log.facts().await?.ok_or(Trouble::Replaced)?;
        let verifier = match head {
            Some(head) if facts.incarnation != Incarnation(head.incarnation) => return Err(Trouble::Replaced.into()),
            Some(head) => Verifier::behind(options, head, era.settled.unwrap_or(0)),
            None => self.begin(era, facts),
        };
        let mut verifier = self.io(verifier).map_err(Halt::Error)?;
        let known = verifier.known();
        if verifier.head.is_none() && known == 0 {
            return Ok((verifier, facts.last));
        }
        self.compare(&verifier, Some(facts)).await?;
        if !self.catch_up(&mut verifier, known).await? {
            return Err(Halt::Error(TrustError::TooSlow(known)));
        }
        self.believe(&verifier);
        Ok((verifier, facts.last))
    }

    /// Nothing was ever signed here, or an operator has accepted what there is.
    fn begin(&self, era: Era, facts: StreamFacts) -> io::Result<Verifier> {
        let settled = if era.number == 0 { 0 } else { era.settled.unwrap_or(facts.last) };
        if era.number > 0 && era.settled.is_none() {
            // the tree of the log that was is aside; one that stands here all the same tells nothing of this one
            Tree::anew(&self.folder().tree())?;
            self.folder().keep_era(&Era { settled: Some(settled), ..era.clone() })?;
        }
        Verifier::fresh(&self.0.options, facts.incarnation, (era.number, settled))
    }

    /// The first place that is bad, when reading the whole log finds it elsewhere than it was thought to be.
    async fn first_of(&self, trouble: Trouble) -> Trouble {
        let worth = match trouble {
            Trouble::Missing { .. } | Trouble::Differs { .. } | Trouble::Rewound { .. } => true,
            Trouble::Replaced | Trouble::Reused { .. } | Trouble::OtherRoot { .. } | Trouble::BadHead { .. } => false,
        };
        if !worth {
            return trouble;
        }
        match self.check().run(|_| {}).await {
            Ok(report) => report.trouble().filter(|found| !is_same(found, &trouble)).unwrap_or(trouble),
            Err(_) => trouble,
        }
    }

    /// What readers are told of a log that is not to be trusted: the one that was signed last.
    fn believe_last_head(&self) {
        if let Ok(ReadHead::Signed(head)) = self.folder().head(self.0.options.signer.verifier()) {
            let (last_sequence, incarnation) = (head.size, Incarnation(head.incarnation));
            self.0.gate.believe(Head { last_sequence, incarnation });
            self.0.status.send_modify(|status| status.head = Some(head));
        }
    }

    fn believe(&self, verifier: &Verifier) {
        let (last_sequence, incarnation) = (verifier.tree.size(), verifier.incarnation);
        self.0.gate.believe(Head { last_sequence, incarnation });
    }

    fn tell(&self, verifier: Option<&Verifier>, last: Sequence) {
        self.0.status.send_modify(|status| {
            status.trouble = self.0.gate.trouble();
            status.last = status.last.max(last);
            let Some(verifier) = verifier else { return };
            status.verified = verifier.tree.size();
            status.head.clone_from(&verifier.head);
            status.era = verifier.era;
            (status.broken, status.first_broken) = (verifier.broken, verifier.first_broken);
            status.no_records = verifier.no_records;
        });
    }

    fn io<T>(&self, result: io::Result<T>) -> Result<T, TrustError> {
        result.map_err(|source| TrustError::Folder { folder: self.folder().path().to_owned(), source })
    }
}

/// The same kind of trouble at the same place: reading the log tells nothing more exact than what was known before.
fn is_same(found: &Trouble, known: &Trouble) -> bool {
    (found.word(), found.first_bad()) == (known.word(), known.first_bad())
}
