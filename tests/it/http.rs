//! The HTTP interface: the same services as gRPC, as JSON with problem+json errors, behind its guard.

use std::time::{Duration, Instant};

use proto::v1::{self, RegistrationState as State};
use reqwest::header::{ALLOW, CONNECTION, CONTENT_TYPE, HOST, ORIGIN, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode};
use sandbox::Maker;
use sandbox::faults::Scope;
use serde_json::{Value, json};

use crate::support::{PATIENCE, Service, Stage, product};

/// A client of the running service.
pub struct Web {
    client: reqwest::Client,
    base: String,
}

impl Web {
    pub fn of(service: &Service) -> Self {
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Self { client, base: service.http.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    /// Status and body.
    pub async fn json(&self, path: &str) -> (StatusCode, Value) {
        told(self.get(path).await).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        told(self.request(Method::POST, path).json(body).send().await.unwrap()).await
    }

    async fn submit(&self, key: &str, request: &v1::SubmitRequest) -> (StatusCode, Value) {
        let request = self.request(Method::POST, "/api/registration").header("Idempotency-Key", key).json(request);
        told(request.send().await.unwrap()).await
    }
}

/// Status and body; each error is a problem that says the same status.
async fn told(response: Response) -> (StatusCode, Value) {
    let (status, kind) = (response.status(), response.headers()[CONTENT_TYPE].clone());
    let body: Value = response.json().await.unwrap();
    if !status.is_success() {
        assert_eq!(
            (kind.to_str().unwrap(), body["status"].as_u64()),
            ("application/problem+json", Some(status.as_u16().into()))
        );
        assert!(body["detail"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    }
    (status, body)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_that_is_posted_is_registered_and_a_repeat_gets_the_same_answer() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let request = product("Norrland", "VK 200", "NO10000001");
    let (status, answer) = web.submit("order-17", &request).await;
    assert_eq!((status, answer["repeatedRequest"].as_bool()), (StatusCode::ACCEPTED, Some(false)));
    let id = answer["registration"]["id"].as_str().unwrap().to_owned();
    assert_eq!(answer["links"]["self"], format!("/api/registration/{id}"));
    service.wait_for_state(&id, State::Success).await;

    let (status, again) = web.submit("order-17", &request).await;
    assert_eq!((status, again["repeatedRequest"].as_bool()), (StatusCode::ACCEPTED, Some(true)));
    assert_eq!(again["registration"]["id"], id.as_str());
    let (status, problem) = web.submit("order-17", &product("Norrland", "VK 300", "NO10000001")).await;
    assert_eq!((status, problem["reason"].as_str()), (StatusCode::CONFLICT, Some("REQUEST_ID_REUSED")));
    assert_eq!(problem["errors"][0]["field"], "product.model");

    let (_, shown) = web.json(answer["links"]["self"].as_str().unwrap()).await;
    assert_eq!(shown["state"], "REGISTRATION_STATE_SUCCESS");
    assert!(shown["confirmation"].as_str().unwrap().starts_with("NR-"), "{shown}");
    let (_, history) = web.json(answer["links"]["history"].as_str().unwrap()).await;
    let names: Vec<&str> =
        history["records"].as_array().unwrap().iter().map(|r| r["events"][0]["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["submitted", "attempt_succeeded"]);
    let (_, explained) = web.json(answer["links"]["explain"].as_str().unwrap()).await;
    assert_eq!(explained["waitsFor"]["sentence"], "nothing: it is registered");
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered_and_paged_as_over_grpc() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let mut ids = Vec::new();
    for n in 0..3 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NO2000000{n}"))).await.id;
        service.wait_for_state(&id, State::Success).await;
        ids.push(id);
    }
    service.submit(product("Hartmann", "Kaffeemühle", "10001")).await;
    let (_, first) = web.json("/api/registration?state=SUCCESS&maker=norrland&page_size=2").await;
    let of = |page: &Value| -> Vec<String> {
        page["registrations"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(of(&first), [ids[2].clone(), ids[1].clone()]);
    let token = first["nextPageToken"].as_str().unwrap();
    let path = format!("/api/registration?state=SUCCESS&maker=norrland&page_size=2&page_token={token}");
    assert_eq!(of(&web.json(&path).await.1), [ids[0].clone()]);
    let owner = first["registrations"][0]["ownerRef"].as_str().unwrap();
    assert_eq!(of(&web.json(&format!("/api/registration?owner_ref={owner}")).await.1).len(), 4);
    for (path, field) in [
        ("/api/registration?state=DONE", "state"),
        ("/api/registration?page_size=many", "page_size"),
        ("/api/registration?page_token=x", "page_token"),
        ("/api/registration?maker=a&maker=b", "maker"),
        ("/api/registration?colour=red", "colour"),
    ] {
        let (status, problem) = web.json(path).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_nothing_is_stored() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let (status, problem) = web.post("/api/registration", &json!({ "product": { "brand": "Norrland" } })).await;
    let fields: Vec<&str> =
        problem["errors"].as_array().unwrap().iter().map(|e| e["field"].as_str().unwrap()).collect();
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(fields.contains(&"owner.email") && fields.contains(&"product.model"), "{fields:?}");
    for (body, says) in [
        (json!({ "product": { "colour": "red" } }), "colour"),
        (json!({ "product": 5 }), "product"),
        (json!({ "requestId": "x" }), "Idempotency-Key"),
        (json!([]), "line 1"),
    ] {
        let (status, problem) = web.post("/api/registration", &body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(problem["detail"].as_str().unwrap().contains(says), "{body} -> {problem}");
    }
    let plain = web.request(Method::POST, "/api/registration").body("{}").send().await.unwrap();
    assert_eq!(told(plain).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let huge = json!({ "proofOfPurchase": { "content": "A".repeat(7 * 1024 * 1024) } });
    let huge = web.request(Method::POST, "/api/registration").json(&huge).send().await.unwrap();
    assert_eq!(huge.headers()[CONNECTION], "close", "who was refused must not ask again on a connection that ends");
    assert_eq!(told(huge).await.0, StatusCode::PAYLOAD_TOO_LARGE);
    for path in ["/api/registration/nonsense", "/api/registration/01a2-x/history"] {
        assert_eq!(web.json(path).await.0, StatusCode::BAD_REQUEST, "{path}");
    }
    let unknown = "/api/registration/00000000-0000-7000-8000-000000000001";
    for path in [unknown.to_owned(), format!("{unknown}/packet"), "/api/nothing".to_owned(), "/assets/no.js".to_owned()]
    {
        assert_eq!(web.json(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
    let refused = web.request(Method::DELETE, "/api/registration").send().await.unwrap();
    assert!(refused.headers().contains_key(ALLOW));
    assert_eq!(told(refused).await.0, StatusCode::METHOD_NOT_ALLOWED);
    let all = service.client.list(v1::ListRequest::default()).await.unwrap().into_inner();
    assert_eq!(all.registrations.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_stores_nothing_and_says_what_may_be_meant() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let web = Web::of(&service);
    let request = v1::SubmitRequest { validate_only: true, ..product("Norrland", "VK 200", "N012345678") };
    let (status, answer) = web.post("/api/registration", &serde_json::to_value(&request).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let warning = &answer["registration"]["warnings"][0];
    assert_eq!((warning["field"].as_str(), &warning["suggestions"][0]), (Some("product.serial"), &json!("NO12345678")));
    assert_eq!(web.json("/api/registration").await.1["registrations"], Value::Null);

    let (_, makers) = web.json("/api/makers").await;
    let makers = makers["connectors"].as_array().unwrap();
    let norrland = makers.iter().find(|maker| maker["maker"] == "norrland").unwrap();
    assert_eq!(norrland["registerByDays"], 60);
    assert_eq!(norrland["serial"]["example"].as_str().map(str::len), Some(10));
    assert!(norrland["serial"]["location"].as_str().is_some_and(|text| text.contains("type plate")), "{norrland}");
    assert!(norrland["fields"][0]["required"].as_bool().unwrap());
    assert_eq!(makers.last().unwrap()["maker"], "generic");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packet_a_screenshot_and_a_proof_are_opened_for_those_who_may_see_them() {
    let stage = Stage::new().await;
    stage.fault(Maker::Brightwell, Stage::answers(401, None).at(Scope::Api));
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let receipt = v1::ProofOfPurchase { content: b"%PDF-1.4 receipt".to_vec().into(), ..Default::default() };
    let request =
        v1::SubmitRequest { proof_of_purchase: Some(receipt), ..product("Brightwell", "Monitor 5", "BW26-000301") };
    let id = service.submit(request).await.id;
    let by_hand = service.submit(product("Hartmann", "Kaffeemühle", "10001")).await.id;
    service.wait_for_state(&id, State::Success).await;
    service.wait_for_packet(&by_hand).await;
    for (path, kind, magic) in [
        (format!("/api/registration/{id}/evidence/2"), "image/png", &b"\x89PNG"[..]),
        (format!("/api/registration/{id}/proof"), "application/pdf", b"%PDF-1.4 receipt"),
        (format!("/api/registration/{by_hand}/packet"), "application/pdf", b"%PDF"),
    ] {
        let response = web.get(&path).await;
        assert_eq!(response.headers()[CONTENT_TYPE], kind, "{path}");
        assert!(response.bytes().await.unwrap().starts_with(magic), "{path}");
    }
    for path in [format!("/api/registration/{id}/evidence/1"), format!("/api/registration/{id}/packet")] {
        assert_eq!(web.json(&path).await.1["reason"], "FILE_NOT_FOUND", "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registration_is_cancelled_retried_and_completed_by_posts_that_name_what_they_saw() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let id = service.submit(product("Hartmann", "Kaffeemühle", "10002")).await.id;
    let seen = service.wait_for_packet(&id).await;
    let path = |what: &str| format!("/api/registration/{id}/{what}");

    let stale = web.request(Method::POST, &path("cancel")).header("If-Match", "\"1\"").send().await.unwrap();
    assert_eq!(told(stale).await.1["reason"], "ETAG_MISMATCH");
    let (status, done) = web.post(&path("complete"), &json!({ "confirmation": "HS-9", "etag": seen.etag })).await;
    assert_eq!((status, done["state"].as_str()), (StatusCode::OK, Some("REGISTRATION_STATE_USER_COMPLETED")));
    let (status, refused) = web.post(&path("cancel"), &json!({})).await;
    assert_eq!((status, refused["reason"].as_str()), (StatusCode::CONFLICT, Some("WRONG_STATE")));

    let other = service.submit(product("Hartmann", "Kaffeemühle", "10003")).await.id;
    service.wait_for_packet(&other).await;
    let cancelled = web.request(Method::POST, &format!("/api/registration/{other}/cancel")).send().await.unwrap();
    assert_eq!(told(cancelled).await.1["state"], "REGISTRATION_STATE_CANCELLED");
    let (_, retried) = web.post(&format!("/api/registration/{other}/retry"), &json!({ "reason": "found it" })).await;
    assert_eq!(retried["id"], other.as_str());
    service.wait_for_packet(&other).await;
    let asked = service.history(&id).await;
    assert_eq!(asked.last().unwrap().actor, "client http");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_pauses_and_redrives_by_posts() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let web = Web::of(&service);
    let wish = json!({ "maker": "norrland", "reason": "their maintenance", "operator": "ada" });
    let (status, stored) = web.post("/api/operations/pause", &wish).await;
    assert_eq!(status, StatusCode::OK);
    assert!(stored["sequence"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let (_, makers) = web.json("/api/operations/makers?maker=norrland").await;
        if makers["makers"][0]["methods"][0]["pause"]["by"] == "operator ada" {
            break;
        }
        assert!(Instant::now() < deadline, "never paused: {makers}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(web.post("/api/operations/resume", &wish).await.0, StatusCode::OK);
    let (status, problem) = web.post("/api/operations/pause", &json!({ "maker": "norland" })).await;
    assert!(
        status == StatusCode::NOT_FOUND && problem["detail"].as_str().unwrap().contains("did you mean `norrland`?")
    );
    let (_, foreseen) =
        web.post("/api/operations/redrive", &json!({ "dryRun": true, "reason": "r", "operator": "ada" })).await;
    assert_eq!(foreseen, json!({}), "nothing matches, and what is zero is left out");
}

#[tokio::test(flavor = "multi_thread")]
async fn analytics_are_asked_by_window_maker_and_method_and_the_overview_is_streamed() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    for n in 0..2 {
        let id = service.submit(product("Norrland", "VK 200", &format!("NO6000000{n}"))).await.id;
        service.wait_for_state(&id, State::Success).await;
    }
    let deadline = Instant::now() + PATIENCE;
    let metrics = loop {
        let (status, metrics) = web.json("/analytics?window=15m&maker=norrland&method=API&resolution=minute").await;
        if status == StatusCode::OK && metrics["total"]["attempts"] == "2" {
            break metrics;
        }
        assert!(Instant::now() < deadline, "never counted: {metrics}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(
        (&metrics["series"][0]["maker"], &metrics["total"]["successPercent"]),
        (&json!("norrland"), &json!(100.0))
    );
    for (path, field) in [
        ("/analytics?window=2h", "window"),
        ("/analytics?resolution=second", "resolution"),
        ("/analytics?method=FAX", "method"),
        ("/analytics/circuits?limit=5000", "limit"),
        ("/analytics/incidents?open=perhaps", "open"),
    ] {
        let (status, problem) = web.json(path).await;
        assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some(field)), "{path}");
    }
    for path in ["/analytics/circuits?window=24h&maker=norrland", "/analytics/health", "/analytics/incidents?open=true"]
    {
        assert_eq!(web.json(path).await.0, StatusCode::OK, "{path}");
    }
    let mut overview = web.get("/analytics/overview").await;
    let first = tokio::time::timeout(PATIENCE, overview.chunk()).await.expect("it comes at once").unwrap().unwrap();
    let first = String::from_utf8_lossy(&first).into_owned();
    assert!(first.contains("event: overview") && first.contains("Norrland Appliances"), "{first}");
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_hosts_and_origins_and_those_who_ask_too_much_are_turned_away() {
    let stage = Stage::new().await;
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__HTTP_REQUESTS_PER_S", "20");
    let service = stage.start_with(command).await;
    let web = Web::of(&service);
    let foreign = web.request(Method::GET, "/api/makers").header(HOST, "evil.example").send().await.unwrap();
    assert_eq!(told(foreign).await.0, StatusCode::MISDIRECTED_REQUEST);
    let post = web.request(Method::POST, "/api/registration").header(ORIGIN, "http://evil.example").json(&json!({}));
    assert_eq!(told(post.send().await.unwrap()).await.1["reason"], "FOREIGN_ORIGIN");
    let page = web.get("/").await;
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");

    let mut turned_away = None;
    for _ in 0..200 {
        let response = web.get("/healthz").await;
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            turned_away = Some(response);
            break;
        }
    }
    let turned_away = turned_away.expect("two hundred at once are more than twenty a second");
    assert_eq!(turned_away.headers()[RETRY_AFTER], "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_connections_are_open_than_the_settings_allow() {
    let stage = Stage::new().await;
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__HTTP_CONNECTIONS_MAX", "2");
    let service = stage.start_with(command).await;
    let address = service.http.strip_prefix("http://").unwrap().to_owned();
    let connect = || async { tokio::net::TcpStream::connect(&address).await.unwrap() };
    let (one, _other) = (connect().await, connect().await);
    let web = Web::of(&service);
    let third = web.request(Method::GET, "/healthz").timeout(Duration::from_millis(500)).send().await;
    assert!(third.unwrap_err().is_timeout(), "two silent connections hold the places");
    drop(one);
    assert_eq!(web.json("/healthz").await, (StatusCode::OK, json!({ "status": "alive" })));
    assert_eq!(web.json("/readyz").await.1["status"], "ready");
}
