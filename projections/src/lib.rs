//! Views in sled, built from the log and disposable: deleting their folder loses nothing.
//!
//! [`StatusView`] holds one [`Row`] for each registration. It takes in pages of the log by `apply`, writes the rows and
//! the checkpoint in one atomic batch, and shows them by id and in lists. [`AnalyticsView`] counts what became of attempts
//! over time. On any doubt a view is set aside and begun anew. [`Past`] is both as they were at a place of the log.

mod analytics;
mod blocks;
mod checkpoint;
mod codec;
mod error;
mod finder;
mod fingerprint;
mod fold;
mod keys;
mod list;
mod opening;
mod past;
mod row;
mod rows;
mod runs;
mod size;
mod store;
mod view;

pub use analytics::{
    AnalyticsOpened, AnalyticsOpening, AnalyticsView, CircuitChange, DeadlineCounts, Funnel, HealthRound, LIST_MAX,
    Metrics, MetricsError, MetricsFilter, POINTS_MAX, PastIncident, Resolution, Series, Tally, WRITE_EVERY, Window,
};
pub use checkpoint::{Checkpoint, Counts};
pub use error::{Doubt, ListError, NotYet, ViewError};
pub use fingerprint::{Fingerprint, Part};
pub use fold::{PAGE_RECORDS_MAX, Update};
pub use list::{Filter, PAGE_ROWS_MAX, Page};
pub use opening::SetAside;
pub use past::{OPEN_MAX, Past, Taken, Wanted};
pub use row::{LastError, Row, Waiting};
pub use size::live_bytes;
pub use view::{ALIKE_MAX, FLUSH_EVERY, Opened, StatusOpening, StatusView, UPDATES_MAX};
