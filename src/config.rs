//! Settings: the committed regflow.toml with its defaults is compiled in; a file and the environment may change them.

mod access;

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use config::{Config, Environment, File, FileFormat};
use events::MailPreference;
use events::line::Ageing;
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};

pub use self::access::{AccessMode, AccessSettings};

/// The committed file: the manual of all keys, and their defaults.
pub const DEFAULTS: &str = include_str!("../regflow.toml");
/// Largest settings file, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// The section of the settings that is a list.
const WEBHOOKS: &str = "webhooks";
/// The keys of one webhook; `types` and `network` may be left out.
const WEBHOOK_KEYS: [&str; 6] = ["tenant", "name", "url", "secret_env", "types", "network"];
/// Most webhooks.
const WEBHOOKS_MAX: usize = 100;
/// Most pauses between tries.
const RETRIES_MAX: usize = 50;

/// All settings.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub webhooks: Vec<WebhookSettings>,
    pub server: Server,
    pub access: AccessSettings,
    pub nats: Nats,
    pub engine: EngineSettings,
    pub catalog: CatalogSettings,
    pub browser: BrowserSettings,
    pub smtp: Smtp,
    pub packet: PacketSettings,
    pub mail: MailSettings,
    pub alerts: Alerts,
    pub delivery: DeliverySettings,
    pub audit: AuditSettings,
    pub log: Log,
}

/// `[server]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    pub grpc: SocketAddr,
    pub http: SocketAddr,
    pub public_url: String,
    pub http_connections_max: usize,
    pub http_requests_per_s: u32,
    pub data: PathBuf,
    pub submit_timeout_ms: u64,
    pub requests_max: usize,
    pub submissions_max: usize,
    pub tls_certificate: String,
    pub tls_key: String,
    pub tls_client_ca: String,
}

/// `[nats]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nats {
    pub url: String,
    pub monitor_url: String,
    pub credentials: String,
    pub ca: String,
    pub replicas: usize,
    pub binary: String,
    pub memory: String,
    pub durability: Durability,
}

/// Whether an acknowledged write may be lost in a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    Safe,
    Relaxed,
}

/// `[engine]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineSettings {
    pub api_concurrency: usize,
    pub manual_concurrency: usize,
    pub normal_ages_after_s: u64,
    pub normal_turn_every: u32,
    pub low_ages_after_s: u64,
    pub low_turn_every: u32,
    pub lookup_first_ms: u64,
    pub lookup_again_ms: u64,
    pub lookups_max: u32,
    pub drain_timeout_s: u64,
    pub snapshot_every_ms: u64,
}

impl EngineSettings {
    /// How those who wait long come to their turn.
    pub const fn ageing(&self) -> Ageing {
        Ageing {
            normal_after: Duration::from_secs(self.normal_ages_after_s),
            normal_every: self.normal_turn_every,
            low_after: Duration::from_secs(self.low_ages_after_s),
            low_every: self.low_turn_every,
        }
    }
}

/// `[alerts]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    pub to: Vec<String>,
}

/// `[catalog]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CatalogSettings {
    pub folder: String,
    pub sandbox: String,
}

/// `[browser]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BrowserSettings {
    pub chromedriver: String,
    pub binary: String,
    pub sessions: usize,
    pub form_timeout_s: u64,
}

/// `[smtp]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Smtp {
    pub host: String,
    pub port: u16,
    pub tls: mail::Tls,
    pub username: String,
    pub from: String,
    pub timeout_s: u64,
    pub connections: usize,
}

/// `[packet]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PacketSettings {
    pub fonts: String,
    pub render_ms: u64,
    pub memory_mb: u64,
    pub tries_max: u32,
    pub base_ms: u64,
    pub cap_ms: u64,
    pub done_hint: String,
    pub link_days: u32,
    pub mail_domain: String,
}

/// `[mail]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MailSettings {
    pub preference: MailPreference,
}

