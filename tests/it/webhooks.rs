//! Webhooks: signed, tried again, delivered again, and never to another tenant.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use proto::v1::operations_client::OperationsClient;
use proto::v1::{self, RegistrationState};
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::process::Command;

use crate::support::{PATIENCE, Service, Stage, product, regflow};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// One request that arrived.
#[derive(Clone)]
struct Arrived {
    at: Instant,
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Arrived {
    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().unwrap()
    }

    fn event(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// A status, and the seconds of its Retry-After.
type Answer = (StatusCode, Option<u64>);

/// A tenant's program: remembers what arrives, and answers what it is told to, then 204.
#[derive(Clone, Default)]
struct Program {
    arrived: Arc<Mutex<Vec<Arrived>>>,
    answers: Arc<Mutex<VecDeque<Answer>>>,
}

async fn take(State(program): State<Program>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    program.arrived.lock().unwrap().push(Arrived { at: Instant::now(), path: uri.path().to_owned(), headers, body });
    match program.answers.lock().unwrap().pop_front() {
        Some((status, Some(seconds))) => (status, [("retry-after", seconds.to_string())]).into_response(),
        Some((status, None)) => status.into_response(),
        None => StatusCode::NO_CONTENT.into_response(),
    }
}

impl Program {
    async fn start() -> (Self, SocketAddr) {
        let program = Self::default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().fallback(take).with_state(program.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (program, address)
    }

    fn answers(&self, statuses: &[(u16, Option<u64>)]) {
        let answers = statuses.iter().map(|(status, after)| (StatusCode::from_u16(*status).unwrap(), *after));
        self.answers.lock().unwrap().extend(answers);
    }

    /// What arrived, once it is so many.
    async fn wait_for(&self, count: usize) -> Vec<Arrived> {
        let asked = Instant::now();
        loop {
            let arrived = self.arrived.lock().unwrap().clone();
            if arrived.len() >= count {
                return arrived;
            }
            assert!(asked.elapsed() < PATIENCE, "only {} of {count} arrived", arrived.len());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// A stage with webhooks of the tenants "default" (`/ours`) and "other" (`/theirs`) to one program.
struct Hooked {
    stage: Stage,
    program: Program,
    settings: PathBuf,
    _folder: tempfile::TempDir,
}

impl Hooked {
    async fn new() -> Self {
        let (program, address) = Program::start().await;
        let folder = tempfile::tempdir().unwrap();
        let settings = folder.path().join("regflow.toml");
        let hook = |tenant: &str, path: &str| {
            format!(
                "[[webhooks]]\ntenant = {tenant:?}\nname = \"crm\"\nurl = \"http://{address}/{path}?token=abc\"\nsecret_env = \"HOOK_SECRET\"\n\
                 types = [\"registration_succeeded\", \"cancelled\"]\n"
            )
        };
        std::fs::write(&settings, format!("{}\n{}", hook("default", "ours"), hook("other", "theirs"))).unwrap();
        Self { stage: Stage::new().await, program, settings, _folder: folder }
    }

    fn command(&self, retry_ms: &str) -> Command {
        let mut command = self.stage.command();
        command.arg("--config").arg(&self.settings).env("HOOK_SECRET", SECRET);
        command.env("REGFLOW__DELIVERY__TIMEOUT_MS", "500").env("REGFLOW__DELIVERY__RETRY_MS", retry_ms);
        command
    }

    async fn start(&self, retry_ms: &str) -> Service {
        self.stage.start_with(self.command(retry_ms)).await
    }
}

async fn register(service: &mut Service, tenant: &str, serial: &str) -> String {
    let request = v1::SubmitRequest { tenant: tenant.into(), ..product("Norrland", "VK 200", serial) };
    let id = service.submit(request).await.id;
    service.wait_for_state(&id, RegistrationState::Success).await;
    id
}

/// The state of our webhook, once it is so.
async fn status(service: &Service, fact: impl Fn(&v1::WebhookStatus) -> bool) -> v1::WebhookStatus {
    let mut operations = OperationsClient::new(service.channel().await);
    let asked = Instant::now();
    loop {
        let answer = operations.list_webhooks(v1::ListWebhooksRequest {}).await.unwrap().into_inner();
        let ours = answer.webhooks.into_iter().find(|webhook| webhook.tenant == "default").unwrap();
        if fact(&ours) {
            return ours;
        }
        assert!(asked.elapsed() < PATIENCE, "never so, it is {ours:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn is_quiet(webhook: &v1::WebhookStatus) -> bool {
    webhook.pending == 0 && webhook.unacknowledged == 0 && webhook.redeliveries == 0
}

#[tokio::test(flavor = "multi_thread")]
async fn a_notification_arrives_once_signed_as_the_standard_wants_and_only_at_its_own_tenant() {
    let hooked = Hooked::new().await;
    let mut service = hooked.start("100").await;
    let ours = register(&mut service, "default", "NL14000001").await;
    let arrived = hooked.program.wait_for(1).await[0].clone();
    Webhook::new(SECRET).unwrap().verify(&arrived.body, &arrived.headers).unwrap();
    let another = Webhook::new("whsec_AAAAr8GKYqrTwjUPD8ILPZIo2LaLaAAA").unwrap();
    assert!(another.verify(&arrived.body, &arrived.headers).is_err());
    assert_eq!(arrived.headers["content-type"], "application/cloudevents+json");
    let event = arrived.event();
    assert_eq!((event["subject"].as_str(), event["id"].as_str()), (Some(&*ours), Some(arrived.id())));

    let theirs = register(&mut service, "other", "NL14000002").await;
    let all = hooked.program.wait_for(2).await;
    let heard: Vec<_> = all.iter().map(|one| (one.path.clone(), one.event()["subject"].to_string())).collect();
    assert_eq!(heard, [("/ours".to_owned(), format!("{ours:?}")), ("/theirs".to_owned(), format!("{theirs:?}"))]);
    let seen = status(&service, is_quiet).await;
    assert!(!seen.url.contains("token") && seen.success_time.is_some() && seen.failure.is_empty(), "{seen:?}");
    assert_eq!(hooked.program.wait_for(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_taken_is_tried_again_after_the_pauses_of_the_schedule_with_the_same_id() {
    let hooked = Hooked::new().await;
    hooked.program.answers(&[(503, None), (302, None), (500, Some(2))]);
    let mut service = hooked.start("200,400,50,50").await;
    register(&mut service, "default", "NL14000003").await;
    let tries = hooked.program.wait_for(4).await;
    let pauses: Vec<Duration> = tries.windows(2).map(|two| two[1].at - two[0].at).collect();
    let at_least = [200, 400, 2_000].map(Duration::from_millis);
    // the server of the log keeps time, and it is fair to start a little early by our clock
    assert!(
        pauses.iter().zip(at_least).all(|(pause, least)| *pause + Duration::from_millis(50) >= least),
        "{pauses:?}"
    );
    assert!(tries.iter().all(|one| one.id() == tries[0].id()));
    let seen = status(&service, is_quiet).await;
    assert_eq!(seen.failure, "answered 500");
    assert!(seen.success_time.unwrap().seconds >= seen.failure_time.unwrap().seconds);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_given_up_is_delivered_again_when_an_operator_wants_it() {
    let hooked = Hooked::new().await;
    hooked.program.answers(&[(503, None), (503, None)]);
    let mut service = hooked.start("50").await;
    register(&mut service, "default", "NL14000004").await;
    let given_up = hooked.program.wait_for(2).await;
    status(&service, is_quiet).await;
    assert_eq!(hooked.program.wait_for(2).await.len(), 2);
    register(&mut service, "default", "NL14000005").await;
    hooked.program.wait_for(3).await;

    let redeliver = |name: &'static str| {
        let mut command = regflow();
        command.args(["webhooks", "redeliver", name, "--since-sequence", "1", "--reason", "it was down"]);
        command.args(["--operator", "ann", "--server", &service.grpc]);
        command
    };
    let done = redeliver("crm").output().await.unwrap();
    assert_eq!(String::from_utf8_lossy(&done.stdout), "crm: 2 notifications are delivered again\n");
    let all = hooked.program.wait_for(5).await;
    let again: Vec<&str> = all[3..].iter().map(Arrived::id).collect();
    assert!(again.contains(&given_up[0].id()) && again.contains(&all[2].id()), "{again:?}");
    status(&service, is_quiet).await;
    let unknown = redeliver("erp").output().await.unwrap();
    assert_eq!(unknown.status.code(), Some(3), "{}", String::from_utf8_lossy(&unknown.stderr));
    let listed = regflow().args(["webhooks", "list", "--server", &service.grpc]).output().await.unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("answered 503") && !listed.contains("token"), "{listed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_between_delivery_and_its_acknowledgement_delivers_the_same_id_again() {
    let hooked = Hooked::new().await;
    let mut crashing = hooked.command("100");
    crashing.env("FAILPOINTS", "after_webhook=1*return");
    let mut service = hooked.stage.start_with(crashing).await;
    service.submit(product("Norrland", "VK 200", "NL14000006")).await;
    tokio::time::timeout(PATIENCE, service.child.wait()).await.expect("it dies there").unwrap();
    assert_eq!(hooked.program.wait_for(1).await.len(), 1);

    let mut service = hooked.start("100").await;
    let twice = hooked.program.wait_for(2).await;
    assert_eq!(twice[0].id(), twice[1].id());
    assert_eq!(twice[0].body, twice[1].body);
    status(&service, is_quiet).await;
    register(&mut service, "default", "NL14000007").await;
    let all = hooked.program.wait_for(3).await;
    assert_ne!(all[2].id(), all[0].id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_says_it_is_gone_gets_nothing_until_an_operator_wakes_it() {
    let hooked = Hooked::new().await;
    hooked.program.answers(&[(410, None)]);
    let mut service = hooked.start("50").await;
    register(&mut service, "default", "NL14000008").await;
    status(&service, |webhook| webhook.gone).await;
    register(&mut service, "default", "NL14000009").await;
    status(&service, |webhook| webhook.pending + webhook.unacknowledged == 2).await;
    assert_eq!(hooked.program.wait_for(1).await.len(), 1);

    let mut operations = OperationsClient::new(service.channel().await);
    let wish = v1::RedeliverWebhooksRequest {
        name: "crm".into(),
        since_sequence: 1,
        reason: "it is back".into(),
        operator: "ann".into(),
        ..Default::default()
    };
    assert_eq!(operations.redeliver_webhooks(wish).await.unwrap().into_inner().notifications, 2);
    status(&service, is_quiet).await;
    let arrived = hooked.program.wait_for(3).await;
    let ids: std::collections::BTreeSet<&str> = arrived.iter().map(Arrived::id).collect();
    assert_eq!(ids.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_without_tls_elsewhere_stops_the_start_with_the_setting_that_is_wrong() {
    let hooked = Hooked::new().await;
    let text = "[[webhooks]]\ntenant = \"default\"\nname = \"crm\"\nurl = \"http://crm.example/\"\nsecret_env = \"HOOK_SECRET\"\n";
    std::fs::write(&hooked.settings, text).unwrap();
    let output = tokio::time::timeout(PATIENCE, hooked.command("50").output()).await.expect("it ends").unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("webhooks[0].url must begin with https://"), "{said}");
}
