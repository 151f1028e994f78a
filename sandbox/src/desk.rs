//! The desk that all makers share: it registers products, writes the ledger, and holds what a request may need.

use std::time::Duration;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::codes;
use crate::faults::{FaultBoard, Mode, Target};
use crate::ledger::{Entry, Ledger, Method};
use crate::mailbox::store::Mailbox;
use crate::maker::Maker;
use crate::registry::{Claim, Registration, Registry};
use crate::web::pages::Pages;
use crate::web::sessions::Sessions;
use crate::web::tokens::Tokens;

/// Everything that the handlers share.
pub(crate) struct Desk {
    pub latency: Duration,
    pub record_bodies: bool,
    pub shutdown: CancellationToken,
    pub ledger: Ledger,
    pub faults: FaultBoard,
    pub mailbox: Mailbox,
    pub pages: Pages,
    pub sessions: Sessions,
    pub tokens: Tokens,
    pub registries: [Registry; Maker::ALL.len()],
}

/// One wish to register a product, as it came in.
pub(crate) struct Submission {
    pub maker: Maker,
    pub method: Method,
    pub serial: String,
    pub idempotency_key: Option<String>,
    pub fields: Value,
}

/// One mistake in the data: a field, a code for machines and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub field: &'static str,
    pub code: &'static str,
    pub message: String,
}

/// What the maker decided.
#[derive(Debug)]
pub(crate) enum Outcome {
    Registered(Registration),
    /// The same request again: the same answer, nothing new registered.
    Repeated(Registration),
    Duplicate(Registration),
    Refused(Vec<Problem>),
}

impl Outcome {
    fn accepted(&self) -> bool {
        matches!(self, Outcome::Registered(_))
    }

    fn confirmation(&self) -> Option<&str> {
        match self {
            Outcome::Registered(known) | Outcome::Repeated(known) | Outcome::Duplicate(known) => {
                Some(&known.confirmation)
            }
            Outcome::Refused(_) => None,
        }
    }
}

/// Marks an answer whose request registered a product, for the fault that hides such answers.
#[derive(Clone, Copy)]
pub(crate) struct Committed;

impl Desk {
    /// Decides: refused for `problems`, or registered unless the serial or the key is known.
    pub(crate) fn decide(&self, submission: &Submission, purchased: Result<Date, Vec<Problem>>) -> Outcome {
        let purchased = match purchased {
            Ok(purchased) => purchased,
            Err(problems) => return Outcome::Refused(problems),
        };
        let (maker, serial) = (submission.maker, submission.serial.as_str());
        let make = || Registration { confirmation: codes::confirmation(maker, serial), purchased };
        let always_known = |fault: &crate::faults::Fault| fault.mode == Mode::AlreadyRegistered;
        if self.faults.take(Target::Maker(maker), submission.method, always_known).is_some() {
            return Outcome::Duplicate(make());
        }
        match self.registry(maker).claim(serial, submission.idempotency_key.as_deref(), make) {
            Claim::First(known) => Outcome::Registered(known),
            Claim::Repeat(known) => Outcome::Repeated(known),
            Claim::Taken(known) => Outcome::Duplicate(known),
        }
    }

    /// Writes the ledger and answers with JSON.
    pub(crate) fn answer(
        &self,
        submission: Submission,
        outcome: &Outcome,
        status: StatusCode,
        body: Value,
    ) -> Response {
        self.close(submission, outcome, (status, Json(body)).into_response())
    }

    /// Writes the ledger and passes `response` on, marked when it registered something.
    pub(crate) fn close(&self, submission: Submission, outcome: &Outcome, mut response: Response) -> Response {
        if outcome.accepted() {
            response.extensions_mut().insert(Committed);
        }
        self.write(submission, response.status().as_u16(), outcome.accepted(), outcome.confirmation());
        response
    }

    /// Writes a request that was turned away before anything was decided; `status` 0 stands for no answer at all.
    pub(crate) fn note(&self, submission: Submission, status: u16) {
        self.write(submission, status, false, None);
    }

    pub(crate) fn registry(&self, maker: Maker) -> &Registry {
        &self.registries[maker as usize]
    }

    fn write(&self, submission: Submission, status: u16, accepted: bool, confirmation: Option<&str>) {
        self.ledger.record(Entry {
            maker: submission.maker.slug(),
            method: submission.method,
            serial: submission.serial.into_boxed_str(),
            accepted,
            status,
            confirmation: confirmation.map(Into::into),
            at: Timestamp::now(),
            idempotency_key: submission.idempotency_key.map(String::into_boxed_str),
            fields: if self.record_bodies { submission.fields } else { Value::Null },
        });
    }
}
