//! The guards of a maker and its queue, told as short stories and checked against whatever may happen.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

mod bucket;
mod circuit;
mod line;
