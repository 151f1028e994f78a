//! The demo: the outside world simulated, the service as it is, a household's products, and all of it shown as it moves.

mod bad_hour;

use std::collections::HashMap;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use proto::v1;
use proto::v1::registrations_client::RegistrationsClient;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;

use crate::cli::DemoArgs;
use crate::client::{self, is_settled};
use crate::config::{AccessMode, Settings};
use crate::household::{self, Ending, Item};
use crate::serve::{self, Running};
use crate::show::{self, Paint, tell};

/// All products must have come to their end by then.
const DEADLINE: Duration = Duration::from_secs(180);
/// How often a spinner turns.
const TICK: Duration = Duration::from_millis(120);
/// The PDFs' folder below the demo's data.
const PACKETS_FOLDER: &str = "packets";
/// What turns before a product that is on its way.
const SPINNER: [&str; 4] = ["◐", "◓", "◑", "◒"];
/// Columns of a product's name.
const NAME_WIDTH: usize = 34;

/// Runs the demo; true when every product came to the end that the file foresees.
pub async fn run(args: DemoArgs) -> anyhow::Result<bool> {
    let items = household::read(&args.file)?;
    if items.is_empty() {
        bail!("{} has no products; add a row below the column names", args.file.display());
    }
    let paint = Paint::stdout();
    let shutdown = serve::shutdown_signal();
    let folder = Folder::new(args.data.as_deref())?;
    tell!("{}", paint.bold("regflow demo"));
    tell!("{}", paint.dim("starting simulated makers, a mailbox, NATS JetStream and the service ..."));
    let sandbox_end = CancellationToken::new();
    let sandbox = sandbox::start(sandbox::Options::default(), sandbox_end.clone()).await?;
    let running = Box::pin(serve::start(settings(&sandbox, &folder.path)?, shutdown.clone())).await?;
    print_addresses(&sandbox, &running, &folder, paint);

    let stays_up = std::io::stdout().is_terminal() && !args.exit;
    let all_as_foreseen = tokio::select! {
        shown = show_them_move(&items, &running, paint) => {
            let ends = shown?;
            let packets = save_packets(&sandbox, &folder.path)?;
            summary(&items, &ends, paint);
            if stays_up {
                where_to_look(&ends, &sandbox, &running, &folder.path, paint);
                bad_hour::begin(&sandbox, &running, paint).await?;
                open_page(&running);
            } else {
                tell!("\n{}", paint.dim("on a terminal it stays up, to look around: status, history, list, mailbox"));
            }
            if let (Some(_), Some(packet)) = (&args.data, packets.first()) {
                tell!("a packet: {}", packet.display());
            }
            ends.iter().zip(&items).all(|(end, item)| end.as_foreseen(item))
        }
        () = shutdown.cancelled() => false,
    };
    if stays_up && !shutdown.is_cancelled() {
        tell!("\n{}", paint.dim("it stays up until Ctrl-C"));
        shutdown.cancelled().await;
    }
    shutdown.cancel();
    running.stopped().await?;
    sandbox_end.cancel();
    sandbox.stopped().await;
    Ok(all_as_foreseen)
}

/// The demo's data: a folder that goes with it, or one that somebody wants to keep.
struct Folder {
    path: PathBuf,
    _temporary: Option<tempfile::TempDir>,
}

impl Folder {
    fn new(kept: Option<&Path>) -> anyhow::Result<Self> {
        if let Some(path) = kept {
            std::fs::create_dir_all(path).with_context(|| format!("failed to make {}", path.display()))?;
            return Ok(Self { path: path.to_owned(), _temporary: None });
        }
        let temporary = tempfile::Builder::new().prefix("regflow-demo-").tempdir()?;
        Ok(Self { path: temporary.path().to_owned(), _temporary: Some(temporary) })
    }
}

