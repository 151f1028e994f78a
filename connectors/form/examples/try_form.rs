//! Tries a recipe that needs no templates, prints what came of it, and keeps the browser until standard input ends.
//!
//! `cargo run -p regflow-form --example try_form -- RECIPE.toml EMPTY_FOLDER`

use std::error::Error;
use std::path::PathBuf;

use outbound::Reach;
use regflow_form::{BrowserOptions, Browsers, Recipe, discover};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let usage = "usage: try_form RECIPE.toml EMPTY_FOLDER";
    let mut recipe: Recipe = toml::from_str(&std::fs::read_to_string(arguments.next().ok_or(usage)?)?)?;
    if recipe.url.starts_with("http://127.0.0.1") {
        recipe.reach = Reach::Private;
    }
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    let browsers = Browsers::start(BrowserOptions::new(discover()?, folder))?;
    let report = browsers.run(&recipe, Vec::new(), std::sync::Arc::new(|| true)).await;
    println!("{:?} at step {} after {:?}", report.outcome, report.step, report.latency);
    std::io::read_to_string(std::io::stdin())?;
    browsers.shutdown().await;
    Ok(())
}
