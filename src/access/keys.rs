//! API keys of programs: `rf_<id>_<256 random bits>`. Their file has only a hash of each, so that a copy of it lets nobody in.
//! A plain hash is enough, because nobody guesses 256 random bits; slow ones are for passwords that people choose.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use events::Timestamp;
use handlers::intake::TENANT_BYTES_MAX;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::Bad;
use super::principal::{NAME_CHARS_MAX, OwnerRef, Principal, Role, is_name, is_tenant};

/// How a key begins.
const PREFIX: &str = "rf";
/// Bytes of a key's id; not secret.
const ID_BYTES: usize = 6;
/// Bytes of a key's secret.
const SECRET_BYTES: usize = 32;
/// Largest key file, in bytes, and most keys in it.
const FILE_BYTES_MAX: u64 = 4 * 1024 * 1024;
const KEYS_MAX: usize = 10_000;
/// How long a change of the file may go unseen.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A key as the file has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoredKey {
    pub id: String,
    pub name: String,
    pub role: Role,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The pseudonym of an owner, 32 hex digits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// BLAKE3 of the secret, hex.
    pub hash: String,
    pub created: jiff::Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<jiff::Timestamp>,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    #[serde(default)]
    keys: Vec<StoredKey>,
}

/// What a new key is for.
pub struct NewKey {
    pub name: String,
    pub role: Role,
    pub tenant: Option<String>,
    pub owner: Option<String>,
    pub expires: Option<jiff::Timestamp>,
}

/// A key in memory.
#[derive(Clone)]
struct Key {
    principal: Principal,
    hash: blake3::Hash,
    expires: Option<Timestamp>,
}

/// What tells that a file was changed.
type Stamp = Option<(i64, i64, u64, u64)>;

/// The keys that are in force; the file is read again when it changes.
pub struct KeyRing {
    path: PathBuf,
    loaded: Mutex<Loaded>,
}

struct Loaded {
    keys: HashMap<String, Key>,
    stamp: Stamp,
    looked_at: Instant,
}

impl KeyRing {
    /// The keys of the file at `path`; none when there is no file yet.
    ///
    /// # Errors
    /// When the file cannot be read, or others can read it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let stamp = stamp(path);
        let loaded = Loaded { keys: in_memory(read(path)?)?, stamp, looked_at: Instant::now() };
        Ok(Self { path: path.to_owned(), loaded: Mutex::new(loaded) })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner).keys.len()
    }

    /// Whose key a text is. It takes the same time whether or not there is a key of this id.
    pub fn check(&self, text: &str, now: Timestamp) -> Result<Principal, Bad> {
        let (id, secret) = split(text).ok_or(Bad::Wrong)?;
        self.look_up(id, &blake3::hash(secret.as_bytes()), now)
    }

    /// The same for a secret whose hash was kept.
    pub fn look_up(&self, id: &str, hash: &blake3::Hash, now: Timestamp) -> Result<Principal, Bad> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut loaded);
        let known = loaded.keys.get(id);
        // comparing these hashes takes the same time wherever they differ
        let fits = known.map_or(blake3::Hash::from([0; 32]), |key| key.hash) == *hash;
        match known.filter(|_| fits) {
            None => Err(Bad::Wrong),
            Some(key) if key.expires.is_some_and(|until| until <= now) => Err(Bad::Expired),
            Some(key) => Ok(key.principal.clone()),
        }
    }

    fn refresh(&self, loaded: &mut Loaded) {
        if loaded.looked_at.elapsed() < LOOK_EVERY {
            return;
        }
        loaded.looked_at = Instant::now();
        let stamp = stamp(&self.path);
        if stamp == loaded.stamp {
            return;
        }
        match read(&self.path).and_then(in_memory) {
            Ok(keys) => {
                tracing::info!(keys = keys.len(), "the key file has changed, and is in force");
                *loaded = Loaded { keys, stamp, looked_at: Instant::now() };
            }
            // whoever mends it must be able to get in; it is looked at again when it changes again
            Err(error) => {
                tracing::error!(
                    error = format!("{error:#}"),
                    "the key file has changed and cannot be used; the keys before it stay in force"
                );
                loaded.stamp = stamp;
            }
        }
    }
}

/// Id and secret of a text that has the form of a key.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut parts = text.split('_');
    let (prefix, id, secret) = (parts.next()?, parts.next()?, parts.next()?);
    let fits = prefix == PREFIX && is_id(id) && secret.len() == 2 * SECRET_BYTES && parts.next().is_none();
    fits.then_some((id, secret))
}

/// The id in a text that has the form of a key, and what is kept of its secret.
pub fn parts(text: &str) -> Option<(String, blake3::Hash)> {
    split(text).map(|(id, secret)| (id.to_owned(), blake3::hash(secret.as_bytes())))
}

