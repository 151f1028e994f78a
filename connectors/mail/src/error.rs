//! Why a mail did not go out, and whether sending it again is right; no text here holds personal data.

use lettre::transport::smtp::Error as SmtpError;

/// An SMTP server's own words often quote the recipient, so only its code is kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// The server refused this letter for good; sending it again is pointless.
    #[error("the mail server refused the letter for good (code {code})")]
    Refused {
        /// SMTP reply code, 5xx.
        code: u16,
    },
    /// The server asks to come back later.
    #[error("the mail server asks to try again later (code {code})")]
    Busy {
        /// SMTP reply code, 4xx.
        code: u16,
    },
    /// Nothing of the letter was sent: no connection, no TLS, no login, or lost before the letter itself.
    #[error("the mail server could not be used: {reason}")]
    Unreachable {
        /// What failed.
        reason: &'static str,
    },
    /// The connection was lost, or time ran out, after the letter began to go out: it may have arrived.
    #[error("the mail server did not confirm the letter, which may have arrived")]
    Ambiguous,
    /// The letter or the settings cannot be used as they are.
    #[error("{field} cannot be used in a mail")]
    Invalid {
        /// Which field of the letter or the settings.
        field: &'static str,
    },
}

impl MailError {
    /// Whether the same letter would fail again.
    pub fn is_permanent(&self) -> bool {
        match self {
            MailError::Refused { .. } | MailError::Invalid { .. } => true,
            MailError::Busy { .. } | MailError::Unreachable { .. } | MailError::Ambiguous => false,
        }
    }

    /// Errors of greeting, TLS and login: they say nothing about the letter, so even a 5xx is not its fault.
    pub(crate) fn while_connecting(error: &SmtpError) -> MailError {
        let code = code_of(error);
        match code {
            Some(400..=499) => MailError::Busy { code: code.unwrap_or_default() },
            Some(_) => MailError::Unreachable { reason: "it refused the session or the login" },
            None if error.is_tls() => MailError::Unreachable { reason: "TLS could not be established" },
            None if error.is_client() => {
                MailError::Unreachable { reason: "it lacks STARTTLS or a known way to log in" }
            }
            None => MailError::Unreachable { reason: "connecting failed" },
        }
    }

    /// Errors of MAIL, RCPT and DATA: nothing of the letter itself has left.
    pub(crate) fn before_letter(error: &SmtpError) -> MailError {
        match code_of(error) {
            // authentication or encryption required: our settings, not this letter
            Some(530 | 534 | 535 | 538) => MailError::Unreachable { reason: "it wants a login or TLS" },
            Some(code) => MailError::replied(code),
            None => MailError::Unreachable { reason: "the connection was lost before the letter" },
        }
    }

    /// Errors once the letter is on its way: only a reply is certain.
    pub(crate) fn after_letter(error: &SmtpError) -> MailError {
        code_of(error).map_or(MailError::Ambiguous, MailError::replied)
    }

    fn replied(code: u16) -> MailError {
        if (500..=599).contains(&code) { MailError::Refused { code } } else { MailError::Busy { code } }
    }
}

fn code_of(error: &SmtpError) -> Option<u16> {
    error.status().map(u16::from)
}
