//! Another's registration looks like a missing one, in every answer of every interface; and what one hands over is one's own.

use futures::StreamExt;
use prost::Message;
use proto::v1;
use reqwest::{Method, Response, StatusCode};
use serde_json::json;
use tonic::{Code, Status};

use super::{House, MISSING, SHOP, of};
use crate::support::{PATIENCE, product};

const ZOE: &str = "zoe@example.org";
const BOB: &str = "bob@example.org";

/// A house with two people of one tenant, and a registration of each and of another tenant.
struct Street {
    house: House,
    zoes: v1::Registration,
    bobs: v1::Registration,
    elsewhere: v1::Registration,
}

impl Street {
    async fn new() -> Self {
        let mut house = House::new().await;
        let zoes = house.submit(house.key("service"), "", ZOE).await;
        let bobs = house.submit(house.key("service"), "", BOB).await;
        let elsewhere = house.submit(house.key("admin"), "another", ZOE).await;
        house.add_owner("zoe", &zoes.owner_ref).await;
        house.add_owner("bob", &bobs.owner_ref).await;
        Self { house, zoes, bobs, elsewhere }
    }
}

/// Calls that name one registration; its id is the first field of each request.
const OF_ONE: [&str; 7] = [
    "Registrations/Get",
    "Registrations/Watch",
    "Registrations/Complete",
    "Registrations/Cancel",
    "Registrations/Retry",
    "Registrations/Explain",
    "Audit/Replay",
];

/// The same over HTTP.
const PATHS: [(&str, &str); 12] = [
    ("GET", "/api/registration/ID"),
    ("GET", "/api/registration/ID?min_sequence=1"),
    ("GET", "/api/registration/ID/explain"),
    ("GET", "/api/registration/ID/history"),
    ("GET", "/api/registration/ID/packet"),
    ("GET", "/api/registration/ID/evidence/1"),
    ("GET", "/api/registration/ID/photo"),
    ("GET", "/api/registration/ID/proof"),
    ("POST", "/api/registration/ID/complete"),
    ("POST", "/api/registration/ID/cancel"),
    ("POST", "/api/registration/ID/retry"),
    ("GET", "/events?registration=ID"),
];

/// Everything that an error says, but for the id.
fn told(status: &Status, id: &str) -> (Code, String, Vec<u8>) {
    let details: Vec<u8> = status.details().to_vec();
    let place = details.windows(id.len()).position(|window| window == id.as_bytes());
    let mut blank = details.clone();
    place.iter().for_each(|at| blank[*at..*at + id.len()].fill(b'0'));
    (status.code(), status.message().replace(id, "ID"), blank)
}

async fn http_told(answer: Response, id: &str) -> (StatusCode, Vec<String>, String) {
    let names = answer.headers().iter().filter(|(name, _)| *name != "date");
    let head = names.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
    (answer.status(), head, answer.text().await.unwrap().replace(id, "ID"))
}

