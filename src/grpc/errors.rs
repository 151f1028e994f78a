//! Errors as clients see them: a gRPC code, one ErrorInfo with a reason, and the fields in question (google.rpc).

use std::collections::HashMap;
use std::time::Duration;

use bus::AppendError;
use connectors::Catalog;
use events::{FieldProblem, Refusal};
use handlers::JournalError;
use handlers::desk::DeskError;
use handlers::intake::IntakeError;
use handlers::operations::OperationError;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt, pb};

/// The domain of every ErrorInfo.
const DOMAIN: &str = "regflow.io";
/// What a client is told to wait when the log is not reachable.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// A status with its reason.
pub fn status(code: Code, reason: &str, message: impl Into<String>) -> Status {
    Status::with_error_details(code, message, ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new()))
}

/// A status that may pass: with the delay after which to try again.
pub fn passing(code: Code, reason: &str, message: impl Into<String>) -> Status {
    passing_after(code, reason, message, RETRY_DELAY)
}

/// The same, when it is known how long it takes.
pub fn passing_after(code: Code, reason: &str, message: impl Into<String>, delay: Duration) -> Status {
    let mut details = ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new());
    details.set_retry_info(Some(delay));
    Status::with_error_details(code, message, details)
}

/// RESOURCE_EXHAUSTED: as many submissions as may be are on their way to the log; this one was not stored.
pub fn overloaded() -> Status {
    let text =
        "more submissions arrive than are stored at the moment; this one is not stored, send it again after the delay";
    passing(Code::ResourceExhausted, "OVERLOADED", text)
}

/// INVALID_ARGUMENT naming every field.
pub fn invalid(problems: &[FieldProblem]) -> Status {
    let mut details = ErrorDetails::with_error_info("INVALID_FIELDS", DOMAIN, HashMap::new());
    for problem in problems {
        details.add_bad_request_violation(&problem.field, &problem.problem);
    }
    let text: Vec<String> = problems.iter().map(|p| format!("{} {}", p.field, p.problem)).collect();
    Status::with_error_details(Code::InvalidArgument, text.join("; "), details)
}

/// INVALID_ARGUMENT naming one field.
pub fn invalid_field(field: &str, problem: &str) -> Status {
    invalid(&[FieldProblem::new(field, problem)])
}

/// NOT_FOUND for an id.
pub fn not_found(id: &str) -> Status {
    let text = format!("no registration has the id {id}; `regflow list` shows those there are");
    status(Code::NotFound, "REGISTRATION_NOT_FOUND", text)
}

/// How much a maker's id must look like what was written, to be what was meant.
const ALIKE_MIN: f64 = 0.6;

/// NOT_FOUND for a maker, with the one that may be meant.
pub fn maker_not_found(catalog: &Catalog, maker: &str) -> Status {
    let remedy = match meant(catalog, maker) {
        Some(id) => format!("did you mean `{id}`?"),
        None => "`regflow makers` shows those there are".to_owned(),
    };
    status(Code::NotFound, "MAKER_NOT_FOUND", format!("no maker `{maker}` is in the catalog; {remedy}"))
}

/// The id of the maker that somebody may have meant: by one of its brands, or by a similar id.
fn meant<'c>(catalog: &'c Catalog, maker: &str) -> Option<&'c str> {
    let by_brand = catalog.find_brand(maker);
    if !by_brand.is_generic() {
        return Some(by_brand.id());
    }
    let written = maker.to_lowercase();
    let alike = |id: &str| strsim::normalized_damerau_levenshtein(&written, id);
    let ids = catalog.iter().map(|connector| connector.id());
    ids.filter(|id| alike(id) >= ALIKE_MIN).max_by(|one, other| alike(one).total_cmp(&alike(other)))
}

/// A status as a message, for the answers of a batch.
pub fn as_message(status: &Status) -> pb::Status {
    use prost::Message;
    pb::Status::decode(status.details()).unwrap_or_else(|_| pb::Status {
        code: status.code().into(),
        message: status.message().to_owned(),
        details: Vec::new(),
    })
}

