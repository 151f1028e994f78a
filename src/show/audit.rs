//! What a check of an export found, and how everything was, in a terminal.

use audit::inspect::{BREAKS_KEPT_MAX, Summary};
use proto::v1;

use super::{Facts, Paint, Tone, makers_then, metrics, printable, record, registration, state_word, time, timestamp};

/// A record as a story, with whose it is.
pub fn replayed(r: &v1::RecordView, paint: Paint) -> String {
    if !r.problem.is_empty() {
        let text = format!("cannot be read: {}", printable(&r.problem));
        return format!("{:>31}  {}\n", r.sequence, paint.tone(&text, Tone::Bad));
    }
    let (about, subject) = if r.maker.is_empty() { ("registration", &r.registration_id) } else { ("maker", &r.maker) };
    let story = record(r, paint);
    let (head, rest) = story.split_once('\n').unwrap_or((&story, ""));
    format!("{head}  {}\n{rest}", paint.dim(&format!("{about} {}", printable(subject))))
}

/// What is in a file.
pub fn summary(summary: &Summary, paint: Paint) -> String {
    let mut facts = Facts::new(paint);
    facts.add("lines", format!("{}, of {} records", summary.lines, summary.records));
    for (name, edge) in [("first", &summary.first), ("last", &summary.last)] {
        let told = edge.as_ref().map(|(sequence, time)| format!("sequence {sequence}, {}", printable(time)));
        facts.add(name, told.unwrap_or_default());
    }
    facts.add("about", format!("{} registrations and makers", summary.subjects));
    if summary.begun_before > 0 {
        facts.add("", format!("{} of them began before this file", summary.begun_before));
    }
    if summary.unreadable > 0 {
        facts.add("unreadable", format!("{} messages of the log were no records", summary.unreadable));
    }
    for (name, counts) in [("events", &summary.events), ("makers", &summary.makers)] {
        for (place, (what, count)) in counts.iter().enumerate() {
            facts.add(if place == 0 { name } else { "" }, format!("{count:>9}  {}", printable(what)));
        }
    }
    let mut text = facts.into_text();
    for found in &summary.breaks {
        let line = format!("line {} (sequence {}) {}\n", found.line, found.sequence, printable(&found.problem));
        text.push_str(&paint.tone(&line, Tone::Bad));
    }
    text.push_str(&match summary.breaks_count {
        0 => paint.tone("every line is whole, in order, and linked to the one before it\n", Tone::Good),
        many if many > BREAKS_KEPT_MAX as u64 => format!("{many} lines do not fit, of which the first are shown\n"),
        1 => "1 line does not fit\n".to_owned(),
        many => format!("{many} lines do not fit\n"),
    });
    text
}

/// How everything was.
pub fn as_of(answer: &v1::AsOfResponse, paint: Paint) -> String {
    let mut facts = Facts::new(paint);
    let at = answer.time.map(time).unwrap_or_default();
    facts.add("as of", format!("sequence {}, {at}", answer.sequence));
    let counted = answer.states.iter().filter(|state| state.count > 0);
    for (place, state) in counted.enumerate() {
        let told = format!("{:>9}  {}", state.count, state_word(state.state()));
        facts.add(if place == 0 { "states" } else { "" }, told);
    }
    let funnel = answer.funnel.unwrap_or_default();
    let steps = [funnel.required, funnel.sent, funnel.opened, funnel.completed];
    let [required, sent, opened, completed] = steps;
    facts.add("by hand", format!("{required} needed, {sent} packets sent, {opened} opened, {completed} completed"));
    let mut text = facts.into_text();
    if let Some(one) = &answer.registration {
        text.push('\n');
        text.push_str(&registration(one, paint));
    }
    if !answer.registrations.is_empty() {
        text.push('\n');
        text.push_str(&crate::client::table(&answer.registrations).trim_fmt());
        text.push('\n');
    }
    if answer.list_incomplete {
        text.push_str("some may be missing from this list: more were open than are kept in memory\n");
    }
    text.push('\n');
    let now = answer.time.map(timestamp).unwrap_or_default();
    text.push_str(&makers_then(&answer.makers, now, paint));
    text.push('\n');
    if let Some(of_window) = &answer.metrics {
        text.push('\n');
        text.push_str(metrics(of_window, paint).trim_end());
        text.push('\n');
    }
    text
}
