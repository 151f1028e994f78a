//! Who asks, and what they may see.

use events::Actor;
use tonic::{Code, Request, Status};

use super::{convert, errors};
use crate::access::{Pass, Sight};

/// Who acts when nobody can tell.
const UNKNOWN: &str = "unknown";

/// The pass that the interface's door gave to a call. Without one nothing is answered: a call that came around the door is a
/// defect, and must not show anything.
pub fn pass<T>(request: &Request<T>) -> Result<&Pass, Status> {
    let text = "this call came in without a pass; this is a defect of regflow";
    request.extensions().get().ok_or_else(|| errors::status(Code::Unauthenticated, "NO_PASS", text))
}

/// What the caller sees.
pub fn sight<T>(request: &Request<T>) -> Result<Sight, Status> {
    pass(request).map(|pass| pass.sight.clone())
}

/// Who asks, as events name them.
pub fn caller<T>(request: &Request<T>) -> Actor {
    pass(request).map_or_else(|_| convert::client(UNKNOWN), Pass::actor)
}
