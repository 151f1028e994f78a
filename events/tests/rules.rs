//! Given a history, when something is wished for, then these events follow: the rules, told as short stories.
#![allow(clippy::unwrap_used, reason = "a test stops where its story breaks")]

use std::time::Duration;

use regflow_events::decide::{Correction, Refusal, retry_at};
use regflow_events::event::{PacketFailed, PacketSent, Submitted};
use regflow_events::record::{Record, hash_of};
use regflow_events::{
    Actor, Answer, Command, Conclusion, Deadline, ErrorKind, Event, Failure, FieldProblem, HoldReason, MailPreference,
    ManualReason, Method, ObjectRef, Outcome, Outlook, PersonKeyId, Priority, RecordId, Registration, RegistrationId,
    RetryPolicy, Says, Shard, SkipReason, Stage, Status, Step, Stored, Timestamp, decide, line_timer, next_step,
};
use uuid::Uuid;

const LADDER: &[Method] = &[Method::Api, Method::AutomationReliable, Method::AssistedManual];
const NOW: Timestamp = Timestamp(1_000_000_000);

/// A registration with the records that led to it.
struct Story {
    registration: Registration,
}

impl Story {
    fn submitted() -> Self {
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
            mail: MailPreference::ManualOnly,
        };
        let stored = store(1, None, vec![submitted.into()]);
        Self { registration: Registration::begin(&stored).unwrap() }
    }

    fn given(mut self, command: Command) -> Self {
        self.wish(command).unwrap();
        self
    }

    /// The command's events by name, taken into the registration.
    fn wish(&mut self, command: Command) -> Result<Vec<&'static str>, Refusal> {
        let events = decide(&self.registration, command)?;
        let names = events.iter().map(Event::name).collect();
        let last = self.registration.last;
        self.registration.apply(&store(last.sequence + 1, Some(last), events)).unwrap();
        Ok(names)
    }

    fn next(&self) -> Step {
        self.next_at(NOW)
    }

    fn next_at(&self, now: Timestamp) -> Step {
        next_step(&self.registration, &outlook(LADDER), now)
    }

    fn status(&self) -> Status {
        self.registration.stage.status()
    }
}

fn outlook(ladder: &[Method]) -> Outlook<'_> {
    Outlook { ladder, unknown_brand: false, deadline: None }
}

fn concluded(attempt: u32, outcome: Outcome, retry_at: Option<Timestamp>) -> Command {
    Command::Conclude(Conclusion { retry_at, ..Conclusion::of(attempt, outcome, 5) })
}

fn start(method: Method) -> Command {
    Command::StartAttempt(method, None)
}

fn store(sequence: u64, previous: Option<regflow_events::Link>, events: Vec<Event>) -> Stored {
    let id = RecordId(Uuid::from_u128(u128::from(sequence)));
    let record = Record { id, at: NOW, actor: Actor::System, cause: None, trace: None, previous, events };
    let hash = hash_of(&record.encode().unwrap());
    Stored { sequence, shard: Shard(3), registration: RegistrationId(Uuid::from_u128(9)), record, hash }
}

fn failed(attempt: u32, kind: ErrorKind, retry_at: Option<Timestamp>) -> Command {
    concluded(attempt, Outcome::Failed(Failure::new(kind, "it did not work")), retry_at)
}

fn registered(attempt: u32) -> Command {
    concluded(attempt, Outcome::Registered { confirmation: Some("NR-1".into()), already: false }, None)
}

fn packet_sent() -> Command {
    let pdf = ObjectRef { name: "p".into(), sha256: vec![0; 32], size_bytes: 1 };
    Command::RecordPacketSent(PacketSent { pdf, message_id: "<a@b>".into(), missing_glyphs: vec![] })
}

fn manual() -> Story {
    Story::submitted().given(Command::RequireManual(ManualReason::Captcha))
}

#[test]
fn a_happy_registration_takes_two_decisions_after_its_submission() {
    let mut story = Story::submitted();
    assert_eq!((story.status(), story.next()), (Status::Pending, Step::Attempt(Method::Api)));
    assert_eq!(story.wish(start(Method::Api)).unwrap(), ["dispatched", "attempt_started"]);
    assert_eq!((story.status(), story.next()), (Status::Processing, Step::Rest));
    assert_eq!(story.wish(registered(1)).unwrap(), ["attempt_succeeded", "registration_succeeded"]);
    assert_eq!((story.status(), story.next()), (Status::Success, Step::Rest));
}

