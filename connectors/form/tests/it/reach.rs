//! A maker's page that wants to go where no page may: real listeners on loopback count who comes.
//!
//! `maker.test` and `friend.test` stand for the public internet: they lead to a public address, and behind the judgement to
//! this machine. What the pages do is in `hostile_page.js`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use events::{ErrorKind, Outcome};
use outbound::{Reach, Resolver};
use regflow_form::{Browsers, FormReport, Recipe};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

use crate::site::{Reply, Request, Site, page, thanks};
use crate::{RUNTIME, browsers_in, confirmation, failure, folder, may_send};

/// Public by the registries (it answers nobody: AS112), and never really called: see [`to_this_machine`].
const PUBLIC: Ipv4Addr = Ipv4Addr::new(192, 31, 196, 1);
const TARGETS: &str = include_str!("../../../../tests/hostile/targets.txt");
const RECIPE: &str = r##"
    url = "BASE/"
    success = { text_contains = "thank you" }
    [[steps]]
    name = "product"
    submit = ["#send"]
    fields = [{ selectors = ["#serial"], value = "BW12-123456" }]
"##;
/// Ways of the page's script that open a connection to a target.
const WAYS: [&str; 13] = [
    "img", "script", "style", "iframe", "object", "fetch", "beacon", "socket", "events", "worker", "form", "refresh",
    "redirect",
];

/// Catches whoever connects to loopback, by TCP in both families or by UDP, and remembers the first line that was said.
struct Trap {
    port: u16,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Trap {
    fn new() -> Self {
        RUNTIME.block_on(async {
            let lines = Arc::<Mutex<Vec<String>>>::default();
            let v4 = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let port = v4.local_addr().unwrap().port();
            let udp = UdpSocket::bind(("127.0.0.1", port)).await.unwrap();
            tokio::spawn(catch(v4, Arc::clone(&lines)));
            tokio::spawn(catch_datagrams(udp, Arc::clone(&lines)));
            // a machine without IPv6 has none to protect
            if let Ok(v6) = TcpListener::bind(("::1", port)).await {
                tokio::spawn(catch(v6, Arc::clone(&lines)));
            }
            Self { port, lines }
        })
    }

    fn caught(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }
}

async fn catch(listener: TcpListener, lines: Arc<Mutex<Vec<String>>>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let lines = Arc::clone(&lines);
        tokio::spawn(async move {
            let mut said = vec![0; 2048];
            let read = stream.read(&mut said).await.unwrap_or(0);
            let line = String::from_utf8_lossy(&said[..read]).lines().next().unwrap_or_default().to_owned();
            lines.lock().unwrap().push(line);
            let answer =
                "HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";
            let _ = stream.write_all(answer.as_bytes()).await;
        });
    }
}

async fn catch_datagrams(socket: UdpSocket, lines: Arc<Mutex<Vec<String>>>) {
    loop {
        let (length, _) = socket.recv_from(&mut [0; 2048]).await.unwrap();
        lines.lock().unwrap().push(format!("{length} bytes by UDP"));
    }
}

fn to_this_machine(address: SocketAddr) -> SocketAddr {
    if address.ip() == IpAddr::V4(PUBLIC) { (Ipv4Addr::LOCALHOST, address.port()).into() } else { address }
}

/// Names as the public internet and a few liars would answer.
pub fn resolver() -> Resolver {
    Resolver::of(answer).routed(to_this_machine)
}

/// The same, but `rebind.test` is public at the first look, for the page itself.
fn rebinding_resolver() -> Resolver {
    let looks = AtomicUsize::new(0);
    let first = move || looks.fetch_add(1, Ordering::SeqCst) == 0;
    Resolver::of(move |name| if name == "rebind.test" && first() { vec![PUBLIC.into()] } else { answer(name) })
        .routed(to_this_machine)
}

fn answer(name: &str) -> Vec<IpAddr> {
    let leads = |text: &str| vec![text.parse::<IpAddr>().unwrap()];
    match name.trim_end_matches('.') {
        "maker.test" | "friend.test" => vec![PUBLIC.into()],
        "loopback.test" | "rebind.test" | "localhost" | "a.localhost" => leads("127.0.0.1"),
        "loopback6.test" => leads("::1"),
        "mapped.test" => leads("::ffff:127.0.0.1"),
        "compatible.test" => leads("::127.0.0.1"),
        "nat64.test" => leads("64:ff9b::7f00:1"),
        "nothing.test" => leads("0.0.0.0"),
        "nothing6.test" => leads("::"),
        "all.test" => vec![Ipv4Addr::LOCALHOST.into(), "::1".parse().unwrap()],
        "metadata.test" => leads("169.254.169.254"),
        "house.test" => leads("192.168.1.1"),
        _ => Vec::new(),
    }
}

/// Waits for long pages, and does not wait for missing ones.
static PATIENT: LazyLock<Browsers> = LazyLock::new(|| browsers("patient", Duration::from_secs(12), resolver()));
static HASTY: LazyLock<Browsers> = LazyLock::new(|| browsers("hasty", Duration::from_millis(400), resolver()));

fn browsers(name: &str, element_timeout: Duration, resolver: Resolver) -> Browsers {
    let _on_runtime = RUNTIME.enter();
    browsers_in(folder(name), |options| {
        options.element_timeout = element_timeout;
        options.resolver = resolver;
    })
}

fn try_public(browsers: &Browsers, base: &str) -> FormReport {
    let recipe = Recipe { reach: Reach::Public, ..crate::recipe(RECIPE, base) };
    RUNTIME.block_on(browsers.run(&recipe, Vec::new(), may_send()))
}

