//! Looks names up, and hands on only what may be connected to.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::sync::Semaphore;

use crate::{Reach, Refused};

/// How long a look-up may take, the wait for a place included.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// Addresses of one name that are looked at.
const ADDRESSES_MAX: usize = 32;
/// Look-ups of one resolver at once. Each blocks a thread for as long as the system pleases, and there are 512 of those for
/// everything: a page with a thousand names must not have them all.
const LOOKUPS_MAX: usize = 32;

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
        Self::blocking(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }

    /// Answers out of a function that blocks, in a bounded number of threads.
    fn blocking(ask: impl Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync + 'static) -> Self {
        let (ask, places) = (Arc::new(ask), Arc::new(Semaphore::new(LOOKUPS_MAX)));
        let lookup = Arc::new(move |name: String| -> Answer {
            let (ask, places) = (Arc::clone(&ask), Arc::clone(&places));
            Box::pin(async move {
                let place = places.acquire_owned().await.map_err(io::Error::other)?;
                let asked = tokio::task::spawn_blocking(move || {
                    let found = ask(&name);
                    // not before: whoever waited for it may have given up long ago, and the thread is taken all the same
                    drop(place);
                    found
                });
                asked.await?
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use std::net::Ipv4Addr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    const NAME: &str = "maker.test";
    const BETWEEN_LOOKS: Duration = Duration::from_millis(5);

    #[tokio::test]
    async fn a_look_up_has_its_place_until_the_system_has_answered_and_no_more_begin() {
        let begun = Arc::new(AtomicUsize::new(0));
        let (open, gate) = channel::<()>();
        let (counted, gate) = (Arc::clone(&begun), Mutex::new(gate));
        let resolver = Resolver::blocking(move |_| {
            counted.fetch_add(1, Ordering::SeqCst);
            // all hang here until the other end is dropped
            gate.lock().unwrap().recv().unwrap_err();
            Ok(vec![Ipv4Addr::new(1, 1, 1, 1).into()])
        });
        let ask = |resolver: Resolver| async move { resolver.allowed(NAME, Reach::Public).await };
        let callers: Vec<_> = (0..LOOKUPS_MAX + 3).map(|_| tokio::spawn(ask(resolver.clone()))).collect();
        while begun.load(Ordering::SeqCst) < LOOKUPS_MAX {
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
        for caller in callers {
            caller.abort();
        }
        let late = tokio::time::timeout(BETWEEN_LOOKS * 10, ask(resolver.clone())).await;
        assert!(late.is_err(), "{late:?}");
        assert_eq!(begun.load(Ordering::SeqCst), LOOKUPS_MAX);
        drop(open);
        assert_eq!(ask(resolver).await.unwrap(), [Ipv4Addr::new(1, 1, 1, 1)]);
    }
}
