//! What people see in a terminal: states in colour, one line a registration, a history as a story; and the same as JSON.

mod audit;
mod explanation;
mod forget;
mod makers;
mod metrics;
mod proof;
mod redrive;
mod sheet;
mod webhooks;

use std::fmt::Write as _;
use std::io::{IsTerminal, Write as _};

use comfy_table::{Cell, Color, Table};
use events::Timestamp;
use proto::v1;
use serde_json::Value;

pub use audit::{as_of, replayed, summary};
pub use explanation::explanation;
pub use forget::forget;
pub use makers::{maker, makers, makers_then};
pub use metrics::metrics;
pub use proof::{reported, verified};
pub use redrive::redrive;
pub use sheet::sheet;
pub use webhooks::webhooks;

/// Paints when the output is a terminal and `NO_COLOR` is not set.
#[derive(Debug, Clone, Copy)]
pub struct Paint(bool);

impl Paint {
    /// For standard output.
    pub fn stdout() -> Self {
        Self(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// For standard error.
    pub fn stderr() -> Self {
        Self(std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
    }

    /// Never paints.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self(false)
    }

    /// A cell of a table.
    pub fn cell(self, text: &str, tone: Tone) -> Cell {
        let cell = Cell::new(text);
        match tone {
            Tone::Good if self.0 => cell.fg(Color::DarkGreen),
            Tone::Odd if self.0 => cell.fg(Color::DarkYellow),
            Tone::Bad if self.0 => cell.fg(Color::DarkRed),
            Tone::Plain | Tone::Good | Tone::Odd | Tone::Bad => cell,
        }
    }

    /// `text` as it is meant.
    pub fn tone(self, text: &str, tone: Tone) -> String {
        match tone {
            Tone::Plain => text.to_owned(),
            Tone::Good => self.style("32", text),
            Tone::Odd => self.style("33", text),
            Tone::Bad => self.style("31", text),
        }
    }

    /// `text` in an ANSI style such as `1;32`.
    pub fn style(self, style: &str, text: &str) -> String {
        if self.0 { format!("\x1b[{style}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// Faint.
    pub fn dim(self, text: &str) -> String {
        self.style("2", text)
    }

    /// Strong.
    pub fn bold(self, text: &str) -> String {
        self.style("1", text)
    }

    /// A state in its colour, padded to `width`.
    pub fn state(self, state: v1::RegistrationState, width: usize) -> String {
        self.style(colour(state), &format!("{:<width$}", state_word(state)))
    }
}

/// What a word means for whoever reads it.
#[derive(Debug, Clone, Copy)]
pub enum Tone {
    /// Nothing in particular.
    Plain,
    /// All is well.
    Good,
    /// Look at it some time.
    Odd,
    /// Look at it now.
    Bad,
}

const fn colour(state: v1::RegistrationState) -> &'static str {
    use v1::RegistrationState as S;
    match state {
        S::Success | S::UserCompleted => "32",
        S::ManualRequired => "33",
        S::NeedsCorrection | S::OutcomeUnknown | S::Expired => "31",
        S::Processing | S::Waiting => "36",
        S::Pending | S::Cancelled | S::Unspecified => "2",
    }
}

/// The word of a state, as the design spells it.
pub fn state_word(state: v1::RegistrationState) -> &'static str {
    state.as_str_name().trim_start_matches("REGISTRATION_STATE_")
}

/// A method for people.
pub const fn method_in_words(method: v1::Method) -> &'static str {
    match method {
        v1::Method::Api => "maker's API",
        v1::Method::AutomationReliable => "web form",
        v1::Method::AssistedManual => "by hand",
        v1::Method::Unspecified => "-",
    }
}

/// A method in a table or in the middle of a sentence.
pub const fn method_in_short(method: v1::Method) -> &'static str {
    match method {
        v1::Method::Api => "API",
        v1::Method::AutomationReliable => "web form",
        v1::Method::AssistedManual => "packet",
        v1::Method::Unspecified => "-",
    }
}

/// Prints a line for people; a reader who has left misses it, and the work goes on.
macro_rules! tell {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        drop(writeln!(std::io::stdout(), $($words)*));
    }};
}
pub(crate) use tell;

