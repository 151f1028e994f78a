//! The door of HTTP: every route is looked up in the table before it answers. Programs send `Authorization: Bearer`; pages have
//! a cookie from the login, which counts only for what their own origin asks.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use tonic::Status;

use super::login::{self, LoginPages};
use super::problem::Problem;
use crate::access::table::{self, Need, ROUTES};
use crate::access::{Access, Denied, Pass, Principal, Reach, Sight, bearer};

/// The interface's name where nobody is asked who they are.
const INTERFACE: &str = "http";
/// From where a request comes, as browsers say it (Fetch Metadata).
pub const SEC_FETCH_SITE: &str = "sec-fetch-site";

tokio::task_local! {
    /// The pass of the request that is being answered.
    static PASS: Pass;
}

/// The pass of the request that is being answered; none for routes that are open.
pub fn pass() -> Option<Pass> {
    PASS.try_with(Clone::clone).ok()
}

/// What whoever asks sees.
pub fn sight() -> Result<Sight, Problem> {
    let text = "this request came in without a pass; this is a defect of regflow";
    pass().map(|pass| pass.sight).ok_or_else(|| Problem::new(StatusCode::UNAUTHORIZED, "NO_PASS", text))
}

/// Who decides.
pub struct Keeper {
    pub access: Arc<Access>,
    pub pages: Arc<LoginPages>,
}

/// The routes behind the door.
pub fn behind(routes: Router, keeper: Keeper) -> Router {
    routes.layer(from_fn_with_state(Arc::new(keeper), admit))
}

async fn admit(
    State(keeper): State<Arc<Keeper>>,
    Extension(peer): Extension<SocketAddr>,
    request: Request,
    next: Next,
) -> Response {
    match keeper.decide(&request, peer.ip()) {
        Ok(Some(pass)) => PASS.scope(pass, next.run(request)).await,
        Ok(None) => next.run(request).await,
        Err(answer) => *answer,
    }
}

impl Keeper {
    /// The pass of a request, or the answer that it gets instead; nothing for what needs none.
    fn decide(&self, request: &Request, address: IpAddr) -> Result<Option<Pass>, Box<Response>> {
        // nothing is at such a path, and that is what the fallback says
        let Some(route) = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str) else { return Ok(None) };
        let Some(need) = table::need(request.method().as_str(), route) else { return without_row(route) };
        match need {
            Need::Nobody => Ok(None),
            Need::Link => Ok(Pass::new(Principal::link(), Reach::All, INTERFACE)),
            Need::As(row) => match self.pass(request, address, row) {
                Ok(pass) => Ok(Some(pass)),
                Err(problem) => Err(Box::new(refusal(problem))),
            },
            Need::Page(row) => match self.pass(request, address, row) {
                Ok(pass) => Ok(Some(pass)),
                Err(Refused::Denied(denied)) => Err(Box::new(self.lead(request, denied))),
                Err(other) => Err(Box::new(refusal(other))),
            },
        }
    }

    fn pass(&self, request: &Request, address: IpAddr, row: &str) -> Result<Pass, Refused> {
        let principal = self.who(request, address)?;
        Ok(self.access.admit(principal, row, INTERFACE)?)
    }

    fn who(&self, request: &Request, address: IpAddr) -> Result<Principal, Refused> {
        let headers = request.headers();
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let cookie = match (given.next(), given.next()) {
            (None, _) => self.pages.cookie(headers),
            (Some(value), None) => {
                let credential = value.to_str().ok().and_then(bearer).ok_or(Denied::Wrong)?;
                return Ok(self.access.known(Some(credential), address.into())?);
            }
            (Some(_), Some(_)) => return Err(Denied::Wrong.into()),
        };
        let Some(principal) = cookie.and_then(|cookie| self.access.session(cookie)) else {
            return Ok(self.access.known(None, address.into())?);
        };
        let looks = matches!(*request.method(), Method::GET | Method::HEAD);
        if looks || is_own(headers) { Ok(principal) } else { Err(Refused::Foreign) }
    }

    /// Where somebody who looks at a page is led instead.
    fn lead(&self, request: &Request, denied: Denied) -> Response {
        let path = request.uri().path_and_query().map_or("/", axum::http::uri::PathAndQuery::as_str);
        let site = request.headers().get(SEC_FETCH_SITE).map(HeaderValue::as_bytes);
        match denied {
            // a browser that follows a link in a mail sends no strict cookie; once it is here, it does
            Denied::Missing if site == Some(b"cross-site") => self.pages.again(path),
            Denied::Missing | Denied::Wrong | Denied::Expired => Redirect::to(&login::address(path)).into_response(),
            Denied::Throttled(_) | Denied::Forbidden(_) => {
                let problem = Problem::from(Status::from(denied));
                self.pages.show(problem.status(), None, path, problem.detail())
            }
        }
    }
}

