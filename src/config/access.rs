//! Who may come in, and how: the settings of `[access]`, and where the interfaces may listen.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{bail, ensure};
use serde::{Deserialize, Serialize};

use super::Server;

/// The key file below the data folder, when the settings name none.
const KEY_FILE: &str = "access.toml";

/// `[access]`
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccessSettings {
    pub mode: AccessMode,
    pub keys: String,
    pub session_minutes: u64,
    pub failures_per_minute: u32,
    pub jwt_issuer: String,
    pub jwt_audience: String,
    pub jwt_jwks: String,
    pub jwt_role_claim: String,
    pub jwt_tenant_claim: String,
    pub jwt_email_claim: String,
    pub jwt_email_verified_claim: String,
}

/// Whether anybody is asked who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    Open,
    Required,
}

impl AccessSettings {
    /// Where the keys are kept.
    pub fn key_file(&self, data: &Path) -> PathBuf {
        if self.keys.is_empty() { data.join(KEY_FILE) } else { PathBuf::from(&self.keys) }
    }

    /// Whether tokens of people are taken.
    pub fn takes_tokens(&self) -> bool {
        !self.jwt_jwks.is_empty()
    }

    /// What is wrong with these settings, together with where the interfaces listen.
    pub fn check(&self, server: &Server) -> anyhow::Result<()> {
        let tokens =
            [("jwt_jwks", &self.jwt_jwks), ("jwt_issuer", &self.jwt_issuer), ("jwt_audience", &self.jwt_audience)];
        let missing = tokens.iter().find(|(_, value)| value.is_empty());
        if let Some((key, _)) = missing.filter(|_| tokens.iter().any(|(_, value)| !value.is_empty())) {
            bail!("access.{key} is empty: tokens need access.jwt_jwks, access.jwt_issuer and access.jwt_audience");
        }
        let bounds = [
            ("access.session_minutes", self.session_minutes),
            ("access.failures_per_minute", u64::from(self.failures_per_minute)),
        ];
        for (key, value) in bounds {
            ensure!((1..=100_000).contains(&value), "{key} is {value}; give a number from 1 to 100000");
        }
        let one_alone = server.tls_certificate.is_empty() != server.tls_key.is_empty();
        ensure!(!one_alone, "server.tls_certificate and server.tls_key belong together; give both, or neither");
        ensure!(
            server.tls_client_ca.is_empty() || !server.tls_key.is_empty(),
            "server.tls_client_ca needs server.tls_certificate and server.tls_key"
        );
        for (key, address, example) in
            [("server.grpc", server.grpc, "127.0.0.1:7460"), ("server.http", server.http, "127.0.0.1:7461")]
        {
            self.check_address(server, key, address, example)?;
        }
        Ok(())
    }

    /// What others can reach must be encrypted, and ask who they are.
    fn check_address(&self, server: &Server, key: &str, address: SocketAddr, example: &str) -> anyhow::Result<()> {
        if address.ip().is_loopback() {
            return Ok(());
        }
        let mut missing = Vec::new();
        if server.tls_key.is_empty() {
            missing.push("set server.tls_certificate and server.tls_key");
        }
        if self.mode == AccessMode::Open {
            missing.push("set access.mode = \"required\"");
        }
        if missing.is_empty() {
            return Ok(());
        }
        bail!(
            "{key} is {address}, which others can reach: {}; or listen on a loopback address such as {example}",
            missing.join(", and ")
        )
    }
}
