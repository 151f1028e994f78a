//! Looks names up, and hands on only what may be connected to.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::{Reach, Refused};

/// How long a look-up may take.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 32;

type Answer = Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>>;

/// Turns a name into addresses; clones share it.
#[derive(Clone)]
pub struct Resolver {
    lookup: Arc<dyn Fn(String) -> Answer + Send + Sync>,
    /// Where the proxy connects instead, after the address was judged; only tests have one.
    route: Option<fn(SocketAddr) -> SocketAddr>,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Default for Resolver {
    fn default() -> Self {
        Self::system()
    }
}

impl Resolver {
    /// What this machine is set up to use.
    #[must_use]
    pub fn system() -> Self {
        let lookup = Arc::new(|name: String| -> Answer {
            Box::pin(async move {
                let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
                Ok(found.map(|address| address.ip()).collect())
            })
        });
        Self { lookup, route: None }
    }

    /// Answers out of a function, for tests; a name without an address is not known.
    #[must_use]
    pub fn of(answer: impl Fn(&str) -> Vec<IpAddr> + Send + Sync + 'static) -> Self {
        let answer = Arc::new(answer);
        let lookup = Arc::new(move |name: String| -> Answer {
            let answer = Arc::clone(&answer);
            Box::pin(async move { Ok(answer(&name)) })
        });
        Self { lookup, route: None }
    }

    /// Has the proxy connect elsewhere than to an address that it judged, for tests: they have no public address of their own.
    #[must_use]
    pub fn routed(self, route: fn(SocketAddr) -> SocketAddr) -> Self {
        Self { route: Some(route), ..self }
    }

    pub(crate) fn route(&self, address: SocketAddr) -> SocketAddr {
        self.route.map_or(address, |route| route(address))
    }

    /// The addresses of a name that may be connected to.
    ///
    /// # Errors
    /// The name is not known, or none of its addresses is allowed (then the error holds a [`Refused`]).
    pub(crate) async fn allowed(&self, name: &str, reach: Reach) -> io::Result<Vec<IpAddr>> {
        let found = tokio::time::timeout(LOOKUP_TIMEOUT, (self.lookup)(name.to_owned()));
        let found = found.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let mut refused = None;
        let mut may = |address: &IpAddr| match reach.allows(*address) {
            Ok(()) => true,
            Err(what) => {
                refused = Some(Refused::NotPublic(what));
                false
            }
        };
        let allowed: Vec<IpAddr> = found.into_iter().take(ADDRESSES_MAX).filter(&mut may).collect();
        match refused {
            Some(refused) if allowed.is_empty() => Err(io::Error::new(io::ErrorKind::PermissionDenied, refused)),
            None if allowed.is_empty() => Err(io::Error::from(io::ErrorKind::NotFound)),
            Some(_) | None => Ok(allowed),
        }
    }
}

/// The [`Refused`] that a failed look-up holds.
pub(crate) fn refused_in(error: &(dyn std::error::Error + 'static)) -> Option<Refused> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return Some(*refused);
        }
        // an io::Error tells the source of what it holds, and keeps that itself to itself
        let held = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = held.map(|held| held as &(dyn std::error::Error + 'static)).or_else(|| error.source());
    }
    None
}

/// The resolver of a client: whatever it answers may be connected to.
#[derive(Debug)]
pub(crate) struct Guarded {
    pub(crate) resolver: Resolver,
    pub(crate) reach: Reach,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let (resolver, reach) = (self.resolver.clone(), self.reach);
        Box::pin(async move {
            let allowed = resolver.allowed(name.as_str(), reach).await?;
            // the port is the client's to fill in
            let addresses: Addrs = Box::new(allowed.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}
