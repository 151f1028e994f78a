//! What is done about a person, as JSON.

use axum::Json as Answer;
use axum::extract::State;
use proto::v1;
use proto::v1::persons_server::Persons;

use super::Http;
use super::body::Json;
use super::problem::Problem;
use super::registrations::ask;

/// POST /api/persons/forget: a body and no path, because an address in a path would stand in the logs of proxies.
pub async fn forget(
    State(http): State<Http>,
    Json(request): Json<v1::ForgetRequest>,
) -> Result<Answer<v1::ForgetResponse>, Problem> {
    Ok(Answer(http.services.persons.forget(ask(request)).await?.into_inner()))
}
