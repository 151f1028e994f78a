//! The simulated makers, one file each.

use axum::Router;

use crate::web::Shared;

pub(crate) mod aurora;
pub(crate) mod brightwell;
pub(crate) mod castello;
pub(crate) mod hartmann;
pub(crate) mod kestrel;
pub(crate) mod norrland;
pub(crate) mod veloce;

/// The routes of all makers.
pub(crate) fn routes(desk: &Shared) -> Router<Shared> {
    Router::new()
        .merge(norrland::routes(desk))
        .merge(brightwell::routes(desk))
        .merge(kestrel::routes(desk))
        .merge(castello::routes(desk))
        .merge(veloce::routes(desk))
        .merge(aurora::routes(desk))
        .merge(hartmann::routes(desk))
}
