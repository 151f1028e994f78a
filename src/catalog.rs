//! `regflow connectors`: checks the files that describe makers, and lists those there are.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow, ensure};
use connectors::{Catalog, Connector, FILE_BYTES_MAX, Mistake, baseline_toml, brands_claimed_twice};
use events::policy::{DeadlineRule, RateLimit};
use events::{Method, Refill};
use form::{Browsers, LookError};
use serde_json::{Value, json};

use crate::cli::CheckArgs;
use crate::config::Settings;
use crate::serve;
use crate::show::{self, printable, tell};

/// Stands in for a sandbox that is not set, so that the methods of its makers are listed as their files name them.
pub const NO_SANDBOX: &str = "http://sandbox.invalid/";

/// Prints each mistake of the files on a line, also brands that two of them claim; true when there is none.
pub fn check(args: &CheckArgs) -> anyhow::Result<bool> {
    let (mut connectors, mut is_fine) = (Vec::new(), true);
    let mut checked = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let name = file.display().to_string();
        let result = Connector::parse(&name, &read(file)?).map(Arc::new);
        connectors.extend(result.iter().cloned());
        checked.push((name, result));
    }
    let claimed = brands_claimed_twice(&connectors);
    for (name, result) in checked {
        let mistakes = match &result {
            Ok(_) => claimed.iter().filter(|mistake| mistake.file == name).cloned().collect(),
            Err(mistakes) => mistakes.clone(),
        };
        is_fine &= mistakes.is_empty();
        show_checked(&name, result.ok().as_deref(), &mistakes, args.json);
    }
    Ok(is_fine)
}

fn show_checked(name: &str, connector: Option<&Connector>, mistakes: &[Mistake], as_json: bool) {
    if as_json {
        let lines = mistakes
            .iter()
            .map(|mistake| json!({ "line": mistake.line, "column": mistake.column, "problem": mistake.problem }));
        let mut told = json!({ "file": name, "mistakes": lines.collect::<Vec<_>>() });
        if let (Some(connector), Value::Object(members)) = (connector, &mut told) {
            members.insert("id".to_owned(), connector.id().into());
        }
        tell!("{told}");
    } else if mistakes.is_empty() {
        tell!("{name}: fine, {}", connector.map_or_else(String::new, |connector| printable(connector.name())));
    } else {
        mistakes.iter().for_each(|mistake| tell!("{}", printable(&mistake.to_string())));
    }
}

/// Prints the `[form.baseline]` of a maker's form as it is now, and below it what differs from the one in the file. False when the
/// file has mistakes.
///
/// # Errors
/// When there is no form, no browser, or the page cannot be looked at.
pub async fn look(file: &Path, settings: &Settings) -> anyhow::Result<bool> {
    let name = file.display().to_string();
    let connector = match Connector::parse(&name, &read(file)?) {
        Ok(connector) => connector.with_sandbox(serve::sandbox(settings)?.as_ref()),
        Err(mistakes) => {
            show_checked(&name, None, &mistakes, false);
            return Ok(false);
        }
    };
    let recipe = connector.form_sample();
    let recipe =
        recipe.with_context(|| format!("{name} has no form, or one of the sandbox while catalog.sandbox is empty"))?;
    let folder = tempfile::tempdir().context("failed to make a folder for the browser")?;
    let browsers = Browsers::start(serve::browser_options(&settings.browser, folder.path())?)?;
    let looked = browsers.look(&recipe).await;
    browsers.shutdown().await;
    let shape = looked.shape.map_err(|error| match error {
        LookError::Page(failure) => anyhow!("{}", failure.detail),
        LookError::Browser(error) => anyhow::Error::new(error).context("the browser failed"),
    })?;
    tell!("{}", printable_lines(&baseline_toml(&shape)));
    let differences = connector.form_baseline().map(|baseline| form::drift(baseline, &shape)).unwrap_or_default();
    differences.iter().for_each(|drift| tell!("# not as in the file: {}", printable(&drift.detail)));
    Ok(true)
}

/// Text of a page has its lines, and nothing else that a terminal obeys.
fn printable_lines(text: &str) -> String {
    text.lines().map(printable).collect::<Vec<_>>().join("\n")
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
    let sandbox = serve::sandbox(settings)?.map_or_else(|| NO_SANDBOX.parse(), Ok)?;
    let catalog = Catalog::load(serve::path(&settings.catalog.folder).as_deref())?.with_sandbox(Some(sandbox));
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
