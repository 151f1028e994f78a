//! Whoever is wrong too often waits; whoever was right before does not wait with them.

use std::time::Instant;

use proto::v1;
use reqwest::{Method, StatusCode};
use tonic::Code;
use tonic_types::StatusExt;

use super::{House, SHOP, make_key};
use crate::support::{PATIENCE, POLL};

const FAILURES: usize = 3;

fn wrong(n: usize) -> String {
    format!("rf_{n:012x}_{}", "0".repeat(64))
}

async fn list(house: &House, key: &str) -> Option<tonic::Status> {
    house.rpc("Registrations/List", &v1::ListRequest::default(), Some(key)).await.err()
}

#[tokio::test(flavor = "multi_thread")]
async fn after_too_many_wrong_keys_an_address_waits_but_those_who_were_right_before_do_not() {
    let house = House::with(&[("REGFLOW__ACCESS__FAILURES_PER_MINUTE", "3")]).await;
    let (known, unused) = (house.key("admin").to_owned(), house.key("auditor").to_owned());
    assert!(list(&house, &known).await.is_none());
    for n in 0..FAILURES {
        assert_eq!(list(&house, &wrong(n)).await.map(|status| status.code()), Some(Code::Unauthenticated));
    }
    // also one that would be right: else guessing would go on
    for key in [wrong(9), unused.clone()] {
        let held_up = list(&house, &key).await.unwrap();
        assert_eq!(held_up.code(), Code::ResourceExhausted);
        let details = held_up.get_error_details();
        assert_eq!(details.error_info().map(|info| info.reason.as_str()), Some("TOO_MANY_FAILURES"));
        let delay = details.retry_info().and_then(|info| info.retry_delay).unwrap();
        assert!((1..=21).contains(&delay.as_secs()), "{delay:?}");
    }
    let over_http = house.get("/api/registration", Some(&unused)).await;
    assert_eq!(over_http.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(over_http.headers().contains_key("retry-after"));
    let form = [("credential", unused.as_str()), ("next", "/")];
    let login = house.request(Method::POST, "/login", None).form(&form).send().await.unwrap();
    assert_eq!(login.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(login.headers().contains_key("retry-after") && !login.headers().contains_key("set-cookie"));
    assert!(list(&house, &known).await.is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_is_taken_back_lets_nobody_in_any_more_nor_does_its_login() {
    let house = House::new().await;
    let key = make_key(&house.stage, &["--role", "service", "--name", "till", "--tenant", SHOP]).await;
    let deadline = Instant::now() + PATIENCE;
    while list(&house, &key).await.is_some() {
        assert!(Instant::now() < deadline, "the new key is seen");
        tokio::time::sleep(POLL).await;
    }
    let form = [("credential", key.as_str()), ("next", "/")];
    let login = house.request(Method::POST, "/login", None).form(&form).send().await.unwrap();
    let cookie = login.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let looks = async || house.request(Method::GET, "/api/registration", None).header("cookie", &cookie).send().await;
    assert_eq!(looks().await.unwrap().status(), StatusCode::OK);

    let id = key.split('_').nth(1).unwrap();
    super::access(&house.stage, &["remove", id]).await;
    while list(&house, &key).await.is_none() {
        assert!(Instant::now() < deadline, "that it was taken back is seen");
        tokio::time::sleep(POLL).await;
    }
    assert_eq!(looks().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    let shown = String::from_utf8(super::access(&house.stage, &["list"]).await).unwrap();
    assert!(shown.contains("crm") && !shown.contains("till"), "{shown}");
    assert!(!shown.contains(house.key("service").rsplit('_').next().unwrap()), "{shown}");
}
