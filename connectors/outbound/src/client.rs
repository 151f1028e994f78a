//! Calls by HTTP that go only where they may.

use reqwest::redirect::Policy;
use reqwest::{ClientBuilder, Method, Request, RequestBuilder, Response};
use url::{Host, Url};

use crate::resolver::{Guarded, refused_in};
use crate::{Reach, Refused, Resolver};

/// A client with its reach. It follows no redirect, uses no proxy and sends nothing a second time: what leaves goes where it
/// was sent, once.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    reach: Reach,
}

/// A request that brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// It was not sent.
    #[error("the address may not be called: {0}")]
    Refused(#[from] Refused),
    /// It broke on its way.
    #[error(transparent)]
    Http(#[from] reqwest::Error),
}

impl SendError {
    /// Why the target was refused, by its address or by what its name leads to.
    #[must_use]
    pub fn refused(&self) -> Option<Refused> {
        match self {
            Self::Refused(refused) => Some(*refused),
            Self::Http(error) => refused_in(error),
        }
    }

    /// Whether it ended before anything was sent because no connection stood.
    #[must_use]
    pub fn is_connect(&self) -> bool {
        match self {
            Self::Refused(_) => true,
            Self::Http(error) => error.is_connect(),
        }
    }

    /// Whether it took too long.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Http(error) => error.is_timeout(),
        }
    }

    /// Whether no request could be made of what was given.
    #[must_use]
    pub fn is_builder(&self) -> bool {
        match self {
            Self::Refused(_) => false,
            Self::Http(error) => error.is_builder(),
        }
    }
}

impl Client {
    /// A client out of a builder with the caller's timeouts and headers.
    ///
    /// # Errors
    /// When the TLS parts of the system cannot be set up.
    pub fn new(builder: ClientBuilder, resolver: &Resolver, reach: Reach) -> Result<Self, reqwest::Error> {
        let guarded = Guarded { resolver: resolver.clone(), reach };
        // with a bound of none it does not keep a copy of each request either
        let once = reqwest::retry::never().max_retries_per_request(0);
        let http = builder.no_proxy().redirect(Policy::none()).retry(once).dns_resolver(guarded).build()?;
        Ok(Self { http, reach })
    }

    /// Begins a request; [`Self::execute`] sends it.
    pub fn request(&self, method: Method, url: impl reqwest::IntoUrl) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request, unless its address may not be called.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn execute(&self, request: Request) -> Result<Response, SendError> {
        // a name is judged when it is looked up; for an address nobody asks the resolver
        check_url(request.url(), self.reach)?;
        Ok(self.http.execute(request).await?)
    }

    /// As [`RequestBuilder::send`], unless its address may not be called.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, SendError> {
        self.execute(request.build()?).await
    }
}

/// Judges an address by itself, without looking anything up.
///
/// # Errors
/// [`Refused`].
pub fn check_url(url: &Url, reach: Reach) -> Result<(), Refused> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err(Refused::Scheme);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Refused::Credentials);
    }
    match url.host() {
        Some(host) => check_host(&host, reach),
        None => Err(Refused::Host),
    }
}

pub(crate) fn check_host(host: &Host<&str>, reach: Reach) -> Result<(), Refused> {
    let judged = match host {
        Host::Ipv4(address) => reach.allows((*address).into()),
        Host::Ipv6(address) => reach.allows((*address).into()),
        // RFC 6761: always this machine, whatever a resolver says
        Host::Domain(name) if is_localhost(name) && reach == Reach::Public => Err("a loopback address"),
        Host::Domain(_) => Ok(()),
    };
    judged.map_err(Refused::NotPublic)
}

fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn check(text: &str) -> Result<(), Refused> {
        check_url(&Url::parse(text).unwrap(), Reach::Public)
    }

    #[test]
    fn odd_spellings_of_an_address_are_seen_through() {
        for text in [
            "http://127.1/",
            "http://0x7f.1/",
            "http://0x7f000001/",
            "http://2130706433/",
            "http://017700000001/",
            "http://0177.0.0.1/",
            "http://127.0.0.1./",
            "http://[::ffff:7f00:1]/",
            "http://[::ffff:127.0.0.1]/",
            "http://①②⑦.⓪.⓪.①/",
            "http://127。0。0。1/",
            "http://１２７.0.0.1/",
            "http://0/",
            "http://[::]/",
            "http://localhost/",
            "http://LOCALHOST./",
            "http://a.localhost/",
            "http://%6cocalhost/",
            "http://127.0.0.1:80/",
            "http://%31%32%37.0.0.1/",
            "http:\\\\127.0.0.1/",
            "http:127.0.0.1",
            "http://\t127.0.0.1/",
        ] {
            assert!(matches!(check(text), Err(Refused::NotPublic(_))), "{text}");
        }
    }

    #[test]
    fn who_is_asked_for_is_what_counts_and_not_who_is_named_before_it() {
        assert_eq!(check("https://maker.example@127.0.0.1/"), Err(Refused::Credentials));
        assert_eq!(check("https://127.0.0.1@maker.example/"), Err(Refused::Credentials));
        assert_eq!(check("https://maker.example#@127.0.0.1/"), Ok(()));
        assert_eq!(check("file:///etc/passwd"), Err(Refused::Scheme));
        assert_eq!(check("gopher://127.0.0.1/"), Err(Refused::Scheme));
        assert_eq!(check("data:text/html,x"), Err(Refused::Scheme));
        assert_eq!(check("https://api.maker.example/v1?x=127.0.0.1"), Ok(()));
    }
}
