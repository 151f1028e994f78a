//! The HTTP interface: the services of gRPC as JSON, live updates, files, and the pages. Every answer says what went wrong
//! as problem+json (RFC 9457), and everything that comes in has a bound.

mod admit;
mod analytics;
mod audit;
mod batch;
mod body;
mod done;
mod events;
mod files;
mod guard;
mod listen;
mod login;
mod makers;
mod openapi;
mod operations;
mod pages;
mod params;
mod persons;
mod problem;
mod proofs;
mod registrations;
mod routes;
mod schema;
mod status;

use std::sync::Arc;

use axum::body::Bytes;
use handlers::World;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;

use crate::access::Access;
use crate::grpc::{Services, Views};
use crate::listen::Door;
use crate::standing::Signs;
use guard::Guard;

/// Largest body: a submission with its proof of purchase as base64.
const BODY_BYTES_MAX: usize = 6 * 1024 * 1024;

/// What the interface needs.
pub struct HttpOptions {
    pub door: Door,
    pub access: Arc<Access>,
    /// How long a login of the pages lasts.
    pub session_minutes: u64,
    pub services: Services,
    pub signs: Signs,
    /// How people reach it; requests for other hosts are refused.
    pub public_url: String,
    pub connections_max: usize,
    /// Of one address, on average.
    pub requests_per_s: u32,
}

/// What the routes share; clones are cheap.
#[derive(Clone)]
struct Http {
    services: Arc<Services>,
    ready: latest::Receiver<bool>,
    stores: latest::Receiver<bool>,
    pages: Arc<done::Pages>,
    access: Arc<Access>,
    login: Arc<login::LoginPages>,
    /// The OpenAPI document, as it is sent.
    document: Bytes,
}

impl Http {
    fn world(&self) -> &World {
        &self.services.registrations.world
    }

    fn views(&self) -> &Views {
        &self.services.registrations.views
    }
}

/// Serves until `shutdown`, then lets requests in progress end.
///
/// # Errors
/// When the pages inside the binary are broken.
pub async fn serve(options: HttpOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let (routes, document) = routes::all().finish();
    let is_secure = options.door.scheme() == "https" || options.public_url.starts_with("https://");
    let login = Arc::new(login::LoginPages::new(is_secure, options.session_minutes)?);
    let keeper = admit::Keeper { access: options.access.clone(), pages: login.clone() };
    let http = Http {
        services: Arc::new(options.services),
        ready: options.signs.ready,
        stores: options.signs.stores,
        pages: Arc::new(done::Pages::new()?),
        access: options.access,
        login,
        document: document.to_string().into(),
    };
    let guard = Guard::new(&options.public_url, options.requests_per_s);
    let router = guard::around(admit::behind(routes.fallback(routes::nowhere).with_state(http), keeper), guard);
    listen::serve(options.door, router, options.connections_max, shutdown).await;
    Ok(())
}
