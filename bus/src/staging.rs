//! Where the embedded server lays the messages of an atomic batch until it is committed: in memory instead of on disk.
//!
//! nats-server stages a batch as files in the folder `batches` of its stream, and clears that folder when it starts: what is
//! committed stands in the stream's own files, everything else never was. So the folder need not outlive the server. On a disk
//! each batch makes, fills and removes a folder there, and the flush of the stream waits for all of it (decision 24).

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use events::subject;
use rustix::fs::{StatVfs, statfs, statvfs};
use tempfile::TempDir;

use crate::key_store::KEYS_STREAM;

/// The streams that get batches.
const STREAMS: [&str; 3] = [subject::EVENTS_STREAM, KEYS_STREAM, subject::NOTIFY_STREAM];
/// Where the server keeps its streams, inside its folder: a folder each, by their names.
pub const STREAMS_FOLDER: &str = "jetstream/$G/streams";
const BATCHES_FOLDER: &str = "batches";
/// What a file system in memory calls itself (`TMPFS_MAGIC`, statfs(2)).
const TMPFS: i64 = 0x0102_1994;
/// Room that must be left there: a batch of each stream, some four times over.
const FREE_BYTES_MIN: u64 = 32 * 1024 * 1024;
/// How ours are named there.
const PREFIX: &str = "regflow-staging-";
const LOCK_FILE: &str = "lock";
/// How often a link is tried while the server makes the folder itself.
const LINK_TRIES_MAX: usize = 5;

/// A folder in memory for one server; goes with this.
#[derive(Debug)]
pub(crate) struct Staging {
    folder: TempDir,
    /// Held as long as the folder is in use, so that one left behind by a killed process is known.
    _lock: File,
    streams: PathBuf,
}

impl Staging {
    /// A folder under `memory` for the server of `data_dir`; nothing where that is no file system in memory, or too small.
    /// Removes what killed processes left there.
    pub fn prepare(memory: &Path, data_dir: &Path) -> Option<Self> {
        if !is_fit(memory) {
            tracing::debug!(folder = %memory.display(), "batches are staged on disk: there is no room in memory for them");
            return None;
        }
        sweep(memory);
        let made = make(memory, data_dir);
        made.inspect_err(|error| tracing::debug!(%error, "batches are staged on disk")).ok()
    }

