//! What forgetting a person did, or would do.

use std::fmt::Write as _;

use proto::v1;

use super::{Paint, printable};

/// Most lines of each list; `--json` prints all.
const LINES_MAX: usize = 20;

/// The registrations that went and those that a law keeps; `done` when it was not a dry run.
pub fn forget(answer: &v1::ForgetResponse, done: bool, paint: Paint) -> String {
    let mut text = String::new();
    let (are, keeps) = if done { ("forgotten", "kept") } else { ("would be forgotten", "would be kept") };
    let _ = writeln!(text, "{} {are}", paint.bold(&answer.forgotten.len().to_string()));
    let still = |one: &v1::ForgottenRegistration| if done && !one.erased { "  (is being erased)" } else { "" };
    list(&mut text, answer.forgotten.iter().map(|one| format!("  {}{}", one.id, still(one))), paint);
    if !answer.kept.is_empty() {
        let _ = writeln!(text, "{} {keeps}, because a law wants it", paint.bold(&answer.kept.len().to_string()));
        let lines =
            answer.kept.iter().map(|one| format!("  {}  until {} by {}", one.id, one.until, printable(&one.law)));
        list(&mut text, lines, paint);
    }
    if !answer.failed.is_empty() {
        let heading = if done { "could not be forgotten" } else { "cannot be forgotten" };
        let _ =
            writeln!(text, "{} {heading}; look at them, and ask again", paint.bold(&answer.failed.len().to_string()));
        let lines = answer.failed.iter().map(|one| format!("  {}  {}", one.id, printable(&one.reason)));
        list(&mut text, lines, paint);
    }
    if answer.more {
        let _ = writeln!(text, "there are more; ask again for the rest");
    }
    if done {
        let outside = "mails in the person's own mailbox and what makers have are not ours to delete";
        let _ = writeln!(text, "{}", paint.dim(outside));
    } else {
        let _ = writeln!(
            text,
            "{}",
            paint.dim("nothing is changed yet; the same with --yes does it, and nothing undoes it")
        );
    }
    text
}

fn list(text: &mut String, lines: impl ExactSizeIterator<Item = String>, paint: Paint) {
    let hidden = lines.len().saturating_sub(LINES_MAX);
    for line in lines.take(LINES_MAX) {
        let _ = writeln!(text, "{line}");
    }
    if hidden > 0 {
        let _ = writeln!(text, "{}", paint.dim(&format!("  ... and {hidden} more (--json prints all)")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> v1::ForgetResponse {
        let forgotten = vec![v1::ForgottenRegistration { id: "id-1".into(), erased: false }];
        let kept = v1::KeptRegistration { id: "id-2".into(), until: "2031-05-04".into(), law: "the Toy Act".into() };
        v1::ForgetResponse { forgotten, kept: vec![kept], more: false, failed: Vec::new() }
    }

    #[test]
    fn a_dry_run_says_what_would_go_what_stays_and_how_it_is_done() {
        let lines = [
            "1 would be forgotten",
            "  id-1",
            "1 would be kept, because a law wants it",
            "  id-2  until 2031-05-04 by the Toy Act",
            "nothing is changed yet; the same with --yes does it, and nothing undoes it",
        ];
        assert_eq!(forget(&answer(), false, Paint::plain()).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn what_is_still_being_erased_is_said_so() {
        let text = forget(&answer(), true, Paint::plain());
        assert!(text.contains("  id-1  (is being erased)") && text.contains("1 kept, because"), "{text}");
        assert!(text.contains("not ours to delete"), "{text}");
    }

    #[test]
    fn one_that_could_not_be_forgotten_is_named_with_its_reason() {
        let failed = v1::NotForgottenRegistration { id: "id-3".into(), reason: "a record is gone".into() };
        let text = forget(&v1::ForgetResponse { failed: vec![failed], ..answer() }, true, Paint::plain());
        assert!(text.contains("1 could not be forgotten") && text.contains("  id-3  a record is gone"), "{text}");
    }
}