#[test]
fn a_failure_with_tries_left_waits_and_then_tries_the_same_method_without_a_new_dispatch() {
    let later = NOW.plus(Duration::from_secs(2));
    let mut story = Story::submitted().given(start(Method::Api));
    assert_eq!(story.wish(failed(1, ErrorKind::Server, Some(later))).unwrap(), ["attempt_failed", "retry_scheduled"]);
    assert_eq!((story.status(), story.next()), (Status::Waiting, Step::WaitUntil(later)));
    assert_eq!(story.next_at(later), Step::Attempt(Method::Api));
    assert_eq!(story.wish(start(Method::Api)).unwrap(), ["attempt_started"]);
    assert_eq!((story.registration.attempts, story.registration.tries), (2, 2));
}

#[test]
fn a_failure_without_tries_left_goes_to_the_next_rung_and_counts_its_tries_anew() {
    let mut story = Story::submitted().given(start(Method::Api));
    assert_eq!(story.wish(failed(1, ErrorKind::Server, None)).unwrap(), ["attempt_failed"]);
    assert_eq!(story.next(), Step::Attempt(Method::AutomationReliable));
    story.wish(start(Method::AutomationReliable)).unwrap();
    assert_eq!((story.registration.attempts, story.registration.tries), (2, 1));
}

#[test]
fn the_end_of_the_ladder_is_a_packet_with_the_reason_of_the_last_failure() {
    for (kind, reason) in [
        (ErrorKind::Captcha, ManualReason::Captcha),
        (ErrorKind::FormChanged, ManualReason::FormChanged),
        (ErrorKind::LoginRequired, ManualReason::LoginRequired),
        (ErrorKind::Server, ManualReason::MethodsExhausted),
    ] {
        let story = Story::submitted().given(start(Method::AutomationReliable));
        let story = story.given(failed(1, kind, None));
        assert_eq!(story.next(), Step::GoManual(reason), "{kind}");
    }
}

#[test]
fn a_manual_maker_and_an_unknown_brand_go_to_the_owner_at_once() {
    let story = Story::submitted();
    let only_manual = &[Method::AssistedManual];
    let step = next_step(&story.registration, &outlook(only_manual), NOW);
    assert_eq!(step, Step::GoManual(ManualReason::MakerIsManualOnly));
    let unknown = Outlook { unknown_brand: true, ..outlook(only_manual) };
    let step = next_step(&story.registration, &unknown, NOW);
    assert_eq!(step, Step::GoManual(ManualReason::UnknownBrand));
}

#[test]
fn refused_data_waits_for_its_correction_and_never_retries_as_it_is() {
    let mut story = Story::submitted().given(start(Method::Api));
    let mut failure = Failure::new(ErrorKind::Validation, "serial refused");
    failure.fields = vec![FieldProblem::new("product.serial", "is not known to the maker")];
    assert_eq!(
        story.wish(concluded(1, Outcome::Failed(failure), None)).unwrap(),
        ["attempt_failed", "correction_needed"]
    );
    assert_eq!((story.status(), story.next()), (Status::NeedsCorrection, Step::Rest));
    assert!(story.wish(Command::Retry { from: None, reason: None, correction: None }).is_err());
    let correction = Correction {
        model: "VK 201".into(),
        purchased_on: None,
        person_key: PersonKeyId(Uuid::from_u128(2)),
        sealed: vec![9],
        register_by: None,
        owner_ref: [9; 16],
    };
    let names = story.wish(Command::Retry { from: None, reason: None, correction: Some(correction) }).unwrap();
    assert_eq!(names, ["corrected", "retry_requested"]);
    assert_eq!((story.registration.model.as_str(), &story.registration.sealed[..]), ("VK 201", &[9][..]));
    assert_eq!(story.registration.owner_ref, [9; 16], "it is of whoever has the mended address");
    assert_eq!(story.next(), Step::Attempt(Method::Api));
}

