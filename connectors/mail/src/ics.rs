//! A calendar entry for the register-by day (RFC 5545); written by hand because the crates stamp entries with their own clock and random ids.

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

/// Longest line in bytes without its line break (RFC 5545, section 3.1).
const LINE_BYTES_MAX: usize = 75;
/// Longest text put into an entry, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// What the entry says.
#[derive(Clone, Debug)]
pub struct RegisterByEvent<'a> {
    /// Globally unique and the same each time, so that a second mail updates the entry.
    pub uid: &'a str,
    /// When this entry was written.
    pub written_at: Timestamp,
    /// The last day to register.
    pub date: Date,
    /// Title.
    pub summary: &'a str,
    /// Longer text; may have lines.
    pub description: &'a str,
    /// The maker's form; left out unless it is an http or https address.
    pub url: Option<&'a str>,
}

/// The whole .ics file: an all-day entry that reminds three days before.
pub fn register_by_event(event: &RegisterByEvent<'_>) -> String {
    let mut file = String::new();
    for line in lines(event) {
        push_folded(&mut file, &line);
    }
    file
}

fn lines(event: &RegisterByEvent<'_>) -> Vec<String> {
    let summary = escaped(event.summary);
    // the day after, because an end is the first moment that is not part of it; the calendar's own last day has none
    let day_after = event.date.checked_add(1.day()).ok();
    let url = event.url.and_then(|url| url::Url::parse(url).ok());
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https"));
    let mut lines = vec![
        "BEGIN:VCALENDAR".to_owned(),
        "VERSION:2.0".to_owned(),
        "PRODID:-//regflow//register-by//EN".to_owned(),
        "CALSCALE:GREGORIAN".to_owned(),
        "METHOD:PUBLISH".to_owned(),
        "BEGIN:VEVENT".to_owned(),
        format!("UID:{}", escaped(event.uid)),
        format!("DTSTAMP:{}", event.written_at.strftime("%Y%m%dT%H%M%SZ")),
        format!("DTSTART;VALUE=DATE:{}", event.date.strftime("%Y%m%d")),
    ];
    lines.extend(day_after.map(|day| format!("DTEND;VALUE=DATE:{}", day.strftime("%Y%m%d"))));
    lines.push(format!("SUMMARY:{summary}"));
    lines.push(format!("DESCRIPTION:{}", escaped(event.description)));
    lines.extend(url.map(|url| format!("URL:{url}")));
    lines.extend(["TRANSP:TRANSPARENT".to_owned(), "BEGIN:VALARM".to_owned(), "ACTION:DISPLAY".to_owned()]);
    lines.extend(["TRIGGER:-P3D".to_owned(), format!("DESCRIPTION:{summary}"), "END:VALARM".to_owned()]);
    lines.extend(["END:VEVENT".to_owned(), "END:VCALENDAR".to_owned()]);
    lines
}

/// TEXT values (section 3.3.11): backslash, semicolon, comma and newline escaped; other control characters left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars().take(TEXT_CHARS_MAX) {
        match c {
            '\\' | ';' | ',' => escaped.extend(['\\', c]),
            '\n' => escaped.push_str("\\n"),
            c if c.is_control() => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// Breaks between characters, never inside one; a continuation begins with a space that counts.
fn push_folded(file: &mut String, line: &str) {
    let mut used_bytes = 0;
    for c in line.chars() {
        if used_bytes + c.len_utf8() > LINE_BYTES_MAX {
            file.push_str("\r\n ");
            used_bytes = 1;
        }
        file.push(c);
        used_bytes += c.len_utf8();
    }
    file.push_str("\r\n");
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    fn event() -> RegisterByEvent<'static> {
        RegisterByEvent {
            uid: "019ab2f0@regflow.example",
            written_at: "2026-11-23T08:30:00Z".parse().unwrap(),
            date: jiff::civil::date(2026, 12, 31),
            summary: "Register your Veloce Strada 3; last day, really",
            description: "Schlüssel und Größe: ääääääääääääääääääääääääääääääääääääääääääääääääää\nSecond line \\ end",
            url: Some("https://veloce.example/register?a=1,2"),
        }
    }

    fn unfolded(event: &RegisterByEvent<'_>) -> String {
        register_by_event(event).replace("\r\n ", "")
    }

    #[test]
    fn the_entry_covers_one_whole_day_and_reminds_three_days_before() {
        let file = unfolded(&event());
        for line in
            ["DTSTART;VALUE=DATE:20261231", "DTEND;VALUE=DATE:20270101", "DTSTAMP:20261123T083000Z", "TRIGGER:-P3D"]
        {
            assert!(file.lines().any(|found| found == line), "{line}");
        }
        assert!(file.starts_with("BEGIN:VCALENDAR\r\n") && file.ends_with("END:VCALENDAR\r\n"));
    }

    #[test]
    fn no_line_is_longer_than_75_bytes_and_all_end_in_crlf() {
        let file = register_by_event(&event());
        assert_eq!(file.matches('\n').count(), file.matches("\r\n").count());
        let longest = file.split("\r\n").map(str::len).max().unwrap();
        assert!(longest <= LINE_BYTES_MAX, "{longest} bytes");
    }

    #[test]
    fn texts_are_escaped_and_cannot_add_properties() {
        let mut event = event();
        event.summary = "a;b,c\\d\r\nATTENDEE:mailto:x@y.example";
        let file = unfolded(&event);
        assert!(file.contains("SUMMARY:a\\;b\\,c\\\\d\\nATTENDEE:mailto:x@y.example\r\n"));
        assert!(!file.lines().any(|line| line.starts_with("ATTENDEE")));
    }

    #[test]
    fn a_url_that_is_not_http_is_left_out() {
        let mut event = event();
        assert!(unfolded(&event).contains("URL:https://veloce.example/register?a=1,2\r\n"));
        event.url = Some("javascript:alert(1)");
        assert!(!unfolded(&event).contains("URL:"));
    }
}