/// The defaults, pointed at the simulated outside; gRPC on its usual port when that is free, so that the commands need no address.
fn settings(sandbox: &sandbox::Sandbox, folder: &Path) -> anyhow::Result<Settings> {
    let mut settings = Settings::load(None)?;
    if std::net::TcpListener::bind(settings.server.grpc).is_err() {
        settings.server.grpc = SocketAddr::from(([127, 0, 0, 1], 0));
    }
    if std::net::TcpListener::bind(settings.server.http).is_err() {
        settings.server.http = SocketAddr::from(([127, 0, 0, 1], 0));
    }
    settings.server.data = folder.join("service");
    settings.nats.url = String::new();
    settings.access.mode = AccessMode::Open;
    settings.catalog.sandbox = sandbox.url("/");
    settings.catalog.folder = bad_hour::catalog(folder)?.display().to_string();
    settings.smtp.host = sandbox.smtp_addr.ip().to_string();
    settings.smtp.port = sandbox.smtp_addr.port();
    settings.smtp.tls = mail::Tls::None;
    Ok(settings)
}

fn print_addresses(sandbox: &sandbox::Sandbox, running: &Running, folder: &Folder, paint: Paint) {
    let line = |name: &str, value: String| tell!("  {} {value}", paint.dim(&format!("{name:<9}")));
    line("page", format!("http://{}/", running.http_addr));
    line("makers", sandbox.url("/"));
    line("mailbox", sandbox.url("/mail"));
    line("gRPC", format!("http://{}", running.grpc_addr));
    line("NATS", running.nats_url.clone());
    line("data", folder.path.display().to_string());
    tell!();
}

/// Where there is a desktop.
fn open_page(running: &Running) {
    if std::env::var_os("DISPLAY").or_else(|| std::env::var_os("WAYLAND_DISPLAY")).is_none() {
        return;
    }
    let page = format!("http://{}/operate", running.http_addr);
    let opened = std::process::Command::new("xdg-open").arg(&page).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if let Err(error) = opened {
        tracing::debug!(%error, "the page is not opened by itself");
    }
}

/// One product's end.
struct End {
    registration: v1::Registration,
    refused: Option<String>,
}

impl End {
    fn as_foreseen(&self, item: &Item) -> bool {
        item.expected.is_none_or(|expected| Ending::of(&self.registration) == Some(expected))
    }
}

async fn show_them_move(items: &[Item], running: &Running, paint: Paint) -> anyhow::Result<Vec<End>> {
    let channel = client::connect_plainly(&format!("http://{}", running.grpc_addr)).await?;
    let mut service = RegistrationsClient::new(channel);
    let updates = service.watch(v1::WatchRequest { after_sequence: Some(0), ..Default::default() }).await?.into_inner();
    let mut ends = submit(&mut service, items).await?;
    let mut board = Board::new(&ends, paint);
    let followed = tokio::time::timeout(DEADLINE, follow(updates, &mut ends, &mut board)).await;
    board.finish();
    match followed {
        Ok(result) => result?,
        Err(_) => bail!("after {} s some products have not come to their end", DEADLINE.as_secs()),
    }
    Ok(ends)
}

async fn submit(service: &mut RegistrationsClient<Channel>, items: &[Item]) -> anyhow::Result<Vec<End>> {
    let requests = items.iter().map(|item| item.request.clone()).collect();
    let answer = service.submit_batch(v1::SubmitBatchRequest { requests }).await?.into_inner();
    let ends = answer.results.into_iter().zip(items).map(|(result, item)| match result.result {
        Some(v1::submit_result::Result::Submitted(submitted)) => {
            End { registration: submitted.registration.unwrap_or_default(), refused: None }
        }
        Some(v1::submit_result::Result::Error(error)) => refused(item, error.message),
        None => refused(item, "no answer".to_owned()),
    });
    Ok(ends.collect())
}

