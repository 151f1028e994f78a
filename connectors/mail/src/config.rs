//! How to reach the mail server.

use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Serialize};

/// Settings of the SMTP client.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmtpConfig {
    /// Name or address of the server.
    pub host: String,
    /// Port: 587 with `required`, 465 with `wrapper`, by custom.
    pub port: u16,
    /// Encryption.
    pub tls: Tls,
    /// User name, when the server wants a login.
    #[serde(default)]
    pub username: Option<String>,
    /// Password; never read from the settings file, the program fills it in from the environment or a secret file.
    #[serde(skip)]
    pub password: Option<SecretString>,
    /// Sender: `Name <address>` or an address.
    pub from: String,
    /// Bound of one whole send, from the wait for a connection to the server's last reply; in the file whole seconds, `timeout_s`.
    #[serde(rename = "timeout_s", deserialize_with = "seconds")]
    pub timeout: Duration,
    /// Most connections at once.
    pub pool_size: usize,
}

/// Encryption of the connection. There is no "if available": that one sends in clear to whoever removes the offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// None: for a server on the same machine.
    None,
    /// STARTTLS, or nothing is sent.
    Required,
    /// TLS from the first byte.
    Wrapper,
}

fn seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    u64::deserialize(deserializer).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    #[test]
    fn settings_are_read_and_a_password_in_them_is_refused() {
        let file =
            r#"{"host":"mail.example","port":587,"tls":"required","from":"a@b.example","timeout_s":30,"pool_size":2}"#;
        let config: SmtpConfig = serde_json::from_str(file).unwrap();
        assert_eq!((config.tls, config.timeout), (Tls::Required, Duration::from_secs(30)));
        let with_password = file.replace("\"port\"", "\"password\":\"x\",\"port\"");
        assert!(serde_json::from_str::<SmtpConfig>(&with_password).is_err());
    }
}
