//! What a page means after a click: the signs in their order of weight. Pure.

use events::{ErrorKind, Failure, FieldProblem, Outcome};
use regex::Regex;

use crate::Recipe;
use crate::names::Names;
use crate::page::{Look, Unfit};
use crate::scrub::Scrubber;

/// What a page comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The attempt is over.
    Over(Outcome),
    /// The next step is there.
    Next,
    /// The click never came to the button, and nothing else noticed it.
    Missed,
}

/// Reads the pages that follow the click of one step.
#[derive(Debug)]
pub(crate) struct Judge<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) names: &'a Names,
    pub(crate) scrubber: &'a Scrubber,
    /// The step that was clicked.
    pub(crate) step: usize,
}

impl Judge<'_> {
    /// What `look` means, as soon as it means anything.
    pub(crate) fn of(&self, look: &Look) -> Option<Verdict> {
        if self.is_last() && look.success && look.status < 400 {
            return Some(self.registered(look, false));
        }
        if look.already {
            return Some(self.registered(look, true));
        }
        if !look.problems.is_empty() {
            return Some(self.refused_by_the_maker(look));
        }
        if !look.blocked.is_empty() {
            return Some(over(self.refused_by_the_browser(&look.blocked)));
        }
        if !self.is_last() && (look.next || (look.fresh && look.next_hidden)) && look.status < 400 {
            return Some(Verdict::Next);
        }
        if look.fresh && look.loaded { self.of_a_bad_page(look).map(over) } else { None }
    }

    /// What it means that no sign came in time.
    pub(crate) fn of_silence(&self, look: &Look) -> Failure {
        let step = self.step_name();
        if self.is_last() {
            return Failure::new(
                ErrorKind::UnknownOutcome,
                format!("no sign of success or refusal after the last click ({})", describe(look)),
            );
        }
        if look.fresh && look.login {
            return Failure::new(ErrorKind::LoginRequired, format!("step `{step}` leads to a login page"));
        }
        Failure::new(
            ErrorKind::FormChanged,
            format!("step `{step}` does not lead to the page that should follow ({})", describe(look)),
        )
    }

    /// The fields that the browser itself does not send.
    pub(crate) fn refused_by_the_browser(&self, unfit: &[Unfit]) -> Failure {
        let problem =
            |field: &Unfit| FieldProblem::new(self.names.ours(&field.name, &field.id), self.unfit_text(field));
        self.validation("the maker's page does not accept", unfit.iter().map(problem).collect())
    }

    /// A failed validation of these fields.
    pub(crate) fn validation(&self, what: &str, fields: Vec<FieldProblem>) -> Failure {
        let mut names: Vec<&str> = fields.iter().map(|problem| problem.field.as_str()).collect();
        names.dedup();
        let detail = format!("step `{}`: {what} {}", self.step_name(), names.join(", "));
        Failure { fields, ..Failure::new(ErrorKind::Validation, detail) }
    }

    fn refused_by_the_maker(&self, look: &Look) -> Verdict {
        let problems = look.problems.iter();
        let fields = problems.map(|problem| {
            FieldProblem::new(self.names.ours(&problem.field, &problem.field), self.scrubber.scrub(&problem.text))
        });
        over(self.validation("the maker refuses", fields.collect()))
    }

    // Only what is certain after the last click: a 5xx there may have been preceded by a commit, a 429 not.
    fn of_a_bad_page(&self, look: &Look) -> Option<Failure> {
        let kind = bad_page(look)?;
        if self.is_last() && kind != ErrorKind::RateLimited {
            let detail = format!("after the last click: {}", describe(look));
            return Some(Failure::new(ErrorKind::UnknownOutcome, detail));
        }
        Some(Failure::new(kind, format!("step `{}` leads to {}", self.step_name(), describe(look))))
    }

    fn registered(&self, look: &Look, already: bool) -> Verdict {
        Verdict::Over(Outcome::Registered { confirmation: self.confirmation(look), already })
    }

    fn confirmation(&self, look: &Look) -> Option<String> {
        let pattern = self.recipe.confirmation.as_ref()?.regex.as_deref();
        let text = look.confirmation.as_str();
        let Some(pattern) = pattern else { return (!text.is_empty()).then(|| text.to_owned()) };
        // compiles: the recipe refuses a pattern that does not
        let found = Regex::new(pattern).ok()?.captures(text)?;
        found.get(1).or_else(|| found.get(0)).map(|code| code.as_str().to_owned())
    }

    // From the flag and the maker's hint, because the browser's own message repeats what was filled in.
    fn unfit_text(&self, field: &Unfit) -> String {
        let text = match field.flag.as_str() {
            "valueMissing" => "the maker wants a value here",
            "tooLong" => "longer than the maker's field takes",
            "tooShort" => "shorter than the maker wants",
            "rangeUnderflow" => "smaller or earlier than the maker takes",
            "rangeOverflow" => "larger or later than the maker takes",
            _ => "not in the shape that the maker wants",
        };
        if field.hint.is_empty() { text.into() } else { format!("{text}: {}", self.scrubber.scrub(&field.hint)) }
    }

    fn is_last(&self) -> bool {
        self.step + 1 == self.recipe.steps.len()
    }

    fn step_name(&self) -> &str {
        self.recipe.steps.get(self.step).map_or("?", |step| &step.name)
    }
}

