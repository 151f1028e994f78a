//! The proof of a registration over HTTP: as a text that can be checked, or as a PDF.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, CONTENT_DISPOSITION, CONTENT_TYPE, VARY};
use axum::response::{IntoResponse, Response};
use proto::v1::proofs_server::Proofs;
use proto::v1::{self, ProofFormat};

use super::Http;
use super::params::Params;
use super::problem::Problem;
use super::registrations::ask;

const PDF: &str = "application/pdf";

/// GET /api/registration/{id}/proof-of-registration
pub async fn proof(
    State(http): State<Http>,
    Path(id): Path<String>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Response, Problem> {
    let format = match params.one("format")?.as_deref() {
        None => wanted(&headers),
        Some("text") => ProofFormat::Note,
        Some("pdf") => ProofFormat::Pdf,
        Some(_) => return Err(Problem::field("format", "is neither `text` nor `pdf`")),
    };
    let without_values = match params.one("values")?.as_deref() {
        None | Some("true") => false,
        Some("false") => true,
        Some(_) => return Err(Problem::field("values", "is neither `true` nor `false`")),
    };
    params.finish()?;
    let request = v1::GetProofRequest { id, format: format.into(), without_values };
    let file = http.services.proofs.get_proof(ask(request)).await?.into_inner();
    let media_type = if file.media_type == PDF { PDF } else { "text/plain; charset=utf-8" };
    let headers = [
        (CONTENT_TYPE, media_type.to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{}\"", file.filename)),
        (VARY, ACCEPT.to_string()),
    ];
    Ok((headers, file.content).into_response())
}

/// A PDF only for whoever asks for one and not for anything.
fn wanted(headers: &HeaderMap) -> ProofFormat {
    let accepted = headers.get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let named =
        |media_type: &str| accepted.split(',').any(|one| one.split(';').next().map(str::trim) == Some(media_type));
    if named(PDF) && !named("text/plain") { ProofFormat::Pdf } else { ProofFormat::Note }
}
