//! `regflow bench`: what it costs and how fast it goes, measured on the real binary with its real NATS server and simulated makers,
//! each a process of its own.
//!
//! A scenario is a file, and what it measures stands at its top: `happy` (with `latency`), `fallback`, `growth`, `rebuild`, `read`;
//! `packet`, `mail` and `form` measure one part each by itself, without a service, and `peer` what a user would pick instead as well.
//! Each run is a fresh folder, and prints one JSON object on standard output. What they share: `stage` starts and stops processes,
//! `load` sends registrations and waits for their end, `client`, `lean` and `reader` are how, `course` is a load over time, `machine`
//! is how fast the machine was just before, `report` puts the object together. `compare` and `plot` are for people: a table beside
//! earlier runs on standard error, and a picture.

mod client;
mod compare;
mod course;
mod fallback;
mod figures;
mod form;
mod growth;
mod happy;
mod lean;
mod load;
mod machine;
mod mail;
mod packet;
mod peer;
mod plot;
mod read;
mod reader;
mod rebuild;
mod report;
mod stage;
mod stats;
mod usage;

use anyhow::ensure;
use serde_json::Value;

use crate::cli::{BenchArgs, Scenario};
use crate::show::{Paint, tell};

/// Most registrations a second that can be asked for.
const RATE_MAX: u32 = 1_000_000;
/// Most registrations of a run.
const REGISTRATIONS_MAX: usize = 50_000_000;
/// Fewest registrations whose windows can be told apart.
const GROWTH_MIN: usize = 4;
/// Most of what stands side by side: connections, and readers on them.
const CONNECTIONS_MAX: usize = 100;
const READERS_MAX: usize = 10_000;
/// Workers of `pdf`, mails a second of the second part of `mail`, and rounds of `form`.
const PACKET_WORKERS: usize = 2;
const MAILS_PER_S: u32 = 300;
const FORM_ROUNDS: usize = 5;
/// Most runs of one command.
const RUNS_MAX: usize = 100;

/// Runs and prints one JSON object a run.
pub async fn run(args: BenchArgs) -> anyhow::Result<()> {
    check(&args)?;
    let earlier = match &args.compare {
        Some(file) => compare::of_scenario(&compare::read(file)?, name(&args))?,
        None => Vec::new(),
    };
    let stopped = crate::serve::shutdown_signal();
    let mut runs = Vec::new();
    for _ in 0..args.runs {
        let pace = tokio::task::spawn_blocking(machine::pace).await?;
        let mut told = tokio::select! {
            told = once(&args) => told?,
            // what it has started ends with it, and its folder
            () = stopped.cancelled() => anyhow::bail!("stopped by a signal; of this run nothing is told"),
        };
        report::add(&mut told, pace);
        tell!("{}", report::text(&told)?);
        runs.push(told);
    }
    let paint = Paint::stderr();
    if runs.len() > 1 {
        eprintln!("\n{}", compare::summed_up(&runs, paint));
    }
    if !earlier.is_empty() {
        eprintln!("\n{}", compare::compared(&runs, &earlier, paint));
    }
    if let Some(file) = &args.plot {
        plot::draw(file, &runs, &earlier)?;
        eprintln!("\nplotted to {}", file.display());
    }
    Ok(())
}

async fn once(args: &BenchArgs) -> anyhow::Result<Value> {
    match args.scenario {
        Scenario::Happy => Box::pin(happy::run(args)).await,
        Scenario::Latency => Box::pin(happy::latency(args)).await,
        Scenario::Fallback => Box::pin(fallback::run(args)).await,
        Scenario::Growth => Box::pin(growth::run(args)).await,
        Scenario::Rebuild => Box::pin(rebuild::run(args)).await,
        Scenario::Read => Box::pin(read::run(args)).await,
        Scenario::Pdf => report::of_part(packet::run(args.count(), PACKET_WORKERS).await?).await,
        Scenario::Mail => report::of_part(mail::run(args.count(), args.connections, MAILS_PER_S).await?).await,
        Scenario::Form => report::of_part(Box::pin(form::run(args.count(), FORM_ROUNDS)).await?).await,
        Scenario::Peer => report::of_part(Box::pin(peer::run(args)).await?).await,
    }
}

