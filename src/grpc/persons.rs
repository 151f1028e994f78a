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

use super::caller::{caller, sight};
use super::views::Views;
use super::{convert, errors};
use crate::access::Sight;

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
    /// Whom a request means; nothing when whoever asks does not see them.
    pub fn person(&self, asked: Option<v1::PersonRef>, sight: &Sight) -> Result<Option<Person>, Status> {
        let v1::PersonRef { tenant, who } = asked.unwrap_or_default();
        let named = convert::optional(tenant).or_else(|| sight.tenant().map(str::to_owned));
        let tenant = named.unwrap_or_else(|| convert::DEFAULT_TENANT.to_owned());
        let owner_ref = match who {
            Some(Who::OwnerRef(text)) => convert::owner_ref(&text)?,
            Some(Who::Email(email)) if !email.trim().is_empty() => self.world.keys.pseudonym(&tenant, &email),
            Some(Who::Email(_)) | None => {
                let problem = "is missing; name the person by email or by owner_ref";
                return Err(errors::invalid_field("person", problem));
            }
        };
        let is_seen = match sight {
            Sight::All => true,
            Sight::Tenant(own) => *own == tenant,
            Sight::Own { tenant: own, owner } => *own == tenant && *owner == owner_ref,
        };
        Ok(is_seen.then_some(Person { tenant, owner_ref }))
    }
}

#[tonic::async_trait]
impl Persons for PersonsService {
    type ReportStream = ReceiverStream<Result<v1::ReportedRegistration, Status>>;

    async fn report(&self, request: Request<v1::PersonRef>) -> Result<Response<Self::ReportStream>, Status> {
        self.views.check_ready()?;
        let sight = sight(&request)?;
        let person = self.person(Some(request.into_inner()), &sight)?;
        Ok(Response::new(report::start(self.clone(), person)))
    }

    async fn forget(&self, request: Request<v1::ForgetRequest>) -> Result<Response<v1::ForgetResponse>, Status> {
        let (actor, sight) = (caller(&request), sight(&request)?);
        let v1::ForgetRequest { person, reason, dry_run } = request.into_inner();
        let (person, reason) = (self.person(person, &sight)?, forget::reason_of(reason)?);
        let wish = (!dry_run).then_some((reason, actor));
        self.forget_person(person, wish).await.map(Response::new)
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
