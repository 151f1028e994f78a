//! docs/decisions/README.md lists every decision; one that is new, renamed or listed twice is found.

/// Where decisions are kept.
const FOLDER: &str = "docs/decisions/";
/// The list of them.
pub const LIST: &str = "docs/decisions/README.md";

/// What the list and the folder do not agree on: decisions that are not linked exactly once, and links that lead to none or
/// show another number than it has.
pub fn disagreements(list: &str, paths: &[&str]) -> Vec<String> {
    let decisions =
        || paths.iter().filter_map(|path| path.strip_prefix(FOLDER)).filter(|name| number_of(name).is_some());
    let linked = |name: &str| links(list).filter(|(_, target)| *target == name).count();
    let counted = decisions().map(|name| (name, linked(name))).filter(|(_, times)| *times != 1);
    let counted = counted.map(|(name, times)| format!("{name} is linked {times} times"));
    // what has a slash leads out of the folder
    let dead = links(list).filter(|(_, target)| !target.contains('/') && decisions().all(|name| name != *target));
    let dead = dead.map(|(_, target)| format!("{target} is no decision"));
    let wrong = links(list).filter(|(shown, target)| number_of(target).is_some_and(|number| number != *shown));
    let wrong = wrong.map(|(shown, target)| format!("{target} is shown as {shown}"));
    counted.chain(dead).chain(wrong).collect()
}

/// `12` of `0012-the-log-is-a-transparency-log.md`; nothing of what is no decision.
fn number_of(name: &str) -> Option<&str> {
    let (number, _) = name.strip_suffix(".md")?.split_once('-')?;
    let is_number = number.len() == 4 && number.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| number.trim_start_matches('0'))
}

/// What each link of a text shows, and where it leads.
fn links(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices("](").filter_map(|(at, between)| {
        let (_, shown) = text[..at].rsplit_once('[')?;
        let (target, _) = text[at + between.len()..].split_once(')')?;
        Some((shown, target))
    })
}

#[test]
fn a_decision_that_is_not_listed_once_and_a_link_that_is_wrong_are_found() {
    let paths =
        ["docs/decisions/0001-a.md", "docs/decisions/0002-b.md", "docs/decisions/0013-c.md", LIST, "docs/0004-d.md"];
    let good = "- [1](0001-a.md) a\n- [2](0002-b.md) b, see [the others](../access.md)\n- [13](0013-c.md) c\n";
    assert_eq!(disagreements(good, &paths), Vec::<String>::new());
    let bad = "- [1](0001-a.md) a\n- [2](0002-b.md) b\n- [2](0002-b.md) b\n- [4](0004-d.md) d\n";
    let found = ["0002-b.md is linked 2 times", "0013-c.md is linked 0 times", "0004-d.md is no decision"];
    assert_eq!(disagreements(bad, &paths), found);
    assert_eq!(disagreements(&good.replace("[13]", "[3]"), &paths), ["0013-c.md is shown as 3"]);
}
