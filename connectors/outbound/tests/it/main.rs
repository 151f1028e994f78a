//! Hostile targets on the way of a call and through the proxy: real listeners on loopback count who comes.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod calls;
mod tunnels;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use regflow_outbound::Resolver;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The hostile targets of `tests/hostile/targets.txt`; `PORT` is the port of the listeners.
fn targets(port: u16) -> Vec<String> {
    let lines = include_str!("../../../../tests/hostile/targets.txt").lines();
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(|line| line.replace("PORT", &port.to_string())).collect()
}

/// Listens on loopback in both families on one port, answers whoever comes, and counts.
struct Trap {
    port: u16,
    caught: Arc<AtomicUsize>,
}

impl Trap {
    async fn new() -> Self {
        let caught = Arc::<AtomicUsize>::default();
        let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = v4.local_addr().unwrap().port();
        serve(v4, &caught);
        // a machine without IPv6 has none to protect
        if let Ok(v6) = TcpListener::bind((Ipv6Addr::LOCALHOST, port)).await {
            serve(v6, &caught);
        }
        Self { port, caught }
    }

    fn caught(&self) -> usize {
        self.caught.load(Ordering::SeqCst)
    }
}

fn serve(listener: TcpListener, caught: &Arc<AtomicUsize>) {
    let caught = Arc::clone(caught);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            caught.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut asked = [0; 1024];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok").await;
            });
        }
    });
}

/// Names that lead to where nobody should go; see `tests/hostile/targets.txt`. A rebinding name is public at the first look
/// and loopback at every later one.
fn lying_resolver() -> Resolver {
    let looks = AtomicUsize::new(0);
    Resolver::of(move |name| {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let leads = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
        match name.trim_end_matches('.') {
            "loopback.test" | "localhost" | "a.localhost" => vec![loopback],
            "loopback6.test" => vec![Ipv6Addr::LOCALHOST.into()],
            "mapped.test" => leads("::ffff:127.0.0.1"),
            "compatible.test" => leads("::127.0.0.1"),
            "nat64.test" => leads("64:ff9b::7f00:1"),
            "nothing.test" => leads("0.0.0.0"),
            "nothing6.test" => leads("::"),
            "all.test" => vec![loopback, Ipv6Addr::LOCALHOST.into(), Ipv4Addr::new(10, 0, 0, 1).into()],
            "metadata.test" => leads("169.254.169.254"),
            "house.test" => leads("192.168.1.1"),
            // TEST-NET is not public: stands for a first look that somebody else made
            "rebind.test" if looks.fetch_add(1, Ordering::SeqCst) == 0 => leads("192.0.2.1"),
            "rebind.test" => vec![loopback],
            _ => Vec::new(),
        }
    })
}

fn loopback(port: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, port).into()
}