#[tokio::test(flavor = "multi_thread")]
async fn anothers_id_looks_like_a_missing_one_in_every_answer() {
    let Street { house, zoes, bobs, elsewhere } = Street::new().await;
    let strangers = [("zoe", &bobs.id), ("zoe", &elsewhere.id), ("bob", &zoes.id), ("service", &elsewhere.id)];
    for rpc in OF_ONE {
        for (who, id) in strangers {
            let named = |id: &str| v1::GetRequest { id: id.to_owned(), min_sequence: 0 }.encode_to_vec();
            let key = Some(house.key(who));
            let other = house.call(rpc, named(id), key).await.expect_err("another's is not there");
            let missing = house.call(rpc, named(MISSING), key).await.expect_err("nothing is there");
            assert_eq!(told(&other, id), told(&missing, MISSING), "{rpc} as {who}");
            assert_eq!(other.code(), Code::NotFound, "{rpc} as {who}");
        }
        let own = v1::GetRequest { id: zoes.id.clone(), min_sequence: 0 }.encode_to_vec();
        let refused = house.call(rpc, own, Some(house.key("zoe"))).await.err().map(|status| status.code());
        assert!(!matches!(refused, Some(Code::NotFound | Code::PermissionDenied)), "{rpc} of one's own: {refused:?}");
    }
    for (method, path) in PATHS {
        let method: Method = method.parse().unwrap();
        for (who, id) in strangers {
            let key = Some(house.key(who));
            let other = http_told(house.send(&method, &path.replace("ID", id), key).await, id).await;
            let missing = http_told(house.send(&method, &path.replace("ID", MISSING), key).await, MISSING).await;
            assert_eq!(other, missing, "{method} {path} as {who}");
            assert_eq!(other.0, StatusCode::NOT_FOUND, "{method} {path} as {who}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_their_pages_and_their_totals_tell_nothing_of_others() {
    let Street { house, zoes, bobs, elsewhere } = Street::new().await;
    let list = async |who: &str, request: v1::ListRequest| -> Result<(Vec<String>, v1::ListResponse), Status> {
        let page: v1::ListResponse = house.ask("Registrations/List", &request, Some(house.key(who))).await?;
        Ok((page.registrations.iter().map(|one| one.id.clone()).collect(), page))
    };
    let all = v1::ListRequest::default;
    let (ids, page) = list("zoe", all()).await.unwrap();
    assert_eq!((ids, page.total_size), (vec![zoes.id.clone()], 0));
    let (ids, page) = list("service", all()).await.unwrap();
    assert_eq!((ids, page.total_size), (vec![bobs.id.clone(), zoes.id.clone()], 0));
    assert_eq!(list("auditor", all()).await.unwrap().1.total_size, 3);
    let of_bob = v1::ListRequest { owner_ref: bobs.owner_ref.clone(), ..all() };
    let of_nobody = v1::ListRequest { owner_ref: "ab".repeat(16), ..all() };
    let (of_bob, of_nobody) = (list("zoe", of_bob).await.unwrap().1, list("zoe", of_nobody).await.unwrap().1);
    assert_eq!(of_bob, of_nobody);
    assert_eq!(of_bob, v1::ListResponse::default());
    let of_elsewhere = v1::ListRequest { owner_ref: elsewhere.owner_ref.clone(), ..all() };
    assert_eq!(list("service", of_elsewhere).await.unwrap().0, [""; 0]);

    let first = v1::ListRequest { page_size: 1, ..all() };
    let token = list("service", first.clone()).await.unwrap().1.next_page_token;
    let next = v1::ListRequest { page_token: token, ..first };
    assert_eq!(list("service", next.clone()).await.unwrap().0, [zoes.id]);
    for other in ["zoe", "admin"] {
        let refused = list(other, next.clone()).await.unwrap_err();
        assert!(refused.message().starts_with("page_token"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_watches_is_told_of_their_own_only_also_of_the_past() {
    let Street { house, zoes, bobs, elsewhere } = Street::new().await;
    // comes last, so that all that could be told of others was told before it
    let zoes_last = house.submit(house.key("service"), "", ZOE).await.id;
    let bobs_last = house.submit(house.key("service"), "", BOB).await.id;
    let of_bob = format!("/events?after=0&owner_ref={}", bobs.owner_ref);
    for (who, path, own, others) in [
        ("zoe", "/events?after=0", [&zoes.id, &zoes_last], [&bobs.id, &elsewhere.id]),
        ("bob", of_bob.as_str(), [&bobs.id, &bobs_last], [&zoes.id, &elsewhere.id]),
    ] {
        let mut parts = house.get(path, Some(house.key(who))).await.bytes_stream();
        let mut text = String::new();
        let reading = async {
            while !own.iter().all(|id| text.contains(*id)) {
                let part = parts.next().await.expect("the stream stays").unwrap();
                text.push_str(&String::from_utf8_lossy(&part));
            }
        };
        tokio::time::timeout(PATIENCE, reading).await.expect("it is told in time");
        assert!(others.iter().all(|id| !text.contains(*id)), "{who}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_service_hands_over_is_of_its_tenant_whatever_it_says() {
    let Street { house, bobs, .. } = Street::new().await;
    let requests = vec![of("another", ZOE), v1::SubmitRequest { request_id: "r1".into(), ..of("", BOB) }];
    let batch = v1::SubmitBatchRequest { requests };
    let key = Some(house.key("service"));
    let answer: v1::SubmitBatchResponse = house.ask("Registrations/SubmitBatch", &batch, key).await.unwrap();
    let tenants: Vec<String> = answer
        .results
        .into_iter()
        .map(|one| match one.result.unwrap() {
            v1::submit_result::Result::Submitted(of) => of.registration.unwrap().tenant,
            v1::submit_result::Result::Error(error) => error.message,
        })
        .collect();
    assert_eq!(tenants, [SHOP, SHOP]);
    // the same request id of another tenant, and of a person of this one, is another request
    let again = v1::SubmitRequest { request_id: "r1".into(), ..of("another", ZOE) };
    for (key, tenant) in [("admin", "another"), ("zoe", SHOP)] {
        let mut again = again.clone();
        again.tenant = tenant.into();
        let told: v1::SubmitResponse = house
            .ask("Registrations/Submit", &again, Some(house.key(key)))
            .await
            .unwrap_or_else(|s| panic!("{key}: {s}"));
        assert!(!told.repeated_request, "{key}");
    }
    let same: v1::SubmitResponse = house
        .ask("Registrations/Submit", &v1::SubmitRequest { tenant: SHOP.into(), ..again }, Some(house.key("zoe")))
        .await
        .unwrap();
    assert!(same.repeated_request);
    // a correction cannot give one's own to somebody else
    let owner = v1::Owner { email: ZOE.into(), ..Default::default() };
    let correction = Some(v1::Correction { owner: Some(owner), ..Default::default() });
    let retry = v1::RetryRequest { id: bobs.id, correction, ..Default::default() };
    let refused = house.rpc("Registrations/Retry", &retry, Some(house.key("bob"))).await.unwrap_err();
    assert!(refused.message().contains("owner.email must be your own"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_acted_is_who_the_key_says_and_not_who_the_request_says() {
    let house = House::new().await;
    let made = house.submit(house.key("service"), "", ZOE).await;
    let pause = json!({ "maker": "norrland", "reason": "they asked", "operator": "somebody else" });
    let paused = house.request(Method::POST, "/api/operations/pause", Some(house.key("operator"))).json(&pause);
    assert_eq!(paused.send().await.unwrap().status(), StatusCode::OK);
    let key = Some(house.key("auditor"));
    let changes: v1::ListMakersResponse =
        house.ask("Operations/ListMakers", &v1::ListMakersRequest { maker: "norrland".into() }, key).await.unwrap();
    let pauses = changes.makers[0].methods.iter().filter_map(|method| method.pause.clone());
    let by: Vec<String> = pauses.map(|pause| pause.by).collect();
    assert!(!by.is_empty() && by.iter().all(|by| by == "operator operator"), "{by:?}");
    let history = house.get(&format!("/api/registration/{}/history", made.id), key).await.text().await.unwrap();
    assert!(history.contains("client crm"), "{history}");
    let refused = house.rpc("Registrations/Submit", &product("Norrland", "VK", "NO10000001"), key).await.unwrap_err();
    assert_eq!(refused.code(), Code::PermissionDenied);
}
