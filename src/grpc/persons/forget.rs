//! Forgetting a person: which registrations, which of them a law wants kept, and waiting until they are erased.

use bus::{AppendError, LoadError};
use events::{Actor, ForgetReason, RegistrationId, Shard};
use futures::{StreamExt, stream};
use handlers::JournalError;
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
/// Where a registration stands, and its id.
type Place = (Shard, RegistrationId);

/// What becomes of some registrations.
#[derive(Default)]
struct Judged {
    gone: Vec<Place>,
    kept: Vec<v1::KeptRegistration>,
    failed: Vec<v1::NotForgottenRegistration>,
}

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
        let Judged { gone, kept, failed } = self.judge(rows, wish).await?;
        if gone.is_empty() && failed.is_empty() && !dry_run {
            return Err(all_kept(&kept));
        }
        let gone = stream::iter(gone).map(|place| self.erased(place, dry_run)).buffered(AT_ONCE);
        let forgotten = gone.collect().await;
        Ok(v1::ForgetResponse { forgotten, kept, more, failed })
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

    /// Judges all: one that cannot be read must not keep the others from being forgotten. Fails only when the log itself is not
    /// there for any of them.
    async fn judge(&self, rows: Vec<Row>, wish: Option<Wish>) -> Result<Judged, Status> {
        let mut judged = Judged::default();
        let Some((reason, actor)) = wish else {
            for row in &rows {
                judged.take(place(row), forget::foresee(&self.world, &row.registration));
            }
            return Ok(judged);
        };
        let one = |row: Row| {
            let (place, actor) = (place(&row), actor.clone());
            async move { (place, forget::forget(&self.world, place, reason, actor).await) }
        };
        let fates: Vec<_> = stream::iter(rows).map(one).buffered(AT_ONCE).collect().await;
        let mut of_the_log = None;
        for (place, fate) in fates {
            match fate {
                Ok(fate) => judged.take(place, fate),
                Err(error) => {
                    judged.fail(place, &error);
                    of_the_log = of_the_log.or_else(|| is_of_the_log(&error).then(|| of_forget(&error)));
                }
            }
        }
        match of_the_log {
            Some(status) if judged.gone.is_empty() && judged.kept.is_empty() => Err(status),
            Some(_) | None => Ok(judged),
        }
    }

    /// Waits for the engine, which erases. That it is forgotten is stored, so an error here only means that nobody can tell yet
    /// whether it is erased.
    async fn erased(&self, place: Place, dry_run: bool) -> v1::ForgottenRegistration {
        let id = place.1.to_string();
        if dry_run {
            return v1::ForgottenRegistration { id, erased: false };
        }
        let erased = forget::erased(&self.world, place).await.unwrap_or_else(|error| {
            tracing::warn!(id, error = &error as &dyn std::error::Error, "nobody can tell yet whether it is erased");
            false
        });
        v1::ForgottenRegistration { id, erased }
    }
}

impl Judged {
    fn take(&mut self, place: Place, fate: Fate) {
        match fate {
            Fate::Forgotten => self.gone.push(place),
            Fate::Kept(law) => self.kept.push(v1::KeptRegistration {
                id: place.1.to_string(),
                until: law.until.to_string(),
                law: law.law,
            }),
        }
    }

    fn fail(&mut self, place: Place, error: &ForgetError) {
        tracing::warn!(id = %place.1, error = error as &dyn std::error::Error, "a registration cannot be forgotten");
        let reason = of_forget(error).message().to_owned();
        self.failed.push(v1::NotForgottenRegistration { id: place.1.to_string(), reason });
    }
}

/// Whether it says something of the log, and nothing of the one registration.
const fn is_of_the_log(error: &ForgetError) -> bool {
    let ForgetError::Journal(error) = error;
    match error {
        JournalError::Append(error) => match error {
            AppendError::Unknown | AppendError::Unavailable(_) | AppendError::Refused(_) | AppendError::ReadOnly(_) => {
                true
            }
            AppendError::Conflict { .. } | AppendError::TooLarge => false,
        },
        JournalError::Load(error) => match error {
            LoadError::Unavailable(_) => true,
            LoadError::ChainBroken { .. } | LoadError::Unreadable { .. } | LoadError::TooLong => false,
        },
        JournalError::Refused(_) | JournalError::LostRace | JournalError::History(_) | JournalError::NotFound => false,
    }
}

const fn place(row: &Row) -> Place {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_that_cannot_be_read_says_nothing_of_the_log() {
        let of = |error| is_of_the_log(&ForgetError::Journal(error));
        assert!(!of(JournalError::Load(LoadError::TooLong)));
        assert!(!of(JournalError::Load(LoadError::ChainBroken { sequence: 1 })));
        assert!(of(JournalError::Append(AppendError::Unknown)));
    }

    #[test]
    fn one_that_fails_is_named_with_its_reason() {
        let (mut judged, place) = (Judged::default(), (Shard(0), RegistrationId::of_request("t", "r")));
        judged.fail(place, &ForgetError::Journal(JournalError::Load(LoadError::TooLong)));
        assert_eq!(judged.failed[0].id, place.1.to_string());
        assert!(judged.failed[0].reason.contains("records"), "{}", judged.failed[0].reason);
    }
}
