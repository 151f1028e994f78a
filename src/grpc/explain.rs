//! Explanations on the wire. Whatever has not ended waits for something, and says for what.

use events::maker::Pause;
use events::{HoldReason, MailPreference, Method, Registration, Stage, Timestamp};
use handlers::{Explanation, Tried, WaitsFor};
use proto::v1::{self, WaitKind};

use super::audit::timestamp;
use super::{wire, words};
use crate::access::Sight;

/// An explanation; `registration` is the one it is about, as the view shows it.
pub fn explanation(explained: Explanation, registration: v1::Registration, sight: &Sight) -> v1::Explanation {
    let is_settled = explained.registration.stage.status().is_settled();
    v1::Explanation {
        waits_for: Some(narrowed(waits_for(&explained.registration, explained.waits_for), sight)),
        tried: explained.tried.into_iter().map(tried).collect(),
        next_attempt_time: explained.next_attempt_at.map(timestamp),
        latest_safe_time: explained.latest_safe.filter(|_| !is_settled).map(timestamp),
        registration: Some(registration),
    }
}

/// Without what tells of others: how many of everybody are before it, and which operator said what.
fn narrowed(waits: v1::WaitsFor, sight: &Sight) -> v1::WaitsFor {
    match (sight, waits.kind()) {
        (Sight::All, _) => waits,
        (Sight::Tenant(_) | Sight::Own { .. }, WaitKind::Operator) => {
            v1::WaitsFor { ahead: None, by: String::new(), reason: String::new(), ..waits }
        }
        (Sight::Tenant(_) | Sight::Own { .. }, _) => v1::WaitsFor { ahead: None, ..waits },
    }
}

fn tried(tried: Tried) -> v1::Tried {
    v1::Tried {
        method: wire::method(Some(tried.method)).into(),
        attempt: tried.attempt.unwrap_or_default(),
        time: Some(timestamp(tried.at)),
        outcome: tried.outcome,
    }
}

/// A person and an end are known from the registration itself; the rest the engine knows best, if it answers.
fn waits_for(registration: &Registration, engine: Option<WaitsFor>) -> v1::WaitsFor {
    person_or_nothing(registration).unwrap_or_else(|| match engine {
        Some(known) => of_engine(known, registration),
        None => of_stage(registration),
    })
}

fn one(kind: WaitKind, method: Option<Method>, sentence: impl Into<String>) -> v1::WaitsFor {
    v1::WaitsFor {
        kind: kind.into(),
        sentence: sentence.into(),
        method: wire::method(method).into(),
        ..Default::default()
    }
}

fn person_or_nothing(registration: &Registration) -> Option<v1::WaitsFor> {
    Some(match &registration.stage {
        Stage::NeedsCorrection { fields } => {
            let names: Vec<&str> = fields.iter().map(|problem| problem.field.as_str()).collect();
            person("owner", None, format!("its owner to correct {}, which the maker refused", names.join(", ")))
        }
        Stage::PacketSent { .. } if registration.mail == MailPreference::None => {
            let text = "its owner, who wants no mail, to get the packet from whoever handed it over, and to say that it is done";
            person("owner", Some(Method::AssistedManual), text)
        }
        Stage::PacketSent { .. } => {
            person("owner", Some(Method::AssistedManual), "its owner, who has the packet, to say that it is done")
        }
        Stage::PacketStuck { .. } => {
            let text = "somebody to see why the packet could not be mailed, and to try it again or to complete it";
            person("operator", Some(Method::AssistedManual), text)
        }
        Stage::Unknown { ask_at: None, attempt, method, .. } => {
            let text = format!(
                "somebody to find out whether the maker accepted attempt {attempt}, and to complete it or to try it again"
            );
            person("operator", Some(*method), text)
        }
        Stage::Succeeded { .. } if registration.owner_mail.is_some() => {
            nothing("it is registered, and the mail to its owner follows")
        }
        Stage::Succeeded { .. } => nothing("it is registered"),
        Stage::Completed { .. } => nothing("its owner has finished it by hand"),
        Stage::Cancelled => nothing("it was withdrawn"),
        Stage::Expired { last_day } => nothing(&format!("the maker's last day, {last_day}, has passed")),
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. }
        | Stage::Unknown { ask_at: Some(_), .. }
        | Stage::PacketDue { .. } => return None,
    })
}

fn person(by: &str, method: Option<Method>, sentence: impl Into<String>) -> v1::WaitsFor {
    v1::WaitsFor { by: by.to_owned(), ..one(WaitKind::Person, method, sentence) }
}