fn refused(item: &Item, message: String) -> End {
    let product = item.request.product.clone().unwrap_or_default();
    let registration = v1::Registration { brand: product.brand, model: product.model, ..Default::default() };
    End { registration, refused: Some(message) }
}

async fn follow(mut updates: tonic::Streaming<v1::Update>, ends: &mut [End], board: &mut Board) -> anyhow::Result<()> {
    let places: HashMap<String, usize> =
        ends.iter().enumerate().map(|(place, end)| (end.registration.id.clone(), place)).collect();
    let open = |ends: &[End]| ends.iter().any(|end| end.refused.is_none() && !is_at_its_end(&end.registration));
    let mut turn = tokio::time::interval(TICK);
    while open(ends) {
        let update = tokio::select! {
            update = updates.message() => update?,
            _ = turn.tick() => {
                board.draw();
                continue;
            }
        };
        let Some(update) = update else { bail!("the service ended its stream of updates") };
        let Some(registration) = update.registration else { continue };
        if let Some(&place) = places.get(&registration.id)
            && registration.sequence >= ends[place].registration.sequence
        {
            ends[place].registration = registration;
            board.show(place, &ends[place].registration, &update.events);
        }
    }
    Ok(())
}

/// Settled, and a packet that is due is out.
fn is_at_its_end(registration: &v1::Registration) -> bool {
    let packet_due = registration.packet.as_ref().is_some_and(|packet| packet.state() == v1::PacketState::Due);
    is_settled(registration.state()) && !packet_due
}

/// The moving picture: on a terminal a line a product that is drawn anew, else a line a step.
struct Board {
    picture: Option<ProgressBar>,
    rows: Vec<Row>,
    ticks: usize,
    started: Instant,
    paint: Paint,
}

/// A product's line.
struct Row {
    text: String,
    ended: bool,
}

impl Board {
    fn new(ends: &[End], paint: Paint) -> Self {
        let picture = std::io::stdout().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stdout());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            bar
        });
        let rows = ends.iter().map(|end| Row { text: line(&end.registration, paint), ended: end.refused.is_some() });
        Self { picture, rows: rows.collect(), ticks: 0, started: Instant::now(), paint }
    }

    fn show(&mut self, place: usize, registration: &v1::Registration, events: &[v1::EventView]) {
        let text = line(registration, self.paint);
        if self.picture.is_none() {
            let at = format!("{:>6.2} s", self.started.elapsed().as_secs_f64());
            let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
            tell!("{} {text}  {}", self.paint.dim(&at), self.paint.dim(&names.join(", ")));
        }
        self.rows[place] = Row { text, ended: is_at_its_end(registration) };
    }

    fn draw(&mut self) {
        let Some(picture) = &self.picture else { return };
        self.ticks += 1;
        let turning = SPINNER[self.ticks % SPINNER.len()];
        let width = usize::from(console::Term::stdout().size().1).saturating_sub(1);
        let rows = self.rows.iter().map(|row| {
            let sign = if row.ended { "●" } else { turning };
            console::truncate_str(&format!("{sign} {}", row.text), width, "…").into_owned()
        });
        picture.set_message(rows.collect::<Vec<_>>().join("\n"));
    }

    fn finish(mut self) {
        self.draw();
        if let Some(picture) = self.picture {
            picture.finish();
            tell!();
        }
        tell!();
    }
}

fn line(registration: &v1::Registration, paint: Paint) -> String {
    let name = show::printable(&format!("{} {}", registration.brand, registration.model));
    let name = if name.chars().count() > NAME_WIDTH {
        name.chars().take(NAME_WIDTH - 1).chain(['…']).collect()
    } else {
        name
    };
    let state = paint.state(registration.state(), 16);
    let method = show::method_in_words(registration.method());
    format!("{name:<NAME_WIDTH$} {state} {method:<11} {}", what_happened(registration))
}

