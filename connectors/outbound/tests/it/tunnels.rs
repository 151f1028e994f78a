//! The proxy, spoken to as a browser would, and as no browser would.

use std::time::Duration;

use regflow_outbound::{Pass, Proxy, Reach, Refused};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use url::{Host, Url};

use crate::{Trap, lying_resolver, targets};

const CONNECTED: u8 = 0;
const NOT_ALLOWED: u8 = 2;
const LIMIT: Duration = Duration::from_secs(10);

/// Asks for a name; the answer's code, or nothing when the proxy hung up.
async fn ask(proxy: &Proxy, name: &[u8], port: u16) -> (Option<u8>, TcpStream) {
    let mut request = vec![5, 1, 0, 5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    request.extend(name);
    request.extend(port.to_be_bytes());
    raw(proxy, &request).await
}

async fn raw(proxy: &Proxy, request: &[u8]) -> (Option<u8>, TcpStream) {
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    stream.write_all(request).await.unwrap();
    code_of(stream).await
}

async fn code_of(mut stream: TcpStream) -> (Option<u8>, TcpStream) {
    let mut answer = [0; 12];
    let answered = timeout(LIMIT, stream.read_exact(&mut answer)).await.expect("the proxy answers or hangs up");
    (answered.ok().map(|_| answer[3]), stream)
}

#[tokio::test]
async fn a_hundred_hostile_names_are_never_connected_to() {
    let (trap, proxy) = (Trap::new().await, Proxy::start(lying_resolver()).await.unwrap());
    proxy.admit(Pass::Public);
    let targets = targets(trap.port);
    for target in &targets {
        // as it stands there, and as a parser of URLs reads it
        let raw = target.split("//").nth(1).unwrap_or(target).split(['/', ':']).next().unwrap();
        let read = Url::parse(target).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
        for name in [raw, &read] {
            let (code, _) = ask(&proxy, name.as_bytes(), trap.port).await;
            assert_ne!(code, Some(CONNECTED), "{target}");
        }
    }
    assert_eq!(trap.caught(), 0);
    let (times, last) = proxy.refused();
    assert!(times > 100, "only {times} were refused by what they lead to");
    assert!(matches!(last, Some(Refused::NotPublic(_))), "{last:?}");
}

#[tokio::test]
async fn addresses_in_bytes_are_judged_like_those_in_words() {
    let (trap, proxy) = (Trap::new().await, Proxy::start(lying_resolver()).await.unwrap());
    proxy.admit(Pass::Public);
    let port = trap.port.to_be_bytes();
    let v4 = [&[5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1][..], &port].concat();
    let mut v6 = vec![5, 1, 0, 5, 1, 0, 4];
    v6.extend("::1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    v6.extend(port);
    let mut mapped = vec![5, 1, 0, 5, 1, 0, 4];
    mapped.extend("::ffff:127.0.0.1".parse::<std::net::Ipv6Addr>().unwrap().octets());
    mapped.extend(port);
    for request in [v4, v6, mapped] {
        assert_eq!(raw(&proxy, &request).await.0, Some(NOT_ALLOWED));
    }
    assert_eq!(trap.caught(), 0);
}

#[tokio::test]
async fn what_is_no_request_is_hung_up_on() {
    let (trap, proxy) = (Trap::new().await, Proxy::start(lying_resolver()).await.unwrap());
    proxy.admit(Pass::Only(Host::parse("127.0.0.1").unwrap(), trap.port));
    let long = [&[5, 1, 0, 5, 1, 0, 3, 255][..], &[b'a'; 255], &[0, 80]].concat();
    for request in [
        &b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n"[..],
        b"CONNECT 127.0.0.1:80 HTTP/1.1\r\n\r\n",
        &[4, 1, 0, 80, 127, 0, 0, 1, 0],
        &[5, 1, 2],
        &[5, 1, 0, 5, 2, 0, 1, 127, 0, 0, 1, 0, 80],
        &[5, 1, 0, 5, 3, 0, 1, 127, 0, 0, 1, 0, 80],
        &[5, 1, 0, 5, 1, 0, 9, 0, 0],
        &[5, 1, 0, 5, 1, 0, 3, 0, 0, 80],
        &[5, 1, 0, 5, 1, 0, 3, 2, 0xff, 0xfe, 0, 80],
        &long,
    ] {
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        stream.write_all(request).await.unwrap();
        // nothing more comes, so that nobody waits for it
        stream.shutdown().await.unwrap();
        assert_ne!(code_of(stream).await.0, Some(CONNECTED), "{request:?}");
    }
    assert_eq!(trap.caught(), 0);
}

#[tokio::test]
async fn one_site_at_home_is_open_and_nothing_beside_it() {
    let (trap, other) = (Trap::new().await, Trap::new().await);
    let proxy = Proxy::start(lying_resolver()).await.unwrap();
    let (code, _) = ask(&proxy, b"127.0.0.1", trap.port).await;
    assert_eq!(code, Some(NOT_ALLOWED), "nothing is open before somebody is admitted");
    let site = Url::parse(&format!("http://127.0.0.1:{}/form", trap.port)).unwrap();
    proxy.admit(Pass::of(&site, Reach::Private));
    let (code, mut stream) = ask(&proxy, b"127.0.0.1", trap.port).await;
    assert_eq!(code, Some(CONNECTED));
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("ok"), "{answer}");
    for (name, port) in [("127.0.0.1", other.port), ("localhost", trap.port), ("::1", trap.port), ("8.8.8.8", 80)] {
        assert_eq!(ask(&proxy, name.as_bytes(), port).await.0, Some(NOT_ALLOWED), "{name}:{port}");
    }
    assert_eq!((trap.caught(), other.caught()), (1, 0));
    assert_eq!(proxy.refused(), (4, Some(Refused::OtherSite)));
}

#[tokio::test]
async fn a_new_pass_cuts_what_was_open() {
    let trap = Trap::new().await;
    let proxy = Proxy::start(lying_resolver()).await.unwrap();
    proxy.admit(Pass::Only(Host::parse("127.0.0.1").unwrap(), trap.port));
    let (code, mut stream) = ask(&proxy, b"127.0.0.1", trap.port).await;
    assert_eq!(code, Some(CONNECTED));
    proxy.admit(Pass::Nowhere);
    let ended = timeout(LIMIT, stream.read(&mut [0; 1])).await.expect("the connection is cut");
    assert!(matches!(ended, Ok(0) | Err(_)));
    assert_eq!(ask(&proxy, b"127.0.0.1", trap.port).await.0, Some(NOT_ALLOWED));
}

#[tokio::test]
async fn a_proxy_that_is_dropped_is_gone_with_its_connections() {
    let trap = Trap::new().await;
    let proxy = Proxy::start(lying_resolver()).await.unwrap();
    proxy.admit(Pass::Only(Host::parse("127.0.0.1").unwrap(), trap.port));
    let (_, mut stream) = ask(&proxy, b"127.0.0.1", trap.port).await;
    let address = proxy.address();
    drop(proxy);
    let ended = timeout(LIMIT, stream.read(&mut [0; 1])).await.expect("the connection is cut");
    assert!(matches!(ended, Ok(0) | Err(_)));
    // the listener goes with its task, a moment later
    timeout(LIMIT, async { while TcpStream::connect(address).await.is_ok() {} }).await.expect("nobody listens");
}
