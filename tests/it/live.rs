//! Server-sent events: each record once, in its order, also across a restart in the middle.

use std::time::Duration;

use proto::v1::RegistrationState as State;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use crate::support::{PATIENCE, Service, Stage, product};

/// A browser's EventSource, by hand.
struct Live {
    response: reqwest::Response,
    text: String,
}

/// One event: its id, its name, its data.
#[derive(Debug, Clone, PartialEq)]
struct Told {
    id: u64,
    event: String,
    data: Value,
}

impl Live {
    async fn open(service: &Service, query: &str, last_event_id: Option<u64>) -> Self {
        let mut request = reqwest::Client::new().get(format!("{}/events?{query}", service.http));
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id.to_string());
        }
        let response = request.send().await.unwrap();
        assert_eq!(
            (response.status().as_u16(), &response.headers()[CONTENT_TYPE].as_bytes()[..17]),
            (200, &b"text/event-stream"[..])
        );
        Self { response, text: String::new() }
    }

    /// The next event; nothing when the stream has ended.
    async fn next(&mut self) -> Option<Told> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                if let Some(told) = read(&block) {
                    return Some(told);
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk()).await.expect("news comes").ok()??;
            self.text.push_str(std::str::from_utf8(&chunk).unwrap());
        }
    }
}

/// A block of lines; nothing for a heartbeat.
fn read(block: &str) -> Option<Told> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    let id = field("id:")?.parse().unwrap();
    Some(Told { id, event: field("event:")?.to_owned(), data: serde_json::from_str(field("data:")?).unwrap() })
}

/// Every record of the log in its order, as an auditor reads it.
async fn log(service: &Service, ids: &[String]) -> Vec<u64> {
    let mut sequences = Vec::new();
    for id in ids {
        sequences.extend(service.history(id).await.iter().map(|record| record.sequence));
    }
    sequences.sort_unstable();
    sequences
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_comes_back_after_a_restart_misses_nothing_and_sees_nothing_twice() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut live = Live::open(&service, "", None).await;
    let mut ids = Vec::new();
    for n in 0..4 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NO3000000{n}"))).await.id);
    }
    let mut seen: Vec<u64> = Vec::new();
    // leaves in the middle of it
    for _ in 0..5 {
        seen.push(live.next().await.unwrap().id);
    }
    service.crash().await;

    let mut service = stage.start().await;
    for n in 4..6 {
        ids.push(service.submit(product("Norrland", "VK 200", &format!("NO3000000{n}"))).await.id);
    }
    let mut live = Live::open(&service, "after=0", seen.last().copied()).await;
    for id in &ids {
        service.wait_for_state(id, State::Success).await;
    }
    let expected = log(&service, &ids).await;
    while seen.len() < expected.len() {
        let told = live.next().await.unwrap();
        assert_eq!(
            (told.event.as_str(), told.data["sequence"].as_str()),
            ("registration", Some(told.id.to_string().as_str()))
        );
        seen.push(told.id);
    }
    assert_eq!(seen, expected);
    assert_eq!(service.stop().await, Some(0), "an open stream does not hold up a stop");
    assert_eq!(live.next().await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_registration_and_one_person_are_told_of_only_their_own() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mine = service.submit(product("Norrland", "VK 200", "NO40000001")).await;
    let mut foreign = product("Norrland", "VK 200", "NO40000002");
    foreign.owner.as_mut().unwrap().email = "other@example.org".into();
    let other = service.submit(foreign).await;
    for id in [&mine.id, &other.id] {
        service.wait_for_state(id, State::Success).await;
    }
    for query in [format!("registration={}&after=0", mine.id), format!("owner_ref={}&after=0", mine.owner_ref)] {
        let mut live = Live::open(&service, &query, None).await;
        let mut names = Vec::new();
        for _ in 0..2 {
            let told = live.next().await.unwrap();
            assert_eq!(told.data["registration"]["id"], mine.id.as_str(), "{query}");
            names.push(told.data["events"][0]["name"].as_str().unwrap().to_owned());
        }
        assert_eq!(names, ["submitted", "attempt_succeeded"]);
        let more = tokio::time::timeout(Duration::from_millis(300), live.next()).await;
        assert!(more.is_err(), "{query}: {more:?}");
    }
}
