//! A ratchet that reads the repository: what the design forbids is looked for, not remembered.
//!
//! Each check stands in a table together with offences that it must find, so no check can pass by never looking.

mod tidy {
    pub mod check;
    pub mod guide;
    pub mod manifests;
    pub mod repository;
    pub mod sources;
    pub mod texts;
}

use tidy::check::{Check, SourceFile};
use tidy::{guide, manifests, repository, sources, texts};

/// Fewer files than this, and the walk has lost its way.
const FILES_MIN: usize = 100;

fn checks() -> impl Iterator<Item = &'static Check> {
    [manifests::CHECKS, sources::CHECKS, texts::CHECKS].into_iter().flatten()
}

#[test]
fn the_repository_is_tidy() {
    let files = repository::files();
    assert!(files.len() >= FILES_MIN, "only {} files were found", files.len());
    let findings: Vec<String> = checks().flat_map(|check| check.findings_in(&files)).collect();
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}

#[test]
fn each_check_finds_its_planted_offences() {
    for check in checks() {
        assert!(!check.offences.is_empty(), "the check \"{}\" has no planted offence", check.rule);
        for (path, text) in check.offences {
            let planted = [SourceFile { path: (*path).to_owned(), text: (*text).to_owned() }];
            let found = check.findings_in(&planted);
            assert!(!found.is_empty(), "the check \"{}\" does not find its offence in {path}", check.rule);
        }
    }
}

#[test]
fn every_crate_of_the_workspace_has_its_arrows_declared() {
    let found: Vec<String> = repository::files()
        .iter()
        // what fuzzes is built with instruments of its own, outside of the workspace
        .filter(|file| file.path.ends_with("Cargo.toml") && !file.path.starts_with("fuzz/"))
        .filter_map(|file| manifests::room_of(&file.path).err())
        .collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_path_that_the_guide_names_exists() {
    let files = repository::files();
    let guide = files.iter().find(|file| file.path == "ARCHITECTURE.md").expect("the guide is there");
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(guide::missing_paths(&guide.text, &paths), Vec::<&str>::new());
    assert_eq!(guide::missing_paths("the code of `events/src/nowhere.rs`", &paths), ["events/src/nowhere.rs"]);
}
