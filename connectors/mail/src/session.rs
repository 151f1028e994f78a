//! One SMTP connection: opened with TLS and login, and a letter handed over in steps whose failures mean different things.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use lettre::Message;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::ClientId;

use crate::{MailError, Tls};

/// A connection that rested longer is not used again; servers close idle ones after one to five minutes.
pub const IDLE_FOR_MAX: Duration = Duration::from_secs(30);

/// Where and how to connect.
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) tls: Tls,
    pub(crate) tls_parameters: Option<TlsParameters>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) hello_name: ClientId,
    pub(crate) timeout: Duration,
}

/// An open, logged-in connection.
pub(crate) struct Session {
    connection: AsyncSmtpConnection,
    used_at: Instant,
}

impl Session {
    pub(crate) async fn open(target: &Target) -> Result<Session, MailError> {
        let connection = connect(target).await.map_err(|error| MailError::while_connecting(&error))?;
        Ok(Session { connection, used_at: Instant::now() })
    }

    /// Whether the server is still there.
    pub(crate) async fn is_usable(&mut self) -> bool {
        self.used_at.elapsed() < IDLE_FOR_MAX && self.connection.test_connected().await
    }

    /// Hands the letter over; `letter_left` turns true when the server may have it from then on.
    pub(crate) async fn hand_over(&mut self, message: &Message, letter_left: &AtomicBool) -> Result<(), MailError> {
        self.announce(message).await.map_err(|error| MailError::before_letter(&error))?;
        letter_left.store(true, Ordering::Relaxed);
        let reply = self.connection.message(&message.formatted()).await;
        self.used_at = Instant::now();
        reply.map(drop).map_err(|error| MailError::after_letter(&error))
    }

    async fn announce(&mut self, message: &Message) -> Result<(), lettre::transport::smtp::Error> {
        let envelope = message.envelope();
        self.connection.command(Mail::new(envelope.from().cloned(), Vec::new())).await?;
        for recipient in envelope.to() {
            self.connection.command(Rcpt::new(recipient.clone(), Vec::new())).await?;
        }
        self.connection.command(Data).await.map(drop)
    }

    /// Forgets a refused letter, so that the connection serves the next; false when it is of no more use.
    pub(crate) async fn reset(&mut self) -> bool {
        self.connection.command(Rset).await.is_ok()
    }
}

async fn connect(target: &Target) -> Result<AsyncSmtpConnection, lettre::transport::smtp::Error> {
    let wrapper = target.tls_parameters.clone().filter(|_| target.tls == Tls::Wrapper);
    let server = (target.host.as_str(), target.port);
    let connecting =
        AsyncSmtpConnection::connect_tokio1(server, Some(target.timeout), &target.hello_name, wrapper, None);
    let mut connection = connecting.await?;
    if let (Tls::Required, Some(parameters)) = (target.tls, target.tls_parameters.clone()) {
        connection.starttls(parameters, &target.hello_name).await?;
    }
    if let Some(credentials) = &target.credentials {
        connection.auth(DEFAULT_MECHANISMS, credentials).await?;
    }
    Ok(connection)
}
