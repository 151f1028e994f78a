//! The one binary: registers products with their makers, so that nobody loses a warranty to a form.

mod access;
mod audit_cli;
mod bench;
mod catalog;
mod cli;
mod client;
mod config;
mod demo;
mod grpc;
#[cfg(test)]
#[path = "../tests/hostile/values.rs"]
mod hostile_values;
mod household;
mod http;
mod keys;
mod listen;
mod press;
mod proof;
mod secrets;
mod serve;
mod service_file;
mod show;
mod standing;
mod telemetry;
mod trust;
mod verify;
mod view_check;
mod waits;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use rustix::process::{Resource, Rlimit, setrlimit};

use crate::cli::{AccessCommand, Cli, Command, ConnectorsCommand, KeysCommand, PersonCommand, SandboxArgs};
use crate::client::ClientError;
use crate::config::Settings;
use crate::show::tell;
use crate::telemetry::Telemetry;

/// Its reason is a measurement: see Cargo.toml.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Wrong usage or settings.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    no_core_files();
    // reads FAILPOINTS in the build that crash tests use; nothing elsewhere
    let _failpoints = fail::FailScenario::setup();
    let command = Cli::parse().command;
    let mut threads = if matches!(command, Command::Sandbox(_)) {
        // it stands for others' machines, and must not take more of ours than it needs
        tokio::runtime::Builder::new_current_thread()
    } else {
        tokio::runtime::Builder::new_multi_thread()
    };
    let runtime = match threads.enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("failed to start the runtime: {error}"), 1),
    };
    runtime.block_on(run(command))
}

/// A core file would hold keys and personal data in the clear. Children have the limit from us, browsers as well.
fn no_core_files() {
    // it fails only where system calls are filtered; that is no reason to serve nobody
    if let Err(error) = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }) {
        eprintln!("regflow: core files could not be switched off: {error}");
    }
}

async fn run(command: Command) -> ExitCode {
    match command {
        Command::Demo(args) => demonstrate(args).await,
        Command::Serve(args) => Box::pin(serve(args.config)).await,
        Command::Access(command) => access(command),
        Command::Config(args) => print_settings(args.config),
        Command::Sandbox(args) => ended(run_sandbox(args).await.map(|()| true)),
        Command::Bench(args) => ended(Box::pin(bench::run(*args)).await.map(|()| true)),
        Command::Submit(args) => answered(client::submit(*args).await),
        Command::Status(args) => answered(client::status(args).await),
        Command::List(args) => answered(client::list(args).await),
        Command::Watch(args) => answered(client::watch(args).await),
        Command::Complete(args) => answered(client::complete(args).await),
        Command::Cancel(args) => answered(client::cancel(args).await),
        Command::Retry(args) => answered(client::retry(args).await),
        Command::Explain(args) => answered(client::explain(args).await),
        Command::Audit(args) => checked(Box::pin(audit_cli::run(*args)).await),
        Command::Proof(command) => answered(client::proof(command).await),
        Command::Person(PersonCommand::Report(args)) => answered(client::report(args).await),
        Command::Makers(args) => answered(client::makers(args).await),
        Command::Metrics(args) => answered(client::metrics(args).await),
        Command::Pause(args) => answered(client::pause(args).await),
        Command::Resume(args) => answered(client::resume(args).await),
        Command::Circuit(args) => answered(client::circuit(args).await),
        Command::Redrive(args) => answered(client::redrive(args).await),
        Command::Webhooks(command) => answered(client::webhooks(command).await),
        Command::Person(PersonCommand::Forget(args)) => answered(client::forget(args).await),
        Command::Keys(KeysCommand::Rotate(args)) => answered(client::rotate(args).await),
        Command::Connectors(command) => connectors(&command).await,
        Command::Verify(args) => verify::run(args).await,
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "regflow", &mut std::io::stdout());
            ExitCode::SUCCESS
        }
    }
}

/// The demo talks to people itself, so it has no log lines.
async fn demonstrate(args: cli::DemoArgs) -> ExitCode {
    let telemetry = match Telemetry::start(None) {
        Ok(telemetry) => telemetry,
        Err(error) => return fail(&format!("{error:#}"), EXIT_USAGE),
    };
    let shown = Box::pin(demo::run(args)).await;
    telemetry.stop().await;
    ended(shown)
}

