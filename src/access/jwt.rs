//! Tokens of people (JWT, RFC 7519), signed by the identity provider of whoever runs regflow. Its keys come as a JWKS (RFC 7517)
//! from a file or a URL, and are fetched in the background: checking a token never waits for anybody.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use events::Timestamp;
use events::secrets::OwnerSecrets;
use futures::StreamExt;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde_json::{Map, Value};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::Bad;
use super::principal::{Principal, Role, is_name, is_tenant};
use crate::config::AccessSettings;
use crate::grpc::convert::DEFAULT_TENANT;

/// Longest token, in bytes; the head of a request has to hold it.
const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// Largest set of keys, in bytes and in keys.
const SET_BYTES_MAX: usize = 1024 * 1024;
const SET_KEYS_MAX: usize = 100;
/// How long fetching it may take.
const FETCH_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two fetches, when all is well, and at least when a token names a key that is not known.
const FETCH_EVERY: Duration = Duration::from_secs(300);
const FETCH_PAUSE: Duration = Duration::from_secs(2);
/// How far two clocks may be apart, in seconds.
const LEEWAY_S: u64 = 30;

/// A key of the provider, and the one algorithm that it is for.
struct ProviderKey {
    key: DecodingKey,
    algorithm: Algorithm,
}

/// The provider's keys by their ids.
type KeySet = HashMap<String, ProviderKey>;

/// Where the set is.
enum Source {
    File(PathBuf),
    Url(url::Url, reqwest::Client),
}

/// Checks tokens.
pub struct Tokens {
    settings: AccessSettings,
    secrets: OwnerSecrets,
    source: Source,
    keys: RwLock<Arc<KeySet>>,
    /// A token named a key that is not known.
    wanted: Notify,
}

impl Tokens {
    /// Reads the set from its file; one behind a URL is fetched by [`Self::run`].
    ///
    /// # Errors
    /// When the file has no keys, or the URL is none that is safe.
    pub fn new(settings: &AccessSettings, secrets: OwnerSecrets) -> anyhow::Result<Self> {
        let text = settings.jwt_jwks.as_str();
        let (source, keys) = if text.contains("://") {
            let url = address(text)?;
            let client = client(&url)?;
            (Source::Url(url, client), KeySet::new())
        } else {
            let bytes = read(text.as_ref())?;
            (Source::File(text.into()), parse(&bytes).with_context(|| format!("access.jwt_jwks {text}"))?)
        };
        let keys = RwLock::new(Arc::new(keys));
        Ok(Self { settings: settings.clone(), secrets, source, keys, wanted: Notify::new() })
    }

