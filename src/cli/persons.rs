//! The commands about persons and the keys that protect their data.

use clap::{Args, Subcommand, ValueEnum};

use super::{Client, PersonArgs};

/// What is done about a person.
#[derive(Debug, Subcommand)]
pub enum PersonCommand {
    /// Show everything that was sent about a person, to whom and when
    Report(PersonArgs),
    /// Forget a person: destroy their keys and files, end what is under way; without --yes it is only told what would go
    Forget(ForgetArgs),
}

/// What is done about the service's own keys.
#[derive(Debug, Subcommand)]
pub enum KeysCommand {
    /// Make a new master key and wrap the keys of all persons anew by it, while everything runs
    Rotate(RotateArgs),
}

#[derive(Debug, Args)]
#[group(id = "who", required = true, multiple = false, args = ["email", "owner"])]
pub struct ForgetArgs {
    #[command(flatten)]
    pub client: Client,
    /// Whose service they registered through; the server's default when absent
    #[arg(long, default_value = "")]
    pub tenant: String,
    /// The person's e-mail address, as it was when they registered
    #[arg(long)]
    pub email: Option<String>,
    /// The person's pseudonym, as a status shows it
    #[arg(long)]
    pub owner: Option<String>,
    /// Why; a word, because a text would be kept for ever and could name them again
    #[arg(long, value_enum)]
    pub reason: ReasonArg,
    /// Do it; without it, only tell
    #[arg(long)]
    pub yes: bool,
}

/// Why a person is forgotten.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ReasonArg {
    /// The person asked for it
    PersonAsked,
    /// An authority or a court ordered it
    Ordered,
    /// The person took their consent back
    ConsentWithdrawn,
    /// The contract or the time to keep the data has ended
    NoLongerNeeded,
    /// It should never have been taken in
    WrongData,
}

#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    pub client: Client,
}