/// As the report names it.
const fn name(args: &BenchArgs) -> &'static str {
    match args.scenario {
        Scenario::Happy if args.rate.is_none() => "happy",
        Scenario::Happy | Scenario::Latency => "open_loop",
        Scenario::Fallback => "fallback",
        Scenario::Growth => "growth",
        Scenario::Rebuild => "rebuild",
        Scenario::Read => "read",
        Scenario::Pdf => "pdf",
        Scenario::Mail => "mail",
        Scenario::Form => "form",
        Scenario::Peer => "peer",
    }
}

fn check(args: &BenchArgs) -> anyhow::Result<()> {
    let least = if args.scenario == Scenario::Growth { GROWTH_MIN } else { 1 };
    let (name, number) =
        if args.has_service() { ("--registrations", args.registrations()) } else { ("--count", args.count()) };
    let bounds = [
        (name, number, least, REGISTRATIONS_MAX),
        ("--batch", args.batch(), 1, 1_000),
        ("--in-flight", args.in_flight, 1, 1_000),
        ("--connections", args.connections, 1, CONNECTIONS_MAX),
        ("--readers", args.readers, 1, READERS_MAX),
        ("--runs", args.runs, 1, RUNS_MAX),
    ];
    for (name, value, least, most) in bounds {
        ensure!((least..=most).contains(&value), "{name} is {value}; give a number from {least} to {most}");
    }
    if let Some(rate) = args.rate {
        ensure!((1..=RATE_MAX).contains(&rate), "--rate is {rate}; give a number from 1 to {RATE_MAX}");
        let takes_rate = matches!(args.scenario, Scenario::Happy | Scenario::Latency | Scenario::Read);
        ensure!(
            takes_rate,
            "--rate is for happy, latency and read; this scenario goes as fast as it can, so leave it out"
        );
    }
    ensure!(
        !(args.relaxed && args.scenario == Scenario::Peer),
        "--relaxed is for regflow alone; the peer flushes each write, so leave it out"
    );
    plot::check(args)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn args(line: &str) -> BenchArgs {
        let words = ["regflow", "bench"].into_iter().chain(line.split_whitespace());
        let Command::Bench(args) = Cli::try_parse_from(words).expect(line).command else { panic!("{line}") };
        *args
    }

    #[test]
    fn without_a_scenario_it_is_the_happy_path() {
        let happy = args("--registrations 20000");
        assert_eq!((happy.scenario, happy.registrations(), happy.batch()), (Scenario::Happy, 20_000, 100));
        assert_eq!(
            (name(&happy), name(&args("--rate 5")), name(&args("latency"))),
            ("happy", "open_loop", "open_loop")
        );
        assert_eq!((args("growth").registrations(), args("pdf").count()), (1_000_000, 500));
        assert_eq!((args("latency").arriving_batch(), args("--rate 5").arriving_batch()), (10, 100));
    }

    #[test]
    fn a_wrong_argument_is_named_with_its_remedy() {
        for (line, says) in [
            ("--registrations 0", "--registrations is 0; give a number from 1"),
            ("growth --registrations 3", "give a number from 4"),
            ("--batch 1001", "--batch is 1001; give a number from 1 to 1000"),
            ("--in-flight 0", "--in-flight is 0"),
            ("pdf --count 0", "--count is 0; give a number from 1"),
            ("--rate 0", "--rate is 0; give a number from 1"),
            ("growth --rate 5", "leave it out"),
            ("--connections 0", "--connections is 0"),
            ("read --readers 0", "--readers is 0"),
            ("--runs 0", "--runs is 0"),
            ("rebuild --plot a.svg", "leave it out"),
            ("peer --plot a.svg", "leave it out"),
            ("peer --relaxed", "leave it out"),
            ("peer --rate 5", "leave it out"),
            ("--plot no/such/folder/a.svg", "make it first"),
        ] {
            let error = check(&args(line)).expect_err(line).to_string();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
