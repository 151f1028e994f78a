//! The commands about proofs and about persons.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Client;

#[derive(Debug, Subcommand)]
pub enum ProofCommand {
    /// Get the signed proof of a registration: what was sent, to whom, when, and what came back
    Get(ProofGetArgs),
    /// Check a proof with nothing but its file; exit code 0 when it holds, 1 when it does not
    Verify(ProofVerifyArgs),
}

#[derive(Debug, Args)]
pub struct ProofGetArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id
    pub id: String,
    /// Where to write it; standard output when absent
    #[arg(long, short)]
    pub output: Option<PathBuf>,
    /// A PDF for paper instead of the file that can be checked
    #[arg(long)]
    pub pdf: bool,
    /// Salted hashes in the place of what the owner said
    #[arg(long)]
    pub without_values: bool,
}

#[derive(Debug, Args)]
pub struct ProofVerifyArgs {
    /// The file; `-` for standard input
    pub file: PathBuf,
    /// The public key of whoever should have signed it, NAME+HEX+BASE64; without it the key that the file names is
    /// used, which proves nothing about who signed
    #[arg(long)]
    pub key: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct PersonArgs {
    #[command(flatten)]
    pub client: Client,
    /// Whose customer; the server's default when absent
    #[arg(long, default_value = "")]
    pub tenant: String,
    /// The e-mail address that the products were handed over with
    #[arg(long, conflicts_with = "owner", required_unless_present = "owner")]
    pub email: Option<String>,
    /// The pseudonym of the owner that a status shows
    #[arg(long)]
    pub owner: Option<String>,
}
