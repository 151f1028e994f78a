//! The contract as a frugal client reads it: only the fields that the benchmark looks at are taken out of an answer. It shares
//! the processors with the service, and whatever it decodes in vain would be missing there.

use axum::http::uri::PathAndQuery;
use prost::Message;
use proto::v1;
use tonic::transport::Channel;
use tonic::{Request, Status};

/// `regflow.v1.SubmitBatchResponse`
#[derive(Clone, PartialEq, Message)]
pub struct Results {
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<Outcome>,
}

/// `regflow.v1.SubmitResult`
#[derive(Clone, PartialEq, Message)]
pub struct Outcome {
    #[prost(message, optional, tag = "1")]
    pub submitted: Option<Submitted>,
    #[prost(message, optional, tag = "2")]
    pub error: Option<Refusal>,
}

/// `regflow.v1.SubmitResponse`
#[derive(Clone, PartialEq, Message)]
pub struct Submitted {
    #[prost(message, optional, tag = "1")]
    pub registration: Option<Registration>,
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
pub struct Refusal {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
}

/// `regflow.v1.Registration`
#[derive(Clone, PartialEq, Message)]
pub struct Registration {
    #[prost(string, tag = "1")]
    pub id: String,
    #[prost(enumeration = "v1::RegistrationState", tag = "5")]
    pub state: i32,
}

/// `regflow.v1.ListResponse`
#[derive(Clone, PartialEq, Message)]
pub struct Page {
    #[prost(int64, tag = "3")]
    pub total_size: i64,
}

/// `Registrations.Submit`
pub async fn submit(channel: Channel, request: v1::SubmitRequest) -> Result<Submitted, Status> {
    ask(channel, "/regflow.v1.Registrations/Submit", request).await
}

/// `Registrations.SubmitBatch`
pub async fn submit_batch(channel: Channel, requests: Vec<v1::SubmitRequest>) -> Result<Results, Status> {
    ask(channel, "/regflow.v1.Registrations/SubmitBatch", v1::SubmitBatchRequest { requests }).await
}

/// The path of `Registrations.Get`.
pub const GET: &str = "/regflow.v1.Registrations/Get";

/// `Registrations.Get`
pub async fn get(channel: Channel, id: String) -> Result<Registration, Status> {
    ask(channel, GET, v1::GetRequest { id, min_sequence: 0 }).await
}

/// How many have ended well, by `Registrations.List`.
pub async fn count_successes(channel: Channel) -> Result<usize, Status> {
    let states = vec![v1::RegistrationState::Success.into()];
    let page: Page =
        ask(channel, "/regflow.v1.Registrations/List", v1::ListRequest { states, page_size: 1, ..Default::default() })
            .await?;
    Ok(usize::try_from(page.total_size).unwrap_or_default())
}

async fn ask<Q, A>(channel: Channel, path: &'static str, request: Q) -> Result<A, Status>
where
    Q: Message + 'static,
    A: Message + Default + 'static,
{
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let codec = tonic_prost::ProstCodec::<Q, A>::default();
    Ok(client.unary(Request::new(request), PathAndQuery::from_static(path), codec).await?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn registration() -> v1::Registration {
        let state = v1::RegistrationState::Success.into();
        v1::Registration { id: "an id".into(), reference: "RF".into(), state, attempts: 1, ..Default::default() }
    }

    #[test]
    fn an_answer_is_read_as_the_contract_writes_it() {
        let submitted = v1::SubmitResponse { registration: Some(registration()), repeated_request: true };
        let error = tonic_types::pb::Status { code: 8, message: "full".into(), details: Vec::new() };
        let results = [v1::submit_result::Result::Submitted(submitted), v1::submit_result::Result::Error(error)];
        let results = results.into_iter().map(|result| v1::SubmitResult { result: Some(result) }).collect();
        let bytes = v1::SubmitBatchResponse { results }.encode_to_vec();
        let read = Results::decode(bytes.as_slice()).expect("an answer");
        let (taken, refused) = (read.results[0].clone(), read.results[1].clone());
        let taken = taken.submitted.and_then(|submitted| submitted.registration).expect("taken");
        assert_eq!((taken.id.as_str(), taken.state()), ("an id", v1::RegistrationState::Success));
        assert_eq!(refused.error, Some(Refusal { code: 8, message: "full".into() }));
    }

    #[test]
    fn a_page_is_read_for_its_count() {
        let page = v1::ListResponse { registrations: vec![registration()], total_size: 7, ..Default::default() };
        assert_eq!(Page::decode(page.encode_to_vec().as_slice()).map(|page| page.total_size), Ok(7));
    }
}
