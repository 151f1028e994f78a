//! Browser sessions of the forms: the anti-forgery token and what earlier steps took.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::{Map, Value};

/// The oldest session ends when one more than this is opened.
const SESSIONS_MAX: usize = 2_000;

/// One visitor of one form.
#[derive(Clone, Debug, Default)]
pub(crate) struct Session {
    pub csrf: String,
    /// What the steps before took, by field name.
    pub fields: Map<String, Value>,
    /// The confirmation code, once there is one.
    pub confirmation: Option<String>,
}

/// All open sessions, by the value of the cookie.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    by_id: HashMap<String, Session>,
    order: VecDeque<String>,
}

impl Sessions {
    /// A new session, and the id for its cookie.
    pub(crate) fn open(&self) -> (String, Session) {
        let id = hex::encode(rand::random::<[u8; 16]>());
        let session = Session { csrf: hex::encode(rand::random::<[u8; 16]>()), ..Session::default() };
        let mut inner = self.lock();
        if inner.order.len() >= SESSIONS_MAX
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.by_id.remove(&oldest);
        }
        inner.order.push_back(id.clone());
        inner.by_id.insert(id.clone(), session.clone());
        (id, session)
    }

    pub(crate) fn get(&self, id: &str) -> Option<Session> {
        self.lock().by_id.get(id).cloned()
    }

    pub(crate) fn change(&self, id: &str, change: impl FnOnce(&mut Session)) {
        if let Some(session) = self.lock().by_id.get_mut(id) {
            change(session);
        }
    }

    // Map and order are changed together without a step that can panic, so a poisoned lock is still good.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_session_makes_room() {
        let sessions = Sessions::default();
        let (first, _) = sessions.open();
        for _ in 0..SESSIONS_MAX {
            sessions.open();
        }
        assert!(sessions.get(&first).is_none());
    }

    #[test]
    fn a_change_is_seen_by_the_next_request() {
        let sessions = Sessions::default();
        let (id, _) = sessions.open();
        sessions.change(&id, |session| session.confirmation = Some("CC-1".to_owned()));
        assert_eq!(sessions.get(&id).and_then(|session| session.confirmation).as_deref(), Some("CC-1"));
    }
}
