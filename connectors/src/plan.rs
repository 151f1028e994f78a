//! A catalog file after all checks: everything compiled, nothing left to parse at the time of a call.

use std::time::Duration;

use events::SentFields;
use events::policy::{DeadlineRule, MakerPolicy};
use events::retry::RetryPolicy;
use events::words::Method;
use reqwest::header::HeaderName;

use crate::answer::AnswerRules;
use crate::body::Body;
use crate::expression::Expression;
use crate::file::{AuthFile, Network};
use crate::manual::Manual;
use crate::retention::RetentionRule;
use crate::sent::Declared;
use crate::serial::SerialRule;
use crate::template::Template;

/// One maker, compiled.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) brands: Vec<Brand>,
    pub(crate) network: Network,
    pub(crate) declared: Declared,
    pub(crate) requires: Vec<String>,
    pub(crate) register_by: Option<RegisterBy>,
    pub(crate) retention: Option<RetentionRule>,
    pub(crate) ladder: Vec<Method>,
    pub(crate) serial: Option<SerialRule>,
    pub(crate) retry_api: RetryPolicy,
    pub(crate) retry_form: RetryPolicy,
    pub(crate) policy: MakerPolicy,
    pub(crate) api: Option<Api>,
    pub(crate) form: Option<form::Recipe>,
    pub(crate) manual: Manual,
}

/// Until when the maker takes a product, and how long before we act.
#[derive(Debug)]
pub(crate) struct RegisterBy {
    pub(crate) rule: DeadlineRule,
    pub(crate) days: ActDays,
}

/// How many days before the last one something is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ActDays {
    /// The owner needs them to finish by hand.
    pub(crate) manual: u32,
    /// People are told.
    pub(crate) alert: u32,
}

impl Default for ActDays {
    fn default() -> Self {
        Self { manual: 2, alert: 7 }
    }
}

/// A brand, and where its file names it: two files that claim one brand are a mistake to be shown.
#[derive(Debug)]
pub(crate) struct Brand {
    pub(crate) name: String,
    pub(crate) keys: Vec<String>,
    pub(crate) file: String,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// The API section, compiled.
#[derive(Debug)]
pub(crate) struct Api {
    pub(crate) base_url: String,
    pub(crate) path: Template,
    /// The fields that path and body read, sorted.
    pub(crate) uses: Vec<String>,
    pub(crate) method: reqwest::Method,
    pub(crate) auth: AuthFile,
    pub(crate) body: Body,
    pub(crate) idempotency_header: Option<HeaderName>,
    pub(crate) timeout: Duration,
    pub(crate) repeatable: bool,
    pub(crate) rules: AnswerRules,
    pub(crate) lookup: Option<Lookup>,
    pub(crate) health_path: Option<String>,
}

/// How to ask whether a product is registered already.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) path: Template,
    /// The fields that the path reads. One that is not there has no place in an address, so all of them are.
    pub(crate) uses: SentFields,
    pub(crate) confirmation: Expression,
}
