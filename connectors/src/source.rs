//! A catalog file with the places of its values, so that each mistake is named by line and column.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One thing that is wrong with a catalog file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The file as it was named to us.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong and what to do, in one line.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.problem)
    }
}

/// The text of one file and the tree of its values with their places.
pub(crate) struct Source<'a> {
    name: &'a str,
    text: &'a str,
    tree: DeTable<'a>,
}

impl<'a> Source<'a> {
    /// Reads the text; a mistake when it is no TOML at all.
    pub(crate) fn parse(name: &'a str, text: &'a str) -> Result<Self, Mistake> {
        match DeTable::parse(text) {
            Ok(tree) => Ok(Self { name, text, tree: tree.into_inner() }),
            Err(error) => Err(of_toml(name, text, &error)),
        }
    }

    /// The text into the shape of a catalog file.
    pub(crate) fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, Mistake> {
        toml::from_str(self.text).map_err(|error| of_toml(self.name, self.text, &error))
    }

    /// A mistake at the value that `path` leads to, or at the last part of the path that is there.
    pub(crate) fn mistake(&self, path: &[&str], problem: impl Into<String>) -> Mistake {
        let span = self.descend(path).0.map_or(0..0, Spanned::span);
        at(self.name, self.text, &span, problem.into())
    }

    /// Every string below a table, with the path to it.
    pub(crate) fn strings_below(&self, path: &[&str]) -> Vec<(Vec<String>, String)> {
        let mut found = Vec::new();
        let start: Vec<String> = path.iter().map(ToString::to_string).collect();
        let (value, steps) = self.descend(path);
        if let Some(value) = value
            && steps == path.len()
        {
            collect_strings(value, &start, &mut found);
        }
        found
    }

    /// The value at the path, or the last on the way that is there, and how many steps it took.
    fn descend(&self, path: &[&str]) -> (Option<&Spanned<DeValue<'a>>>, usize) {
        let Some((first, rest)) = path.split_first() else { return (None, 0) };
        let Some(mut value) = self.tree.get(*first) else { return (None, 0) };
        for (steps, step) in rest.iter().enumerate() {
            let Some(next) = child(value, step) else { return (Some(value), steps + 1) };
            value = next;
        }
        (Some(value), path.len())
    }
}

fn child<'t, 'i>(value: &'t Spanned<DeValue<'i>>, step: &str) -> Option<&'t Spanned<DeValue<'i>>> {
    match step.parse::<usize>() {
        Ok(place) if value.get_ref().is_array() => value.get_ref().get(place),
        Ok(_) | Err(_) => value.get_ref().as_table()?.get(step),
    }
}

fn collect_strings(value: &Spanned<DeValue<'_>>, path: &[String], found: &mut Vec<(Vec<String>, String)>) {
    let below = |step: String| [path, &[step]].concat();
    if let Some(text) = value.get_ref().as_str() {
        found.push((path.to_vec(), text.to_owned()));
    } else if let Some(table) = value.get_ref().as_table() {
        table.iter().for_each(|(key, value)| collect_strings(value, &below(key.get_ref().to_string()), found));
    } else if let Some(list) = value.get_ref().as_array() {
        list.iter().enumerate().for_each(|(place, value)| collect_strings(value, &below(place.to_string()), found));
    }
}

fn of_toml(name: &str, text: &str, error: &toml::de::Error) -> Mistake {
    let span = error.span().unwrap_or(0..0);
    let message = error.message().lines().collect::<Vec<_>>().join("; ");
    at(name, text, &span, in_our_words(message))
}

fn at(name: &str, text: &str, span: &Range<usize>, problem: String) -> Mistake {
    let before = text.get(..span.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |place| place + 1);
    let line = before.matches('\n').count() + 1;
    let column = before[line_start..].chars().count() + 1;
    Mistake { file: name.to_owned(), line, column, problem }
}

/// serde says "unknown field `a`, expected one of `b`, `c`"; people want to hear which of them is meant. A value of the
/// wrong kind is not repeated: where a secret's name belongs, somebody may have written the secret.
fn in_our_words(message: String) -> String {
    let message = match message.rsplit_once(", expected ") {
        Some((found, "i64" | "u64" | "u32" | "u16")) => format!("{found}, expected a whole number"),
        Some(_) | None => message,
    };
    if message.starts_with("invalid type: string")
        && let Some((_, wanted)) = message.rsplit_once(", expected ")
    {
        return format!("a text cannot stand here, expected {wanted}");
    }
    let names: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match names.split_first() {
        Some((unknown, known)) if message.starts_with("unknown field") => unknown_word("key", unknown, known, &message),
        Some((unknown, known)) if message.starts_with("unknown variant") => {
            unknown_word("value", unknown, known, &message)
        }
        Some((missing, _)) if message.starts_with("missing field") => format!("the key `{missing}` is missing; add it"),
        Some(_) | None => message,
    }
}

/// Which word was meant, or else which there are; `message` is what serde says.
fn unknown_word(what: &str, unknown: &str, known: &[&str], message: &str) -> String {
    match nearest(unknown, known.iter().copied()) {
        Some(hint) => format!("unknown {what} `{unknown}`; did you mean `{hint}`?"),
        None => message.replacen("field", what, 1).replacen("variant", what, 1),
    }
}

/// The known word that looks most like an unknown one, if any looks like it.
pub(crate) fn nearest<'w>(unknown: &str, known: impl Iterator<Item = &'w str>) -> Option<&'w str> {
    const ALIKE_MIN: f64 = 0.6;
    known
        .map(|word| (strsim::normalized_damerau_levenshtein(unknown, word), word))
        .filter(|(alike, _)| *alike >= ALIKE_MIN)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, word)| word)
}