#[test]
fn an_unknown_outcome_rests_until_a_person_decides() {
    let mut story = Story::submitted().given(start(Method::Api));
    let names = story.wish(failed(1, ErrorKind::UnknownOutcome, Some(NOW))).unwrap();
    assert_eq!(names, ["attempt_failed", "outcome_unknown"]);
    assert_eq!((story.status(), story.next()), (Status::OutcomeUnknown, Step::Rest));
    assert_eq!(story.wish(Command::Complete { confirmation: None, photo: None }).unwrap(), ["user_completed"]);
}

#[test]
fn a_method_that_ends_in_doubt_is_not_followed_by_another_one() {
    let doubtful = |attempt, retry_at| {
        let failure = Failure { in_doubt: true, ..Failure::new(ErrorKind::Timeout, "no answer") };
        concluded(attempt, Outcome::Failed(failure), retry_at)
    };
    let mut story = Story::submitted().given(start(Method::Api));
    let left = story.wish(doubtful(1, Some(NOW))).unwrap();
    assert_eq!(left, ["attempt_failed", "left_in_doubt", "retry_scheduled"]);
    story.wish(start(Method::Api)).unwrap();
    assert_eq!(story.wish(doubtful(2, None)).unwrap(), ["attempt_failed", "outcome_unknown"]);
    assert_eq!((story.status(), story.next()), (Status::OutcomeUnknown, Step::Rest));
}

#[test]
fn a_late_outcome_of_an_older_attempt_is_refused() {
    let mut story = Story::submitted()
        .given(start(Method::Api))
        .given(failed(1, ErrorKind::Server, None))
        .given(start(Method::AutomationReliable));
    assert_eq!(story.wish(registered(1)), Err(Refusal::AttemptIsOver { late: 1, present: 2 }));
    assert_eq!(story.wish(registered(2)).unwrap().len(), 2);
    assert_eq!(story.wish(registered(2)), Err(Refusal::AttemptIsOver { late: 2, present: 2 }));
}

#[test]
fn a_packet_is_sent_once_opened_once_and_completed_once() {
    let mut story = manual();
    assert_eq!((story.status(), story.next()), (Status::ManualRequired, Step::SendPacket));
    assert!(story.wish(Command::OpenPacket).is_err());
    assert_eq!(story.wish(packet_sent()).unwrap(), ["packet_sent"]);
    assert!(story.wish(packet_sent()).is_err());
    assert_eq!(story.wish(Command::OpenPacket).unwrap(), ["packet_opened"]);
    assert!(story.wish(Command::OpenPacket).is_err());
    assert_eq!((story.status(), story.next()), (Status::ManualRequired, Step::Rest));
    let complete = Command::Complete { confirmation: Some("C".into()), photo: None };
    assert_eq!(story.wish(complete.clone()).unwrap(), ["user_completed"]);
    assert_eq!((story.status(), story.wish(complete)), (Status::UserCompleted, Err(Refusal::CompletedAlready)));
}

#[test]
fn a_packet_that_fails_is_tried_again_and_in_the_end_stays_with_a_person() {
    let later = NOW.plus(Duration::from_secs(30));
    let failure = |retry_at| Command::RecordPacketFailure(PacketFailed { detail: "smtp busy".into(), retry_at });
    let mut story = manual().given(failure(Some(later)));
    assert_eq!(story.next(), Step::WaitUntil(later));
    assert_eq!(story.next_at(later), Step::SendPacket);
    story.wish(failure(None)).unwrap();
    assert_eq!((story.status(), story.next()), (Status::ManualRequired, Step::Rest));
    assert!(matches!(story.registration.stage, Stage::PacketStuck { reason: ManualReason::Captcha }));
}

#[test]
fn an_ended_or_running_registration_cannot_be_cancelled_and_says_why() {
    let mut running = Story::submitted().given(start(Method::Api));
    let refusal = running.wish(Command::Cancel { reason: None }).unwrap_err().to_string();
    assert_eq!(
        refusal,
        "a registration that is PROCESSING cannot be cancelled; an attempt is under way: cancel it when that has ended"
    );
    running.wish(registered(1)).unwrap();
    assert!(running.wish(Command::Cancel { reason: None }).is_err());
    assert_eq!(Story::submitted().wish(Command::Cancel { reason: None }).unwrap(), ["cancelled"]);
}

#[test]
fn a_retry_may_begin_at_a_chosen_rung() {
    let mut story = manual().given(packet_sent());
    story.wish(Command::Retry { from: Some(Method::AutomationReliable), reason: None, correction: None }).unwrap();
    assert_eq!(story.next(), Step::Attempt(Method::AutomationReliable));
}

