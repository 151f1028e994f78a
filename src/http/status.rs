//! Whether the service lives, and whether it can work: for those who start and watch it.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::Http;
use super::problem::Problem;
use crate::telemetry;

/// The text format of Prometheus.
const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// GET /healthz
pub async fn healthz() -> Answer<Value> {
    Answer(json!({ "status": "alive" }))
}

/// GET /readyz
pub async fn readyz(State(http): State<Http>) -> Result<Answer<Value>, Problem> {
    if !*http.ready.borrow() {
        return Err(Problem::starting());
    }
    if !*http.stores.borrow() {
        return Err(Problem::stores_nothing());
    }
    let log = if http.world().trust.gate().trouble().is_some() { "read_only" } else { "verified" };
    Ok(Answer(json!({ "status": "ready", "log": log })))
}

/// GET /metrics, for Prometheus.
pub async fn metrics() -> impl IntoResponse {
    ([(CONTENT_TYPE, METRICS_TYPE)], telemetry::prometheus_text())
}
