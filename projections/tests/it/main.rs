//! The views as their users see them: folding, opening, listing; and what analytics tells.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod analytics;
mod folding;
mod history;
mod listing;
mod opening;
mod watching;
