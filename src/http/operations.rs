//! What operators do, as JSON.

use axum::Json as Answer;
use axum::extract::State;
use proto::v1;
use proto::v1::operations_server::Operations;

use super::Http;
use super::body::Json;
use super::params::Params;
use super::problem::Problem;
use super::registrations::ask;

/// GET /api/operations/makers
pub async fn makers(State(http): State<Http>, mut params: Params) -> Result<Answer<v1::ListMakersResponse>, Problem> {
    let request = v1::ListMakersRequest { maker: params.one("maker")?.unwrap_or_default() };
    params.finish()?;
    Ok(Answer(http.services.operations.list_makers(ask(request)).await?.into_inner()))
}

/// POST /api/operations/pause
pub async fn pause(
    State(http): State<Http>,
    Json(request): Json<v1::PauseRequest>,
) -> Result<Answer<v1::OperationResponse>, Problem> {
    Ok(Answer(http.services.operations.pause(ask(request)).await?.into_inner()))
}

/// POST /api/operations/resume
pub async fn resume(
    State(http): State<Http>,
    Json(request): Json<v1::ResumeRequest>,
) -> Result<Answer<v1::OperationResponse>, Problem> {
    Ok(Answer(http.services.operations.resume(ask(request)).await?.into_inner()))
}

/// POST /api/operations/force-circuit
pub async fn force_circuit(
    State(http): State<Http>,
    Json(request): Json<v1::ForceCircuitRequest>,
) -> Result<Answer<v1::OperationResponse>, Problem> {
    Ok(Answer(http.services.operations.force_circuit(ask(request)).await?.into_inner()))
}

/// POST /api/operations/release-circuit
pub async fn release_circuit(
    State(http): State<Http>,
    Json(request): Json<v1::ReleaseCircuitRequest>,
) -> Result<Answer<v1::OperationResponse>, Problem> {
    Ok(Answer(http.services.operations.release_circuit(ask(request)).await?.into_inner()))
}

/// POST /api/operations/redrive
pub async fn redrive(
    State(http): State<Http>,
    Json(request): Json<v1::RedriveRequest>,
) -> Result<Answer<v1::RedriveResponse>, Problem> {
    Ok(Answer(http.services.operations.redrive(ask(request)).await?.into_inner()))
}
