//! Verification of the log against a real nats-server: what is written is verified, and what was changed is found.

mod corruptions;
mod damage;
mod speed;
mod store;
mod verifier;
