//! ARCHITECTURE.md names files; a file that moves takes its mention along.

/// The paths in backticks that are neither a file nor a folder of the repository.
pub fn missing_paths<'a>(guide: &'a str, paths: &[&str]) -> Vec<&'a str> {
    let named = guide.split('`').skip(1).step_by(2).filter(|text| looks_like_a_path(text));
    named.filter(|name| !paths.iter().any(|path| path == name || is_below(path, name))).collect()
}

/// `folder/` or `folder/file.ext`; a value such as `a/b` or a command is none.
fn looks_like_a_path(text: &str) -> bool {
    let plain = text.chars().all(|c| c.is_ascii_alphanumeric() || "/._-".contains(c));
    let has_ending = text.rsplit('/').next().is_some_and(|name| name.is_empty() || name.contains('.'));
    plain && has_ending && text.contains('/') && !text.starts_with(['/', '.'])
}

fn is_below(path: &str, folder: &str) -> bool {
    folder.ends_with('/') && path.starts_with(folder)
}

#[test]
fn only_what_looks_like_a_path_is_looked_for() {
    let paths = ["events/src/lib.rs"];
    let guide = "`events/` `events/src/lib.rs` `reg.<shard>` `make test` `a/b` `gone/x.rs` `gone/`";
    assert_eq!(missing_paths(guide, &paths), ["gone/x.rs", "gone/"]);
}
