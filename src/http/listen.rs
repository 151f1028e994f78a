//! The door: a bounded number of connections, each of which must say what it wants in time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::listen::{Connection, Door, Knock};

/// How long a request's head may take; also how long an idle connection is kept.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Largest head of a request, in bytes.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// How long a stop waits for requests in progress.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause when no connection can be accepted, for example for want of file handles.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves `router` until `shutdown`.
pub async fn serve(door: Door, router: Router, connections_max: usize, shutdown: CancellationToken) {
    let (places, open) = (Arc::new(Semaphore::new(connections_max)), GracefulShutdown::new());
    loop {
        let accepted = tokio::select! {
            accepted = next(&door, &places) => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((knock, place)) => talk(knock, place, router.clone(), &open),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    drop(door);
    if tokio::time::timeout(DRAIN_TIMEOUT, open.shutdown()).await.is_err() {
        tracing::warn!("some requests did not end in time");
    }
}

/// The next connection, once there is a place for it; until then it waits in the system's own bounded queue.
async fn next(door: &Door, places: &Arc<Semaphore>) -> std::io::Result<(Knock, Option<OwnedSemaphorePermit>)> {
    let place = Arc::clone(places).acquire_owned().await.ok();
    Ok((door.accept().await?, place))
}

fn talk(knock: Knock, place: Option<OwnedSemaphorePermit>, router: Router, open: &GracefulShutdown) {
    let watcher = open.watcher();
    tokio::spawn(async move {
        if let Some(connection) = knock.open().await {
            answer(connection, router, watcher).await;
        }
        drop(place);
    });
}

async fn answer(connection: Connection, router: Router, watcher: Watcher) {
    let peer: SocketAddr = connection.peer;
    let answer = service_fn(move |mut request: Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(peer);
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(connection), answer);
    if let Err(error) = watcher.watch(connection).await {
        // mostly a client that left
        tracing::debug!(%error, "a connection ended early");
    }
}
