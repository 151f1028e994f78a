//! Makers' messages without the person's data: they like to repeat what they were sent.

use std::borrow::Cow;

use events::Details;
use events::details::FIELDS;

/// Longest message that is kept, in characters.
const MESSAGE_CHARS_MAX: usize = 160;
/// A value of fewer characters is no data that could be recognised, and taking it out would riddle the text.
const VALUE_CHARS_MIN: usize = 3;
/// A word with this many digits is a number of something: a serial, a telephone, a date.
const DIGITS_MIN: usize = 4;
/// What stands for what was taken out.
const GONE: &str = "…";
/// These say nothing about a person.
const HARMLESS: &[&str] = &["product.brand", "owner.address.country"];

/// The message without values of `details`, without addresses and long numbers, in one short line.
pub(super) fn scrub(message: &str, details: &Details) -> String {
    let mut words: Vec<String> = Vec::new();
    let known = known_words(details);
    for word in without_phrases(message, details).split(|c: char| c.is_whitespace() || c.is_control()) {
        let clean = if gives_away(word, &known) { GONE.to_owned() } else { word.to_owned() };
        let repeats = clean == GONE && words.last().is_some_and(|last| last == GONE);
        if !clean.is_empty() && !repeats {
            words.push(clean);
        }
    }
    let line = words.join(" ");
    match line.char_indices().nth(MESSAGE_CHARS_MAX) {
        Some((end, _)) => format!("{}{GONE}", &line[..end]),
        None => line,
    }
}

fn values(details: &Details) -> impl Iterator<Item = Cow<'_, str>> {
    let extra = details.extra.values().map(|value| Cow::Borrowed(value.as_str()));
    let fields = FIELDS.iter().filter(|name| !HARMLESS.contains(name)).filter_map(|name| details.field(name));
    fields.chain(extra).filter(|value| value.chars().count() >= VALUE_CHARS_MIN)
}

/// Whole values, wherever they stand, in whatever case.
fn without_phrases(message: &str, details: &Details) -> String {
    let mut text = message.to_owned();
    for value in values(details) {
        let pattern = format!("(?i){}", regex::escape(&value));
        if let Ok(pattern) = regex::Regex::new(&pattern) {
            text = pattern.replace_all(&text, GONE).into_owned();
        }
    }
    text
}

/// The words of the values, because a maker may repeat a first name alone.
fn known_words(details: &Details) -> Vec<String> {
    values(details)
        .flat_map(|value| plain_words(&value))
        .filter(|word| word.chars().count() >= VALUE_CHARS_MIN)
        .collect()
}

fn plain_words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).map(str::to_lowercase).collect()
}

fn gives_away(word: &str, known: &[String]) -> bool {
    // what is left of a word beside a value would give the value away with it
    (word.contains(GONE) && word.chars().any(char::is_alphanumeric))
        || word.contains('@')
        || word.chars().filter(char::is_ascii_digit).count() >= DIGITS_MIN
        || plain_words(word).iter().any(|part| known.contains(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn details() -> Details {
        let mut details = Details::default();
        details.owner.name = "Åsa Öberg".into();
        details.owner.email = "asa@example.org".into();
        details.owner.address.street = Some("Storgatan 5".into());
        details.product.serial = "NO12345678".into();
        details.product.model = "Fjell 600".into();
        details
    }

    #[test]
    fn what_was_sent_does_not_come_back() {
        for (message, clean) in [
            ("Serial NO12345678 is unknown", "Serial … is unknown"),
            ("serial no12345678 is unknown", "serial … is unknown"),
            ("Serial NO-1234-5678 is unknown", "Serial … is unknown"),
            ("like NO123456789.", "like …"),
            ("Dear Åsa, asa@example.org is taken", "Dear … is taken"),
            ("<b>ÖBERG</b> of Storgatan", "… of …"),
            ("call +46 8 1234 5678\r\nnow", "call +46 8 … now"),
            ("The warranty period has passed", "The warranty period has passed"),
        ] {
            assert_eq!(scrub(message, &details()), clean);
        }
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = scrub(&"äö ".repeat(1_000), &details());
        assert_eq!(cut.chars().count(), MESSAGE_CHARS_MAX + 1);
    }
}
