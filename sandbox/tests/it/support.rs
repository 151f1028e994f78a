//! A sandbox for one test, and a browser that is just patient enough for its forms.

use regflow_sandbox::{Options, Sandbox, start};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

/// A running sandbox that stops with the test.
pub struct World {
    pub sandbox: Sandbox,
    pub client: Client,
    _stop: DropGuard,
}

pub async fn world() -> World {
    let shutdown = CancellationToken::new();
    let sandbox = start(Options::default(), shutdown.clone()).await.unwrap();
    let client = Client::builder().no_proxy().redirect(Policy::none()).build().unwrap();
    World { sandbox, client, _stop: shutdown.drop_guard() }
}

impl World {
    pub async fn norrland(&self, serial: &str, key: &str) -> (StatusCode, Value) {
        self.try_norrland(serial, key).await.unwrap()
    }

    pub async fn try_norrland(&self, serial: &str, key: &str) -> reqwest::Result<(StatusCode, Value)> {
        let body = json!({
            "product": { "model": "Fjell 600", "serialNumber": serial, "purchaseDate": "2026-10-02" },
            "customer": { "firstName": "Åse", "lastName": "Nygård", "email": "ase@example.org" },
            "externalRef": key,
            "marketingOptIn": false,
        });
        let request = self.client.post(self.sandbox.url("/norrland/api/v1/products/register"));
        let response = request.header("x-api-key", "norrland-test-key").json(&body).send().await?;
        let status = response.status();
        Ok((status, response.json().await?))
    }

    pub async fn brightwell(&self, model: &str, serial: &str) -> (StatusCode, Value) {
        let owner = json!({ "name": "Zoë Ørsted", "email": "zoe@example.org" });
        let body =
            json!({ "serial": serial, "model": model, "purchased": "09.11.2026", "owner": owner, "newsletter": false });
        let request = self.client.post(self.sandbox.url("/brightwell/registrations"));
        both(request.bearer_auth("brightwell-test-token").json(&body).send().await.unwrap()).await
    }

    pub async fn fault(&self, target: &str, fault: Value) {
        let response =
            self.client.post(self.sandbox.url(&format!("/_sandbox/faults/{target}"))).json(&fault).send().await;
        assert_eq!(response.unwrap().status(), StatusCode::OK, "{fault}");
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(self.sandbox.url(path)).send().await.unwrap()
    }
}

pub async fn both(response: Response) -> (StatusCode, Value) {
    (response.status(), response.json().await.unwrap())
}

/// A page as a browser would have it.
pub struct Page {
    pub status: StatusCode,
    pub path: String,
    pub html: String,
}

/// Keeps the cookie and the anti-forgery token, and follows redirects.
pub struct Browser<'a> {
    world: &'a World,
    cookie: String,
    csrf: String,
}

impl<'a> Browser<'a> {
    pub fn new(world: &'a World) -> Self {
        Browser { world, cookie: String::new(), csrf: String::new() }
    }

    pub async fn open(&mut self, path: &str) -> Page {
        let request = self.world.client.get(self.world.sandbox.url(path)).header(COOKIE, &self.cookie);
        self.settle(path, request.send().await.unwrap()).await
    }

    pub async fn submit(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        self.try_submit(path, fields).await.unwrap()
    }

    pub async fn try_submit(&mut self, path: &str, fields: &[(&str, &str)]) -> reqwest::Result<Page> {
        let csrf = self.csrf.clone();
        let fields: Vec<(&str, &str)> = fields.iter().copied().chain([("csrf_token", csrf.as_str())]).collect();
        let request = self.world.client.post(self.world.sandbox.url(path)).header(COOKIE, &self.cookie);
        let response = request.form(&fields).send().await?;
        Ok(self.settle(path, response).await)
    }

    pub async fn submit_multipart(&mut self, path: &str, fields: &[(&str, &str)], file: (&str, &str, &str)) -> Page {
        let mut body = String::new();
        for (name, value) in fields.iter().copied().chain([("csrf_token", self.csrf.as_str())]) {
            body.push_str(&format!("--cut\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
        }
        let (name, file_name, content) = file;
        body.push_str(&format!(
            "--cut\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"{file_name}\"\r\n\
             Content-Type: application/pdf\r\n\r\n{content}\r\n--cut--\r\n"
        ));
        let request = self.world.client.post(self.world.sandbox.url(path)).header(COOKIE, &self.cookie);
        let request = request.header(CONTENT_TYPE, "multipart/form-data; boundary=cut").body(body);
        self.settle(path, request.send().await.unwrap()).await
    }

    async fn settle(&mut self, path: &str, response: Response) -> Page {
        if let Some(cookie) = response.headers().get(SET_COOKIE) {
            self.cookie = cookie.to_str().unwrap().split(';').next().unwrap_or_default().to_owned();
        }
        if let Some(location) = response.headers().get(LOCATION) {
            let location = location.to_str().unwrap().to_owned();
            return Box::pin(self.open(&location)).await;
        }
        let status = response.status();
        let html = response.text().await.unwrap();
        if let Some(csrf) = between(&html, "name=\"csrf_token\" value=\"", "\"") {
            self.csrf = csrf.to_owned();
        }
        Page { status, path: path.to_owned(), html }
    }
}

pub fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
