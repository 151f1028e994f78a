//! One try of one form: open it, fill step after step, read the page at the end.

use events::{ErrorKind, FieldProblem, Outcome};
use outbound::Refused;
use serde_json::json;
use thirtyfour::WebElement;
use tokio::time::Instant;
use uuid::Uuid;

use crate::judge::{Judge, Verdict, bad_page, describe};
use crate::look::{open, refuse_huge};
use crate::names::Names;
use crate::page::{Button, Clicker, Entered, FillStatus, Filled, Page, ToFill, Watch};
use crate::scrub::Scrubber;
use crate::trouble::{Stop, is_between_pages, never_clicked};
use crate::uploads::Uploads;
use crate::watch::{POLL, Waiting, captcha};
use crate::{BrowserOptions, Field, FieldKind, Recipe, Step};

/// The driver types nothing beyond: it refuses the whole text (an emoji in a name).
const KEY_MAX: char = '\u{FFFF}';
/// How often a button may be found covered before the form counts as changed; a covered button was not clicked.
const COVERED_MAX: u32 = 2;

/// Asked right before the click that sends a form: whoever began the attempt may no longer be the one to make it.
pub type MaySend = std::sync::Arc<dyn Fn() -> bool + Send + Sync>;

/// How far an attempt has come; survives its being cut off.
pub(crate) struct Progress {
    /// The step that was reached.
    pub(crate) step: usize,
    /// Whether the last step's button was clicked, or may have been.
    pub(crate) clicked_submit: bool,
    /// How many connections of its pages were refused, and why the last one was.
    pub(crate) refused: (u32, Option<Refused>),
    /// Whether it may be clicked.
    pub(crate) may_send: MaySend,
}

/// What an attempt works with.
pub(crate) struct Attempt<'a> {
    pub(crate) page: Page<'a>,
    pub(crate) recipe: &'a Recipe,
    pub(crate) options: &'a BrowserOptions,
    pub(crate) uploads: &'a Uploads,
    pub(crate) progress: &'a mut Progress,
    pub(crate) names: Names,
    pub(crate) scrubber: Scrubber,
    /// Whether the whole document was looked at, with what its own scripts do not see.
    pub(crate) looked_around: bool,
}

impl<'a> Attempt<'a> {
    /// Opens the form and goes through all steps.
    pub(crate) async fn run(mut self) -> Result<Outcome, Stop> {
        let recipe = self.recipe;
        open(self.page, recipe).await?;
        for (index, step) in recipe.steps.iter().enumerate() {
            self.progress.step = index;
            self.fill(step).await?;
            if let Some(outcome) = self.send(step).await? {
                return Ok(outcome);
            }
        }
        // the judge knows no "next" after the last step
        Err(Stop::failed(ErrorKind::UnknownOutcome, "the form ended without a verdict"))
    }

