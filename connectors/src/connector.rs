//! A connector: what we know of one maker, and where the sandbox is if it is one of the sandbox's.

use std::sync::Arc;
use std::time::Duration;

use events::policy::{Deadline, DeadlineFrom, DeadlineRule, MakerPolicy};
use events::retry::RetryPolicy;
use events::words::Method;
use events::{Details, FieldProblem, Kept, Registration, Timestamp};
use jiff::civil::Date;
use url::Url;

use crate::compile::{self, GENERIC_ID};
use crate::compile_api::SANDBOX;
use crate::expression::TemplateError;
use crate::file::Network;
use crate::form_recipe;
use crate::manual::ManualView;
use crate::plan::{Api, Plan};
use crate::sample;
use crate::sending;
use crate::serial::{SerialGuide, SerialWarning};
use crate::source::Mistake;

/// The field that patterns and warnings are about.
pub(crate) const SERIAL: &str = "product.serial";

/// One maker. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Connector {
    plan: Arc<Plan>,
    /// Without a trailing slash; connectors of the sandbox can only be reached when it is known.
    sandbox: Option<String>,
    ladder: Vec<Method>,
    /// The address that a registration is sent to, when it is always the same.
    api_url: Option<Url>,
    /// The host of the API, with its port unless that is the usual one.
    api_host: Option<String>,
}

