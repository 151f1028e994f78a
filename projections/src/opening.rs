//! Opening a view without trusting it: on a thread of its own, with a deadline; in doubt the folder is moved aside.
//!
//! sled can return an error, panic or hang on a damaged file. A view is a cache, so all three end the same way: the
//! folder is kept for whoever wants to look into it, and an empty one takes its place.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use events::Timestamp;

use crate::checkpoint::{BadCheckpoint, Persisted};
use crate::error::{Doubt, ViewError};
use crate::keys;
use crate::store::Store;

/// How long opening may take; a view of some million rows takes a few seconds.
const OPEN_WITHIN: Duration = Duration::from_secs(20);
/// How long closing may take before the store is left to itself.
const CLOSE_WITHIN: Duration = Duration::from_secs(5);
/// How long another handle of the folder, such as one that is just being dropped, is waited for.
const FREE_WITHIN: Duration = Duration::from_secs(2);
/// Pause between two looks whether it is free.
const FREE_PAUSE: Duration = Duration::from_millis(20);
/// Folders moved aside that are kept, the newest.
const SET_ASIDE_MAX: usize = 3;
/// Stands between the folder's name and the time.
const ASIDE: &str = ".aside-";

/// A folder that was moved out of the way.
#[derive(Debug)]
pub struct SetAside {
    /// Where it is now; nothing when there was no folder.
    pub path: Option<PathBuf>,
    /// Why.
    pub why: Doubt,
}

/// A store ready for use.
pub(crate) struct OpenedStore<T, S> {
    /// As it was loaded.
    pub store: T,
    /// What it knows; nothing when it is empty.
    pub saved: Option<S>,
    pub set_aside: Option<SetAside>,
}

/// What a view makes of its store once it is open.
pub(crate) type Load<T> = fn(Store) -> Result<T, ViewError>;

/// What was found in a folder: the store and what it knows, or why it cannot be used.
type Found<S, T> = Result<Result<(T, Option<S>), Doubt>, ViewError>;

/// A view that is being opened, beside whatever else a start takes.
pub(crate) struct Opening<S, T> {
    pub dir: PathBuf,
    load: Load<T>,
    found: Pending<Found<S, T>>,
}

impl<S: Persisted, T: Send + 'static> Opening<S, T> {
    /// Begins to open what is in `dir`.
    pub(crate) fn begin(dir: &Path, load: Load<T>) -> Result<Self, ViewError> {
        let folder = dir.to_owned();
        let find = move || match open_and_read(&folder)? {
            Ok((store, saved)) => Ok(Ok((load(store)?, saved))),
            Err(doubt) => Ok(Err(doubt)),
        };
        Ok(Self { dir: dir.to_owned(), load, found: Pending::begin("open", find)? })
    }

    /// The view if it was built from stream `incarnation`, else an empty one in its place. Blocks.
    pub(crate) fn finish(self, incarnation: i64, now: Timestamp) -> Result<OpenedStore<T, S>, ViewError> {
        let is_of_it = |saved: &S| saved.checkpoint().incarnation == incarnation;
        let why = match self.found.wait(OPEN_WITHIN).and_then(|result| result) {
            Ok(Ok((store, saved))) if saved.as_ref().is_none_or(is_of_it) => {
                return Ok(OpenedStore { store, saved, set_aside: None });
            }
            Ok(Ok((store, saved))) => {
                let found = saved.map_or(0, |saved| saved.checkpoint().incarnation);
                // when it hangs, the folder is moved from under it all the same
                match within(CLOSE_WITHIN, "close", move || drop(store)) {
                    Ok(()) => Doubt::OtherStream { found },
                    Err(hangs) => Doubt::Unreadable(hangs),
                }
            }
            Err(error @ (ViewError::InUse | ViewError::Folder { .. })) => return Err(error),
            Ok(Err(why)) => why,
            Err(error) => Doubt::Unreadable(error),
        };
        open_anew(&self.dir, why, now, self.load)
    }
}

/// Moves what is in `dir` aside and opens an empty store in its place.
pub(crate) fn open_anew<S: Persisted, T: Send + 'static>(
    dir: &Path,
    why: Doubt,
    now: Timestamp,
    load: Load<T>,
) -> Result<OpenedStore<T, S>, ViewError> {
    let path = move_aside(dir, now).map_err(|source| ViewError::Folder { doing: "move aside", source })?;
    let folder = dir.to_owned();
    let opened = within(OPEN_WITHIN, "open", move || load(open_when_free(&folder, S::CACHE_BYTES)?));
    let store = opened.and_then(|result| result)?;
    Ok(OpenedStore { store, saved: None, set_aside: Some(SetAside { path, why }) })
}

/// Closes a store, or leaves it to itself when it hangs.
pub(crate) fn close(store: Store) -> Result<(), ViewError> {
    within(CLOSE_WITHIN, "close", move || drop(store))
}

/// Closes a store and opens it again. It must hold what it held.
pub(crate) fn reopen<S: Persisted>(store: Store, dir: &Path) -> Result<Store, ViewError> {
    let held = store.get(keys::CHECKPOINT)?;
    close(store)?;
    let folder = dir.to_owned();
    let store =
        within(OPEN_WITHIN, "open", move || open_when_free(&folder, S::CACHE_BYTES)).and_then(|opened| opened)?;
    if store.get(keys::CHECKPOINT)? == held { Ok(store) } else { Err(ViewError::Undecodable) }
}

