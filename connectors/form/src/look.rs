//! Reads the shape of a form in the real browser, and touches nothing of it.

use std::time::Duration;

use events::{ErrorKind, Failure};
use tokio::time::Instant;
use url::Url;

use crate::judge::{bad_page, describe};
use crate::page::{Known, Look, Page, RawForm, Watch};
use crate::session::Session;
use crate::trouble::{Stop, is_between_pages};
use crate::watch::{ELEMENTS_MAX, POLL};
use crate::{BrowserError, BrowserOptions, FormShape, Recipe};

/// What a look at a form came to.
#[derive(Debug)]
pub struct FormLook {
    /// The form's shape.
    pub shape: Result<FormShape, LookError>,
    /// How long it took, without the wait for a free browser.
    pub latency: Duration,
}

/// Why a form could not be seen.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The maker's site does not show it.
    #[error("{}", .0.detail)]
    Page(Failure),
    /// Our browser failed; that tells nothing of the maker.
    #[error(transparent)]
    Browser(BrowserError),
}

impl From<Stop> for LookError {
    fn from(stop: Stop) -> Self {
        match stop.into_failure(false) {
            (_, Some(trouble)) => Self::Browser(trouble),
            (failure, None) => Self::Page(failure),
        }
    }
}

/// Opens the address of a form.
pub(crate) async fn open(page: Page<'_>, recipe: &Recipe) -> Result<(), Stop> {
    let url = Url::parse(&recipe.url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| Stop::failed(ErrorKind::FormChanged, "the recipe's url is no web address"))?;
    Ok(page.browser.goto(url.as_str()).await?)
}

/// Refuses a page that is far too large: it is not looked at further.
pub(crate) fn refuse_huge(look: &Look) -> Result<(), Stop> {
    if look.elements > ELEMENTS_MAX {
        return Err(Stop::failed(ErrorKind::FormChanged, "the page is far larger than any form"));
    }
    Ok(())
}

/// The shape of the form that the recipe's first page shows.
pub(crate) async fn read(session: &mut Session, recipe: &Recipe, options: &BrowserOptions) -> Result<FormShape, Stop> {
    let browser = session.browser()?;
    let mut looking = Looking { page: Page::new(browser, options), recipe, wait: options.element_timeout };
    open(looking.page, recipe).await?;
    let look = looking.page.look(&Watch::new(recipe, None, "")).await?;
    refuse_huge(&look)?;
    let captcha = looking.captcha().await?;
    match bad_page(&look) {
        // challenges come with a status of 403 or 503, and some logins with 401
        Some(_) if captcha => return Ok(FormShape { captcha, ..FormShape::default() }),
        Some(ErrorKind::LoginRequired) => return Ok(FormShape { login: true, ..FormShape::default() }),
        Some(kind) => return Err(Stop::failed(kind, format!("the form's address shows {}", describe(&look)))),
        None => {}
    }
    let form = looking.settled_form().await?;
    // a page that we know may well have a password field
    let login = !form.whole && looking.page.look(&Watch::new(recipe, None, "")).await?.login;
    let captcha = captcha || looking.captcha().await?;
    Ok(FormShape::of(form, captcha, login))
}

struct Looking<'a> {
    page: Page<'a>,
    recipe: &'a Recipe,
    /// How long a script may take to draw the form.
    wait: Duration,
}

impl Looking<'_> {
    /// The form, once it is all there and the same twice in a row; what there is when the time is over.
    async fn settled_form(&self) -> Result<RawForm, Stop> {
        let known = Known::first_page(self.recipe);
        let deadline = Instant::now() + self.wait;
        let mut last: Option<RawForm> = None;
        loop {
            match self.page.shape(&known).await {
                Ok(form) if Instant::now() >= deadline => return Ok(form),
                Ok(form) if last.as_ref() == Some(&form) && self.is_all_there(&form) => return Ok(form),
                Ok(form) => last = Some(form),
                Err(error) if is_between_pages(&error) && Instant::now() < deadline => last = None,
                Err(error) => return Err(error.into()),
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn is_all_there(&self, form: &RawForm) -> bool {
        let baseline = self.recipe.baseline.as_ref();
        form.whole && baseline.is_none_or(|baseline| FormShape::of(form.clone(), false, false).has_all_of(baseline))
    }

    async fn captcha(&mut self) -> Result<bool, Stop> {
        let by_the_recipe =
            !self.recipe.captcha_signs.is_empty() && self.page.look(&Watch::new(self.recipe, None, "")).await?.captcha;
        Ok(by_the_recipe || self.page.captcha().await?.is_some())
    }
}
