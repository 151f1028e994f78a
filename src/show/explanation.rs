//! Explanations in a terminal: what a registration waits for, what was tried, what comes next.

use events::Timestamp;
use proto::v1;

use super::{Facts, Paint, due, method_in_words, printable, reason_in_words, time};

/// An explanation, a fact a line, then what was tried.
pub fn explanation(explained: &v1::Explanation, now: Timestamp, paint: Paint) -> String {
    let mut facts = Facts::new(paint);
    if let Some(r) = &explained.registration {
        facts.add("registration", format!("{}  {}", paint.bold(&r.reference), r.id));
        facts.add("status", paint.state(r.state(), 0));
        facts.add("product", printable(&format!("{} {}", r.brand, r.model)));
        facts.add("maker", r.maker.clone());
    }
    if let Some(waits_for) = &explained.waits_for {
        add_wait(&mut facts, waits_for, now);
    }
    if let Some(r) = &explained.registration {
        facts.add("because", reason_in_words(r.manual_reason()).to_owned());
        for problem in &r.corrections {
            facts.add("please check", format!("{} {}", problem.field, printable(&problem.problem)));
        }
    }
    let waits_for = explained.waits_for.as_ref();
    // mostly that is what it waits for
    let next_attempt = explained.next_attempt_time.filter(|at| waits_for.and_then(|one| one.until) != Some(*at));
    facts.add("next attempt", next_attempt.map(|at| due(at, now)).unwrap_or_default());
    facts.add("latest safe", explained.latest_safe_time.map(|at| due(at, now)).unwrap_or_default());
    if waits_for.is_some_and(|one| one.kind() != v1::WaitKind::Nothing) {
        facts.add("register by", explained.registration.as_ref().map(|r| r.register_by.clone()).unwrap_or_default());
    }
    for (index, tried) in explained.tried.iter().enumerate() {
        facts.add(if index == 0 { "tried" } else { " " }, tried_line(tried, paint));
    }
    facts.into_text()
}

fn add_wait(facts: &mut Facts, waits_for: &v1::WaitsFor, now: Timestamp) {
    facts.add("waits for", printable(&waits_for.sentence));
    match waits_for.kind() {
        v1::WaitKind::Operator => {
            facts.add("paused by", printable(&waits_for.by));
            facts.add("because", printable(&waits_for.reason));
            facts.add("since", waits_for.since.map(time).unwrap_or_default());
        }
        v1::WaitKind::Unspecified
        | v1::WaitKind::Nothing
        | v1::WaitKind::UnderWay
        | v1::WaitKind::Turn
        | v1::WaitKind::Circuit
        | v1::WaitKind::Token
        | v1::WaitKind::Time
        | v1::WaitKind::Person => {}
    }
    facts.add("not before", waits_for.until.map(|at| due(at, now)).unwrap_or_default());
    facts.add("in line", waits_for.ahead.map(ahead).unwrap_or_default());
}

fn ahead(count: u64) -> String {
    match count {
        0 => "the first".to_owned(),
        1 => "1 is before it".to_owned(),
        more => format!("{more} are before it"),
    }
}

fn tried_line(tried: &v1::Tried, paint: Paint) -> String {
    let attempt = if tried.attempt == 0 { String::new() } else { format!("{}.", tried.attempt) };
    let at = paint.dim(&tried.time.map(time).unwrap_or_default());
    format!("{at}  {attempt:>3} {:<11}  {}", method_in_words(tried.method()), printable(&tried.outcome))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: Timestamp = Timestamp(1_764_072_000_000_000);

    fn at(seconds: i64) -> Option<proto::Timestamp> {
        Some(proto::Timestamp { seconds: 1_764_072_000 + seconds, nanos: 0 })
    }

    #[test]
    fn facts_stand_below_each_other_and_what_was_tried_comes_last() {
        let explained = v1::Explanation {
            registration: Some(v1::Registration {
                id: "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d".into(),
                reference: "RF-12AB-34CD".into(),
                state: v1::RegistrationState::Waiting.into(),
                brand: "Norrland".into(),
                model: "VK 200".into(),
                maker: "norrland".into(),
                register_by: "2025-12-31".into(),
                ..Default::default()
            }),
            waits_for: Some(v1::WaitsFor {
                kind: v1::WaitKind::Circuit.into(),
                sentence: "the circuit of the maker's API to close".into(),
                until: at(42),
                ahead: Some(3),
                ..Default::default()
            }),
            tried: vec![
                v1::Tried {
                    method: v1::Method::Api.into(),
                    attempt: 1,
                    time: at(-60),
                    outcome: "server: HTTP 503".into(),
                },
                v1::Tried {
                    method: v1::Method::AutomationReliable.into(),
                    attempt: 0,
                    time: at(-5),
                    outcome: "passed over: circuit open".into(),
                },
            ],
            next_attempt_time: at(42),
            latest_safe_time: at(3 * 86_400),
        };
        let text = explanation(&explained, NOON, Paint::plain());
        let lines = [
            "registration  RF-12AB-34CD  0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d",
            "status        WAITING",
            "product       Norrland VK 200",
            "maker         norrland",
            "waits for     the circuit of the maker's API to close",
            "not before    2025-11-25T12:00:42.000Z (in 42 s)",
            "in line       3 are before it",
            "latest safe   2025-11-28T12:00:00.000Z (in 3 d)",
            "register by   2025-12-31",
            "tried         2025-11-25T11:59:00.000Z   1. maker's API  server: HTTP 503",
            "              2025-11-25T11:59:55.000Z      web form     passed over: circuit open",
        ];
        assert_eq!(text.trim_end().lines().collect::<Vec<_>>(), lines);
    }
}