fn open_and_read<S: Persisted>(dir: &Path) -> Found<S, Store> {
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent).map_err(|source| ViewError::Folder { doing: "create", source })?;
    }
    let store = open_when_free(dir, S::CACHE_BYTES)?;
    let Some(bytes) = store.get(keys::CHECKPOINT)? else {
        return Ok(if store.is_empty()? { Ok((store, None)) } else { Err(Doubt::NoCheckpoint) });
    };
    Ok(match S::from_bytes(&bytes) {
        Ok(saved) => Ok((store, Some(saved))),
        Err(BadCheckpoint::OtherSchema(found)) => Err(Doubt::OtherSchema { found }),
        Err(BadCheckpoint::Undecodable) => Err(Doubt::Unreadable(ViewError::Undecodable)),
    })
}

fn open_when_free(dir: &Path, cache_bytes: u64) -> Result<Store, ViewError> {
    let deadline = Instant::now() + FREE_WITHIN;
    loop {
        match Store::open(dir, cache_bytes) {
            Err(ViewError::InUse) if Instant::now() < deadline => thread::sleep(FREE_PAUSE),
            opened => return opened,
        }
    }
}

/// Work on a thread of its own.
struct Pending<T> {
    doing: &'static str,
    begun: Instant,
    result: mpsc::Receiver<thread::Result<T>>,
}

impl<T: Send + 'static> Pending<T> {
    fn begin(doing: &'static str, work: impl FnOnce() -> T + Send + 'static) -> Result<Self, ViewError> {
        let (done, result) = mpsc::channel();
        let thread = thread::Builder::new().name(format!("view-{doing}"));
        let spawned = thread.spawn(move || {
            let result = catch_unwind(AssertUnwindSafe(work));
            // nobody listens when the deadline has passed; what was opened is then closed again
            drop(done.send(result));
        });
        spawned.map_err(|source| ViewError::Store { doing, source: source.into() })?;
        Ok(Self { doing, begun: Instant::now(), result })
    }

    /// What came of it; when it does not end within `limit` of its beginning, the thread is left behind.
    fn wait(self, limit: Duration) -> Result<T, ViewError> {
        let doing = self.doing;
        match self.result.recv_timeout(limit.saturating_sub(self.begun.elapsed())) {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(_)) | Err(mpsc::RecvTimeoutError::Disconnected) => Err(ViewError::Panicked { doing }),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(ViewError::TimedOut { doing }),
        }
    }
}

fn within<T: Send + 'static>(
    limit: Duration,
    doing: &'static str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ViewError> {
    Pending::begin(doing, work)?.wait(limit)
}

/// Renames `dir` to `<dir>.aside-<time>` and keeps only the newest of those.
fn move_aside(dir: &Path, now: Timestamp) -> io::Result<Option<PathBuf>> {
    if !dir.exists() {
        return Ok(None);
    }
    let name = dir.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy().into_owned();
    let prefix = format!("{name}{ASIDE}");
    let time = now.to_jiff().strftime("%Y%m%dT%H%M%S.%6fZ");
    let target = dir.with_file_name(format!("{prefix}{time}"));
    if target.exists() {
        // twice at the same microsecond: the later one is no worse
        fs::remove_dir_all(&target)?;
    }
    fs::rename(dir, &target)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    remove_all_but_newest(parent, &prefix)?;
    Ok(Some(target))
}

fn remove_all_but_newest(parent: &Path, prefix: &str) -> io::Result<()> {
    let mut found = Vec::new();
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) && entry.file_type()?.is_dir() {
            found.push(entry.path());
        }
    }
    // the time in the name sorts as text
    found.sort();
    let surplus = found.len().saturating_sub(SET_ASIDE_MAX);
    found.iter().take(surplus).try_for_each(fs::remove_dir_all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_that_hangs_is_left_behind_at_its_deadline() {
        let (release, held) = mpsc::channel::<()>();
        let result = within(Duration::from_millis(10), "open", move || held.recv());
        assert!(matches!(result, Err(ViewError::TimedOut { doing: "open" })), "{result:?}");
        drop(release);
    }

    #[test]
    fn work_that_panics_is_an_error() {
        let result = within(OPEN_WITHIN, "open", || assert!(Path::new("").exists(), "planted"));
        assert!(matches!(result, Err(ViewError::Panicked { .. })), "{result:?}");
    }

    #[test]
    fn only_the_newest_three_folders_moved_aside_are_kept() {
        let parent = tempfile::tempdir().expect("a folder");
        let dir = parent.path().join("status");
        fs::create_dir(parent.path().join("status2.aside-1")).expect("a folder of somebody else");
        for second in 0..5 {
            fs::create_dir(&dir).expect("a folder");
            move_aside(&dir, Timestamp(second * 1_000_000)).expect("moved");
        }
        let mut names: Vec<_> = fs::read_dir(parent.path())
            .expect("readable")
            .map(|entry| entry.expect("entry").file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let kept = ["02", "03", "04"].map(|second| format!("status.aside-19700101T0000{second}.000000Z"));
        assert_eq!(names[..3], kept);
        assert_eq!(names[3..], ["status2.aside-1"]);
    }
}
