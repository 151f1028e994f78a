//! The master key in a file of the service's own, and the one that follows it while a rotation is under way.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::key_file::{KeyBytes, KeyFileError, load_or_create_key};

/// Added to the name of the file for the key that follows.
const NEXT: &str = ".next";
/// As many bytes as a key file has.
const FILE_BYTES: usize = 65;

/// Where the master key stands.
#[derive(Debug, Clone)]
pub struct MasterFile {
    path: PathBuf,
}

impl MasterFile {
    /// The file at `path`.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The master key at work, and the one before it when a rotation has begun and not ended. The first start makes one.
    ///
    /// # Errors
    /// [`KeyFileError`] when a file is exposed, damaged, or cannot be read or written.
    pub fn load(&self) -> Result<(KeyBytes, Option<KeyBytes>), KeyFileError> {
        let present = load_or_create_key(&self.path)?;
        if self.next_path().exists() {
            return Ok((load_or_create_key(&self.next_path())?, Some(present)));
        }
        Ok((present, None))
    }

    /// The key that follows, in a file beside the present one's; the same one until [`Self::replace`].
    ///
    /// # Errors
    /// [`KeyFileError`] when it cannot be written.
    pub fn next_key(&self) -> Result<KeyBytes, KeyFileError> {
        load_or_create_key(&self.next_path())
    }

    /// The key that follows takes the place of the present one, whose bytes are overwritten as far as the file system lets.
    /// Nothing happens when there is none.
    ///
    /// # Errors
    /// [`KeyFileError`] when the files cannot be changed.
    pub fn replace(&self) -> Result<(), KeyFileError> {
        let io = |source| KeyFileError::Io { doing: "replace", path: self.path.clone(), source };
        if !self.next_path().exists() {
            return Ok(());
        }
        // opened before, because afterwards no name leads to it
        let mut old = OpenOptions::new().write(true).open(&self.path).map_err(io)?;
        std::fs::rename(self.next_path(), &self.path).map_err(io)?;
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(io)?;
        old.write_all(&[b'0'; FILE_BYTES]).and_then(|()| old.sync_all()).map_err(io)
    }

    fn next_path(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(NEXT);
        name.into()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    #[test]
    fn a_rotation_that_was_cut_off_anywhere_is_found_again_until_the_new_key_has_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = MasterFile::new(folder.path().join("master.key"));
        let (first, none) = file.load().unwrap();
        assert!(none.is_none());
        let next = file.next_key().unwrap();
        assert!(next != first);
        assert_eq!(file.next_key().unwrap(), next, "a second begin goes on with the same key");
        assert_eq!(file.load().unwrap(), (next.clone(), Some(first)));
        file.replace().unwrap();
        file.replace().unwrap();
        assert_eq!(file.load().unwrap(), (next, None));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
