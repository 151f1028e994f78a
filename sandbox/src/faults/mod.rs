//! Faults on demand: what is set for a maker, how long it lasts, and whom it hits.

mod board;

use serde::{Deserialize, Serialize};

pub use self::board::FaultBoard;
use crate::ledger::Method;
use crate::maker::Maker;

/// How something goes wrong. On the wire `{"mode": "status", "status": 503}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Mode {
    /// Answers this status and does nothing else. Over SMTP: this reply code.
    Status {
        /// The HTTP status, 400 to 599; for SMTP the reply code.
        status: u16,
        /// Sent as Retry-After.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// Works, but late: after this time, or as soon as all faults are cleared.
    Latency {
        /// How much later, in milliseconds.
        ms: u64,
    },
    /// Takes the request and never answers.
    Hang,
    /// Registers the product, then closes the connection without an answer.
    DropAfterCommit,
    /// Answers 429.
    RateLimited {
        /// Sent as Retry-After.
        #[serde(default)]
        retry_after_s: Option<u64>,
    },
    /// The form shows a captcha and takes nothing without it.
    Captcha,
    /// A field of the form has another name and id today.
    RenameField {
        /// The usual name.
        from: String,
        /// Today's name.
        to: String,
    },
    /// The form asks for one more field, which must be filled in.
    AddField {
        /// Its name.
        name: String,
    },
    /// A field of the form is gone today.
    RemoveField {
        /// Its usual name.
        name: String,
    },
    /// A field that must be filled in need not be today, or the other way round.
    ToggleRequired {
        /// Its name.
        name: String,
    },
    /// Every product counts as registered already.
    AlreadyRegistered,
    /// The form stands behind a sign-in page.
    LoginWall,
    /// No fault; clears what is set.
    None,
}

impl Mode {
    fn default_scope(&self) -> Scope {
        match self {
            Mode::Captcha
            | Mode::RenameField { .. }
            | Mode::AddField { .. }
            | Mode::RemoveField { .. }
            | Mode::ToggleRequired { .. }
            | Mode::LoginWall => Scope::Form,
            Mode::Status { .. }
            | Mode::Latency { .. }
            | Mode::Hang
            | Mode::DropAfterCommit
            | Mode::RateLimited { .. }
            | Mode::AlreadyRegistered
            | Mode::None => Scope::All,
        }
    }

    /// Whether the fault strikes before the maker has looked at the request.
    pub(crate) fn at_the_door(&self) -> bool {
        matches!(self, Mode::Status { .. } | Mode::Latency { .. } | Mode::Hang | Mode::RateLimited { .. })
    }
}

/// Which of a maker's doors a fault hits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Only the API.
    Api,
    /// Only the form.
    Form,
    /// Both.
    All,
}

impl Scope {
    fn covers(self, method: Method) -> bool {
        match self {
            Scope::All => true,
            Scope::Api => method == Method::Api,
            Scope::Form => method == Method::Form,
        }
    }
}

/// One fault, as it is set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What goes wrong.
    #[serde(flatten)]
    pub mode: Mode,
    /// For how many requests; without it, until cleared. A counted fault spares health checks and lookups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// Only the first request with each idempotency key: a maker that works at the second try. Requests without a key are all hit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub once_each: bool,
    /// Which door; without it both, or the form for the faults that only a form can have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Scope>,
}

impl Fault {
    /// A fault that lasts until it is cleared, at the doors where it makes sense.
    pub fn lasting(mode: Mode) -> Self {
        Fault { mode, times: None, once_each: false, scope: None }
    }

    /// A fault that hits the next `times` requests.
    pub fn counted(mode: Mode, times: u32) -> Self {
        Fault { mode, times: Some(times), once_each: false, scope: None }
    }

    /// The same at one door only.
    pub fn at(self, scope: Scope) -> Self {
        Fault { scope: Some(scope), ..self }
    }

    fn effective_scope(&self) -> Scope {
        self.scope.unwrap_or_else(|| self.mode.default_scope())
    }
}

/// Whom a fault is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// A maker.
    Maker(Maker),
    /// The mailbox's SMTP side.
    Smtp,
}

impl Target {
    /// The target of that name: a maker's slug or `smtp`.
    pub fn from_name(name: &str) -> Option<Target> {
        if name == "smtp" { Some(Target::Smtp) } else { Maker::from_slug(name).map(Target::Maker) }
    }

    fn index(self) -> usize {
        match self {
            Target::Maker(maker) => maker as usize,
            Target::Smtp => Maker::ALL.len(),
        }
    }
}
