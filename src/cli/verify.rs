//! `regflow verify`.

use std::path::PathBuf;

use clap::Args;

use super::Client;

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The service that is asked to check its log, when neither a folder nor a server is named
    #[command(flatten)]
    pub client: Client,
    /// Check a data folder whose service does not run: its nats-server is started for it and stopped after
    #[arg(long, conflicts_with = "nats")]
    pub data: Option<PathBuf>,
    /// With --data: the settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Check the log on this NATS server: its chains, and with --trust what was verified of it
    #[arg(long)]
    pub nats: Option<String>,
    /// With --nats: a .creds file of the account
    #[arg(long, requires = "nats")]
    pub credentials: Option<PathBuf>,
    /// With --nats: the folder of trust (`trust` below a data folder)
    #[arg(long, requires = "nats")]
    pub trust: Option<PathBuf>,
    /// The public key of the signed heads, NAME+HEX+BASE64, known from elsewhere; without it that of the data folder is used
    #[arg(long)]
    pub key: Option<String>,
    /// Print the public key of the data folder, or of the service
    #[arg(long)]
    pub print_key: bool,
    /// Take a log that is read-only as it is now: what was verified is kept aside, and verification begins anew
    #[arg(long, requires = "reason")]
    pub accept: bool,
    /// With --accept: why, for those who will ask
    #[arg(long)]
    pub reason: Option<String>,
    /// With --accept: who decides; your user name when absent
    #[arg(long, env = "REGFLOW_OPERATOR")]
    pub operator: Option<String>,
}