/// `regflow.toml` of this folder when none is named.
fn settings(file: Option<std::path::PathBuf>) -> anyhow::Result<Settings> {
    let here = std::path::Path::new("regflow.toml");
    let file = file.or_else(|| here.exists().then(|| here.to_owned()));
    Settings::load(file.as_deref())
}

async fn serve(file: Option<std::path::PathBuf>) -> ExitCode {
    match settings(file) {
        Ok(settings) => {
            let telemetry = match Telemetry::start(Some(&settings.log)) {
                Ok(telemetry) => telemetry,
                Err(error) => return fail(&format!("{error:#}"), EXIT_USAGE),
            };
            let served = Box::pin(serve::run(settings)).await.map(|()| true);
            telemetry.stop().await;
            ended(served)
        }
        Err(error) => fail(&format!("{error:#}"), EXIT_USAGE),
    }
}

/// Mistakes in a file are mistakes of its writer, like those in settings.
async fn connectors(command: &ConnectorsCommand) -> ExitCode {
    let done = match command {
        ConnectorsCommand::Check(args) => catalog::check(args),
        ConnectorsCommand::Look(args) => match settings(args.config.clone()) {
            Ok(settings) => match Box::pin(catalog::look(&args.file, &settings)).await {
                Err(error) => return fail(&format!("{error:#}"), 1),
                looked => looked,
            },
            Err(error) => Err(error),
        },
        ConnectorsCommand::List(args) => settings(args.config.clone()).and_then(|of| catalog::list(&of, args.json)),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(EXIT_USAGE),
        Err(error) => fail(&format!("{error:#}"), EXIT_USAGE),
    }
}

/// Changes the key file, beside the service or without it.
fn access(command: AccessCommand) -> ExitCode {
    let settings = settings(command.config());
    match settings {
        Ok(settings) => ended(access::command::run(command, &settings).map(|()| true)),
        Err(error) => fail(&format!("{error:#}"), EXIT_USAGE),
    }
}

fn print_settings(file: Option<std::path::PathBuf>) -> ExitCode {
    let printed = settings(file).and_then(|settings| {
        let text = toml::to_string_pretty(&secrets::without_secrets(&settings))?;
        Ok((text, secrets::in_words(&settings), waits::in_words(&settings)?))
    });
    match printed {
        Ok((text, secrets, waits)) => {
            tell!("{}\n\n{secrets}\n{waits}", text.trim_end());
            ExitCode::SUCCESS
        }
        Err(error) => fail(&format!("{error:#}"), EXIT_USAGE),
    }
}

async fn run_sandbox(args: SandboxArgs) -> anyhow::Result<()> {
    let shutdown = serve::shutdown_signal();
    let options = sandbox::Options {
        http: args.http,
        smtp: args.smtp,
        latency: std::time::Duration::from_millis(args.latency_ms),
        record_bodies: !args.without_bodies,
    };
    let sandbox = sandbox::start(options, shutdown.clone()).await?;
    if args.json {
        tell!("{}", serde_json::json!({ "http": sandbox.http_addr, "smtp": sandbox.smtp_addr }));
    } else {
        tell!("makers   http://{}/", sandbox.http_addr);
        tell!("mailbox  http://{}/mail", sandbox.http_addr);
        tell!("smtp     {}", sandbox.smtp_addr);
    }
    shutdown.cancelled().await;
    Ok(())
}

fn answered(result: Result<(), ClientError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(ClientError::OutputClosed(_)) => ExitCode::SUCCESS,
        Err(error) => fail(&error.to_string(), error.exit_code()),
    }
}

/// As [`answered`], for a check that can find something.
fn checked(result: Result<bool, ClientError>) -> ExitCode {
    match result {
        Ok(false) => ExitCode::FAILURE,
        Ok(true) => ExitCode::SUCCESS,
        Err(error) => answered(Err(error)),
    }
}

fn ended(result: anyhow::Result<bool>) -> ExitCode {
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => fail(&format!("{error:#}"), 1),
    }
}

fn fail(message: &str, code: u8) -> ExitCode {
    eprintln!("regflow: {message}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use rustix::process::getrlimit;

    use super::*;

    #[test]
    fn a_crash_leaves_no_core_file() {
        no_core_files();
        assert_eq!(getrlimit(Resource::Core), Rlimit { current: Some(0), maximum: Some(0) });
    }
}
