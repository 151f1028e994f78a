//! The text files of the repository: what git tracks or would track, else a walk.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::check::SourceFile;

/// Folders that a walk passes over; git knows them from .gitignore.
const SKIPPED: [&str; 4] = [".git", "target", ".tools", "var"];

/// All files that hold text, sorted by path.
pub fn files() -> Vec<SourceFile> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = from_git(root).unwrap_or_else(|| walk(root, ""));
    paths.sort();
    // a path that git tracks may be deleted, and a file that is no UTF-8 is a picture or a font
    let text_of = |path: String| fs::read_to_string(root.join(&path)).ok().map(|text| SourceFile { path, text });
    paths.into_iter().filter_map(text_of).collect()
}

fn from_git(root: &Path) -> Option<Vec<String>> {
    let arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"];
    let output = Command::new("git").args(arguments).current_dir(root).output().ok()?;
    let listed = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(listed.split_terminator('\0').map(str::to_owned).collect())
}

fn walk(root: &Path, folder: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(root.join(folder)).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && !SKIPPED.contains(&name.as_str()) => paths.extend(walk(root, &path)),
            Ok(kind) if kind.is_file() => paths.push(path),
            Ok(_) | Err(_) => {}
        }
    }
    paths
}

#[test]
fn the_walk_finds_what_git_lists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let walked = walk(root, "");
    let missing = |path: &String| root.join(path).is_file() && !walked.contains(path);
    let missed: Vec<String> = from_git(root).unwrap_or_default().into_iter().filter(missing).collect();
    assert!(walked.contains(&"tests/tidy.rs".to_owned()));
    assert_eq!(missed, Vec::<String>::new());
}
