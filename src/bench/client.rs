//! The client: hands registrations over, by gRPC or HTTP, and asks what became of them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::http::StatusCode;
use proto::v1;
use serde::Deserialize;
use tonic::Code;
use tonic::transport::Channel;

use super::lean;
use super::load::Registrar;
use crate::cli::Over;
use crate::client;
use crate::service_file::ServiceFile;

/// A request over HTTP that gets no answer by then has failed.
const HTTP_TIMEOUT: Duration = Duration::from_secs(60);
/// Clones share the connections.
#[derive(Clone)]
pub struct Client {
    channels: Arc<[Channel]>,
    next: Arc<AtomicUsize>,
    /// Where registrations are handed over when it is not gRPC.
    http: Option<Http>,
}

#[derive(Clone)]
struct Http {
    client: reqwest::Client,
    one: String,
    batch: String,
}

/// The ids of those that were accepted, each with its place in the request; the others were refused because there was no room.
pub type Accepted = Vec<(usize, String)>;

impl Client {
    /// Opens the connections.
    pub async fn open(service: &ServiceFile, over: Over, connections: usize) -> anyhow::Result<Self> {
        let mut channels = Vec::new();
        for _ in 0..connections {
            channels.push(client::connect_plainly(&service.grpc).await?);
        }
        let http = match over {
            Over::Grpc => None,
            Over::Http => Some(Http {
                client: http_client()?,
                one: format!("{}/api/registration", service.http),
                batch: format!("{}/api/registration/batch", service.http),
            }),
        };
        Ok(Self { channels: channels.into(), next: Arc::default(), http })
    }

    /// One of the connections, in turns.
    pub fn channel(&self) -> Channel {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        self.channels[turn % self.channels.len()].clone()
    }
}

impl Registrar for Client {
    async fn submit(&self, first: usize, count: usize) -> anyhow::Result<Accepted> {
        match (&self.http, count) {
            (None, 1) => match lean::submit(self.channel(), request(first)).await {
                Ok(submitted) => accepted([lean::Outcome { submitted: Some(submitted), error: None }]),
                Err(status) => unless_full(status),
            },
            (None, _) => match lean::submit_batch(self.channel(), requests(first, count)).await {
                Ok(results) => accepted(results.results),
                Err(status) => unless_full(status),
            },
            (Some(http), 1) => http.submit_one(&request(first)).await,
            (Some(http), _) => http.submit_batch(requests(first, count)).await,
        }
    }

    async fn has_succeeded(&self, id: &str) -> anyhow::Result<bool> {
        let found = lean::get(self.channel(), id.to_owned()).await;
        let state = found.map_or(v1::RegistrationState::Unspecified, |found| found.state());
        let has_succeeded = state == v1::RegistrationState::Success;
        ensure!(has_succeeded || !client::is_settled(state), "a registration ended as {}", state.as_str_name());
        Ok(has_succeeded)
    }

    async fn count_successes(&self) -> anyhow::Result<usize> {
        Ok(lean::count_successes(self.channel()).await?)
    }
}

/// Too many requests: none of this one was looked at.
fn unless_full(status: tonic::Status) -> anyhow::Result<Accepted> {
    if status.code() == Code::ResourceExhausted { Ok(Vec::new()) } else { Err(status.into()) }
}

fn accepted(results: impl IntoIterator<Item = lean::Outcome>) -> anyhow::Result<Accepted> {
    let mut accepted = Vec::new();
    for (place, result) in results.into_iter().enumerate() {
        match (result.submitted, result.error) {
            (Some(submitted), _) => accepted.push((place, submitted.registration.unwrap_or_default().id)),
            (None, Some(error)) if error.code == i32::from(Code::ResourceExhausted) => {}
            (None, Some(error)) => bail!("a submission was refused: {}", error.message),
            (None, None) => bail!("a submission got no answer"),
        }
    }
    Ok(accepted)
}