fn nothing(why: &str) -> v1::WaitsFor {
    one(WaitKind::Nothing, None, format!("nothing: {why}"))
}

fn of_engine(known: WaitsFor, registration: &Registration) -> v1::WaitsFor {
    match known {
        WaitsFor::UnderWay => one(WaitKind::UnderWay, registration.method(), under_way(registration)),
        WaitsFor::Turn { method, ahead } => v1::WaitsFor { ahead: wide(ahead), ..turn(registration, method) },
        WaitsFor::Circuit { method, until, ahead } => {
            v1::WaitsFor { ahead: wide(ahead), ..guard(method, HoldReason::CircuitOpen, until) }
        }
        WaitsFor::Token { method, at, ahead } => {
            v1::WaitsFor { ahead: wide(ahead), ..guard(method, HoldReason::RateLimit, Some(at)) }
        }
        WaitsFor::Operator { method, pause } => paused(method, pause),
        WaitsFor::Time(at) => timed(registration).unwrap_or_else(|| until(at, registration.method(), "its next step")),
    }
}

/// What the log says when the engine does not: it has not seen the registration yet, or has just let go of it.
fn of_stage(registration: &Registration) -> v1::WaitsFor {
    if let Some(timed) = timed(registration) {
        return timed;
    }
    if let Stage::Held { method, reason, until, .. } = registration.stage {
        return guard(method, reason, until);
    }
    if let Stage::Attempting { method } = registration.stage {
        return one(WaitKind::UnderWay, Some(method), under_way(registration));
    }
    turn(registration, None)
}

/// The time that the stage itself names.
fn timed(registration: &Registration) -> Option<v1::WaitsFor> {
    let method = registration.method();
    if let Stage::Backoff { method: failed, until: at, after } = registration.stage {
        return Some(until(at, method, &words::retry(failed, after)));
    }
    if let Stage::Unknown { ask_at: Some(at), attempt, .. } = registration.stage {
        return Some(until(at, method, &words::answer(attempt)));
    }
    if let Stage::PacketDue { not_before: Some(at), .. } = registration.stage {
        return Some(until(at, method, words::PACKET_AGAIN));
    }
    None
}

fn until(at: Timestamp, method: Option<Method>, sentence: &str) -> v1::WaitsFor {
    v1::WaitsFor { until: Some(timestamp(at)), ..one(WaitKind::Time, method, sentence) }
}

fn guard(method: Method, reason: HoldReason, until: Option<Timestamp>) -> v1::WaitsFor {
    let kind = match reason {
        HoldReason::CircuitOpen => WaitKind::Circuit,
        HoldReason::RateLimit => WaitKind::Token,
        HoldReason::Paused => WaitKind::Operator,
        HoldReason::Turn => WaitKind::Turn,
    };
    v1::WaitsFor { until: until.map(timestamp), ..one(kind, Some(method), words::guard(method, reason)) }
}

fn paused(method: Method, pause: Pause) -> v1::WaitsFor {
    v1::WaitsFor {
        by: pause.by.to_string(),
        reason: pause.reason,
        since: Some(timestamp(pause.since)),
        ..guard(method, HoldReason::Paused, None)
    }
}

fn turn(registration: &Registration, method: Option<Method>) -> v1::WaitsFor {
    let sentence = if let Some(method) = method {
        format!("its turn with {}", words::name(method))
    } else if let Stage::Unknown { attempt, .. } = registration.stage {
        format!("its turn to ask the maker about attempt {attempt}")
    } else if matches!(registration.stage, Stage::PacketDue { .. }) {
        "the turn of its packet".to_owned()
    } else {
        "its turn".to_owned()
    };
    one(WaitKind::Turn, method.or_else(|| registration.method()), sentence)
}

fn under_way(registration: &Registration) -> String {
    if let Stage::Attempting { method } = registration.stage {
        format!("the attempt with {}, which is under way", words::name(method))
    } else if let Stage::Unknown { attempt, .. } = registration.stage {
        format!("{}, which is being asked for", words::answer(attempt))
    } else if matches!(registration.stage, Stage::PacketDue { .. }) {
        "its packet, which is being made and mailed".to_owned()
    } else {
        "its next step, which is under way".to_owned()
    }
}