fn what_happened(r: &v1::Registration) -> String {
    use v1::RegistrationState as State;
    match r.state() {
        State::Success => show::printable(r.confirmation()),
        State::ManualRequired => show::reason_in_words(r.manual_reason()).to_owned(),
        State::NeedsCorrection => {
            r.corrections.first().map(|p| format!("{} {}", p.field, p.problem)).unwrap_or_default()
        }
        State::Processing | State::Waiting | State::OutcomeUnknown => show::printable(&r.last_error_detail),
        State::Unspecified | State::Pending | State::UserCompleted | State::Cancelled | State::Expired => String::new(),
    }
}

fn summary(items: &[Item], ends: &[End], paint: Paint) {
    let count = |ending| ends.iter().filter(|end| Ending::of(&end.registration) == Some(ending)).count();
    tell!("{}", paint.bold(&format!("{} products", ends.len())));
    for (ending, words) in [
        (Ending::Api, "registered by the maker's API"),
        (Ending::WebForm, "registered by the maker's web form, filled in by a real browser"),
        (Ending::Manual, "prepared for their owner: a packet is in the mailbox"),
        (Ending::Correction, "refused by the maker: their data need a correction"),
    ] {
        tell!("  {:>3} {words}", count(ending));
    }
    for (end, item) in ends.iter().zip(items) {
        if let Some(reason) = &end.refused {
            let product = show::printable(&format!("{} {}", end.registration.brand, end.registration.model));
            tell!("  {} {product}: {}", paint.style("31", "refused"), show::printable(reason));
        } else if !end.as_foreseen(item) {
            let (id, got) = (&end.registration.reference, show::state_word(end.registration.state()));
            tell!("  {} {id} ended as {got}, the file foresees {:?}", paint.style("31", "unforeseen"), item.expected);
        }
    }
}

/// Puts the PDFs of the mailed packets beside the demo's data.
fn save_packets(sandbox: &sandbox::Sandbox, folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let packets = folder.join(PACKETS_FOLDER);
    std::fs::create_dir_all(&packets)?;
    let mut paths = Vec::new();
    for mail in sandbox.mailbox().mails() {
        for number in 1..=mail.attachments.len() {
            let Some((about, bytes)) = mail.attachment(number) else { continue };
            if about.content_type == "application/pdf" {
                let path = packets.join(Path::new(&about.filename).file_name().context("a packet has no name")?);
                std::fs::write(&path, &bytes)?;
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

fn where_to_look(ends: &[End], sandbox: &sandbox::Sandbox, running: &Running, folder: &Path, paint: Paint) {
    let server = match running.grpc_addr.port() {
        7460 => String::new(),
        port => format!(" --server http://127.0.0.1:{port}"),
    };
    let manual = ends.iter().find(|end| Ending::of(&end.registration) == Some(Ending::Manual));
    let form = ends.iter().find(|end| Ending::of(&end.registration) == Some(Ending::WebForm));
    tell!("\n{}", paint.bold("where to look next"));
    let line = |name: &str, value: &str| tell!("  {} {value}", paint.dim(&format!("{name:<9}")));
    let program = std::env::current_exe().map_or_else(|_| "regflow".to_owned(), |path| relative(&path));
    if let Some(end) = form.or(manual) {
        line("status", &format!("{program} status {}{server}", end.registration.id));
        line("history", &format!("{program} audit {}{server}", end.registration.id));
    }
    if let Some(end) = manual {
        line("done", &format!("{program} complete {}{server}", end.registration.id));
    }
    line("list", &format!("{program} list{server}"));
    line("register", &format!("http://{}/", running.http_addr));
    line("operate", &format!("http://{}/operate", running.http_addr));
    line("mailbox", &sandbox.url("/mail"));
    line("ledger", &sandbox.url("/_sandbox"));
    line("packets", &folder.join(PACKETS_FOLDER).display().to_string());
}

/// The path from here when it lies below, which is shorter to type.
fn relative(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    path.strip_prefix(&here).unwrap_or(path).display().to_string()
}
