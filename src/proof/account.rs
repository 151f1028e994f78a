//! What the records of one registration say of what left: each delivery to the maker, each mail to the owner, each file kept.
//!
//! The records alone give all but the values, which are sealed in them: those are asked of [`Given`]. Who checks a proof gives
//! those that stand in it, and so gets the same account.

use events::event::{AttemptFailed, AttemptStarted};
use events::sending::PROOF_OF_PURCHASE;
use events::{
    Actor, ErrorKind, Event, Method, ObjectRef, Received, Record, Registration, RegistrationId, Sending, Sequence,
    Stored, Timestamp,
};

/// What only the person's key opens.
pub trait Given {
    /// The value of a field after `corrections` corrections, as it is to be shown.
    fn value(&mut self, corrections: usize, field: &str) -> String;
    /// The salt of that value's hash, hex, when it is to be told.
    fn salt(&mut self, corrections: usize, field: &str) -> Option<String>;
    /// Where a mail to the owner went.
    fn address(&mut self, corrections: usize) -> String;
    /// The SHA-256 of a file as it was before it was sealed, hex, or why it cannot be told.
    fn opened(&mut self, corrections: usize, object: &ObjectRef) -> String;
}

/// The whole account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub id: RegistrationId,
    /// The maker's name, as the catalog has it.
    pub maker: String,
    pub registration: Registration,
    /// Who handed it over.
    pub asked_by: Actor,
    pub confirmation: Option<String>,
    pub deliveries: Vec<Delivery>,
    pub mails: Vec<Mailed>,
    pub kept: Vec<Kept>,
    /// The salts of the values' hashes by correction and field, each once.
    pub salts: Vec<(usize, String, String)>,
}

/// Why something went to the maker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// To register the product.
    Attempt,
    /// The same once more, after a crash.
    Repeat,
    /// To ask whether it is registered.
    Question,
}

/// Whether the maker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arrived {
    Yes,
    No,
    /// Nobody can tell.
    Perhaps,
}

/// One thing that went to the maker, or should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    pub what: What,
    /// The number of the attempt that it belongs to.
    pub attempt: u32,
    /// The record that was stored before it left (for a question: after the answer).
    pub sequence: Sequence,
    pub at: Timestamp,
    pub method: Method,
    pub connector: String,
    /// The host and the values by their fields; nothing when that was not recorded yet.
    pub sent: Option<Sent>,
    pub arrived: Arrived,
    /// What came back, in words.
    pub came_back: String,
    pub received: Option<Received>,
}

/// What a delivery holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub to: String,
    pub values: Vec<(String, String)>,
}

/// A mail to the owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailed {
    pub what: &'static str,
    pub at: Timestamp,
    pub message_id: String,
    /// Where it went.
    pub to: String,
}

/// A file that is kept, sealed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub what: &'static str,
    pub object: ObjectRef,
    /// SHA-256 before it was sealed.
    pub opened: String,
}

/// A history that is not one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountError {
    #[error(transparent)]
    History(#[from] events::state::HistoryError),
    #[error("there are no records")]
    Empty,
}

/// No answer to it stands in the records.
const UNANSWERED: &str = "no answer is recorded";
/// The same, and a repeat follows.
const INTERRUPTED: &str = "no answer is recorded: regflow was stopped, and sent it again";

/// What the detail of a failure begins with when the maker answered the call itself (`connectors`, api/judge.rs).
const ANSWERED: &str = "the maker answered";
/// What it begins with when nothing could be sent (`connectors`, api/failure.rs).
const UNREACHED: &str = "the maker could not be reached";

impl Account {
    /// The account of a history, oldest record first.
    ///
    /// # Errors
    /// [`AccountError`] when the records do not belong together.
    pub fn of(history: &[Stored], maker: String, given: &mut dyn Given) -> Result<Self, AccountError> {
        let registration = Registration::replay(history)?.ok_or(AccountError::Empty)?;
        let first = history.first().ok_or(AccountError::Empty)?;
        let account = Self {
            id: first.registration,
            maker,
            registration,
            asked_by: first.record.actor.clone(),
            confirmation: None,
            deliveries: Vec::new(),
            mails: Vec::new(),
            kept: Vec::new(),
            salts: Vec::new(),
        };
        let mut walk = Walk { account, given, corrections: 0, proof: None, question: None };
        for stored in history {
            walk.record(stored.sequence, &stored.record);
        }
        Ok(walk.account)
    }