#[test]
fn retry_times_obey_kind_tries_and_policy() {
    let policy = RetryPolicy { tries_max: 3, base_ms: 1_000, cap_ms: 60_000 };
    let server = Failure::new(ErrorKind::Server, "");
    assert_eq!(retry_at(&server, 1, &policy, 1.0, NOW), Some(NOW.plus(Duration::from_secs(1))));
    assert_eq!(retry_at(&server, 2, &policy, 1.0, NOW), Some(NOW.plus(Duration::from_secs(2))));
    assert_eq!(retry_at(&server, 3, &policy, 1.0, NOW), None);
    assert_eq!(retry_at(&Failure::new(ErrorKind::Captcha, ""), 1, &policy, 1.0, NOW), None);
}

#[test]
fn a_record_that_skips_its_predecessor_breaks_the_chain() {
    let mut story = Story::submitted();
    let wrong = regflow_events::Link { sequence: 1, hash: regflow_events::RecordHash([0; 32]) };
    let events = vec![regflow_events::event::Cancelled { reason: None }.into()];
    let broken = story.registration.apply(&store(5, Some(wrong), events));
    assert_eq!(broken, Err(regflow_events::state::HistoryError::ChainBroken { sequence: 5 }));
    assert_eq!(story.status(), Status::Pending);
}

#[test]
fn a_record_taken_in_twice_changes_nothing() {
    let mut story = Story::submitted();
    let last = story.registration.last;
    let events = decide(&story.registration, start(Method::Api)).unwrap();
    let stored = store(2, Some(last), events);
    story.registration.apply(&stored).unwrap();
    let once = story.registration.clone();
    story.registration.apply(&stored).unwrap();
    assert_eq!(story.registration, once);
}

fn deadline() -> Deadline {
    Deadline { last_day: jiff::civil::date(2026, 11, 30), manual_days: 2, alert_days: 7 }
}

/// What comes next at a time in late 2026, for a registration that was handed over early enough.
fn next_by_deadline(story: &Story, now: Timestamp) -> Step {
    next_step(&story.registration, &Outlook { deadline: Some(deadline()), ..outlook(LADDER) }, now)
}

fn hold(reason: HoldReason, until: Option<Timestamp>) -> Command {
    Command::Hold { method: Method::Api, reason, until }
}

#[test]
fn a_closed_guard_is_noted_once_and_burns_no_try() {
    let mut story = Story::submitted().given(start(Method::Api));
    story.wish(failed(1, ErrorKind::Server, Some(NOW))).unwrap();
    assert_eq!(story.wish(hold(HoldReason::CircuitOpen, Some(NOW))).unwrap(), ["held"]);
    assert!(story.wish(hold(HoldReason::CircuitOpen, None)).is_err());
    assert_eq!((story.status(), story.next()), (Status::Waiting, Step::Attempt(Method::Api)));
    assert_eq!(story.wish(start(Method::Api)).unwrap(), ["attempt_started"]);
    assert_eq!((story.registration.attempts, story.registration.tries), (2, 2));
}

#[test]
fn a_first_try_that_was_held_is_dispatched_when_it_begins() {
    let mut story = Story::submitted().given(hold(HoldReason::Paused, None));
    assert_eq!(story.wish(start(Method::Api)).unwrap(), ["dispatched", "attempt_started"]);
}

#[test]
fn a_method_that_is_passed_over_gives_its_turn_to_the_next_rung() {
    let mut story = Story::submitted();
    assert_eq!(story.wish(Command::Skip(Method::Api, SkipReason::CircuitOpen)).unwrap(), ["method_skipped"]);
    assert_eq!((story.status(), story.next()), (Status::Processing, Step::Attempt(Method::AutomationReliable)));
    story.wish(Command::Skip(Method::AutomationReliable, SkipReason::DeadlineNear)).unwrap();
    assert_eq!(story.next(), Step::GoManual(ManualReason::DeadlineNear));
}

