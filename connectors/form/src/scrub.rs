//! Takes a person's values out of a maker's words before they go into an event.

use crate::Recipe;

const TEXT_LENGTH_MAX: usize = 200;
/// Shorter ones (a country code, a day) are nobody's and would tear words apart.
const VALUE_LENGTH_MIN: usize = 3;
const MASK: &str = "…";

/// All that a recipe fills in, and the words of it, longest first.
#[derive(Debug)]
pub(crate) struct Scrubber {
    values: Vec<String>,
}

impl Scrubber {
    /// For the values of a rendered recipe.
    pub(crate) fn new(recipe: &Recipe) -> Self {
        let fields = recipe.steps.iter().flat_map(|step| &step.fields);
        let filled = fields.map(|field| field.value.trim().to_lowercase());
        let mut values: Vec<String> = filled.flat_map(with_its_words).collect();
        values.retain(|value| value.chars().count() >= VALUE_LENGTH_MIN && value != "true" && value != "false");
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.dedup();
        Self { values }
    }

    /// `text` on one line, shortened, without the values.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let mut text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for value in &self.values {
            text = without(&text, value);
        }
        text.chars().take(TEXT_LENGTH_MAX).collect()
    }
}

fn with_its_words(value: String) -> Vec<String> {
    let mut all: Vec<String> = value.split([' ', '@']).map(str::to_owned).collect();
    all.push(value);
    all
}

// Lowercasing can change lengths, so positions are found in a lowered copy that keeps one entry per character.
fn without(text: &str, value: &str) -> String {
    let lowered: Vec<char> = text.chars().map(|c| c.to_lowercase().next().unwrap_or(c)).collect();
    let wanted: Vec<char> = value.chars().collect();
    let original: Vec<char> = text.chars().collect();
    let mut kept = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&c) = original.get(at) {
        if lowered[at..].starts_with(&wanted) {
            kept.push_str(MASK);
            at += wanted.len();
        } else {
            kept.push(c);
            at += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scrubber(values: &[&str]) -> Scrubber {
        let field = |value: &&str| crate::Field {
            selectors: vec!["#x".into()],
            kind: crate::FieldKind::Text,
            value: (*value).into(),
            field: None,
            optional: false,
        };
        let step = crate::Step {
            name: "one".into(),
            fields: values.iter().map(field).collect(),
            submit: vec!["button".into()],
            wait_for: None,
        };
        Scrubber::new(&Recipe {
            reach: outbound::Reach::Public,
            url: String::new(),
            steps: vec![step],
            dismiss: Vec::new(),
            success: crate::Signs::default(),
            confirmation: None,
            errors: None,
            already_registered: None,
            login_signs: Vec::new(),
            captcha_signs: Vec::new(),
            field_names: std::collections::BTreeMap::new(),
            baseline: None,
        })
    }

    #[test]
    fn a_value_that_the_maker_repeats_is_masked_in_any_case() {
        let scrubber = scrubber(&["Ada.Byron@example.org", "BW12-123456"]);
        assert_eq!(scrubber.scrub("Serial bw12-123456 is\n unknown, ADA.BYRON"), "Serial … is unknown, …");
    }

    #[test]
    fn short_values_leave_words_whole() {
        assert_eq!(scrubber(&["IT", "5", "true"]).scrub("Wait 5 days, it is true"), "Wait 5 days, it is true");
    }

    #[test]
    fn a_long_text_is_cut() {
        assert_eq!(scrubber(&[]).scrub(&"word ".repeat(500)).chars().count(), TEXT_LENGTH_MAX);
    }
}
