//! Webhooks on the wire: how they are doing, and the wish to deliver the past again.

use bus::{Again, Since};
use events::FieldProblem;
use handlers::webhooks::{EndpointStatus, RedeliverError};
use proto::v1;
use tonic::{Code, Status};

use super::audit::timestamp;
use super::{convert, errors};

/// The field that says from when on.
const SINCE_TIME: &str = "since_time";

/// A webhook's state.
pub fn status(known: EndpointStatus) -> v1::WebhookStatus {
    let standing = known.standing.unwrap_or_default();
    let (failure_time, failure) = known.failed.map_or((None, String::new()), |(at, why)| (Some(timestamp(at)), why));
    v1::WebhookStatus {
        tenant: known.tenant,
        name: known.name,
        url: known.url,
        types: known.facts,
        pending: standing.pending,
        unacknowledged: standing.unacknowledged,
        redeliveries: u32::try_from(known.again).unwrap_or(u32::MAX),
        success_time: known.succeeded_at.map(timestamp),
        failure_time,
        failure,
        gone: known.is_gone,
    }
}

/// Who wants what delivered again to whom.
pub struct Redelivery {
    pub tenant: String,
    pub name: String,
    pub again: Again,
}

/// The wish, or everything that is wrong with it.
pub fn redelivery(request: v1::RedeliverWebhooksRequest) -> Result<Redelivery, Status> {
    let v1::RedeliverWebhooksRequest { tenant, name, since_time, since_sequence, reason, operator } = request;
    let wrong = |problem| Err(FieldProblem::new(SINCE_TIME, problem));
    let since = match (convert::moment(SINCE_TIME, since_time), since_sequence) {
        (Err(problem), _) => Err(problem),
        (Ok(Some(at)), 0) => Ok(Since::Time(at)),
        (Ok(None), sequence) if sequence > 0 => Ok(Since::Sequence(sequence)),
        (Ok(Some(_)), _) => wrong("and since_sequence exclude each other; give one of them"),
        (Ok(None), _) => wrong("is missing; give it, or since_sequence"),
    };
    let mut problems = handlers::operations::said_why(&reason, &operator);
    match since {
        Ok(since) if problems.is_empty() => {
            let tenant = convert::optional(tenant).unwrap_or_else(|| convert::DEFAULT_TENANT.to_owned());
            Ok(Redelivery { tenant, name, again: Again { since, operator, reason } })
        }
        since => {
            problems.extend(since.err());
            Err(errors::invalid(&problems))
        }
    }
}

/// Why it is not delivered again.
pub fn refused(error: &RedeliverError) -> Status {
    match error {
        RedeliverError::Unknown(..) => errors::status(Code::NotFound, "WEBHOOK_NOT_FOUND", error.to_string()),
        RedeliverError::Busy(_) => {
            errors::status(Code::FailedPrecondition, "REDELIVERIES_UNDER_WAY", error.to_string())
        }
        RedeliverError::Unavailable(_) => errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_begins_must_be_said_once_and_by_whom_and_why() {
        let request = |since_sequence, reason: &str| v1::RedeliverWebhooksRequest {
            name: "crm".into(),
            since_sequence,
            reason: reason.into(),
            operator: "ann".into(),
            ..Default::default()
        };
        assert!(redelivery(request(7, "lost")).is_ok_and(|of| of.tenant == "default"));
        let refused = redelivery(request(0, "")).err().map(|status| status.message().to_owned()).unwrap_or_default();
        assert!(refused.contains("since_time is missing") && refused.contains("reason must be"), "{refused}");
    }
}
