//! The service's own secret keys: from the environment, a file that it names, or a file that the first start makes.

use std::path::Path;

use anyhow::Context;
use bus::{KeyBytes, MasterFile};
use events::NoteSigner;
use events::seal::MasterKey;
use secrecy::ExposeSecret;

use crate::config::Settings;
use crate::secrets;
use crate::serve::NATS_FOLDER;

/// The master key's file below the data folder, when it comes from nowhere else.
const MASTER_KEY_FILE: &str = "master.key";
/// The same of the key that signs heads of the log and proofs.
pub const SIGNING_KEY_FILE: &str = "signing.key";
const MASTER_KEY: &str = "REGFLOW_MASTER_KEY";
/// The master key before, until everything is wrapped anew.
const OLD_MASTER_KEY: &str = "REGFLOW_MASTER_KEY_OLD";

/// The master key at work, and the one before it while a rotation is under way.
pub struct MasterKeys {
    pub present: MasterKey,
    pub old: Option<MasterKey>,
    /// Where they stand, when no other process can have them.
    pub file: Option<MasterFile>,
}

impl MasterKeys {
    pub fn load(settings: &Settings) -> anyhow::Result<Self> {
        let old = from_environment(OLD_MASTER_KEY)?;
        if let Some(present) = from_environment(MASTER_KEY)? {
            return Ok(Self {
                present: MasterKey::new(*present),
                old: old.map(|old| MasterKey::new(*old)),
                file: None,
            });
        }
        anyhow::ensure!(old.is_none(), "{OLD_MASTER_KEY} is set, but {MASTER_KEY} is not; set that to the new key");
        let path = settings.server.data.join(MASTER_KEY_FILE);
        let store = settings.server.data.join(NATS_FOLDER);
        anyhow::ensure!(
            path.exists() || !settings.nats.url.is_empty() || !store.exists(),
            "there is no {}, but {} holds what it protects: put the key back, or set {MASTER_KEY}",
            path.display(),
            store.display()
        );
        let file = MasterFile::new(path);
        let (present, old) = file.load()?;
        // on a NATS of its own nobody else needs the key
        let file = settings.nats.url.is_empty().then_some(file);
        Ok(Self { present: MasterKey::new(*present), old: old.map(|old| MasterKey::new(*old)), file })
    }
}

/// The key that signs heads of the log and proofs.
pub fn signer(settings: &Settings) -> anyhow::Result<NoteSigner> {
    let file = settings.server.data.join(SIGNING_KEY_FILE);
    let seed = key("REGFLOW_SIGNING_KEY", &file)?;
    NoteSigner::new(&settings.audit.origin, &seed).context("audit.origin cannot be the name of a signing key")
}

fn key(name: &str, file: &Path) -> anyhow::Result<KeyBytes> {
    match from_environment(name)? {
        Some(key) => Ok(key),
        None => Ok(bus::load_or_create_key(file)?),
    }
}

fn from_environment(name: &str) -> anyhow::Result<Option<KeyBytes>> {
    let hex = secrets::secret(name)?;
    hex.map(|hex| Ok(bus::key_from_hex(name, hex.expose_secret())?)).transpose()
}
