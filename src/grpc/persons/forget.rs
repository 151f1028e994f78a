//! Forgetting a person: which registrations, which of them a law wants kept, and waiting until they are erased.

use events::{Actor, ForgetReason, RegistrationId, Shard};
use futures::{StreamExt, TryStreamExt, stream};
use handlers::forget::{self, Fate, ForgetError};
use handlers::rotation::RotateError;
use projections::{Filter, ListError, PAGE_ROWS_MAX, Row};
use proto::v1;
use tonic::{Code, Status};

use super::{Person, PersonsService};
use crate::grpc::errors;
use crate::grpc::views::Views;

/// Most registrations that one request forgets.
const REGISTRATIONS_MAX: usize = 10_000;
/// Forgotten at once.
const AT_ONCE: usize = 16;
/// Most registrations that an error names.
const NAMED_MAX: usize = 5;

/// Why a person is forgotten, and who wants it.
pub(super) type Wish = (ForgetReason, Actor);
/// One registration and what becomes of it.
type Judged = ((Shard, RegistrationId), Fate);

impl PersonsService {
    /// What became of a person's registrations; with no wish, what would.
    pub(super) async fn forget_person(
        &self,
        person: Option<Person>,
        wish: Option<Wish>,
    ) -> Result<v1::ForgetResponse, Status> {
        let dry_run = wish.is_none();
        let (rows, more) = match person {
            Some(person) => self.rows_of(person).await?,
            None => (Vec::new(), false),
        };
        if rows.is_empty() {
            let text = "no registration of this person is known; perhaps it is another tenant's, or they are forgotten";
            return Err(errors::status(Code::NotFound, "PERSON_NOT_FOUND", text));
        }
        let judged = self.judge(rows, wish).await?;
        let (mut gone, mut kept) = (Vec::new(), Vec::new());
        for (place, fate) in judged {
            match fate {
                Fate::Forgotten => gone.push(place),
                Fate::Kept(law) => kept.push(v1::KeptRegistration {
                    id: place.1.to_string(),
                    until: law.until.to_string(),
                    law: law.law,
                }),
            }
        }
        if gone.is_empty() && !dry_run {
            return Err(all_kept(&kept));
        }
        let gone = stream::iter(gone).map(|place| self.erased(place, dry_run)).buffered(AT_ONCE);
        let forgotten = gone.try_collect().await?;
        Ok(v1::ForgetResponse { forgotten, kept, more })
    }

    /// Everything that the log holds of an owner at this moment, and whether there is more.
    async fn rows_of(&self, person: Person) -> Result<(Vec<Row>, bool), Status> {
        self.views.check_ready()?;
        let unavailable = |text: String| errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", text);
        let head = self.world.log.head().await.map_err(|error| unavailable(error.to_string()))?;
        self.views.reach(head.last_sequence).await?;
        let views = self.views.clone();
        let listed = tokio::task::spawn_blocking(move || rows_of(&views, &person)).await;
        listed.map_err(|_| unavailable("the view could not be read".to_owned()))?
    }

    async fn judge(&self, rows: Vec<Row>, wish: Option<Wish>) -> Result<Vec<Judged>, Status> {
        let Some((reason, actor)) = wish else {
            let judged = rows.iter().map(|row| (place(row), forget::foresee(&self.world, &row.registration)));
            return Ok(judged.collect());
        };
        let one = |row: Row| {
            let (place, actor) = (place(&row), actor.clone());
            async move {
                let fate = forget::forget(&self.world, place, reason, actor).await;
                fate.map(|fate| (place, fate)).map_err(|error| of_forget(&error))
            }
        };
        stream::iter(rows).map(one).buffered(AT_ONCE).try_collect().await
    }

    /// Waits for the engine, which erases.
    async fn erased(&self, place: (Shard, RegistrationId), dry_run: bool) -> Result<v1::ForgottenRegistration, Status> {
        let erased = !dry_run && forget::erased(&self.world, place).await.map_err(|error| of_forget(&error))?;
        Ok(v1::ForgottenRegistration { id: place.1.to_string(), erased })
    }
}

const fn place(row: &Row) -> (Shard, RegistrationId) {
    (row.registration.shard, row.registration.id)
}

fn rows_of(views: &Views, person: &Person) -> Result<(Vec<Row>, bool), Status> {
    let Person { tenant, owner_ref } = person;
    let filter = Filter { tenant: Some(tenant.clone()), owner_ref: Some(*owner_ref), ..Filter::default() };
    let (mut rows, mut token) = (Vec::new(), None);
    loop {
        let page = views.status.list(&filter, PAGE_ROWS_MAX, token.as_deref()).map_err(|error| match error {
            ListError::BadToken => unavailable("the view changed while it was read"),
            ListError::View(error) => unavailable(&error.to_string()),
        })?;
        rows.extend(page.rows);
        token = page.next_token;
        if token.is_none() || rows.len() >= REGISTRATIONS_MAX {
            return Ok((rows, token.is_some()));
        }
    }
}

fn unavailable(what: &str) -> Status {
    errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", format!("{what}; try again soon"))
}

pub(super) fn reason_of(number: i32) -> Result<ForgetReason, Status> {
    match v1::ForgetReason::try_from(number) {
        Ok(v1::ForgetReason::PersonAsked) => Ok(ForgetReason::PersonAsked),
        Ok(v1::ForgetReason::Ordered) => Ok(ForgetReason::Ordered),
        Ok(v1::ForgetReason::ConsentWithdrawn) => Ok(ForgetReason::ConsentWithdrawn),
        Ok(v1::ForgetReason::NoLongerNeeded) => Ok(ForgetReason::NoLongerNeeded),
        Ok(v1::ForgetReason::WrongData) => Ok(ForgetReason::WrongData),
        Ok(v1::ForgetReason::Unspecified) | Err(_) => {
            let problem = "is missing; use PERSON_ASKED, ORDERED, CONSENT_WITHDRAWN, NO_LONGER_NEEDED or WRONG_DATA";
            Err(errors::invalid_field("reason", problem))
        }
    }
}

fn all_kept(kept: &[v1::KeptRegistration]) -> Status {
    let named: Vec<_> =
        kept.iter().take(NAMED_MAX).map(|one| format!("{} until {} by {}", one.id, one.until, one.law)).collect();
    let more = kept.len().saturating_sub(NAMED_MAX);
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let text = format!("nothing may be forgotten yet: {}{more}", named.join("; "));
    errors::status(Code::FailedPrecondition, "MUST_BE_KEPT", text)
}

fn of_forget(error: &ForgetError) -> Status {
    let ForgetError::Journal(journal) = error;
    errors::of_journal(journal)
}

pub(super) fn of_rotation(error: &RotateError) -> Status {
    match error {
        RotateError::NotOurFile => errors::status(Code::FailedPrecondition, "NOT_OUR_KEY", error.to_string()),
        RotateError::Vault(bus::KeyError::RotationUnderWay) => {
            let text = "another rotation of the master key is under way; ask again when that has ended";
            errors::status(Code::FailedPrecondition, "ROTATION_UNDER_WAY", text)
        }
        RotateError::File(cause) => errors::status(Code::Internal, "KEY_FILE", cause.to_string()),
        RotateError::Vault(cause) => errors::passing(Code::Unavailable, "STORE_UNAVAILABLE", cause.to_string()),
    }
}
