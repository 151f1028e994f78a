//! What a catalog file says about guarding its maker, checked: circuit, limits, concurrency, health, last day.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use events::policy::{
    CircuitPolicy, Concurrency, DeadlineRule, HealthPolicy, MakerPolicy, RateLimit, Refill, WhenOpen,
};

use crate::checker::{Checker, Noted};
use crate::file::{CircuitFile, ConcurrencyFile, HealthFile, LimitFile, RefillFile, RegisterByFile, WhenOpenFile};
use crate::plan::{ActDays, RegisterBy};

/// More limits than this are no maker's.
const LIMITS_MAX: usize = 8;
/// Attempts that one limit may let through.
const LIMIT: RangeInclusive<u32> = 1..=100_000;
/// Something that happens so many times in a row.
const TIMES: RangeInclusive<u32> = 1..=1_000;
/// A length of time, in seconds: up to a day.
const SECONDS: RangeInclusive<u32> = 1..=86_400;
/// A 95th percentile, in milliseconds: up to an hour.
const LATENCY_MS: RangeInclusive<u32> = 1..=3_600_000;
/// Attempts at once.
const AT_ONCE: RangeInclusive<u32> = 1..=10_000;
/// Attempts of an hour.
const ATTEMPTS: RangeInclusive<u32> = 1..=1_000_000;
const PERCENT: RangeInclusive<u32> = 0..=100;
/// Days within which a product is registered: up to ten years.
const DAYS: RangeInclusive<u32> = 1..=3_650;
/// Days before the last one.
const DAYS_BEFORE: RangeInclusive<u32> = 0..=365;

/// The sections that guard a maker.
pub(crate) struct Guards {
    pub(crate) circuit: CircuitFile,
    pub(crate) limits: Vec<LimitFile>,
    pub(crate) concurrency: ConcurrencyFile,
    pub(crate) health: HealthFile,
}

/// Checks the sections; what they leave out is as everywhere.
pub(crate) fn policy(checker: &mut Checker<'_>, file: &Guards) -> Result<MakerPolicy, Noted> {
    let circuit = circuit(checker, &file.circuit);
    let limits = limits(checker, &file.limits);
    let concurrency = concurrency(checker, &file.concurrency);
    let health = health(checker, &file.health);
    Ok(MakerPolicy { circuit: circuit?, limits: limits?, concurrency: concurrency?, health: health? })
}

fn circuit(checker: &mut Checker<'_>, file: &CircuitFile) -> Result<CircuitPolicy, Noted> {
    let usual = CircuitPolicy::default();
    let mut section = Section { checker, path: &["circuit"] };
    let failures = section.number("failures", file.failures, TIMES, usual.failures);
    let open_for = section.duration("open_s", file.open_s, SECONDS, usual.open_for, Duration::from_secs);
    let successes = section.number("successes", file.successes, TIMES, usual.successes);
    let when_open = file.when_open.map_or(usual.when_open, |when| match when {
        WhenOpenFile::NextRung => WhenOpen::NextRung,
        WhenOpenFile::Wait => WhenOpen::Wait,
    });
    Ok(CircuitPolicy { failures: failures?, open_for: open_for?, successes: successes?, when_open })
}

fn limits(checker: &mut Checker<'_>, files: &[LimitFile]) -> Result<Vec<RateLimit>, Noted> {
    if files.len() > LIMITS_MAX {
        let place = LIMITS_MAX.to_string();
        let problem = format!("{} limits; at most {LIMITS_MAX} are kept, take the others out", files.len());
        return Err(checker.mistake(&["limits", &place], problem));
    }
    let limits: Vec<_> = files.iter().enumerate().map(|(place, file)| limit(checker, place, file)).collect();
    limits.into_iter().collect()
}

fn limit(checker: &mut Checker<'_>, place: usize, file: &LimitFile) -> Result<RateLimit, Noted> {
    let place = place.to_string();
    let mut section = Section { checker, path: &["limits", &place] };
    let max = section.given("max", file.max, LIMIT);
    let per_s = section.given("per_s", file.per_s, SECONDS);
    let refill = match file.refill {
        RefillFile::Interval => Refill::Interval,
        RefillFile::Smooth => Refill::Smooth,
    };
    Ok(RateLimit { max: max?, per: Duration::from_secs(per_s?.into()), refill })
}

fn concurrency(checker: &mut Checker<'_>, file: &ConcurrencyFile) -> Result<Concurrency, Noted> {
    let usual = Concurrency::default();
    let mut section = Section { checker, path: &["concurrency"] };
    let api = section.number("api", file.api, AT_ONCE, usual.api);
    let form = section.number("form", file.form, AT_ONCE, usual.form);
    Ok(Concurrency { api: api?, form: form? })
}

