//! Broken calls: what is certain, and what nobody knows.

use std::time::Duration;

use events::ErrorKind;
use regflow_connectors::{Catalog, Connector};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{client, details, kind, request};

const TOKEN: &str =
    "HTTP/1.1 200 OK\r\ncontent-length: 36\r\nconnection: close\r\n\r\n{\"access_token\":\"t\",\"expires_in\":60}";

/// What a broken maker does once it has read the request.
#[derive(Clone, Copy)]
enum Then {
    Close,
    Hang,
    /// Begins a 201 and never ends it.
    Stammer,
}

/// A maker that gives tokens and breaks at everything else.
async fn broken(then: Then) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream, then));
        }
    });
    url
}

async fn serve(mut stream: TcpStream, then: Then) {
    let mut buffer = vec![0; 16 * 1024];
    let length = stream.read(&mut buffer).await.unwrap_or(0);
    if String::from_utf8_lossy(&buffer[..length]).contains("/oauth/token") {
        stream.write_all(TOKEN.as_bytes()).await.unwrap();
        return;
    }
    match then {
        Then::Close => {}
        Then::Hang => std::future::pending().await,
        Then::Stammer => {
            stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 500\r\n\r\n{\"status\":").await.unwrap();
        }
    }
}

/// A shipped connector at this address that waits only a moment.
fn hasty(id: &str, url: &str) -> Connector {
    let path = format!("{}/catalog/{id}.toml", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let text =
        text.replace("timeout_ms = 10_000", "timeout_ms = 300").replace("timeout_ms = 15_000", "timeout_ms = 300");
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(format!("{id}.toml")), text).unwrap();
    let catalog = Catalog::load(Some(folder.path())).unwrap().with_sandbox(Some(url.parse().unwrap()));
    Connector::clone(catalog.get(id).unwrap())
}

async fn kind_of(id: &str, then: Then) -> ErrorKind {
    let url = broken(then).await;
    kind(client().register(&hasty(id, &url), &request(&details())).await)
}

#[tokio::test]
async fn a_connection_dropped_after_sending_is_unknown_unless_repeatable() {
    assert_eq!(kind_of("kestrel", Then::Close).await, ErrorKind::UnknownOutcome);
    assert_eq!(kind_of("norrland", Then::Close).await, ErrorKind::Network);
}

#[tokio::test]
async fn a_timeout_after_sending_is_unknown_unless_repeatable() {
    assert_eq!(kind_of("kestrel", Then::Hang).await, ErrorKind::UnknownOutcome);
    assert_eq!(kind_of("norrland", Then::Hang).await, ErrorKind::Timeout);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_unknown_unless_repeatable() {
    assert_eq!(kind_of("kestrel", Then::Stammer).await, ErrorKind::UnknownOutcome);
    assert_eq!(kind_of("norrland", Then::Stammer).await, ErrorKind::Network);
}

#[tokio::test]
async fn a_maker_that_cannot_be_reached_is_a_network_failure_for_all() {
    // bound and dropped: nobody listens there
    let url = format!("http://{}", TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap());
    for id in ["kestrel", "norrland"] {
        assert_eq!(kind(client().register(&hasty(id, &url), &request(&details())).await), ErrorKind::Network, "{id}");
    }
}

#[tokio::test]
async fn a_failure_does_not_hold_the_address_or_the_data() {
    let url = broken(Then::Close).await;
    let failure = crate::support::failure(client().register(&hasty("kestrel", &url), &request(&details())).await);
    assert_eq!(
        failure.detail,
        "the connection broke before the maker answered; whether it took the registration is not known"
    );
    assert!(failure.retry_after.is_none_or(|wait| wait < Duration::from_secs(1)));
}

#[tokio::test]
async fn a_question_about_health_is_not_waited_for_longer_than_a_call() {
    let failure = async |then| {
        let url = broken(then).await;
        client().check_health(&hasty("norrland", &url)).await.unwrap().failure.unwrap()
    };
    assert_eq!(failure(Then::Hang).await, "the maker could not be reached in time");
    assert_eq!(failure(Then::Close).await, "the maker could not be reached");
    assert_eq!(failure(Then::Stammer).await, "the maker's answer broke off");
}
