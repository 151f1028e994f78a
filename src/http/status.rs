//! Whether the service lives, and whether it can work: for those who start and watch it.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::Http;
use super::problem::Problem;

/// GET /healthz
pub async fn healthz() -> Answer<Value> {
    Answer(json!({ "status": "alive" }))
}

/// GET /readyz
pub async fn readyz(State(http): State<Http>) -> Result<Answer<Value>, Problem> {
    if *http.ready.borrow() {
        return Ok(Answer(json!({ "status": "ready" })));
    }
    let text = "the service is still reading its log; try again soon";
    Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "STARTING", text).retry_after(1))
}
