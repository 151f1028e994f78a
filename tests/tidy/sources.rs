//! Rules for Rust files: what each room may say, and how a file must look.

use super::check::{Check, Offence, SourceFile};

/// A longer file has two subjects.
const FILE_LINES_MAX: usize = 500;
/// The files of `events` that turn events into bytes and back.
const CODEC: [&str; 4] = ["events/src/fact.rs", "events/src/record.rs", "events/src/seal.rs", "events/src/snapshot.rs"];
/// What rules may not do: wait, look at the clock, roll dice, touch the machine.
const IMPURE: [&str; 16] = [
    "async fn",
    "async move",
    ".await",
    "Instant::now",
    "SystemTime",
    "Timestamp::now",
    "Zoned::now",
    "now_v7",
    "new_v4",
    "std::fs",
    "std::net",
    "std::env",
    "std::process",
    "std::thread",
    "println!",
    "eprintln!",
];

/// Some thousand lines that are at hand.
const LONG: &str = include_str!("../../Cargo.lock");
/// Marks of work that was put off.
const UNFINISHED: [&str; 5] = ["todo!", "unimplemented!", "dbg!", "FIXME", "TODO"];

pub const CHECKS: &[Check] = &[
    Check {
        rule: "the rules have no async, no clock, no I/O: time and dice are arguments",
        find: |file| within("events/src/", file, |file| file.code_with(&IMPURE)),
        offences: &[("events/src/decide.rs", "//! Rules.\nfn now() -> Time { jiff::Timestamp::now().into() }\n")],
    },
    Check {
        rule: "only the codec and the views see postcard",
        find: postcard,
        offences: &[("events/src/state.rs", "//! State.\nlet bytes = postcard::to_stdvec(&state)?;\n")],
    },
    Check {
        rule: "only events/src/subject.rs spells a subject",
        find: subjects,
        offences: &[("bus/src/nats_log.rs", "//! Log.\nlet subject = format!(\"reg.{shard}.{id}\");\n")],
    },
    Check {
        rule: "the program never deletes or empties a stream; only the scratch stream of the raw benchmark goes",
        find: deletions,
        offences: &[("bus/src/ensure.rs", "//! Topology.\ncontext.delete_stream(\"EVENTS\").await?;\n")],
    },
    Check {
        rule: "an error is returned or named with `expect`, outside of tests nothing unwraps",
        find: |file| rust(file, |file| file.code_with(&[".unwrap()"])),
        offences: &[("bus/src/log.rs", "//! Log.\nlet sequence = answer.seq.unwrap();\n")],
    },
    Check {
        rule: "a file opens with a sentence of module doc",
        find: |file| rust(file, without_module_doc),
        offences: &[("handlers/src/queue.rs", "use std::fmt;\n")],
    },
    Check {
        rule: "a file has at most 500 lines",
        find: |file| rust(file, too_long),
        offences: &[("src/main.rs", LONG)],
    },
    Check {
        rule: "what is committed is finished",
        find: |file| rust(file, |file| words(file, &UNFINISHED)),
        offences: &[("handlers/src/queue.rs", "//! Queue.\nfn push() { todo!() }\n")],
    },
    Check {
        rule: "a test that is too slow is chosen by an environment variable",
        find: |file| rust(file, |file| words(file, &["#[ignore"])),
        offences: &[("tests/it/main.rs", "//! Flows.\n#[ignore = \"slow\"]\n")],
    },
];

fn rust(file: &SourceFile, find: impl Fn(&SourceFile) -> Vec<Offence>) -> Vec<Offence> {
    if file.is_rust() { find(file) } else { Vec::new() }
}

fn within(folder: &str, file: &SourceFile, find: impl Fn(&SourceFile) -> Vec<Offence>) -> Vec<Offence> {
    if file.path.starts_with(folder) { rust(file, find) } else { Vec::new() }
}

fn postcard(file: &SourceFile) -> Vec<Offence> {
    let may = CODEC.contains(&file.path.as_str()) || file.path.starts_with("projections/");
    if may { Vec::new() } else { rust(file, |file| file.code_with(&["postcard::"])) }
}

fn subjects(file: &SourceFile) -> Vec<Offence> {
    if file.path == "events/src/subject.rs" {
        return Vec::new();
    }
    rust(file, |file| file.code_with(&["\"reg.", "\"notify."]))
}

fn deletions(file: &SourceFile) -> Vec<Offence> {
    if file.path == "bus/src/raw.rs" {
        return Vec::new();
    }
    rust(file, |file| file.code_with(&["delete_stream", "delete_key_value", "delete_object_store", "purge("]))
}

fn without_module_doc(file: &SourceFile) -> Vec<Offence> {
    if file.text.starts_with("//! ") { Vec::new() } else { vec![(1, "no `//!` at the top".to_owned())] }
}

fn too_long(file: &SourceFile) -> Vec<Offence> {
    let lines = file.text.lines().count();
    if lines > FILE_LINES_MAX { vec![(lines, format!("{lines} lines"))] } else { Vec::new() }
}

/// In comments and tests as well; the files of these checks hold planted offences.
fn words(file: &SourceFile, needles: &[&str]) -> Vec<Offence> {
    if file.path.starts_with("tests/tidy/") { Vec::new() } else { file.lines_with(needles) }
}
