//! What the outside world answered: kinds of failure, problems of single fields, the outcome of an attempt.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $number:literal, $text:literal;)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name { $($(#[$vdoc])* $variant,)+ }

        impl $name {
            /// Every value, in the order of its wire number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The number in stored bytes: never reused.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$variant => $number,)+ }
            }

            /// The word that people and files use.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value of a stored number, if any.
            #[must_use]
            pub fn from_number(number: u8) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.number() == number)
            }

            /// The value of a word, if any; case does not matter.
            #[must_use]
            pub fn from_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.as_str().eq_ignore_ascii_case(word))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        // By number in bytes (an inserted variant must not decode as its neighbour), by word in text.
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_str(self.as_str())
                } else {
                    serializer.serialize_u8(self.number())
                }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                use serde::de::Error;
                if deserializer.is_human_readable() {
                    let word = <String as serde::Deserialize>::deserialize(deserializer)?;
                    Self::from_word(&word).ok_or_else(|| {
                        let known: Vec<_> = Self::ALL.iter().map(|value| value.as_str()).collect();
                        D::Error::custom(format!("unknown value `{word}`, want one of {}", known.join(", ")))
                    })
                } else {
                    let number = <u8 as serde::Deserialize>::deserialize(deserializer)?;
                    Self::from_number(number)
                        .ok_or_else(|| D::Error::custom(concat!("unknown number of ", stringify!($name))))
                }
            }
        }
    };
}
pub(crate) use wire_enum;

wire_enum! {
    /// Why an attempt failed.
    ErrorKind {
        /// No connection, or it broke before anything was sent.
        Network = 1, "network";
        /// No answer in time, and nothing can have been accepted.
        Timeout = 2, "timeout";
        /// The maker's server failed (5xx).
        Server = 3, "server";
        /// Too many requests (429).
        RateLimited = 4, "rate_limited";
        /// Our credentials were refused.
        Auth = 5, "auth";
        /// The maker refused the data.
        Validation = 6, "validation";
        /// A captcha stands before the form; it is not solved.
        Captcha = 7, "captcha";
        /// The form is not as the recipe knows it.
        FormChanged = 8, "form_changed";
        /// The form wants an account.
        LoginRequired = 9, "login_required";
        /// Sent, and nobody knows whether it was accepted.
        UnknownOutcome = 10, "unknown_outcome";
        /// Our own fault: nothing was sent, and it says nothing about the maker.
        Internal = 11, "internal";
    }
}

impl ErrorKind {
    /// Whether the same method may be tried again after a pause.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Network | Self::Timeout | Self::Server | Self::RateLimited | Self::Internal => true,
            // credentials do not mend themselves within a backoff
            Self::Auth => false,
            Self::Validation | Self::Captcha | Self::FormChanged | Self::LoginRequired | Self::UnknownOutcome => false,
        }
    }

    /// Whether the failure speaks against the maker's health and so counts toward its circuit.
    #[must_use]
    pub const fn counts_toward_circuit(self) -> bool {
        match self {
            Self::Network | Self::Timeout | Self::Server | Self::RateLimited | Self::Auth => true,
            Self::Validation
            | Self::Captcha
            | Self::FormChanged
            | Self::LoginRequired
            | Self::UnknownOutcome
            | Self::Internal => false,
        }
    }
}

/// One field that somebody refused, with what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldProblem {
    /// Dotted path as clients write it, for example `owner.email`.
    pub field: String,
    /// What is wrong and how to mend it, in one sentence; never the value itself.
    pub problem: String,
}

impl FieldProblem {
    /// A problem of `field`.
    pub fn new(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { field: field.into(), problem: problem.into() }
    }
}

impl fmt::Display for FieldProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// A failed attempt, as the connector tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the ladder branches on.
    pub kind: ErrorKind,
    /// One line for people and auditors, at most a few hundred characters, without personal data.
    pub detail: String,
    /// The maker's Retry-After, if it sent one.
    pub retry_after: Option<Duration>,
    /// Fields that the maker refused; empty unless `kind` is validation.
    pub fields: Vec<FieldProblem>,
    /// The request had left and may have been accepted. The same request with the same key may be sent again (the maker
    /// tells repeats apart), but another method must not be tried.
    pub in_doubt: bool,
}

impl Failure {
    /// A failure with nothing but its kind and a line for people.
    pub fn new(kind: ErrorKind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), retry_after: None, fields: Vec::new(), in_doubt: false }
    }
}

/// What one attempt came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The maker has the product registered.
    Registered {
        /// The maker's code for it, if it gave one.
        confirmation: Option<String>,
        /// True when it had been registered before.
        already: bool,
    },
    /// It did not work, or nobody knows.
    Failed(Failure),
}

/// An object in the store, named in an event by what it holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectRef {
    /// Its name in the bucket.
    pub name: String,
    /// SHA-256 of the stored bytes.
    #[serde(with = "serde_bytes")]
    pub sha256: Vec<u8>,
    /// Length of the stored bytes.
    pub size_bytes: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_five_kinds_of_the_design_count_toward_the_circuit() {
        let counted: Vec<_> =
            ErrorKind::ALL.iter().filter(|kind| kind.counts_toward_circuit()).map(|kind| kind.as_str()).collect();
        assert_eq!(counted, ["network", "timeout", "server", "rate_limited", "auth"]);
    }

    #[test]
    fn a_refusal_that_a_retry_cannot_mend_is_never_retried() {
        for kind in [ErrorKind::Validation, ErrorKind::Captcha, ErrorKind::FormChanged, ErrorKind::LoginRequired] {
            assert!(!kind.is_retryable(), "{kind}");
        }
    }

    #[test]
    fn numbers_and_words_lead_back_to_the_value() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_number(kind.number()), Some(*kind));
            assert_eq!(ErrorKind::from_word(kind.as_str()), Some(*kind));
        }
        assert_eq!(ErrorKind::from_number(0), None);
    }
}
