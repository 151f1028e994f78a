//! Waits: the longest that a registration can wait for its turn, whatever else comes in, as it follows from the settings.

use std::time::Duration;

use connectors::{Catalog, Connector};
use events::line::longest_wait;
use events::maker::GUARDED;
use events::{Method, Priority};

use crate::engine::EngineOptions;
use crate::turns::LINE_TURN_EVERY;

/// A bound for one class in one maker's line, while the maker takes registrations: no circuit open, no pause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LongestWait {
    /// The connector.
    pub connector: String,
    /// The method.
    pub method: Method,
    /// The class.
    pub class: Priority,
    /// For the oldest of its class.
    pub first: Duration,
    /// More for each one of its class that came before.
    pub each_before: Duration,
}

/// The bounds of the classes that have one, for every maker and method. `form_timeout` is the longest that one form takes.
#[must_use]
pub fn longest_waits(catalog: &Catalog, options: &EngineOptions, form_timeout: Duration) -> Vec<LongestWait> {
    let mut waits = Vec::new();
    for connector in catalog.iter() {
        for method in GUARDED.into_iter().filter(|method| connector.ladder().contains(method)) {
            let turn = turn_max(catalog, connector, method, options, form_timeout);
            waits.extend([Priority::Normal, Priority::Low].map(|class| {
                let first = longest_wait(&options.ageing, class, 0, turn);
                let each_before = longest_wait(&options.ageing, class, 1, turn).saturating_sub(first);
                LongestWait { connector: connector.id().to_owned(), method, class, first, each_before }
            }));
        }
    }
    waits
}

/// The longest time between two turns of a maker's line. One of these is what it waits for:
/// - an attempt of its own to end: at most the longest attempt;
/// - a place in the lane: every [`LINE_TURN_EVERY`]th turn of a lane goes to the line that waited longest, so after as many
///   turns for each line it has had one, and each attempt's time brings as many turns as the lane has places;
/// - tokens: `max` of them come back within `per`, and a share is counted in `every` turns.
fn turn_max(
    catalog: &Catalog,
    connector: &Connector,
    method: Method,
    options: &EngineOptions,
    form_timeout: Duration,
) -> Duration {
    let lines = catalog.iter().filter(|other| other.ladder().contains(&method));
    let (count, attempt) = lines.fold((0, Duration::ZERO), |(count, longest), other| {
        (count + 1, longest.max(attempt_max(other, method, form_timeout)))
    });
    let places = match method {
        Method::Api => options.api_concurrency,
        Method::AutomationReliable => options.form_concurrency,
        Method::AssistedManual => options.manual_concurrency,
    };
    let rounds = (count * LINE_TURN_EVERY).div_ceil(places.max(1) as u64);
    let lane = attempt.saturating_mul(u32::try_from(rounds).unwrap_or(u32::MAX));
    let every = options.ageing.low_every.max(options.ageing.normal_every).max(1);
    let tokens = connector.policy().limits.iter().map(|limit| limit.per / limit.max.clamp(1, every)).max();
    lane.max(tokens.unwrap_or_default())
}

fn attempt_max(connector: &Connector, method: Method, form_timeout: Duration) -> Duration {
    match method {
        Method::Api => connector.api_timeout().unwrap_or_default(),
        Method::AutomationReliable => form_timeout,
        Method::AssistedManual => Duration::ZERO,
    }
}