/// Why a request is not answered.
enum Refused {
    Denied(Denied),
    /// With the cookie of a page, but from another one.
    Foreign,
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

fn refusal(refused: Refused) -> Response {
    let problem = match refused {
        Refused::Denied(denied) => Problem::from(Status::from(denied)),
        Refused::Foreign => {
            let text = "with a login of the pages only our own pages change anything; programs send a key";
            Problem::new(StatusCode::FORBIDDEN, "FOREIGN_ORIGIN", text)
        }
    };
    let status = problem.status();
    let mut response = problem.into_response();
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A method that the path does not know gets its own answer; a path that stands in no row gets none at all.
fn without_row(route: &str) -> Result<Option<Pass>, Box<Response>> {
    if ROUTES.iter().any(|(_, path, _)| *path == route) {
        return Ok(None);
    }
    tracing::error!(route, "a route has no row in src/access/table.rs");
    let text = "this path stands in no row of the access table, so nobody may use it; this is a defect of regflow";
    Err(Box::new(Problem::new(StatusCode::FORBIDDEN, "NO_ROW", text).into_response()))
}

/// Whether a browser says that our own page asks. Who says nothing is no browser, and has no business with a cookie.
fn is_own(headers: &HeaderMap) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = header(SEC_FETCH_SITE) {
        return site == "same-origin";
    }
    let origin = header(ORIGIN.as_str()).and_then(|origin| origin.parse::<Uri>().ok());
    let authority = origin.and_then(|origin| origin.authority().map(|authority| authority.as_str().to_owned()));
    authority.is_some_and(|authority| Some(authority.as_str()) == header(HOST.as_str()))
}

/// The value of a cookie.
pub fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let all = headers.get_all(COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&str, &str)| {
            let name: axum::http::HeaderName = name.parse().expect("a name");
            (name, HeaderValue::from_str(value).expect("a value"))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn only_our_own_page_is_our_own_page() {
        let own = |pairs: &[(&str, &str)]| is_own(&headers(pairs));
        assert!(own(&[("sec-fetch-site", "same-origin")]));
        assert!(own(&[("host", "127.0.0.1:7461"), ("origin", "http://127.0.0.1:7461")]));
        for site in ["cross-site", "same-site", "none", ""] {
            let said = [("sec-fetch-site", site), ("host", "h:1"), ("origin", "http://h:1")];
            assert!(!own(&said), "{site}");
        }
        assert!(!own(&[("host", "127.0.0.1:7461"), ("origin", "http://127.0.0.1:9")]));
        assert!(!own(&[("host", "127.0.0.1:7461"), ("origin", "null")]));
        assert!(!own(&[("host", "127.0.0.1:7461")]));
    }

    #[test]
    fn a_cookie_is_found_by_its_whole_name() {
        let sent = headers(&[("cookie", "a=1; regflow=abc; xregflow=2")]);
        assert_eq!(cookie(&sent, "regflow"), Some("abc"));
        assert_eq!(cookie(&sent, "flow"), None);
    }
}
