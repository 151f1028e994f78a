//! How fast forms are filled: by the service's own browsers, and by a plain Playwright script in turn with them, on the same form
//! of the sandbox with the same browser.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use connectors::{Catalog, Connector};
use events::details::{Address, Owner, Product, Purchase};
use events::{Details, Outcome};
use form::{BrowserOptions, Browsers, Found};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

use super::figures::{memory_mb, millis, per_second, quantiles, round3};
use super::stats::median;

/// The brand whose form is filled: one page, a cookie banner, a page of thanks after it.
const BRAND: &str = "Brightwell";
/// Its form in the sandbox.
const FORM_PATH: &str = "brightwell/register";
/// The Python that scripts/setup --bench makes, and the script, both from the repository's folder.
const PYTHON: &str = ".tools/bench-venv/bin/python";
const SCRIPT: &str = "scripts/playwright_form.py";
/// How the script keeps people apart, and whether it takes a picture as we do; the same isolation as ours first. The script
/// explains each.
const HOWS: [(&str, bool); 4] =
    [("fresh_context", false), ("fresh_context", true), ("fresh_tab", false), ("reused_page", false)];
/// Forms that each fills before anything is measured, unless fewer are.
const WARM_UP: usize = 5;
/// One turn of the script must be over by then.
const TURN_TIMEOUT: Duration = Duration::from_secs(300);

/// Fills `forms` forms in each of `rounds` rounds, and has the script do the same in turn; gives one JSON object. The part of the
/// script is null where it is not installed.
///
/// # Errors
/// A form that does not come to a confirmation.
pub async fn run(forms: usize, rounds: usize) -> anyhow::Result<Value> {
    ensure!(forms >= 1 && rounds >= 1, "at least one form and one round are needed");
    let folder = super::stage::new_folder()?;
    let (_sandbox, url) = super::stage::start_sandbox().await?;
    let found = form::discover()?;
    let mut script = Script::start(&found, &format!("{url}{FORM_PATH}")).await?;
    let ours = Ours::start(&url, found, folder.path())?;
    let (mut serials, mut took_ms) = (1.., Vec::new());
    ours.fill(&mut serials, WARM_UP.min(forms), &mut Vec::new()).await?;
    let before = memory_mb()?;
    let (mut our_rates, mut their_rates) = (Vec::new(), HOWS.map(|_| Vec::new()));
    for _ in 0..rounds {
        our_rates.push(ours.fill(&mut serials, forms, &mut took_ms).await?);
        for (how, rates) in HOWS.iter().zip(&mut their_rates) {
            let Some(script) = &mut script else { continue };
            rates.push(script.fill(&mut serials, forms, *how).await?);
        }
    }
    let after = memory_mb()?;
    ours.browsers.shutdown().await;
    let compared = || HOWS.iter().zip(&their_rates).map(|(how, rates)| (name(*how), compared(&our_rates, rates)));
    Ok(json!({
        "scenario": "form",
        "forms_each_round": forms,
        "rounds": rounds,
        "regflow": { "forms_per_second": median(our_rates.iter().copied()).map(round3), "each_round": rounded(&our_rates), "ms": quantiles(&took_ms) },
        "playwright": script.map(|_| compared().collect::<serde_json::Map<_, _>>()),
        "rss_mb": { "before": before, "after": after },
    }))
}

fn name((how, picture): (&str, bool)) -> String {
    if picture { format!("{how}_with_picture") } else { how.to_owned() }
}

/// Theirs, and how many times as fast we are: the median of the rounds' ratios, because the machine changes from round to round.
fn compared(ours: &[f64], theirs: &[f64]) -> Value {
    let ratios = ours.iter().zip(theirs).map(|(our, their)| our / their);
    json!({
        "forms_per_second": median(theirs.iter().copied()).map(round3),
        "each_round": rounded(theirs),
        "regflow_is_faster_by": median(ratios).map(round3),
    })
}

fn rounded(values: &[f64]) -> Vec<f64> {
    values.iter().copied().map(round3).collect()
}

