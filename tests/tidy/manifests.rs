//! Which crate may lean on which, and who alone may name an outside crate.

use toml::{Table, Value};

use super::check::{Check, Offence, SourceFile};

/// Each of our crates: its folder, and which others its code may use.
const ARROWS: [(&str, &str, &[&str]); 14] = [
    ("events", "events", &[]),
    ("bus", "bus", &["events"]),
    ("projections", "projections", &["events"]),
    ("audit", "audit", &["events", "bus", "projections"]),
    ("outbound", "connectors/outbound", &[]),
    ("form", "connectors/form", &["events", "outbound"]),
    ("packet", "connectors/packet", &[]),
    ("typeset", "connectors/typeset", &["packet"]),
    ("mail", "connectors/mail", &[]),
    ("connectors", "connectors", &["events", "form", "outbound"]),
    ("handlers", "handlers", &["events", "bus", "connectors", "outbound", "form", "packet", "mail"]),
    ("proto", "proto", &[]),
    ("sandbox", "sandbox", &[]),
    (
        "regflow",
        "",
        &[
            "events",
            "bus",
            "projections",
            "audit",
            "connectors",
            "form",
            "packet",
            "typeset",
            "mail",
            "handlers",
            "proto",
            "sandbox",
        ],
    ),
];

/// Outside crates that stay in one room, by the beginning of their names.
const KEPT: [(&str, &[&str]); 6] = [
    ("async-nats", &["bus"]),
    ("sled", &["projections"]),
    ("typst", &["typeset"]),
    ("thirtyfour", &["form"]),
    ("lettre", &["mail"]),
    ("postcard", &["events", "projections"]),
];

/// Outside crates that the tests of a room, and nothing else of it, may name all the same: crate and room.
const KEPT_BUT_IN_TESTS: [(&str, &str); 1] = [("thirtyfour", "regflow")];

/// Outside crates that would bring a clock, a thread or a socket into the rules.
const IMPURE: [&str; 7] = ["tokio", "async-", "futures", "reqwest", "rand", "tracing", "mio"];

pub const CHECKS: &[Check] = &[
    Check {
        rule: "arrows point inwards: see ARROWS in tests/tidy/manifests.rs",
        find: wrong_arrows,
        offences: &[
            ("handlers/Cargo.toml", "[dependencies]\nevents.workspace = true\nprojections.workspace = true\n"),
            ("projections/Cargo.toml", "[dependencies]\nlog = { path = \"../bus\", package = \"regflow-bus\" }\n"),
        ],
    },
    Check {
        rule: "one room keeps this crate: see KEPT in tests/tidy/manifests.rs",
        find: kept_elsewhere,
        offences: &[
            ("handlers/Cargo.toml", "[dev-dependencies]\nasync-nats.workspace = true\n"),
            ("Cargo.toml", "[dependencies]\nthirtyfour.workspace = true\n"),
        ],
    },
    Check {
        rule: "the rules have no async, no clock, no I/O",
        find: impure_rules,
        offences: &[("events/Cargo.toml", "[dependencies]\ntokio = { workspace = true }\n")],
    },
    Check {
        rule: "every crate takes the lints of the workspace",
        find: without_lints,
        offences: &[("bus/Cargo.toml", "[package]\nname = \"regflow-bus\"\n")],
    },
    Check {
        rule: "an exception has a reason, and in it the day until which it holds: `until 2027-01-31`",
        find: lasting_exceptions,
        offences: &[("deny.toml", "[advisories]\nignore = [\"RUSTSEC-2026-0001\"]\n")],
    },
];

/// The lists of deny.toml that make exceptions.
const EXCEPTIONS: [(&str, &str); 5] = [
    ("advisories", "ignore"),
    ("licenses", "exceptions"),
    ("licenses", "clarify"),
    ("bans", "skip"),
    ("bans", "skip-tree"),
];
/// Stands in the reason of an exception, with a day behind it.
const UNTIL: &str = "until 20";

