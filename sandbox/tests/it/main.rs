//! The started sandbox, seen from outside: HTTP by reqwest, SMTP by hand.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should stop where it is")]

mod apis;
mod console;
mod faults;
mod forms;
mod mail;
mod support;