/// What is read of an answer to `POST /api/registration/batch`.
#[derive(Deserialize)]
struct Results {
    results: Vec<Became>,
}

#[derive(Deserialize)]
struct Became {
    submitted: Option<Submitted>,
    problem: Option<Problem>,
}

/// Also what is read of an answer to `POST /api/registration`.
#[derive(Deserialize)]
struct Submitted {
    registration: Registration,
}

#[derive(Deserialize)]
struct Registration {
    id: String,
}

#[derive(Deserialize)]
struct Problem {
    status: u16,
    detail: String,
}

impl Http {
    async fn submit_one(&self, request: &v1::SubmitRequest) -> anyhow::Result<Accepted> {
        let answer = self.client.post(&self.one).json(request).send().await?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Vec::new());
        }
        ensure!(answer.status() == StatusCode::ACCEPTED, "a submission was refused: {}", answer.status());
        let submitted: Submitted = serde_json::from_slice(&answer.bytes().await?)?;
        Ok(vec![(0, submitted.registration.id)])
    }

    async fn submit_batch(&self, requests: Vec<v1::SubmitRequest>) -> anyhow::Result<Accepted> {
        let answer = self.client.post(&self.batch).json(&v1::SubmitBatchRequest { requests }).send().await?;
        if answer.status() == StatusCode::TOO_MANY_REQUESTS {
            return Ok(Vec::new());
        }
        ensure!(answer.status() == StatusCode::OK, "a batch was refused: {}", answer.status());
        let results: Results = serde_json::from_slice(&answer.bytes().await?)?;
        let mut accepted = Vec::new();
        for (place, result) in results.results.into_iter().enumerate() {
            match (result.submitted, result.problem) {
                (Some(submitted), _) => accepted.push((place, submitted.registration.id)),
                (None, Some(problem)) if problem.status == StatusCode::TOO_MANY_REQUESTS.as_u16() => {}
                (None, Some(problem)) => bail!("a submission was refused: {}", problem.detail),
                (None, None) => bail!("a submission got no answer"),
            }
        }
        Ok(accepted)
    }
}

/// Milliseconds since then.
pub fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1_000.0
}

/// A client of anybody on this machine.
pub fn http_client() -> reqwest::Result<reqwest::Client> {
    reqwest::Client::builder().no_proxy().timeout(HTTP_TIMEOUT).build()
}

/// Sets the sandbox's fault for a maker.
pub async fn set_fault(sandbox: &str, maker: &str, fault: &serde_json::Value) -> anyhow::Result<()> {
    let answer = http_client()?.post(format!("{sandbox}_sandbox/faults/{maker}")).json(fault).send().await?;
    answer.error_for_status().context("the sandbox does not know this fault")?;
    Ok(())
}

/// The submissions with these numbers.
pub fn requests(first: usize, count: usize) -> Vec<v1::SubmitRequest> {
    (first..first + count).map(request).collect()
}

/// A submission of the size that people send; each has an owner of its own.
fn request(number: usize) -> v1::SubmitRequest {
    v1::SubmitRequest {
        product: Some(v1::Product {
            brand: "Norrland".into(),
            model: "VK 200 Combi".into(),
            serial: format!("NL{:08}", number % 100_000_000),
        }),
        purchase: Some(v1::Purchase {
            date: "2026-11-02".into(),
            shop: "Elgiganten Malmö".into(),
            price: "8 990 kr".into(),
            ..Default::default()
        }),
        owner: Some(v1::Owner {
            name: format!("Åsa Öberg {number}"),
            email: format!("owner{number}@example.org"),
            phone: "+46 40 123456".into(),
            address: Some(v1::Address {
                street: "Östra Förstadsgatan 12".into(),
                postal_code: "211 31".into(),
                city: "Malmö".into(),
                country: "SE".into(),
            }),
        }),
        // the happy path is measured without the letter at its end, which is as fast as the mail server is
        mail_preference: v1::MailPreference::None.into(),
        ..Default::default()
    }
}
