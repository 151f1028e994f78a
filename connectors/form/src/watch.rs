//! Waits after a click until the page says what came of it.

use std::time::Duration;

use events::{ErrorKind, Outcome};
use tokio::time::Instant;

use crate::judge::{Judge, Verdict};
use crate::page::{Look, Page, Watch};
use crate::trouble::{Stop, is_between_pages};
use crate::{BrowserOptions, Recipe};

/// Between two looks at a page.
pub(crate) const POLL: Duration = Duration::from_millis(25);
/// The first pause after a click: most pages are there within a few, and each is twice as long as the one before, up to [`POLL`].
const POLL_FIRST: Duration = Duration::from_millis(3);
/// Pages beyond this are no forms, and reading them whole would cost us the memory.
pub(crate) const ELEMENTS_MAX: usize = 100_000;
/// A captcha may come up without a new page: looked for on every so manieth look.
const CAPTCHA_EVERY: u32 = 20;

/// A wait for one verdict.
pub(crate) struct Waiting<'a> {
    pub(crate) page: Page<'a>,
    pub(crate) recipe: &'a Recipe,
    pub(crate) judge: Judge<'a>,
    pub(crate) watch: Watch<'a>,
    /// Ends the wait, nearer once a new page is there.
    deadline: Instant,
    element_timeout: Duration,
    settled: bool,
}

impl<'a> Waiting<'a> {
    pub(crate) fn new(page: Page<'a>, judge: Judge<'a>, mark: &'a str, options: &BrowserOptions) -> Self {
        let (recipe, step) = (judge.recipe, judge.step);
        let watch = Watch::new(recipe, Some(step), mark);
        let deadline = Instant::now() + options.page_timeout;
        Self { page, recipe, judge, watch, deadline, element_timeout: options.element_timeout, settled: false }
    }

    /// The verdict, as soon as there is one; at the deadline what silence means.
    pub(crate) async fn verdict(mut self) -> Result<Verdict, Stop> {
        let (mut last, mut pause) = (Look::default(), POLL_FIRST);
        for round in 0_u32.. {
            // first, because the page that was clicked is still there at once
            tokio::time::sleep(pause).await;
            pause = (2 * pause).min(POLL);
            match self.page.look_after_a_click(&self.watch).await {
                Ok(look) => {
                    if look.missed {
                        return Ok(Verdict::Missed);
                    }
                    if let Some(verdict) = self.judge.of(&look) {
                        return Ok(self.with_confirmation(verdict).await);
                    }
                    self.refuse_captcha(&look, round).await?;
                    last = look;
                }
                Err(error) if is_between_pages(&error) => {}
                Err(error) => return Err(error.into()),
            }
            if Instant::now() >= self.deadline {
                break;
            }
        }
        Err(Stop::Failed(self.judge.of_silence(&last)))
    }

    /// Checked when a new page has settled, now and then, and for the last time at the deadline.
    async fn refuse_captcha(&mut self, look: &Look, round: u32) -> Result<(), Stop> {
        let mut due = round % CAPTCHA_EVERY == CAPTCHA_EVERY - 1 || Instant::now() >= self.deadline;
        if look.fresh && look.loaded && !self.settled {
            self.settled = true;
            self.deadline = self.deadline.min(Instant::now() + self.element_timeout);
            due = true;
        }
        if look.captcha {
            return Err(captcha("by a sign of the recipe"));
        }
        if !due || look.elements > ELEMENTS_MAX {
            return Ok(());
        }
        match self.page.captcha().await {
            Ok(Some(sign)) => Err(captcha(sign)),
            Ok(None) => Ok(()),
            Err(error) if is_between_pages(&error) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A code may be drawn a moment after the page that bears it; what was seen stays seen whatever happens.
    async fn with_confirmation(&mut self, verdict: Verdict) -> Verdict {
        let Verdict::Over(Outcome::Registered { confirmation: None, .. }) = verdict else { return verdict };
        if self.recipe.confirmation.is_none() {
            return verdict;
        }
        let deadline = Instant::now() + self.element_timeout;
        while Instant::now() < deadline {
            tokio::time::sleep(POLL).await;
            let Ok(look) = self.page.look_after_a_click(&self.watch).await else { break };
            let again = self.judge.of(&look);
            if let Some(found @ Verdict::Over(Outcome::Registered { confirmation: Some(_), .. })) = again {
                return found;
            }
        }
        verdict
    }
}

/// A captcha stands there; `sign` says how it was known.
pub(crate) fn captcha(sign: &str) -> Stop {
    Stop::failed(ErrorKind::Captcha, format!("a captcha stands before the form ({sign})"))
}
