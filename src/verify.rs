//! `regflow verify`: asks a running service to check its log, or checks a data folder or a NATS server itself.

use std::io::IsTerminal;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use bus::{Check, Embedded, EmbeddedOptions, ReadOptions, Trouble, TrustFolder, WholeLog};
use events::NoteVerifier;
use handlers::system_clock;
use indicatif::{ProgressBar, ProgressStyle};
use proto::v1;
use proto::v1::audit_client::AuditClient;

use crate::cli::VerifyArgs;
use crate::client::{self, ClientError, Wire};
use crate::config::Settings;
use crate::grpc::trust::of_report;
use crate::keys::{self, SIGNING_KEY_FILE};
use crate::secrets;
use crate::serve::{self, NATS_FOLDER, TRUST_FOLDER, VIEWS_FOLDER};
use crate::show::{self, Paint, Tone};
use crate::view_check;

/// How long a NATS server may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Exit code 0 when the log is as it was, 1 when it is not.
pub async fn run(args: VerifyArgs) -> ExitCode {
    match Box::pin(verify(args)).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(ClientError::OutputClosed(_)) => ExitCode::SUCCESS,
        Err(ClientError::Other(error)) => crate::fail(&format!("{error:#}"), 1),
        Err(error) => crate::fail(&error.to_string(), error.exit_code()),
    }
}

async fn verify(args: VerifyArgs) -> Result<bool, ClientError> {
    let known = args.key.as_deref().map(str::parse::<NoteVerifier>).transpose();
    let known = known.map_err(|_| ClientError::Usage("--key is no public key; write it as NAME+HEX+BASE64"))?;
    if args.accept {
        return accept(args).await.map(|()| true);
    }
    if args.print_key {
        let key = match &args.data {
            Some(data) => key_of(data, settings_of(&args)?)?.to_string(),
            None => state(&args).await?.key,
        };
        show::say(&key)?;
        return Ok(true);
    }
    let (report, own) = match (&args.data, &args.nats) {
        (Some(data), _) => of_folder(data, settings_of(&args)?, known.clone()).await?,
        (None, Some(url)) => of_server(url, &args, known.clone()).await?,
        (None, None) => online(&args).await?,
    };
    told(&args, &report, own, known.as_ref())
}

async fn service(args: &VerifyArgs) -> Result<AuditClient<Wire>, ClientError> {
    Ok(AuditClient::new(client::connect(&args.client).await?))
}

async fn state(args: &VerifyArgs) -> Result<v1::LogState, ClientError> {
    Ok(service(args).await?.get_log_state(v1::GetLogStateRequest {}).await?.into_inner())
}

/// The report of a running service, and that its own key was used.
async fn online(args: &VerifyArgs) -> Result<(v1::VerifyReport, bool), ClientError> {
    let mut updates = service(args).await?.verify(v1::VerifyRequest {}).await?.into_inner();
    let bar = bar();
    while let Some(update) = updates.message().await? {
        match update.what {
            Some(v1::verify_update::What::Progress(progress)) => step(&bar, progress.sequence, progress.last),
            Some(v1::verify_update::What::Report(report)) => {
                bar.finish_and_clear();
                return Ok((report, true));
            }
            None => {}
        }
    }
    Err(anyhow::anyhow!("the service ended before its check did; try again").into())
}

/// The log in a data folder that nobody serves.
async fn of_folder(
    data: &Path,
    settings: Settings,
    known: Option<NoteVerifier>,
) -> Result<(v1::VerifyReport, bool), ClientError> {
    let store = data.join(NATS_FOLDER);
    if !store.is_dir() {
        return Err(anyhow::anyhow!("{} has no log of an embedded NATS", data.display()).into());
    }
    let own = known.is_none();
    let key = known.map_or_else(|| key_of(data, settings.clone()), Ok)?;
    let binary = serve::path(&settings.nats.binary);
    let options = EmbeddedOptions { data_dir: store, binary, ..EmbeddedOptions::default() };
    let server = Embedded::start(options).await.context("failed to start the nats-server of the data folder")?;
    let log = WholeLog::connect(&server.client_url(), ReadOptions::default(), CONNECT_TIMEOUT).await;
    let log = log.context("failed to reach the nats-server of the data folder")?;
    let folder = TrustFolder::at(data.join(TRUST_FOLDER));
    let checked = check(Check { log: log.clone(), folder: Some(folder.clone()), key: key.clone() }).await;
    let views = Box::pin(view_check::of_folder(&log, &data.join(VIEWS_FOLDER))).await;
    log.leave();
    server.stop().await;
    let report = checked?;
    let of_log = |trouble: &Trouble| !matches!(trouble, Trouble::BadHead { .. });
    if let Some(trouble) = report.trouble().filter(of_log) {
        // so that the next start does not build upon it
        folder.distrust(&trouble, system_clock()).context("failed to remember that the log is not to be trusted")?;
    }
    Ok((of_report(&report, key.to_string(), views?), own))
}

async fn of_server(
    url: &str,
    args: &VerifyArgs,
    known: Option<NoteVerifier>,
) -> Result<(v1::VerifyReport, bool), ClientError> {
    let missing = ClientError::Usage("with --trust the heads must be checked: give their public key by --key");
    let key = match (known, &args.trust) {
        (Some(key), _) => key,
        (None, Some(_)) => return Err(missing),
        // chains alone need no key
        (None, None) => events::NoteSigner::new("none", &[0; 32]).context("no key")?.verifier().clone(),
    };
    let options = ReadOptions {
        credentials_file: args.credentials.clone(),
        nkey_seed: secrets::secret("REGFLOW_NATS_NKEY")?,
        ca_file: args.client.tls.ca.clone(),
    };
    let log = WholeLog::connect(url, options, CONNECT_TIMEOUT).await.context("failed to reach NATS")?;
    let folder = args.trust.clone().map(TrustFolder::at);
    let shown = if folder.is_some() { key.to_string() } else { String::new() };
    let report = check(Check { log: log.clone(), folder, key }).await?;
    log.leave();
    Ok((of_report(&report, shown, Vec::new()), false))
}