fn is_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn stamp(path: &Path) -> Stamp {
    let of = std::fs::metadata(path).ok()?;
    Some((of.mtime(), of.mtime_nsec(), of.size(), of.ino()))
}

fn read(path: &Path) -> anyhow::Result<KeyFile> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(KeyFile::default()),
        Err(error) => return Err(error).with_context(|| format!("failed to open the key file {}", path.display())),
    };
    let of = file.metadata().with_context(|| format!("failed to look at the key file {}", path.display()))?;
    let mode = of.mode() & 0o777;
    ensure!(
        mode & 0o077 == 0,
        "the key file {} is open to others (mode {mode:o}); run `chmod 600` on it",
        path.display()
    );
    let mut text = String::new();
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .with_context(|| format!("failed to read the key file {}", path.display()))?;
    toml::from_str(&text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))
}

fn in_memory(file: KeyFile) -> anyhow::Result<HashMap<String, Key>> {
    ensure!(file.keys.len() <= KEYS_MAX, "the key file has {} keys; at most {KEYS_MAX} are taken", file.keys.len());
    let key = |stored: StoredKey| {
        let id = stored.id.clone();
        let key = in_force(stored).with_context(|| format!("the key {id} of the key file"))?;
        Ok((id, key))
    };
    file.keys.into_iter().map(key).collect()
}

fn in_force(stored: StoredKey) -> anyhow::Result<Key> {
    let StoredKey { id, name, role, tenant, owner, hash, expires, .. } = stored;
    ensure!(is_id(&id), "its id is no id");
    let hash = blake3::Hash::from_hex(&hash).map_err(|_| anyhow::anyhow!("its hash has not 64 hex digits"))?;
    let owner = owner.as_deref().map(owner_ref).transpose()?;
    check(role, &name, tenant.as_deref(), owner.is_some())?;
    let expires = expires.map(|at| Timestamp(at.as_microsecond()));
    Ok(Key { principal: Principal { name, role, tenant, owner, is_anyone: false }, hash, expires })
}

fn owner_ref(text: &str) -> anyhow::Result<OwnerRef> {
    let bytes = hex::decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.context("its owner is no pseudonym; it has 32 hex digits, as `regflow status` shows it")
}

/// Each role with what it needs, and nothing besides.
fn check(role: Role, name: &str, tenant: Option<&str>, has_owner: bool) -> anyhow::Result<()> {
    ensure!(is_name(name), "its name must have 1 to {NAME_CHARS_MAX} printable characters");
    let tenant_fits = tenant.is_none_or(is_tenant);
    ensure!(tenant_fits, "its tenant must have 1 to {TENANT_BYTES_MAX} characters of a-z, 0-9, - and _");
    let (word, has_tenant) = (role.word(), tenant.is_some());
    match role {
        Role::Owner => ensure!(has_tenant && has_owner, "the role {word} needs --tenant and --owner"),
        Role::Service => ensure!(has_tenant && !has_owner, "the role {word} needs --tenant, and no --owner"),
        Role::Operator | Role::Auditor | Role::Admin => {
            ensure!(!has_tenant && !has_owner, "the role {word} is for all tenants: leave --tenant and --owner out");
        }
    }
    Ok(())
}

/// Adds a key to the file; gives its id, and the key itself, which is nowhere else from then on.
///
/// # Errors
/// When it lacks something, or the file cannot be read or written.
pub fn add(path: &Path, new: NewKey, now: jiff::Timestamp) -> anyhow::Result<(String, Zeroizing<String>)> {
    let secret = Zeroizing::new(hex::encode(*Zeroizing::new(rand::random::<[u8; SECRET_BYTES]>())));
    let id = hex::encode(rand::random::<[u8; ID_BYTES]>());
    let NewKey { name, role, tenant, owner, expires } = new;
    let hash = blake3::hash(secret.as_bytes()).to_hex().to_string();
    let stored = StoredKey { id: id.clone(), name, role, tenant, owner, hash, created: now, expires };
    in_force(stored.clone())?;
    change(path, |keys| {
        ensure!(keys.len() < KEYS_MAX, "there are {KEYS_MAX} keys already; remove some");
        keys.push(stored);
        Ok(())
    })?;
    Ok((id.clone(), Zeroizing::new(format!("{PREFIX}_{id}_{}", *secret))))
}

/// Takes a key out of the file.
///
/// # Errors
/// When there is none, or the file cannot be read or written.
pub fn remove(path: &Path, id: &str) -> anyhow::Result<StoredKey> {
    change(path, |keys| match keys.iter().position(|key| key.id == id) {
        Some(place) => Ok(keys.remove(place)),
        None => bail!("no key has the id `{}`; `regflow access list` shows those there are", id.escape_default()),
    })
}

/// The keys of the file.
///
/// # Errors
/// When it cannot be read.
pub fn list(path: &Path) -> anyhow::Result<Vec<StoredKey>> {
    Ok(read(path)?.keys)
}

