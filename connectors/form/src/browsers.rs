//! The door of this crate: browsers that try forms.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use events::{ErrorKind, Failure, Outcome};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;

use crate::attempt::{Attempt, MaySend, Progress};
use crate::discover::must_exist;
use crate::driver::{DRIVER_FOLDER, empty};
use crate::look;
use crate::names::Names;
use crate::page::{Packing, Page};
use crate::pool::{Lease, Pool};
use crate::scrub::Scrubber;
use crate::session::{Session, pass_of};
use crate::trouble::Stop;
use crate::uploads::{UPLOADS_FOLDER, Uploads};
use crate::{BrowserError, BrowserOptions, FormFile, FormLook, FormReport, FormShape, LookError, Recipe};

const SCREENSHOT_TIMEOUT: Duration = Duration::from_secs(5);
const SCREENSHOT_BYTES_MAX: usize = 4 << 20;

/// A handle to the browsers of this process; clones share them.
#[derive(Debug, Clone)]
pub struct Browsers {
    pool: Arc<Pool>,
}

impl Browsers {
    /// Checks the programs and empties the temporary folders; nothing is started before the first form.
    ///
    /// # Errors
    /// A program is missing, or the folder cannot be used.
    pub fn start(options: BrowserOptions) -> Result<Self, BrowserError> {
        must_exist("chromedriver", &options.chromedriver, "chromium-driver")?;
        must_exist("a Chromium browser", &options.browser, "chromium-headless-shell")?;
        // what a run that was killed left behind
        empty(&options.temp_dir.join(DRIVER_FOLDER))?;
        empty(&options.temp_dir.join(UPLOADS_FOLDER))?;
        Ok(Self { pool: Arc::new(Pool::new(options)?) })
    }

    /// Tries the form of a rendered recipe, once, within the total timeout. Never clicks the last button twice.
    pub async fn run(&self, recipe: &Recipe, files: Vec<FormFile>, may_send: MaySend) -> FormReport {
        let started = Instant::now();
        let mut progress = Progress { step: 0, clicked_submit: false, refused: (0, None), may_send };
        // thirtyfour logs at debug level whatever is filled in; nobody listens
        let attempt = Box::pin(self.attempt(recipe, files, &mut progress)).with_subscriber(Dispatch::none());
        let (ended, screenshot) = attempt.await;
        let (outcome, trouble) = match ended {
            Ok(outcome) => (outcome, None),
            Err(stop) => {
                let (failure, trouble) = stop.because_of(progress.refused.1).into_failure(progress.clicked_submit);
                (Outcome::Failed(failure), trouble)
            }
        };
        if let Some(error) = &trouble {
            tracing::warn!(%error, step = progress.step, "a form was not tried to its end because our browser failed");
        }
        let Progress { step, clicked_submit, refused: (refused_connections, _), .. } = progress;
        FormReport {
            outcome,
            screenshot,
            clicked_submit,
            step,
            latency: started.elapsed(),
            refused_connections,
            trouble,
        }
    }

    /// Reads the shape of the form on the first page of a rendered recipe, within the same bounds as a try of it. Fills in
    /// nothing, clicks nothing, sends nothing.
    pub async fn look(&self, recipe: &Recipe) -> FormLook {
        let (ended, latency) = Box::pin(self.look_once(recipe)).with_subscriber(Dispatch::none()).await;
        FormLook { shape: ended.map_err(LookError::from), latency }
    }

    /// Sessions that are in use or being cleaned, and how many there may be.
    #[must_use]
    pub fn in_use(&self) -> (usize, usize) {
        self.pool.in_use()
    }

    /// Waits for forms under way, then ends all browsers and the driver.
    pub async fn shutdown(&self) {
        self.pool.shut_down().await;
    }

