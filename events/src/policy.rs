//! What a connector's file says about guarding its maker: circuit, limits, concurrency, deadlines, health.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::civil::Date;
use jiff::{ToSpan, tz::TimeZone};
use serde::{Deserialize, Serialize};

use crate::outcome::wire_enum;
use crate::time::Timestamp;
use crate::words::Method;

/// How one maker is treated.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct MakerPolicy {
    /// When we stop trying, and for how long.
    pub circuit: CircuitPolicy,
    /// How many attempts in how much time; all of them hold at once. Empty: as many as there are.
    pub limits: Vec<RateLimit>,
    /// Most attempts at once.
    pub concurrency: Concurrency,
    /// When the maker counts as ill.
    pub health: HealthPolicy,
}

/// When a circuit opens and closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitPolicy {
    /// Counted failures in a row that open it.
    pub failures: u32,
    /// How long it stays open before one probe is let through.
    pub open_for: Duration,
    /// Successful probes in a row that close it.
    pub successes: u32,
    /// What a registration does meanwhile.
    pub when_open: WhenOpen,
}

impl Default for CircuitPolicy {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(60), successes: 3, when_open: WhenOpen::NextRung }
    }
}

/// What a registration does while the circuit of its method is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenOpen {
    /// Goes to the next automatic method; waits when there is none.
    NextRung,
    /// Waits.
    Wait,
}

/// At most `max` attempts in `per`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// How many.
    pub max: u32,
    /// In how much time.
    pub per: Duration,
    /// When they come back.
    pub refill: Refill,
}

/// When tokens come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refill {
    /// All at once, when the period that began with the first token taken has ended.
    Interval,
    /// Each one period after it was taken: no sliding window of the period holds more than the limit.
    Smooth,
}

/// Most attempts at once, a method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Concurrency {
    /// API calls.
    pub api: u32,
    /// Forms.
    pub form: u32,
}

impl Default for Concurrency {
    fn default() -> Self {
        Self { api: 1024, form: 2 }
    }
}

impl Concurrency {
    /// The bound of a method; packets have none of their own.
    #[must_use]
    pub const fn of(&self, method: Method) -> u32 {
        match method {
            Method::Api => self.api,
            Method::AutomationReliable => self.form,
            Method::AssistedManual => u32::MAX,
        }
    }
}

/// When a maker counts as ill, and when people are told. Rates are in percent of the last hour's attempts, and count only
/// from `attempts_min` attempts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthPolicy {
    /// Between two checks; each is drawn up to a tenth earlier or later.
    pub every: Duration,
    /// Fewer attempts tell nothing.
    pub attempts_min: u32,
    /// Down below this success rate.
    pub down_below_percent: u32,
    /// Degraded below this success rate.
    pub degraded_below_percent: u32,
    /// Checks in a row that fail before it counts as down.
    pub checks_failed: u32,
    /// Critical alert below this success rate.
    pub critical_below_percent: u32,
    /// Warning below this success rate.
    pub warning_below_percent: u32,
    /// Alert when the 95th percentile of the latency is over this.
    pub latency_p95_max: Duration,
    /// Alert after this many failures in a row.
    pub failures_in_a_row: u32,
    /// Rounds in a row in which a condition must hold before people are told.
    pub alert_after: u32,
    /// Rounds in a row in which it must not hold before they are told that it is over.
    pub recover_after: u32,
}

impl Default for HealthPolicy {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(300),
            attempts_min: 10,
            down_below_percent: 50,
            degraded_below_percent: 80,
            checks_failed: 3,
            critical_below_percent: 70,
            warning_below_percent: 85,
            latency_p95_max: Duration::from_secs(120),
            failures_in_a_row: 5,
            alert_after: 2,
            recover_after: 2,
        }
    }
}

wire_enum! {
    /// The day from which a maker counts.
    DeadlineFrom {
        /// The purchase.
        Purchase = 1, "purchase";
        /// The installation.
        Installation = 2, "installation";
        /// The delivery.
        Delivery = 3, "delivery";
    }
}

/// Until when a maker takes a product.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadlineRule {
    /// Days after the day that counts; the last of them still does.
    pub days: u32,
    /// The day that counts.
    pub from: DeadlineFrom,
    /// Other numbers of days, by country (ISO 3166-1 alpha-2, upper case).
    pub countries: BTreeMap<String, u32>,
}

impl DeadlineRule {
    /// The last day for a product of which this is the day that counts, in `country`.
    #[must_use]
    pub fn last_day(&self, counted: Date, country: Option<&str>) -> Option<Date> {
        let days = country.and_then(|country| self.countries.get(country)).copied().unwrap_or(self.days);
        counted.checked_add(i64::from(days).days()).ok()
    }
}

/// The last day for one registration, and how long before it we act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadline {
    /// The last day on which the maker takes it.
    pub last_day: Date,
    /// Days before it that the owner needs to finish by hand.
    pub manual_days: u32,
    /// Days before it at which people are told.
    pub alert_days: u32,
}

impl Deadline {
    /// Until when we may wait: `manual_days` before the last day begins anywhere on earth (UTC+14).
    #[must_use]
    pub fn latest_safe(&self) -> Timestamp {
        self.begins(self.manual_days)
    }

    /// When people are told.
    #[must_use]
    pub fn alert_at(&self) -> Timestamp {
        self.begins(self.alert_days)
    }

    /// When the last day has ended everywhere on earth (UTC-12).
    #[must_use]
    pub fn over_at(&self) -> Timestamp {
        let next = self.last_day.checked_add(1.day()).unwrap_or(self.last_day);
        at_utc(next).plus(Duration::from_secs(12 * 3600))
    }

    fn begins(&self, days_before: u32) -> Timestamp {
        let day = self.last_day.checked_sub(i64::from(days_before).days()).unwrap_or(self.last_day);
        let Timestamp(midnight) = at_utc(day);
        Timestamp(midnight.saturating_sub(14 * 3600 * 1_000_000))
    }
}

/// The first moment of a day, UTC.
fn at_utc(day: Date) -> Timestamp {
    day.to_zoned(TimeZone::UTC).map_or(Timestamp(i64::MAX), |midnight| midnight.timestamp().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::civil::date;

    #[test]
    fn a_country_of_its_own_rule_has_other_days() {
        let countries = BTreeMap::from([("AU".to_owned(), 90)]);
        let rule = DeadlineRule { days: 30, from: DeadlineFrom::Purchase, countries };
        assert_eq!(rule.last_day(date(2026, 1, 1), Some("DE")), Some(date(2026, 1, 31)));
        assert_eq!(rule.last_day(date(2026, 1, 1), Some("AU")), Some(date(2026, 4, 1)));
        assert_eq!(rule.last_day(date(9999, 12, 31), None), None);
    }

    #[test]
    fn the_last_day_counts_everywhere_on_earth() {
        let deadline = Deadline { last_day: date(2026, 11, 30), manual_days: 2, alert_days: 7 };
        assert_eq!(deadline.over_at().to_string(), "2026-12-01T12:00:00.000Z");
        assert_eq!(deadline.latest_safe().to_string(), "2026-11-27T10:00:00.000Z");
        assert_eq!(deadline.alert_at().to_string(), "2026-11-22T10:00:00.000Z");
    }
}
