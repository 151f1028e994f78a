//! The folder of trust: what was verified of the log, kept outside of it.
//!
//! - `tree` the leaves and inner nodes of the tree
//! - `checkpoint` the newest signed head; `checkpoints/` one an hour of those before, by size
//! - `state` whether the log is read-only, and since which acceptance this tree began
//! - `journal` what operators decided, a line of JSON each
//! - `aside-N` what was believed before the N-th acceptance

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use events::tlog::{HeadError, TreeHead};
use events::{NoteVerifier, Sequence, Timestamp};
use serde::{Deserialize, Serialize};

use super::tree::Nodes;
use crate::gate::Trouble;

/// Signed heads that are kept, the newest; one an hour are 40 days.
const HEADS_MAX: usize = 1_000;
/// Between two of them, microseconds.
const HEADS_EVERY_US: i64 = 3_600 * 1_000_000;
/// Longest head that is read, in bytes.
const HEAD_BYTES_MAX: u64 = 64 * 1024;

/// What operators decided and what follows from it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Era {
    /// How often a log was accepted that was not the one before.
    #[serde(default)]
    pub number: u32,
    /// Broken links up to here were there when the log was accepted; nothing until verification began anew.
    #[serde(default)]
    pub settled: Option<Sequence>,
    /// Why the log is read-only; nothing when it is not.
    #[serde(default)]
    pub trouble: Option<Trouble>,
    /// Since when, microseconds since 1970.
    #[serde(default)]
    pub since_us: i64,
}

/// A decision, as the journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// When, microseconds since 1970.
    pub at_us: i64,
    /// Who.
    pub operator: String,
    /// Why.
    pub reason: String,
    /// What was wrong.
    pub trouble: Trouble,
    /// The era that began.
    pub era: u32,
    /// Where the tree and the heads of the era before are now.
    pub aside: String,
}

/// The folder; made when something is written.
#[derive(Debug, Clone)]
pub struct TrustFolder(PathBuf);

/// A head and the key that it was checked with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadHead {
    /// There is none.
    None,
    /// It is signed.
    Signed(TreeHead),
    /// It is not, or cannot be read.
    Bad(String),
}

