//! The commands of those who check what happened.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use events::Timestamp;

use super::operate::span;
use super::{Client, ClientTls, DEFAULT_SERVER, StateArg};

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct AuditArgs {
    #[command(subcommand)]
    pub command: Option<AuditCommand>,
    #[command(flatten)]
    pub client: Client,
    /// The registration's id; the same as `audit show --id`
    pub id: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Print stored records as a story: of a registration, a person, a maker, or a range of the log
    Show(ShowArgs),
    /// Write stored events as JSON Lines, one CloudEvent a line
    Export(ExportArgs),
    /// Check an exported file, with nothing but the file: lines, order, chains of hashes
    Inspect(InspectArgs),
    /// Show status, circuits and metrics as they were
    AsOf(AsOfArgs),
}

/// Where the log is read. Nothing is sent to anybody else, and nothing is written to it.
#[derive(Debug, Clone, Args)]
pub struct SourceArgs {
    /// Address of the service
    #[arg(long, env = "REGFLOW_SERVER", default_value = DEFAULT_SERVER)]
    pub server: String,
    /// Read from this NATS server instead, without any service
    #[arg(long, value_name = "URL", conflicts_with = "data")]
    pub nats: Option<String>,
    /// A .creds file for that server
    #[arg(long, value_name = "FILE", requires = "nats")]
    pub credentials: Option<PathBuf>,
    /// The certificates are those of the service, or of that server
    #[command(flatten)]
    pub tls: ClientTls,
    /// Read from this data folder instead; no service may run on it
    #[arg(long, value_name = "FOLDER")]
    pub data: Option<PathBuf>,
}

/// Which records.
#[derive(Debug, Clone, Args)]
pub struct WishArgs {
    /// Those of this registration
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with_all = ["owner", "maker"])]
    pub id: String,
    /// Those of the registrations of this person (the pseudonym that a status shows)
    #[arg(long, default_value = "", hide_default_value = true, conflicts_with = "maker")]
    pub owner: String,
    /// With --owner: through whose service they came
    #[arg(long, default_value = "", hide_default_value = true, requires = "owner")]
    pub tenant: String,
    /// This maker's own: circuits, pauses, health, alerts
    #[arg(long, default_value = "", hide_default_value = true)]
    pub maker: String,
    /// With --maker: those of its registrations as well
    #[arg(long, requires = "maker")]
    pub with_registrations: bool,
    /// From this place of the log, or this time, on: 17 or 2026-11-25T08:00:00Z
    #[arg(long, value_parser = moment)]
    pub from: Option<MomentArg>,
    /// Up to this place, or this time
    #[arg(long, value_parser = moment)]
    pub until: Option<MomentArg>,
}

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub wish: WishArgs,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    #[command(flatten)]
    pub wish: WishArgs,
    /// The file to write, whole or not at all; standard output when absent
    #[arg(long, short)]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// An exported file
    pub file: PathBuf,
    /// Print the lines of this registration
    #[arg(long)]
    pub id: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct AsOfArgs {
    #[command(flatten)]
    pub source: SourceArgs,
    /// The moment: a place of the log or a time, such as 17 or 2026-11-25T08:00:00Z
    #[arg(value_parser = moment)]
    pub moment: MomentArg,
    /// Show this registration
    #[arg(long, default_value = "", hide_default_value = true)]
    pub id: String,
    /// List so many registrations, newest first
    #[arg(long, value_name = "ROWS", default_value_t = 0)]
    pub list: u16,
    /// List only those in this state; may be given more than once
    #[arg(long, value_enum)]
    pub state: Vec<StateArg>,
    /// Only this maker's, in the list and in the metrics
    #[arg(long, default_value = "", hide_default_value = true)]
    pub maker: String,
    /// List only those of this person
    #[arg(long, default_value = "", hide_default_value = true)]
    pub owner: String,
    /// How far back the metrics go
    #[arg(long, value_parser = span, default_value = "1h")]
    pub window: Duration,
    /// Settings file with the catalog of makers, when no service is asked; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// A place of the log or a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MomentArg {
    Sequence(u64),
    Time(Timestamp),
}

fn moment(text: &str) -> Result<MomentArg, String> {
    if let Ok(sequence) = text.parse() {
        return match sequence {
            0 => Err("places of the log count from 1".to_owned()),
            sequence => Ok(MomentArg::Sequence(sequence)),
        };
    }
    let time: jiff::Timestamp =
        text.parse().map_err(|_| "write it as a place of the log, 17, or a time, 2026-11-25T08:00:00Z")?;
    Ok(MomentArg::Time(time.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_place_or_a_time() {
        assert_eq!(moment("17"), Ok(MomentArg::Sequence(17)));
        assert_eq!(moment("1970-01-01T00:00:01Z"), Ok(MomentArg::Time(Timestamp(1_000_000))));
        assert!(moment("0").is_err() && moment("yesterday").is_err());
    }
}
