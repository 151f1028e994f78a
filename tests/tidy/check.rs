//! What a check is: a rule in words, a function from a file to its offences, and planted offences.

/// A text file of the repository.
pub struct SourceFile {
    /// Its path from the root, with `/`.
    pub path: String,
    /// What it says.
    pub text: String,
}

/// A line that offends, counted from 1, and what is wrong with it.
pub type Offence = (usize, String);

/// One rule.
pub struct Check {
    /// The rule in a sentence: what is to be done, and why when it does not say so itself.
    pub rule: &'static str,
    /// The offences in one file.
    pub find: fn(&SourceFile) -> Vec<Offence>,
    /// Paths with texts in which the rule is broken; at least one.
    pub offences: &'static [(&'static str, &'static str)],
}

impl Check {
    /// One line for each offence, as an editor can jump to it.
    pub fn findings_in(&self, files: &[SourceFile]) -> Vec<String> {
        let of_file = |file: &SourceFile| {
            let found = (self.find)(file).into_iter();
            found.map(|(line, what)| format!("{}:{line}: {what} ({})", file.path, self.rule)).collect::<Vec<_>>()
        };
        files.iter().flat_map(of_file).collect()
    }
}

impl SourceFile {
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Tests, benches, examples and what only tests may use.
    pub fn is_for_tests(&self) -> bool {
        let folders = ["tests", "benches", "examples", "testing"];
        self.path.split('/').any(|part| folders.contains(&part.trim_end_matches(".rs")))
    }

    /// Its lines of Rust with their numbers, without comments and without the tests at the foot.
    pub fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let end = if self.is_for_tests() { Some(0) } else { tests_at_the_foot(&self.text) };
        let lines = self.text.lines().take(end.unwrap_or(usize::MAX)).enumerate();
        lines.map(|(index, line)| (index + 1, without_comment(line)))
    }

    /// The lines that hold one of `needles`.
    pub fn lines_with(&self, needles: &[&str]) -> Vec<Offence> {
        lines_with(self.text.lines().enumerate().map(|(index, line)| (index + 1, line)), needles)
    }

    /// The lines of code that hold one of `needles`.
    pub fn code_with(&self, needles: &[&str]) -> Vec<Offence> {
        lines_with(self.code(), needles)
    }
}

fn lines_with<'a>(lines: impl Iterator<Item = (usize, &'a str)>, needles: &[&str]) -> Vec<Offence> {
    let found = |line: &str| needles.iter().find(|needle| has_word(line, needle)).map(|needle| format!("`{needle}`"));
    lines.filter_map(|(number, line)| Some((number, found(line)?))).collect()
}

/// Whether `needle` stands in `line`, and not as the end of a longer word.
fn has_word(line: &str, needle: &str) -> bool {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let may_follow_a_word = !needle.starts_with(in_word);
    line.match_indices(needle).any(|(at, _)| may_follow_a_word || !line[..at].ends_with(in_word))
}

/// The line (from 0) at which `#[cfg(test)] mod tests {` begins.
fn tests_at_the_foot(text: &str) -> Option<usize> {
    let lines: Vec<&str> = text.lines().collect();
    lines.windows(2).position(|pair| pair[0] == "#[cfg(test)]" && pair[1].starts_with("mod ") && pair[1].ends_with('{'))
}

/// Cuts at `//`, unless it is part of an address such as `sandbox://`.
fn without_comment(line: &str) -> &str {
    let start = line.match_indices("//").map(|(at, _)| at).find(|at| !line[..*at].ends_with(':'));
    start.map_or(line, |at| &line[..at])
}

#[test]
fn comments_and_tests_at_the_foot_are_no_code() {
    let text = "let a = \"sandbox://x\"; // b\n#[cfg(test)]\nmod tests {\n    c();\n}\n";
    let file = SourceFile { path: "src/x.rs".to_owned(), text: text.to_owned() };
    assert_eq!(file.code().collect::<Vec<_>>(), [(1, "let a = \"sandbox://x\"; ")]);
}

#[test]
fn a_needle_inside_a_longer_word_is_not_found() {
    assert!(has_word("std::fs::read()", "std::fs"));
    assert!(!has_word("let mastodon = 1;", "todo"));
    assert!(!has_word("my_std::fs", "std::fs"));
}
