//! nats/accounts.conf.example on a real server: regflow can do all that it does, an auditor reads, a tenant sees its own
//! notifications, and every other wish is refused.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream::consumer::pull::Config;
use async_nats::{Client, ConnectOptions, Event};
use bytes::Bytes;
use events::seal::MasterKey;
use events::subject;
use futures::StreamExt;
use nkeys::KeyPair;
use regflow_bus::{
    Bus, BusOptions, EventLog, LeaseOptions, Notification, ObjectStore, Recipient, Since, Topology, Writes,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::records::{SHARD, SOON, maker_record, new_id, read, record};

/// The committed file; its users are placeholders.
const EXAMPLE: &str = include_str!("../../../nats/accounts.conf.example");

/// A server with those accounts.
struct Server {
    child: Child,
    url: String,
    seeds: [String; 3],
    _data: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        // both fail only when it has ended already
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

const REGFLOW: usize = 0;
const AUDITOR: usize = 1;
const SHOP: usize = 2;

impl Server {
    fn start() -> Self {
        let pairs = [KeyPair::new_user(), KeyPair::new_user(), KeyPair::new_user()];
        let mut accounts = EXAMPLE.to_owned();
        for (placeholder, pair) in ["UREGFLOW", "UAUDITOR", "USHOP"].into_iter().zip(&pairs) {
            assert_eq!(accounts.matches(&format!("\"{placeholder}\"")).count(), 1, "{placeholder}");
            accounts = accounts.replace(&format!("\"{placeholder}\""), &format!("\"{}\"", pair.public_key()));
        }
        let data = tempfile::tempdir().unwrap();
        std::fs::write(data.path().join("accounts.conf"), accounts).unwrap();
        let conf = format!(
            "listen: 127.0.0.1:-1\nports_file_dir: {0:?}\njetstream {{ store_dir: {0:?}, sync_interval: always }}\n\
             include \"accounts.conf\"\n",
            data.path()
        );
        std::fs::write(data.path().join("server.conf"), conf).unwrap();
        let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/nats-server");
        let binary = if own.exists() { own } else { PathBuf::from("nats-server") };
        let mut command = Command::new(binary);
        let child = command.arg("-c").arg(data.path().join("server.conf")).stderr(Stdio::null()).spawn().unwrap();
        let url = url(data.path());
        Self { child, url, seeds: pairs.map(|pair| pair.seed().unwrap()), _data: data }
    }

    async fn bus(&self) -> Bus {
        let options = BusOptions {
            nkey_seed: Some(self.seeds[REGFLOW].clone().into()),
            writes: Writes::Relaxed,
            ..BusOptions::new(Topology::committed().unwrap(), MasterKey::new([7; 32]))
        };
        Bus::connect(&self.url, options).await.unwrap()
    }

    /// Somebody with a plain client.
    async fn user(&self, who: usize) -> User {
        let (told, refusals) = mpsc::unbounded_channel();
        let options = ConnectOptions::new().nkey(self.seeds[who].clone()).event_callback(move |event| {
            if let Event::ServerError(error) = event {
                // nobody listens any more at the end of the test
                drop(told.send(error.to_string()));
            }
            std::future::ready(())
        });
        User { client: options.connect(&self.url).await.unwrap(), refusals }
    }
}

/// Where the server says that it listens.
fn url(folder: &Path) -> String {
    let deadline = Instant::now() + SOON;
    loop {
        let ports =
            std::fs::read_dir(folder).unwrap().flatten().find(|f| f.path().extension().is_some_and(|e| e == "ports"));
        let text = ports.and_then(|file| std::fs::read_to_string(file.path()).ok()).unwrap_or_default();
        if let Ok(ports) = serde_json::from_str::<serde_json::Value>(&text) {
            return ports["nats"][0].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "nats-server did not start");
        std::thread::sleep(Duration::from_millis(10));
    }
}

struct User {
    client: Client,
    refusals: mpsc::UnboundedReceiver<String>,
}

impl User {
    /// The next refusal that names the subject.
    async fn refused(&mut self, subject: &str) {
        let named = format!("\"{subject}\"");
        let heard = async {
            while let Some(text) = self.refusals.recv().await {
                if text.to_lowercase().contains("permissions violation") && text.contains(&named) {
                    return;
                }
            }
        };
        assert!(tokio::time::timeout(SOON, heard).await.is_ok(), "{subject} was not refused");
    }

    async fn cannot_publish(&mut self, subject: &str) {
        self.client.publish(subject.to_owned(), Bytes::new()).await.unwrap();
        self.refused(subject).await;
    }

    async fn cannot_subscribe(&mut self, subject: &str) {
        let subscription = self.client.subscribe(subject.to_owned()).await.unwrap();
        self.refused(subject).await;
        drop(subscription);
    }
}

fn told(tenant: &str, position: u64) -> Notification {
    let subject = subject::notification(tenant, new_id(), "registration_succeeded");
    Notification { subject, position, traceparent: None, body: Bytes::from(format!("{{\"of\":\"{tenant}\"}}")) }
}

#[tokio::test]
async fn regflow_can_do_all_that_it_does() {
    let server = Server::start();
    let bus = server.bus().await;
    let id = new_id();
    let first = bus.log.append(SHARD, id, &record(None)).await.unwrap();
    bus.log.append_maker(SHARD, "norrland", &maker_record(None)).await.unwrap();
    let more: Vec<_> = (0..40).map(|_| new_id()).collect();
    let fresh = record(None);
    let stored = futures::future::join_all(more.iter().map(|id| bus.log.append(SHARD, *id, &fresh))).await;
    assert!(stored.iter().all(Result::is_ok), "{stored:?}");
    assert_eq!(bus.log.load(SHARD, id).await.unwrap()[0].link(), first);
    let mut follow = bus.log.follow(0).await.unwrap();
    assert_eq!(read(follow.as_mut(), 42).await.len(), 42);

    let (key, _) = bus.keys.lease().await.unwrap();
    bus.keys.destroy(key).await.unwrap();
    assert!(server.bus().await.keys.get(key).await.unwrap().is_none());
    for _ in 0..2 {
        bus.objects.put("packet/a", Bytes::from(vec![7; 300_000])).await.unwrap();
    }
    assert_eq!(bus.objects.get("packet/a").await.unwrap().len(), 300_000);

    let shutdown = CancellationToken::new();
    let lease = bus.lease(LeaseOptions::default(), shutdown.clone()).await.unwrap();
    tokio::time::timeout(SOON, lease.watch().wait_for(|held| *held)).await.unwrap().unwrap();

    let recipient = Recipient {
        name: "webhook-shop-crm".to_owned(),
        filters: subject::notifications_of("shop", &[]),
        ack_wait: Duration::from_secs(5),
    };
    let deliveries = bus.outbox.deliveries(&recipient).await.unwrap();
    assert_eq!(bus.notify.last_position().await, Ok(None));
    bus.notify.publish(vec![told("shop", 1), told("shop", 2)]).await.unwrap();
    for delivery in deliveries.next(2, SOON).await.unwrap() {
        delivery.arrived().await.unwrap();
    }
    let again =
        regflow_bus::Again { since: Since::Sequence(1), operator: "ops".to_owned(), reason: "a test".to_owned() };
    let (name, pending) = bus.outbox.begin_again(&recipient, &again).await.unwrap();
    assert_eq!((pending, bus.outbox.again_names(&recipient).await.unwrap()), (2, vec![name.clone()]));
    let deliveries = bus.outbox.deliveries_again(&name).await.unwrap().unwrap();
    let beside = bus.outbox.deliveries_again(&name).await.unwrap().unwrap();
    for delivery in deliveries.next(2, SOON).await.unwrap() {
        delivery.arrived().await.unwrap();
    }
    assert!(deliveries.remove_if_done().await.unwrap());
    assert!(beside.remove_if_done().await.unwrap(), "another process has removed it");
    assert!(bus.outbox.deliveries_again(&name).await.unwrap().is_none());
    shutdown.cancel();
}

#[tokio::test]
async fn a_tenant_gets_its_own_notifications_and_nothing_else() {
    let server = Server::start();
    let bus = server.bus().await;
    assert_eq!(bus.notify.last_position().await, Ok(None));
    let operator = async_nats::jetstream::new(server.user(REGFLOW).await.client);
    let stream = operator.get_stream(subject::NOTIFY_STREAM).await.unwrap();
    let wanted = Config {
        durable_name: Some("shop".to_owned()),
        filter_subject: "notify.shop.>".to_owned(),
        ..Config::default()
    };
    stream.create_consumer(wanted).await.unwrap();

    let mut shop = server.user(SHOP).await;
    let mut live = shop.client.subscribe("notify.shop.>").await.unwrap();
    // the server answers in order: then it knows the subscription
    let info = shop.client.request("REGFLOW.API.CONSUMER.INFO.NOTIFY.shop", Bytes::new()).await.unwrap();
    let info: serde_json::Value = serde_json::from_slice(&info.payload).unwrap();
    assert_eq!(info["num_pending"], 0, "{info}");
    bus.notify.publish(vec![told("other", 1), told("shop", 2), told("other", 3)]).await.unwrap();
    let heard = tokio::time::timeout(SOON, live.next()).await.unwrap().unwrap();
    assert_eq!(heard.payload, "{\"of\":\"shop\"}");

    // its own consumer, by the plain calls that it may make
    let reply = shop.client.new_inbox();
    let mut inbox = shop.client.subscribe(reply.clone()).await.unwrap();
    let ask = r#"{"batch":10,"expires":1000000000}"#;
    let next = "REGFLOW.API.CONSUMER.MSG.NEXT.NOTIFY.shop";
    shop.client.publish_with_reply(next, reply, ask.into()).await.unwrap();
    let got = tokio::time::timeout(SOON, inbox.next()).await.unwrap().unwrap();
    assert_eq!(got.payload, "{\"of\":\"shop\"}");
    shop.client.publish(got.reply.unwrap(), "+ACK".into()).await.unwrap();
    let settled = async {
        while stream.consumer_info("shop").await.unwrap().num_ack_pending > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(SOON, settled).await.expect("its acknowledgement is taken");
    assert!(
        tokio::time::timeout(Duration::from_millis(300), live.next()).await.is_err(),
        "what others are told does not come"
    );

    for subject in
        [">", "notify.>", "notify.other.>", "notify.*.>", "notify.$operators.>", "reg.>", "circuit.>", "$JS.>", "$KV.>"]
    {
        shop.cannot_subscribe(subject).await;
    }
    let calls = ["INFO", "STREAM.INFO.EVENTS", "STREAM.NAMES", "STREAM.MSG.GET.EVENTS", "DIRECT.GET.EVENTS"];
    let consumers = ["CREATE.NOTIFY.mine", "DURABLE.CREATE.NOTIFY.mine", "MSG.NEXT.NOTIFY.other", "DELETE.NOTIFY.shop"];
    let calls = calls.map(|call| format!("$JS.API.{call}"));
    for subject in calls.into_iter().chain(consumers.map(|call| format!("$JS.API.CONSUMER.{call}"))) {
        shop.cannot_publish(&subject).await;
        shop.cannot_publish(&subject.replace("$JS.", "REGFLOW.")).await;
    }
    for subject in
        ["notify.shop.x.registration_succeeded", "reg.1.x", "$KV.KEYS.x", "$KV.LEASES.shards", "$JS.ACK.EVENTS.x"]
    {
        shop.cannot_publish(subject).await;
    }
    assert_eq!(bus.log.head().await.unwrap().last_sequence, 0, "nothing of it reached the log");
}

#[tokio::test]
async fn an_auditor_reads_the_log_and_stores_nothing() {
    let server = Server::start();
    let bus = server.bus().await;
    bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let mut auditor = server.user(AUDITOR).await;
    let jetstream = async_nats::jetstream::new(auditor.client.clone());
    let stream = jetstream.get_stream(subject::EVENTS_STREAM).await.unwrap();
    assert_eq!(stream.cached_info().state.messages, 1);
    let ordered = async_nats::jetstream::consumer::pull::OrderedConfig::default();
    let mut messages = stream.create_consumer(ordered).await.unwrap().messages().await.unwrap();
    let message = tokio::time::timeout(SOON, messages.next()).await.unwrap().unwrap().unwrap();
    assert!(events::Record::<events::Event>::decode(&message.payload).is_ok());

    let calls = ["STREAM.DELETE.EVENTS", "STREAM.PURGE.EVENTS", "STREAM.UPDATE.EVENTS", "STREAM.MSG.DELETE.EVENTS"];
    for subject in calls.map(|call| format!("$JS.API.{call}")) {
        auditor.cannot_publish(&subject).await;
    }
    for subject in [
        "reg.1.x",
        "circuit.1.x",
        "notify.shop.x.y",
        "$KV.KEYS.x",
        "$JS.API.DIRECT.GET.KV_KEYS",
        "$JS.API.CONSUMER.CREATE.KV_KEYS.x",
        "$JS.API.CONSUMER.CREATE.OBJ_OBJECTS.x",
        "$JS.API.STREAM.INFO.KV_KEYS",
    ] {
        auditor.cannot_publish(subject).await;
    }
    for subject in ["reg.>", "notify.>", "$KV.>", "$JS.>", ">"] {
        auditor.cannot_subscribe(subject).await;
    }
}

#[tokio::test]
async fn not_even_regflow_can_delete_the_log_and_a_stranger_gets_nowhere() {
    let server = Server::start();
    let bus = server.bus().await;
    bus.log.append(SHARD, new_id(), &record(None)).await.unwrap();
    let mut regflow = server.user(REGFLOW).await;
    let calls = [
        "STREAM.DELETE.EVENTS",
        "STREAM.PURGE.EVENTS",
        "STREAM.UPDATE.EVENTS",
        "STREAM.MSG.DELETE.EVENTS",
        "STREAM.DELETE.KV_KEYS",
        "STREAM.PURGE.KV_KEYS",
        "STREAM.CREATE.OTHER",
        "STREAM.RESTORE.EVENTS",
        "ACCOUNT.PURGE.REGFLOW",
        "META.LEADER.STEPDOWN",
    ];
    for subject in calls.map(|call| format!("$JS.API.{call}")) {
        regflow.cannot_publish(&subject).await;
    }
    for subject in ["$SYS.>", "$JS.>", ">"] {
        regflow.cannot_subscribe(subject).await;
    }
    assert_eq!(bus.log.head().await.unwrap().last_sequence, 1);
    assert!(async_nats::connect(&server.url).await.is_err(), "nobody comes in without a key");
    let stranger = KeyPair::new_user().seed().unwrap();
    assert!(ConnectOptions::new().nkey(stranger).connect(&server.url).await.is_err(), "nor with one of their own");
}
