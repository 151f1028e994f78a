//! What comes in as JSON: of bounded size, in bounded time, and with errors that say where.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::JsonRejection;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// How long a body may take to arrive.
pub const ARRIVAL_MAX: Duration = Duration::from_secs(30);

/// A body that must be there.
pub struct Json<T>(pub T);

/// A body that may be left out: all defaults then.
pub struct OptionalJson<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(ARRIVAL_MAX, axum::Json::from_request(request, state)).await;
        read.map_err(|_| too_slow())?.map(|axum::Json(body)| Self(body)).map_err(|rejection| problem_of(&rejection))
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalJson<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        if request.headers().contains_key(CONTENT_TYPE) {
            return Json::from_request(request, state).await.map(|Json(body)| Self(body));
        }
        let read = tokio::time::timeout(ARRIVAL_MAX, Bytes::from_request(request, state)).await;
        match read.map_err(|_| too_slow())? {
            Ok(bytes) if bytes.is_empty() => Ok(Self(T::default())),
            Ok(_) => Err(no_json()),
            Err(rejection) => Err(too_large(rejection.status(), rejection.body_text())),
        }
    }
}

/// A form of a page; an incomplete one holds its place only as long as other bodies may.
pub struct Form<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let read = tokio::time::timeout(ARRIVAL_MAX, axum::Form::from_request(request, state)).await;
        read.map_err(|_| too_slow())?
            .map(|axum::Form(form)| Self(form))
            .map_err(|rejection| Problem::new(rejection.status(), "BAD_FORM", rejection.body_text()))
    }
}

pub fn too_slow() -> Problem {
    let text = format!("the body did not arrive within {} s", ARRIVAL_MAX.as_secs());
    Problem::new(StatusCode::REQUEST_TIMEOUT, "BODY_TOO_SLOW", text)
}

fn no_json() -> Problem {
    let text = "the body must be JSON; send it with Content-Type: application/json";
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "NO_JSON", text)
}

fn too_large(status: StatusCode, text: String) -> Problem {
    match status {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let text = format!("the body is larger than {} bytes", super::BODY_BYTES_MAX);
            Problem::new(status, "BODY_TOO_LARGE", text)
        }
        _ => Problem::new(StatusCode::BAD_REQUEST, "BODY_UNREADABLE", text),
    }
}

fn problem_of(rejection: &JsonRejection) -> Problem {
    match rejection.status() {
        StatusCode::UNSUPPORTED_MEDIA_TYPE => no_json(),
        StatusCode::UNPROCESSABLE_ENTITY | StatusCode::BAD_REQUEST => {
            let text = rejection.body_text();
            // axum's own sentence before the field and the place
            let told = text.rsplit_once("target type: ").map_or(text.as_str(), |(_, told)| told);
            Problem::new(StatusCode::BAD_REQUEST, "BODY_INVALID", format!("the body is not as expected: {told}"))
        }
        status => too_large(status, rejection.body_text()),
    }
}