/// One of `[[webhooks]]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookSettings {
    pub tenant: String,
    pub name: String,
    pub url: String,
    pub secret_env: String,
    #[serde(default)]
    pub types: Vec<String>,
    #[serde(default)]
    pub network: WebhookNetwork,
}

/// Where a webhook's recipient is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum WebhookNetwork {
    /// On the public internet.
    #[default]
    Public,
    /// Perhaps in the own house.
    Private,
}

/// `[delivery]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeliverySettings {
    pub timeout_ms: u64,
    pub concurrency: usize,
    #[serde(deserialize_with = "one_or_many")]
    pub retry_ms: Vec<u64>,
}

/// The environment's list of one number is read as a number.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    let given: toml::Value = Deserialize::deserialize(deserializer)?;
    let numbers = given.as_array().cloned().unwrap_or_else(|| vec![given]);
    let number = |value: &toml::Value| value.as_integer().or_else(|| value.as_str()?.parse().ok());
    let numbers = numbers.iter().map(|value| number(value).and_then(|number| u64::try_from(number).ok()));
    numbers.collect::<Option<_>>().ok_or_else(|| D::Error::custom("write it as a list of whole numbers"))
}

/// `[audit]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditSettings {
    pub origin: String,
    pub checkpoint_s: u64,
    pub witness: String,
}

/// `[log]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub level: String,
    pub format: LogFormat,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Pretty,
    Json,
}

impl Settings {
    /// The defaults, then `file`, then the environment's `REGFLOW__SECTION__KEY`.
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let environment = Environment::with_prefix("REGFLOW")
            .prefix_separator("__")
            .separator("__")
            .try_parsing(true)
            .list_separator(",")
            .with_list_parse_key("alerts.to")
            .with_list_parse_key("delivery.retry_ms");
        Self::from_sources(file, environment)
    }

    fn from_sources(file: Option<&Path>, environment: Environment) -> anyhow::Result<Self> {
        let mut builder = Config::builder().add_source(File::from_str(DEFAULTS, FileFormat::Toml));
        if let Some(path) = file {
            let text = read_bounded(path)?;
            check_keys(path, &text)?;
            builder = builder.add_source(File::from_str(&text, FileFormat::Toml));
        }
        let settings: Self = builder
            .add_source(environment)
            .build()
            .and_then(Config::try_deserialize)
            .map_err(|error| anyhow::anyhow!("failed to read the settings: {error}"))?;
        settings.check()?;
        Ok(settings)
    }

    fn check(&self) -> anyhow::Result<()> {
        let positive = [
            ("server.requests_max", self.server.requests_max),
            ("server.submissions_max", self.server.submissions_max),
            ("server.http_connections_max", self.server.http_connections_max),
            ("server.http_requests_per_s", self.server.http_requests_per_s as usize),
            ("packet.link_days", self.packet.link_days as usize),
            ("engine.api_concurrency", self.engine.api_concurrency),
            ("engine.manual_concurrency", self.engine.manual_concurrency),
            ("engine.normal_turn_every", self.engine.normal_turn_every as usize),
            ("engine.low_turn_every", self.engine.low_turn_every as usize),
            ("engine.lookups_max", self.engine.lookups_max as usize),
            ("browser.sessions", self.browser.sessions),
            ("smtp.connections", self.smtp.connections),
            ("nats.replicas", self.nats.replicas),
            ("audit.checkpoint_s", usize::try_from(self.audit.checkpoint_s).unwrap_or(usize::MAX)),
            ("delivery.concurrency", self.delivery.concurrency),
            ("delivery.timeout_ms", usize::try_from(self.delivery.timeout_ms).unwrap_or(usize::MAX)),
        ];
        for (key, value) in positive {
            if value == 0 || value > 100_000 {
                bail!("{key} is {value}; give a number from 1 to 100000");
            }
        }
        let (webhooks, pauses) = (self.webhooks.len(), self.delivery.retry_ms.len());
        if webhooks > WEBHOOKS_MAX || pauses > RETRIES_MAX {
            bail!(
                "webhooks has {webhooks} entries (at most {WEBHOOKS_MAX}) and delivery.retry_ms {pauses} (at most {RETRIES_MAX})"
            );
        }
        self.access.check(&self.server)?;
        check_public_url(&self.server.public_url)
    }

    /// How long a submission may wait for the log.
    pub fn submit_timeout(&self) -> Duration {
        Duration::from_millis(self.server.submit_timeout_ms)
    }
}

