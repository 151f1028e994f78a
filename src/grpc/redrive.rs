//! Redrive: another try of all registrations that match a filter, each as an operator's own wish in its history.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use events::{Actor, Command, FieldProblem, Method, Status as State, decide};
use futures::{StreamExt, stream};
use handlers::desk::{self, DeskError, RetryWish};
use handlers::{JournalError, World, operations};
use projections::{Filter, ListError, PAGE_ROWS_MAX, Row};
use proto::v1;
use tonic::{Code, Status};

use super::views::Views;
use super::{convert, errors, wire};

/// Registrations when the request does not say how many.
const LIMIT_DEFAULT: usize = 1_000;
/// Most registrations of one request.
const LIMIT_MAX: usize = 10_000;
/// Retries stored at once: enough that their records are committed together.
const AT_ONCE: usize = 64;

/// A request that makes sense.
pub struct Redrive {
    pub filter: Filter,
    from: Option<Method>,
    reason: String,
    operator: String,
    dry_run: bool,
    limit: usize,
}

/// What became of one of them: its id, and why not.
type Tried = (String, Result<(), String>);

impl Redrive {
    /// Reads a request; names everything that is wrong with it.
    pub fn read(request: &v1::RedriveRequest) -> Result<Self, Status> {
        let from = convert::method("from_method", request.from_method)?;
        let mut problems = operations::said_why(&request.reason, &request.operator);
        let statuses = states(&request.states, &mut problems);
        let limit = limit(request.limit, &mut problems);
        if !problems.is_empty() {
            return Err(errors::invalid(&problems));
        }
        Ok(Self {
            filter: Filter { statuses, maker: convert::optional(request.maker.clone()), ..Filter::default() },
            from,
            reason: request.reason.clone(),
            operator: request.operator.clone(),
            dry_run: request.dry_run,
            limit,
        })
    }

    /// Does it, or tells what would be done.
    pub async fn run(self, world: &World, views: &Arc<Views>) -> Result<v1::RedriveResponse, Status> {
        let (views, filter, limit) = (views.clone(), self.filter.clone(), self.limit);
        let listed = tokio::task::spawn_blocking(move || matching(&views, &filter, limit)).await;
        let (rows, more) = listed.map_err(|_| unavailable("the view could not be read"))??;
        let matched = u32::try_from(rows.len()).unwrap_or(u32::MAX);
        let tried = if self.dry_run {
            rows.iter().map(|row| (row.registration.id.to_string(), self.foresee(world, row))).collect()
        } else {
            self.retry_all(world, rows).await
        };
        let (mut ids, mut refused) = (Vec::new(), Vec::new());
        for (id, outcome) in tried {
            match outcome {
                Ok(()) => ids.push(id),
                Err(problem) => refused.push(v1::RefusedRedrive { id, problem }),
            }
        }
        let redriven = u32::try_from(ids.len()).unwrap_or(u32::MAX);
        Ok(v1::RedriveResponse { matched, redriven, refused, ids, more })
    }

    /// What would become of it.
    fn foresee(&self, world: &World, row: &Row) -> Result<(), String> {
        let connector = world.connector(&row.registration);
        if let Some(from) = self.from.filter(|from| !connector.ladder().contains(from)) {
            return Err(format!("{} does not have the method {from}", connector.name()));
        }
        // a fresh run would have another key, and the maker would take it for another product
        if row.registration.in_doubt {
            return Err("an earlier try may have been taken: ask the maker, then retry this one by itself".to_owned());
        }
        let command = Command::Retry { from: self.from, reason: None, correction: None };
        decide(&row.registration, command).map(drop).map_err(|refusal| refusal.to_string())
    }

    async fn retry_all(&self, world: &World, rows: Vec<Row>) -> Vec<Tried> {
        let log_is_away = AtomicBool::new(false);
        stream::iter(rows).map(|row| self.retry(world, row, &log_is_away)).buffered(AT_ONCE).collect().await
    }

    /// Only as it was when it matched: somebody may have taken care of it in the meantime.
    async fn retry(&self, world: &World, row: Row, log_is_away: &AtomicBool) -> Tried {
        let id = row.registration.id;
        if log_is_away.load(Ordering::Relaxed) {
            return (id.to_string(), Err("not tried, because the log did not answer; ask again".to_owned()));
        }
        let outcome = match self.foresee(world, &row) {
            Ok(()) => self.store(world, &row, log_is_away).await,
            Err(problem) => Err(problem),
        };
        (id.to_string(), outcome)
    }

    async fn store(&self, world: &World, row: &Row, log_is_away: &AtomicBool) -> Result<(), String> {
        let (place, seen) = ((row.registration.shard, row.registration.id), row.registration.last.sequence);
        let wish = RetryWish { from: self.from, reason: Some(self.reason.clone()), correction: None };
        let actor = Actor::Operator(self.operator.clone());
        let stored = desk::retry(world, place, wish, Some(seen), actor).await;
        stored.map(drop).map_err(|error| {
            if is_of_the_log(&error) {
                log_is_away.store(true, Ordering::Relaxed);
            }
            errors::of_desk(&error).message().to_owned()
        })
    }
}

