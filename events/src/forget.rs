//! Forgetting a person: what it does to a registration, and the law that may want it kept for longer.

use std::fmt;

use jiff::Span;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::decide::Refusal;
use crate::event::{AttemptFailed, Cancelled, Event, PersonErased, PersonForgotten};
use crate::outcome::ErrorKind;
use crate::state::{Registration, Stage};
use crate::time::Timestamp;
use crate::words::ForgetReason;

/// Why it was cancelled, for those who are told of that alone.
const CANCELLED_BECAUSE: &str = "its person is forgotten";
/// What is said of an attempt whose end nobody waits for.
const FENCED: &str = "its person was forgotten while it was under way";

/// How far forgetting has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Forgetting {
    /// Decided and stored; the key and the files are to be erased.
    Due,
    /// Erased.
    Done,
}

/// A wish about forgetting; never stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    /// The person is to be forgotten, unless it must be kept.
    Forget(ForgetReason, Option<Kept>),
    /// The key and the files are gone.
    RecordErased(PersonErased),
}

/// How long a law wants registrations with a maker kept, for example because people must be found when a child's seat is
/// called back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Years after the day that counts.
    pub keep_years: u32,
    /// The day that counts.
    pub from: RetentionFrom,
    /// The law, in words that fit after "by".
    pub law: String,
}

/// The day that a retention counts from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RetentionFrom {
    /// The day of purchase; the day of the submission when that is not known.
    Purchase,
    /// The day of the submission.
    Submission,
}

/// A registration that must be kept: until when, and by which law.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The last day on which it must be kept.
    pub until: Date,
    /// The law.
    pub law: String,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it must be kept until {} by {}; ask again after that day", self.until, self.law)
    }
}

impl Retention {
    /// What it means for a registration at `now`: nothing when it may be forgotten. Days are those of UTC.
    #[must_use]
    pub fn keeps(&self, purchased_on: Option<Date>, submitted_at: Timestamp, now: Timestamp) -> Option<Kept> {
        let from = match self.from {
            RetentionFrom::Purchase => purchased_on.unwrap_or_else(|| day(submitted_at)),
            RetentionFrom::Submission => day(submitted_at),
        };
        let years = Span::new().try_years(self.keep_years).ok();
        let until = years.and_then(|years| from.checked_add(years).ok()).unwrap_or(Date::MAX);
        (day(now) <= until).then(|| Kept { until, law: self.law.clone() })
    }
}

fn day(at: Timestamp) -> Date {
    at.to_jiff().to_zoned(TimeZone::UTC).date()
}

/// The events that a wish leads to, or why it may not be.
///
/// # Errors
/// [`Refusal`] when a law wants it kept, or it is forgotten already.
pub fn decide(registration: &Registration, wish: Wish) -> Result<Vec<Event>, Refusal> {
    match (wish, registration.forgetting) {
        (Wish::Forget(_, Some(kept)), None) => Err(Refusal::MustBeKept(kept)),
        (Wish::Forget(reason, None), None) => Ok(forget(registration, reason)),
        (Wish::RecordErased(erased), Some(Forgetting::Due)) => Ok(vec![erased.into()]),
        (Wish::Forget(..), Some(_)) | (Wish::RecordErased(_), Some(Forgetting::Done)) => Err(Refusal::Forgotten),
        (Wish::RecordErased(_), None) => Err(Refusal::NotNow {
            status: registration.stage.status(),
            wish: "erased",
            remedy: "nobody asked for its person to be forgotten",
        }),
    }
}

/// What is under way ends: an attempt is fenced by its failure, so that the maker's guards do not wait for it, and what has
/// not ended is cancelled, so that everybody who follows it learns that in the usual words.
fn forget(registration: &Registration, reason: ForgetReason) -> Vec<Event> {
    let mut events = Vec::new();
    if matches!(registration.stage, Stage::Attempting { .. }) {
        let (attempt, kind) = (registration.attempts, ErrorKind::Internal);
        events.push(AttemptFailed { attempt, kind, detail: FENCED.into(), latency_ms: 0, evidence: None }.into());
    }
    if !registration.stage.status().is_final() {
        events.push(Cancelled { reason: Some(CANCELLED_BECAUSE.to_owned()) }.into());
    }
    events.push(PersonForgotten { reason }.into());
    events
}
