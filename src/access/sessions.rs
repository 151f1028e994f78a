//! Logins of pages: a random number in a cookie, of which only the hash is kept, in memory, for a bounded time.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use events::Timestamp;
use zeroize::Zeroizing;

use super::principal::Principal;

/// Most logins at once; the oldest makes room.
const SESSIONS_MAX: usize = 10_000;
/// Most logins of one principal; its own oldest goes first.
const OF_ONE_MAX: usize = 32;

/// What a login was proved by.
#[derive(Debug, Clone)]
pub enum Proof {
    /// A key, by its id and hash: the login ends when the key is removed or expires.
    Key { id: String, hash: blake3::Hash },
    /// A token, which cannot be taken back but expires at this time.
    Token { until: Timestamp },
}

/// One login.
#[derive(Debug, Clone)]
pub struct Session {
    pub principal: Principal,
    pub proof: Proof,
    until: Timestamp,
}

/// All logins.
pub struct Sessions {
    lasts: Duration,
    by_hash: Mutex<HashMap<[u8; 32], Session>>,
}

impl Sessions {
    /// Logins that last so long.
    pub fn new(lasts: Duration) -> Self {
        Self { lasts, by_hash: Mutex::default() }
    }

    /// Begins a login; gives what the cookie holds.
    pub fn begin(&self, principal: Principal, proof: Proof, now: Timestamp) -> Zeroizing<String> {
        let cookie = Zeroizing::new(hex::encode(*Zeroizing::new(rand::random::<[u8; 32]>())));
        let limit = now.plus(self.lasts);
        let until = match &proof {
            Proof::Token { until } => (*until).min(limit),
            Proof::Key { .. } => limit,
        };
        let mut sessions = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        // somebody who logs in again and again logs out nobody but themselves
        let own = sessions.iter().filter(|(_, session)| session.principal == principal);
        if own.clone().count() >= OF_ONE_MAX {
            let first = own.min_by_key(|(_, session)| session.until).map(|(hash, _)| *hash);
            first.iter().for_each(|hash| drop(sessions.remove(hash)));
        }
        if sessions.len() >= SESSIONS_MAX {
            sessions.retain(|_, session| session.until > now);
        }
        if sessions.len() >= SESSIONS_MAX {
            let first = sessions.iter().min_by_key(|(_, session)| session.until).map(|(hash, _)| *hash);
            first.iter().for_each(|hash| drop(sessions.remove(hash)));
        }
        sessions.insert(hash(&cookie), Session { principal, proof, until });
        cookie
    }

    /// The login that a cookie stands for.
    pub fn find(&self, cookie: &str, now: Timestamp) -> Option<Session> {
        let sessions = self.by_hash.lock().unwrap_or_else(PoisonError::into_inner);
        // found by its hash, whose bytes nobody can steer: how long that takes tells nothing about the cookie
        sessions.get(&hash(cookie)).filter(|session| session.until > now).cloned()
    }

    /// Ends a login.
    pub fn end(&self, cookie: &str) {
        self.by_hash.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash(cookie));
    }
}

fn hash(cookie: &str) -> [u8; 32] {
    *blake3::hash(cookie.as_bytes()).as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_764_072_000_000_000);
    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_login_ends_with_its_time_its_token_or_a_logout() {
        let sessions = Sessions::new(HOUR);
        let key = || Proof::Key { id: "abc".into(), hash: blake3::hash(b"secret") };
        let cookie = sessions.begin(Principal::anyone(), key(), NOON);
        assert!(sessions.find(&cookie, NOON).is_some());
        assert!(sessions.find(&cookie, NOON.plus(HOUR)).is_none());
        assert!(sessions.find("another", NOON).is_none());
        let until = NOON.plus(HOUR / 2);
        let short = sessions.begin(Principal::anyone(), Proof::Token { until }, NOON);
        assert!(sessions.find(&short, until).is_none());
        sessions.end(&cookie);
        assert!(sessions.find(&cookie, NOON).is_none());
    }

    fn named(name: &str) -> Principal {
        Principal { name: name.to_owned(), ..Principal::anyone() }
    }

    fn until(until: Timestamp) -> Proof {
        Proof::Token { until }
    }

    #[test]
    fn the_oldest_login_makes_room() {
        let sessions = Sessions::new(HOUR);
        let first = sessions.begin(named("first"), until(NOON.plus(HOUR / 2)), NOON);
        for number in 0..SESSIONS_MAX {
            sessions.begin(named(&format!("n{}", number / OF_ONE_MAX)), until(NOON.plus(HOUR)), NOON);
        }
        assert!(sessions.find(&first, NOON).is_none());
        assert_eq!(sessions.by_hash.lock().map(|all| all.len()).ok(), Some(SESSIONS_MAX));
    }

    #[test]
    fn who_logs_in_again_and_again_logs_out_nobody_else() {
        let sessions = Sessions::new(HOUR);
        let other = sessions.begin(named("other"), until(NOON.plus(HOUR / 4)), NOON);
        let first = sessions.begin(named("eager"), until(NOON.plus(HOUR / 2)), NOON);
        let second = sessions.begin(named("eager"), until(NOON.plus(HOUR)), NOON);
        for _ in 0..OF_ONE_MAX - 1 {
            sessions.begin(named("eager"), until(NOON.plus(HOUR)), NOON);
        }
        assert!(sessions.find(&first, NOON).is_none());
        assert!(sessions.find(&second, NOON).is_some() && sessions.find(&other, NOON).is_some());
    }
}
