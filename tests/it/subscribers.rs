//! The documented ways to subscribe, done as documented: the example in Python, and what the `nats` CLI sends.

use std::path::Path;
use std::process::Stdio;

use proto::v1::RegistrationState as State;
use serde_json::{Value, json};
use tokio::process::Command;

use crate::notifications::Subscriber;
use crate::support::{PATIENCE, Service, Stage, product};

/// The Python of the tests with its packages.
pub fn python() -> Command {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/test-venv/bin/python");
    assert!(python.exists(), "the Python of the tests is missing; type: make setup-tests");
    let mut command = Command::new(python);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null());
    command.kill_on_drop(true);
    command
}

/// Runs examples/subscriber.py until it has printed `count` lines.
async fn subscriber_prints(service: &Service, count: usize) -> Vec<String> {
    let mut command = python();
    command.args(["examples/subscriber.py", "--server", &service.nats_url, "--durable", "shop"]);
    command.args(["--subject", "notify.default.>", "--validate", "nats/schemas", "--count", &count.to_string()]);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("it ends in time").unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count);
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_in_python_gets_each_fact_once_across_a_restart_of_both() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Norrland", "VK 200", "NL12000001")).await.id;
    // nobody knows this maker: manual_required, then packet_sent
    let second = service.submit(product("Nobodys", "One", "A-1")).await.id;
    service.wait_for_state(&first, State::Success).await;
    service.wait_for_packet(&second).await;
    let mut lines = subscriber_prints(&service, 2).await;
    assert_eq!(service.stop().await, Some(0));

    let mut service = stage.start().await;
    let third = service.submit(product("Norrland", "VK 200", "NL12000002")).await.id;
    service.wait_for_state(&third, State::Success).await;
    lines.extend(subscriber_prints(&service, 2).await);
    let ids: std::collections::BTreeSet<_> = lines.iter().map(|line| line.rsplit_once("id=").unwrap().1).collect();
    assert_eq!(ids.len(), 4, "{lines:#?}");
    for (id, fact) in [
        (&first, "registration_succeeded"),
        (&second, "manual_required"),
        (&second, "packet_sent"),
        (&third, "registration_succeeded"),
    ] {
        let told = lines.iter().filter(|line| line.contains(&format!("{fact}.v1 {id} "))).count();
        assert_eq!(told, 1, "{fact} of {id}: {lines:#?}");
    }
}

/// What docs/notifications.md says.
struct Documented {
    /// The words of `nats consumer add`.
    add: Vec<String>,
    /// The words of `nats consumer next`.
    next: Vec<String>,
    /// The subject of `nats sub`.
    listen: String,
    /// The request by the plain protocol, and its subject.
    request: Value,
    request_subject: String,
    next_subject: String,
}

impl Documented {
    fn read() -> Self {
        let text =
            std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/notifications.md")).unwrap();
        let command = |begin: &str| -> Vec<String> {
            let line = text.lines().map(str::trim).find(|line| line.starts_with(begin)).unwrap();
            line.split(' ').map(|word| word.trim_matches('\'').to_owned()).collect()
        };
        let quoted = |begin: &str| {
            let at = text.find(&format!("`{begin}")).unwrap() + 1;
            text[at..at + text[at..].find('`').unwrap()].to_owned()
        };
        let json = text.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
        Self {
            add: command("nats consumer add"),
            next: command("nats consumer next"),
            listen: command("nats sub").pop().unwrap(),
            request: serde_json::from_str(json).unwrap(),
            request_subject: quoted("$JS.API.CONSUMER.DURABLE.CREATE"),
            next_subject: quoted("$JS.API.CONSUMER.MSG.NEXT"),
        }
    }

    fn flag(&self, name: &str) -> &str {
        let at = self.add.iter().position(|word| word == name).unwrap_or_else(|| panic!("{name} is not documented"));
        &self.add[at + 1]
    }

    /// What the CLI makes of the documented command.
    fn config_of_the_command(&self) -> Value {
        assert!(self.add.iter().any(|word| word == "--pull"));
        let seconds: u64 = self.flag("--wait").strip_suffix('s').unwrap().parse().unwrap();
        json!({
            "stream_name": self.add[3],
            "config": {
                "durable_name": self.add[4],
                "filter_subject": self.flag("--filter"),
                "deliver_policy": self.flag("--deliver"),
                "ack_policy": self.flag("--ack"),
                "ack_wait": seconds * 1_000_000_000,
                "replay_policy": self.flag("--replay"),
            }
        })
    }
}

#[test]
fn the_documented_command_and_the_documented_request_are_the_same() {
    let documented = Documented::read();
    assert_eq!(documented.config_of_the_command(), documented.request);
    let (stream, name) = (&documented.add[3], &documented.add[4]);
    assert_eq!(&documented.next[3..5], [stream.as_str(), name.as_str()]);
    assert_eq!(documented.request_subject, format!("$JS.API.CONSUMER.DURABLE.CREATE.{stream}.{name}"));
    assert_eq!(documented.next_subject, format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{name}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_consumer_of_the_cli_catches_up_and_the_documented_subject_listens() {
    let (documented, stage) = (Documented::read(), Stage::new().await);
    let mut service = stage.start().await;
    let mut listener = Subscriber::connect_to(&service, &documented.listen).await;
    let id = service.submit(product("Norrland", "VK 200", "NL12000003")).await.id;
    let (_, heard) = listener.next_in_time().await;
    assert_eq!(heard["subject"], id);

    let mut client = Subscriber::connect_to(&service, "_INBOX.cli").await;
    client.publish(&documented.request_subject, "_INBOX.cli", &documented.request).await;
    let (_, created) = client.next_in_time().await;
    assert_eq!(created["name"], documented.add[4], "{created}");
    client.publish(&documented.next_subject, "_INBOX.cli", &json!({ "batch": 1, "expires": 5_000_000_000_u64 })).await;
    let (_, caught_up) = client.next_in_time().await;
    assert_eq!(caught_up, heard);
}
