//! Keys of 32 bytes in files that only we can read: 64 hex digits, made at the first start.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

/// A key file is 64 hex digits and a line end; anything longer is no key.
const FILE_BYTES_MAX: u64 = 1_024;

/// 32 secret bytes, wiped from memory when dropped.
pub type KeyBytes = Zeroizing<[u8; 32]>;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Others could have read it.
    #[error("the key file {} can be read by others (mode {mode:o}); run `chmod 600` on it", path.display())]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not 64 hex digits.
    #[error("{what} holds no key: 64 hex digits are wanted")]
    NotAKey {
        /// Where it was looked for.
        what: String,
    },
    /// The file system refuses.
    #[error("cannot {doing} the key file {}", path.display())]
    Io {
        /// What was wanted.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's answer.
        source: std::io::Error,
    },
}

/// The key of the file at `path`; at the first start a fresh one, in a new file with mode 0600.
///
/// # Errors
/// [`KeyFileError`] when others can read the file, or it holds no key, or cannot be read or written.
pub fn load_or_create_key(path: &Path) -> Result<KeyBytes, KeyFileError> {
    match load(path)? {
        Some(key) => Ok(key),
        None => create(path),
    }
}

/// The key in a text of 64 hex digits, as an environment variable holds it.
///
/// # Errors
/// [`KeyFileError::NotAKey`], which names `what` and not the text.
pub fn key_from_hex(what: &str, text: &str) -> Result<KeyBytes, KeyFileError> {
    let mut key = KeyBytes::default();
    hex::decode_to_slice(text.trim(), &mut *key).map_err(|_| KeyFileError::NotAKey { what: what.to_owned() })?;
    Ok(key)
}

fn load(path: &Path) -> Result<Option<KeyBytes>, KeyFileError> {
    let io = |source| KeyFileError::Io { doing: "read", path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io(error)),
    };
    let mode = file.metadata().map_err(io)?.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(KeyFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = Zeroizing::new(String::new());
    file.take(FILE_BYTES_MAX).read_to_string(&mut text).map_err(io)?;
    key_from_hex(&path.display().to_string(), &text).map(Some)
}

/// Written beside its place, flushed, then linked there: a crash leaves no half key, and of two first starts one wins.
fn create(path: &Path) -> Result<KeyBytes, KeyFileError> {
    let io = |source| KeyFileError::Io { doing: "write", path: path.to_owned(), source };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(io)?;
    let draft = folder.join(format!(".key-{:016x}", rand::random::<u64>()));
    let key = KeyBytes::new(rand::random());
    let written = write_draft(&draft, &key).and_then(|()| std::fs::hard_link(&draft, path));
    // the draft is a second name of the key file, or a key that was never used
    let removed = std::fs::remove_file(&draft);
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return load_or_create_key(path),
        Err(error) => return Err(io(error)),
    }
    removed.and_then(|()| File::open(folder)?.sync_all()).map_err(io)?;
    tracing::info!(path = %path.display(), "made a key: keep a copy in a safe place");
    Ok(key)
}

fn write_draft(draft: &Path, key: &KeyBytes) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    let text = Zeroizing::new(hex::encode(**key));
    file.write_all(text.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_first_start_makes_a_key_that_the_second_one_finds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state").join("some.key");
        let made = load_or_create_key(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no draft is left");
        assert_eq!(load_or_create_key(&path).unwrap(), made);
    }

    #[test]
    fn a_file_that_others_can_read_is_refused_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        load_or_create_key(&path).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        let refused = load_or_create_key(&path).err().unwrap().to_string();
        assert!(refused.contains("640") && refused.contains("chmod 600"), "{refused}");
    }

    #[test]
    fn a_damaged_key_is_not_replaced_and_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.key");
        load_or_create_key(&path).unwrap();
        std::fs::write(&path, "secretish").unwrap();
        let refused = load_or_create_key(&path).err().unwrap().to_string();
        assert!(refused.contains("64 hex digits") && !refused.contains("secretish"), "{refused}");
        assert!(key_from_hex("REGFLOW__MASTER_KEY", &"ab".repeat(32)).is_ok());
    }
}
