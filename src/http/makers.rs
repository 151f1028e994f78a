//! What a form for people must ask for, by maker.

use axum::Json as Answer;
use axum::extract::State;
use proto::v1;
use proto::v1::catalog_server::Catalog;

use super::Http;
use super::problem::Problem;
use super::registrations::ask;

/// GET /api/makers
pub async fn list(State(http): State<Http>) -> Result<Answer<v1::ListConnectorsResponse>, Problem> {
    Ok(Answer(http.services.catalog.list_connectors(ask(v1::ListConnectorsRequest {})).await?.into_inner()))
}