impl Connector {
    /// Reads one catalog file; every mistake in it is named. The connector's id is the file's name without `.toml`.
    ///
    /// # Errors
    /// All mistakes of the file.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, Vec<Mistake>> {
        let plan = compile::plan(file_name, text)?;
        Ok(Self::located(Arc::new(plan), None))
    }

    /// The same connector with the sandbox at this address.
    #[must_use]
    pub fn with_sandbox(&self, sandbox: Option<&Url>) -> Self {
        let sandbox = sandbox.map(|url| url.as_str().trim_end_matches('/').to_owned());
        Self::located(Arc::clone(&self.plan), sandbox)
    }

    fn located(plan: Arc<Plan>, sandbox: Option<String>) -> Self {
        let mut connector = Self { plan, sandbox, ladder: Vec::new(), api_url: None, api_host: None };
        connector.ladder = connector.plan.ladder.iter().copied().filter(|method| connector.can(*method)).collect();
        connector.api_url = connector.fixed_api_url();
        let base = connector.api().and_then(|api| connector.resolve(&api.base_url));
        connector.api_host = base.as_deref().and_then(sending::host);
        connector
    }

    fn can(&self, method: Method) -> bool {
        match method {
            Method::Api => self.plan.api.as_ref().is_some_and(|api| self.resolve(&api.base_url).is_some()),
            Method::AutomationReliable => self.plan.form.as_ref().is_some_and(|form| self.resolve(&form.url).is_some()),
            Method::AssistedManual => true,
        }
    }

    fn fixed_api_url(&self) -> Option<Url> {
        let api = self.plan.api.as_ref()?;
        let path = api.path.constant()?;
        Url::parse(&format!("{}{path}", self.resolve(&api.base_url)?)).ok()
    }

    /// An address of the sandbox as a real one; nothing when there is no sandbox.
    pub(crate) fn resolve(&self, address: &str) -> Option<String> {
        match address.strip_prefix(SANDBOX) {
            None => Some(address.to_owned()),
            Some(path) => self.sandbox.as_ref().map(|sandbox| format!("{sandbox}{path}")),
        }
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    pub(crate) fn api(&self) -> Option<&Api> {
        self.plan.api.as_ref()
    }

    pub(crate) fn api_host(&self) -> Option<&str> {
        self.api_host.as_deref()
    }

    pub(crate) const fn api_url(&self) -> Option<&Url> {
        self.api_url.as_ref()
    }

    /// Its name in events, subjects and files.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.plan.id
    }

    /// The maker's name as people know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plan.name
    }

    /// Its brands as they stand on products.
    pub fn brands(&self) -> impl Iterator<Item = &str> {
        self.plan.brands.iter().map(|brand| brand.name.as_str())
    }

    /// Whether it stands in for the makers that nobody described.
    #[must_use]
    pub fn is_generic(&self) -> bool {
        self.plan.id == GENERIC_ID
    }

    /// The methods that can be tried now, in order; the last is always the manual one.
    #[must_use]
    pub fn ladder(&self) -> &[Method] {
        &self.ladder
    }

    /// How often and how soon a method is tried again.
    #[must_use]
    pub fn retry(&self, method: Method) -> RetryPolicy {
        match method {
            Method::Api => self.plan.retry_api,
            Method::AutomationReliable => self.plan.retry_form,
            Method::AssistedManual => RetryPolicy::default(),
        }
    }

    /// Where its calls may go.
    #[must_use]
    pub fn network(&self) -> Network {
        self.plan.network
    }

    /// How long one call of the API may take.
    #[must_use]
    pub fn api_timeout(&self) -> Option<Duration> {
        self.plan.api.as_ref().map(|api| api.timeout)
    }

    /// Whether the API may be sent the same request with the same key again without registering twice.
    #[must_use]
    pub fn is_repeatable(&self) -> bool {
        self.plan.api.as_ref().is_some_and(|api| api.repeatable)
    }

    /// Whether the API can be asked if a product is registered already.
    #[must_use]
    pub fn can_look_up(&self) -> bool {
        self.plan.api.as_ref().is_some_and(|api| api.lookup.is_some())
    }

    /// Whether the API has a health endpoint that can be reached.
    #[must_use]
    pub fn has_health(&self) -> bool {
        let is_here = |address: &str| !address.starts_with(SANDBOX) || self.sandbox.is_some();
        self.plan.api.as_ref().is_some_and(|api| api.health_path.is_some() && is_here(&api.base_url))
    }

    /// The address of that endpoint.
    #[must_use]
    pub fn health_url(&self) -> Option<Url> {
        let api = self.plan.api.as_ref()?;
        let base = self.resolve(&api.base_url)?;
        Url::parse(&format!("{base}{}", api.health_path.as_ref()?)).ok()
    }

    /// The fields that leave for this maker.
    #[must_use]
    pub fn sends(&self) -> &[String] {
        self.plan.declared.names()
    }

    /// The fields that this maker cannot do without.
    #[must_use]
    pub fn required(&self) -> &[String] {
        &self.plan.requires
    }

    /// The fields that this maker cannot do without and that are not there.
    #[must_use]
    pub fn missing(&self, details: &Details) -> Vec<FieldProblem> {
        details.missing(&self.plan.requires, &self.plan.name)
    }

    /// How the maker is guarded: circuit, limits, concurrency, health.
    #[must_use]
    pub fn policy(&self) -> &MakerPolicy {
        &self.plan.policy
    }

    /// Until when the maker takes a product, if it says so.
    #[must_use]
    pub fn deadline_rule(&self) -> Option<&DeadlineRule> {
        self.plan.register_by.as_ref().map(|register_by| &register_by.rule)
    }

    /// The last day on which the maker takes this product, by the day that counts and the owner's country; nothing when the
    /// maker has no such rule or the day is not known.
    #[must_use]
    pub fn register_by(&self, details: &Details) -> Option<Date> {
        let (rule, purchase) = (self.deadline_rule()?, &details.purchase);
        let counted = match rule.from {
            DeadlineFrom::Purchase => purchase.date,
            DeadlineFrom::Installation => purchase.installed_on,
            DeadlineFrom::Delivery => purchase.delivered_on,
        };
        rule.last_day(counted?, details.owner.address.country.as_deref())
    }

    /// The same for those who know nothing but the day of the purchase; nothing when another day counts. An owner's country
    /// may have another rule: whoever can open the details asks [`Self::register_by`].
    #[must_use]
    pub fn register_by_purchase(&self, purchased: Date) -> Option<Date> {
        let rule = self.deadline_rule()?;
        match rule.from {
            DeadlineFrom::Purchase => rule.last_day(purchased, None),
            DeadlineFrom::Installation | DeadlineFrom::Delivery => None,
        }
    }

    /// What a last day means for us: until when we may wait, and when people are told.
    #[must_use]
    pub fn deadline(&self, last_day: Date) -> Deadline {
        let days = self.plan.register_by.as_ref().map(|register_by| register_by.days).unwrap_or_default();
        Deadline { last_day, manual_days: days.manual, alert_days: days.alert }
    }

    /// Until when, and by which law, a registration must be kept although its person asks to be forgotten; nothing when it
    /// need not be.
    #[must_use]
    pub fn must_keep(&self, registration: &Registration, now: Timestamp) -> Option<Kept> {
        self.plan.retention.as_ref()?.keeps(registration, now)
    }

    /// How its serial numbers look, if the file says so.
    #[must_use]
    pub fn serial_guide(&self) -> Option<&SerialGuide> {
        self.plan.serial.as_ref().map(|rule| &rule.guide)
    }

    /// A warning when the serial number does not look like the maker's.
    #[must_use]
    pub fn check_serial(&self, serial: &str) -> Option<SerialWarning> {
        self.plan.serial.as_ref()?.check(serial, &self.plan.name)
    }

    /// What may be wrong though nobody refused it yet: an unusual serial number, with what may be meant.
    #[must_use]
    pub fn warnings(&self, details: &Details) -> Vec<FieldProblem> {
        let serial = details.field(SERIAL);
        let warning = serial.and_then(|serial| self.check_serial(&serial));
        warning.map(|warning| FieldProblem::new(SERIAL, warning.to_string())).into_iter().collect()
    }

    /// What its owner needs to register the product by hand.
    ///
    /// # Errors
    /// When a template of the guide does not work with these details.
    pub fn manual_view(&self, details: &Details) -> Result<ManualView, TemplateError> {
        self.plan.manual.view(&self.plan.name, details, &self.plan.declared, |address| self.resolve(address))
    }

    /// The recipe of the maker's form, filled in for these details.
    ///
    /// # Errors
    /// When there is no form that can be reached, or one of its templates does not work with these details.
    pub fn form_recipe(&self, details: &Details) -> Result<form::Recipe, TemplateError> {
        form_recipe::render(self, details)
    }

    /// The same recipe for a product that nobody has, for those who only look at the form; nothing when there is none that
    /// can be reached.
    #[must_use]
    pub fn form_sample(&self) -> Option<form::Recipe> {
        let serial = self.plan.serial.as_ref().map_or(sample::SERIAL, |serial| serial.guide.example.as_str());
        self.form_recipe(&sample::details(self.sends(), serial)).ok()
    }

    /// How the first page of the form looked when its recipe was written, if the file says so.
    #[must_use]
    pub fn form_baseline(&self) -> Option<&form::FormShape> {
        self.plan.form.as_ref()?.baseline.as_ref()
    }
}

/// A warning when the serial number does not look like the connector's maker's; the maker's refusal decides.
#[must_use]
pub fn check_serial(connector: &Connector, serial: &str) -> Option<SerialWarning> {
    connector.check_serial(serial)
}
