//! What the server answers to a publish, and what that means for the record.

use async_nats::Message;
use async_nats::jetstream::ErrorCode;
use events::Sequence;
use serde::Deserialize;

use crate::log::{AppendError, Unavailable};

/// The answer to a publish or to the commit of a batch (ADR-8, ADR-50).
#[derive(Debug, Deserialize)]
struct Answer {
    #[serde(default)]
    seq: Sequence,
    /// Messages in the batch; absent for a plain publish.
    count: Option<usize>,
    error: Option<Refusal>,
}

#[derive(Debug, Deserialize)]
struct Refusal {
    code: u16,
    err_code: u64,
    #[serde(default)]
    description: String,
}

/// Where the last message of a commit was stored, and how many there were.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ack {
    pub sequence: Sequence,
    pub count: usize,
}

/// Reads an answer. An answer that cannot be read leaves open what happened.
pub(crate) fn read(message: &Message) -> Result<Ack, AppendError> {
    let answer: Answer = serde_json::from_slice(&message.payload).map_err(|_| AppendError::Unknown)?;
    match answer.error {
        Some(refusal) => Err(refusal.meaning()),
        None if answer.seq == 0 => Err(AppendError::Unknown),
        None => Ok(Ack { sequence: answer.seq, count: answer.count.unwrap_or(1) }),
    }
}

impl Refusal {
    fn meaning(self) -> AppendError {
        match ErrorCode(self.err_code) {
            ErrorCode::STREAM_WRONG_LAST_SEQUENCE | ErrorCode::STREAM_WRONG_LAST_SEQUENCE_CONSTANT => {
                AppendError::Conflict { last: last_sequence(&self.description) }
            }
            ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM | ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM => {
                AppendError::TooLarge
            }
            _ if self.code == 503 => Unavailable::new("store a record", self.description).into(),
            _ => AppendError::Refused(format!("{} (code {})", self.description, self.err_code)),
        }
    }
}

/// From "wrong last sequence: 42".
fn last_sequence(description: &str) -> Option<Sequence> {
    description.rsplit_once(": ")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(payload: &'static str) -> Result<Ack, AppendError> {
        read(&Message {
            subject: "x".into(),
            reply: None,
            payload: payload.into(),
            headers: None,
            status: None,
            description: None,
            length: 0,
        })
    }

    #[test]
    fn a_stored_message_gives_its_sequence() {
        assert_eq!(answer(r#"{"stream":"EVENTS","seq":7}"#), Ok(Ack { sequence: 7, count: 1 }));
        assert_eq!(answer(r#"{"stream":"E","seq":9,"batch":"a","count":3}"#), Ok(Ack { sequence: 9, count: 3 }));
    }

    #[test]
    fn a_lost_race_tells_the_last_sequence_when_the_server_does() {
        let lost = answer(r#"{"error":{"code":400,"err_code":10071,"description":"wrong last sequence: 42"}}"#);
        assert_eq!(lost, Err(AppendError::Conflict { last: Some(42) }));
        let lost = answer(r#"{"error":{"code":400,"err_code":10164,"description":"wrong last sequence"}}"#);
        assert_eq!(lost, Err(AppendError::Conflict { last: None }));
    }

    #[test]
    fn an_unreadable_answer_leaves_open_what_happened() {
        assert_eq!(answer("nonsense"), Err(AppendError::Unknown));
        assert_eq!(answer("{}"), Err(AppendError::Unknown));
    }

    #[test]
    fn an_overloaded_server_is_unavailable_and_other_words_are_a_refusal() {
        let busy = answer(r#"{"error":{"code":503,"err_code":10023,"description":"insufficient resources"}}"#);
        assert!(matches!(busy, Err(AppendError::Unavailable(_))));
        let sealed = answer(r#"{"error":{"code":400,"err_code":10109,"description":"sealed"}}"#);
        assert_eq!(sealed, Err(AppendError::Refused("sealed (code 10109)".to_owned())));
    }
}