fn lasting_exceptions(file: &SourceFile) -> Vec<Offence> {
    let Some(deny) =
        Some(file).filter(|file| file.path == "deny.toml").and_then(|file| file.text.parse::<Table>().ok())
    else {
        return Vec::new();
    };
    let of = |(section, list): &(&str, &str)| deny.get(*section)?.get(*list)?.as_array().cloned();
    let reason = |exception: &Value| exception.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
    let wrong = EXCEPTIONS.iter().filter_map(of).flatten().filter(|exception| !reason(exception).contains(UNTIL));
    wrong.map(|exception| (1, format!("{exception}"))).collect()
}

/// The name of the crate that a manifest belongs to, or that it has no row in the table.
pub fn room_of(path: &str) -> Result<&'static str, String> {
    let folder = path.trim_end_matches("Cargo.toml").trim_end_matches('/');
    let row = ARROWS.iter().find(|(_, of, _)| *of == folder);
    row.map(|(name, ..)| *name).ok_or_else(|| format!("{path} has no row in ARROWS of tests/tidy/manifests.rs"))
}

fn wrong_arrows(file: &SourceFile) -> Vec<Offence> {
    let Some((room, manifest)) = manifest(file) else { return Vec::new() };
    let allowed = ARROWS.iter().find(|(name, ..)| *name == room).map_or(&[][..], |(.., allowed)| allowed);
    let ours = dependencies(&manifest, &["dependencies", "build-dependencies"]);
    let wrong = ours.filter(|name| is_ours(name) && !allowed.contains(&name.as_str()));
    wrong.map(|name| (line_of(file, &name), format!("{room} must not use {name}"))).collect()
}

fn kept_elsewhere(file: &SourceFile) -> Vec<Offence> {
    let Some((room, manifest)) = manifest(file) else { return Vec::new() };
    let keepers = |name: &str| KEPT.iter().find(|(kept, _)| name.starts_with(kept)).map(|(_, rooms)| *rooms);
    let elsewhere = |name: &String| keepers(name).is_some_and(|rooms| !rooms.contains(&room));
    let built = dependencies(&manifest, &["dependencies", "build-dependencies"]).filter(elsewhere);
    let tested = dependencies(&manifest, &["dev-dependencies"]).filter(elsewhere);
    let wrong = built.chain(tested.filter(|name| !KEPT_BUT_IN_TESTS.contains(&(name.as_str(), room))));
    wrong.map(|name| (line_of(file, &name), format!("{room} must not name {name}"))).collect()
}

fn impure_rules(file: &SourceFile) -> Vec<Offence> {
    let Some(("events", manifest)) = manifest(file) else { return Vec::new() };
    let wrong = dependencies(&manifest, &ALL).filter(|name| IMPURE.iter().any(|impure| name.starts_with(impure)));
    wrong.map(|name| (line_of(file, &name), format!("events must not use {name}"))).collect()
}

fn without_lints(file: &SourceFile) -> Vec<Offence> {
    let Some((_, manifest)) = manifest(file) else { return Vec::new() };
    let takes = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(Value::as_bool);
    if takes == Some(true) { Vec::new() } else { vec![(1, "no `[lints] workspace = true`".to_owned())] }
}

fn manifest(file: &SourceFile) -> Option<(&'static str, Table)> {
    let is_manifest = file.path.ends_with("Cargo.toml");
    let room = room_of(&file.path).ok().filter(|_| is_manifest)?;
    Some((room, file.text.parse().ok()?))
}

const ALL: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// The names of what a crate depends on; ours without their prefix, all by their real names. Those of one
/// platform (`[target...]`) count as well; `[workspace.dependencies]` only declares versions.
fn dependencies(manifest: &Table, kinds: &[&str]) -> impl Iterator<Item = String> {
    let platforms = manifest.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
    let tables = platforms.filter_map(Value::as_table).chain([manifest]);
    let named = tables.flat_map(|table| kinds.iter().filter_map(|kind| table.get(*kind)?.as_table())).flatten();
    let names = named.map(|(key, value)| {
        let name = value.get("package").and_then(Value::as_str).unwrap_or(key);
        name.trim_start_matches("regflow-").to_owned()
    });
    names.collect::<Vec<_>>().into_iter()
}

fn is_ours(name: &str) -> bool {
    ARROWS.iter().any(|(ours, ..)| *ours == name)
}

fn line_of(file: &SourceFile, name: &str) -> usize {
    file.text.lines().position(|line| line.contains(name)).map_or(1, |index| index + 1)
}
