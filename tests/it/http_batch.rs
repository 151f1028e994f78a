//! Many registrations in one request over HTTP: as SubmitBatch over gRPC.

use proto::v1::{self, RegistrationState as State};
use reqwest::header::RETRY_AFTER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

use crate::http::Web;
use crate::support::{Stage, product};

const PATH: &str = "/api/registration/batch";

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_batch_gets_its_own_answer_in_its_place() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let named =
        |serial: &str, id: &str| v1::SubmitRequest { request_id: id.into(), ..product("Norrland", "VK 200", serial) };
    let requests = vec![named("NO30000001", "one"), product("Norrland", "", "NO30000002"), named("NO30000001", "one")];
    let batch = json!(v1::SubmitBatchRequest { requests });
    let (status, answer) = web.post(PATH, &batch).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let [first, wrong, again] = answer["results"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!(wrong["problem"]["errors"][0]["field"], "product.model");
    assert_eq!(wrong["problem"]["status"], 400);
    let id = first["submitted"]["registration"]["id"].as_str().unwrap();
    assert_eq!(again["submitted"]["registration"]["id"], id, "a request id means the same in a batch");
    service.wait_for_state(id, State::Success).await;

    let many = json!({ "requests": vec![json!({}); 1_001] });
    let (status, problem) = web.post(PATH, &many).await;
    assert_eq!((status, problem["errors"][0]["field"].as_str()), (StatusCode::BAD_REQUEST, Some("requests")));
    let (status, _) = web.post(PATH, &json!({ "colour": "red" })).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
}

#[tokio::test(flavor = "multi_thread")]
async fn those_for_whom_there_is_no_room_are_told_to_come_again() {
    let stage = Stage::new().await;
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__SUBMISSIONS_MAX", "8");
    let service = stage.start_with(command).await;
    let requests = (0..100).map(|n| product("Norrland", "VK 200", &format!("NO4{n:07}"))).collect();
    let request = Web::of(&service).request(Method::POST, PATH).json(&v1::SubmitBatchRequest { requests });
    let answer = request.send().await.unwrap();
    assert_eq!((answer.status(), answer.headers()[RETRY_AFTER].to_str().unwrap()), (StatusCode::OK, "1"));
    let body: Value = answer.json().await.unwrap();
    let results = body["results"].as_array().unwrap();
    let taken = results.iter().filter(|result| result["submitted"]["registration"]["id"].is_string()).count();
    let full = |result: &&Value| result["problem"]["status"] == 429 && result["problem"]["reason"] == "OVERLOADED";
    let refused = results.iter().filter(full).count();
    assert!(taken >= 8 && refused >= 50 && taken + refused == 100, "{taken} taken, {refused} refused");
}
