//! The file of a snapshot: written under another name and renamed, so that it is whole or the one before; never trusted.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use events::snapshot::{self, Doubt, Rules, Unwritable};
use events::{MakerPolicy, Snapshot};
use tokio::sync::oneshot;

/// The largest file that is written or read; half a million open registrations are some 300 MB.
const BYTES_MAX: u64 = 512 * 1024 * 1024;
/// For nobody but us: it says as much as the log does.
const MODE: u32 = 0o600;

/// Why a snapshot that is there is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotUsed {
    #[error(transparent)]
    Doubt(#[from] Doubt),
    #[error("it is larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    #[error("the log does not hold the record at sequence {sequence} that it ends with")]
    OtherRecord {
        /// Where that stood.
        sequence: u64,
    },
}

/// Why none was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotWritten {
    #[error("too many registrations are open")]
    TooMany,
    #[error("it would be larger than {BYTES_MAX} bytes")]
    TooLarge,
    #[error(transparent)]
    Unwritable(#[from] Unwritable),
    #[error("its file cannot be written: {0}")]
    Io(#[from] io::Error),
    #[error("nobody knows what became of it")]
    Lost,
}

/// The snapshot in a file; nothing when there is none.
pub(super) async fn read(
    path: PathBuf,
    wanted: (i64, Rules),
    policies: impl Iterator<Item = (&str, MakerPolicy)>,
) -> Result<Option<Snapshot>, NotUsed> {
    let policies: Vec<(String, MakerPolicy)> = policies.map(|(name, policy)| (name.to_owned(), policy)).collect();
    let work = move || {
        let Some(bytes) = bytes(&path)? else { return Ok(None) };
        let policies = policies.iter().map(|(name, policy)| (name.as_str(), policy.clone()));
        Ok(Some(snapshot::decode(&bytes, wanted, policies)?))
    };
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error).into()))
}

fn bytes(path: &Path) -> Result<Option<Vec<u8>>, NotUsed> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
        Ok(about) if about.len() > BYTES_MAX => Err(NotUsed::TooLarge),
        Ok(_) => Ok(Some(fs::read(path)?)),
    }
}

/// Writes it on a thread of its own; tells how many bytes it has.
pub(super) fn write(path: PathBuf, snapshot: Snapshot) -> oneshot::Receiver<Result<u64, NotWritten>> {
    let (sender, receiver) = oneshot::channel();
    tokio::task::spawn_blocking(move || {
        let written = write_beside(&path, &snapshot);
        // the engine ended, and does not want to know any more
        let _ = sender.send(written);
    });
    receiver
}

fn write_beside(path: &Path, snapshot: &Snapshot) -> Result<u64, NotWritten> {
    let new = named(path, "new");
    let written = write_to(&new, snapshot).and_then(|bytes| {
        fs::rename(&new, path)?;
        Ok(bytes)
    });
    if written.is_err() {
        // it may not even be there
        let _ = fs::remove_file(&new);
    }
    written
}

fn write_to(path: &Path, snapshot: &Snapshot) -> Result<u64, NotWritten> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(path)?;
    let mut bytes = 0;
    snapshot::encode(snapshot, |piece| {
        bytes += piece.len() as u64;
        if bytes > BYTES_MAX {
            return Err(NotWritten::TooLarge);
        }
        Ok(file.write_all(piece)?)
    })?;
    file.sync_all()?;
    Ok(bytes)
}

/// Moves it out of the way, for whoever wants to look into it; only the last one is kept.
pub(super) fn set_aside(path: &Path) -> Option<PathBuf> {
    let aside = named(path, "aside");
    fs::rename(path, &aside).ok().map(|()| aside)
}

fn named(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(ending);
    name.into()
}

/// Which program this is: another build may have other rules. Its version says too little while it is being worked on.
pub(super) fn program() -> Option<(u64, SystemTime)> {
    let about = fs::metadata(std::env::current_exe().ok()?).ok()?;
    Some((about.len(), about.modified().ok()?))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use std::os::unix::fs::PermissionsExt;

    use events::snapshot::Origin;
    use events::{Guards, Link, RecordHash};

    use super::*;

    fn rules() -> Rules {
        Rules::of("as they are")
    }

    fn empty() -> Snapshot {
        let last = Link { sequence: 7, hash: RecordHash([1; 32]) };
        let origin = Origin { incarnation: 5, rules: rules(), last };
        Snapshot { origin, guards: Guards::default(), open: Vec::new(), to_be_read: Vec::new(), alarms: Vec::new() }
    }

    async fn read_again(path: &Path, incarnation: i64) -> Result<Option<Snapshot>, NotUsed> {
        read(path.to_owned(), (incarnation, rules()), std::iter::empty()).await
    }

    #[tokio::test]
    async fn what_is_written_is_read_again_and_nobody_else_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/engine.snapshot");
        assert!(read_again(&path, 5).await.unwrap().is_none());
        let bytes = write(path.clone(), empty()).await.unwrap().unwrap();
        assert_eq!(fs::metadata(&path).unwrap().len(), bytes);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, MODE);
        assert_eq!(read_again(&path, 5).await.unwrap().unwrap().origin, empty().origin);
        assert_eq!(fs::read_dir(folder.path().join("data")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn one_of_another_stream_is_set_aside_under_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.snapshot");
        write(path.clone(), empty()).await.unwrap().unwrap();
        assert!(matches!(read_again(&path, 6).await, Err(NotUsed::Doubt(Doubt::OtherStream))));
        assert_eq!(set_aside(&path), Some(folder.path().join("engine.snapshot.aside")));
        assert!(read_again(&path, 6).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn where_nothing_can_be_written_nothing_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("engine.snapshot");
        // a folder stands where the file belongs
        fs::create_dir_all(path.join("in the way")).unwrap();
        assert!(matches!(write(path.clone(), empty()).await.unwrap(), Err(NotWritten::Io(_))));
        assert!(!named(&path, "new").exists());
    }
}
