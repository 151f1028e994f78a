//! The mailbox: an SMTP server that keeps what it is sent, and pages to read it.

pub(crate) mod pages;
pub(crate) mod smtp;
pub(crate) mod smtp_server;
pub mod store;