/// A link in a mail is made by putting a path behind it.
fn check_public_url(text: &str) -> anyhow::Result<()> {
    let is_origin = |uri: axum::http::Uri| {
        let known = matches!(uri.scheme_str(), Some("http" | "https"));
        known && uri.authority().is_some() && uri.path() == "/" && uri.query().is_none()
    };
    if text.is_empty() || text.parse().is_ok_and(is_origin) {
        return Ok(());
    }
    bail!("server.public_url is `{text}`; write it like https://register.example.org, or leave it empty")
}

fn read_bounded(path: &Path) -> anyhow::Result<String> {
    let size = fs::metadata(path).with_context(|| format!("failed to open {}", path.display()))?.len();
    if size > FILE_BYTES_MAX {
        bail!("{} has {size} bytes; at most {FILE_BYTES_MAX} are read", path.display());
    }
    fs::read_to_string(path).with_context(|| format!("failed to read {}", path.display()))
}

/// Refuses keys that the defaults do not have, with the place and the nearest key that they do have.
fn check_keys(path: &Path, text: &str) -> anyhow::Result<()> {
    let known: toml::Table = toml::from_str(DEFAULTS).context("failed to parse the compiled-in settings")?;
    let given: toml::Table = toml::from_str(text).map_err(|error| anyhow::anyhow!("{}: {error}", path.display()))?;
    for (section, keys) in &given {
        if section == WEBHOOKS {
            check_webhooks(path, text, keys)?;
            continue;
        }
        let Some(known_keys) = known.get(section).and_then(toml::Value::as_table) else {
            bail!("{}: {}", place(path, text, section), unknown(section, known.keys()));
        };
        let Some(keys) = keys.as_table() else {
            bail!("{}: `{section}` is a section: write [{section}] and its keys below", place(path, text, section));
        };
        if let Some(key) = keys.keys().find(|key| !known_keys.contains_key(*key)) {
            bail!("{}: {}", place(path, text, key), unknown(&format!("{section}.{key}"), known_keys.keys()));
        }
    }
    Ok(())
}

fn check_webhooks(path: &Path, text: &str, given: &toml::Value) -> anyhow::Result<()> {
    let known = WEBHOOK_KEYS.map(str::to_owned);
    let entries = given.as_array().map(Vec::as_slice).unwrap_or_default();
    let tables: Vec<_> = entries.iter().filter_map(toml::Value::as_table).collect();
    if !given.is_array() || tables.len() != entries.len() {
        bail!("{}: `{WEBHOOKS}` is a list: write [[{WEBHOOKS}]] and its keys below", place(path, text, WEBHOOKS));
    }
    for (number, keys) in tables.into_iter().enumerate() {
        if let Some(key) = keys.keys().find(|key| !known.contains(key)) {
            bail!("{}: {}", place(path, text, key), unknown(&format!("{WEBHOOKS}.{key}"), known.iter()));
        }
        let missing = known[..4].iter().find(|key| !keys.contains_key(*key));
        if let Some(key) = missing {
            bail!("{}: webhooks[{number}].{key} is missing", place(path, text, WEBHOOKS));
        }
    }
    Ok(())
}

fn unknown<'a>(given: &str, known: impl Iterator<Item = &'a String>) -> String {
    let (prefix, name) = given.rsplit_once('.').map_or(("", given), |(section, key)| (section, key));
    let nearest = known.max_by(|a, b| strsim::jaro_winkler(a, name).total_cmp(&strsim::jaro_winkler(b, name)));
    let dot = if prefix.is_empty() { "" } else { "." };
    match nearest {
        Some(nearest) => format!("unknown key `{given}`; the nearest known one is `{prefix}{dot}{nearest}`"),
        None => format!("unknown key `{given}`"),
    }
}