/// From this HTTP status on a page is none that a form could be on.
pub(crate) const BAD_STATUS: u16 = 400;

/// Why a page is none that a form could be on.
pub(crate) fn bad_page(look: &Look) -> Option<ErrorKind> {
    if look.unreachable {
        return Some(ErrorKind::Network);
    }
    match look.status {
        429 => Some(ErrorKind::RateLimited),
        401 => Some(ErrorKind::LoginRequired),
        400..=499 => Some(ErrorKind::FormChanged),
        500.. => Some(ErrorKind::Server),
        _ => None,
    }
}

/// The page in a few words, without its address (that may hold data).
pub(crate) fn describe(look: &Look) -> String {
    match look.status {
        _ if look.unreachable => "the site does not answer".into(),
        0 => "a page without a status".into(),
        status => format!("a page with status {status}"),
    }
}

fn over(failure: Failure) -> Verdict {
    Verdict::Over(Outcome::Failed(failure))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;
    use crate::page::Problem;

    fn recipe() -> Recipe {
        toml::from_str(
            r##"
            url = "http://maker.example/"
            success = { selector = ".done" }
            confirmation = { selector = ".code", regex = 'code: (CC-\d+)' }
            field_names = { sn = "product.serial" }
            steps = [
                { name = "product", submit = ["button"], fields = [{ selectors = ["#sn"], value = "X-100-200" }] },
                { name = "owner", submit = ["button"] },
            ]
            "##,
        )
        .unwrap()
    }

    fn judged(step: usize, look: &Look) -> Option<Verdict> {
        let recipe = recipe();
        let (names, scrubber) = (Names::new(&recipe), Scrubber::new(&recipe));
        Judge { recipe: &recipe, names: &names, scrubber: &scrubber, step }.of(look)
    }

    fn failure(verdict: Option<Verdict>) -> Failure {
        match verdict {
            Some(Verdict::Over(Outcome::Failed(failure))) => failure,
            other => panic!("no failure: {other:?}"),
        }
    }

    fn page(status: u16) -> Look {
        Look { status, loaded: true, fresh: true, ..Look::default() }
    }

    #[test]
    fn success_counts_on_the_last_step_only() {
        let look = Look { success: true, confirmation: "Your code: CC-77".into(), ..page(200) };
        assert_eq!(judged(0, &look), None);
        let want = Outcome::Registered { confirmation: Some("CC-77".into()), already: false };
        assert_eq!(judged(1, &look), Some(Verdict::Over(want)));
    }

    #[test]
    fn a_server_error_after_the_last_click_is_unknown_and_before_it_a_server_error() {
        assert_eq!(failure(judged(0, &page(503))).kind, ErrorKind::Server);
        assert_eq!(failure(judged(1, &page(503))).kind, ErrorKind::UnknownOutcome);
        assert_eq!(failure(judged(1, &Look { success: true, ..page(500) })).kind, ErrorKind::UnknownOutcome);
    }

    #[test]
    fn too_many_requests_is_a_clear_answer_on_any_step() {
        assert_eq!(failure(judged(0, &page(429))).kind, ErrorKind::RateLimited);
        assert_eq!(failure(judged(1, &page(429))).kind, ErrorKind::RateLimited);
    }

    #[test]
    fn the_makers_problems_bear_our_names_and_no_values() {
        let problem = |field: &str| Problem { field: field.into(), text: "x-100-200 is unknown".into() };
        let found = failure(judged(1, &Look { problems: vec![problem("sn"), problem("?")], ..page(422) }));
        assert_eq!(found.kind, ErrorKind::Validation);
        let want = [FieldProblem::new("product.serial", "… is unknown"), FieldProblem::new("form", "… is unknown")];
        assert_eq!(found.fields, want);
    }

    #[test]
    fn the_next_page_may_be_hidden_only_when_it_is_new() {
        let hidden = Look { next_hidden: true, ..page(200) };
        assert_eq!(judged(0, &hidden), Some(Verdict::Next));
        assert_eq!(judged(0, &Look { fresh: false, ..hidden }), None);
    }

    #[test]
    fn a_page_without_any_sign_says_nothing_yet() {
        assert_eq!(judged(0, &page(200)), None);
        assert_eq!(judged(1, &page(200)), None);
    }
}
