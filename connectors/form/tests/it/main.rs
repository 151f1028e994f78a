//! Forms of all sorts, in a real browser, against small sites of our own.
#![allow(clippy::unwrap_used, reason = "a test may")]

mod clicks;
mod drift;
mod fields;
mod hostile;
mod outcomes;
mod people;
mod processes;
mod reach;
mod site;
mod walls;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use events::{Failure, Outcome};
use outbound::Reach;
use regflow_form::{BrowserOptions, Browsers, FormFile, FormReport, MaySend, Recipe, discover};
use tokio::runtime::Runtime;

/// One runtime and one set of browsers for all tests: a session each would take longer than the tests.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static BROWSERS: LazyLock<Browsers> = LazyLock::new(|| browsers_in(folder("shared"), |_| {}));

/// An empty folder for the browsers of one test.
fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("form-{name}"))
}

fn options_in(folder: PathBuf) -> BrowserOptions {
    let found = discover().expect("these tests need a real browser");
    BrowserOptions {
        page_timeout: Duration::from_secs(5),
        element_timeout: Duration::from_millis(700),
        total_timeout: Duration::from_secs(60),
        ..BrowserOptions::new(found, folder)
    }
}

fn browsers_in(folder: PathBuf, change: impl FnOnce(&mut BrowserOptions)) -> Browsers {
    let mut options = options_in(folder);
    change(&mut options);
    Browsers::start(options).unwrap()
}

fn recipe(toml: &str, base: &str) -> Recipe {
    let mut fill = |text: &str| Ok::<_, std::convert::Infallible>(text.replace("BASE", base));
    let recipe = toml::from_str::<Recipe>(toml).unwrap();
    let recipe = recipe.render(recipe.url.replace("BASE", base), &mut fill).unwrap();
    // the sites of these tests are on this machine
    Recipe { reach: Reach::Private, ..recipe }
}

/// Tries a recipe with the shared browsers; `BASE` in it stands for the site.
fn try_form(toml: &str, base: &str) -> FormReport {
    try_with(toml, base, Vec::new())
}

fn try_with(toml: &str, base: &str, files: Vec<FormFile>) -> FormReport {
    RUNTIME.block_on(BROWSERS.run(&recipe(toml, base), files, may_send()))
}

fn try_with_recipe(recipe: &Recipe) -> FormReport {
    RUNTIME.block_on(BROWSERS.run(recipe, Vec::new(), may_send()))
}

fn may_send() -> MaySend {
    Arc::new(|| true)
}

#[track_caller]
fn failure(report: FormReport) -> Failure {
    match report.outcome {
        Outcome::Failed(failure) => failure,
        Outcome::Registered { .. } => panic!("registered, against all expectations"),
    }
}

#[track_caller]
fn confirmation(report: &FormReport) -> Option<&str> {
    match &report.outcome {
        Outcome::Registered { confirmation, .. } => confirmation.as_deref(),
        Outcome::Failed(failure) => panic!("{failure:?}; {:?}", report.trouble),
    }
}