/// `file:line` of the first line that begins with the key (or opens the section).
fn place(path: &Path, text: &str, key: &str) -> String {
    let begins = |line: &str| line.trim_start().trim_start_matches('[').starts_with(key);
    let line = text.lines().position(begins).map_or(1, |index| index + 1);
    format!("{}:{line}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> anyhow::Result<Settings> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("mine.toml");
        fs::write(&path, text)?;
        Settings::from_sources(Some(&path), Environment::with_prefix("REGFLOW_UNUSED"))
    }

    fn refusal(text: &str) -> String {
        load(text).map(|_| String::new()).unwrap_or_else(|error| error.to_string())
    }

    #[test]
    fn the_compiled_in_file_is_complete_and_valid() {
        let settings = load("").expect("the defaults are valid");
        assert_eq!(settings.nats.durability, Durability::Safe);
    }

    #[test]
    fn a_file_changes_only_what_it_names() {
        let settings = load("[smtp]\nport = 2525\n").expect("valid");
        assert_eq!((settings.smtp.port, settings.smtp.host.as_str()), (2525, "127.0.0.1"));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_nearest_known_one() {
        let text = refusal("[smtp]\nhost = \"h\"\nprot = 25\n");
        assert!(text.ends_with("mine.toml:3: unknown key `smtp.prot`; the nearest known one is `smtp.port`"), "{text}");
        assert!(refusal("[post]\nx = 1\n").contains("mine.toml:1: unknown key `post`"));
    }

    #[test]
    fn a_webhook_is_read_and_its_unknown_and_missing_keys_are_named() {
        let whole = "[[webhooks]]\ntenant = \"t\"\nname = \"n\"\nurl = \"https://h/\"\nsecret_env = \"S\"\n";
        let settings = load(whole).expect("valid");
        assert_eq!((settings.webhooks.len(), settings.webhooks[0].types.len()), (1, 0));
        let text = refusal(&format!("{whole}typ = []\n"));
        assert!(
            text.ends_with("mine.toml:6: unknown key `webhooks.typ`; the nearest known one is `webhooks.types`"),
            "{text}"
        );
        assert!(refusal("[[webhooks]]\ntenant = \"t\"\n").ends_with("mine.toml:1: webhooks[0].name is missing"));
        assert!(refusal("[webhooks]\nname = \"n\"\n").contains("write [[webhooks]]"));
    }

    #[test]
    fn a_zero_bound_and_an_open_address_are_refused_by_name() {
        assert!(refusal("[browser]\nsessions = 0\n").contains("browser.sessions is 0"));
        assert!(refusal("[server]\ngrpc = \"0.0.0.0:7460\"\n").contains("server.grpc is 0.0.0.0:7460"));
    }

    #[test]
    fn what_others_can_reach_needs_tls_and_a_login() {
        let (tls, required) = ("tls_certificate = \"c\"\ntls_key = \"k\"\n", "[access]\nmode = \"required\"\n");
        for listens in ["http = \"0.0.0.0:7461\"\n", "grpc = \"[::]:7460\"\n", "http = \"192.0.2.1:7461\"\n"] {
            let server = format!("[server]\n{listens}");
            assert!(load(&format!("{server}{tls}{required}")).is_ok());
            let (without_tls, without_login) =
                (refusal(&format!("{server}{required}")), refusal(&format!("{server}{tls}")));
            assert!(
                without_tls.contains("server.tls_certificate") && !without_tls.contains("access.mode"),
                "{without_tls}"
            );
            assert!(without_login.contains("access.mode") && !without_login.contains("tls_key"), "{without_login}");
        }
        assert!(refusal("[server]\ntls_key = \"k\"\n").contains("belong together"));
        assert!(refusal("[access]\njwt_issuer = \"i\"\n").contains("access.jwt_jwks is empty"));
    }

    #[test]
    fn a_value_of_the_wrong_kind_names_its_key() {
        assert!(refusal("[smtp]\nport = \"many\"\n").contains("smtp.port"));
    }
}