/// Reads, changes and replaces the file; two at once wait for each other, and a crash leaves the old one.
fn change<T>(path: &Path, change: impl FnOnce(&mut Vec<StoredKey>) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let doing = || format!("failed to change the key file {}", path.display());
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).with_context(doing)?;
    let lock = private(&path.with_extension("lock")).with_context(doing)?;
    lock.lock().with_context(doing)?;
    let mut file = read(path)?;
    let done = change(&mut file.keys)?;
    let draft = path.with_extension("draft");
    let text = format!("# API keys of regflow; `regflow access` writes this file.\n{}", toml::to_string(&file)?);
    let written = private(&draft).and_then(|mut draft| {
        draft.set_len(0)?;
        draft.write_all(text.as_bytes())?;
        draft.sync_all()
    });
    written.and_then(|()| std::fs::rename(&draft, path)).with_context(doing)?;
    Ok(done)
}

fn private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;

    const NOW: Timestamp = Timestamp(1_764_072_000_000_000);

    fn crm() -> NewKey {
        NewKey { name: "crm".into(), role: Role::Service, tenant: Some("shop".into()), owner: None, expires: None }
    }

    fn now() -> jiff::Timestamp {
        jiff::Timestamp::from_microsecond(NOW.0).unwrap()
    }

    #[test]
    fn a_new_key_lets_in_and_its_file_does_not_hold_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let (id, key) = add(&path, crm(), now()).unwrap();
        let ring = KeyRing::open(&path).unwrap();
        let known = ring.check(&key, NOW).unwrap();
        assert_eq!((known.name.as_str(), known.role, known.tenant.as_deref()), ("crm", Role::Service, Some("shop")));
        let text = std::fs::read_to_string(&path).unwrap();
        let secret = key.rsplit('_').next().unwrap();
        assert!(text.contains(&id) && !text.contains(secret), "{text}");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_wrong_secret_and_an_unknown_id_are_refused_alike() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let (id, key) = add(&path, crm(), now()).unwrap();
        let ring = KeyRing::open(&path).unwrap();
        let zeros = "0".repeat(64);
        for wrong in [
            format!("rf_{id}_{zeros}"),
            format!("rf_000000000000_{zeros}"),
            format!("{}0", *key),
            key[..key.len() - 1].to_owned(),
            format!("{}_", *key),
            String::new(),
        ] {
            assert_eq!(ring.check(&wrong, NOW), Err(Bad::Wrong), "{wrong}");
        }
    }

    #[test]
    fn an_expired_key_says_so_only_to_who_holds_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let (id, key) = add(&path, NewKey { expires: Some(now()), ..crm() }, now()).unwrap();
        let ring = KeyRing::open(&path).unwrap();
        assert_eq!(ring.check(&key, NOW), Err(Bad::Expired));
        assert!(ring.check(&key, Timestamp(NOW.0 - 1)).is_ok());
        assert_eq!(ring.check(&format!("rf_{id}_{}", "0".repeat(64)), NOW), Err(Bad::Wrong));
    }

    #[test]
    fn a_removed_key_is_refused_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let (id, key) = add(&path, crm(), now()).unwrap();
        let ring = KeyRing::open(&path).unwrap();
        assert!(ring.check(&key, NOW).is_ok());
        remove(&path, &id).unwrap();
        let deadline = Instant::now() + Duration::from_secs(10);
        while ring.check(&key, NOW).is_ok() {
            assert!(Instant::now() < deadline, "the change of the file is seen");
            std::thread::yield_now();
        }
        assert!(remove(&path, &id).is_err());
    }

    #[test]
    fn a_broken_file_leaves_the_keys_before_it_in_force_and_stops_a_start() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let (_, key) = add(&path, crm(), now()).unwrap();
        let ring = KeyRing::open(&path).unwrap();
        std::fs::write(&path, "[[keys]]\nid = 7\n").unwrap();
        ring.loaded.lock().unwrap().looked_at -= LOOK_EVERY;
        assert!(ring.check(&key, NOW).is_ok());
        assert!(KeyRing::open(&path).is_err());
    }

    #[test]
    fn each_role_gets_what_it_needs_and_a_file_open_to_others_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.toml");
        let refused = |new| add(&path, new, now()).unwrap_err().to_string();
        assert!(refused(NewKey { tenant: None, ..crm() }).contains("--tenant"));
        assert!(refused(NewKey { role: Role::Owner, ..crm() }).contains("--owner"));
        assert!(refused(NewKey { role: Role::Admin, ..crm() }).contains("leave --tenant"));
        assert!(refused(NewKey { name: "a\nb".into(), ..crm() }).contains("printable"));
        assert!(refused(NewKey { tenant: Some("A B".into()), ..crm() }).contains("a-z, 0-9"));
        add(&path, crm(), now()).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        assert!(KeyRing::open(&path).err().unwrap().to_string().contains("chmod 600"));
    }
}
