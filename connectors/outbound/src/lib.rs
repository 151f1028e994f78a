//! Where calls and pages may go: the public internet, and nowhere else unless an operator says so (decision 17).
//!
//! The parts: [`address`] (which addresses are public, pure), [`Client`] (calls by HTTP), [`Proxy`] (what a browser goes
//! through). Both look a name up themselves, judge what it leads to, and connect to the very address that was judged: a name
//! that leads elsewhere a moment later (DNS rebinding) changes nothing.

pub mod address;
mod client;
mod proxy;
mod resolver;
mod socks;

pub use address::{Reach, is_public};
pub use client::{Client, SendError, check_url};
pub use proxy::{CONNECTIONS_MAX, Pass, Proxy};
pub use resolver::Resolver;

/// A target that was not connected to. Names no host: a maker's address may be anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// An address that is not for everybody, or the name of one.
    #[error("it leads to {0}, and only the public internet is allowed")]
    NotPublic(&'static str),
    /// Neither http nor https.
    #[error("it is neither an http nor an https address")]
    Scheme,
    /// An address with a user or a password in it.
    #[error("it holds a user or a password")]
    Credentials,
    /// Not an address of the one site that is allowed.
    #[error("it is outside of the one site that is allowed")]
    OtherSite,
    /// Not a name that can be looked up.
    #[error("its host cannot be read")]
    Host,
}