async fn check(check: Check) -> Result<bus::Report, ClientError> {
    let bar = bar();
    let report = Box::pin(check.run(|progress| step(&bar, progress.sequence, progress.last))).await;
    bar.finish_and_clear();
    Ok(report.context("failed to check the log")?)
}

fn bar() -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {human_pos} of {human_len} messages, {per_sec}");
    style.map_or_else(|_| ProgressBar::hidden(), |style| ProgressBar::new(0).with_style(style))
}

fn step(bar: &ProgressBar, at: u64, last: u64) {
    bar.set_length(last);
    bar.set_position(at);
}

fn settings_of(args: &VerifyArgs) -> Result<Settings, ClientError> {
    Ok(crate::settings(args.config.clone())?)
}

/// The public half of the key of a data folder; none is made where there is none.
fn key_of(data: &Path, mut settings: Settings) -> anyhow::Result<NoteVerifier> {
    let is_there = data.join(SIGNING_KEY_FILE).exists() || secrets::secret("REGFLOW_SIGNING_KEY")?.is_some();
    anyhow::ensure!(is_there, "{} has no signing key; give the public one by --key", data.display());
    data.clone_into(&mut settings.server.data);
    Ok(keys::signer(&settings)?.verifier().clone())
}

async fn accept(args: VerifyArgs) -> Result<(), ClientError> {
    let reason = args.reason.clone().unwrap_or_default();
    let user = || std::env::var("USER").ok();
    let operator = args.operator.clone().or_else(user).filter(|name| !name.trim().is_empty());
    let operator = operator
        .ok_or(ClientError::Usage("nobody knows who you are; say so with --operator NAME or REGFLOW_OPERATOR"))?;
    let accepted = match &args.data {
        Some(data) => {
            let folder = TrustFolder::at(data.join(TRUST_FOLDER));
            let accepted = folder.accept(&operator, &reason, system_clock()).context("failed to keep the decision")?;
            let accepted = accepted.context("the log is not read-only; there is nothing to accept")?;
            let trouble = accepted.trouble.to_string();
            v1::AcceptLogResponse { era: accepted.era, trouble, aside: accepted.aside }
        }
        None => service(&args).await?.accept_log(v1::AcceptLogRequest { reason, operator }).await?.into_inner(),
    };
    if args.client.json {
        return Ok(show::say(&show::json(&accepted))?);
    }
    let text = format!(
        "accepted, although {}\nwhat was verified before is kept in {}; verification begins anew",
        accepted.trouble, accepted.aside
    );
    Ok(show::say(&text)?)
}

/// Prints a report; whether all is good.
fn told(
    args: &VerifyArgs,
    report: &v1::VerifyReport,
    own: bool,
    known: Option<&NoteVerifier>,
) -> Result<bool, ClientError> {
    let is_known = known.is_none_or(|known| known.to_string() == report.key || report.key.is_empty());
    if args.client.json {
        show::say(&show::json(report))?;
    } else {
        show::say(&in_words(report, own, Paint::stdout()))?;
    }
    if !is_known {
        return Err(anyhow::anyhow!("the service signs with another key than the one that was given").into());
    }
    Ok(report.good)
}

fn in_words(report: &v1::VerifyReport, own: bool, paint: Paint) -> String {
    let mut lines = vec![match report.first_flaws.first() {
        None => paint.tone("the log is as it was written", Tone::Good),
        Some(flaw) if flaw.sequence > 0 => {
            paint.tone(&format!("the log is NOT as it was written; first bad sequence: {}", flaw.sequence), Tone::Bad)
        }
        Some(_) => paint.tone("something is NOT as it was", Tone::Bad),
    }];
    lines.push(format!(
        "{} messages to sequence {}, {} histories; {} compared with what was verified, {} signed heads fit, the newest of {}",
        report.messages, report.last, report.histories, report.compared, report.heads, report.signed
    ));
    for flaw in &report.first_flaws {
        lines.push(format!("  {:>10}  {}  {}", flaw.sequence, flaw.kind, show::printable(&flaw.text)));
    }
    let more = report.flaws.saturating_sub(report.first_flaws.len() as u64);
    if more > 0 {
        lines.push(format!("  and {more} more"));
    }
    for view in &report.views {
        let verdict = if view.good { paint.dim("as the log makes it") } else { paint.tone(&view.text, Tone::Bad) };
        lines.push(format!("view {} at {}, {} records: {verdict}", view.name, view.position, view.records));
    }
    lines.push(format!("root {}", report.root));
    if !report.key.is_empty() {
        lines.push(format!("key  {}", show::printable(&report.key)));
    }
    if own {
        let note =
            "that is the key of the one who was checked: compare it with one that you know from elsewhere (--key)";
        lines.push(paint.dim(note));
    }
    if report.flaws > 0 && report.signed > 0 {
        lines.push(
            "the log is read-only where messages are wrong; `regflow verify --accept --reason TEXT` takes it as it is"
                .to_owned(),
        );
    }
    lines.join("\n")
}