#[test]
fn a_wait_that_would_make_it_late_goes_on_to_the_next_rung_early() {
    let (safe, day) = (deadline().latest_safe(), Duration::from_secs(86_400));
    let mut story = Story::submitted().given(start(Method::Api));
    story.wish(failed(1, ErrorKind::RateLimited, Some(safe.plus(day)))).unwrap();
    let skip = Step::Skip(Method::Api, SkipReason::DeadlineNear);
    assert_eq!(next_by_deadline(&story, Timestamp(safe.0 - 1_000_000)), skip);
    // held without an end in sight: until the last safe moment
    let mut story = Story::submitted().given(hold(HoldReason::Paused, None));
    assert_eq!(next_by_deadline(&story, NOW), Step::Attempt(Method::Api));
    story.wish(Command::AlertDeadline(deadline().last_day)).unwrap();
    assert_eq!(next_by_deadline(&story, safe), skip);
}

#[test]
fn a_short_pause_is_no_reason_to_move_on_even_on_the_last_day() {
    let now = Timestamp(deadline().over_at().0 - 3_600_000_000);
    let mut story = Story::submitted().given(start(Method::Api));
    let soon = now.plus(Duration::from_secs(2));
    story.wish(failed(1, ErrorKind::Server, Some(soon))).unwrap();
    assert_eq!(next_by_deadline(&story, now), Step::WaitUntil(soon));
}

#[test]
fn people_are_told_once_before_the_last_day_and_after_it_the_registration_expires() {
    let mut story = manual().given(packet_sent());
    assert_eq!(next_by_deadline(&story, NOW), Step::WaitUntil(deadline().alert_at()));
    assert_eq!(next_by_deadline(&story, deadline().alert_at()), Step::AlertDeadline);
    story.wish(Command::AlertDeadline(deadline().last_day)).unwrap();
    assert_eq!(next_by_deadline(&story, deadline().alert_at()), Step::WaitUntil(deadline().over_at()));
    assert_eq!(next_by_deadline(&story, deadline().over_at()), Step::Expire);
    assert_eq!(story.wish(Command::Expire(deadline().last_day)).unwrap(), ["expired"]);
    assert_eq!((story.status(), next_by_deadline(&story, deadline().over_at())), (Status::Expired, Step::Rest));
    // the maker may have been generous
    assert_eq!(story.wish(Command::Complete { confirmation: None, photo: None }).unwrap(), ["user_completed"]);
}

#[test]
fn what_came_after_its_last_day_is_tried_all_the_same_and_never_expires() {
    let mut story = manual().given(packet_sent());
    story.registration.submitted_at = deadline().over_at().plus(Duration::from_secs(1));
    assert_eq!(next_by_deadline(&story, deadline().over_at().plus(Duration::from_secs(9))), Step::Rest);
}

#[test]
fn an_expired_registration_is_tried_again_only_with_mended_dates() {
    let mut story = manual().given(packet_sent()).given(Command::Expire(deadline().last_day));
    let refusal = story.wish(Command::Retry { from: None, reason: None, correction: None }).unwrap_err().to_string();
    assert!(refusal.contains("EXPIRED") && refusal.contains("mend its dates"), "{refusal}");
}

/// An attempt of which nobody knows the outcome, at a maker that can be asked at `NOW`.
fn doubtful() -> Story {
    let failure = Failure::new(ErrorKind::UnknownOutcome, "no answer");
    let conclusion = Conclusion { ask_at: Some(NOW), ..Conclusion::of(1, Outcome::Failed(failure), 5) };
    let mut story = Story::submitted().given(start(Method::Api));
    let names = story.wish(Command::Conclude(conclusion)).unwrap();
    assert_eq!(names, ["attempt_failed", "outcome_unknown", "lookup_scheduled"]);
    story
}

fn says(says: Says) -> Command {
    Command::Answer(Answer { attempt: 1, says })
}

#[test]
fn a_maker_that_can_be_asked_settles_an_unknown_outcome() {
    let mut story = doubtful();
    assert_eq!((story.status(), story.next()), (Status::OutcomeUnknown, Step::LookUp));
    let later = NOW.plus(Duration::from_secs(30));
    assert_eq!(story.wish(says(Says::NotYet { ask_at: later, asks: None })).unwrap(), ["lookup_scheduled"]);
    assert_eq!(story.next(), Step::WaitUntil(later));
    let registered = Says::Registered { confirmation: Some("NR-1".into()) };
    assert_eq!(story.wish(says(registered)).unwrap(), ["attempt_succeeded", "registration_succeeded"]);
    assert_eq!(story.status(), Status::Success);
}

