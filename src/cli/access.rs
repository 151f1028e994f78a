//! The command line of access: keys, and how a client reaches a service with TLS.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::access::Role;

/// How a client and the service know each other. The key or token itself never stands on a command line, where others can see
/// it: it comes from `REGFLOW_TOKEN`, or from the file that `REGFLOW_TOKEN_FILE` names.
#[derive(Debug, Clone, Default, Args)]
pub struct ClientTls {
    /// Certificates (PEM) that the service's is checked against; those of this machine when absent
    #[arg(long, env = "REGFLOW_CA")]
    pub ca: Option<PathBuf>,
    /// Own certificate (PEM), for a service that wants one
    #[arg(long, env = "REGFLOW_CERTIFICATE", requires = "certificate_key")]
    pub certificate: Option<PathBuf>,
    /// Its private key (PEM)
    #[arg(long, env = "REGFLOW_CERTIFICATE_KEY", requires = "certificate")]
    pub certificate_key: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum AccessCommand {
    /// Make a key; it is shown once
    Add(AddArgs),
    /// List the keys, without their secrets
    List(ListKeysArgs),
    /// Take a key back; a running service refuses it at once
    Remove(RemoveArgs),
}

impl AccessCommand {
    /// The settings file that was named.
    pub fn config(&self) -> Option<PathBuf> {
        let config = match self {
            Self::Add(args) => &args.config,
            Self::List(args) => &args.config,
            Self::Remove(args) => &args.config,
        };
        config.clone()
    }
}

#[derive(Debug, Args)]
pub struct AddArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// What the key lets do
    #[arg(long, value_enum)]
    pub role: Role,
    /// Who gets it; stands in the log as who acted
    #[arg(long)]
    pub name: String,
    /// Whose service it is; for services and owners
    #[arg(long)]
    pub tenant: Option<String>,
    /// Whose registrations it shows, by the pseudonym that a status has; for owners
    #[arg(long)]
    pub owner: Option<String>,
    /// How many days it works; for ever when absent
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=36_500))]
    pub days: Option<u32>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct ListKeysArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// The key's id, as `regflow access list` shows it
    pub id: String,
}
