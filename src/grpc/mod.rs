//! The services of regflow.v1, and the gRPC interface that offers them with health and reflection.

mod access;
mod analytics;
pub mod audit;
pub mod caller;
mod catalog;
pub mod convert;
pub mod errors;
mod explain;
mod feeder;
mod makers;
mod operations;
mod overview;
mod own;
mod persons;
mod proofs;
mod redrive;
mod registrations;
pub mod trust;
mod views;
mod watch;
mod webhooks;
mod wire;
mod words;

use std::sync::Arc;
use std::time::Duration;

use handlers::webhooks::Webhooks;
use handlers::{EngineHandle, World};
use proto::v1::analytics_server::AnalyticsServer;
use proto::v1::audit_server::AuditServer;
use proto::v1::catalog_server::CatalogServer;
use proto::v1::operations_server::OperationsServer;
use proto::v1::persons_server::PersonsServer;
use proto::v1::proofs_server::ProofsServer;
use proto::v1::registrations_server::RegistrationsServer;
use tokio::sync::{Semaphore, watch as latest};
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::Server;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use self::access::AccessLayer;
use self::analytics::AnalyticsService;
use self::audit::AuditService;
use self::catalog::CatalogService;
use self::operations::OperationsService;
use self::overview::Overviews;
use self::persons::PersonsService;
use self::proofs::ProofsService;
use self::registrations::RegistrationsService;
pub use self::views::{Views, ViewsOpening};
use crate::access::Access;
use crate::listen::Door;
use crate::standing::Signs;
use crate::telemetry::server::RpcLayer;

/// Largest request: a thousand submissions, or one with its proof of purchase.
const REQUEST_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Most streams that one connection may have open.
const STREAMS_PER_CONNECTION_MAX: u32 = 1_024;
/// Watchers that read the past at once; others wait for their turn, page by page.
const PASTS_AT_ONCE: usize = 8;
/// How long an answer may take to begin, its request included: who sends half of one holds its place no longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// Connections that say nothing are asked whether they live.
const KEEP_ALIVE: Duration = Duration::from_secs(30);

/// All services, for every interface that offers them; clones share everything.
#[derive(Clone)]
pub struct Services {
    pub registrations: RegistrationsService,
    pub operations: OperationsService,
    pub audit: AuditService,
    pub catalog: CatalogService,
    pub analytics: AnalyticsService,
    pub proofs: ProofsService,
    pub persons: PersonsService,
}

impl Services {
    /// `webhooks` are programs of tenants that are told; `submit_timeout` bounds a submission, `submissions_max` how many
    /// are on their way to the log; `shutdown` ends the streams.
    pub fn new(
        world: &Arc<World>,
        views: &Arc<Views>,
        engine: &EngineHandle,
        webhooks: &Webhooks,
        submit_timeout: Duration,
        submissions_max: usize,
        shutdown: CancellationToken,
    ) -> Self {
        let (world, views, engine) = (world.clone(), views.clone(), engine.clone());
        let overviews = Overviews::start(world.clone(), views.clone(), engine.clone(), shutdown.clone());
        Self {
            analytics: AnalyticsService {
                world: world.clone(),
                views: views.clone(),
                overviews,
                shutdown: shutdown.clone(),
            },
            audit: AuditService::new(&world, &views, shutdown.clone()),
            catalog: CatalogService { world: world.clone() },
            proofs: ProofsService { world: world.clone(), views: views.clone() },
            persons: PersonsService { world: world.clone(), views: views.clone() },
            operations: OperationsService {
                world: world.clone(),
                views: views.clone(),
                engine: engine.clone(),
                webhooks: webhooks.clone(),
            },
            registrations: RegistrationsService {
                world,
                views,
                engine,
                submit_timeout,
                places: Arc::new(Semaphore::new(submissions_max)),
                past: Arc::new(Semaphore::new(PASTS_AT_ONCE)),
                shutdown,
            },
        }
    }
}

/// What the interface needs.
pub struct GrpcOptions {
    pub door: Door,
    pub access: Arc<Access>,
    pub services: Services,
    /// What says which services serve.
    pub signs: Signs,
    pub requests_max: usize,
}

/// Serves until `shutdown`, then lets requests in progress end.
pub async fn serve(options: GrpcOptions, shutdown: CancellationToken) -> anyhow::Result<()> {
    let Services { registrations, operations, audit, catalog, analytics, proofs, persons } = options.services;
    let (reporter, health) = tonic_health::server::health_reporter();
    report_all(&reporter, ServingStatus::NotServing).await;
    reporter.set_not_serving::<AnalyticsServer<AnalyticsService>>().await;
    let reporting = tokio::spawn(report(reporter.clone(), options.signs));
    let reporting_analytics = tokio::spawn(report_analytics(reporter, analytics.views.analytics_ready()));
    let reflection = |builder: tonic_reflection::server::Builder<'static>| {
        builder.register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
    };
    let served = Server::builder()
        .timeout(ANSWER_WITHIN)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .max_concurrent_streams(STREAMS_PER_CONNECTION_MAX)
        .layer(RpcLayer)
        .layer(AccessLayer(options.access))
        .load_shed(true)
        .layer(tower::limit::GlobalConcurrencyLimitLayer::new(options.requests_max))
        .add_service(health)
        .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1()?)
        .add_service(reflection(tonic_reflection::server::Builder::configure()).build_v1alpha()?)
        .add_service(RegistrationsServer::new(registrations).max_decoding_message_size(REQUEST_BYTES_MAX))
        .add_service(OperationsServer::new(operations))
        .add_service(AuditServer::new(audit))
        .add_service(CatalogServer::new(catalog))
        .add_service(AnalyticsServer::new(analytics))
        .add_service(ProofsServer::new(proofs))
        .add_service(PersonsServer::new(persons))
        .serve_with_incoming_shutdown(options.door.connections(shutdown.clone()), shutdown.cancelled())
        .await;
    reporting.abort();
    reporting_analytics.abort();
    Ok(served?)
}

/// All but the analytics, which have a view of their own, serve once the log was read, and as long as something can be stored.
async fn report(reporter: HealthReporter, mut signs: Signs) {
    // ends only with the server when a sender is gone
    if signs.ready.wait_for(|ready| *ready).await.is_err() {
        return;
    }
    loop {
        let stores = *signs.stores.borrow_and_update();
        report_all(&reporter, if stores { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
        if signs.stores.changed().await.is_err() {
            return;
        }
    }
}

async fn report_all(reporter: &HealthReporter, status: ServingStatus) {
    let names = [
        RegistrationsServer::<RegistrationsService>::NAME,
        OperationsServer::<OperationsService>::NAME,
        AuditServer::<AuditService>::NAME,
        CatalogServer::<CatalogService>::NAME,
        ProofsServer::<ProofsService>::NAME,
        PersonsServer::<PersonsService>::NAME,
    ];
    for name in names {
        reporter.set_service_status(name, status).await;
    }
}

async fn report_analytics(reporter: HealthReporter, mut ready: latest::Receiver<bool>) {
    if ready.wait_for(|ready| *ready).await.is_ok() {
        reporter.set_serving::<AnalyticsServer<AnalyticsService>>().await;
    }
}
