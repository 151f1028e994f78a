//! regflow.v1.Proofs: proofs of registrations, signed.

use std::sync::Arc;

use handlers::World;
use proto::v1;
use proto::v1::proofs_server::Proofs;
use tonic::{Code, Request, Response, Status};

use super::caller::sight;
use super::errors;
use super::views::Views;
use crate::proof::{self, Proof, ProofError, Show};

/// The proofs service; clones share everything.
#[derive(Clone)]
pub struct ProofsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
}

#[tonic::async_trait]
impl Proofs for ProofsService {
    async fn get_proof(&self, request: Request<v1::GetProofRequest>) -> Result<Response<v1::ProofFile>, Status> {
        let (sight, request) = (sight(&request)?, request.into_inner());
        let (shard, id) = self.views.place(&request.id, &sight).await?;
        let show = if request.without_values { Show::Hashes } else { Show::Values };
        let proof = proof::prove(&self.world, shard, id, show).await.map_err(|error| of_proof(&error))?;
        let key = self.world.signer.verifier().to_string();
        let (reference, format) = (id.reference(), request.format());
        let (content, media_type, ending) = match format {
            v1::ProofFormat::Unspecified | v1::ProofFormat::Note => (proof.note.into_bytes(), "text/plain", "txt"),
            v1::ProofFormat::Pdf => (self.print(&proof, &key).await?, "application/pdf", "pdf"),
        };
        let (media_type, filename) = (media_type.to_owned(), format!("{reference}.proof.{ending}"));
        Ok(Response::new(v1::ProofFile { content, media_type, filename, key }))
    }
}

impl ProofsService {
    async fn print(&self, proof: &Proof, key: &str) -> Result<Vec<u8>, Status> {
        let document = proof::document(proof, key);
        let printed = self.world.packets.render_proof(document, self.world.now().to_jiff()).await;
        printed.map(|packet| packet.pdf).map_err(|error| {
            errors::status(Code::Internal, "PROOF_NOT_PRINTED", format!("the proof cannot be printed: {error}"))
        })
    }
}

/// Why there is no proof or report.
pub fn of_proof(error: &ProofError) -> Status {
    let passing = |reason, error: &dyn std::error::Error| {
        let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
        errors::passing(Code::Unavailable, reason, format!("{error}{cause}"))
    };
    match error {
        ProofError::Load(_) => passing("LOG_UNAVAILABLE", error),
        ProofError::Keys(_) | ProofError::Objects(_) => passing("STORE_UNAVAILABLE", error),
        ProofError::Account(_) => errors::status(Code::DataLoss, "HISTORY_BROKEN", error.to_string()),
        ProofError::TooLong { .. } => errors::status(Code::FailedPrecondition, "PROOF_TOO_LONG", error.to_string()),
        ProofError::Unsignable(_) => errors::status(Code::Internal, "PROOF_NOT_SIGNED", error.to_string()),
    }
}