#[test]
fn an_attempt_that_the_maker_has_nothing_of_is_made_again() {
    let mut story = doubtful();
    let retry_at = Some(NOW.plus(Duration::from_secs(1)));
    let names = story.wish(says(Says::NotRegistered { retry_at })).unwrap();
    assert_eq!(names, ["found_unregistered", "retry_scheduled"]);
    assert_eq!(story.status(), Status::Waiting);
    let mut story = doubtful();
    assert_eq!(story.wish(says(Says::NotRegistered { retry_at: None })).unwrap(), ["found_unregistered"]);
    assert_eq!(story.next(), Step::Attempt(Method::AutomationReliable));
}

#[test]
fn a_maker_that_cannot_tell_leaves_it_to_a_person() {
    let mut story = doubtful();
    assert_eq!(story.wish(says(Says::Nothing { detail: "404".into() })).unwrap(), ["lookup_given_up"]);
    assert_eq!((story.status(), story.next()), (Status::OutcomeUnknown, Step::Rest));
}

#[test]
fn a_late_confirmation_resolves_an_unknown_outcome_and_a_late_failure_does_not() {
    let mut story = doubtful();
    assert!(story.wish(failed(1, ErrorKind::Server, None)).is_err());
    assert_eq!(story.wish(registered(1)).unwrap(), ["attempt_succeeded", "registration_succeeded"]);
}

#[test]
fn certain_failures_after_one_in_doubt_do_not_open_the_way_to_another_method() {
    let failure = Failure { in_doubt: true, ..Failure::new(ErrorKind::Timeout, "no answer") };
    let mut story = Story::submitted().given(start(Method::Api));
    story.wish(concluded(1, Outcome::Failed(failure), Some(NOW))).unwrap();
    story.wish(start(Method::Api)).unwrap();
    assert_eq!(story.wish(failed(2, ErrorKind::Server, None)).unwrap(), ["attempt_failed", "outcome_unknown"]);
}

#[test]
fn a_repeated_attempt_keeps_its_number() {
    let mut story = Story::submitted().given(start(Method::Api));
    assert_eq!(story.wish(Command::RepeatAttempt(None)).unwrap(), ["attempt_repeated"]);
    assert_eq!((story.registration.attempts, story.status()), (1, Status::Processing));
    assert!(Story::submitted().wish(Command::RepeatAttempt(None)).is_err());
}

/// A first try that the maker may have taken, and that will be made again.
fn left_in_doubt() -> Story {
    let failure = Failure { in_doubt: true, ..Failure::new(ErrorKind::Timeout, "no answer") };
    let mut story = Story::submitted().given(start(Method::Api));
    story.wish(concluded(1, Outcome::Failed(failure), Some(NOW))).unwrap();
    story
}

#[test]
fn what_is_in_doubt_is_never_passed_on_to_another_method() {
    let mut story = left_in_doubt();
    let names = story.wish(Command::Skip(Method::Api, SkipReason::DeadlineNear)).unwrap();
    assert_eq!((names, story.status()), (vec!["outcome_unknown"], Status::OutcomeUnknown));
}

#[test]
fn an_attempt_that_is_made_once_more_is_in_doubt_until_it_went_well() {
    let mut story = Story::submitted().given(start(Method::Api)).given(Command::RepeatAttempt(None));
    assert_eq!(story.wish(failed(1, ErrorKind::Network, None)).unwrap(), ["attempt_failed", "outcome_unknown"]);
}

#[test]
fn a_registration_that_is_held_is_looked_at_for_its_alert_and_for_its_last_safe_moment() {
    let outlook = Outlook { deadline: Some(deadline()), ..outlook(LADDER) };
    let mut story = Story::submitted();
    assert_eq!(line_timer(&story.registration, &outlook, NOW), Some(deadline().latest_safe()));
    story.wish(hold(HoldReason::Paused, None)).unwrap();
    assert_eq!(line_timer(&story.registration, &outlook, NOW), Some(deadline().alert_at()));
    story.wish(Command::AlertDeadline(deadline().last_day)).unwrap();
    assert_eq!(line_timer(&story.registration, &outlook, NOW), Some(deadline().latest_safe()));
}
