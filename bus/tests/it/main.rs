//! The bus against real nats-servers, each test with its own.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod accounts;
mod contract;
mod echoes;
mod embedded;
mod erasing;
mod leases;
mod outage;
mod records;
mod streams;
mod trust;
mod vaults;
