//! What a maker's answers come to.

use std::time::Duration;

use events::{ErrorKind, FieldProblem, Outcome};
use serde_json::{Value, json};

use crate::support::{Maker, answer, client, details, failure, kind, plain, registered, request};

async fn outcome(id: &str, status: u16, body: Value) -> Outcome {
    let maker = Maker::start(move |seen, _| match seen.path.ends_with("/oauth/token") {
        true => answer(200, json!({ "access_token": "t1", "expires_in": 3600 })),
        false => answer(status, body.clone()),
    })
    .await;
    client().register(&maker.connector(id), &request(&details())).await
}

fn names(fields: &[FieldProblem]) -> Vec<&str> {
    fields.iter().map(|problem| problem.field.as_str()).collect()
}

#[tokio::test]
async fn each_makers_success_is_understood() {
    assert_eq!(outcome("brightwell", 200, json!({ "ok": true, "code": "BW-1" })).await, registered("BW-1"));
    assert_eq!(outcome("aurora", 201, json!({ "confirmationNumber": "AU-1" })).await, registered("AU-1"));
    let body = json!({ "result": { "warranty_no": 4711, "state": "ACTIVE" } });
    assert_eq!(outcome("kestrel", 200, body).await, registered("4711"));
}

#[tokio::test]
async fn a_product_that_was_registered_before_counts_as_success() {
    for (id, status, body, code) in [
        ("norrland", 409, json!({ "code": "ALREADY_REGISTERED", "registrationId": "NR-2" }), "NR-2"),
        ("brightwell", 200, json!({ "ok": false, "error": "duplicate", "code": "BW-2" }), "BW-2"),
        ("kestrel", 409, json!({ "result": { "state": "ALREADY_ACTIVE", "warranty_no": "KT-2" } }), "KT-2"),
        ("aurora", 409, json!({ "detail": "..", "confirmationNumber": "AU-2" }), "AU-2"),
    ] {
        let wanted = Outcome::Registered { confirmation: Some(code.into()), already: true };
        assert_eq!(outcome(id, status, body).await, wanted, "{id}");
    }
}

#[tokio::test]
async fn each_makers_refusal_names_our_fields() {
    for (id, status, body, wanted) in [
        (
            "norrland",
            422,
            json!({ "errors": [{ "field": "product.serialNumber", "message": "bad" }, { "field": "customer.lastName" }] }),
            &["product.serial", "owner.name"][..],
        ),
        ("brightwell", 400, json!({ "ok": false, "error": "owner_email_invalid", "message": "no" }), &["owner.email"]),
        (
            "kestrel",
            400,
            json!({ "result": { "state": "REJECTED", "problems": { "serial_no": "x" } } }),
            &["product.serial"],
        ),
        ("aurora", 422, json!({ "detail": [{ "loc": ["parent", "city"], "msg": "x" }] }), &["owner.address.city"]),
        ("aurora", 422, json!({ "detail": [{ "loc": ["planet"], "msg": "x" }] }), &["registration"]),
    ] {
        let failure = failure(outcome(id, status, body).await);
        assert_eq!(failure.kind, ErrorKind::Validation, "{id}");
        assert_eq!(names(&failure.fields), wanted, "{id}");
    }
}

#[tokio::test]
async fn a_refusal_does_not_repeat_what_was_sent() {
    let message = "Serial no12345678 of Zoë (zoe@example.org) was sold in 2019";
    let body = json!({ "errors": [{ "field": "product.serialNumber", "message": message }], "message": message });
    let failure = failure(outcome("norrland", 422, body).await);
    assert_eq!(failure.fields[0].problem, "Norrland Appliances says: Serial … of … (…) was sold in …");
    assert_eq!(failure.detail, "the maker answered 422 and refused product.serial");
}

#[tokio::test]
async fn a_refused_serial_of_an_odd_shape_is_told_with_the_usual_shape() {
    let maker = Maker::start(|_, _| answer(422, json!({ "errors": [{ "field": "product.serialNumber" }] }))).await;
    let mut details = details();
    details.product.serial = "NO1234".into();
    let failure = failure(client().register(&maker.connector("norrland"), &request(&details)).await);
    assert!(
        failure.fields[0].problem.ends_with("; usually two capital letters and eight digits, such as NO12345678"),
        "{}",
        failure.fields[0].problem
    );
}

#[tokio::test]
async fn the_status_tells_where_the_file_says_nothing() {
    for (status, wanted) in [
        (400, ErrorKind::Validation),
        (409, ErrorKind::Validation),
        (422, ErrorKind::Validation),
        (404, ErrorKind::FormChanged),
        (405, ErrorKind::FormChanged),
        (410, ErrorKind::FormChanged),
        (408, ErrorKind::Timeout),
        (429, ErrorKind::RateLimited),
        (500, ErrorKind::Server),
        (502, ErrorKind::Server),
        (503, ErrorKind::Server),
    ] {
        assert_eq!(kind(outcome("norrland", status, json!({})).await), wanted, "{status}");
    }
}

#[tokio::test]
async fn a_gateway_that_gave_up_leaves_doubt_unless_the_maker_tells_repeats_apart() {
    assert_eq!(kind(outcome("norrland", 504, json!({})).await), ErrorKind::Timeout);
    assert_eq!(kind(outcome("kestrel", 504, json!({})).await), ErrorKind::UnknownOutcome);
}

#[tokio::test]
async fn a_makers_retry_after_is_handed_on() {
    for (status, wanted) in [(429, ErrorKind::RateLimited), (503, ErrorKind::Server)] {
        let maker = Maker::start(move |_, _| plain(status, ("retry-after", "17"), "{}")).await;
        let failure = failure(client().register(&maker.connector("norrland"), &request(&details())).await);
        assert_eq!((failure.kind, failure.retry_after), (wanted, Some(Duration::from_secs(17))));
    }
    let later = (jiff::Timestamp::now() + Duration::from_secs(90)).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let maker = Maker::start(move |_, _| plain(429, ("retry-after", &later), "")).await;
    let wait =
        failure(client().register(&maker.connector("norrland"), &request(&details())).await).retry_after.unwrap();
    assert!(wait > Duration::from_secs(60) && wait <= Duration::from_secs(90), "{wait:?}");
}

#[tokio::test]
async fn a_success_that_does_not_read_like_one_is_an_unknown_outcome() {
    for body in ["<html>Thank you!</html>", "", "{\"status\":\"queued\"}", "[]", "null"] {
        let maker = Maker::start(move |_, _| plain(201, ("content-type", "text/html"), body)).await;
        let outcome = client().register(&maker.connector("norrland"), &request(&details())).await;
        assert_eq!(kind(outcome), ErrorKind::UnknownOutcome, "{body}");
    }
}

#[tokio::test]
async fn an_answer_without_end_is_not_read_to_its_end() {
    let maker =
        Maker::start(|_, _| answer(201, json!({ "status": "registered", "padding": "x".repeat(2 << 20) }))).await;
    let outcome = client().register(&maker.connector("norrland"), &request(&details())).await;
    assert_eq!(kind(outcome), ErrorKind::UnknownOutcome);
}

#[tokio::test]
async fn a_confirmation_keeps_no_control_characters_and_is_short() {
    let code = format!("NR-\u{1b}[2J{}", "9".repeat(500));
    let body = json!({ "status": "registered", "registrationId": code });
    let Outcome::Registered { confirmation: Some(kept), .. } = outcome("norrland", 201, body).await else {
        panic!("not registered");
    };
    assert!(kept.starts_with("NR-[2J99") && kept.len() == 100, "{kept}");
}
