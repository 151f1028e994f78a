//! The analytics view: how the makers did over time, built from the log and disposable like every view.
//!
//! What comes in is folded in memory, and written together with the checkpoint about once a second, so that a
//! registration that begins and ends in between costs no write. What is read is memory first, then the store. All times
//! are those of the records, so a view that is rebuilt shows the same.

mod fingerprint;
mod fold;
mod keys;
mod latency;
mod listed;
mod memory;
mod past;
mod query;
mod resolution;
mod retention;
mod saved;
mod tally;
mod tracked;
mod view;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::ViewError;

pub(crate) use past::PastAnalytics;

pub use listed::{CircuitChange, HealthRound, PastIncident};
pub use query::{DeadlineCounts, LIST_MAX, Metrics, MetricsError, MetricsFilter, POINTS_MAX, Series, Window};
pub use resolution::Resolution;
pub use tally::Tally;
pub use tracked::Funnel;
pub use view::{AnalyticsOpened, AnalyticsOpening, AnalyticsView, WRITE_EVERY};

/// The stored bytes of a value.
fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, ViewError> {
    postcard::to_stdvec(value).map_err(|source| ViewError::Store { doing: "write a value of", source: source.into() })
}

/// What stored bytes say; nothing is guessed and no remainder is passed over.
fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ViewError> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) | Err(_) => Err(ViewError::Undecodable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::{ErrorKind, HealthState, Method};
    use jiff::civil::date;

    use super::listed::{CircuitRow, HealthRow, IncidentRow};
    use super::saved::{SCHEMA, Saved};
    use super::tracked::{Counted, Flight, Tracked};

    #[test]
    fn the_bytes_are_those_of_the_schema() {
        let mut tally = Tally::default();
        tally.count(None, 7);
        tally.count(Some(ErrorKind::Server), 70_000);
        let tracked = Tracked {
            connector: "connector".into(),
            last_day: Some(date(2026, 12, 2)),
            open: true,
            flight: Some(Flight { method: Method::AutomationReliable, attempt: 3 }),
            counted: Counted { required: true, sent: false, opened: true },
            over: false,
        };
        let text = |text: &str| text.to_owned();
        let circuit = CircuitRow {
            connector: text("connector"),
            method: Some(Method::Api),
            event: text("event"),
            actor: text("actor"),
            reason: text("reason"),
        };
        let state = HealthState::Degraded;
        let health = HealthRow { connector: text("connector"), state, detail: text("detail") };
        let incident = IncidentRow { until_us: Some(-5), state, detail: text("detail") };
        let parts = [
            tally.to_bytes(),
            encode(&tracked),
            encode(&circuit),
            encode(&health),
            encode(&incident),
            encode(&9_u64),
            Saved::nothing(-7).to_bytes().ok_or(ViewError::Undecodable),
        ];
        let bytes: Vec<u8> = parts.into_iter().flat_map(|part| part.expect("encodes")).collect();
        let hash = blake3::hash(&bytes).to_hex();
        // when it changes, old rows would be misread: give SCHEMA a new number and write the new hash here
        assert_eq!((SCHEMA, &hash[..16]), (1_002, "9c1f24ee87cc04de"));
        assert_eq!(decode::<Tracked>(&encode(&tracked).expect("encodes")).expect("decodes"), tracked);
    }
}