impl TrustFolder {
    /// The folder at `path`.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    pub(crate) fn nodes(&self) -> io::Result<Option<Nodes>> {
        Nodes::open(&self.tree())
    }

    /// The newest head.
    ///
    /// # Errors
    /// What the file system says.
    pub fn head(&self, key: &NoteVerifier) -> io::Result<ReadHead> {
        read_head(&self.0.join("checkpoint"), key)
    }

    /// The heads of the past, the smallest first.
    pub(crate) fn past_heads(&self, key: &NoteVerifier) -> io::Result<Vec<(PathBuf, ReadHead)>> {
        let files = files_of(&self.0.join("checkpoints"))?;
        files.into_iter().map(|path| read_head(&path, key).map(|head| (path, head))).collect()
    }

    /// Keeps a signed head: atomically, and on disk when this returns.
    pub(crate) fn keep_head(&self, head: &TreeHead, note: &str) -> io::Result<()> {
        write_whole(&self.0.join("checkpoint"), note)?;
        let past = self.0.join("checkpoints");
        fs::create_dir_all(&past)?;
        let files = files_of(&past)?;
        let newest = files.last().and_then(|path| fs::read_to_string(path).ok());
        let at = newest.as_deref().and_then(time_in).unwrap_or(i64::MIN);
        if at.saturating_add(HEADS_EVERY_US) > head.at.0 {
            return Ok(());
        }
        write_whole(&past.join(format!("{:020}", head.size)), note)?;
        let surplus = (files.len() + 1).saturating_sub(HEADS_MAX);
        files.iter().take(surplus).try_for_each(fs::remove_file)
    }

    /// What was decided.
    ///
    /// # Errors
    /// What the file system says; a file that is no JSON of ours is an error, too: nothing is guessed about it.
    pub fn era(&self) -> io::Result<Era> {
        match fs::read(self.0.join("state")) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Era::default()),
            Err(error) => Err(error),
        }
    }

    /// Remembers it over restarts.
    pub(crate) fn keep_era(&self, era: &Era) -> io::Result<()> {
        write_whole(&self.0.join("state"), &format!("{}\n", serde_json::to_string_pretty(era)?))
    }

    /// From now on the log is read-only, also at the next start; the first trouble stays.
    ///
    /// # Errors
    /// What the file system says.
    pub fn distrust(&self, trouble: &Trouble, now: Timestamp) -> io::Result<()> {
        let era = self.era()?;
        if era.trouble.is_some() {
            return Ok(());
        }
        self.keep_era(&Era { trouble: Some(trouble.clone()), since_us: now.0, ..era })
    }

    /// Remembers `exact` in place of `doubt`: the same in other words, so the time stays. Another trouble is left alone.
    pub(crate) fn tell_exactly(&self, doubt: &Trouble, exact: &Trouble) -> io::Result<()> {
        let era = self.era()?;
        if exact == doubt || era.trouble.as_ref() != Some(doubt) {
            return Ok(());
        }
        self.keep_era(&Era { trouble: Some(exact.clone()), ..era })
    }

    /// An operator takes the log as it is now: what was believed is kept aside, and the next start verifies from the
    /// beginning. Nothing when the log is not read-only.
    ///
    /// # Errors
    /// What the file system says; it may be tried again.
    pub fn accept(&self, operator: &str, reason: &str, now: Timestamp) -> io::Result<Option<Accepted>> {
        let era = self.era()?;
        let Some(trouble) = era.trouble else { return Ok(None) };
        let number = era.number + 1;
        let aside = self.0.join(format!("aside-{number}"));
        let (operator, reason) = (operator.to_owned(), reason.to_owned());
        let accepted =
            Accepted { at_us: now.0, operator, reason, trouble, era: number, aside: aside.display().to_string() };
        fs::create_dir_all(&aside)?;
        // a decision that is half carried out is carried out again: what is moved already is not there any more
        for name in ["tree", "checkpoint", "checkpoints"] {
            match fs::rename(self.0.join(name), aside.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        let mut journal = OpenOptions::new().create(true).append(true).open(self.0.join("journal"))?;
        journal.write_all(format!("{}\n", serde_json::to_string(&accepted)?).as_bytes())?;
        journal.sync_all()?;
        self.keep_era(&Era { number, ..Era::default() })?;
        Ok(Some(accepted))
    }

    /// What operators decided, the oldest first; lines that cannot be read are left out.
    ///
    /// # Errors
    /// What the file system says.
    pub fn journal(&self) -> io::Result<Vec<Accepted>> {
        match fs::read_to_string(self.0.join("journal")) {
            Ok(text) => Ok(text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }
}

fn read_head(path: &Path, key: &NoteVerifier) -> io::Result<ReadHead> {
    match fs::metadata(path) {
        Ok(file) if file.len() > HEAD_BYTES_MAX => return Ok(ReadHead::Bad("it is too long".to_owned())),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(ReadHead::None),
        Err(error) => return Err(error),
    }
    let Ok(text) = String::from_utf8(fs::read(path)?) else { return Ok(ReadHead::Bad("it is no text".to_owned())) };
    Ok(match TreeHead::open(&text, key) {
        Ok(head) => ReadHead::Signed(head),
        Err(error @ (HeadError::Note(_) | HeadError::Malformed)) => ReadHead::Bad(error.to_string()),
    })
}

/// When a head of ours was signed; not checked, because only pauses are made of it.
fn time_in(note: &str) -> Option<i64> {
    note.lines().find_map(|line| line.strip_prefix("at "))?.parse().ok()
}

/// The files of a folder by name; none when there is no folder.
fn files_of(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut files = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
    files.retain(|path| path.extension().is_none());
    files.sort();
    Ok(files)
}

/// Whole or not at all, and on disk when this returns.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let draft = path.with_extension("draft");
    let mut file = File::create(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    File::open(parent)?.sync_all()
}