/// Prints a line. Unlike `println!` it does not panic when the reader has left.
pub fn say(text: &str) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{text}")
}

/// Removes what could move a terminal's cursor or turn the direction of its text: data from outside is printed, never obeyed.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if moves(c) { '\u{FFFD}' } else { c }).collect()
}

/// Controls, the controls of direction (UAX #9), and the separators that act as line ends.
pub fn moves(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// Lines of a name and a value, the values below each other.
pub struct Facts {
    text: String,
    paint: Paint,
}

impl Facts {
    /// None yet.
    pub const fn new(paint: Paint) -> Self {
        Self { text: String::new(), paint }
    }

    /// One more, unless there is nothing to say. A blank name goes on with the one before.
    pub fn add(&mut self, name: &str, value: String) {
        if !value.is_empty() {
            let _ = writeln!(self.text, "{} {value}", self.paint.dim(&format!("{name:<13}")));
        }
    }

    /// All of them.
    pub fn into_text(self) -> String {
        self.text
    }
}

/// A table without lines, under these names.
pub fn table<const N: usize>(names: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(names);
    table.column_iter_mut().for_each(|column| {
        column.set_padding((0, 2));
    });
    table
}

/// One registration, a fact a line.
pub fn registration(r: &v1::Registration, paint: Paint) -> String {
    let mut facts = Facts::new(paint);
    facts.add("registration", format!("{}  {}", paint.bold(&r.reference), r.id));
    facts.add("status", format!("{}{}", paint.state(r.state(), 0), ending(r)));
    facts.add("product", printable(&format!("{} {}", r.brand, r.model)));
    facts.add("maker", r.maker.clone());
    facts.add("method", method_line(r));
    facts.add("because", reason_in_words(r.manual_reason()).to_owned());
    facts.add("confirmation", printable(r.confirmation()));
    if let Some(waiting) = &r.waiting {
        let until = waiting.until.map(|at| format!(", not before {}", time(at))).unwrap_or_default();
        facts.add("waits for", format!("{}{until}", printable(&waiting.reason)));
    }
    facts.add("last problem", printable(&r.last_error_detail));
    for problem in r.corrections.iter().chain(&r.warnings) {
        facts.add("please check", format!("{} {}", problem.field, printable(&problem.problem)));
    }
    if let Some(packet) = &r.packet {
        facts.add("packet", packet_line(packet));
    }
    facts.add("register by", r.register_by.clone());
    facts.add("submitted", r.submit_time.map(time).unwrap_or_default());
    facts.add("updated", r.update_time.map(time).unwrap_or_default());
    facts.add("owner", r.owner_ref.clone());
    facts.into_text()
}

fn ending(r: &v1::Registration) -> String {
    if r.already_registered { " (had been registered before)".to_owned() } else { String::new() }
}

fn method_line(r: &v1::Registration) -> String {
    match r.method() {
        v1::Method::Unspecified => String::new(),
        method @ (v1::Method::Api | v1::Method::AutomationReliable | v1::Method::AssistedManual) => {
            let attempts = match r.attempts {
                0 => String::new(),
                1 => " (1 attempt)".to_owned(),
                more => format!(" ({more} attempts)"),
            };
            format!("{}{attempts}", method_in_words(method))
        }
    }
}

/// Why it is its owner's turn.
pub const fn reason_in_words(reason: v1::ManualReason) -> &'static str {
    match reason {
        v1::ManualReason::Unspecified => "",
        v1::ManualReason::MakerIsManualOnly => "the maker takes registrations by hand only",
        v1::ManualReason::UnknownBrand => "no maker of this brand is in the catalog",
        v1::ManualReason::Captcha => "a captcha stands before the form",
        v1::ManualReason::FormChanged => "the maker's form or API is not as we know it",
        v1::ManualReason::LoginRequired => "the form wants an account",
        v1::ManualReason::MethodsExhausted => "no automatic method worked",
        v1::ManualReason::DeadlineNear => "waiting longer for an automatic method would have made it late",
    }
}

