//! Sends letters over a bounded pool of SMTP connections, each send within one deadline.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lettre::Message;
use lettre::message::Mailbox;
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::TlsParameters;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::session::{Session, Target};
use crate::{Letter, MailError, SmtpConfig, Tls, letter};

/// Sends letters; share it behind an `Arc`. It keeps no queue: who waits for a connection waits inside its own deadline.
pub struct Mailer {
    target: Target,
    from: Mailbox,
    timeout: Duration,
    connections: Semaphore,
    idle: Mutex<Vec<Session>>,
}

impl Mailer {
    /// Checks the settings; does not connect.
    pub fn new(config: &SmtpConfig) -> Result<Mailer, MailError> {
        check_settings(config)?;
        Ok(Mailer {
            target: target(config)?,
            from: letter::sender(&config.from)?,
            timeout: config.timeout,
            connections: Semaphore::new(config.pool_size),
            idle: Mutex::new(Vec::new()),
        })
    }

    /// Sends one letter; returns within the configured timeout. A panicking or dropped call loses its connection and nothing else.
    pub async fn send(&self, letter: &Letter) -> Result<(), MailError> {
        let message = letter.to_message(&self.from)?;
        let letter_left = AtomicBool::new(false);
        let sent = timeout(self.timeout, self.deliver(&message, &letter_left)).await;
        sent.unwrap_or_else(|_elapsed| {
            let may_have_arrived = letter_left.load(Ordering::Relaxed);
            let in_time = MailError::Unreachable { reason: "time ran out before the letter" };
            Err(if may_have_arrived { MailError::Ambiguous } else { in_time })
        })
    }

    async fn deliver(&self, message: &Message, letter_left: &AtomicBool) -> Result<(), MailError> {
        let closed = |_| MailError::Unreachable { reason: "the mailer is closed" };
        let _place = self.connections.acquire().await.map_err(closed)?;
        let mut session = self.session().await?;
        let result = session.hand_over(message, letter_left).await;
        let reusable = match &result {
            Ok(()) => true,
            Err(MailError::Refused { .. } | MailError::Busy { .. }) => session.reset().await,
            Err(MailError::Unreachable { .. } | MailError::Ambiguous | MailError::Invalid { .. }) => false,
        };
        if reusable {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
        }
        result
    }

    /// A resting connection that still answers, else a new one.
    async fn session(&self) -> Result<Session, MailError> {
        while let Some(mut session) = self.take_idle() {
            if session.is_usable().await {
                return Ok(session);
            }
        }
        Session::open(&self.target).await
    }

    fn take_idle(&self) -> Option<Session> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }
}

fn check_settings(config: &SmtpConfig) -> Result<(), MailError> {
    let in_clear = config.username.is_some() && config.tls == Tls::None && !is_loopback(&config.host);
    let problems = [
        ("host", config.host.is_empty() || config.host.chars().any(char::is_control)),
        // a password must not cross a network unencrypted
        ("tls", in_clear),
        ("password", config.username.is_some() != config.password.is_some()),
        ("pool_size", config.pool_size == 0 || config.pool_size > Semaphore::MAX_PERMITS),
        ("timeout", config.timeout.is_zero()),
    ];
    let found = problems.into_iter().find(|(_, wrong)| *wrong);
    found.map_or(Ok(()), |(field, _)| Err(MailError::Invalid { field }))
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn target(config: &SmtpConfig) -> Result<Target, MailError> {
    let tls_parameters = match config.tls {
        Tls::None => None,
        Tls::Required | Tls::Wrapper => {
            let parameters = TlsParameters::new(config.host.clone());
            Some(parameters.map_err(|_| MailError::Invalid { field: "tls" })?)
        }
    };
    let login = config.username.clone().zip(config.password.as_ref());
    Ok(Target {
        host: config.host.clone(),
        port: config.port,
        tls: config.tls,
        tls_parameters,
        credentials: login.map(|(user, password)| Credentials::new(user, password.expose_secret().to_owned())),
        hello_name: ClientId::default(),
        timeout: config.timeout,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    /// A setting and what makes it unusable.
    type Spoiled = (&'static str, fn(&mut SmtpConfig));

    fn config() -> SmtpConfig {
        SmtpConfig {
            host: "mail.example".to_owned(),
            port: 587,
            tls: Tls::Required,
            username: Some("post".to_owned()),
            password: Some("secret".into()),
            from: "regflow <post@regflow.example>".to_owned(),
            timeout: Duration::from_secs(10),
            pool_size: 2,
        }
    }

    #[test]
    fn settings_that_cannot_work_are_refused_by_name() {
        let cases: [Spoiled; 6] = [
            ("host", |config| config.host.clear()),
            ("tls", |config| config.tls = Tls::None),
            ("password", |config| config.password = None),
            ("pool_size", |config| config.pool_size = 0),
            ("timeout", |config| config.timeout = Duration::ZERO),
            ("from", |config| config.from = "nobody".to_owned()),
        ];
        assert!(Mailer::new(&config()).is_ok());
        for (field, spoil) in cases {
            let mut config = config();
            spoil(&mut config);
            assert_eq!(Mailer::new(&config).err(), Some(MailError::Invalid { field }));
        }
    }
}
