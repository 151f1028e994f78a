//! Secrets of makers: named in the catalog, kept in the environment or in files, never in the catalog itself.

use std::fmt;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use zeroize::Zeroizing;

/// A secret longer than this is some other file.
const SECRET_BYTES_MAX: u64 = 16 * 1024;

/// Where a secret is: `{ env = "REGFLOW_X_KEY" }` or `{ file = "/run/secrets/x" }`.
#[derive(Debug, Clone, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, expecting = "the place of a secret, such as { env = \"NAME\" }")]
pub(crate) struct SecretRef {
    /// Name of an environment variable.
    #[serde(default)]
    pub(crate) env: Option<String>,
    /// Path of a file whose trimmed content it is.
    #[serde(default)]
    pub(crate) file: Option<PathBuf>,
    /// The value that the sandbox takes; it is never sent anywhere else, and no real secret is sent to the sandbox.
    #[serde(default)]
    pub(crate) sandbox_value: Option<String>,
}

impl SecretRef {
    /// What is wrong with it, whatever the environment holds.
    pub(crate) fn problem(&self, in_sandbox: bool) -> Option<&'static str> {
        match (&self.env, &self.file) {
            (None, None) => Some("names no place of the secret; write `env = \"NAME\"` or `file = \"PATH\"`"),
            (Some(_), Some(_)) => Some("names two places of one secret; keep `env` or `file`"),
            (Some(_), None) | (None, Some(_)) if self.sandbox_value.is_some() && !in_sandbox => {
                Some("has a `sandbox_value`, which only a connector of the sandbox may have; take it out")
            }
            (Some(_), None) | (None, Some(_)) => None,
        }
    }

    /// The secret, or why it cannot be had: the text names the place, never the value.
    pub(crate) fn read(&self, environment: fn(&str) -> Option<String>) -> Result<SecretString, String> {
        if let Some(value) = &self.sandbox_value {
            return Ok(SecretString::from(value.clone()));
        }
        let value = match (&self.env, &self.file) {
            (Some(name), _) => environment(name)
                .map(Zeroizing::new)
                .ok_or_else(|| format!("the environment variable {name} is not set"))?,
            (None, Some(path)) => read_file(path)?,
            (None, None) => return Err("the catalog names no place of the secret".to_owned()),
        };
        match value.trim() {
            "" => Err(format!("the secret in {self} is empty")),
            secret => Ok(SecretString::from(secret.to_owned())),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.env, &self.file) {
            (Some(name), _) => write!(f, "the environment variable {name}"),
            (None, Some(path)) => write!(f, "the file {}", path.display()),
            (None, None) => f.write_str("no place"),
        }
    }
}

fn read_file(path: &PathBuf) -> Result<Zeroizing<String>, String> {
    use std::io::Read;
    // room for all of it at once: a text that grows leaves copies behind
    let mut text = Zeroizing::new(String::with_capacity(SECRET_BYTES_MAX as usize));
    let read = std::fs::File::open(path).and_then(|file| file.take(SECRET_BYTES_MAX).read_to_string(&mut text));
    read.map(|_| text).map_err(|error| format!("the secret file {} cannot be read: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn of_env(name: &str) -> SecretRef {
        SecretRef { env: Some(name.into()), file: None, sandbox_value: None }
    }

    #[test]
    fn a_secret_comes_from_the_environment_and_is_named_when_it_is_not_there() {
        let found = of_env("KEY").read(|name| (name == "KEY").then(|| " s3cret \n".to_owned()));
        assert_eq!(found.map(|secret| secret.expose_secret().to_owned()), Ok("s3cret".to_owned()));
        let missing = of_env("KEY").read(|_| None).map(|_| ());
        assert_eq!(missing, Err("the environment variable KEY is not set".to_owned()));
    }

    #[test]
    fn a_sandbox_value_is_for_the_sandbox_only() {
        let secret = SecretRef { sandbox_value: Some("x".into()), ..of_env("KEY") };
        assert_eq!(secret.problem(true), None);
        assert!(secret.problem(false).is_some_and(|text| text.contains("only a connector of the sandbox")));
    }
}
