//! Errors as HTTP clients see them: problem+json (RFC 9457), made of the same statuses that gRPC answers with.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// The media type of every error.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// What an error tells; boxed, because most answers are none.
#[derive(Debug, Clone, Serialize)]
#[serde(transparent)]
pub struct Problem(Box<Told>);

#[derive(Debug, Clone, Serialize)]
struct Told {
    /// Names the kind of problem for programs.
    r#type: String,
    /// The same for people.
    title: &'static str,
    status: u16,
    /// What is wrong, and how to mend it.
    detail: String,
    /// As in google.rpc.ErrorInfo, for example INVALID_FIELDS.
    reason: String,
    /// Each field in question.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldError>,
    /// Seconds after which to try again.
    #[serde(skip)]
    retry_after_s: Option<u64>,
}

/// One field.
#[derive(Debug, Clone, Serialize)]
struct FieldError {
    field: String,
    problem: String,
}

impl Problem {
    /// A problem of the interface itself.
    pub fn new(status: StatusCode, reason: &str, detail: impl Into<String>) -> Self {
        Self(Box::new(Told {
            r#type: format!("urn:regflow:problem:{}", reason.to_lowercase().replace('_', "-")),
            title: status.canonical_reason().unwrap_or("Error"),
            status: status.as_u16(),
            detail: detail.into(),
            reason: reason.to_owned(),
            errors: Vec::new(),
            retry_after_s: None,
        }))
    }

    /// 400 naming one field.
    pub fn field(field: &str, problem: impl Into<String>) -> Self {
        let problem = problem.into();
        let detail = format!("{field} {problem}");
        let mut told = Self::new(StatusCode::BAD_REQUEST, "INVALID_FIELDS", detail);
        told.0.errors.push(FieldError { field: field.to_owned(), problem });
        told
    }

    /// The same, to be tried again after so many seconds.
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.0.retry_after_s = Some(seconds);
        self
    }

    /// 503 while the service reads its log.
    pub fn starting() -> Self {
        let text = "the service is still reading its log; try again soon";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "STARTING", text).retry_after(1)
    }

    /// 503 while NATS stores nothing.
    pub fn stores_nothing() -> Self {
        let text = "NATS stores nothing at the moment; what is submitted is refused, reads are answered";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "LOG_UNAVAILABLE", text).retry_after(1)
    }

    /// Seconds after which to try again, where that helps.
    pub fn retry_after_s(&self) -> Option<u64> {
        self.0.retry_after_s
    }

    /// What is wrong, in a sentence for people.
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// Its status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }
}

impl From<Status> for Problem {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map_or_else(|| format!("{:?}", status.code()), |info| info.reason.clone());
        let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
        let errors = violations.into_iter().map(|one| FieldError { field: one.field, problem: one.description });
        let retry = details.retry_info().and_then(|info| info.retry_delay);
        let mut told = Self::new(http_status(status.code()), &reason, status.message());
        told.0.errors = errors.collect();
        told.0.retry_after_s = retry.map(|delay| delay.as_secs().max(1));
        told
    }
}

/// As google.rpc.Code maps them, but for an etag that has gone out of date, which is a conflict as well.
const fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition => StatusCode::CONFLICT,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::Cancelled | Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let (status, retry_after_s) = (self.status(), self.0.retry_after_s);
        let mut response = (status, Json(self)).into_response();
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::errors;

    #[test]
    fn a_status_keeps_its_reason_and_its_fields() {
        let problem = Problem::from(errors::invalid_field("owner.email", "is missing"));
        let json = serde_json::to_value(&problem).expect("json");
        assert_eq!((json["status"].as_u64(), json["reason"].as_str()), (Some(400), Some("INVALID_FIELDS")));
        assert_eq!(json["type"], "urn:regflow:problem:invalid-fields");
        assert_eq!(json["errors"][0]["field"], "owner.email");
    }

    #[test]
    fn what_may_pass_says_when_to_try_again() {
        let problem = Problem::from(errors::passing(Code::Unavailable, "STARTING", "wait"));
        let response = problem.into_response();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()[RETRY_AFTER], "1");
        assert_eq!(response.headers()[CONTENT_TYPE], PROBLEM_JSON);
    }
}
