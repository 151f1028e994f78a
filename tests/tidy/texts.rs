//! Rules for every text file: nothing in it is true of one machine only. The needles are cut in two, so that this
//! file does not offend itself.

use super::check::{Check, Offence, SourceFile};

/// Folders of one person's or one session's machine.
const PATHS: [&str; 4] = [concat!("/wo", "rk/"), concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/tmp", "/w/")];
/// Hosts of package registries; the clients know them, and a mirror has another name.
const HOSTS: [&str; 6] = [
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", "."),
    concat!("deb.debian", ".org"),
    concat!("security.debian", ".org"),
];

pub const CHECKS: &[Check] = &[
    Check {
        rule: "a path of one machine means nothing on another",
        find: machine_paths,
        offences: &[("README.md", concat!("run `/wo", "rk/main/target/debug/regflow`\n"))],
    },
    Check {
        rule: "package clients know their registries; do not name the hosts",
        find: |file| if is_lock(file) { Vec::new() } else { file.lines_with(&HOSTS) },
        offences: &[("scripts/setup", concat!("curl https://pypi", ".org/simple\n"))],
    },
];

fn machine_paths(file: &SourceFile) -> Vec<Offence> {
    let lines = file.text.lines().enumerate();
    let found = lines.filter_map(|(index, line)| Some((index + 1, PATHS.iter().find(|path| begins_in(line, path))?)));
    found.map(|(line, path)| (line, format!("`{path}`"))).collect()
}

/// Whether an absolute path begins with `path` somewhere in the line: in `a/b` the `/b` is none.
fn begins_in(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| line[..at].chars().next_back().is_none_or(|c| " \t\"'`=:(<[,".contains(c)))
}

/// Cargo writes its registry there.
fn is_lock(file: &SourceFile) -> bool {
    file.path.ends_with("Cargo.lock")
}

#[test]
fn a_folder_inside_of_a_path_is_no_path_of_a_machine() {
    let [work, ..] = PATHS;
    assert!(begins_in(&format!("cd {work}main"), work));
    assert!(!begins_in(&format!("cd frame{work}main"), work));
}
