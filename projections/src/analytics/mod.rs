//! The analytics view: how the makers did over time, built from the log and disposable like every view.
//!
//! What comes in is folded in memory, and written together with the checkpoint about once a second, so that a
//! registration that begins and ends in between costs no write. What is read is memory first, then the store. All times
//! are those of the records, so a view that is rebuilt shows the same.

mod fold;
mod keys;
mod latency;
mod listed;
mod memory;
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

pub use listed::{CircuitChange, HealthRound, PastIncident};
pub use query::{DeadlineCounts, LIST_MAX, Metrics, MetricsError, MetricsFilter, POINTS_MAX, Series, Window};
pub use resolution::Resolution;
pub use tally::Tally;
pub use tracked::Funnel;
pub use view::{AnalyticsOpened, AnalyticsView, WRITE_EVERY};

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
