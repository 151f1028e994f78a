//! What every request passes: its host, its origin, its address's share; and what every answer carries.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{DefaultBodyLimit, Extension, Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONNECTION, CONTENT_SECURITY_POLICY, HOST, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use governor::clock::{Clock, MonotonicClock};
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;

use super::admit::SEC_FETCH_SITE;
use super::problem::Problem;
use crate::access::network;
use crate::telemetry::server::observe;

/// Nothing from elsewhere, nothing inside the page's own text, and no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; \
    connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// After so many requests the addresses that have not been seen for a while are forgotten.
const FORGET_EVERY: u32 = 65_536;
/// A body up to this size comes with its head, and is read also when it is refused.
const BODY_BYTES_SMALL: u64 = 8 * 1024;
/// Hosts that always are this machine.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

type Limiter = RateLimiter<IpAddr, HashMapStateStore<IpAddr>, MonotonicClock>;

/// Counts the requests of each address.
pub struct Share {
    limiter: Limiter,
    asked: AtomicU32,
}

impl Share {
    /// `per_minute` requests of one address, of which `at_once` may come together.
    pub fn per_minute(per_minute: NonZeroU32, at_once: NonZeroU32) -> Self {
        Self::new(Quota::per_minute(per_minute).allow_burst(at_once))
    }

    fn new(quota: Quota) -> Self {
        let limiter = RateLimiter::new(quota, HashMapStateStore::default(), MonotonicClock);
        Self { limiter, asked: AtomicU32::new(0) }
    }

    /// Takes one of the address's share.
    ///
    /// # Errors
    /// 429 with the time after which there is one again.
    pub fn take(&self, address: IpAddr) -> Result<(), Problem> {
        if self.asked.fetch_add(1, Ordering::Relaxed) % FORGET_EVERY == FORGET_EVERY - 1 {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&network(address)).map_err(|until| {
            let wait = until.wait_time_from(MonotonicClock.now()).as_secs() + 1;
            let text = format!("too many requests from this address; try again in {wait} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, "TOO_MANY_REQUESTS", text).retry_after(wait)
        })
    }
}

/// Who may ask, and how often.
pub struct Guard {
    hosts: Vec<String>,
    share: Share,
}

impl Guard {
    /// Lets in what is addressed to `public_url` or to this machine.
    pub fn new(public_url: &str, requests_per_s: u32) -> Arc<Self> {
        let public = public_url.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_lowercase));
        let hosts = LOOPBACK_HOSTS.iter().map(|host| (*host).to_owned()).chain(public).collect();
        let per_s = NonZeroU32::new(requests_per_s).unwrap_or(NonZeroU32::MIN);
        let quota = Quota::per_second(per_s).allow_burst(per_s.saturating_mul(NonZeroU32::MIN.saturating_add(1)));
        Arc::new(Self { hosts, share: Share::new(quota) })
    }

    fn check(&self, request: &Request, address: IpAddr) -> Result<(), Problem> {
        self.share.take(address)?;
        let header = |name: HeaderName| request.headers().get(name).and_then(|value| value.to_str().ok());
        let host = header(HOST).unwrap_or_default();
        // a page of somebody else's, whose name was made to point here, must not reach us with its visitor's browser
        if !self.hosts.contains(&host_of(host)) {
            let text = format!("nothing is served for the host `{}`; see server.public_url", host.escape_default());
            return Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, "UNKNOWN_HOST", text));
        }
        let changes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
        let foreign = header(ORIGIN).is_some_and(|origin| {
            origin.parse::<Uri>().ok().and_then(|uri| uri.authority().map(|a| a.as_str() != host)).unwrap_or(true)
        });
        // who says that it comes from elsewhere is believed, also without an origin
        let elsewhere = header(HeaderName::from_static(SEC_FETCH_SITE));
        let elsewhere = matches!(elsewhere, Some("cross-site" | "same-site"));
        if changes && (foreign || elsewhere) {
            let text = "a page of another origin must not change anything here";
            return Err(Problem::new(StatusCode::FORBIDDEN, "FOREIGN_ORIGIN", text));
        }
        Ok(())
    }
}

