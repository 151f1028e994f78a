//! Who asks.

use events::Actor;
use tonic::Request;

use super::convert;

/// Who acts when the access rules cannot tell yet.
const CLIENT: &str = "grpc";

/// Who asks, when another interface asks for them.
#[derive(Clone)]
pub struct Caller(pub Actor);

/// Who asks, as events name them.
pub fn caller<T>(request: &Request<T>) -> Actor {
    request.extensions().get().map_or_else(|| convert::client(CLIENT), |Caller(actor)| actor.clone())
}
