//! Outside subscribers on NATS: each fact once, as CloudEvents, also across a restart.

use std::time::Duration;

use proto::v1::RegistrationState as State;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::support::{PATIENCE, Service, Stage, days_ago, product};

/// A subscriber by the plain NATS protocol, as any client of any language would be one.
pub struct Subscriber(BufReader<TcpStream>);

impl Subscriber {
    async fn connect(service: &Service) -> Self {
        Self::connect_to(service, "notify.>").await
    }

    pub async fn connect_to(service: &Service, subject: &str) -> Self {
        let address = service.nats_url.strip_prefix("nats://").unwrap();
        let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
        let hello = format!("CONNECT {{\"verbose\":false}}\r\nSUB {subject} 1\r\nPING\r\n");
        stream.write_all(hello.as_bytes()).await.unwrap();
        let mut subscriber = Self(stream);
        while subscriber.line().await != "PONG" {}
        subscriber
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// The next message: subject and body.
    pub async fn next(&mut self) -> (String, Value) {
        let (subject, body) = self.next_bytes().await;
        (subject, serde_json::from_slice(&body).unwrap())
    }

    async fn next_bytes(&mut self) -> (String, Vec<u8>) {
        loop {
            let line = self.line().await;
            let words: Vec<&str> = line.split(' ').collect();
            let (headers, total) = match (words[0], words.as_slice()) {
                ("PING", _) => {
                    self.0.write_all(b"PONG\r\n").await.unwrap();
                    continue;
                }
                ("MSG", [.., total]) => (0, total.parse::<usize>().unwrap()),
                ("HMSG", [.., headers, total]) => (headers.parse().unwrap(), total.parse().unwrap()),
                _ => continue,
            };
            let mut bytes = vec![0; total + 2];
            self.0.read_exact(&mut bytes).await.unwrap();
            return (words[1].to_owned(), bytes[headers..total].to_vec());
        }
    }

    pub async fn next_bytes_in_time(&mut self) -> (String, Vec<u8>) {
        tokio::time::timeout(PATIENCE, self.next_bytes()).await.expect("a message comes")
    }

    /// Publishes JSON with a reply subject.
    pub async fn publish(&mut self, subject: &str, reply: &str, body: &Value) {
        let body = body.to_string();
        let message = format!("PUB {subject} {reply} {}\r\n{body}\r\n", body.len());
        self.0.write_all(message.as_bytes()).await.unwrap();
    }

    /// As `next`, but fails when nothing comes.
    pub async fn next_in_time(&mut self) -> (String, Value) {
        tokio::time::timeout(PATIENCE, self.next()).await.expect("a notification comes")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_last_day_that_comes_near_is_told_while_the_owner_has_the_packet() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut subscriber = Subscriber::connect(&service).await;
    let mut request = product("Veloce", "Gran Fondo", "WV12345679");
    if let Some(purchase) = &mut request.purchase {
        // of thirty days four are left
        purchase.date = days_ago(26).to_string();
    }
    let id = service.submit(request).await.id;
    let told = loop {
        let (subject, told) = subscriber.next().await;
        if subject.ends_with("deadline_near") {
            break told;
        }
    };
    assert_eq!(
        (told["subject"].as_str(), told["data"]["last_day"].as_str()),
        (Some(&*id), Some(&*days_ago(-4).to_string()))
    );
    let seen = service.get(&id).await;
    assert_eq!((seen.state(), seen.register_by), (State::ManualRequired, days_ago(-4).to_string()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_is_told_each_end_once_and_nothing_personal() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut subscriber = Subscriber::connect(&service).await;
    let id = service.submit(product("Norrland", "VK 200", "NL11000001")).await.id;
    let (subject, event) = subscriber.next_in_time().await;
    assert_eq!(subject, format!("notify.default.{}.registration_succeeded", id.replace('-', "")));
    assert_eq!((event["specversion"].as_str(), event["subject"].as_str()), (Some("1.0"), Some(id.as_str())));
    assert_eq!(event["type"], "io.regflow.registration.registration_succeeded.v1");
    assert!(event["data"]["confirmation"].as_str().unwrap().starts_with("NR-"), "{event}");
    assert!(!event.to_string().contains("anary"), "{event}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_restart_nothing_is_told_again_and_what_comes_is() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let mut subscriber = Subscriber::connect(&service).await;
    let first = service.submit(product("Norrland", "VK 200", "NL11000002")).await.id;
    assert!(subscriber.next_in_time().await.0.contains(&first.replace('-', "")));
    // who listens without a stream hears of it a moment before it is stored, and what is not stored is told again
    let stored = async {
        while bus::raw_notified(&service.nats_url).await.unwrap() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("it is stored");
    service.crash().await;

    let mut service = stage.start().await;
    let mut subscriber = Subscriber::connect(&service).await;
    let second = service.submit(product("Norrland", "VK 200", "NL11000003")).await.id;
    service.wait_for_state(&second, State::Success).await;
    // the order of the log is kept, so an old fact that is told again would come before the new one
    assert!(subscriber.next_in_time().await.0.contains(&second.replace('-', "")));
    let more = tokio::time::timeout(Duration::from_millis(300), subscriber.next()).await;
    assert!(more.is_err(), "{more:?}");
}