    /// Fills the first page in one go with the look at it; gives nothing when it must be asked again.
    async fn enter(&mut self, fields: &[ToFill<'_>]) -> Result<Vec<Filled>, Stop> {
        let Entered { look, filled } = self.page.enter(self.recipe, fields).await?;
        if let Some(filled) = filled {
            return Ok(filled);
        }
        refuse_huge(&look)?;
        // first: such pages often come with a status of 403 or 503
        self.refuse_captcha().await?;
        match bad_page(&look) {
            Some(kind) => Err(Stop::failed(kind, format!("the form's address shows {}", describe(&look)))),
            None => Ok(Vec::new()),
        }
    }

    async fn fill(&mut self, step: &Step) -> Result<(), Stop> {
        if self.progress.step > 0 {
            // on the first page `enter` looks
            self.refuse_captcha().await?;
        }
        let wanted = |field: &&Field| !field.value.is_empty() || field.kind == FieldKind::Checkbox;
        let fields: Vec<&Field> = step.fields.iter().filter(wanted).collect();
        self.fill_by_script(step, &fields).await?;
        for field in &fields {
            match field.kind {
                FieldKind::Typed => self.type_in(step, field).await?,
                FieldKind::File => self.upload(step, field).await?,
                FieldKind::Text | FieldKind::Select | FieldKind::Date | FieldKind::Checkbox | FieldKind::Radio => {}
            }
        }
        Ok(())
    }

    /// In one go when all fields are ready; else goes on from the first that is not, for a while.
    async fn fill_by_script(&mut self, step: &Step, fields: &[&Field]) -> Result<(), Stop> {
        let (fields, to_fill): (Vec<&Field>, Vec<ToFill<'_>>) =
            fields.iter().filter_map(|field| Some((*field, ToFill::new(field)?))).unzip();
        let deadline = Instant::now() + self.options.element_timeout;
        let mut results = match self.progress.step {
            0 => self.enter(&to_fill).await?,
            _ if fields.is_empty() => return Ok(self.page.dismiss(&self.recipe.dismiss).await?),
            _ => self.page.fill(&self.recipe.dismiss, &to_fill).await?,
        };
        let mut done = 0;
        loop {
            let from = done;
            for (result, field) in results.iter().zip(&fields[from..]) {
                self.names.learn(&result.name, &result.id, field.field.as_deref());
                if result.status == FillStatus::Ok || field.optional {
                    done += 1;
                } else if !may_yet_come(result.status) || Instant::now() >= deadline {
                    return Err(self.unfillable(step, field, result.status).await);
                }
            }
            if done == fields.len() {
                return Ok(());
            }
            if !self.looked_around {
                // before anything is waited for
                self.refuse_captcha().await?;
            }
            tokio::time::sleep(POLL).await;
            results = self.page.fill(&self.recipe.dismiss, &to_fill[done..]).await?;
        }
    }

    async fn type_in(&mut self, step: &Step, field: &Field) -> Result<(), Stop> {
        let Some(element) = self.find(step, field).await? else { return Ok(()) };
        element.clear().await?;
        let text = typeable(&field.value);
        if text.is_empty() {
            return Ok(());
        }
        if text.chars().all(|c| c <= KEY_MAX) {
            element.send_keys(text).await?;
        } else {
            // all at once, as an input method would
            element.focus().await?;
            self.page.browser.cdp().send_raw("Input.insertText", json!({ "text": text })).await?;
        }
        Ok(())
    }

    async fn upload(&mut self, step: &Step, field: &Field) -> Result<(), Stop> {
        let Some(path) = self.uploads.path(&field.value) else {
            let problem = FieldProblem::new(field.label(), "the maker wants this file");
            let missing = || Stop::Failed(self.judge().validation("a file is missing:", vec![problem]));
            return if field.optional { Ok(()) } else { Err(missing()) };
        };
        let path = path.to_string_lossy().into_owned();
        let Some(element) = self.find(step, field).await? else { return Ok(()) };
        element.send_keys(path).await?;
        Ok(())
    }

    /// The element of a field, waited for; nothing when it may be absent and is.
    async fn find(&mut self, step: &Step, field: &Field) -> Result<Option<WebElement>, Stop> {
        let deadline = Instant::now() + self.options.element_timeout;
        loop {
            if let Some(element) = self.page.locate(&field.selectors).await? {
                let (name, id) = (element.attr("name").await?, element.attr("id").await?);
                self.names.learn(&name.unwrap_or_default(), &id.unwrap_or_default(), field.field.as_deref());
                return Ok(Some(element));
            }
            if field.optional {
                return Ok(None);
            }
            if Instant::now() >= deadline {
                return Err(self.unfillable(step, field, FillStatus::Missing).await);
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// Why a field cannot be filled: something stands in the way, or the form is not the one we know.
    async fn unfillable(&mut self, step: &Step, field: &Field, status: FillStatus) -> Stop {
        let label = field.label();
        if status == FillStatus::TooLong {
            let problem = FieldProblem::new(label, "longer than the maker's field takes");
            return Stop::Failed(self.judge().validation("the maker's page does not accept", vec![problem]));
        }
        if let Err(stop) = self.refuse_login(step).await {
            return stop;
        }
        if let Err(stop) = self.refuse_captcha().await {
            return stop;
        }
        let what = match status {
            FillStatus::Missing => "is not on the page",
            FillStatus::Disabled => "cannot be edited",
            FillStatus::NoOption => "does not offer the value",
            FillStatus::WrongKind => "is of another kind",
            FillStatus::Refused | FillStatus::TooLong | FillStatus::Ok => "does not keep the value",
        };
        Stop::failed(ErrorKind::FormChanged, format!("step `{}`: the field `{label}` {what}", step.name))
    }

    /// Sends a step; gives the outcome when that ends the attempt. A click that missed the button is tried again by the driver.
    async fn send(&mut self, step: &Step) -> Result<Option<Outcome>, Stop> {
        let mark = Uuid::new_v4().simple().to_string();
        for by in [Clicker::Mouse, Clicker::Driver] {
            self.click(step, &mark, by).await?;
            match self.wait(&mark).await? {
                Verdict::Over(outcome) => return Ok(Some(outcome)),
                Verdict::Next => return Ok(None),
                Verdict::Missed => self.progress.clicked_submit = false,
            }
        }
        let detail = format!("step `{}`: the button moves away from the click", step.name);
        Err(Stop::failed(ErrorKind::FormChanged, detail))
    }

    /// Clicks the button of a step, once; a second time only when the driver says that the first never arrived.
    async fn click(&mut self, step: &Step, mark: &str, by: Clicker) -> Result<(), Stop> {
        for _ in 0..COVERED_MAX {
            self.refuse_captcha().await?;
            // last, so that nothing moves between the look at the button and its click
            let button = self.armed_button(step, mark, by).await?;
            if !(self.progress.may_send)() {
                return Err(Stop::failed(ErrorKind::Internal, "another process took over before the form was sent"));
            }
            // set first: from here on we may be cut off at any point
            self.progress.clicked_submit = self.is_last();
            match button.click().await {
                Err(error) if never_clicked(&error) => self.progress.clicked_submit = false,
                Err(error) if !is_between_pages(&error) => return Err(error.into()),
                Ok(()) | Err(_) => return Ok(()),
            }
        }
        let detail = format!("step `{}`: something covers the button", step.name);
        Err(Stop::failed(ErrorKind::FormChanged, detail))
    }

    /// The button, ready to be clicked on a page that the browser would send.
    async fn armed_button(&mut self, step: &Step, mark: &str, by: Clicker) -> Result<Button<'a>, Stop> {
        let deadline = Instant::now() + self.options.element_timeout;
        loop {
            let armed = self.page.arm(mark, self.recipe, &step.submit).await?;
            if !armed.refused.is_empty() {
                return Err(Stop::Failed(self.judge().refused_by_the_browser(&armed.refused)));
            }
            if armed.success && self.is_last() {
                let detail = "the sign of success is on the page before anything was sent";
                return Err(Stop::failed(ErrorKind::FormChanged, detail));
            }
            if let Some(button) = self.page.button(&armed, &step.submit, by).await? {
                return Ok(button);
            }
            if Instant::now() >= deadline {
                self.refuse_login(step).await?;
                let detail = format!("step `{}`: the button is missing or stays disabled", step.name);
                return Err(Stop::failed(ErrorKind::FormChanged, detail));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn wait(&mut self, mark: &str) -> Result<Verdict, Stop> {
        let judge =
            Judge { recipe: self.recipe, names: &self.names, scrubber: &self.scrubber, step: self.progress.step };
        Waiting::new(self.page, judge, mark, self.options).verdict().await
    }

    async fn refuse_captcha(&mut self) -> Result<(), Stop> {
        if !self.recipe.captcha_signs.is_empty() && self.page.look(&Watch::new(self.recipe, None, "")).await?.captcha {
            return Err(captcha("by a sign of the recipe"));
        }
        let seen = self.page.captcha().await?;
        self.looked_around = true;
        seen.map_or(Ok(()), |sign| Err(captcha(sign)))
    }

    /// Asked when something is missing: a page that we know may well have a password field.
    async fn refuse_login(&self, step: &Step) -> Result<(), Stop> {
        if self.page.look(&Watch::new(self.recipe, None, "")).await?.login {
            let detail = format!("a login page stands where step `{}` should be", step.name);
            return Err(Stop::failed(ErrorKind::LoginRequired, detail));
        }
        Ok(())
    }

    fn is_last(&self) -> bool {
        self.progress.step + 1 == self.recipe.steps.len()
    }

    fn judge(&self) -> Judge<'_> {
        Judge { recipe: self.recipe, names: &self.names, scrubber: &self.scrubber, step: self.progress.step }
    }
}

// Scripts draw fields late, enable them late, and fetch a list after another has been chosen from.
fn may_yet_come(status: FillStatus) -> bool {
    match status {
        FillStatus::Missing | FillStatus::Disabled | FillStatus::NoOption => true,
        FillStatus::Ok | FillStatus::WrongKind | FillStatus::TooLong | FillStatus::Refused => false,
    }
}

// To the driver the private characters from U+E000 on are keys, and a line break is Enter, which sends the form.
fn typeable(value: &str) -> String {
    value
        .chars()
        .filter(|c| !('\u{e000}'..='\u{f8ff}').contains(c))
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_is_typed_can_press_a_key() {
        assert_eq!(typeable("Ada\u{e007} Byron\nx"), "Ada Byron x");
    }
}
