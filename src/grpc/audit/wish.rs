//! What a request wishes to see, checked: all that is wrong with it is told at once.

use audit::{About, Moment, Wish};
use events::FieldProblem;
use proto::{Timestamp, v1};
use tonic::Status;

use super::super::{convert, errors};

/// The wish of a request.
pub fn wish(request: &v1::ReplayRequest) -> Result<Wish, Status> {
    let mut problems = Vec::new();
    check_fields(request, &mut problems);
    let from = moment(("from_sequence", request.from_sequence), ("from_time", request.from_time), &mut problems);
    let until = moment(("until_sequence", request.until_sequence), ("until_time", request.until_time), &mut problems);
    if !problems.is_empty() {
        return Err(errors::invalid(&problems));
    }
    Ok(Wish { about: about(request)?, from, until })
}

fn check_fields(request: &v1::ReplayRequest, problems: &mut Vec<FieldProblem>) {
    let mut add = |field: &str, problem: &str| problems.push(FieldProblem::new(field, problem));
    let named = [("id", &request.id), ("owner_ref", &request.owner_ref), ("maker", &request.maker)];
    let mut named = named.into_iter().filter(|(_, text)| !text.is_empty()).map(|(field, _)| field);
    match (named.next(), named.next()) {
        (Some(first), Some(second)) => add(second, &format!("and {first} exclude each other")),
        (None, _) if is_open(request) => add(
            "id",
            "is missing; name a registration, a person by owner_ref, a maker, or a range (from_sequence 1 is the whole log)",
        ),
        (None | Some(_), _) => {}
    }
    if request.owner_ref.is_empty() && !request.tenant.is_empty() {
        add("tenant", "only goes with owner_ref");
    }
    if request.maker.is_empty() && request.with_registrations {
        add("with_registrations", "only goes with maker");
    }
}

const fn is_open(request: &v1::ReplayRequest) -> bool {
    request.from_sequence == 0
        && request.until_sequence == 0
        && request.from_time.is_none()
        && request.until_time.is_none()
}

fn about(request: &v1::ReplayRequest) -> Result<About, Status> {
    if !request.id.is_empty() {
        return Ok(About::Registration { id: convert::id(&request.id)?, shard: None });
    }
    if !request.owner_ref.is_empty() {
        let tenant = convert::optional(request.tenant.clone()).unwrap_or_else(|| convert::DEFAULT_TENANT.to_owned());
        return Ok(About::Person { tenant, owner_ref: convert::owner_ref(&request.owner_ref)?, known: None });
    }
    if !request.maker.is_empty() {
        let (connector, with_registrations) = (request.maker.clone(), request.with_registrations);
        return Ok(About::Maker { connector, with_registrations });
    }
    Ok(About::Everything)
}

/// A place or a time of a request, if it names one of them.
pub fn moment(
    (place, sequence): (&str, u64),
    (field, time): (&str, Option<Timestamp>),
    problems: &mut Vec<FieldProblem>,
) -> Option<Moment> {
    match (sequence, convert::moment(field, time)) {
        (_, Err(problem)) => problems.push(problem),
        (0, Ok(time)) => return time.map(Moment::Time),
        (sequence, Ok(None)) => return Some(Moment::Sequence(sequence)),
        (_, Ok(Some(_))) => problems.push(FieldProblem::new(field, format!("and {place} exclude each other"))),
    }
    None
}
