//! Secrets: from the environment or from files, wiped from memory when dropped, never printed.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, bail};
use secrecy::SecretString;
use url::Url;
use zeroize::Zeroizing;

use crate::config::Settings;

/// A longer file holds no secret.
const FILE_BYTES_MAX: u64 = 64 * 1024;
/// Stands for what is not shown.
const MASK: &str = "****";
/// What the service itself may be given.
const OWN: [&str; 5] = [
    "REGFLOW_MASTER_KEY",
    "REGFLOW_MASTER_KEY_OLD",
    "REGFLOW_SIGNING_KEY",
    "REGFLOW_SMTP_PASSWORD",
    "REGFLOW_NATS_NKEY",
];

/// A secret from `NAME` or from the file that `NAME_FILE` names, without white space around it; nothing when neither is set.
pub fn secret(name: &str) -> anyhow::Result<Option<SecretString>> {
    if let Some(value) = std::env::var_os(name) {
        let text = value.into_string().map_err(|_| anyhow::anyhow!("{name} is not UTF-8"))?;
        return Ok(Some(trimmed(&Zeroizing::new(text))));
    }
    match std::env::var_os(format!("{name}_FILE")) {
        Some(path) => of_file(Path::new(&path)).with_context(|| format!("{name}_FILE cannot be used")).map(Some),
        None => Ok(None),
    }
}

fn of_file(path: &Path) -> anyhow::Result<SecretString> {
    let file = std::fs::File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
    // room for all of it at once: a text that grows leaves copies behind
    let mut text = Zeroizing::new(String::with_capacity(FILE_BYTES_MAX as usize + 1));
    let read = file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text);
    read.with_context(|| format!("failed to read {}", path.display()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        bail!("{} has more than {FILE_BYTES_MAX} bytes, so it holds no secret", path.display());
    }
    Ok(trimmed(&text))
}

fn trimmed(text: &str) -> SecretString {
    SecretString::from(text.trim().to_owned())
}

/// An address without what may be secret in it: its user, its password, its query.
pub fn masked(address: &str) -> String {
    // an address of NATS need not name its scheme
    if !address.contains("://") {
        return address.rsplit_once('@').map_or_else(|| address.to_owned(), |(_, host)| format!("{MASK}@{host}"));
    }
    let Ok(mut url) = Url::parse(address) else { return MASK.to_owned() };
    if url.query().is_some() {
        url.set_query(Some(MASK));
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    // refused only by addresses that can have no user
    if has_user && (url.set_username(MASK).is_err() || url.set_password(None).is_err()) {
        return MASK.to_owned();
    }
    if has_user || url.query().is_some() { url.into() } else { address.to_owned() }
}

/// The same of a recipient's address, whose path often is a secret, too.
fn masked_recipient(address: &str) -> String {
    match Url::parse(address) {
        Ok(url) if url.path().len() > 1 => format!("{}/{MASK}", url.origin().ascii_serialization()),
        Ok(_) | Err(_) => masked(address),
    }
}

/// The settings as they may be shown.
pub fn without_secrets(settings: &Settings) -> Settings {
    let mut shown = settings.clone();
    shown.nats.url = masked(&shown.nats.url);
    shown.nats.monitor_url = masked(&shown.nats.monitor_url);
    shown.catalog.sandbox = masked(&shown.catalog.sandbox);
    shown.server.public_url = masked(&shown.server.public_url);
    shown.access.jwt_jwks = masked(&shown.access.jwt_jwks);
    for webhook in &mut shown.webhooks {
        webhook.url = masked_recipient(&webhook.url);
    }
    shown
}

/// Which secrets are set, and how; a comment line each, never a value.
pub fn in_words(settings: &Settings) -> String {
    let webhooks = settings.webhooks.iter().map(|webhook| webhook.secret_env.as_str());
    let line = |name: &str| {
        let state = match (std::env::var_os(name), std::env::var_os(format!("{name}_FILE"))) {
            (Some(_), _) => format!("{MASK}, from the environment"),
            (None, Some(path)) => format!("{MASK}, from the file {}", Path::new(&path).display()),
            (None, None) => "not set".to_owned(),
        };
        format!("#   {name:<24} {state}\n")
    };
    let lines: String = OWN.into_iter().chain(webhooks).map(line).collect();
    format!("# Secrets, which never stand in a settings file:\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn an_address_is_shown_without_user_password_and_query() {
        for (address, shown) in [
            ("nats://regflow:hunter2@nats.example:4222", "nats://****@nats.example:4222"),
            ("nats://S3CRETT0KEN@nats.example:4222", "nats://****@nats.example:4222"),
            ("http://127.0.0.1:8222", "http://127.0.0.1:8222"),
            ("regflow:hunter2@nats.example:4222", "****@nats.example:4222"),
            ("S3CRETT0KEN@nats.example:4222", "****@nats.example:4222"),
            ("nats.example:4222", "nats.example:4222"),
            ("https://x.example/a?key=1", "https://x.example/a?****"),
            ("", ""),
        ] {
            assert_eq!(masked(address), shown);
        }
        assert_eq!(masked_recipient("https://hooks.example/T0/B0/abc"), "https://hooks.example/****");
    }

    #[test]
    fn a_file_is_trimmed_and_bounded_and_an_error_never_shows_its_text() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("secret");
        std::fs::write(&path, " hunter2\n").expect("written");
        assert!(of_file(&path).is_ok_and(|secret| secret.expose_secret() == "hunter2"));
        std::fs::write(&path, "hunter2".repeat(20_000)).expect("written");
        let refused = of_file(&path).map(|_| ()).map_err(|error| format!("{error:#}"));
        assert!(refused.is_err_and(|text| text.contains("65536 bytes") && !text.contains("hunter2")));
        assert!(of_file(&folder.path().join("missing")).is_err());
    }

    #[test]
    fn a_secret_cannot_be_printed_by_accident() {
        assert!(!format!("{:?}", trimmed("hunter2")).contains("hunter2"));
    }
}