    /// Leads the running server's staging here, for each stream that it has by now. To be called after each start, because
    /// the server removes the link then, and when streams were made.
    pub fn link(&self) {
        if !is_fit(self.folder.path()) {
            return;
        }
        for stream in STREAMS {
            let (of_stream, target) = (self.streams.join(stream), self.folder.path().join(stream));
            if of_stream.is_dir()
                && let Err(error) = link(&of_stream.join(BATCHES_FOLDER), &target)
            {
                tracing::debug!(%error, stream, "batches are staged on disk");
            }
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        for stream in STREAMS {
            let path = self.streams.join(stream).join(BATCHES_FOLDER);
            if path.is_symlink() {
                // the server removes it at its next start otherwise
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

fn make(memory: &Path, data_dir: &Path) -> io::Result<Staging> {
    // only we may look into it, as into the server's own folder
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(memory)?;
    let lock = File::create_new(folder.path().join(LOCK_FILE))?;
    lock.try_lock().map_err(io::Error::from)?;
    for stream in STREAMS {
        std::fs::create_dir(folder.path().join(stream))?;
    }
    Ok(Staging { folder, _lock: lock, streams: data_dir.join(STREAMS_FOLDER) })
}

/// Whether it is a file system in memory with some room.
fn is_fit(folder: &Path) -> bool {
    let room = |free: StatVfs| free.f_bavail.saturating_mul(free.f_frsize);
    statfs(folder).is_ok_and(|found| found.f_type == TMPFS)
        && statvfs(folder).is_ok_and(|free| room(free) >= FREE_BYTES_MIN)
}

fn link(path: &Path, target: &Path) -> io::Result<()> {
    let mut tries = 0;
    loop {
        match symlink(target, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                if std::fs::read_link(path).is_ok_and(|there| there == target) {
                    return Ok(());
                }
                tries += 1;
                // made by the server for a batch; it goes when that is over
                let removed = std::fs::remove_dir(path);
                if tries == LINK_TRIES_MAX {
                    return removed.and(Err(error));
                }
            }
            other => return other,
        }
    }
}

/// Removes the folders of processes that were killed: nobody holds their locks.
fn sweep(memory: &Path) {
    let entries = std::fs::read_dir(memory).into_iter().flatten().flatten();
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        // another user's cannot be opened, and one that is being made has no lock yet
        let Ok(lock) = File::open(entry.path().join(LOCK_FILE)) else { continue };
        if lock.try_lock().is_ok()
            && let Err(error) = std::fs::remove_dir_all(entry.path())
        {
            tracing::debug!(%error, "a folder that was left behind stays");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    /// Where tests may make files in memory.
    const MEMORY: &str = "/dev/shm";

    fn ours(memory: &Path) -> usize {
        let named = |entry: &io::Result<std::fs::DirEntry>| {
            entry.as_ref().unwrap().file_name().to_string_lossy().starts_with(PREFIX)
        };
        std::fs::read_dir(memory).unwrap().filter(named).count()
    }

    #[test]
    fn streams_are_led_into_memory_and_out_again() {
        let (memory, data) = (tempfile::tempdir_in(MEMORY).unwrap(), tempfile::tempdir().unwrap());
        let staging = Staging::prepare(memory.path(), data.path()).unwrap();
        let stream = data.path().join(STREAMS_FOLDER).join(subject::EVENTS_STREAM);
        staging.link();
        assert!(!stream.exists(), "a stream that is not there yet is left to the server");
        std::fs::create_dir_all(stream.join(BATCHES_FOLDER)).unwrap();
        staging.link();
        staging.link();
        std::fs::write(stream.join(BATCHES_FOLDER).join("1.blk"), "staged").unwrap();
        assert_eq!(ours(memory.path()), 1);
        drop(staging);
        assert_eq!((ours(memory.path()), stream.join(BATCHES_FOLDER).is_symlink()), (0, false));
    }

    #[test]
    fn a_folder_that_is_in_use_by_the_server_stays_until_the_next_time() {
        let (memory, data) = (tempfile::tempdir_in(MEMORY).unwrap(), tempfile::tempdir().unwrap());
        let staging = Staging::prepare(memory.path(), data.path()).unwrap();
        let batches = data.path().join(STREAMS_FOLDER).join(subject::EVENTS_STREAM).join(BATCHES_FOLDER);
        std::fs::create_dir_all(batches.join("of a batch")).unwrap();
        staging.link();
        assert!(batches.is_dir() && !batches.is_symlink());
    }

    #[test]
    fn what_a_killed_process_left_is_removed_and_what_is_in_use_is_not() {
        let (memory, data) = (tempfile::tempdir_in(MEMORY).unwrap(), tempfile::tempdir().unwrap());
        let living = Staging::prepare(memory.path(), data.path()).unwrap();
        let killed = memory.path().join(format!("{PREFIX}killed"));
        std::fs::create_dir_all(killed.join(subject::EVENTS_STREAM)).unwrap();
        std::fs::write(killed.join(LOCK_FILE), "").unwrap();
        drop(Staging::prepare(memory.path(), data.path()).unwrap());
        assert_eq!((killed.exists(), living.folder.path().exists()), (false, true));
    }

    #[test]
    fn another_file_system_is_no_memory() {
        let data = tempfile::tempdir().unwrap();
        for other in ["/proc", "/nowhere"] {
            assert!(Staging::prepare(Path::new(other), data.path()).is_none(), "{other}");
        }
    }
}