    /// The product, as its owner wrote it.
    pub fn product(&self) -> String {
        format!("{} {}", self.registration.brand, self.registration.model)
    }
}

/// A question that was planned: what it sends, and about which attempt.
struct Question {
    sends: Option<Sending>,
    attempt: u32,
}

struct Walk<'g> {
    account: Account,
    given: &'g mut dyn Given,
    corrections: usize,
    proof: Option<ObjectRef>,
    question: Option<Question>,
}

impl Walk<'_> {
    fn record(&mut self, sequence: Sequence, record: &Record) {
        for event in &record.events {
            self.event(sequence, record.at, event);
        }
    }

    fn event(&mut self, sequence: Sequence, at: Timestamp, event: &Event) {
        match event {
            Event::Submitted(first) => {
                self.proof.clone_from(&first.proof);
                self.keep("proof of purchase", first.proof.as_ref());
            }
            Event::Corrected(_) => self.corrections += 1,
            Event::AttemptStarted(started) => self.started(sequence, at, started),
            Event::AttemptRepeated(repeated) => self.repeated(sequence, at, repeated.sends.as_ref()),
            Event::AttemptSucceeded(done) => {
                let words = if done.already_registered { "it was registered before" } else { "registered" };
                self.answered(sequence, at, Arrived::Yes, words);
                self.came_back(Arrived::Yes, words.to_owned());
                if let Some(delivery) = self.account.deliveries.last_mut() {
                    delivery.received.clone_from(&done.received);
                }
                self.keep("screenshot", done.evidence.as_ref());
            }
            Event::AttemptFailed(failed) => {
                self.failed(failed);
                self.keep("screenshot", failed.evidence.as_ref());
            }
            Event::LeftInDoubt(_) => {
                if let Some(delivery) = self.account.deliveries.last_mut() {
                    delivery.arrived = Arrived::Perhaps;
                }
            }
            Event::LookupScheduled(planned) => {
                self.answered(sequence, at, Arrived::Perhaps, "the maker could not say yet");
                self.question = Some(Question { sends: planned.sends.clone(), attempt: planned.attempt });
            }
            Event::FoundUnregistered(_) => self.answered(sequence, at, Arrived::Yes, "it is not registered"),
            Event::LookupGivenUp(given_up) => self.answered(sequence, at, Arrived::Perhaps, &given_up.detail),
            Event::RegistrationSucceeded(done) => self.account.confirmation.clone_from(&done.confirmation),
            Event::UserCompleted(done) => {
                self.question = None;
                self.account.confirmation.clone_from(&done.confirmation);
                self.keep("photo of the confirmation", done.photo.as_ref());
            }
            Event::PacketSent(sent) => {
                self.keep("packet", Some(&sent.pdf));
                self.mailed("the packet", at, &sent.message_id);
            }
            Event::OwnerMailed(sent) => self.mailed("that it is registered", at, &sent.message_id),
            Event::RetryRequested(_) | Event::Cancelled(_) | Event::Expired(_) | Event::PersonForgotten(_) => {
                self.question = None;
            }
            Event::PersonErased(_) => self.account.kept.clear(),
            Event::Dispatched(_)
            | Event::RetryScheduled(_)
            | Event::OutcomeUnknown(_)
            | Event::ManualRequired(_)
            | Event::PacketFailed(_)
            | Event::CorrectionNeeded(_)
            | Event::Held(_)
            | Event::MethodSkipped(_)
            | Event::MakerThrottled(_)
            | Event::DeadlineNear(_)
            | Event::OwnerMailFailed(_)
            | Event::PacketOpened(_) => {}
        }
    }

    fn started(&mut self, sequence: Sequence, at: Timestamp, started: &AttemptStarted) {
        let connector = match started.connector.as_str() {
            "" => self.account.registration.connector.clone(),
            named => named.to_owned(),
        };
        let sent = self.sent(started.sends.as_ref());
        self.account.deliveries.push(Delivery {
            what: What::Attempt,
            attempt: started.attempt,
            sequence,
            at,
            method: started.method,
            connector,
            sent,
            arrived: Arrived::Perhaps,
            came_back: UNANSWERED.to_owned(),
            received: None,
        });
    }

    fn repeated(&mut self, sequence: Sequence, at: Timestamp, sends: Option<&Sending>) {
        let sent = self.sent(sends);
        let Some(first) = self.account.deliveries.last_mut() else { return };
        let repeat = Delivery { what: What::Repeat, sequence, at, sent, ..first.clone() };
        INTERRUPTED.clone_into(&mut first.came_back);
        self.account.deliveries.push(repeat);
    }

    fn failed(&mut self, failed: &AttemptFailed) {
        let by_api = self.account.deliveries.last().is_some_and(|delivery| delivery.method == Method::Api);
        let arrived = if by_api { arrived(failed.kind, &failed.detail) } else { Arrived::Perhaps };
        self.came_back(arrived, format!("failed ({}): {}", failed.kind, failed.detail));
    }

    /// A question was asked before this record, if one was due: it is told of by the answer. Only an answer that says how it
    /// stands is sure to be the maker's: the others are recorded of a maker that cannot be reached, too.
    fn answered(&mut self, sequence: Sequence, at: Timestamp, arrived: Arrived, words: &str) {
        let Some(question) = self.question.take() else { return };
        let sent = self.sent(question.sends.as_ref());
        self.account.deliveries.push(Delivery {
            what: What::Question,
            attempt: question.attempt,
            sequence,
            at,
            method: Method::Api,
            connector: self.account.registration.connector.clone(),
            sent,
            arrived,
            came_back: words.to_owned(),
            received: None,
        });
    }

    fn came_back(&mut self, arrived: Arrived, words: String) {
        if let Some(delivery) = self.account.deliveries.last_mut() {
            (delivery.arrived, delivery.came_back) = (arrived, words);
        }
    }

    fn sent(&mut self, sends: Option<&Sending>) -> Option<Sent> {
        let sends = sends?;
        let values = sends.fields.names().into_iter().map(|name| (self.value(&name), name));
        let values = values.map(|(value, name)| (name, value)).collect();
        Some(Sent { to: sends.to.clone(), values })
    }

    fn value(&mut self, name: &str) -> String {
        if let (Some(proof), PROOF_OF_PURCHASE) = (&self.proof, name) {
            return format!("the file {}", proof.name);
        }
        let (corrections, salts) = (self.corrections, &mut self.account.salts);
        if !salts.iter().any(|(of, field, _)| (*of, field.as_str()) == (corrections, name))
            && let Some(salt) = self.given.salt(corrections, name)
        {
            salts.push((corrections, name.to_owned(), salt));
        }
        self.given.value(corrections, name)
    }

    fn mailed(&mut self, what: &'static str, at: Timestamp, message_id: &str) {
        if !message_id.is_empty() {
            let to = self.given.address(self.corrections);
            self.account.mails.push(Mailed { what, at, message_id: message_id.to_owned(), to });
        }
    }

    fn keep(&mut self, what: &'static str, object: Option<&ObjectRef>) {
        if let Some(object) = object {
            let opened = self.given.opened(self.corrections, object);
            self.account.kept.push(Kept { what, object: object.clone(), opened });
        }
    }
}

/// What a failure of an API's call says of whether the maker has it. That of a form says nothing: a form of several pages
/// sends each, so there only a success is sure.
///
/// A kind alone does not tell: the token endpoint fails with the same ones, before anything of the person left.
fn arrived(kind: ErrorKind, detail: &str) -> Arrived {
    let answered = detail.starts_with(ANSWERED);
    match kind {
        ErrorKind::Server
        | ErrorKind::RateLimited
        | ErrorKind::Auth
        | ErrorKind::Validation
        | ErrorKind::Internal
        | ErrorKind::Network
            if answered =>
        {
            Arrived::Yes
        }
        ErrorKind::Server | ErrorKind::RateLimited | ErrorKind::Auth | ErrorKind::Internal => Arrived::No,
        // the connection may have broken before the call or during it
        ErrorKind::Network if detail.starts_with(UNREACHED) => Arrived::No,
        ErrorKind::Network
        | ErrorKind::Timeout
        | ErrorKind::Validation
        | ErrorKind::Captcha
        | ErrorKind::FormChanged
        | ErrorKind::LoginRequired
        | ErrorKind::UnknownOutcome => Arrived::Perhaps,
    }
}
