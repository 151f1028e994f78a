//! Draws packets that come in on standard input; the service starts it (decisions 15 and 29).

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use typeset::WorkerOptions;

/// As in the service: memory that is not used goes back.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Draw packets that come in on standard input; regflow starts it
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// A folder of further fonts
    #[arg(long)]
    fonts: Option<PathBuf>,
    /// Memory that it may have, in megabytes
    #[arg(long)]
    memory_mb: u64,
    /// How long one packet may take, in milliseconds
    #[arg(long)]
    render_ms: u64,
    /// Look whether the fonts are good, say the version, and end
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    // reads FAILPOINTS in the build that tests use; nothing elsewhere
    let _failpoints = fail::FailScenario::setup();
    let args = Args::parse();
    let done = if args.check { check(&args) } else { work(&args) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn check(args: &Args) -> anyhow::Result<()> {
    args.fonts.as_deref().map_or(Ok(()), typeset::check_fonts)?;
    println!("{}", env!("CARGO_PKG_VERSION"));
    Ok(())
}

fn work(args: &Args) -> anyhow::Result<()> {
    let options = WorkerOptions {
        fonts: args.fonts.clone(),
        memory_max: args.memory_mb << 20,
        deadline: Duration::from_millis(args.render_ms),
        template: template(),
    };
    Ok(typeset::work(&options)?)
}

/// Ours, unless a test wants to see what a bad one does: the value of the failpoint names its file.
fn template() -> Option<String> {
    fail::fail_point!("packet_template", |file| std::fs::read_to_string(file.unwrap_or_default()).ok());
    None
}
