//! The stage: a sandbox in this process and the real binary beside it, both gone when the test ends.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use proto::v1;
use proto::v1::audit_client::AuditClient;
use proto::v1::registrations_client::RegistrationsClient;
use sandbox::Maker;
use sandbox::faults::{Fault, Mode, Scope, Target};
use sandbox::ledger::{Entry, Filter};
use serde_json::Value;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

/// The longest wait for a fact.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at it.
pub const POLL: Duration = Duration::from_millis(20);

/// A sandbox and a data folder; services come and go on them.
pub struct Stage {
    pub sandbox: sandbox::Sandbox,
    pub data: tempfile::TempDir,
    /// Makers whose files differ from the built-in ones.
    catalog: tempfile::TempDir,
    end: CancellationToken,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Stage {
    pub async fn new() -> Self {
        let end = CancellationToken::new();
        let sandbox = sandbox::start(sandbox::Options::default(), end.clone()).await.unwrap();
        let folder = || tempfile::tempdir().unwrap();
        Self { sandbox, data: folder(), catalog: folder(), end }
    }

    /// A maker as in the catalog, but for these changes of its file's text and `more` at its end.
    pub fn maker(&self, name: &str, changes: &[(&str, &str)], more: &str) {
        let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("connectors/catalog/{name}.toml"));
        let mut text = std::fs::read_to_string(built_in).unwrap();
        for (from, to) in changes {
            assert!(text.contains(from), "{name}.toml does not say `{from}`");
            text = text.replace(from, to);
        }
        std::fs::write(self.catalog.path().join(format!("{name}.toml")), format!("{text}\n{more}\n")).unwrap();
    }

    /// The `serve` command on this stage, not started yet.
    pub fn command(&self) -> Command {
        let mut command = regflow();
        command
            .arg("serve")
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env("REGFLOW__SERVER__GRPC", "127.0.0.1:0")
            .env("REGFLOW__SERVER__HTTP", "127.0.0.1:0")
            .env("REGFLOW__SERVER__DATA", self.data.path())
            .env("REGFLOW__CATALOG__SANDBOX", self.sandbox.url("/"))
            .env("REGFLOW__CATALOG__FOLDER", self.catalog.path())
            .env("REGFLOW__ENGINE__LOOKUP_FIRST_MS", "500")
            .env("REGFLOW__ENGINE__LOOKUP_AGAIN_MS", "1500")
            // most stories are told without the letter at their end; owner_mails.rs tells those with it
            .env("REGFLOW__MAIL__PREFERENCE", "manual_only")
            .env("REGFLOW__SMTP__HOST", self.sandbox.smtp_addr.ip().to_string())
            .env("REGFLOW__SMTP__PORT", self.sandbox.smtp_addr.port().to_string())
            .env("REGFLOW__LOG__LEVEL", "warn");
        command
    }

    pub async fn start(&self) -> Service {
        self.start_with(self.command()).await
    }

    pub async fn start_with(&self, mut command: Command) -> Service {
        self.start_at(self.data.path(), &mut command).await
    }

    /// As `start_with`, for a command with a data folder of its own.
    pub async fn start_at(&self, data: &Path, command: &mut Command) -> Service {
        self.try_start_at(data, command).await.unwrap_or_else(|ended| panic!("{ended}"))
    }

    /// As `start_at`, for a service that may end at its start.
    pub async fn try_start_at(&self, data: &Path, command: &mut Command) -> Result<Service, String> {
        let _ = std::fs::remove_file(data.join("service.json"));
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(text) = std::fs::read_to_string(data.join("service.json")) {
                let file: Value = serde_json::from_str(&text).unwrap();
                return Service::connect(child, &file).await.map_err(|error| format!("it is gone again: {error}"));
            }
            if let Some(status) = child.try_wait().unwrap() {
                return Err(format!("the service ended at its start: {status}"));
            }
            assert!(Instant::now() < deadline, "the service did not come up");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Everything that makers received.
    pub fn ledger(&self) -> Vec<Entry> {
        self.sandbox.ledger().entries(&Filter::default(), 1_000)
    }

    /// The one mail in the mailbox, once it is there.
    pub async fn mail(&self) -> sandbox::Mail {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(mail) = self.sandbox.mailbox().mails().first() {
                return (**mail).clone();
            }
            assert!(Instant::now() < deadline, "no mail came");
            tokio::time::sleep(POLL).await;
        }
    }

