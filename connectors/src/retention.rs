//! How long a law wants registrations with a maker kept: the section of the file, checked, and what it says of one product.

use events::{Kept, Registration, Retention, Timestamp};
use regex::{Regex, RegexBuilder};

use crate::checker::{Checker, Noted};
use crate::file::RetentionFile;

/// No law that we know of wants a registration kept for longer.
const YEARS_MAX: u32 = 50;
/// Compiled size of one pattern; a larger one is no pattern of a model.
const PATTERN_BYTES_MAX: usize = 64 * 1024;
/// Longest name of a law, in characters.
const LAW_CHARS_MAX: usize = 200;

/// A rule, and the products that it is about.
#[derive(Debug)]
pub(crate) struct RetentionRule {
    rule: Retention,
    /// Models that are kept; all when empty.
    models: Vec<Regex>,
}

impl RetentionRule {
    /// What it means for a registration at `now`: nothing when it may be forgotten.
    pub(crate) fn keeps(&self, registration: &Registration, now: Timestamp) -> Option<Kept> {
        let model = registration.model.trim();
        let is_meant = self.models.is_empty() || self.models.iter().any(|pattern| pattern.is_match(model));
        self.rule.keeps(registration.purchased_on, registration.submitted_at, now).filter(|_| is_meant)
    }
}

/// Checks the section.
pub(crate) fn retention(checker: &mut Checker<'_>, file: RetentionFile) -> Result<RetentionRule, Noted> {
    let years = u32::try_from(file.keep_years).ok().filter(|years| (1..=YEARS_MAX).contains(years));
    let years = years.ok_or_else(|| {
        let problem = format!("`keep_years` is {}; write a number from 1 to {YEARS_MAX}", file.keep_years);
        checker.mistake(&["retention", "keep_years"], problem)
    });
    let law = file.law.trim().to_owned();
    let law = if law.is_empty() || law.chars().count() > LAW_CHARS_MAX || law.chars().any(char::is_control) {
        let problem =
            format!("whoever is refused is told the law; name it in 1 to {LAW_CHARS_MAX} characters on one line");
        Err(checker.mistake(&["retention", "law"], problem))
    } else {
        Ok(law)
    };
    let models: Vec<_> =
        file.models.iter().enumerate().map(|(place, pattern)| model(checker, place, pattern)).collect();
    let models = models.into_iter().collect::<Result<_, _>>()?;
    Ok(RetentionRule { rule: Retention { keep_years: years?, from: file.from, law: law? }, models })
}

fn model(checker: &mut Checker<'_>, place: usize, pattern: &str) -> Result<Regex, Noted> {
    // for the whole model, whether or not its writer thought of the anchors
    let mut whole = RegexBuilder::new(&format!("^(?:{pattern})$"));
    let whole = whole.case_insensitive(true).size_limit(PATTERN_BYTES_MAX).build();
    whole.map_err(|error| {
        let problem = crate::compile::bad_pattern(pattern, &error);
        checker.mistake(&["retention", "models", &place.to_string()], problem)
    })
}