/// Whether the next one would fare no better.
const fn is_of_the_log(error: &DeskError) -> bool {
    match error {
        DeskError::Journal(JournalError::Append(_) | JournalError::Load(_)) => true,
        DeskError::Journal(
            JournalError::Refused(_) | JournalError::LostRace | JournalError::History(_) | JournalError::NotFound,
        )
        | DeskError::Private(_)
        | DeskError::Invalid(_)
        | DeskError::Changed { .. } => false,
    }
}

/// The newest rows that match, and whether there are more.
fn matching(views: &Views, filter: &Filter, limit: usize) -> Result<(Vec<Row>, bool), Status> {
    let (mut rows, mut token) = (Vec::new(), None);
    loop {
        // one more than is wanted tells whether there are more
        let wanted = (limit + 1 - rows.len()).min(PAGE_ROWS_MAX);
        let page = views.status.list(filter, wanted, token.as_deref()).map_err(|error| match error {
            ListError::BadToken => unavailable("the view changed while it was read"),
            ListError::View(error) => unavailable(&error.to_string()),
        })?;
        rows.extend(page.rows);
        token = page.next_token;
        if token.is_none() || rows.len() > limit {
            let more = rows.len() > limit;
            rows.truncate(limit);
            return Ok((rows, more));
        }
    }
}

fn unavailable(what: &str) -> Status {
    errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", format!("{what}; try again soon"))
}

fn states(numbers: &[i32], problems: &mut Vec<FieldProblem>) -> Vec<State> {
    let mut states = Vec::new();
    for number in numbers {
        let state = v1::RegistrationState::try_from(*number).ok().and_then(wire::status);
        match state.map(|state| (state, why_not(state))) {
            Some((state, None)) => states.push(state),
            Some((state, Some(why))) => problems.push(FieldProblem::new("states", format!("names {state}: {why}"))),
            None => problems.push(FieldProblem::new("states", "has an unknown state; leave it out")),
        }
    }
    if numbers.is_empty() { vec![State::ManualRequired] } else { states }
}

/// Why registrations of this state are not tried again in bulk, if they are not.
const fn why_not(state: State) -> Option<&'static str> {
    match state {
        State::ManualRequired | State::OutcomeUnknown | State::Waiting | State::Cancelled => None,
        State::Pending | State::Processing => Some("regflow is at work on those already"),
        State::Success | State::UserCompleted => Some("those have ended well"),
        State::NeedsCorrection => Some("the maker refused their data; Retry each with its own correction"),
        State::Expired => Some("their last day has passed; Complete or Retry each with mended dates"),
    }
}

fn limit(wanted: i32, problems: &mut Vec<FieldProblem>) -> usize {
    let limit = if wanted == 0 { Some(LIMIT_DEFAULT) } else { usize::try_from(wanted).ok() };
    limit.filter(|limit| *limit <= LIMIT_MAX).unwrap_or_else(|| {
        problems.push(FieldProblem::new("limit", format!("must be 0 (for {LIMIT_DEFAULT}) to {LIMIT_MAX}")));
        LIMIT_DEFAULT
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    fn asked(states: &[v1::RegistrationState]) -> v1::RedriveRequest {
        v1::RedriveRequest {
            states: states.iter().map(|state| (*state).into()).collect(),
            reason: "the API is back".into(),
            operator: "ada".into(),
            ..Default::default()
        }
    }

    fn fields(request: &v1::RedriveRequest) -> Vec<String> {
        let Err(status) = Redrive::read(request) else { return Vec::new() };
        let details = status.get_error_details();
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        violations.into_iter().map(|violation| violation.field).collect()
    }

    #[test]
    fn without_states_those_that_went_to_their_owners_are_meant() {
        let redrive = Redrive::read(&asked(&[])).map(|redrive| (redrive.filter.statuses, redrive.limit));
        assert_eq!(redrive.expect("is read"), (vec![State::ManualRequired], 1_000));
    }

    #[test]
    fn states_that_need_more_than_another_try_are_refused_one_by_one() {
        use v1::RegistrationState as S;
        assert_eq!(fields(&asked(&[S::ManualRequired, S::OutcomeUnknown, S::Waiting, S::Cancelled])), [""; 0]);
        for state in [S::Pending, S::Processing, S::Success, S::UserCompleted, S::NeedsCorrection, S::Expired] {
            assert_eq!(fields(&asked(&[S::ManualRequired, state])), ["states"], "{state:?}");
        }
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let request = v1::RedriveRequest { states: vec![0], limit: 10_001, ..Default::default() };
        assert_eq!(fields(&request), ["reason", "operator", "states", "limit"]);
        assert_eq!(fields(&v1::RedriveRequest { limit: -1, ..asked(&[]) }), ["limit"]);
    }
}
