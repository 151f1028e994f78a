//! Why a command did not do what it should: a text for people, and the documented exit code.

use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::show;

/// Where commands take a credential from.
const HINT: &str = " (commands take it from REGFLOW_TOKEN, or from the file that REGFLOW_TOKEN_FILE names)";

/// Why a command did not do what it should, as an exit code and a text.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The service answered with an error.
    #[error("{}", explain(.0))]
    Answer(Box<Status>),
    /// The service is not there.
    #[error("failed to reach the service at {server}{}; is it running? `regflow serve` starts it", because(.server, .why))]
    Unreachable { server: String, why: String },
    /// Something that the command line must say is missing.
    #[error("{0}")]
    Usage(&'static str),
    /// Some of many were refused; what was printed tells which.
    #[error("{refused} of {matched} could not be tried again")]
    NotAll { refused: usize, matched: u32 },
    /// A law keeps some of a person's registrations; what was printed tells which and until when.
    #[error("{kept} of the person's registrations must be kept for now")]
    SomeKept { kept: usize },
    /// Some of a person's registrations could not be judged; what was printed names each and why.
    #[error("{failed} of the person's registrations could not be judged and stand as they were")]
    SomeFailed { failed: usize },
    /// Whoever read our output has left (`regflow list | head`): nothing is wrong.
    #[error("the output was closed")]
    OutputClosed(#[from] std::io::Error),
    /// Something on our side.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<Status> for ClientError {
    fn from(status: Status) -> Self {
        Self::Answer(Box::new(status))
    }
}

impl ClientError {
    /// The documented exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Unreachable { .. } => 5,
            Self::Usage(_) => 2,
            Self::NotAll { .. } | Self::SomeKept { .. } => 4,
            Self::OutputClosed(_) => 0,
            Self::Other(_) | Self::SomeFailed { .. } => 1,
            Self::Answer(status) => match status.code() {
                Code::InvalidArgument => 2,
                Code::NotFound => 3,
                Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => 4,
                Code::Unavailable | Code::DeadlineExceeded => 5,
                Code::Unauthenticated | Code::PermissionDenied => 6,
                Code::Ok
                | Code::Cancelled
                | Code::Unknown
                | Code::ResourceExhausted
                | Code::OutOfRange
                | Code::Unimplemented
                | Code::Internal
                | Code::DataLoss => 1,
            },
        }
    }
}

/// With TLS much can be wrong though the service runs.
fn because(server: &str, why: &str) -> String {
    if server.starts_with("https:") && !why.is_empty() { format!(" ({})", show::printable(why)) } else { String::new() }
}

/// The status with every field that it names on a line of its own.
fn explain(status: &Status) -> String {
    let details = status.get_error_details();
    let violations = details.bad_request().map(|bad| bad.field_violations.as_slice()).unwrap_or_default();
    if violations.is_empty() {
        let hint = if status.code() == Code::Unauthenticated { HINT } else { "" };
        return format!("{}{hint}", show::printable(status.message()));
    }
    let heading = if status.code() == Code::InvalidArgument { "the request has mistakes" } else { status.message() };
    let lines: Vec<String> = violations
        .iter()
        .map(|v| format!("\n  {} {}", show::printable(&v.field), show::printable(&v.description)))
        .collect();
    format!("{}:{}", show::printable(heading), lines.concat())
}