fn health(checker: &mut Checker<'_>, file: &HealthFile) -> Result<HealthPolicy, Noted> {
    let usual = HealthPolicy::default();
    let mut section = Section { checker, path: &["health"] };
    let every = section.duration("every_s", file.every_s, SECONDS, usual.every, Duration::from_secs);
    let latency_p95_max = section.duration(
        "latency_p95_max_ms",
        file.latency_p95_max_ms,
        LATENCY_MS,
        usual.latency_p95_max,
        Duration::from_millis,
    );
    let mut percent = |key, value, usual| section.number(key, value, PERCENT, usual);
    let down = percent("down_below_percent", file.down_below_percent, usual.down_below_percent);
    let degraded = percent("degraded_below_percent", file.degraded_below_percent, usual.degraded_below_percent);
    let critical = percent("critical_below_percent", file.critical_below_percent, usual.critical_below_percent);
    let warning = percent("warning_below_percent", file.warning_below_percent, usual.warning_below_percent);
    let attempts_min = section.number("attempts_min", file.attempts_min, ATTEMPTS, usual.attempts_min);
    let mut times = |key, value, usual| section.number(key, value, TIMES, usual);
    let checks_failed = times("checks_failed", file.checks_failed, usual.checks_failed);
    let failures_in_a_row = times("failures_in_a_row", file.failures_in_a_row, usual.failures_in_a_row);
    let alert_after = times("alert_after", file.alert_after, usual.alert_after);
    let recover_after = times("recover_after", file.recover_after, usual.recover_after);
    let policy = HealthPolicy {
        every: every?,
        attempts_min: attempts_min?,
        down_below_percent: down?,
        degraded_below_percent: degraded?,
        checks_failed: checks_failed?,
        critical_below_percent: critical?,
        warning_below_percent: warning?,
        latency_p95_max: latency_p95_max?,
        failures_in_a_row: failures_in_a_row?,
        alert_after: alert_after?,
        recover_after: recover_after?,
    };
    check_order(&mut section, file, &policy);
    Ok(policy)
}

/// The worse state begins below the better one.
fn check_order(section: &mut Section<'_, '_, '_>, file: &HealthFile, policy: &HealthPolicy) {
    let (down, degraded) = (policy.down_below_percent, policy.degraded_below_percent);
    if down >= degraded {
        let key = if file.down_below_percent.is_some() { "down_below_percent" } else { "degraded_below_percent" };
        let problem = format!("down begins below {down} %, degraded below {degraded} %; down must be the lower one");
        section.mistake(key, problem);
    }
    let (critical, warning) = (policy.critical_below_percent, policy.warning_below_percent);
    if critical > warning {
        let key =
            if file.critical_below_percent.is_some() { "critical_below_percent" } else { "warning_below_percent" };
        let problem = format!(
            "critical begins below {critical} %, the warning below {warning} %; critical must not be the higher one"
        );
        section.mistake(key, problem);
    }
}

/// Checks the section about the last day, and finds its older spelling.
pub(crate) fn register_by(
    checker: &mut Checker<'_>,
    old_days: Option<i64>,
    file: Option<RegisterByFile>,
) -> Result<Option<RegisterBy>, Noted> {
    if let Some(days) = old_days {
        let problem = format!("`register_by_days` is a section now; write [register_by] and below it days = {days}");
        return Err(checker.mistake(&["register_by_days"], problem));
    }
    file.map(|file| last_day(checker, &file)).transpose()
}

fn last_day(checker: &mut Checker<'_>, file: &RegisterByFile) -> Result<RegisterBy, Noted> {
    let usual = ActDays::default();
    let mut section = Section { checker, path: &["register_by"] };
    let days = section.given("days", file.days, DAYS);
    let alert = section.number("alert_days", file.alert_days, DAYS_BEFORE, usual.alert);
    let manual = section.number("manual_days", file.manual_days, DAYS_BEFORE, usual.manual);
    let countries = countries(checker, &file.countries);
    let rule = DeadlineRule { days: days?, from: file.from, countries: countries? };
    let days = ActDays { manual: manual?, alert: alert? };
    let shortest = rule.countries.values().copied().chain([rule.days]).min().unwrap_or(rule.days);
    if days.manual >= shortest {
        let key = if file.manual_days.is_some() { "manual_days" } else { "days" };
        let problem = format!(
            "of {shortest} days to register, {} are for the owner to finish by hand; leave us at least one",
            days.manual
        );
        return Err(checker.mistake(&["register_by", key], problem));
    }
    Ok(RegisterBy { rule, days })
}

fn countries(checker: &mut Checker<'_>, files: &BTreeMap<String, i64>) -> Result<BTreeMap<String, u32>, Noted> {
    let mut section = Section { checker, path: &["register_by", "countries"] };
    let countries: Vec<_> = files
        .iter()
        .map(|(code, days)| {
            if code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase()) {
                return section.given(code, *days, DAYS).map(|days| (code.clone(), days));
            }
            let problem = format!("`{code}` is no country code; write ISO 3166-1 alpha-2 in capitals, such as DE");
            Err(section.mistake(code, problem))
        })
        .collect();
    countries.into_iter().collect()
}

/// A section of the file whose keys are numbers within bounds.
struct Section<'c, 's, 'p> {
    checker: &'c mut Checker<'s>,
    path: &'p [&'p str],
}

impl Section<'_, '_, '_> {
    fn mistake(&mut self, key: &str, problem: String) -> Noted {
        self.checker.mistake(&[self.path, &[key]].concat(), problem)
    }

    fn given(&mut self, key: &str, value: i64, bounds: RangeInclusive<u32>) -> Result<u32, Noted> {
        match u32::try_from(value) {
            Ok(number) if bounds.contains(&number) => Ok(number),
            Ok(_) | Err(_) => {
                let (least, most) = (bounds.start(), bounds.end());
                Err(self.mistake(key, format!("`{key}` is {value}; write a number from {least} to {most}")))
            }
        }
    }

    fn number(&mut self, key: &str, value: Option<i64>, bounds: RangeInclusive<u32>, usual: u32) -> Result<u32, Noted> {
        value.map_or(Ok(usual), |value| self.given(key, value, bounds))
    }

    fn duration(
        &mut self,
        key: &str,
        value: Option<i64>,
        bounds: RangeInclusive<u32>,
        usual: Duration,
        unit: fn(u64) -> Duration,
    ) -> Result<Duration, Noted> {
        value.map_or(Ok(usual), |value| self.given(key, value, bounds).map(|number| unit(number.into())))
    }
}
