//! The commands of those who run the service: makers, pauses, circuits, redrives, and the files that describe makers.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::{Client, MethodArg, StateArg};

#[derive(Debug, Args)]
pub struct MakersArgs {
    #[command(flatten)]
    pub client: Client,
    /// Everything about this one; an overview of all when absent
    pub maker: Option<String>,
}

/// Who does it and why; others will ask.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// Why, for those who will ask
    #[arg(long)]
    pub reason: String,
    /// Who does it; your user name when absent
    #[arg(long, env = "REGFLOW_OPERATOR")]
    pub operator: Option<String>,
}

#[derive(Debug, Args)]
pub struct PauseArgs {
    #[command(flatten)]
    pub client: Client,
    /// The maker's id, as `regflow makers` shows it
    pub maker: String,
    /// Only this method; all when absent
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    #[command(flatten)]
    pub why: Why,
}

/// What becomes of a circuit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum CircuitWish {
    /// Hold it open: nothing passes
    Open,
    /// Hold it closed: everything passes, and failures are not counted
    Closed,
    /// Leave it to itself again
    Release,
}

#[derive(Debug, Args)]
pub struct CircuitArgs {
    #[command(flatten)]
    pub client: Client,
    /// What becomes of it
    #[arg(value_enum)]
    pub wish: CircuitWish,
    /// The maker's id, as `regflow makers` shows it
    pub maker: String,
    /// The method whose circuit it is
    #[arg(long, value_enum)]
    pub method: MethodArg,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Debug, Args)]
pub struct RedriveArgs {
    #[command(flatten)]
    pub client: Client,
    /// Only those in this state; may be given more than once; manual-required when absent
    #[arg(long, value_enum)]
    pub state: Vec<StateArg>,
    /// Only those of this maker
    #[arg(long, default_value = "")]
    pub maker: String,
    /// The method to begin at; the first of each maker when absent
    #[arg(long, value_enum)]
    pub from: Option<MethodArg>,
    /// Most registrations, newest first
    #[arg(long, default_value_t = 1_000)]
    pub limit: i32,
    #[command(flatten)]
    pub why: Why,
    /// Do it; without this it is only told what would be done
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Subcommand)]
pub enum WebhooksCommand {
    /// Show the webhooks of the settings and how their deliveries stand
    List(Client),
    /// Deliver to a webhook again what was told from a moment until now, with the same ids
    Redeliver(RedeliverArgs),
}

#[derive(Debug, Args)]
pub struct RedeliverArgs {
    #[command(flatten)]
    pub client: Client,
    /// The webhook's name
    pub name: String,
    /// Its tenant; the server's default when absent
    #[arg(long, default_value = "")]
    pub tenant: String,
    /// What was told at this time or later, for example 2026-11-25T08:00:00Z
    #[arg(long, conflicts_with = "since_sequence", required_unless_present = "since_sequence")]
    pub since: Option<String>,
    /// What has this sequence in the stream NOTIFY or a later one
    #[arg(long)]
    pub since_sequence: Option<u64>,
    #[command(flatten)]
    pub why: Why,
}

#[derive(Debug, Subcommand)]
pub enum ConnectorsCommand {
    /// Explain each mistake in connector files, by line and column
    Check(CheckArgs),
    /// List the makers of the catalog, as their files describe them
    List(CatalogArgs),
}

#[derive(Debug, Args)]
pub struct CheckArgs {
    /// The files
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct CatalogArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
