//! Access: who asks, and what they may see. One table (table.rs) says what each role may call; keys (keys.rs), tokens
//! (jwt.rs) and logins of pages (sessions.rs) say who somebody is; each interface asks here before it answers.

pub mod command;
mod jwt;
mod keys;
mod principal;
mod sessions;
pub mod table;
mod throttle;
pub use self::throttle::network;

use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use events::Timestamp;
use events::secrets::OwnerSecrets;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status};
use zeroize::Zeroizing;

use self::jwt::Tokens;
use self::keys::KeyRing;
pub use self::principal::{OwnerRef, Pass, Principal, Reach, Role, Sight};
use self::sessions::{Proof, Sessions};
use self::throttle::{Source, Throttle};
use crate::config::{AccessMode, AccessSettings};
use crate::grpc::errors;

/// Who is let in; shared by both interfaces.
pub struct Access {
    is_open: bool,
    keys: KeyRing,
    tokens: Option<Arc<Tokens>>,
    sessions: Sessions,
    throttle: Mutex<Throttle>,
    clock: fn() -> Timestamp,
}

/// What is wrong with a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It is none of ours, whatever about it is wrong.
    Wrong,
    /// It was one of ours.
    Expired,
    /// It is signed by a key that is not known here, perhaps because the provider cannot be asked.
    Unknown,
}

/// Why somebody is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denied {
    /// They did not say who they are.
    Missing,
    Wrong,
    Expired,
    /// Too many were wrong before.
    Throttled(Duration),
    /// They are known, and may not do this.
    Forbidden(Role),
}

/// Somebody who is known, and what proved it.
struct Known {
    principal: Principal,
    proof: Proof,
}

impl Access {
    /// Reads keys and the provider's set, as the settings name them.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn new(
        settings: &AccessSettings,
        data: &Path,
        secrets: OwnerSecrets,
        clock: fn() -> Timestamp,
    ) -> anyhow::Result<Self> {
        let keys = KeyRing::open(&settings.key_file(data))?;
        let tokens = match settings.takes_tokens() {
            true => Some(Arc::new(Tokens::new(settings, secrets)?)),
            false => None,
        };
        let is_open = settings.mode == AccessMode::Open;
        if !is_open && keys.len() == 0 && tokens.is_none() {
            tracing::warn!("nobody can come in yet: make a key with `regflow access add --role admin --name NAME`");
        }
        Ok(Self {
            is_open,
            keys,
            tokens,
            sessions: Sessions::new(Duration::from_secs(settings.session_minutes * 60)),
            throttle: Mutex::new(Throttle::new(settings.failures_per_minute)),
            clock,
        })
    }

    /// Keeps the provider's keys fresh until `end`.
    pub async fn run(self: Arc<Self>, end: CancellationToken) {
        if let Some(tokens) = &self.tokens {
            tokens.clone().run(end).await;
        }
    }

    /// Whether nobody is asked who they are.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// Who holds a credential: a key or a token, as it stands behind "Bearer".
    pub fn known(&self, credential: Option<&str>, address: Option<IpAddr>) -> Result<Principal, Denied> {
        if self.is_open {
            return Ok(Principal::anyone());
        }
        let credential = credential.ok_or(Denied::Missing)?;
        self.prove(credential, address).map(|known| known.principal)
    }

    /// Whose login a cookie stands for.
    pub fn session(&self, cookie: &str) -> Option<Principal> {
        let now = (self.clock)();
        let session = self.sessions.find(cookie, now)?;
        match &session.proof {
            Proof::Key { id, hash } => self.keys.look_up(id, hash, now).ok(),
            Proof::Token { .. } => Some(session.principal),
        }
    }

    /// Begins a login of the pages; gives what its cookie holds.
    pub fn log_in(&self, credential: &str, address: IpAddr) -> Result<Zeroizing<String>, Denied> {
        let known = self.prove(credential, Some(address))?;
        Ok(self.sessions.begin(known.principal, known.proof, (self.clock)()))
    }

    /// Ends a login.
    pub fn log_out(&self, cookie: &str) {
        self.sessions.end(cookie);
    }

    /// Lets somebody through to a row of the table.
    pub fn admit(&self, principal: Principal, row: &str, interface: &'static str) -> Result<Pass, Denied> {
        let role = principal.role;
        let reach = table::reach(row, role).unwrap_or(Reach::Nothing);
        Pass::new(principal, reach, interface).ok_or(Denied::Forbidden(role))
    }

    fn prove(&self, credential: &str, address: Option<IpAddr>) -> Result<Known, Denied> {
        let now = (self.clock)();
        let sources = sources(credential, address);
        let hash = *blake3::hash(credential.as_bytes()).as_bytes();
        {
            let throttle = self.throttle();
            let wait = sources.iter().filter_map(|source| throttle.wait(source, now)).max();
            if let Some(wait) = wait.filter(|_| !throttle.was_good(&hash)) {
                return Err(Denied::Throttled(wait));
            }
        }
        match self.check(credential, now) {
            Ok(known) => {
                self.throttle().succeeded(hash);
                Ok(known)
            }
            // it was right once: nobody guesses
            Err(Bad::Expired) => Err(Denied::Expired),
            // nobody can tell yet, or any more, whether it is right: that is no guess
            Err(Bad::Unknown) => Err(Denied::Wrong),
            Err(Bad::Wrong) => {
                let mut throttle = self.throttle();
                throttle.no_longer_good(&hash);
                sources.into_iter().for_each(|source| throttle.failed(source, now));
                Err(Denied::Wrong)
            }
        }
    }

    fn check(&self, credential: &str, now: Timestamp) -> Result<Known, Bad> {
        if let Some((id, hash)) = keys::parts(credential) {
            let principal = self.keys.check(credential, now)?;
            return Ok(Known { principal, proof: Proof::Key { id, hash } });
        }
        let tokens = self.tokens.as_ref().ok_or(Bad::Wrong)?;
        let (principal, until) = tokens.check(credential)?;
        Ok(Known { principal, proof: Proof::Token { until } })
    }

    fn throttle(&self) -> MutexGuard<'_, Throttle> {
        self.throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whose share a failure uses up.
