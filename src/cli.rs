//! The command line.

mod access;
mod audit;
mod bench;
mod operate;
mod persons;
mod proof;
mod verify;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use access::{AccessCommand, AddArgs, ClientTls};
pub use audit::{
    AsOfArgs, AuditArgs, AuditCommand, ExportArgs, InspectArgs, MomentArg, ShowArgs, SourceArgs, WishArgs,
};
pub use bench::{BenchArgs, Over, Scenario};
pub use verify::VerifyArgs;

pub use operate::{
    CheckArgs, CircuitArgs, CircuitWish, ConnectorsCommand, MakersArgs, MetricsArgs, PauseArgs, RedeliverArgs,
    RedriveArgs, WebhooksCommand, Why,
};
pub use persons::{ForgetArgs, KeysCommand, PersonCommand, ReasonArg, RotateArgs};

pub use proof::{PersonArgs, ProofCommand, ProofGetArgs, ProofVerifyArgs};

/// Where clients look for the service.
pub const DEFAULT_SERVER: &str = "http://127.0.0.1:7460";

/// Registers products with their makers, so that nobody loses a warranty to a form.
#[derive(Debug, Parser)]
#[command(version, arg_required_else_help = true, after_help = EXIT_CODES)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

const EXIT_CODES: &str = "Exit codes: 0 done, 1 failed, 2 usage or settings, 3 not found, 4 refused by its state, 5 server unreachable, 6 not let in, 130 interrupted.";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show it all at work: simulated makers, a mailbox and the service, with a household's products
    Demo(DemoArgs),
    /// Run the service
    Serve(ServeArgs),
    /// Hand over a product
    Submit(Box<SubmitArgs>),
    /// Show where a registration stands
    Status(OneArgs),
    /// List registrations, newest first
    List(ListArgs),
    /// Follow one registration, or all, as they move
    Watch(WatchArgs),
    /// Say that a registration was finished by hand
    Complete(CompleteArgs),
    /// Withdraw a registration
    Cancel(CancelArgs),
    /// Try a registration again, perhaps with mended data
    Retry(RetryArgs),
    /// Tell what a registration waits for, what was tried, and what comes next
    Explain(OneArgs),
    /// Print the stored history of a registration; or export, check and look at the past
    Audit(Box<AuditArgs>),
    /// Get the proof of a registration, or check one
    #[command(subcommand)]
    Proof(ProofCommand),
    /// Answer for one person: what was sent about them, and forget them
    #[command(subcommand)]
    Person(PersonCommand),
    /// Show how the makers are doing: health, circuits, rate limits, alerts
    Makers(MakersArgs),
    /// Show how attempts ended over a window: how many went well, how long they took, what failed
    Metrics(MetricsArgs),
    /// Begin no attempt with a maker until it is resumed; nothing that waits is lost
    Pause(PauseArgs),
    /// Take a pause back
    Resume(PauseArgs),
    /// Hold the circuit of a maker's method open or closed, or leave it to itself again
    Circuit(CircuitArgs),
    /// Try registrations again in bulk; without --yes it is only told which
    Redrive(RedriveArgs),
    /// List webhooks and deliver the past again
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Rotate the master key
    #[command(subcommand)]
    Keys(KeysCommand),
    /// Check that the log is the one that was written, message by message; accept one that is not
    Verify(VerifyArgs),
    /// Check and list the files that describe makers
    #[command(subcommand)]
    Connectors(ConnectorsCommand),
    /// Make, list and remove the API keys that let programs and people in
    #[command(subcommand)]
    Access(AccessCommand),
    /// Print the settings in force
    Config(ConfigArgs),
    /// Run the simulated makers and the mailbox alone, for people who write connectors
    Sandbox(SandboxArgs),
    /// Measure it against the sandbox, and print one JSON object a run
    Bench(Box<BenchArgs>),
    /// Print the completion script of a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Where the service is and how to print.