    /// Sets a fault for a maker.
    pub fn fault(&self, maker: Maker, fault: Fault) {
        self.sandbox.faults().set(Target::Maker(maker), fault);
    }

    /// Brightwell as a maker that does not tell repeats apart, but can be asked; its API goes wrong so.
    pub fn brightwell_can_only_be_asked(&self, fault: Fault) {
        let changes = [("repeatable = true", "repeatable = false"), ("timeout_ms = 10_000", "timeout_ms = 800")];
        self.maker("brightwell", &changes, "");
        self.fault(Maker::Brightwell, fault.at(Scope::Api));
    }

    /// What it took in is not answered, once.
    pub fn loses_an_answer() -> Fault {
        Fault { times: Some(1), ..Fault::lasting(Mode::DropAfterCommit) }
    }

    /// An error status for the next `times` requests, or until cleared.
    pub fn answers(status: u16, times: Option<u32>) -> Fault {
        Fault { times, ..Fault::lasting(Mode::Status { status, retry_after_s: None }) }
    }

    /// When the maker's API received something, oldest first, in seconds after the first.
    pub fn arrivals(&self, maker: Maker) -> Vec<f64> {
        let filter = Filter { maker: Some(maker.slug().to_owned()), ..Filter::default() };
        let mut at: Vec<_> = self.sandbox.ledger().entries(&filter, 10_000).iter().map(|entry| entry.at).collect();
        at.sort();
        at.iter().map(|moment| moment.duration_since(at[0]).as_secs_f64()).collect()
    }

    /// What makers accepted of this serial.
    pub fn accepted(&self, serial: &str) -> usize {
        let filter = Filter { serial: Some(serial.to_owned()), ..Filter::default() };
        self.sandbox.ledger().count(&filter).accepted
    }
}

/// The binary under test.
pub fn regflow() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_regflow"));
    command.stdin(Stdio::null());
    command
}

/// A running service.
pub struct Service {
    pub child: Child,
    pub grpc: String,
    pub http: String,
    nats_pid: Option<u32>,
    pub nats_url: String,
    pub client: RegistrationsClient<Channel>,
}

impl Service {
    async fn connect(child: Child, file: &Value) -> Result<Self, tonic::transport::Error> {
        let grpc = file["grpc"].as_str().unwrap().to_owned();
        let client = RegistrationsClient::connect(grpc.clone()).await?;
        let http = file["http"].as_str().unwrap().to_owned();
        let nats_pid = file["nats_pid"].as_u64().map(|pid| u32::try_from(pid).unwrap());
        let nats_url = file["nats_url"].as_str().unwrap().to_owned();
        Ok(Self { child, grpc, http, nats_pid, nats_url, client })
    }

    /// The same process, at other addresses than before.
    pub async fn moved_to(self, file: &Value) -> Self {
        Self::connect(self.child, file).await.unwrap()
    }

    pub async fn submit(&mut self, request: v1::SubmitRequest) -> v1::Registration {
        let answer = self.client.submit(request).await.unwrap_or_else(|status| panic!("refused: {status}"));
        answer.into_inner().registration.unwrap()
    }

    pub async fn get(&mut self, id: &str) -> v1::Registration {
        self.client.get(v1::GetRequest { id: id.to_owned(), min_sequence: 0 }).await.unwrap().into_inner()
    }

