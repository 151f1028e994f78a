//! Given what the person wants to be mailed, when a registration succeeds, then these mails are due.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::time::Duration;

use regflow_events::event::{OwnerMailFailed, OwnerMailed, RegistrationSucceeded, Submitted};
use regflow_events::record::{Record, hash_of};
use regflow_events::{
    Actor, Command, Event, MailPreference, Method, Outlook, PersonKeyId, Priority, RecordId, Refusal, Registration,
    RegistrationId, Shard, Status, Step, Stored, Timestamp, decide, next_step,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_000_000_000);

fn store(sequence: u64, at: Timestamp, previous: Option<regflow_events::Link>, events: Vec<Event>) -> Stored {
    let id = RecordId(Uuid::from_u128(u128::from(sequence)));
    let record = Record { id, at, actor: Actor::System, cause: None, trace: None, previous, events };
    let hash = hash_of(&record.encode().unwrap());
    Stored { sequence, shard: Shard(3), registration: RegistrationId(Uuid::from_u128(9)), record, hash }
}

fn take(registration: &mut Registration, at: Timestamp, events: Vec<Event>) {
    let last = registration.last;
    registration.apply(&store(last.sequence + 1, at, Some(last), events)).unwrap();
}

/// A registration that has succeeded a second ago.
fn succeeded(mail: MailPreference) -> Registration {
    let submitted = Submitted {
        tenant: "default".into(),
        request_id: None,
        connector: "norrland".into(),
        brand: "Norrland".into(),
        model: "VK 200".into(),
        purchased_on: None,
        priority: Priority::Normal,
        owner_ref: [1; 16],
        person_key: PersonKeyId(Uuid::from_u128(1)),
        sealed: vec![1, 2, 3],
        proof: None,
        register_by: None,
        mail,
    };
    let mut registration = Registration::begin(&store(1, Timestamp(0), None, vec![submitted.into()])).unwrap();
    let done = RegistrationSucceeded { method: Method::Api, confirmation: Some("NR-1".into()) };
    take(&mut registration, Timestamp(NOW.0 - 1_000_000), vec![done.into()]);
    registration
}

fn next_at(registration: &Registration, now: Timestamp) -> Step {
    next_step(registration, &Outlook { ladder: &[Method::Api], unknown_brand: false, deadline: None }, now)
}

fn wish(registration: &mut Registration, command: Command) -> Result<(), Refusal> {
    let events = decide(registration, command)?;
    take(registration, NOW, events);
    Ok(())
}

fn mailed() -> Command {
    Command::RecordOwnerMailed(OwnerMailed { message_id: "<a@b>".into() })
}

fn failed(retry_at: Option<Timestamp>) -> Command {
    Command::RecordOwnerMailFailure(OwnerMailFailed { detail: "smtp busy".into(), retry_at })
}

#[test]
fn who_wants_all_mails_is_mailed_once_of_a_success() {
    let mut registration = succeeded(MailPreference::All);
    assert_eq!(next_at(&registration, NOW), Step::MailOwner);
    assert_eq!(registration.owner_mail.unwrap().registered_at, Timestamp(NOW.0 - 1_000_000));
    wish(&mut registration, mailed()).unwrap();
    assert_eq!((registration.stage.status(), next_at(&registration, NOW)), (Status::Success, Step::Rest));
    assert!(matches!(wish(&mut registration, mailed()), Err(Refusal::NotNow { .. })));
}

#[test]
fn who_wants_fewer_mails_is_not() {
    for mail in [MailPreference::ManualOnly, MailPreference::None] {
        let mut registration = succeeded(mail);
        assert_eq!(next_at(&registration, NOW), Step::Rest, "{mail}");
        assert!(matches!(wish(&mut registration, mailed()), Err(Refusal::NotNow { .. })));
    }
}

#[test]
fn a_mail_that_could_not_be_sent_waits_and_is_given_up_at_last_and_it_stays_a_success() {
    let mut registration = succeeded(MailPreference::All);
    let later = NOW.plus(Duration::from_secs(2));
    wish(&mut registration, failed(Some(later))).unwrap();
    assert_eq!(next_at(&registration, NOW), Step::WaitUntil(later));
    assert_eq!(next_at(&registration, later), Step::MailOwner);
    assert_eq!(registration.owner_mail.unwrap().failures, 1);
    wish(&mut registration, failed(None)).unwrap();
    assert_eq!((registration.stage.status(), next_at(&registration, later)), (Status::Success, Step::Rest));
}
