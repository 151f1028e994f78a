//! The door of gRPC: every call of ours is looked up in the table before a service sees it.

use std::net::IpAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::http;
use axum::http::header::AUTHORIZATION;
use futures::future::{Either, Ready, ready};
use tonic::{Code, Status};
use tower::{Layer, Service};

use super::errors;
use crate::access::{Access, Denied, Pass, bearer, table};
use crate::listen::Peer;

/// What anybody may ask: whether the service works, and what its contract is.
const OPEN_PACKAGES: [&str; 2] = ["/grpc.health.", "/grpc.reflection."];
/// The interface's name where nobody is asked who they are.
const INTERFACE: &str = "grpc";

/// Around each service.
#[derive(Clone)]
pub struct AccessLayer(pub Arc<Access>);

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, access: self.0.clone() }
    }
}

/// A service behind the door.
#[derive(Clone)]
pub struct Guarded<S> {
    inner: S,
    access: Arc<Access>,
}

impl<S, B, R> Service<http::Request<B>> for Guarded<S>
where
    S: Service<http::Request<B>, Response = http::Response<R>>,
    R: Default,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<S::Response, S::Error>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        match admit(&self.access, &request) {
            Ok(pass) => {
                // only what was decided here may stand there
                request.extensions_mut().remove::<Pass>();
                pass.into_iter().for_each(|pass| drop(request.extensions_mut().insert(pass)));
                Either::Left(self.inner.call(request))
            }
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

/// The pass of a call; none for what is open.
fn admit<B>(access: &Access, request: &http::Request<B>) -> Result<Option<Pass>, Status> {
    let path = request.uri().path();
    if OPEN_PACKAGES.iter().any(|package| path.starts_with(package)) {
        return Ok(None);
    }
    let principal = access.known(credential(request)?, peer(request))?;
    let row = table::row_of(path)
        .ok_or_else(|| errors::status(Code::Unimplemented, "UNKNOWN_METHOD", "there is no such method here"))?;
    Ok(Some(access.admit(principal, row, INTERFACE)?))
}

fn credential<B>(request: &http::Request<B>) -> Result<Option<&str>, Denied> {
    let mut given = request.headers().get_all(AUTHORIZATION).iter();
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().ok().and_then(bearer).map(Some).ok_or(Denied::Wrong),
        // two that contradict each other prove nothing
        (Some(_), Some(_)) => Err(Denied::Wrong),
    }
}

fn peer<B>(request: &http::Request<B>) -> Option<IpAddr> {
    request.extensions().get::<Peer>().map(|Peer(address)| address.ip())
}
