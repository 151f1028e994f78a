//! The shape of a catalog file. Each key is explained here; unknown keys are refused.

use std::collections::BTreeMap;

use events::RetentionFrom;
use events::outcome::ErrorKind;
use events::policy::DeadlineFrom;
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
    /// Until when it must be registered.
    #[serde(default)]
    pub(crate) register_by: Option<RegisterByFile>,
    /// What `[register_by]` was before it could say more; shown as a mistake with the new spelling.
    #[serde(default)]
    pub(crate) register_by_days: Option<i64>,
    /// How long a law wants registrations kept, even when their person asks to be forgotten.
    #[serde(default)]
    pub(crate) retention: Option<RetentionFile>,
    /// The methods in the order in which they are tried; the last is ASSISTED_MANUAL.
    pub(crate) ladder: Vec<Method>,
    #[serde(default)]
    pub(crate) serial: Option<SerialFile>,
    #[serde(default)]
    pub(crate) retry: RetryFile,
    /// When we stop trying for a while.
    #[serde(default)]
    pub(crate) circuit: CircuitFile,
    /// `[[limits]]`: how many attempts in how much time; all of them hold at once. Without any: as many as there are.
    #[serde(default)]
    pub(crate) limits: Vec<LimitFile>,
    /// How many attempts at once.
    #[serde(default)]
    pub(crate) concurrency: ConcurrencyFile,
    /// When the maker counts as ill, and when people are told.
    #[serde(default)]
    pub(crate) health: HealthFile,
    #[serde(default)]
    pub(crate) api: Option<ApiFile>,
    /// The maker's form, with `[form.baseline]`: how its first page looked when this was written (see
    /// connectors/catalog/brightwell.toml). Health checks compare it with the page of today.
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
    /// Where it stands on the product, in words that fit after "It stands".
    #[serde(default)]
    pub(crate) location: Option<String>,
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

/// When a circuit opens and closes, for the API and the form each. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CircuitFile {
    /// Failures in a row that open it (5): network, timeout, server, rate limit and refused credentials count.
    pub(crate) failures: Option<i64>,
    /// Seconds until one probe is let through (60).
    pub(crate) open_s: Option<i64>,
    /// Successful probes in a row that close it (3).
    pub(crate) successes: Option<i64>,
    /// What a registration does meanwhile: `next_rung` (as if left out) goes on to the next automatic method, `wait` waits.
    pub(crate) when_open: Option<WhenOpenFile>,
}

/// What a registration does while a circuit is open.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum WhenOpenFile {
    /// Goes to the next automatic method; waits when there is none.
    NextRung,
    /// Waits.
    Wait,
}

/// One limit: at most `max` attempts in `per_s` seconds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitFile {
    pub(crate) max: i64,
    pub(crate) per_s: i64,
    #[serde(default)]
    pub(crate) refill: RefillFile,
}

/// When the tokens of a limit come back.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefillFile {
    /// All at once, when the period that began with the first of them has ended: as most makers count.
    Interval,
    /// Each one period after it was taken: no stretch of that length ever holds more than the limit.
    #[default]
    Smooth,
}

/// Most attempts at once, a method. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConcurrencyFile {
    /// API calls (1024).
    pub(crate) api: Option<i64>,
    /// Forms (2).
    pub(crate) form: Option<i64>,
}

/// When a maker counts as ill. Rates are in percent of the last hour's attempts. Every key may be left out.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HealthFile {
    /// Seconds between two checks (300); each is drawn up to a tenth earlier or later.
    pub(crate) every_s: Option<i64>,
    /// Fewer attempts than this in an hour tell nothing (10).
    pub(crate) attempts_min: Option<i64>,
    /// Down below this success rate (50).
    pub(crate) down_below_percent: Option<i64>,
    /// Degraded below this success rate (80).
    pub(crate) degraded_below_percent: Option<i64>,
    /// Checks in a row that fail before it counts as down (3).
    pub(crate) checks_failed: Option<i64>,
    /// Critical alert below this success rate (70).
    pub(crate) critical_below_percent: Option<i64>,
    /// Warning below this success rate (85).
    pub(crate) warning_below_percent: Option<i64>,
    /// Alert when 95 of 100 attempts do not end within these milliseconds (120,000).
    pub(crate) latency_p95_max_ms: Option<i64>,
    /// Alert after this many failures in a row (5).
    pub(crate) failures_in_a_row: Option<i64>,
    /// Checks in a row in which something must be wrong before people are told (2).
    pub(crate) alert_after: Option<i64>,
    /// Checks in a row in which it must be well again before they are told so (2).
    pub(crate) recover_after: Option<i64>,
}

/// How long registrations must be kept.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RetentionFile {
    /// Years after the day that counts, that day's anniversary included.
    pub(crate) keep_years: i64,
    /// The day that counts: `purchase`, or `submission`, which also stands in for a purchase that has no day.
    pub(crate) from: RetentionFrom,
    /// The law, as whoever asks is told it, in words that fit after "by".
    pub(crate) law: String,
    /// Regular expressions, each for a whole model, in any case: only these products are kept; all when left out.
    #[serde(default)]
    pub(crate) models: Vec<String>,
}

/// Until when the maker takes a product.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RegisterByFile {
    /// Days after the day that counts; the last of them still does.
    pub(crate) days: i64,
    /// The day that counts: `purchase`, `installation` or `delivery`.
    #[serde(default = "purchase")]
    pub(crate) from: DeadlineFrom,
    /// Days before the last one at which people are told (7).
    #[serde(default)]
    pub(crate) alert_days: Option<i64>,
    /// Days before the last one that the owner needs to finish by hand (2): until then we may wait for a better method.
    #[serde(default)]
    pub(crate) manual_days: Option<i64>,
    /// Other numbers of days, by the owner's country: `DE = 60`.
    #[serde(default)]
    pub(crate) countries: BTreeMap<String, i64>,
}

const fn purchase() -> DeadlineFrom {
    DeadlineFrom::Purchase
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
