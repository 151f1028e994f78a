//! Forgetting a person, told as short stories: what it ends, what it leaves, and the law that stands against it.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use jiff::civil::{Date, date};
use proptest::prelude::*;
use regflow_events::decide::{Correction, Refusal};
use regflow_events::event::{PacketFailed, PersonErased, Submitted};
use regflow_events::forget::Wish;
use regflow_events::record::{Record, hash_of};
use regflow_events::{
    Actor, Command, Conclusion, ErrorKind, Event, Failure, ForgetReason, Forgetting, Guards, Kept, MailPreference,
    MakerPolicy, ManualReason, Method, ObjectRef, Outcome, Outlook, PersonKeyId, Priority, RecordId, Registration,
    RegistrationId, Retention, RetentionFrom, Shard, Stage, Status, Step, Stored, Timestamp, decide, next_step,
};
use uuid::Uuid;

const NOW: Timestamp = Timestamp(1_790_000_000_000_000);

/// A registration, and the guards of its maker beside it.
struct Story {
    registration: Registration,
    guards: Guards,
}

impl Story {
    fn submitted() -> Self {
        let proof = ObjectRef { name: "proof/1".into(), sha256: vec![1; 32], size_bytes: 9 };
        let submitted = Submitted {
            tenant: "shop".into(),
            request_id: Some("order-1".into()),
            connector: "norrland".into(),
            brand: "Norrland".into(),
            model: "VK 200".into(),
            purchased_on: None,
            priority: Priority::Normal,
            owner_ref: [7; 16],
            person_key: PersonKeyId(Uuid::from_u128(1)),
            sealed: vec![1, 2, 3],
            proof: Some(proof),
            register_by: None,
            mail: MailPreference::All,
        };
        let stored = store(1, None, vec![submitted.into()]);
        let guards = Guards::new([("norrland", MakerPolicy::default())]);
        Self { registration: Registration::begin(&stored).unwrap(), guards }
    }

    fn given(mut self, command: Command) -> Self {
        self.wish(command).unwrap();
        self
    }

    fn wish(&mut self, command: Command) -> Result<Vec<&'static str>, Refusal> {
        let events = decide(&self.registration, command)?;
        let names = events.iter().map(Event::name).collect();
        let last = self.registration.last;
        let stored = store(last.sequence + 1, Some(last), events);
        self.guards.take(&stored);
        self.registration.apply(&stored).unwrap();
        Ok(names)
    }

    fn next(&self) -> Step {
        let ladder = &[Method::Api, Method::AssistedManual];
        next_step(&self.registration, &Outlook { ladder, unknown_brand: false, deadline: None }, NOW)
    }

    fn status(&self) -> Status {
        self.registration.stage.status()
    }
}

fn store(sequence: u64, previous: Option<regflow_events::Link>, events: Vec<Event>) -> Stored {
    let record = Record {
        id: RecordId(Uuid::from_u128(sequence.into())),
        at: NOW,
        actor: Actor::System,
        cause: None,
        trace: None,
        previous,
        events,
    };
    let hash = hash_of(&record.encode().unwrap());
    Stored { sequence, shard: Shard(0), registration: RegistrationId(Uuid::from_u128(1)), record, hash }
}

const FORGET: Command = Command::Forgetting(Wish::Forget(ForgetReason::PersonAsked, None));
const ERASED: Command = Command::Forgetting(Wish::RecordErased(PersonErased { keys: Vec::new(), files: 2 }));

fn concluded(outcome: Outcome) -> Command {
    Command::Conclude(Conclusion::of(1, outcome, 5))
}

fn registered() -> Command {
    concluded(Outcome::Registered { confirmation: Some("NR-1".into()), already: false })
}

#[test]
fn given_one_that_waits_when_its_person_is_forgotten_then_it_is_cancelled_and_erased_once() {
    let mut story = Story::submitted();
    assert_eq!(story.wish(FORGET), Ok(vec!["cancelled", "person_forgotten"]));
    assert_eq!((story.status(), story.next()), (Status::Cancelled, Step::Erase));
    let known = &story.registration;
    assert_eq!((known.owner_ref, known.sealed.len()), ([0; 16], 0));
    assert_eq!((&known.request_id, &known.proof), (&None, &None));
    assert_eq!(story.wish(ERASED), Ok(vec!["person_erased"]));
    assert_eq!((story.next(), story.registration.forgetting), (Step::Rest, Some(Forgetting::Done)));
    assert_eq!(story.wish(ERASED), Err(Refusal::Forgotten));
}

