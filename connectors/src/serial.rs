//! Serial numbers: a look at the type plate's usual misreadings. It only warns; whether a serial is good, the maker decides.

use std::collections::BTreeSet;
use std::fmt;

use regex::Regex;

/// More suggestions than this help nobody.
pub const SUGGESTIONS_MAX: usize = 3;
/// Spellings looked at before giving up; bounds the work for a long serial full of zeros.
const SPELLINGS_MAX: usize = 4_000;
/// A longer text is no serial number that could be mended.
const MENDABLE_CHARS_MAX: usize = 40;

/// What people and printers take for one another on a type plate.
const CONFUSABLE: &[(char, &[char])] = &[
    ('0', &['O', 'D', 'Q']),
    ('O', &['0', 'Q']),
    ('D', &['0']),
    ('Q', &['0', 'O']),
    ('1', &['I', 'L']),
    ('I', &['1', 'L']),
    ('L', &['1', 'I']),
    ('2', &['Z']),
    ('Z', &['2']),
    ('5', &['S']),
    ('S', &['5']),
    ('6', &['G']),
    ('G', &['6', 'C']),
    ('C', &['G']),
    ('8', &['B']),
    ('B', &['8']),
    ('4', &['A']),
    ('A', &['4']),
    ('V', &['U']),
    ('U', &['V']),
];

/// What a connector knows of its maker's serial numbers.
#[derive(Debug)]
pub(crate) struct SerialRule {
    pub(crate) patterns: Vec<Regex>,
    pub(crate) guide: SerialGuide,
}

/// How a maker's serial numbers look, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialGuide {
    /// One that is right.
    pub example: String,
    /// In words, for example "two capital letters and eight digits".
    pub hint: String,
    /// Where it stands on the product, in words that fit after "It stands".
    pub location: Option<String>,
}

/// A serial number does not look as the maker's do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SerialWarning {
    /// What is odd about it, for people; it does not repeat the serial.
    pub problem: String,
    /// Spellings that would fit, most alike first.
    pub suggestions: Vec<String>,
}

impl fmt::Display for SerialWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.problem)?;
        match self.suggestions.as_slice() {
            [] => Ok(()),
            suggestions => write!(f, "; did you mean {}?", suggestions.join(" or ")),
        }
    }
}

impl SerialRule {
    /// A warning when the serial fits none of the patterns.
    pub(crate) fn check(&self, serial: &str, maker: &str) -> Option<SerialWarning> {
        if self.fits(serial) {
            return None;
        }
        let problem = format!(
            "does not look like a serial number of {maker}: {}, such as {}",
            self.guide.hint, self.guide.example
        );
        Some(SerialWarning { problem, suggestions: self.suggestions(serial) })
    }

    pub(crate) fn fits(&self, serial: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(serial))
    }

    fn suggestions(&self, serial: &str) -> Vec<String> {
        if serial.chars().count() > MENDABLE_CHARS_MAX {
            return Vec::new();
        }
        let upper = serial.to_uppercase();
        let compact: String = upper.chars().filter(|c| c.is_alphanumeric()).collect();
        let trimmed: String = upper.split_whitespace().collect();
        let hyphens: String = trimmed.chars().map(|c| if "–—_/.".contains(c) { '-' } else { c }).collect();
        self.nearest_spellings([upper, trimmed, hyphens, compact])
    }

    /// The spellings that fit and differ in the fewest characters.
    fn nearest_spellings(&self, starts: impl IntoIterator<Item = String>) -> Vec<String> {
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut alike: Vec<String> = starts.into_iter().filter(|start| seen.insert(start.clone())).collect();
        while !alike.is_empty() {
            let found: Vec<String> =
                alike.iter().filter(|spelling| self.fits(spelling)).take(SUGGESTIONS_MAX).cloned().collect();
            if !found.is_empty() {
                return found;
            }
            let farther = alike.iter().flat_map(|spelling| exchanges(spelling));
            let unseen = farther.filter(|next| seen.len() < SPELLINGS_MAX && seen.insert(next.clone()));
            alike = unseen.collect();
        }
        Vec::new()
    }
}

/// The spellings that differ in one confusable character.
fn exchanges(spelling: &str) -> impl Iterator<Item = String> {
    spelling.char_indices().flat_map(move |(place, found)| {
        let others = CONFUSABLE.iter().find(|(c, _)| *c == found).map_or(&[][..], |(_, others)| others);
        others.iter().map(move |other| {
            let (before, after) = (&spelling[..place], &spelling[place + found.len_utf8()..]);
            format!("{before}{other}{after}")
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(pattern: &str) -> SerialRule {
        let patterns = vec![Regex::new(pattern).unwrap_or_else(|error| panic!("{error}"))];
        let (example, hint) = ("NO12345678".into(), "two letters and eight digits".into());
        SerialRule { patterns, guide: SerialGuide { example, hint, location: None } }
    }

    fn suggestions(pattern: &str, serial: &str) -> Vec<String> {
        rule(pattern).check(serial, "Norrland").map(|warning| warning.suggestions).unwrap_or_default()
    }

    #[test]
    fn a_serial_that_fits_is_not_warned_about() {
        assert_eq!(rule(r"^[A-Z]{2}\d{8}$").check("NO12345678", "Norrland"), None);
    }

    #[test]
    fn misread_characters_are_suggested() {
        assert_eq!(suggestions(r"^[A-Z]{2}\d{8}$", "NO1234567B"), ["NO12345678"]);
        assert_eq!(suggestions(r"^[A-Z]{2}\d{8}$", "N012345O78")[0], "NO12345078");
        assert_eq!(suggestions(r"^BW\d{2}-\d{6}$", "bw 24–118205"), ["BW24-118205"]);
        assert_eq!(suggestions(r"^AB[0-9A-F]{10}$", "ab04-C9E1-7F2A"), ["AB04C9E17F2A"]);
    }

    #[test]
    fn the_warning_does_not_repeat_the_serial() {
        let warning = rule(r"^[A-Z]{2}\d{8}$").check("SECRET-1", "Norrland");
        assert!(warning.as_ref().is_some_and(|w| !w.problem.contains("SECRET") && w.problem.contains("NO12345678")));
        assert!(warning.is_some_and(|w| w.suggestions.is_empty()));
    }

    #[test]
    fn a_long_serial_of_zeros_is_given_up_soon() {
        assert_eq!(suggestions(r"^X$", &"0".repeat(40)), Vec::<String>::new());
        assert_eq!(suggestions(r"^X$", &"0".repeat(4_000)), Vec::<String>::new());
    }
}
