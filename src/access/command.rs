//! `regflow access`: makes, lists and removes keys, beside a running service or without one.

use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::keys::{self, NewKey, StoredKey};
use crate::cli::{AccessCommand, AddArgs};
use crate::config::{AccessMode, Settings};
use crate::show::{self, tell};

/// Does what is asked with the key file that the settings name.
///
/// # Errors
/// When the file cannot be read or written, or the key lacks something.
pub fn run(command: AccessCommand, settings: &Settings) -> anyhow::Result<()> {
    let path = settings.access.key_file(&settings.server.data);
    match command {
        AccessCommand::Add(args) => add(&path, args, settings.access.mode),
        AccessCommand::List(args) => list(&path, args.json),
        AccessCommand::Remove(args) => {
            let removed = keys::remove(&path, &args.id)?;
            eprintln!("removed the key {} of {}", removed.id, show::printable(&removed.name));
            Ok(())
        }
    }
}

fn add(path: &Path, args: AddArgs, mode: AccessMode) -> anyhow::Result<()> {
    let now = Timestamp::now();
    let expires =
        args.days.map(|days| now.checked_add(SignedDuration::from_hours(24 * i64::from(days)))).transpose()?;
    let new = NewKey { name: args.name, role: args.role, tenant: args.tenant, owner: args.owner, expires };
    let (id, key) = keys::add(path, new, now)?;
    if args.json {
        tell!("{}", json!({ "id": id, "key": *key }));
    } else {
        tell!("{}", *key);
        eprintln!("this is the only time that it is shown; `regflow access remove {id}` takes it back");
    }
    match mode {
        AccessMode::Open => eprintln!("access.mode is \"open\": the service asks nobody for keys yet"),
        AccessMode::Required => {}
    }
    Ok(())
}

fn list(path: &Path, as_json: bool) -> anyhow::Result<()> {
    let known = keys::list(path)?;
    if as_json {
        for key in &known {
            tell!("{}", shown(key));
        }
        return Ok(());
    }
    let mut table = show::table(["ID", "NAME", "ROLE", "TENANT", "MADE", "EXPIRES"]);
    for key in known {
        let day = |at: Timestamp| at.strftime("%Y-%m-%d").to_string();
        table.add_row([
            key.id,
            show::printable(&key.name),
            key.role.word().to_owned(),
            show::printable(&key.tenant.unwrap_or_default()),
            day(key.created),
            key.expires.map(day).unwrap_or_default(),
        ]);
    }
    tell!("{}", table.trim_fmt());
    Ok(())
}

/// Without the hash: nobody needs it.
fn shown(key: &StoredKey) -> serde_json::Value {
    let StoredKey { id, name, role, tenant, owner, created, expires, hash: _ } = key;
    json!({
        "id": id, "name": name, "role": role, "tenant": tenant, "owner": owner, "created": created, "expires": expires,
    })
}