/// The host without its port, in lower case.
fn host_of(header: &str) -> String {
    let host = header.rsplit_once(':').filter(|(_, port)| port.bytes().all(|b| b.is_ascii_digit()));
    host.map_or(header, |(host, _)| host).to_lowercase()
}

/// The routes behind the guard.
pub fn around(routes: Router, guard: Arc<Guard>) -> Router {
    let header = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    routes
        .layer(DefaultBodyLimit::max(super::BODY_BYTES_MAX))
        .layer(from_fn_with_state(guard, pass))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(header(CONTENT_SECURITY_POLICY, POLICY))
        .layer(header(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        // not "no-referrer": browsers then say `Origin: null` with our own forms
        .layer(header(REFERRER_POLICY, "same-origin"))
        .layer(header(CACHE_CONTROL, "no-store"))
        .layer(from_fn(without_body_of_refused))
        .layer(from_fn(no_more_behind_a_refused_body))
        .layer(from_fn(observe))
}

async fn pass(
    State(guard): State<Arc<Guard>>,
    Extension(peer): Extension<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match guard.check(&request, peer.ip()) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

/// A method that a path does not know gets a body as every other error does.
async fn without_body_of_refused(request: Request, next: Next) -> Response {
    let response = next.run(request).await;
    if response.status() != StatusCode::METHOD_NOT_ALLOWED {
        return response;
    }
    let (parts, _) = response.into_parts();
    let problem = Problem::new(parts.status, "METHOD_NOT_ALLOWED", "this path does not know the method; see Allow");
    let mut told = problem.into_response();
    told.headers_mut().extend(parts.headers);
    told
}

/// Whoever is refused a large body is told that nothing more is read on the connection: without a word the client would ask
/// again on it, and be cut off.
async fn no_more_behind_a_refused_body(request: Request, next: Next) -> Response {
    let is_large = request.body().size_hint().upper().is_none_or(|bytes| bytes > BODY_BYTES_SMALL);
    let mut response = next.run(request).await;
    if is_large && response.status().is_client_error() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request could not be answered; this is a defect of regflow");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "this is a defect of regflow; see its log")
        .into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: Method, host: &str, origin: Option<&str>) -> Result<(), StatusCode> {
        let guard = Guard::new("https://Register.example.org", 10);
        let mut request = Request::builder().method(method).header(HOST, host);
        if let Some(origin) = origin {
            request = request.header(ORIGIN, origin);
        }
        let request = request.body(axum::body::Body::empty()).expect("a request");
        guard.check(&request, IpAddr::from([127, 0, 0, 1])).map_err(|problem| problem.status())
    }

    #[test]
    fn only_our_own_hosts_are_served() {
        for host in
            ["127.0.0.1:7461", "localhost:7461", "[::1]:7461", "register.example.org", "register.example.org:443"]
        {
            assert_eq!(asked(Method::GET, host, None), Ok(()), "{host}");
        }
        for host in ["", "evil.example", "127.0.0.1.evil.example:7461", "register.example.org.evil"] {
            assert_eq!(asked(Method::GET, host, None), Err(StatusCode::MISDIRECTED_REQUEST), "{host}");
        }
    }

    #[test]
    fn another_origin_may_look_but_not_change() {
        let (host, own) = ("127.0.0.1:7461", Some("http://127.0.0.1:7461"));
        assert_eq!(asked(Method::POST, host, own), Ok(()));
        for origin in [Some("http://evil.example"), Some("null"), Some("http://127.0.0.1:9")] {
            assert_eq!(asked(Method::POST, host, origin), Err(StatusCode::FORBIDDEN), "{origin:?}");
            assert_eq!(asked(Method::GET, host, origin), Ok(()));
        }
    }

    #[test]
    fn an_address_has_its_share_and_no_more() {
        let share = Share::per_minute(NonZeroU32::MIN, NonZeroU32::MIN.saturating_add(1));
        let [one, other] = [IpAddr::from([127, 0, 0, 1]), IpAddr::from([127, 0, 0, 2])];
        assert!(share.take(one).is_ok() && share.take(one).is_ok());
        assert_eq!(share.take(one).map_err(|problem| problem.status()), Err(StatusCode::TOO_MANY_REQUESTS));
        assert!(share.take(other).is_ok());
    }
}
