//! Many registrations in one request: SubmitBatch as JSON, with the same bounds and the same refusals.

use axum::Json as Answer;
use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::RETRY_AFTER;
use axum::response::{IntoResponse, Response};
use prost::Message;
use proto::v1;
use proto::v1::registrations_server::Registrations;
use serde::Serialize;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::pb;

use super::Http;
use super::body::Json;
use super::problem::Problem;
use super::registrations::ask;

/// What became of one of them.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
enum Became {
    Submitted(Box<Taken>),
    Problem(Problem),
}

/// What a single submission is answered with, but for the links.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Taken {
    registration: v1::Registration,
    repeated_request: bool,
}

/// POST /api/registration/batch
pub async fn submit(
    State(http): State<Http>,
    Json(request): Json<v1::SubmitBatchRequest>,
) -> Result<Response, Problem> {
    let results = http.services.registrations.submit_batch(ask(request)).await?.into_inner().results;
    let results: Vec<Became> = results.into_iter().map(became).collect();
    let delays = results.iter().filter_map(|result| match result {
        Became::Submitted(_) => None,
        Became::Problem(problem) => problem.retry_after_s(),
    });
    let retry_after = delays.max();
    let mut response = Answer(json!({ "results": results })).into_response();
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    Ok(response)
}

fn became(result: v1::SubmitResult) -> Became {
    match result.result {
        Some(v1::submit_result::Result::Submitted(taken)) => Became::Submitted(Box::new(Taken {
            registration: taken.registration.unwrap_or_default(),
            repeated_request: taken.repeated_request,
        })),
        Some(v1::submit_result::Result::Error(error)) => Became::Problem(status(&error).into()),
        None => Became::Problem(Status::internal("one of the submissions got no answer").into()),
    }
}

/// The status that the message was made of, with all its details.
fn status(error: &pb::Status) -> Status {
    Status::with_details(Code::from(error.code), error.message.clone(), error.encode_to_vec().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::errors;

    #[test]
    fn a_refusal_says_in_a_batch_what_it_says_alone() {
        let alone = Problem::from(errors::overloaded());
        let in_batch = Problem::from(status(&errors::as_message(&errors::overloaded())));
        let json = |problem: &Problem| serde_json::to_value(problem).expect("json");
        assert_eq!(json(&in_batch), json(&alone));
        assert_eq!((in_batch.retry_after_s(), alone.retry_after_s()), (Some(1), Some(1)));
    }
}
