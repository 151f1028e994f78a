//! The HTTP server: hyper by hand, because only so a connection can be closed without an answer.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door::HangUp;

/// More than this many connections at once wait to be accepted.
const CONNECTIONS_MAX: usize = 1_024;
/// A client that opens a connection and sends no complete head is let go after this.
const HEAD_TIMEOUT: Duration = Duration::from_secs(60);

/// Said to hyper, never to anyone else: it makes hyper close the connection.
#[derive(Debug, thiserror::Error)]
#[error("a fault on demand closed the connection")]
struct HungUp;

/// Takes connections until the shutdown.
pub(crate) async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken, tasks: TaskTracker) {
    let seats = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let service = TowerToHyperService::new(router);
    loop {
        let Ok(seat) = Arc::clone(&seats).acquire_owned().await else { return };
        let stream = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the sandbox cannot take a connection");
                    continue;
                }
            },
        };
        let (service, shutdown) = (service.clone(), shutdown.clone());
        tasks.spawn(async move {
            attend(stream, service, shutdown).await;
            drop(seat);
        });
    }
}

async fn attend(stream: TcpStream, service: TowerToHyperService<Router>, shutdown: CancellationToken) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "the sandbox cannot hurry a connection");
    }
    let answer = service_fn(move |request: hyper::Request<Incoming>| {
        let answered = service.call(Request::from(request));
        async move { send_or_hang_up(answered.await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        // Errors are hung-up faults and clients that went away: both are their business, not ours.
        _ = connection.as_mut() => return,
        () = shutdown.cancelled() => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

fn send_or_hang_up(answered: Result<Response, Infallible>) -> Result<Response, HungUp> {
    let Ok(response) = answered;
    if response.extensions().get::<HangUp>().is_some() { Err(HungUp) } else { Ok(response) }
}
