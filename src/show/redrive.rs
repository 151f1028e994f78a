//! What a redrive did, or would do.

use std::fmt::Write as _;

use proto::v1;

use super::{Paint, printable};

/// Most lines of each list; `--json` prints all.
const LINES_MAX: usize = 20;

/// The counts, and the ids behind them; `done` when it was not a dry run.
pub fn redrive(redriven: &v1::RedriveResponse, done: bool, paint: Paint) -> String {
    let mut text = String::new();
    if redriven.matched == 0 {
        return "no registration matches".to_owned();
    }
    let (are, cannot) = if done { ("tried again", "could not be") } else { ("would be tried again", "cannot be") };
    let _ = writeln!(text, "{} match", redriven.matched);
    let _ = writeln!(text, "{} {are}", paint.bold(&redriven.redriven.to_string()));
    list(&mut text, redriven.ids.iter().map(|id| format!("  {id}")), paint);
    if !redriven.refused.is_empty() {
        let _ = writeln!(text, "{} {cannot}", redriven.refused.len());
        let lines = redriven.refused.iter().map(|one| format!("  {}  {}", one.id, printable(&one.problem)));
        list(&mut text, lines, paint);
    }
    if redriven.more {
        let _ = writeln!(text, "more match than --limit allows; ask again for the rest");
    }
    if !done && redriven.redriven > 0 {
        let _ = writeln!(text, "{}", paint.dim("nothing is changed yet; the same with --yes does it"));
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

    fn of(count: u32) -> v1::RedriveResponse {
        let ids = (0..count).map(|n| format!("id-{n}")).collect();
        v1::RedriveResponse { matched: count, redriven: count, ids, ..Default::default() }
    }

    #[test]
    fn a_dry_run_says_so_and_how_it_is_done() {
        let refused = v1::RefusedRedrive { id: "id-9".into(), problem: "does not have the method API".into() };
        let answer = v1::RedriveResponse { matched: 3, refused: vec![refused], ..of(2) };
        let lines = [
            "3 match",
            "2 would be tried again",
            "  id-0",
            "  id-1",
            "1 cannot be",
            "  id-9  does not have the method API",
            "nothing is changed yet; the same with --yes does it",
        ];
        assert_eq!(redrive(&answer, false, Paint::plain()).lines().collect::<Vec<_>>(), lines);
    }

    #[test]
    fn long_lists_are_cut_and_say_by_how_much() {
        let text = redrive(&of(1_000), true, Paint::plain());
        assert_eq!(text.lines().count(), 23);
        assert!(text.ends_with("  ... and 980 more (--json prints all)\n"), "{text}");
        assert_eq!(redrive(&of(0), true, Paint::plain()), "no registration matches");
    }
}