#[derive(Debug, Clone, Args)]
pub struct Client {
    /// Address of the service
    #[arg(long, env = "REGFLOW_SERVER", default_value = DEFAULT_SERVER)]
    pub server: String,
    #[command(flatten)]
    pub tls: ClientTls,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The products: a CSV file as people keep it, or a Homebox export
    #[arg(long, default_value = "examples/household.csv")]
    pub file: PathBuf,
    /// Folder for the demo's data; a temporary one that is removed at the end when absent
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// End when all products have come to their end, also on a terminal
    #[arg(long)]
    pub exit: bool,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Settings file; `regflow.toml` here when there is one
    #[arg(long)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct SubmitArgs {
    #[command(flatten)]
    pub client: Client,
    /// Brand, as on the product
    #[arg(long)]
    pub brand: String,
    /// Model
    #[arg(long)]
    pub model: String,
    /// Serial number
    #[arg(long, default_value = "")]
    pub serial: String,
    /// Day of purchase, YYYY-MM-DD
    #[arg(long, default_value = "")]
    pub purchased: String,
    /// Day of installation, YYYY-MM-DD; some makers count from it
    #[arg(long, default_value = "")]
    pub installed: String,
    /// Day of delivery, YYYY-MM-DD; some makers count from it
    #[arg(long, default_value = "")]
    pub delivered: String,
    /// Shop
    #[arg(long, default_value = "")]
    pub shop: String,
    /// Price with its currency
    #[arg(long, default_value = "")]
    pub price: String,
    /// Owner's name
    #[arg(long)]
    pub name: String,
    /// Owner's e-mail address
    #[arg(long)]
    pub email: String,
    /// Owner's telephone
    #[arg(long, default_value = "")]
    pub phone: String,
    /// Street and number
    #[arg(long, default_value = "")]
    pub street: String,
    /// Postal code
    #[arg(long, default_value = "")]
    pub postal_code: String,
    /// Town
    #[arg(long, default_value = "")]
    pub city: String,
    /// Country, ISO 3166-1 alpha-2
    #[arg(long, default_value = "")]
    pub country: String,
    /// Class in the queue
    #[arg(long, value_enum, default_value_t = PriorityArg::Normal)]
    pub priority: PriorityArg,
    /// Which mails the owner gets; the server's default when absent
    #[arg(long, value_enum)]
    pub mail: Option<MailArg>,
    /// Agree to the maker's advertising
    #[arg(long)]
    pub marketing_consent: bool,
    /// A field that only this maker asks for, NAME=VALUE
    #[arg(long = "extra", value_parser = pair)]
    pub extra: Vec<(String, String)>,
    /// Receipt or invoice: PDF, PNG or JPEG
    #[arg(long)]
    pub proof: Option<PathBuf>,
    /// Your own id for this request: a repeat gets the same registration
    #[arg(long, default_value = "")]
    pub request_id: String,
    /// Only check it
    #[arg(long)]
    pub validate_only: bool,
    /// Stay until it has come to its end
    #[arg(long)]
    pub wait: bool,
}

/// The classes of the queue.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum PriorityArg {
    High,
    Normal,
    Low,
}

/// Which mails the owner gets.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MailArg {
    /// The packet, and a letter when it is registered
    All,
    /// The packet only
    ManualOnly,
    /// None
    None,
}

/// The states that a list can be narrowed to.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum StateArg {
    Pending,
    Processing,
    Waiting,
    OutcomeUnknown,
    Success,
    ManualRequired,
    UserCompleted,
    NeedsCorrection,
    Cancelled,
    Expired,
}

/// The rungs of the ladder.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum MethodArg {
    Api,
    AutomationReliable,
    AssistedManual,
}

#[derive(Debug, Args)]
pub struct OneArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id
    pub id: String,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    #[command(flatten)]
    pub client: Client,
    /// Only those in this state; may be given more than once
    #[arg(long, value_enum)]
    pub state: Vec<StateArg>,
    /// Only those of this maker
    #[arg(long, default_value = "")]
    pub maker: String,
    /// Only those of this owner (the pseudonym that a status shows)
    #[arg(long, default_value = "")]
    pub owner: String,
    /// Most rows
    #[arg(long, default_value_t = 50)]
    pub limit: usize,
    /// Print CSV for a spreadsheet; a value that one would take for a formula has a ' before it
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id; all when absent
    pub id: Option<String>,
    /// Begin after this sequence
    #[arg(long)]
    pub after: Option<u64>,
}

#[derive(Debug, Args)]
pub struct CompleteArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id
    pub id: String,
    /// The maker's confirmation code
    #[arg(long, default_value = "")]
    pub code: String,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id
    pub id: String,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub client: Client,
    /// The registration's id
    pub id: String,
    /// The method to begin at
    #[arg(long, value_enum)]
    pub from: Option<MethodArg>,
    /// Why
    #[arg(long, default_value = "")]
    pub reason: String,
    /// The serial number, mended
    #[arg(long)]
    pub serial: Option<String>,
    /// The model, mended
    #[arg(long)]
    pub model: Option<String>,
    /// The day of purchase, mended
    #[arg(long)]
    pub purchased: Option<String>,
    /// The day of installation, mended
    #[arg(long)]
    pub installed: Option<String>,
    /// The day of delivery, mended
    #[arg(long)]
    pub delivered: Option<String>,
    /// The owner's name, mended
    #[arg(long)]
    pub name: Option<String>,
    /// The owner's e-mail address, mended
    #[arg(long)]
    pub email: Option<String>,
}

#[derive(Debug, Args)]
pub struct SandboxArgs {
    /// Address of the makers and of the mailbox's page
    #[arg(long, default_value = "127.0.0.1:7470")]
    pub http: std::net::SocketAddr,
    /// Address of the mailbox's SMTP
    #[arg(long, default_value = "127.0.0.1:7425")]
    pub smtp: std::net::SocketAddr,
    /// Delay of every maker's answer, in milliseconds
    #[arg(long, default_value_t = 0)]
    pub latency_ms: u64,
    /// Keep none of the bodies that makers receive, for the sake of speed
    #[arg(long)]
    pub without_bodies: bool,
    /// Print the addresses as one line of JSON
    #[arg(long)]
    pub json: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write it as NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        super::Cli::command().debug_assert();
    }
}
