//! One walk through every cell of the table in docs/access.md, over gRPC and over HTTP.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use prost::Message;
use prost_types::FileDescriptorSet;
use reqwest::{Method, StatusCode};
use serde_json::Value;
use tonic::Code;

use super::tokens::{self, jwk_of_ed25519, sign_ed25519};
use super::{House, MISSING, ROLES, SHOP};

/// The cells of each row, in the order of the roles.
type Table = BTreeMap<String, Vec<String>>;

/// The lines of the documented table that begin with the name of a row or route in quotation marks of code.
fn documented() -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/access.md")).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("| `"));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect();
    lines.map(cells).collect()
}

fn rows() -> Table {
    let rows = documented().into_iter().filter(|cells| cells.len() == 1 + ROLES.len());
    rows.map(|mut cells| (cells.remove(0), cells)).collect()
}

/// The row that each route stands for.
fn routes() -> BTreeMap<String, String> {
    let routes = documented().into_iter().filter(|cells| cells.len() == 2);
    routes.map(|cells| (cells[0].clone(), cells[1].clone())).collect()
}

fn rpcs() -> BTreeSet<String> {
    let set = FileDescriptorSet::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let services = set.file.iter().filter(|file| file.package() == "regflow.v1").flat_map(|file| &file.service);
    services
        .flat_map(|service| service.method.iter().map(|method| format!("{}/{}", service.name(), method.name())))
        .collect()
}

/// Credentials that let nobody in, each with why.
struct Bad {
    named: Vec<(&'static str, Option<String>)>,
}

impl Bad {
    /// An expired key, wrong ones, and tokens that somebody made up.
    async fn of(house: &House, provider: &Ed25519KeyPair) -> Self {
        let claims = tokens::claims("admin");
        let forged = Ed25519KeyPair::generate().unwrap();
        let (head, body) = house.key("admin").rsplit_once('_').unwrap();
        let turned: String = body.chars().rev().collect();
        let expired = Value::from(1_000_000_000);
        let mut old = claims.clone();
        old["exp"] = expired;
        let own = house.key("auditor").split('_').nth(1).unwrap();
        Self {
            named: vec![
                ("none", None),
                ("an expired key", Some(expired_key(house).await)),
                ("an expired token", Some(sign_ed25519(provider, "k", &old))),
                ("a wrong secret", Some(format!("{head}_{turned}"))),
                ("another key's id", Some(format!("rf_{own}_{body}"))),
                ("an unknown id", Some(format!("rf_000000000000_{body}"))),
                ("a token without signature", Some(tokens::unsigned(&claims))),
                ("a token of another signer", Some(sign_ed25519(&forged, "k", &claims))),
                ("nonsense", Some("admin".to_owned())),
            ],
        }
    }
}

/// A key whose time has passed: made, then changed in the file.
async fn expired_key(house: &House) -> String {
    let key = super::make_key(&house.stage, &["--role", "admin", "--name", "old", "--days", "1"]).await;
    let path = house.stage.data.path().join("access.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let at = text.rfind("expires = \"").unwrap() + "expires = \"".len();
    std::fs::write(&path, format!("{}2001-01-01{}", &text[..at], &text[at + "2001-01-01".len()..])).unwrap();
    key
}

/// A house with an owner's key, and credentials that let nobody in.
async fn house() -> (House, Bad) {
    let provider = Ed25519KeyPair::generate().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let set = serde_json::json!({ "keys": [jwk_of_ed25519("k", provider.public_key().as_ref())] });
    let path = folder.path().join("keys.json");
    std::fs::write(&path, set.to_string()).unwrap();
    let settings = tokens::settings(path.to_str().unwrap());
    let settings: Vec<(&str, &str)> = settings.iter().map(|(key, value)| (*key, value.as_str())).collect();
    let mut house = House::with(&settings).await;
    let own = house.submit(house.key("service"), SHOP, "zoe@example.org").await;
    house.add_owner("owner", &own.owner_ref).await;
    let bad = Bad::of(&house, &provider).await;
    // until the file's last change is seen, the expired key is unknown: both are refused
    (house, bad)
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_every_rpc_is_as_the_table_says() {
    let (rows, rpcs) = (rows(), rpcs());
    let (house, bad) = house().await;
    let mut walked = 0;
    for rpc in &rpcs {
        let cells = rows.get(rpc).unwrap_or_else(|| panic!("docs/access.md has no row for {rpc}"));
        for (why, credential) in &bad.named {
            let refused = house.call(rpc, Vec::new(), credential.as_deref()).await.err().map(|status| status.code());
            assert_eq!(refused, Some(Code::Unauthenticated), "{rpc} with {why}");
        }
        for (role, cell) in ROLES.iter().zip(cells) {
            let refused = house.call(rpc, Vec::new(), Some(house.key(role))).await.err();
            let code = refused.as_ref().map(tonic::Status::code);
            let is_refused = matches!(code, Some(Code::PermissionDenied | Code::Unauthenticated | Code::Unimplemented));
            match cell.as_str() {
                "–" => assert_eq!(code, Some(Code::PermissionDenied), "{rpc} as {role}"),
                "own" | "tenant" | "all" => assert!(!is_refused, "{rpc} as {role}: {refused:?}"),
                other => panic!("`{other}` is no cell of {rpc}"),
            }
            walked += 1;
        }
    }
    assert_eq!(walked, rpcs.len() * ROLES.len());
    let unknown = house.call("Registrations/Nothing", Vec::new(), Some(house.key("admin"))).await.err();
    assert_eq!(unknown.map(|status| status.code()), Some(Code::Unimplemented));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_cell_of_every_route_is_as_the_table_says() {
    let (rows, routes) = (rows(), routes());
    let (house, bad) = house().await;
    let document: Value = house.get("/openapi.json", Some(house.key("admin"))).await.json().await.unwrap();
    let mut walked = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            let route = format!("{} {path}", method.to_uppercase());
            let stands_for = routes.get(&route).unwrap_or_else(|| panic!("docs/access.md has no row for {route}"));
            walk(&house, &bad, &route, stands_for, rows.get(stands_for)).await;
            walked.insert(route);
        }
    }
    // what no document names: pages lead to the login, what is open stays open
    for (route, stands_for) in routes.iter().filter(|(route, _)| !walked.contains(*route)) {
        walk(&house, &bad, route, stands_for, rows.get(stands_for.trim_start_matches("page "))).await;
    }
    assert!(walked.len() > 25, "{walked:?}");
}

async fn walk(house: &House, bad: &Bad, route: &str, stands_for: &str, cells: Option<&Vec<String>>) {
    let (method, path) = route.split_once(' ').unwrap();
    let method: Method = method.parse().unwrap();
    let path = path.replace("{id}", MISSING).replace("{attempt}", "1").replace("{token}", "x");
    let path = path.replace("{*path}", "style.css");
    let is_page = stands_for.starts_with("page ");
    for (why, credential) in &bad.named {
        let answer = house.send(&method, &path, credential.as_deref()).await;
        let status = answer.status();
        match stands_for {
            "anybody" | "a signed link" => assert!(!is_refusal(status), "{route} with {why}: {status}"),
            _ if is_page => {
                let leads_to = answer.headers()["location"].to_str().unwrap();
                assert!(
                    status == StatusCode::SEE_OTHER && leads_to.starts_with("/login?next=%2F"),
                    "{route} with {why}"
                );
            }
            _ => {
                assert_eq!(status, StatusCode::UNAUTHORIZED, "{route} with {why}");
                assert_eq!(answer.headers()["www-authenticate"], "Bearer");
                assert_eq!(answer.headers()["content-type"], "application/problem+json");
            }
        }
    }
    let Some(cells) = cells else {
        assert!(
            matches!(stands_for, "anybody" | "a signed link"),
            "{route} stands for `{stands_for}`, which is no row"
        );
        return;
    };
    for (role, cell) in ROLES.iter().zip(cells) {
        let status = house.send(&method, &path, Some(house.key(role))).await.status();
        match cell.as_str() {
            "–" => assert_eq!(status, StatusCode::FORBIDDEN, "{route} as {role}"),
            _ => assert!(!is_refusal(status) && status != StatusCode::SEE_OTHER, "{route} as {role}: {status}"),
        }
    }
}

fn is_refusal(status: StatusCode) -> bool {
    matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
}