    async fn attempt(
        &self,
        recipe: &Recipe,
        files: Vec<FormFile>,
        progress: &mut Progress,
    ) -> (Result<Outcome, Stop>, Option<Vec<u8>>) {
        let options = &self.pool.options;
        let deadline = Instant::now() + options.total_timeout;
        let uploads = match Uploads::write(uploads_folder(&options.temp_dir), files).await {
            Ok(uploads) => uploads,
            Err(error) => return (Err(error.into()), None),
        };
        let mut lease = match self.lease(recipe, deadline).await {
            Ok(lease) => lease,
            Err(error) => return (Err(error.into()), None),
        };
        lease.session.admit();
        let tried = try_form(&mut lease.session, recipe, options, &uploads, progress);
        let ended = timeout_at(deadline, Box::pin(tried)).await;
        progress.refused = lease.session.refused();
        match ended {
            Ok(ended) => self.end(lease, ended).await,
            Err(_) => {
                self.pool.discard(lease);
                (Err(out_of_time(progress)), None)
            }
        }
    }

    /// Takes the picture and gives the session back.
    async fn end(&self, mut lease: Lease, ended: Result<Outcome, Stop>) -> (Result<Outcome, Stop>, Option<Vec<u8>>) {
        if !is_odd(&ended) {
            lease.session.prepare().await;
        }
        let screenshot = screenshot(&lease.session, &self.pool.options).await;
        self.give_back(lease, &ended);
        (ended, screenshot)
    }

    async fn lease(&self, recipe: &Recipe, deadline: Instant) -> Result<Lease, BrowserError> {
        timeout_at(deadline, self.pool.take(pass_of(recipe))).await.unwrap_or(Err(BrowserError::Busy))
    }

    /// Gives the session back, or away when something about it was odd.
    fn give_back<T>(&self, lease: Lease, ended: &Result<T, Stop>) {
        if is_odd(ended) {
            return self.pool.discard(lease);
        }
        let pool = Arc::clone(&self.pool);
        // in the background: nobody need wait for the cleaning
        tokio::spawn(async move { pool.put_back(lease).await });
    }

    async fn look_once(&self, recipe: &Recipe) -> (Result<FormShape, Stop>, Duration) {
        let options = &self.pool.options;
        let deadline = Instant::now() + options.total_timeout;
        let mut lease = match self.lease(recipe, deadline).await {
            Ok(lease) => lease,
            Err(error) => return (Err(error.into()), Duration::ZERO),
        };
        lease.session.admit();
        let started = Instant::now();
        let ended = timeout_at(deadline, Box::pin(look::read(&mut lease.session, recipe, options))).await;
        let latency = started.elapsed();
        let (_, refused) = lease.session.refused();
        match ended {
            Ok(ended) => {
                self.give_back(lease, &ended);
                (ended.map_err(|stop| stop.because_of(refused)), latency)
            }
            Err(_) => {
                self.pool.discard(lease);
                (Err(Stop::failed(ErrorKind::Timeout, "the form did not show in time")), latency)
            }
        }
    }
}

/// Whether a browser is of no more use to anybody.
fn is_odd<T>(ended: &Result<T, Stop>) -> bool {
    match ended {
        Ok(_) | Err(Stop::Failed(_)) => false,
        Err(Stop::Driver(_) | Stop::Browser(_)) => true,
    }
}

async fn try_form(
    session: &mut Session,
    recipe: &Recipe,
    options: &BrowserOptions,
    uploads: &Uploads,
    progress: &mut Progress,
) -> Result<Outcome, Stop> {
    let browser = session.browser()?;
    let attempt = Attempt {
        page: Page::new(browser, options),
        recipe,
        options,
        uploads,
        progress,
        names: Names::new(recipe),
        scrubber: Scrubber::new(recipe),
        looked_around: false,
    };
    attempt.run().await
}

fn out_of_time(progress: &Progress) -> Stop {
    let kind = if progress.clicked_submit { ErrorKind::UnknownOutcome } else { ErrorKind::Timeout };
    Stop::Failed(Failure::new(kind, "the attempt took longer than it may"))
}

async fn screenshot(session: &Session, options: &BrowserOptions) -> Option<Vec<u8>> {
    let page = Page::new(session.browser().ok()?, options);
    // in half of the time, in more bytes: a page full of pictures may have to be packed better
    for packing in [Packing::Quick, Packing::Small] {
        let shot = timeout(SCREENSHOT_TIMEOUT, page.picture(packing)).await.ok()?.ok()?;
        if shot.len() <= SCREENSHOT_BYTES_MAX {
            return Some(shot);
        }
    }
    None
}

fn uploads_folder(temp_dir: &Path) -> std::path::PathBuf {
    temp_dir.join(UPLOADS_FOLDER)
}
