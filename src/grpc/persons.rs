//! regflow.v1.Persons: what was sent about a person, and forgetting them.

mod forget;
mod report;

use std::sync::Arc;

use handlers::{World, rotation};
use proto::v1;
use proto::v1::person_ref::Who;
use proto::v1::persons_server::Persons;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status};

use super::caller::caller;
use super::views::Views;
use super::{convert, errors};

/// The persons service; clones share everything.
#[derive(Clone)]
pub struct PersonsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
}

/// A person of a tenant.
pub struct Person {
    pub tenant: String,
    pub owner_ref: [u8; 16],
}

impl PersonsService {
    /// Whom a request means.
    pub fn person(&self, asked: Option<v1::PersonRef>) -> Result<Person, Status> {
        let v1::PersonRef { tenant, who } = asked.unwrap_or_default();
        let tenant = convert::optional(tenant).unwrap_or_else(|| convert::DEFAULT_TENANT.to_owned());
        let owner_ref = match who {
            Some(Who::OwnerRef(text)) => convert::owner_ref(&text)?,
            Some(Who::Email(email)) if !email.trim().is_empty() => self.world.keys.pseudonym(&tenant, &email),
            Some(Who::Email(_)) | None => {
                let problem = "is missing; name the person by email or by owner_ref";
                return Err(errors::invalid_field("person", problem));
            }
        };
        Ok(Person { tenant, owner_ref })
    }
}

#[tonic::async_trait]
impl Persons for PersonsService {
    type ReportStream = ReceiverStream<Result<v1::ReportedRegistration, Status>>;

    async fn report(&self, request: Request<v1::PersonRef>) -> Result<Response<Self::ReportStream>, Status> {
        self.views.check_ready()?;
        let person = self.person(Some(request.into_inner()))?;
        Ok(Response::new(report::start(self.clone(), person)))
    }

    async fn forget(&self, request: Request<v1::ForgetRequest>) -> Result<Response<v1::ForgetResponse>, Status> {
        let actor = caller(&request);
        self.forget_person(request.into_inner(), actor).await.map(Response::new)
    }

    async fn rotate_master_key(
        &self,
        request: Request<v1::RotateMasterKeyRequest>,
    ) -> Result<Response<v1::RotateMasterKeyResponse>, Status> {
        let (world, actor) = (self.world.clone(), caller(&request));
        // a task of its own: a client that leaves does not stop it half way
        let rotating = tokio::spawn(async move { rotation::rotate(&world).await });
        let lost = |_| errors::passing(Code::Internal, "ROTATION_STOPPED", "the rotation stopped; ask for it again");
        let rotated = rotating.await.map_err(lost)?.map_err(|error| forget::of_rotation(&error))?;
        tracing::info!(by = %actor, keys = rotated.keys, fingerprint = rotated.fingerprint, "the master key is rotated");
        let rotation::Rotated { keys, fingerprint } = rotated;
        Ok(Response::new(v1::RotateMasterKeyResponse { keys, fingerprint }))
    }
}

