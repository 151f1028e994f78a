//! `regflow connectors`: checks the files that describe makers, and lists those there are.

use std::io::Read;
use std::path::Path;

use anyhow::{Context, ensure};
use connectors::{Catalog, Connector};
use events::policy::{DeadlineRule, RateLimit};
use events::{Method, Refill};
use serde_json::{Value, json};

use crate::cli::CheckArgs;
use crate::config::Settings;
use crate::show::{self, printable, tell};

/// A connector file is not larger, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;
/// Stands in for a sandbox that is not set, so that the methods of its makers are listed as their files name them.
pub const NO_SANDBOX: &str = "http://sandbox.invalid/";

/// Prints each mistake of the files on a line; true when there is none.
pub fn check(args: &CheckArgs) -> anyhow::Result<bool> {
    let mut mistakes = 0;
    for file in &args.files {
        let text = read(file)?;
        let name = file.display().to_string();
        match Connector::parse(&name, &text) {
            Ok(connector) if args.json => tell!("{}", json!({ "file": name, "id": connector.id(), "mistakes": [] })),
            Ok(connector) => tell!("{name}: fine, {}", printable(connector.name())),
            Err(found) => {
                mistakes += found.len();
                let lines = found.iter().map(
                    |mistake| json!({ "line": mistake.line, "column": mistake.column, "problem": mistake.problem }),
                );
                if args.json {
                    tell!("{}", json!({ "file": name, "mistakes": lines.collect::<Vec<_>>() }));
                } else {
                    found.iter().for_each(|mistake| tell!("{}", printable(&mistake.to_string())));
                }
            }
        }
    }
    Ok(mistakes == 0)
}

fn read(file: &Path) -> anyhow::Result<String> {
    let failed = || format!("failed to read {}", file.display());
    let mut text = String::new();
    let opened = std::fs::File::open(file).with_context(failed)?;
    opened.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).with_context(failed)?;
    ensure!(text.len() as u64 <= FILE_BYTES_MAX, "{} is larger than {FILE_BYTES_MAX} bytes", file.display());
    Ok(text)
}

/// Prints the makers of the catalog, with the methods that their files describe.
pub fn list(settings: &Settings, as_json: bool) -> anyhow::Result<bool> {
    let folder = Some(settings.catalog.folder.as_str()).filter(|folder| !folder.is_empty());
    let sandbox = Some(settings.catalog.sandbox.as_str()).filter(|url| !url.is_empty()).unwrap_or(NO_SANDBOX);
    let sandbox = sandbox.parse().context("catalog.sandbox is no URL; write it like http://127.0.0.1:7470/")?;
    let catalog = Catalog::load(folder.map(Path::new))?.with_sandbox(Some(sandbox));
    if as_json {
        catalog.iter().for_each(|connector| tell!("{}", as_value(connector)));
        return Ok(true);
    }
    let mut table = show::table(["MAKER", "NAME", "METHODS", "REGISTER BY", "RATE LIMIT", "BRANDS"]);
    for connector in catalog.iter() {
        table.add_row([
            connector.id().to_owned(),
            printable(connector.name()),
            connector.ladder().iter().map(|method| in_words(*method)).collect::<Vec<_>>().join(", "),
            connector.deadline_rule().map_or_else(|| "-".to_owned(), deadline),
            limits(&connector.policy().limits),
            printable(&connector.brands().collect::<Vec<_>>().join(", ")),
        ]);
    }
    tell!("{}", table.trim_fmt());
    Ok(true)
}

const fn in_words(method: Method) -> &'static str {
    match method {
        Method::Api => "API",
        Method::AutomationReliable => "web form",
        Method::AssistedManual => "by hand",
    }
}

fn deadline(rule: &DeadlineRule) -> String {
    let elsewhere = if rule.countries.is_empty() { "" } else { ", differs by country" };
    format!("{} days from {}{elsewhere}", rule.days, rule.from)
}

fn limits(limits: &[RateLimit]) -> String {
    let each = limits.iter().map(|limit| format!("{} in {} s", limit.max, limit.per.as_secs_f64()));
    if limits.is_empty() { "-".to_owned() } else { each.collect::<Vec<_>>().join(", ") }
}

fn as_value(connector: &Connector) -> Value {
    let limits = connector.policy().limits.iter().map(|limit| {
        let refill = match limit.refill {
            Refill::Interval => "interval",
            Refill::Smooth => "smooth",
        };
        json!({ "max": limit.max, "perSeconds": limit.per.as_secs_f64(), "refill": refill })
    });
    let register_by = connector
        .deadline_rule()
        .map(|rule| json!({ "days": rule.days, "from": rule.from.as_str(), "countries": rule.countries }));
    json!({
        "id": connector.id(),
        "name": connector.name(),
        "brands": connector.brands().collect::<Vec<_>>(),
        "methods": connector.ladder(),
        "requires": connector.required(),
        "sends": connector.sends(),
        "registerBy": register_by,
        "limits": limits.collect::<Vec<_>>(),
    })
}
