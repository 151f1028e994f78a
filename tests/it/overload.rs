//! More than it can store: the service says so at once and when to come again, and loses nothing of what it took.

use std::time::Instant;

use proto::v1::submit_result::Result as Taken;
use proto::v1::{self, RegistrationState as State};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use tokio::task::JoinSet;
use tonic::Code;

use crate::http::Web;
use crate::support::{PATIENCE, Service, Stage, product};

const PLACES: usize = 8;
const SUBMISSIONS: usize = 100;

async fn with_few_places(stage: &Stage) -> Service {
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__SUBMISSIONS_MAX", PLACES.to_string());
    stage.start_with(command).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_again_as_told_is_taken_in_at_last_and_all_of_it_is_registered_once() {
    let stage = Stage::new().await;
    let mut service = with_few_places(&stage).await;
    let mut left: Vec<v1::SubmitRequest> = (0..SUBMISSIONS)
        .map(|n| v1::SubmitRequest {
            request_id: format!("rush-{n}"),
            mail_preference: v1::MailPreference::None.into(),
            ..product("Norrland", "VK 200", &format!("NL{n:08}"))
        })
        .collect();
    let (mut taken, deadline) = (Vec::new(), Instant::now() + PATIENCE);
    let mut refusals = Vec::new();
    while !left.is_empty() {
        assert!(Instant::now() < deadline, "{} are still refused", left.len());
        let request = v1::SubmitBatchRequest { requests: left.clone() };
        let results = service.client.submit_batch(request).await.unwrap().into_inner().results;
        let mut again = Vec::new();
        for (request, result) in left.into_iter().zip(results) {
            match result.result.unwrap() {
                Taken::Submitted(submitted) => taken.push(submitted.registration.unwrap().id),
                Taken::Error(error) => {
                    assert_eq!(error.code, i32::from(Code::ResourceExhausted), "{}", error.message);
                    assert!(error.message.contains("not stored"), "{}", error.message);
                    assert!(error.details.iter().any(|detail| detail.type_url.ends_with("google.rpc.RetryInfo")));
                    again.push(request);
                }
            }
        }
        refusals.push(again.len());
        left = again;
    }
    assert!(refusals[0] >= SUBMISSIONS / 2, "so many more than there are places were let in: {refusals:?}");
    assert_eq!(taken.len(), SUBMISSIONS);
    for id in &taken {
        service.wait_for_state(id, State::Success).await;
    }
    let all = service.client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.total_size, SUBMISSIONS as i64);
    assert_eq!(stage.ledger().len(), SUBMISSIONS, "each product stands with the maker once");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_it_is_429_at_once_while_others_wait_for_the_log() {
    let stage = Stage::new().await;
    let service = with_few_places(&stage).await;
    let web = Web::of(&service);
    service.signal_nats("STOP");
    let mut asking: JoinSet<_> = (0..2 * PLACES)
        .map(|n| {
            let mut client = service.client.clone();
            async move { client.submit(product("Norrland", "VK 200", &format!("NL{n:08}"))).await }
        })
        .collect();
    // who is answered first is one of those for whom there was no place; from then on all are taken
    let first = asking.join_next().await.unwrap().unwrap();
    assert_eq!(first.unwrap_err().code(), Code::ResourceExhausted);
    let request = web.request(Method::POST, "/api/registration").json(&product("Norrland", "VK 200", "NL99999999"));
    let refused = request.send().await.unwrap();
    service.signal_nats("CONT");
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()[RETRY_AFTER], "1");
    let problem: serde_json::Value = refused.json().await.unwrap();
    assert_eq!(problem["reason"], "OVERLOADED");
    let mut others = 0;
    while let Some(answer) = asking.join_next().await {
        match answer.unwrap().map_err(|status| status.code()) {
            Err(Code::ResourceExhausted) => {}
            // stored, or told within the deadline that it may not be
            Ok(_) | Err(Code::Unavailable) => others += 1,
            Err(code) => panic!("{code:?}"),
        }
    }
    assert!(others >= PLACES, "each place was given to somebody: {others}");
}
