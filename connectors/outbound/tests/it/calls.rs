//! Calls by HTTP.

use std::time::Duration;

use regflow_outbound::{Client, Reach, Resolver, SendError};
use reqwest::Method;

use crate::{Trap, loopback, lying_resolver, targets};

const TIMEOUT: Duration = Duration::from_secs(5);

fn client(resolver: &Resolver, reach: Reach) -> Client {
    Client::new(reqwest::Client::builder().timeout(TIMEOUT), resolver, reach).unwrap()
}

async fn call(client: &Client, url: &str) -> Result<reqwest::Response, SendError> {
    client.send(client.request(Method::POST, url).body("a person's data")).await
}

#[tokio::test]
async fn a_hundred_hostile_addresses_are_never_called() {
    let (trap, client) = (Trap::new().await, client(&lying_resolver(), Reach::Public));
    let targets = targets(trap.port);
    assert!(targets.len() >= 100, "{}", targets.len());
    let mut refused = 0;
    for target in &targets {
        let error = call(&client, target).await.expect_err(target);
        // the rest is no address to the parser of URLs, or a name that nobody knows
        refused += usize::from(error.refused().is_some());
    }
    assert_eq!(trap.caught(), 0);
    assert!(refused > 100, "only {refused} were refused by what they lead to");
}

#[tokio::test]
async fn a_redirect_is_handed_back_and_never_followed() {
    let trap = Trap::new().await;
    let client = client(&Resolver::of(|_| vec!["127.0.0.1".parse().unwrap()]), Reach::Private);
    let site = tokio::net::TcpListener::bind(loopback(0)).await.unwrap();
    let port = site.local_addr().unwrap().port();
    let target = format!("http://127.0.0.1:{}/", trap.port);
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        for status in [301, 302, 303, 307, 308] {
            let (mut stream, _) = site.accept().await.unwrap();
            let mut asked = [0; 1024];
            let _ = stream.read(&mut asked).await;
            let answer = format!(
                "HTTP/1.1 {status} Elsewhere\r\nLocation: {target}\r\nRefresh: 0;url={target}\r\nConnection: close\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    for status in [301, 302, 303, 307, 308] {
        let answer = call(&client, &format!("http://maker.test:{port}/")).await.unwrap();
        assert_eq!(answer.status().as_u16(), status);
    }
    assert_eq!(trap.caught(), 0);
}

#[tokio::test]
async fn what_is_allowed_does_arrive_so_the_traps_can_catch() {
    let trap = Trap::new().await;
    let private = client(&lying_resolver(), Reach::Private);
    for (count, target) in
        ["http://127.0.0.1:PORT/", "http://2130706433:PORT/", "http://loopback.test:PORT/"].iter().enumerate()
    {
        let answer = call(&private, &target.replace("PORT", &trap.port.to_string())).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(trap.caught(), count + 1);
    }
    for never in ["http://169.254.169.254/", "http://metadata.test/", "http://0.0.0.0:PORT/", "http://nat64.test:PORT/"]
    {
        let error = call(&private, &never.replace("PORT", &trap.port.to_string())).await.unwrap_err();
        assert!(error.refused().is_some(), "{never}: {error}");
    }
}

#[tokio::test]
async fn the_address_that_was_judged_is_the_one_that_is_called() {
    let trap = Trap::new().await;
    let rebinding = client(&lying_resolver(), Reach::Public);
    let target = format!("http://rebind.test:{}/", trap.port);
    for _ in 0..3 {
        let error = call(&rebinding, &target).await.unwrap_err();
        assert!(error.refused().is_some(), "{error}");
        assert!(error.is_connect() && !error.to_string().contains("a person"));
    }
    assert_eq!(trap.caught(), 0);
}
