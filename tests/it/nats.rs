//! A nats-server that does not belong to the service.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::PATIENCE;

/// A nats-server that an operator runs.
pub struct Nats {
    child: Child,
    pub url: String,
    pub monitor_url: String,
    _data: tempfile::TempDir,
}

impl Drop for Nats {
    fn drop(&mut self) {
        // both fail only when it has ended already
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Nats {
    pub fn start(sync: &str) -> Self {
        Self::start_with(sync, "")
    }

    /// One with the accounts of nats/accounts.conf.example; and the seed of regflow's own user there.
    pub fn with_accounts() -> (Self, String) {
        let pair = nkeys::KeyPair::new_user();
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("nats/accounts.conf.example");
        let mut accounts = std::fs::read_to_string(path).unwrap().replace("UREGFLOW", &pair.public_key());
        for other in ["UAUDITOR", "USHOP"] {
            accounts = accounts.replace(other, &nkeys::KeyPair::new_user().public_key());
        }
        (Self::start_with("always", &accounts), pair.seed().unwrap())
    }

    fn start_with(sync: &str, more: &str) -> Self {
        let data = tempfile::tempdir().unwrap();
        let conf = data.path().join("server.conf");
        let text = format!(
            "listen: 127.0.0.1:-1\nhttp: 127.0.0.1:-1\nports_file_dir: {0:?}\njetstream {{ store_dir: {0:?}, sync_interval: {sync} }}\n{more}",
            data.path()
        );
        std::fs::write(&conf, text).unwrap();
        let child = Command::new(binary()).arg("-c").arg(&conf).stderr(Stdio::null()).spawn().unwrap();
        let ports = ports(data.path());
        let address = |kind: &str| ports[kind][0].as_str().unwrap().to_owned();
        Self { child, url: address("nats"), monitor_url: address("monitoring"), _data: data }
    }
}

/// The one that `make setup` unpacked, else the one on PATH.
fn binary() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/nats-server");
    if own.exists() { own } else { "nats-server".into() }
}

/// What the server says of its ports, once it says so.
fn ports(folder: &Path) -> Value {
    let deadline = std::time::Instant::now() + PATIENCE;
    loop {
        let file =
            std::fs::read_dir(folder).unwrap().flatten().find(|f| f.path().extension().is_some_and(|e| e == "ports"));
        let text = file.and_then(|file| std::fs::read_to_string(file.path()).ok()).unwrap_or_default();
        if let Ok(ports) = serde_json::from_str(&text) {
            return ports;
        }
        assert!(std::time::Instant::now() < deadline, "nats-server did not start");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}
