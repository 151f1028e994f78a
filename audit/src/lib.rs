//! Reads the log again, for people who must know exactly what happened.
//!
//! - [`Replay`]: the records of one registration, a person, a maker or a range, page by page, and then it ends
//! - [`lines`]: the same as JSON Lines, one CloudEvent a line
//! - [`as_of`]: status, circuits and metrics as they were at a place of the log
//! - [`inspect`]: checks exported lines, with nothing but the file
//!
//! All of it only reads: it takes an [`bus::EventLog`] and needs no engine, no keys, no lease and no view.

pub mod inspect;
pub mod lines;
mod past;
mod place;
mod plain;
mod replay;
mod wish;

pub use past::{AsOf, as_of, as_of_into};
pub use place::{Moment, place_of};
pub use replay::{PAGE_RECORDS, Replay, ReplayError};
pub use wish::{About, Wish};
