//! The status view as its users see it: folding, opening, listing.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod folding;
mod history;
mod listing;
mod opening;
mod watching;