/// What the intake refused or could not do.
pub fn of_intake(error: &IntakeError) -> Status {
    match error {
        IntakeError::Invalid(problems) => invalid(problems),
        IntakeError::Reused(fields) => {
            let mut details = ErrorDetails::with_error_info("REQUEST_ID_REUSED", DOMAIN, HashMap::new());
            for field in fields {
                details.add_bad_request_violation(field, "differs from the first submission of this request id");
            }
            Status::with_error_details(Code::AlreadyExists, error.to_string(), details)
        }
        IntakeError::Journal(journal) => of_journal(journal),
        IntakeError::Private(private) => of_private(private),
    }
}

/// What the desk refused or could not do.
pub fn of_desk(error: &DeskError) -> Status {
    match error {
        DeskError::Journal(journal) => of_journal(journal),
        DeskError::Private(private) => of_private(private),
        DeskError::Invalid(problems) => invalid(problems),
        DeskError::Changed { .. } => status(Code::Aborted, "ETAG_MISMATCH", format!("{error}; get it again")),
    }
}

/// What was wrong with an operator's wish.
pub fn of_operation(error: &OperationError, catalog: &Catalog) -> Status {
    match error {
        OperationError::UnknownMaker(maker) => maker_not_found(catalog, maker),
        OperationError::Invalid(problems) => invalid(problems),
        OperationError::Journal(journal) => of_journal(journal),
    }
}

/// Why personal data cannot be read or kept.
pub fn of_private(error: &handlers::PrivateError) -> Status {
    if matches!(error, handlers::PrivateError::KeyGone) {
        let text = "the person's key is destroyed, so their data cannot be read any more; the history still can";
        return status(Code::FailedPrecondition, "PERSON_FORGOTTEN", text);
    }
    tracing::warn!(error = error as &dyn std::error::Error, "personal data cannot be read or kept");
    passing(Code::Unavailable, "STORE_UNAVAILABLE", error.to_string())
}

/// What the journal refused or could not do.
pub fn of_journal(error: &JournalError) -> Status {
    match error {
        JournalError::Refused(refusal) => of_refusal(refusal),
        JournalError::LostRace => passing(Code::Aborted, "CONCURRENT_CHANGE", error.to_string()),
        JournalError::NotFound => status(Code::NotFound, "REGISTRATION_NOT_FOUND", error.to_string()),
        JournalError::Append(cause) => of_append(cause),
        JournalError::Load(cause) => passing(Code::Unavailable, "LOG_UNAVAILABLE", format!("{error}: {cause}")),
        JournalError::History(cause) => status(Code::DataLoss, "HISTORY_BROKEN", format!("{error}: {cause}")),
    }
}

fn of_append(error: &AppendError) -> Status {
    match error {
        AppendError::TooLarge => status(Code::InvalidArgument, "TOO_LARGE", error.to_string()),
        AppendError::Conflict { .. } => passing(Code::Aborted, "CONCURRENT_CHANGE", error.to_string()),
        AppendError::Unknown => {
            let text =
                "the log did not answer in time, and the write may be stored; repeat it with the same request_id";
            passing(Code::Unavailable, "LOG_OUTCOME_UNKNOWN", text)
        }
        AppendError::ReadOnly(_) => status(Code::FailedPrecondition, "LOG_READ_ONLY", error.to_string()),
        AppendError::Unavailable(_) | AppendError::Refused(_) => passing(
            Code::Unavailable,
            "LOG_UNAVAILABLE",
            format!("the log is not reachable, nothing is stored: {error}"),
        ),
    }
}

fn of_refusal(refusal: &Refusal) -> Status {
    let reason = match refusal {
        Refusal::AttemptIsOver { .. } => "ATTEMPT_IS_OVER",
        Refusal::NotNow { .. } => "WRONG_STATE",
        Refusal::CompletedAlready => "COMPLETED_ALREADY",
        Refusal::Forgotten => "PERSON_FORGOTTEN",
        Refusal::MustBeKept(_) => "MUST_BE_KEPT",
    };
    status(Code::FailedPrecondition, reason, refusal.to_string())
}
