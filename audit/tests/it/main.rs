//! Replays, exports and the past, against logs that were told a story.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

mod exports;
mod past;
mod replays;
mod story;
