//! Access: every cell of the table, others' registrations, keys, tokens, TLS, and the login of the pages.

mod cells;
mod login;
mod others;
mod throttle;
mod tls;
mod tokens;

use std::collections::HashMap;

use prost::Message;
use proto::v1;
use reqwest::{Method, Response};
use serde_json::{Value, json};
use tonic::{Code, Status};

use crate::support::{Service, Stage, product, regflow};

/// The roles in the order of the table's columns.
pub const ROLES: [&str; 5] = ["owner", "service", "operator", "auditor", "admin"];
/// The tenant of the owner and of the service.
pub const SHOP: &str = "shop";
/// An id that nothing has.
pub const MISSING: &str = "00000000-0000-7000-8000-000000000001";

/// A service that asks who one is, with a key for each role.
pub struct House {
    pub stage: Stage,
    pub service: Service,
    pub keys: HashMap<String, String>,
    h2: reqwest::Client,
    h1: reqwest::Client,
}

impl House {
    pub async fn new() -> Self {
        Self::with(&[]).await
    }

    /// With more settings.
    pub async fn with(settings: &[(&str, &str)]) -> Self {
        let stage = Stage::new().await;
        let mut keys = HashMap::new();
        for role in ["operator", "auditor", "admin"] {
            keys.insert(role.to_owned(), make_key(&stage, &["--role", role, "--name", role]).await);
        }
        let service = ["--role", "service", "--name", "crm", "--tenant", SHOP];
        keys.insert("service".to_owned(), make_key(&stage, &service).await);
        let mut command = stage.command();
        command.env("REGFLOW__ACCESS__MODE", "required").env("REGFLOW__ACCESS__FAILURES_PER_MINUTE", "100000");
        command.envs(settings.iter().copied());
        let service = stage.start_with(command).await;
        let h2 = reqwest::Client::builder().http2_prior_knowledge().build().unwrap();
        let h1 = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { stage, service, keys, h2, h1 }
    }

    pub fn key(&self, role: &str) -> &str {
        &self.keys[role]
    }

    /// Gives the person behind an owner's pseudonym a key, while the service runs.
    pub async fn add_owner(&mut self, name: &str, owner_ref: &str) {
        let args = ["--role", "owner", "--name", name, "--tenant", SHOP, "--owner", owner_ref];
        let key = make_key(&self.stage, &args).await;
        self.keys.insert(name.to_owned(), key.clone());
        let deadline = std::time::Instant::now() + crate::support::PATIENCE;
        while self.rpc("Catalog/ListConnectors", &v1::ListConnectorsRequest {}, Some(&key)).await.is_err() {
            assert!(std::time::Instant::now() < deadline, "the new key is seen");
            tokio::time::sleep(crate::support::POLL).await;
        }
    }

    /// One call; gives its answer's head, with the status that stands in it.
    pub async fn call(&self, rpc: &str, message: Vec<u8>, key: Option<&str>) -> Result<Response, Status> {
        let mut body = vec![0];
        body.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend_from_slice(&message);
        let url = format!("{}/regflow.v1.{rpc}", self.service.grpc);
        let mut request =
            self.h2.post(url).header("content-type", "application/grpc").header("te", "trailers").body(body);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = request.send().await.unwrap();
        match Status::from_header_map(answer.headers()) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(answer),
        }
    }

    pub async fn rpc(&self, rpc: &str, message: &impl Message, key: Option<&str>) -> Result<Response, Status> {
        self.call(rpc, message.encode_to_vec(), key).await
    }

    /// A call with one answer.
    pub async fn ask<A: Message + Default>(
        &self,
        rpc: &str,
        message: &impl Message,
        key: Option<&str>,
    ) -> Result<A, Status> {
        let bytes = self.rpc(rpc, message, key).await?.bytes().await.unwrap();
        Ok(A::decode(&bytes[5..]).unwrap())
    }

    pub fn request(&self, method: Method, path: &str, key: Option<&str>) -> reqwest::RequestBuilder {
        let request = self.h1.request(method, format!("{}{path}", self.service.http));
        match key {
            Some(key) => request.header("authorization", format!("Bearer {key}")),
            None => request,
        }
    }

    pub async fn get(&self, path: &str, key: Option<&str>) -> Response {
        self.request(Method::GET, path, key).send().await.unwrap()
    }

    /// A request of a program, with an empty object where a body is wanted.
    pub async fn send(&self, method: &Method, path: &str, key: Option<&str>) -> Response {
        let request = self.request(method.clone(), path, key);
        let request = if *method == Method::POST { request.json(&json!({})) } else { request };
        request.send().await.unwrap()
    }

    /// Hands a product over in the name of whoever holds the key.
    pub async fn submit(&self, key: &str, tenant: &str, email: &str) -> v1::Registration {
        let answer: v1::SubmitResponse =
            self.ask("Registrations/Submit", &of(tenant, email), Some(key)).await.unwrap_or_else(|s| panic!("{s}"));
        let made = answer.registration.unwrap();
        // until the view has it, so that lists show it
        let get = v1::GetRequest { id: made.id.clone(), min_sequence: made.sequence };
        self.ask::<v1::Registration>("Registrations/Get", &get, Some(key)).await.unwrap();
        made
    }
}

/// A product of somebody, which goes to the packet at once.
pub fn of(tenant: &str, email: &str) -> v1::SubmitRequest {
    let mut request = v1::SubmitRequest { tenant: tenant.into(), ..product("Hartmann", "Kaffeemühle", "10001") };
    request.owner.as_mut().unwrap().email = email.into();
    request
}

/// A key from `regflow access add`.
pub async fn make_key(stage: &Stage, args: &[&str]) -> String {
    let made = access(stage, &[&["add", "--json"], args].concat()).await;
    let made: Value = serde_json::from_slice(&made).unwrap();
    made["key"].as_str().unwrap().to_owned()
}

/// What `regflow access` prints.
pub async fn access(stage: &Stage, args: &[&str]) -> Vec<u8> {
    let mut command = regflow();
    command.arg("access").args(args).current_dir(stage.data.path()).env("REGFLOW__SERVER__DATA", stage.data.path());
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
