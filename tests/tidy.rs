//! A ratchet that reads the repository: what the design forbids is looked for, not remembered.
//!
//! Each check stands in a table together with offences that it must find, so no check can pass by never looking.

mod tidy {
    pub mod check;
    pub mod connectors;
    pub mod decisions;
    pub mod guide;
    pub mod manifests;
    pub mod measured;
    pub mod repository;
    pub mod sources;
    pub mod tables;
    pub mod texts;
}

use tidy::check::{Check, SourceFile};
use tidy::{decisions, guide, manifests, repository, sources, tables, texts};

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

#[test]
fn the_tables_of_documents_tell_what_was_measured() {
    let files = repository::files();
    let reports = tables::reports(&files);
    for document in tables::DOCUMENTS {
        let file = files.iter().find(|file| file.path == document).expect("the document is there");
        let written = tables::written(&file.text, &reports).unwrap_or_else(|error| panic!("{document}: {error}"));
        if std::env::var_os("REGFLOW_WRITE_GOLDEN").is_some() {
            std::fs::write(document, &written).expect("written");
            continue;
        }
        let differs = file.text.lines().zip(written.lines()).find(|(is, should)| is != should);
        assert_eq!(differs, None, "{document} differs from the reports; REGFLOW_WRITE_GOLDEN=1 writes it anew");
        assert_eq!(file.text.len(), written.len(), "{document} differs at its end");
    }
}

#[test]
fn the_reference_of_connector_files_names_each_key_and_no_other() {
    let findings = tidy::connectors::findings(&repository::files());
    let (count, page) = (findings.len(), tidy::connectors::PAGE);
    assert!(findings.is_empty(), "{count} findings in {page}:\n{}", findings.join("\n"));
}

#[test]
fn every_decision_is_listed_once() {
    let files = repository::files();
    let list = files.iter().find(|file| file.path == decisions::LIST).expect("the list is there");
    let paths: Vec<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(decisions::disagreements(&list.text, &paths), Vec::<String>::new());
    assert!(!decisions::disagreements("", &paths).is_empty(), "a list of nothing lacks every decision");
}