fn packet_line(packet: &v1::Packet) -> String {
    let state = match packet.state() {
        v1::PacketState::Sent if packet.message_id.is_empty() => "made and kept; its owner wants no mail".to_owned(),
        v1::PacketState::Sent => "sent".to_owned(),
        v1::PacketState::Due => "due".to_owned(),
        v1::PacketState::Stuck => "stuck".to_owned(),
        v1::PacketState::Unspecified => String::new(),
    };
    let glyphs = if packet.missing_glyphs.is_empty() {
        String::new()
    } else {
        format!(", could not draw all characters of {}", packet.missing_glyphs.join(", "))
    };
    format!("{state}{glyphs}")
}

/// A record of the log as a story: time, who, and what happened.
pub fn record(r: &v1::RecordView, paint: Paint) -> String {
    let mut text = String::new();
    let at = r.at.map(time).unwrap_or_default();
    let hash = r.hash.get(..12).unwrap_or(&r.hash);
    let _ = writeln!(text, "{} {:>6}  {}  {}", paint.dim(&at), r.sequence, printable(&r.actor), paint.dim(hash));
    for event in &r.events {
        let fields = fields_line(event);
        let _ = writeln!(text, "        {} {}", paint.bold(&format!("{:<22}", event.name)), paint.dim(&fields));
    }
    text
}

fn fields_line(event: &v1::EventView) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(&event.fields) else { return String::new() };
    let shown = fields.iter().filter(|(_, value)| says_something(value)).map(|(name, value)| match value {
        // an object in the store is known by its name
        Value::Object(object) if object.contains_key("name") => {
            format!("{name}={}", printable(object["name"].as_str().unwrap_or_default()))
        }
        Value::String(text) => format!("{name}={}", printable(text)),
        // the wire's numbers are floating; ours are whole
        Value::Number(number) => format!("{name}={}", number.as_f64().unwrap_or_default()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            format!("{name}={}", printable(&value.to_string()))
        }
    });
    shown.collect::<Vec<_>>().join(" ")
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Array(list) => !list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => true,
    }
}

/// A time as RFC 3339 in UTC with milliseconds.
pub fn time(at: proto::Timestamp) -> String {
    timestamp(at).to_string()
}

/// A time to come, and in how long that is.
pub fn due(at: proto::Timestamp, now: Timestamp) -> String {
    let wait = span(now, timestamp(at));
    if wait > 0 { format!("{} (in {})", time(at), how_long(wait)) } else { time(at) }
}

/// A time of the wire as ours.
pub fn timestamp(at: proto::Timestamp) -> Timestamp {
    Timestamp(at.seconds.saturating_mul(1_000_000).saturating_add(i64::from(at.nanos) / 1_000))
}

/// Our time as the wire's.
pub fn wire_time(at: Timestamp) -> proto::Timestamp {
    let nanos = at.0.rem_euclid(1_000_000) * 1_000;
    proto::Timestamp { seconds: at.0.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}

/// Microseconds from one time to another; negative when the other comes before.
pub const fn span(from: Timestamp, to: Timestamp) -> i64 {
    to.0.saturating_sub(from.0)
}

/// A span of microseconds in its largest unit, rounded up, so that nothing takes 0 s.
pub fn how_long(micros: i64) -> String {
    const UNITS: [(i64, &str); 3] = [(86_400, "d"), (3_600, "h"), (60, "min")];
    let seconds = micros.max(0).saturating_add(999_999) / 1_000_000;
    // two of a unit at least: "90 min" tells more than "2 h"
    match UNITS.iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", (seconds + unit - 1) / unit),
        None => format!("{seconds} s"),
    }
}

/// Anything of the wire as one line of protobuf JSON.
pub fn json(message: &impl serde::Serialize) -> String {
    serde_json::to_string(message).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_told_in_the_largest_unit_that_tells_enough() {
        let told = [0, 1, 41_000_001, 119_000_000, 120_000_000, 5_400_000_000, 7_200_000_000, 259_200_000_000];
        assert_eq!(told.map(how_long), ["0 s", "1 s", "42 s", "119 s", "2 min", "90 min", "2 h", "3 d"]);
    }

    #[test]
    fn data_from_outside_cannot_move_the_cursor() {
        assert_eq!(printable("a\x1b[2Jb\r\n"), "a\u{FFFD}[2Jb\u{FFFD}\u{FFFD}");
    }
}