#[test]
fn given_an_attempt_under_way_when_forgotten_then_it_is_fenced_and_its_late_outcome_refused() {
    let mut story = Story::submitted().given(Command::StartAttempt(Method::Api, None));
    assert_eq!(story.wish(FORGET), Ok(vec!["attempt_failed", "cancelled", "person_forgotten"]));
    assert_eq!((story.status(), story.next()), (Status::Cancelled, Step::Erase));
    assert_eq!(story.wish(registered()), Err(Refusal::Forgotten));
    // the maker's place is free again: the attempt counts as ended, and not against the maker
    let maker = story.guards.find("norrland").unwrap();
    assert_eq!(maker.vitals.last_hour(NOW).attempts, 0);
}

#[test]
fn given_one_that_ended_well_when_forgotten_then_it_stays_so_without_the_makers_code_and_without_a_mail() {
    let mut story = Story::submitted().given(Command::StartAttempt(Method::Api, None)).given(registered());
    assert_eq!(story.next(), Step::MailOwner);
    assert_eq!(story.wish(FORGET), Ok(vec!["person_forgotten"]));
    assert_eq!(story.registration.stage, Stage::Succeeded { method: Method::Api, confirmation: None });
    assert_eq!((story.status(), story.next()), (Status::Success, Step::Erase));
}

#[test]
fn given_nobody_forgotten_when_the_erasure_is_told_then_it_is_refused() {
    assert!(matches!(Story::submitted().wish(ERASED), Err(Refusal::NotNow { .. })));
}

#[test]
fn given_a_law_that_keeps_it_when_forgotten_then_it_is_refused_with_law_and_day() {
    let kept = Kept { until: date(2031, 5, 4), law: "the Toy Act".into() };
    let mut story = Story::submitted();
    let refused = story.wish(Command::Forgetting(Wish::Forget(ForgetReason::Ordered, Some(kept)))).unwrap_err();
    assert_eq!(refused.to_string(), "it must be kept until 2031-05-04 by the Toy Act; ask again after that day");
    assert_eq!(story.registration.forgetting, None);
}

fn after_forgetting() -> Vec<Command> {
    let correction = Correction {
        model: "X".into(),
        purchased_on: None,
        person_key: PersonKeyId(Uuid::from_u128(2)),
        sealed: vec![1],
        register_by: None,
        owner_ref: [1; 16],
    };
    vec![
        Command::StartAttempt(Method::Api, None),
        Command::RepeatAttempt(None),
        registered(),
        concluded(Outcome::Failed(Failure::new(ErrorKind::Server, "503"))),
        Command::RequireManual(ManualReason::Captcha),
        Command::RecordPacketFailure(PacketFailed { detail: "busy".into(), retry_at: None }),
        Command::OpenPacket,
        Command::Complete { confirmation: None, photo: None },
        Command::Cancel { reason: None },
        Command::Retry { from: None, reason: None, correction: Some(correction) },
        Command::AlertDeadline(date(2026, 12, 1)),
        Command::Expire(date(2026, 12, 1)),
        FORGET,
    ]
}

#[test]
fn whatever_is_wished_afterwards_is_refused() {
    for erased in [false, true] {
        let mut story = Story::submitted().given(FORGET);
        if erased {
            story = story.given(ERASED);
        }
        for command in after_forgetting() {
            assert_eq!(story.wish(command.clone()), Err(Refusal::Forgotten), "{command:?}");
        }
    }
}

fn retention(keep_years: u32, from: RetentionFrom) -> Retention {
    Retention { keep_years, from, law: "the Toy Act".into() }
}

fn noon(day: Date) -> Timestamp {
    day.at(12, 0, 0, 0).to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().into()
}

#[test]
fn a_retention_holds_through_its_last_day_and_not_longer() {
    let (bought, submitted) = (date(2024, 2, 29), noon(date(2024, 3, 20)));
    let rule = retention(6, RetentionFrom::Purchase);
    let until = |rule: &Retention, bought, now| rule.keeps(bought, submitted, noon(now)).map(|kept| kept.until);
    assert_eq!(until(&rule, Some(bought), date(2030, 2, 28)), Some(date(2030, 2, 28)));
    assert_eq!(until(&rule, Some(bought), date(2030, 3, 1)), None);
    assert_eq!(until(&rule, None, date(2030, 3, 20)), Some(date(2030, 3, 20)), "no day of purchase is known");
    let from_submission = retention(1, RetentionFrom::Submission);
    assert_eq!(until(&from_submission, Some(bought), date(2025, 3, 20)), Some(date(2025, 3, 20)));
    assert_eq!(until(&from_submission, Some(bought), date(2025, 3, 21)), None);
}

proptest! {
    #[test]
    fn no_day_and_no_number_of_years_is_too_much(years: u32, day in -3_000_000i64..3_000_000, now: i64) {
        let bought = date(2024, 1, 1).checked_add(jiff::Span::new().days(day)).ok();
        let _ = retention(years, RetentionFrom::Purchase).keeps(bought, NOW, Timestamp(now));
    }
}