    /// Waits until the view shows it; else prints the history.
    pub async fn wait_for(&mut self, id: &str, fact: impl Fn(&v1::Registration) -> bool) -> v1::Registration {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let seen = self.client.get(v1::GetRequest { id: id.to_owned(), min_sequence: 0 }).await;
            match seen {
                Ok(answer) if fact(answer.get_ref()) => return answer.into_inner(),
                Ok(answer) if Instant::now() > deadline => {
                    panic!("never seen, it stands at {:?}\n{:#?}", answer.into_inner(), self.history(id).await)
                }
                Ok(_) => {}
                Err(status) => assert!(Instant::now() < deadline, "never seen: {status}"),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    pub async fn wait_for_state(&mut self, id: &str, state: v1::RegistrationState) -> v1::Registration {
        self.wait_for(id, |r| r.state() == state).await
    }

    /// A channel for other services.
    pub async fn channel(&self) -> Channel {
        Channel::from_shared(self.grpc.clone()).unwrap().connect().await.unwrap()
    }

    /// Waits until the packet is out, too.
    pub async fn wait_for_packet(&mut self, id: &str) -> v1::Registration {
        self.wait_for(id, |r| r.packet.as_ref().is_some_and(|p| p.state() == v1::PacketState::Sent)).await
    }

    /// All records, oldest first.
    pub async fn history(&self, id: &str) -> Vec<v1::RecordView> {
        let mut audit = AuditClient::connect(self.grpc.clone()).await.unwrap();
        let wish = v1::ReplayRequest { id: id.to_owned(), ..Default::default() };
        let mut records = audit.replay(wish).await.unwrap().into_inner();
        let mut history = Vec::new();
        while let Some(record) = records.message().await.unwrap() {
            history.push(record);
        }
        history
    }

    /// The names of all events, a list a record.
    pub async fn story(&self, id: &str) -> Vec<Vec<String>> {
        let history = self.history(id).await;
        history.into_iter().map(|record| record.events.into_iter().map(|event| event.name).collect()).collect()
    }

    /// Signals the embedded nats-server.
    pub fn signal_nats(&self, name: &str) {
        signal(self.nats_pid.expect("an embedded server"), name);
    }

    /// SIGTERM, and the exit code.
    pub async fn stop(mut self) -> Option<i32> {
        signal(self.child.id().unwrap(), "TERM");
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("it stops in time").unwrap().code()
    }

    /// SIGKILL, as a crash does it.
    pub async fn crash(mut self) {
        self.child.kill().await.unwrap();
    }
}

/// Sends a signal to a process that the test started.
pub fn signal(pid: u32, name: &str) {
    let sent = std::process::Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// When every product of these tests was bought: no maker's last day is near.
pub const BOUGHT_DAYS_AGO: i64 = 10;

/// A day in the past, UTC.
pub fn days_ago(days: i64) -> Date {
    Timestamp::now().to_zoned(TimeZone::UTC).date().checked_sub(days.days()).unwrap()
}

/// A product of `brand` with an owner; the rest as the maker wants it.
pub fn product(brand: &str, model: &str, serial: &str) -> v1::SubmitRequest {
    v1::SubmitRequest {
        product: Some(v1::Product { brand: brand.into(), model: model.into(), serial: serial.into() }),
        purchase: Some(v1::Purchase {
            date: days_ago(BOUGHT_DAYS_AGO).to_string(),
            shop: "Küchenstudio Öl & Co".into(),
            price: "1.249,00 EUR".into(),
            ..Default::default()
        }),
        owner: Some(v1::Owner {
            name: "Zoë Canary-Müller".into(),
            email: "zoe.canary@example.org".into(),
            phone: "+49 30 5550199".into(),
            address: Some(v1::Address {
                street: "Lindenstraße 7a".into(),
                postal_code: "10969".into(),
                city: "Berlin".into(),
                country: "DE".into(),
            }),
        }),
        ..Default::default()
    }
}

/// The service's own vault of keys, looked at from outside.
pub async fn vault(service: &Service, data: &Path) -> std::sync::Arc<bus::KeyVault> {
    let key = bus::load_or_create_key(&data.join("master.key")).unwrap();
    let master = events::seal::MasterKey::new(*key);
    let writes = bus::Writes::Relaxed;
    let options = bus::BusOptions { writes, ..bus::BusOptions::new(bus::Topology::committed().unwrap(), master) };
    bus::Bus::connect(&service.nats_url, options).await.unwrap().keys
}

/// Every file below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The files below a folder that hold one of the texts.
pub fn files_with(folder: &Path, texts: &[&str]) -> Vec<PathBuf> {
    let holds = |path: &PathBuf| {
        let bytes = std::fs::read(path).unwrap_or_default();
        texts.iter().any(|text| bytes.windows(text.len()).any(|window| window == text.as_bytes()))
    };
    files(folder).into_iter().filter(holds).collect()
}