fn base(name: &str, site: &Site) -> String {
    format!("http://{name}:{}", site.base.rsplit(':').next().unwrap())
}

/// A maker whose form can be sent once its script has tried all targets in all ways.
fn hostile_maker(targets: &[String]) -> Site {
    let script = include_str!("hostile_page.js").replace("TARGETS", &serde_json::to_string(targets).unwrap());
    let form = r#"<form method=post><input id=serial name=serial><button id=send disabled>Send</button></form><div id=room></div>"#;
    let page = crate::site::html(&format!("{form}<script>{script}</script>"));
    Site::new(move |request: &Request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/") => thanks(),
        (_, path) if path.starts_with("/to?") => Reply::Redirect(decoded(&path[4..])),
        _ => Reply::Page(200, page.clone()),
    })
}

fn decoded(query: &str) -> String {
    url::form_urlencoded::parse(query.as_bytes()).map(|(key, _)| key.into_owned()).collect()
}

fn targets(port: u16) -> Vec<String> {
    let lines = TARGETS.lines().filter(|line| !line.is_empty() && !line.starts_with("# "));
    lines.map(|line| line.replace("PORT", &port.to_string())).collect()
}

#[test]
fn a_page_reaches_none_of_a_hundred_hostile_targets_in_any_way() {
    let trap = Trap::new();
    let targets = targets(trap.port);
    assert!(targets.len() >= 100);
    let site = hostile_maker(&targets);
    let report = try_public(&PATIENT, &base("maker.test", &site));
    assert_eq!(trap.caught(), Vec::<String>::new());
    confirmation(&report);
    assert!(report.refused_connections > 100, "only {} connections were refused", report.refused_connections);
}

#[test]
fn each_of_those_ways_does_arrive_at_a_target_that_is_allowed() {
    let trap = Trap::new();
    let site = hostile_maker(&[format!("http://friend.test:{}/", trap.port)]);
    let report = try_public(&PATIENT, &base("maker.test", &site));
    confirmation(&report);
    let caught = trap.caught();
    for way in WAYS {
        assert!(caught.iter().any(|line| line.contains(&format!("way={way}"))), "not by {way}: {caught:#?}");
    }
}

#[test]
fn a_form_whose_address_leads_to_this_machine_is_not_opened() {
    let trap = Trap::new();
    for host in ["127.0.0.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "localhost", "loopback.test", "all.test"] {
        let found = failure(try_public(&HASTY, &format!("http://{host}:{}", trap.port)));
        assert_eq!(found.kind, ErrorKind::FormChanged, "{host}: {}", found.detail);
        assert!(found.detail.contains("only the public internet is allowed"), "{host}: {}", found.detail);
    }
    for address in ["file:///etc", "data:text/html,x", "view-source:http://127.0.0.1"] {
        let found = failure(try_public(&HASTY, address));
        assert_eq!(found.detail, "the recipe's url is no web address", "{address}");
    }
    assert_eq!(trap.caught(), Vec::<String>::new());
}

#[test]
fn a_page_that_goes_on_to_this_machine_ends_there() {
    let trap = Trap::new();
    let port = trap.port;
    for onward in [
        format!("<meta http-equiv=refresh content='0;url=http://127.0.0.1:{port}/'>"),
        format!("<script>location='http://loopback.test:{port}/'</script>"),
        format!(
            "<form id=f method=post action='http://127.0.0.1:{port}/'><input name=a value=b></form><script>f.submit()</script>"
        ),
        format!("<script>open('http://127.0.0.1:{port}/')</script>"),
        "<script>location='file:///etc/passwd'</script>".to_owned(),
        format!("<script>location='data:text/html,<img src=http://127.0.0.1:{port}/>'</script>"),
    ] {
        let site = Site::new(move |_| page(&onward));
        let report = try_public(&HASTY, &base("maker.test", &site));
        assert!(matches!(report.outcome, Outcome::Failed(_)));
    }
    let site = Site::new(move |_| Reply::Redirect(format!("http://127.0.0.1:{port}/")));
    let found = failure(try_public(&HASTY, &base("maker.test", &site)));
    assert!(found.detail.contains("only the public internet is allowed"), "{}", found.detail);
    assert_eq!(trap.caught(), Vec::<String>::new());
}

#[test]
fn a_name_that_changes_its_address_under_the_page_reaches_nothing() {
    let browsers = browsers("rebinding", Duration::from_secs(12), rebinding_resolver());
    let trap = Trap::new();
    let port = trap.port;
    let form = format!(
        r#"<form><input id=serial name=serial><button id=send disabled>Send</button></form><script>
           fetch('http://rebind.test:{port}/secret').catch(() => document.body.append('thank you')).finally(() => send.disabled = false)
           </script>"#
    );
    let site = Site::new(move |_| page(&form));
    let report = try_public(&browsers, &base("rebind.test", &site));
    assert!(report.refused_connections > 0, "{report:?}");
    assert_eq!(trap.caught(), Vec::<String>::new());
    RUNTIME.block_on(browsers.shutdown());
}

#[test]
fn a_maker_at_home_has_its_own_site_and_nothing_beside_it() {
    let trap = Trap::new();
    let site =
        hostile_maker(&[format!("http://127.0.0.1:{}/", trap.port), format!("http://friend.test:{}/", trap.port)]);
    let recipe = crate::recipe(RECIPE, &site.base);
    let report = RUNTIME.block_on(PATIENT.run(&recipe, Vec::new(), may_send()));
    confirmation(&report);
    assert_eq!(trap.caught(), Vec::<String>::new());
    assert!(report.refused_connections > 10, "{}", report.refused_connections);
}