/// The service's browsers, one session of them, so that there is one browser against one.
struct Ours {
    browsers: Browsers,
    connector: Arc<Connector>,
}

impl Ours {
    fn start(sandbox: &str, found: Found, folder: &Path) -> anyhow::Result<Self> {
        let catalog = Catalog::load(None)?.with_sandbox(Some(sandbox.parse()?));
        let connector = catalog.find_brand(BRAND).clone();
        let options = BrowserOptions { sessions_max: 1, ..BrowserOptions::new(found, folder.join("browser")) };
        Ok(Self { browsers: Browsers::start(options)?, connector })
    }

    /// Gives how many a second, the cleaning after each included.
    async fn fill(
        &self,
        serials: &mut impl Iterator<Item = usize>,
        forms: usize,
        took_ms: &mut Vec<f64>,
    ) -> anyhow::Result<f64> {
        let begun = Instant::now();
        for number in serials.take(forms) {
            let asked = Instant::now();
            let recipe = self.connector.form_recipe(&person(number))?;
            let report = self.browsers.run(&recipe, Vec::new(), Arc::new(|| true)).await;
            match report.outcome {
                Outcome::Registered { confirmation: Some(_), .. } => took_ms.push(millis(asked)),
                outcome @ (Outcome::Registered { .. } | Outcome::Failed(_)) => bail!("a form ended as {outcome:?}"),
            }
        }
        Ok(per_second(forms, begun.elapsed()))
    }
}

fn person(number: usize) -> Details {
    Details {
        product: Product { brand: BRAND.into(), model: "Studio 5".into(), serial: format!("BW24-{number:06}") },
        purchase: Purchase { date: Some(jiff::civil::date(2026, 11, 2)), ..Purchase::default() },
        owner: Owner {
            name: format!("Åsa Öberg {number}"),
            email: format!("owner{number}@example.org"),
            address: Address { country: Some("SE".into()), ..Address::default() },
            ..Owner::default()
        },
        ..Details::default()
    }
}

/// The Playwright script, waiting for its turn.
struct Script {
    _child: Child,
    wishes: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Script {
    /// Nothing where it is not installed: then it is said what to type.
    async fn start(found: &Found, url: &str) -> anyhow::Result<Option<Self>> {
        if !(Path::new(PYTHON).is_file() && Path::new(SCRIPT).is_file()) {
            eprintln!(
                "forms are not compared with Playwright; for that, type in the repository's folder: scripts/setup --bench"
            );
            return Ok(None);
        }
        let mut child = Command::new(PYTHON)
            .arg(SCRIPT)
            .arg(&found.browser)
            .arg(url)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("failed to start the Playwright script")?;
        let wishes = child.stdin.take().context("the script has no input")?;
        let answers = BufReader::new(child.stdout.take().context("the script has no output")?).lines();
        let mut script = Self { _child: child, wishes, answers };
        // of other serials than those that are measured
        for (number, how) in HOWS.iter().enumerate() {
            script.fill(&mut (900_000 + number * WARM_UP..), WARM_UP, *how).await?;
        }
        Ok(Some(script))
    }

    /// Gives how many a second, the cleaning after each included.
    async fn fill(
        &mut self,
        serials: &mut impl Iterator<Item = usize>,
        forms: usize,
        how: (&str, bool),
    ) -> anyhow::Result<f64> {
        let first = serials.take(forms).fold(None, |first, number| first.or(Some(number)));
        let wish = json!({ "how": how.0, "forms": forms, "first": first, "picture": how.1 });
        self.wishes.write_all(format!("{wish}\n").as_bytes()).await?;
        let answer = timeout(TURN_TIMEOUT, self.answers.next_line()).await.context("the script takes too long")?;
        let answer: Value = serde_json::from_str(&answer?.context("the script has ended")?)?;
        let seconds = answer["seconds"].as_f64().context("the script does not say how long it took")?;
        Ok(per_second(forms, Duration::from_secs_f64(seconds)))
    }
}
