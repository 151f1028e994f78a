//! The shape of a catalog file. Each key is explained here; unknown keys are refused.

use std::collections::BTreeMap;

use events::outcome::ErrorKind;
use events::retry::RetryPolicy;
use events::words::Method;
use serde::Deserialize;

use crate::secret::SecretRef;

/// One maker.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    /// The maker's name as people know it.
    pub(crate) name: String,
    /// Brands as they stand on products; case, accents and punctuation do not matter.
    #[serde(default)]
    pub(crate) brands: Vec<String>,
    /// Which addresses our calls to this maker may go to.
    #[serde(default)]
    pub(crate) network: Network,
    /// The fields that leave for this maker; templates see no others.
    pub(crate) sends: Vec<String>,
    /// The fields without which the maker takes nothing.
    #[serde(default)]
    pub(crate) requires: Vec<String>,
    /// Days from the purchase within which it must be registered.
    #[serde(default)]
    pub(crate) register_by_days: Option<u32>,
    /// The methods in the order in which they are tried; the last is ASSISTED_MANUAL.
    pub(crate) ladder: Vec<Method>,
    #[serde(default)]
    pub(crate) serial: Option<SerialFile>,
    #[serde(default)]
    pub(crate) retry: RetryFile,
    #[serde(default)]
    pub(crate) api: Option<ApiFile>,
    #[serde(default)]
    pub(crate) form: Option<form::Recipe>,
    pub(crate) manual: ManualFile,
}

/// Where a connector's calls may go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Addresses of the internet only.
    #[default]
    Public,
    /// Also loopback and private addresses: sandboxes, makers in the own house.
    Private,
}

/// What serial numbers look like; a serial that does not is warned about, never refused.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SerialFile {
    /// Regular expressions, each for the whole serial number.
    pub(crate) patterns: Vec<String>,
    /// One that is right.
    pub(crate) example: String,
    /// The pattern in words.
    pub(crate) hint: String,
}

/// How often the methods are tried.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetryFile {
    #[serde(default)]
    pub(crate) api: RetryPolicy,
    #[serde(default)]
    pub(crate) form: RetryPolicy,
}

/// The maker's API.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiFile {
    /// `https://...`, or `sandbox:///maker` for a maker of the sandbox.
    pub(crate) base_url: String,
    /// Path and query below it; may hold templates, whose values are percent-encoded.
    pub(crate) path: String,
    #[serde(default = "post")]
    pub(crate) method: String,
    #[serde(default)]
    pub(crate) auth: AuthFile,
    pub(crate) body: BodyFile,
    /// The header that carries the idempotency key, where the maker knows one.
    #[serde(default)]
    pub(crate) idempotency_header: Option<String>,
    pub(crate) timeout_ms: u64,
    /// Whether the same request with the same key may be sent again without being registered twice.
    #[serde(default)]
    pub(crate) repeatable: bool,
    pub(crate) success: AnswerFile,
    #[serde(default)]
    pub(crate) already_registered: Option<AnswerFile>,
    /// The first that matches tells the kind of the failure; without a match the status does.
    #[serde(default)]
    pub(crate) errors: Vec<ErrorFile>,
    /// The maker's names of fields to ours, for the problems that it names.
    #[serde(default)]
    pub(crate) field_names: BTreeMap<String, String>,
    /// Expression for the maker's own message; shown to people shortened and without personal data.
    #[serde(default)]
    pub(crate) message: Option<String>,
    #[serde(default)]
    pub(crate) lookup: Option<LookupFile>,
    /// Path of the maker's health endpoint.
    #[serde(default)]
    pub(crate) health_path: Option<String>,
}

fn post() -> String {
    "POST".to_owned()
}

/// How we show who we are: `[api.auth.bearer]` and its like, one of them.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum AuthFile {
    #[default]
    None,
    ApiKey(ApiKeyFile),
    Bearer(BearerFile),
    Basic(BasicFile),
    Oauth2(Oauth2File),
}

/// A key in a header or in the query.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ApiKeyFile {
    #[serde(default)]
    pub(crate) header: Option<String>,
    #[serde(default)]
    pub(crate) query: Option<String>,
    pub(crate) secret: SecretRef,
}

/// `Authorization: Bearer`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BearerFile {
    pub(crate) secret: SecretRef,
}

/// HTTP basic.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BasicFile {
    pub(crate) user: SecretRef,
    pub(crate) secret: SecretRef,
}

/// OAuth2 client credentials (RFC 6749, section 4.4).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Oauth2File {
    /// Path of the token endpoint below `base_url`, or a whole https URL.
    pub(crate) token_url: String,
    pub(crate) client_id: SecretRef,
    pub(crate) secret: SecretRef,
    #[serde(default)]
    pub(crate) scope: Option<String>,
    /// Where the client's name and secret go.
    #[serde(default)]
    pub(crate) client_auth: ClientAuth,
}

/// Where an OAuth2 client shows its credentials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ClientAuth {
    /// HTTP basic, which every server must know (RFC 6749, section 2.3.1).
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
}

/// `[api.body.json]` or `[api.body.form]`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum BodyFile {
    Json(toml::Table),
    Form(toml::Table),
}

/// An answer that we know: a status, and an expression over `status` and `body` if that is not enough.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AnswerFile {
    pub(crate) status: Vec<u16>,
    #[serde(default)]
    pub(crate) when: Option<String>,
    /// Expression for the maker's confirmation code.
    #[serde(default)]
    pub(crate) confirmation: Option<String>,
}

/// An answer that means a failure.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ErrorFile {
    pub(crate) status: Vec<u16>,
    #[serde(default)]
    pub(crate) when: Option<String>,
    pub(crate) kind: ErrorKind,
    /// The one field that this error is about, by our name.
    #[serde(default)]
    pub(crate) field: Option<String>,
    /// Expression for the list of problems; `item` is one of them.
    #[serde(default)]
    pub(crate) each: Option<String>,
    /// Expression for the maker's name of the field of `item`.
    #[serde(default)]
    pub(crate) name: Option<String>,
    /// Expression for what the maker says about it.
    #[serde(default)]
    pub(crate) text: Option<String>,
}

/// How to ask whether a product is registered already.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LookupFile {
    pub(crate) path: String,
    /// Expression for the confirmation code in a 200 answer; 404 means that it is not registered.
    pub(crate) confirmation: String,
}

/// What the owner needs to do it by hand.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManualFile {
    #[serde(default)]
    pub(crate) website: Option<String>,
    #[serde(default)]
    pub(crate) phone: Option<String>,
    /// Lines separated by newlines.
    #[serde(default)]
    pub(crate) postal: Option<String>,
    /// The page where it is done: https, or `sandbox:///...`.
    #[serde(default)]
    pub(crate) link: Option<String>,
    /// What to do, one step an entry.
    pub(crate) steps: Vec<String>,
    /// What to enter, in the order of the maker's form.
    #[serde(default)]
    pub(crate) fields: Vec<ManualFieldFile>,
}

/// One line of the maker's form.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ManualFieldFile {
    pub(crate) label: String,
    pub(crate) value: String,
    #[serde(default)]
    pub(crate) note: Option<String>,
}