fn wide(ahead: Option<usize>) -> Option<u64> {
    ahead.and_then(|count| u64::try_from(count).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use events::record::{Link, RecordHash};
    use events::{ErrorKind, FieldProblem, ManualReason, PersonKeyId, Priority, RecordId, RegistrationId, Shard};

    const NOON: Timestamp = Timestamp(1_764_072_000_000_000);

    fn at(stage: Stage) -> Registration {
        let id = RegistrationId::of_request("shop", "1");
        Registration {
            id,
            shard: Shard(0),
            tenant: "shop".into(),
            request_id: None,
            connector: "norrland".into(),
            brand: "Norrland".into(),
            model: "VK 200".into(),
            purchased_on: None,
            priority: Priority::Normal,
            owner_ref: [0; 16],
            person_key: PersonKeyId(id.0),
            sealed: Default::default(),
            proof: None,
            register_by: None,
            deadline_alerted: false,
            forgetting: None,
            submitted_at: NOON,
            updated_at: NOON,
            attempts: 2,
            tries: 1,
            in_doubt: false,
            mail: MailPreference::All,
            owner_mail: None,
            stage,
            last: Link { sequence: 1, hash: RecordHash([0; 32]) },
            last_record: RecordId(id.0),
            trace: None,
        }
    }

    fn told(stage: Stage, engine: Option<WaitsFor>) -> (WaitKind, String) {
        let waits_for = waits_for(&at(stage), engine);
        (waits_for.kind(), waits_for.sentence)
    }

    #[test]
    fn who_has_the_packet_is_waited_for_although_the_engine_watches_the_last_day() {
        let sent = Stage::PacketSent { reason: ManualReason::Captcha, opened: true };
        let (kind, sentence) = told(sent, Some(WaitsFor::Time(NOON)));
        assert_eq!(
            (kind, sentence.as_str()),
            (WaitKind::Person, "its owner, who has the packet, to say that it is done")
        );
    }

    #[test]
    fn the_fields_that_the_maker_refused_are_named() {
        let fields = vec![FieldProblem::new("product.serial", "is odd"), FieldProblem::new("purchase.date", "is late")];
        let (kind, sentence) = told(Stage::NeedsCorrection { fields }, None);
        assert_eq!(kind, WaitKind::Person);
        assert_eq!(sentence, "its owner to correct product.serial, purchase.date, which the maker refused");
    }

    #[test]
    fn an_unknown_outcome_waits_for_the_maker_and_at_last_for_a_person() {
        let unknown = |ask_at| Stage::Unknown { attempt: 2, method: Method::Api, ask_at, asked: 1 };
        let asked = told(unknown(Some(NOON)), Some(WaitsFor::Time(NOON)));
        assert_eq!(asked, (WaitKind::Time, "the maker's answer about attempt 2".to_owned()));
        assert_eq!(told(unknown(None), None).0, WaitKind::Person);
    }

    #[test]
    fn a_pause_after_a_failure_ends_when_the_log_says_so_and_names_the_failure() {
        let backoff = Stage::Backoff { method: Method::Api, until: NOON, after: ErrorKind::Server };
        let waits_for = waits_for(&at(backoff), Some(WaitsFor::Time(NOON.plus(std::time::Duration::from_secs(9)))));
        assert_eq!(waits_for.sentence, "another try by the maker's API after an error of the maker's server");
        assert_eq!(waits_for.until, Some(timestamp(NOON)));
    }

    #[test]
    fn without_the_engine_the_log_tells_what_it_was_held_by() {
        let held = |reason| Stage::Held { method: Method::Api, reason, until: Some(NOON), retry_after: None };
        assert_eq!(told(held(HoldReason::RateLimit), None).0, WaitKind::Token);
        assert_eq!(told(held(HoldReason::CircuitOpen), None).0, WaitKind::Circuit);
        assert_eq!(told(held(HoldReason::Paused), None).0, WaitKind::Operator);
        assert_eq!(told(Stage::Fresh { from: None }, None), (WaitKind::Turn, "its turn".to_owned()));
        assert_eq!(told(Stage::Attempting { method: Method::Api }, None).0, WaitKind::UnderWay);
    }

    #[test]
    fn what_has_ended_waits_for_nothing_whatever_the_engine_says() {
        let ended = [
            Stage::Succeeded { method: Method::Api, confirmation: None },
            Stage::Completed { confirmation: None },
            Stage::Cancelled,
            Stage::Expired { last_day: jiff::civil::date(2026, 11, 30) },
        ];
        for stage in ended {
            assert_eq!(told(stage, Some(WaitsFor::UnderWay)).0, WaitKind::Nothing);
        }
    }
}