    /// Keeps the set fresh until `end`.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        let work = async {
            loop {
                match self.fetch().await {
                    Ok(keys) => *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys),
                    Err(error) => tracing::warn!(
                        error = format!("{error:#}"),
                        "the keys of access.jwt_jwks cannot be had; those before stay in force"
                    ),
                }
                tokio::time::sleep(FETCH_PAUSE).await;
                // fetched at once when a token wants it, but never more often than the pause allows
                drop(tokio::time::timeout(FETCH_EVERY, self.wanted.notified()).await);
            }
        };
        tokio::select! {
            () = work => {}
            () = end.cancelled() => {}
        }
    }

    async fn fetch(&self) -> anyhow::Result<KeySet> {
        match &self.source {
            Source::File(path) => {
                let path = path.clone();
                parse(&tokio::task::spawn_blocking(move || read(&path)).await??)
            }
            Source::Url(url, client) => {
                let answer = client.get(url.clone()).send().await?.error_for_status()?;
                let (mut bytes, mut parts) = (Vec::new(), answer.bytes_stream());
                while let Some(part) = parts.next().await {
                    bytes.extend_from_slice(&part?);
                    ensure!(bytes.len() <= SET_BYTES_MAX, "the set has more than {SET_BYTES_MAX} bytes");
                }
                parse(&bytes)
            }
        }
    }

    /// Whose token it is, and until when.
    pub fn check(&self, token: &str) -> Result<(Principal, Timestamp), Bad> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Bad::Wrong);
        }
        let header = decode_header(token).map_err(|_| Bad::Wrong)?;
        // nothing that a header may declare as critical is understood here (RFC 7515, 4.1.11)
        if header.crit.is_some() {
            return Err(Bad::Wrong);
        }
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(known) = find(&keys, header.kid.as_deref()) else {
            self.wanted.notify_one();
            return Err(Bad::Unknown);
        };
        let told = decode::<Map<String, Value>>(token, &known.key, &self.validation(known.algorithm));
        match told {
            Ok(told) => self.principal(&told.claims).ok_or(Bad::Wrong),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(Bad::Expired),
            Err(_) => Err(Bad::Wrong),
        }
    }

    /// The key's own algorithm and no other, whatever the token says.
    fn validation(&self, algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.set_issuer(&[&self.settings.jwt_issuer]);
        validation.set_audience(&[&self.settings.jwt_audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        validation.validate_nbf = true;
        validation.leeway = LEEWAY_S;
        validation
    }

    /// Who the claims speak of; nothing when they say too little for the role.
    fn principal(&self, claims: &Map<String, Value>) -> Option<(Principal, Timestamp)> {
        let settings = &self.settings;
        let until = claims.get("exp").and_then(Value::as_f64)?;
        let role = role(claims.get(&settings.jwt_role_claim))?;
        let tenant = match claims.get(&settings.jwt_tenant_claim) {
            None | Some(Value::Null) => None,
            // one of another shape is a mistake of the provider, and must not make anybody one of the default tenant
            Some(named) => Some(named.as_str()?.to_owned()),
        };
        let tenant = match role {
            Role::Owner => Some(tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned())),
            Role::Service => Some(tenant?),
            Role::Operator | Role::Auditor | Role::Admin => None,
        };
        let owner = match role {
            Role::Owner => {
                let is_verified = claims.get(&settings.jwt_email_verified_claim).and_then(Value::as_bool);
                let email = claims
                    .get(&settings.jwt_email_claim)
                    .and_then(Value::as_str)
                    .filter(|_| is_verified == Some(true))?;
                Some(self.secrets.pseudonym(tenant.as_deref()?, email))
            }
            Role::Service | Role::Operator | Role::Auditor | Role::Admin => None,
        };
        let name = match role {
            // stands in no event, so it is not needed
            Role::Owner => String::new(),
            Role::Service | Role::Operator | Role::Auditor | Role::Admin => {
                claims.get("sub").and_then(Value::as_str).filter(|name| is_name(name))?.to_owned()
            }
        };
        if tenant.as_deref().is_some_and(|tenant| !is_tenant(tenant)) {
            return None;
        }
        let principal = Principal { name, role, tenant, owner, is_anyone: false };
        #[allow(
            clippy::cast_possible_truncation,
            reason = "a cast of a float stays within bounds, and so far off is never"
        )]
        let until = Timestamp((until as i64).saturating_mul(1_000_000));
        Some((principal, until))
    }
}

/// The role that a claim names, alone or in a list: the last of the table's columns that is among them. Without the claim it
/// is a person; a claim without any role of ours is none.
fn role(claim: Option<&Value>) -> Option<Role> {
    match claim {
        None | Some(Value::Null) => Some(Role::Owner),
        Some(Value::String(word)) => Role::of(word),
        Some(Value::Array(words)) => {
            let named = |role: &Role| words.iter().any(|word| word.as_str() == Some(role.word()));
            Role::ALL.into_iter().rev().find(named)
        }
        Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => None,
    }
}

/// The key of an id; where the set has a single key, tokens need not name it.
fn find<'a>(keys: &'a KeySet, id: Option<&str>) -> Option<&'a ProviderKey> {
    match id {
        Some(id) => keys.get(id),
        None => keys.values().next().filter(|_| keys.len() == 1),
    }
}

fn address(text: &str) -> anyhow::Result<url::Url> {
    let url: url::Url = text.parse().with_context(|| format!("access.jwt_jwks `{text}` is no URL"))?;
    let is_here = matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
    ensure!(
        url.scheme() == "https" || (url.scheme() == "http" && is_here),
        "access.jwt_jwks is `{text}`: keys that others could change on their way let anybody in; use https://, or a file"
    );
    Ok(url)
}

