//! What callers who do not see everything may ask for: their own, and nothing that tells of others.

use handlers::World;
use handlers::intake::Submission;
use projections::Filter;
use proto::v1;
use tonic::Status;

use super::errors;
use crate::access::{OwnerRef, Pass, Sight};

/// The field that says whose product it is.
const OWNER_EMAIL: &str = "owner.email";

/// Gives a submission the tenant and the name of whoever hands it over, whatever it says itself.
///
/// # Errors
/// When a person hands over what is not theirs.
pub fn submission(submission: &mut Submission, pass: &Pass, world: &World) -> Result<(), Status> {
    if !pass.principal.is_anyone {
        submission.actor = pass.actor();
    }
    if let Some(tenant) = pass.sight.tenant() {
        tenant.clone_into(&mut submission.tenant);
    }
    let Some(owner) = pass.sight.owner() else { return Ok(()) };
    check_email(&submission.details.owner.email, &pass.sight, world)?;
    // a request id is a person's own, so that nobody learns of another's by using the same one
    submission.request_id = submission.request_id.take().map(|id| request_id(owner, &id));
    Ok(())
}

/// A person's request id among those of the tenant.
fn request_id(owner: OwnerRef, id: &str) -> String {
    format!("{}/{id}", hex::encode(owner))
}

/// Refuses a correction that would give a person's registration to somebody else.
pub fn correction(correction: &v1::Correction, sight: &Sight, world: &World) -> Result<(), Status> {
    match &correction.owner {
        Some(owner) if !owner.email.is_empty() => check_email(&owner.email, sight, world),
        Some(_) | None => Ok(()),
    }
}

fn check_email(email: &str, sight: &Sight, world: &World) -> Result<(), Status> {
    let Sight::Own { tenant, owner } = sight else { return Ok(()) };
    if world.keys.pseudonym(tenant, email) == *owner {
        return Ok(());
    }
    Err(errors::invalid_field(OWNER_EMAIL, "must be your own address, the one that you logged in with"))
}

/// The filter narrowed to what somebody sees; nothing when nothing can be left.
pub fn filter(filter: Filter, sight: &Sight) -> Option<Filter> {
    let tenant = sight.tenant().map(str::to_owned);
    let owner_ref = match (filter.owner_ref, sight.owner()) {
        (Some(wanted), Some(own)) if wanted != own => return None,
        (wanted, own) => own.or(wanted),
    };
    Some(Filter { tenant, owner_ref, ..filter })
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::RegistrationId;

    #[test]
    fn nobodys_filter_reaches_further_than_they_see() {
        let asked = |owner_ref| Filter { owner_ref, ..Filter::default() };
        let own = Sight::Own { tenant: "shop".into(), owner: [1; 16] };
        let narrowed = filter(asked(None), &own).expect("something may be left");
        assert_eq!((narrowed.tenant.as_deref(), narrowed.owner_ref), (Some("shop"), Some([1; 16])));
        assert!(filter(asked(Some([1; 16])), &own).is_some());
        assert_eq!(filter(asked(Some([2; 16])), &own), None);
        let tenant = filter(asked(Some([2; 16])), &Sight::Tenant("shop".into())).expect("something may be left");
        assert_eq!((tenant.tenant.as_deref(), tenant.owner_ref), (Some("shop"), Some([2; 16])));
        assert_eq!(filter(asked(None), &Sight::All), Some(asked(None)));
    }

    #[test]
    fn two_people_with_the_same_request_id_have_two_requests() {
        let id = |owner| RegistrationId::of_request("shop", &request_id([owner; 16], "1"));
        assert_ne!(id(1), id(2));
        assert_eq!(id(1), id(1));
    }
}
