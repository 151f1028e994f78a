//! docs/connectors.md is the reference of connector files: its tables name each key that the code reads, and no other.
//!
//! Both sides are read as text: the types that derive `Deserialize`, and the tables behind `<!-- keys: Type -->`, whose
//! first cells name keys in backticks. A type has a table, or it is an enum whose words stand somewhere on the page.

use std::collections::BTreeSet;

use super::check::SourceFile;

/// The reference.
pub const PAGE: &str = "docs/connectors.md";
/// The files of types into which a connector's file is read.
const SHAPES: [&str; 5] = [
    "connectors/src/file.rs",
    "connectors/src/secret.rs",
    "connectors/form/src/recipe.rs",
    "connectors/form/src/shape.rs",
    "events/src/retry.rs",
];
/// Enums of the vocabulary whose words stand in a connector's file: where they are, and their names.
const VOCABULARY: [(&str, &str); 4] = [
    ("events/src/forget.rs", "RetentionFrom"),
    ("events/src/outcome.rs", "ErrorKind"),
    ("events/src/policy.rs", "DeadlineFrom"),
    ("events/src/words.rs", "Method"),
];
/// Stands before a table, followed by the names of the types that it is about.
const MARKER: &str = "<!-- keys: ";

/// A type that is read from a file: a struct with its keys, or an enum with its words.
#[derive(Debug, PartialEq, Eq)]
struct Shape {
    name: String,
    is_struct: bool,
    words: BTreeSet<String>,
}

/// What the reference leaves out, and what it makes up.
pub fn findings(files: &[SourceFile]) -> Vec<String> {
    let text = |path: &str| files.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str());
    let mut shapes: Vec<Shape> = SHAPES.iter().flat_map(|path| shapes_in(text(path))).collect();
    shapes.extend(VOCABULARY.iter().map(|(path, name)| vocabulary(text(path), name)));
    differences(text(PAGE), &shapes)
}

fn differences(page: &str, shapes: &[Shape]) -> Vec<String> {
    let tables = tables(page);
    let mut found = Vec::new();
    for (types, named) in &tables {
        let (shapes_here, unknown) = split(types, shapes);
        found.extend(
            unknown.iter().map(|name| format!("a table is about {name}, which no file of a maker is read into")),
        );
        let known: BTreeSet<&str> = shapes_here.iter().flat_map(|shape| &shape.words).map(String::as_str).collect();
        let types = types.join(", ");
        found.extend(known.difference(named).map(|key| format!("`{key}` of {types} has no row in its table")));
        found.extend(named.difference(&known).map(|key| format!("`{key}` has a row, but {types} has no such key")));
    }
    let has_table = |shape: &Shape| tables.iter().any(|(types, _)| types.contains(&shape.name.as_str()));
    for shape in shapes.iter().filter(|shape| !has_table(shape)) {
        found.extend(without_table(page, shape));
    }
    found
}

/// The types that are there, and the names that are none.
fn split<'a, 'p>(types: &[&'p str], shapes: &'a [Shape]) -> (Vec<&'a Shape>, Vec<&'p str>) {
    let of = |name: &str| shapes.iter().find(|shape| shape.name == name);
    let known = types.iter().filter_map(|name| of(name)).collect();
    (known, types.iter().copied().filter(|name| of(name).is_none()).collect())
}

/// What is wrong with a type that no table is about.
fn without_table(page: &str, shape: &Shape) -> Vec<String> {
    if shape.is_struct || shape.words.is_empty() {
        return vec![format!("no table is about {}", shape.name)];
    }
    let is_there = |word: &str| page.contains(&format!("`{word}`")) || page.contains(&format!("`\"{word}\"`"));
    let missing = shape.words.iter().filter(|word| !is_there(word));
    missing.map(|word| format!("`{word}` of {} stands nowhere", shape.name)).collect()
}

/// The tables behind markers: the types that they are about, and the names in the first cells of their rows.
fn tables(page: &str) -> Vec<(Vec<&str>, BTreeSet<&str>)> {
    let marked = page.split(MARKER).skip(1).filter_map(|part| part.split_once("-->"));
    marked
        .map(|(types, rest)| {
            // the first two rows are the head and the line below it
            let rows = rest.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
            (types.split_whitespace().collect(), rows.flat_map(names_in_first_cell).collect())
        })
        .collect()
}

fn names_in_first_cell(row: &str) -> impl Iterator<Item = &str> {
    row.split('|').nth(1).unwrap_or_default().split('`').skip(1).step_by(2)
}

/// The types of a Rust file that derive `Deserialize`.
fn shapes_in(text: &str) -> Vec<Shape> {
    let mut shapes = Vec::new();
    let mut attributes = String::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("#[") {
            attributes.push_str(line);
        } else if let Some((is_struct, name)) = opening(line) {
            let body: Vec<&str> = lines.by_ref().take_while(|line| *line != "}").collect();
            if attributes.contains("Deserialize") {
                let words = if is_struct { keys(&body) } else { variants(&body, &attributes) };
                shapes.push(Shape { name: name.to_owned(), is_struct, words });
            }
            attributes.clear();
        } else if !line.starts_with("//") {
            attributes.clear();
        }
    }
    shapes
}