fn client(url: &url::Url) -> anyhow::Result<reqwest::Client> {
    let mut client = reqwest::Client::builder().timeout(FETCH_TIMEOUT).redirect(reqwest::redirect::Policy::none());
    if url.scheme() == "http" {
        // of this machine, and by no way around it
        client = client.no_proxy();
    }
    let client = client.build();
    client.context("failed to prepare fetching access.jwt_jwks")
}

fn read(path: &std::path::Path) -> anyhow::Result<Vec<u8>> {
    use std::io::Read;
    let doing = || format!("failed to read access.jwt_jwks {}", path.display());
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).with_context(doing)?;
    file.take(SET_BYTES_MAX as u64).read_to_end(&mut bytes).with_context(doing)?;
    Ok(bytes)
}

/// The keys of a set that can be used here; others are passed over, as RFC 7517 wants it.
fn parse(bytes: &[u8]) -> anyhow::Result<KeySet> {
    let set: Value = serde_json::from_slice(bytes).context("it is no JSON")?;
    let keys = set.get("keys").and_then(Value::as_array).context("it has no list `keys`")?;
    ensure!(keys.len() <= SET_KEYS_MAX, "it has {} keys; at most {SET_KEYS_MAX} are taken", keys.len());
    let known: KeySet = keys.iter().filter_map(usable).collect();
    if known.is_empty() {
        bail!("it has no key for signatures with RS256, ES256 or EdDSA");
    }
    Ok(known)
}

fn usable(key: &Value) -> Option<(String, ProviderKey)> {
    let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
    if jwk.common.public_key_use.as_ref().is_some_and(|of| *of != PublicKeyUse::Signature) {
        return None;
    }
    let algorithm = algorithm(&jwk)?;
    // a key that says what it is for is not used for anything else
    if jwk.common.key_algorithm.is_some_and(|said| format!("{said:?}") != format!("{algorithm:?}")) {
        return None;
    }
    let decoding = DecodingKey::from_jwk(&jwk).ok()?;
    Some((jwk.common.key_id.unwrap_or_default(), ProviderKey { key: decoding, algorithm }))
}

/// By the kind of the key: never one that the key's public half could forge (HS256).
fn algorithm(jwk: &Jwk) -> Option<Algorithm> {
    if let AlgorithmParameters::RSA(_) = &jwk.algorithm {
        return Some(Algorithm::RS256);
    }
    if let AlgorithmParameters::EllipticCurve(of) = &jwk.algorithm {
        return (of.curve == EllipticCurve::P256).then_some(Algorithm::ES256);
    }
    if let AlgorithmParameters::OctetKeyPair(of) = &jwk.algorithm {
        return (of.curve == EllipticCurve::Ed25519).then_some(Algorithm::EdDSA);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_list_of_roles_gives_the_highest_and_foreign_ones_none() {
        let of = |value: Value| role(Some(&value));
        assert_eq!(of(json!(["auditor", "admin", "billing"])), Some(Role::Admin));
        assert_eq!(of(json!("operator")), Some(Role::Operator));
        assert_eq!(of(json!(["billing"])), None);
        assert_eq!(of(json!("Admin")), None);
        assert_eq!(of(json!({ "admin": true })), None);
        assert_eq!(role(None), Some(Role::Owner));
    }

    #[test]
    fn keys_come_from_a_file_or_over_a_connection_that_nobody_can_change() {
        assert!(address("https://id.example/keys").is_ok() && address("http://127.0.0.1:9/keys").is_ok());
        for bad in ["http://id.example/keys", "ftp://id.example/keys", "http://127.0.0.1.evil.example/keys"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_key_and_one_for_encryption_are_passed_over() {
        let secret = json!({ "kty": "oct", "kid": "s", "k": "c2VjcmV0", "alg": "HS256" });
        let point = "AQ".repeat(21) + "A";
        let ed = |of: &str| json!({ "kty": "OKP", "crv": "Ed25519", "kid": of, "x": point, "use": of });
        let set = json!({ "keys": [secret, ed("enc"), ed("sig"), { "kty": "new" }] });
        let keys = parse(set.to_string().as_bytes()).expect("one can be used");
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["sig"]);
        let unusable = json!({ "keys": [secret] }).to_string();
        assert!(parse(unusable.as_bytes()).is_err());
        assert!(parse(b"[]").is_err());
    }
}
