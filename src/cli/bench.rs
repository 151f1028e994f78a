//! `regflow bench`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// What a run of the benchmark measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scenario {
    /// From the first submit to the last SUCCESS visible, as fast as it goes (20,000); with --rate an open loop
    Happy,
    /// An open loop: each request is sent when it is due, and its time counts from then. Without --rate at half of a peak that
    /// is measured before; then twenty registrations one by one, each alone on the machine
    Latency,
    /// The maker's API answers 503 to the first try of each registration and takes the second (20,000)
    Fallback,
    /// Fills the log (1,000,000), and compares what a registration costs at its beginning and at its end; then memory, the
    /// views' bytes on disk, and how soon a restarted service takes a registration
    Growth,
    /// Fills the log (200,000), deletes the views, and measures how long a start takes that builds them anew
    Rebuild,
    /// Packets, drawn one after the other and by two workers at once (500)
    Pdf,
    /// Letters with a packet, by the service's mailer into a mail server that does nothing but take them (1,000)
    Mail,
    /// Web forms, by the service's browsers and by a plain Playwright script in turn (20 in each of five rounds)
    Form,
    /// Get over gRPC, as many as there are answers for, while registrations arrive at --rate (half of the peak without it)
    Read,
    /// Beside BullMQ on Redis with each write flushed, over HTTP, one after the other: as fast as it goes (20,000), in tens at half
    /// of what BullMQ reached, and with a first try that fails; needs `scripts/setup --bench`
    Peer,
}

/// How registrations are handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Over {
    /// `Registrations.SubmitBatch`
    Grpc,
    /// `POST /api/registration/batch`
    Http,
}

impl Over {
    /// Its name in a report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What is measured
    #[arg(value_enum, default_value_t = Scenario::Happy)]
    pub scenario: Scenario,
    /// How many registrations; each scenario has a number of its own
    #[arg(long)]
    registrations: Option<usize>,
    /// How many packets, mails, or forms in each round (`pdf`, `mail`, `form`); each scenario has a number of its own
    #[arg(long)]
    count: Option<usize>,
    /// Registrations in one request, 1 to 1000; 1 uses Submit. 100 unless given; what arrives at a rate in `latency`, `read` and `peer` 10
    #[arg(long)]
    batch: Option<usize>,
    /// Requests in progress at once
    #[arg(long, default_value_t = 16, conflicts_with = "rate")]
    pub in_flight: usize,
    /// Registrations that arrive in a second whether or not the service keeps up (an open loop)
    #[arg(long)]
    pub rate: Option<u32>,
    /// How registrations are handed over
    #[arg(long, value_enum, default_value_t = Over::Grpc)]
    pub over: Over,
    /// Connections over which requests are spread, or mails
    #[arg(long, default_value_t = 2)]
    pub connections: usize,
    /// Reads in progress at once (`read`)
    #[arg(long, default_value_t = 64)]
    pub readers: usize,
    /// Without fsync on every write, to see what durability costs
    #[arg(long)]
    pub relaxed: bool,
    /// So many runs, an object each; two or more are summed up by their medians on standard error
    #[arg(long, default_value_t = 1)]
    pub runs: usize,
    /// The output of earlier runs: each figure is set beside its median, with the ratio, on standard error
    #[arg(long, value_name = "FILE")]
    pub compare: Option<PathBuf>,
    /// Draw the course of the run (throughput and latency over time), with several runs or --compare each as a line
    #[arg(long, value_name = "FILE.svg")]
    pub plot: Option<PathBuf>,
}

impl BenchArgs {
    /// How many registrations.
    pub fn registrations(&self) -> usize {
        self.registrations.unwrap_or(match self.scenario {
            Scenario::Growth => 1_000_000,
            Scenario::Rebuild => 200_000,
            Scenario::Happy | Scenario::Latency | Scenario::Fallback | Scenario::Read | Scenario::Peer => 20_000,
            Scenario::Pdf | Scenario::Mail | Scenario::Form => 0,
        })
    }

    /// How many packets, mails or forms.
    pub fn count(&self) -> usize {
        self.count.unwrap_or(match self.scenario {
            Scenario::Pdf => 500,
            Scenario::Mail => 1_000,
            Scenario::Form => 20,
            Scenario::Happy
            | Scenario::Latency
            | Scenario::Fallback
            | Scenario::Growth
            | Scenario::Rebuild
            | Scenario::Read
            | Scenario::Peer => 0,
        })
    }

    /// Whether registrations come in, so that there is a service.
    pub const fn has_service(&self) -> bool {
        !matches!(self.scenario, Scenario::Pdf | Scenario::Mail | Scenario::Form)
    }

    /// Registrations in one request where as many are sent as it takes.
    pub fn batch(&self) -> usize {
        self.batch.unwrap_or(100)
    }

    /// Registrations in one request where they arrive at a rate.
    pub fn arriving_batch(&self) -> usize {
        self.batch.unwrap_or(match self.scenario {
            Scenario::Latency | Scenario::Read | Scenario::Peer => 10,
            Scenario::Happy
            | Scenario::Fallback
            | Scenario::Growth
            | Scenario::Rebuild
            | Scenario::Pdf
            | Scenario::Mail
            | Scenario::Form => 100,
        })
    }
}