/// Whether a struct (else an enum) begins in this line, and its name.
fn opening(line: &str) -> Option<(bool, &str)> {
    let line = visible(line)?.strip_suffix(" {")?;
    line.strip_prefix("struct ").map(|name| (true, name)).or_else(|| Some((false, line.strip_prefix("enum ")?)))
}

fn visible(line: &str) -> Option<&str> {
    line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(crate) "))
}

/// The fields of a struct that are read.
fn keys(body: &[&str]) -> BTreeSet<String> {
    let mut keys = BTreeSet::new();
    let mut is_skipped = false;
    for line in body {
        is_skipped |= *line == "#[serde(skip)]";
        if let Some((name, _)) = visible(line).and_then(|field| field.split_once(':')) {
            if !is_skipped {
                keys.insert(name.to_owned());
            }
            is_skipped = false;
        }
    }
    keys
}

/// The variants of an enum, as serde spells them.
fn variants(body: &[&str], attributes: &str) -> BTreeSet<String> {
    let names = body.iter().filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase()));
    let names = names.filter_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()).next());
    let is_snake = attributes.contains("rename_all = \"snake_case\"");
    names.map(|name| if is_snake { snake(name) } else { name.to_lowercase() }).collect()
}

/// `NextRung` as `next_rung`.
fn snake(name: &str) -> String {
    let letters = name.char_indices().flat_map(|(at, c)| {
        let gap = (at > 0 && c.is_ascii_uppercase()).then_some('_');
        gap.into_iter().chain([c.to_ascii_lowercase()])
    });
    letters.collect()
}

/// An enum of the vocabulary: one that serde derives, or one of the macro `wire_enum`, whose words stand in it as text.
fn vocabulary(text: &str, name: &str) -> Shape {
    let derived = shapes_in(text).into_iter().find(|shape| shape.name == name);
    derived.unwrap_or_else(|| {
        let opening = format!("{name} {{");
        let body = text.lines().map(str::trim).skip_while(|line| *line != opening).take_while(|line| *line != "}");
        let words = body.filter_map(|line| Some(line.strip_suffix("\";")?.rsplit_once('"')?.1.to_owned()));
        Shape { name: name.to_owned(), is_struct: false, words: words.collect() }
    })
}

/// Types as the code has them.
const SOURCE: &str = r#"
/// When tokens come back.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RefillFile {
    /// All at once.
    AllAtOnce,
    #[default]
    Smooth,
}

#[derive(Debug)]
pub struct Unread {
    pub nothing: u8,
}

/// One limit.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limit {
    /// How many.
    pub max: i64,
    #[serde(skip)]
    pub reach: Reach,
    #[serde(default)]
    pub refill: RefillFile,
}

wire_enum! {
    /// Why.
    Kind {
        /// No connection.
        Network = 1, "network";
        Server = 2, "server";
    }
}
"#;
/// A page that names all of them.
const GOOD: &str = "<!-- keys: Limit -->\n| key | values |\n|---|---|\n| `max` | a number |\n\
                    | `refill` | `\"all_at_once\"`, `\"smooth\"` |\n\n`network` and `server` count.\n";

fn found(page: &str) -> Vec<String> {
    let shapes: Vec<Shape> = shapes_in(SOURCE).into_iter().chain([vocabulary(SOURCE, "Kind")]).collect();
    differences(page, &shapes)
}

#[test]
fn a_page_that_names_everything_has_no_findings() {
    assert_eq!(found(GOOD), Vec::<String>::new());
}

#[test]
fn a_key_without_a_row_and_a_row_without_a_key_are_named() {
    assert_eq!(found(&GOOD.replace("| `max` | a number |\n", "")), ["`max` of Limit has no row in its table"]);
    let made_up = GOOD.replace("`max`", "`max`, `most`");
    assert_eq!(found(&made_up), ["`most` has a row, but Limit has no such key"]);
}

#[test]
fn a_word_that_stands_nowhere_is_named() {
    assert_eq!(found(&GOOD.replace("smooth", "even")), ["`smooth` of RefillFile stands nowhere"]);
    assert_eq!(found(&GOOD.replace("`server`", "a server")), ["`server` of Kind stands nowhere"]);
}

#[test]
fn a_type_without_a_table_and_a_table_without_a_type_are_named() {
    let wrong = found(&GOOD.replace("keys: Limit", "keys: Limits"));
    assert!(wrong.contains(&"a table is about Limits, which no file of a maker is read into".to_owned()));
    assert!(wrong.contains(&"no table is about Limit".to_owned()), "{wrong:?}");
}

#[test]
fn what_is_not_found_in_the_code_is_no_silence() {
    assert_eq!(differences("", &[vocabulary(SOURCE, "Gone")]), ["no table is about Gone"]);
}