fn sources(credential: &str, address: Option<IpAddr>) -> Vec<Source> {
    let key = keys::parts(credential).map(|(id, _)| Source::Key(id));
    address.map(Source::of).into_iter().chain(key).collect()
}

/// The credential behind "Bearer" in an Authorization header.
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, credential) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(credential.trim())
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Missing => errors::status(
                Code::Unauthenticated,
                "CREDENTIALS_MISSING",
                "say who you are: send a key or a token as `authorization: Bearer ...`",
            ),
            Denied::Wrong => errors::status(
                Code::Unauthenticated,
                "CREDENTIALS_INVALID",
                "this key or token does not let anybody in here",
            ),
            Denied::Expired => errors::status(
                Code::Unauthenticated,
                "CREDENTIALS_EXPIRED",
                "this key or token has expired; get a new one",
            ),
            Denied::Throttled(wait) => {
                let seconds = wait.as_secs() + 1;
                let text = format!("too many keys or tokens were wrong; try again in {seconds} s");
                let wait = Duration::from_secs(seconds);
                errors::passing_after(Code::ResourceExhausted, "TOO_MANY_FAILURES", text, wait)
            }
            Denied::Forbidden(role) => {
                let text = format!("the role {} may not do this; docs/access.md has the table", role.word());
                errors::status(Code::PermissionDenied, "ROLE_NOT_ALLOWED", text)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::StatusExt;

    #[test]
    fn a_credential_stands_behind_its_scheme_in_any_case() {
        assert_eq!(bearer("Bearer abc"), Some("abc"));
        assert_eq!(bearer("bearer abc "), Some("abc"));
        for other in ["abc", "Basic abc", "Bearerabc", ""] {
            assert_eq!(bearer(other), None, "{other}");
        }
    }

    #[test]
    fn whoever_must_wait_is_told_how_long() {
        let status = Status::from(Denied::Throttled(Duration::from_millis(2_100)));
        let delay = status.get_error_details().retry_info().and_then(|info| info.retry_delay);
        assert_eq!((status.code(), delay), (Code::ResourceExhausted, Some(Duration::from_secs(3))));
    }
}
