//! One browser session: opened with the flags that leave nothing behind, cleaned between people.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use outbound::{Pass, Proxy, Refused};
use serde_json::{Value, json};
use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::common::capabilities::desiredcapabilities::PageLoadStrategy;
use thirtyfour::error::{WebDriverError, WebDriverResult};
use thirtyfour::{
    CapabilitiesHelper, ChromeCapabilities, DesiredCapabilities, TimeoutConfiguration, WebDriver, WindowHandle,
};
use tokio::time::timeout;
use url::Url;

use crate::driver::Driver;
use crate::{BrowserError, BrowserOptions, Recipe};

const FLAGS: &[&str] = &[
    // with a pipe the browser ends when its driver does, however that ends
    "--remote-debugging-pipe",
    "--window-size=1000,1400",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    // nothing beside the proxy: no look-ups of its own, no UDP of WebRTC, and loopback goes through it as well
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
    "--dns-prefetch-disable",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--webrtc-ip-handling-policy=disable_non_proxied_udp",
    // HTTP/1.1 only, for the sake of `alone_on_its_connection`
    "--disable-http2",
    "--disable-extensions",
    // a page that follows another of its site needs no frame of its own: a fifth of a form's processor time. That all pages share a
    // process would save a little more, and the pages of two makers must not (decision 4)
    "--disable-features=RenderDocument",
    "--disable-breakpad",
    "--no-first-run",
    "--no-default-browser-check",
    "--password-store=basic",
    "--mute-audio",
];
/// How long a tab may take to open or to close, and between two looks whether they have.
const TABS_CHANGE_WITHIN: Duration = Duration::from_secs(5);
const TABS_POLL: Duration = Duration::from_millis(2);
// the rest of "all" costs 100 ms
const STORAGE: &str = "cookies,file_systems,indexeddb,local_storage,service_workers,cache_storage";
const CLOSED: &str = "the session is closed";
const REASON_LENGTH_MAX: usize = 300;

/// Where the pages of a recipe may go.
pub(crate) fn pass_of(recipe: &Recipe) -> Pass {
    Url::parse(&recipe.url).map_or(Pass::Nowhere, |url| Pass::of(&url, recipe.reach))
}

/// An open session; quits in the background when it is dropped instead of closed.
#[derive(Debug)]
pub(crate) struct Session {
    browser: Option<WebDriver>,
    driver: Arc<Driver>,
    /// All that the browser can reach.
    proxy: Arc<Proxy>,
    /// Where its pages go, for all its life: what a page of one home left running must never have the pass of another.
    home: Pass,
    /// The tab of the next person, once it is being opened.
    next_tab: Option<WindowHandle>,
    /// How many people it has served.
    pub(crate) uses: u32,
    /// When it was last given back.
    pub(crate) idle_since: Instant,
}

impl Session {
    /// Opens one.
    pub(crate) async fn open(
        driver: Arc<Driver>,
        client: reqwest::Client,
        options: &BrowserOptions,
        home: Pass,
    ) -> Result<Self, BrowserError> {
        let fail = |error: thirtyfour::error::WebDriverError| BrowserError::Session { reason: first_line(&error) };
        let proxy = Proxy::start(options.resolver.clone()).await.map_err(|source| BrowserError::Proxy { source })?;
        let proxy = Arc::new(proxy);
        let capabilities = capabilities(options, &proxy).map_err(fail)?;
        let opened = WebDriver::builder(driver.url.clone(), capabilities).client(client).await;
        // the driver may have started it all the same, and answered too late
        let browser = opened.inspect_err(|_| driver.keep(Arc::clone(&proxy))).map_err(fail)?;
        let session =
            Self { browser: Some(browser), driver, proxy, home, next_tab: None, uses: 0, idle_since: Instant::now() };
        let timeouts = TimeoutConfiguration::new(Some(options.page_timeout), Some(options.page_timeout), None);
        session.browser()?.update_timeouts(timeouts).await.map_err(fail)?;
        session.alone_on_its_connection().await.map_err(fail)?;
        Ok(session)
    }

    /// One connection per request. Measured: on a connection that it has used before, Chromium sends a POST *again* by
    /// itself when the maker closes without an answer, and the product would be registered twice after one click.
    async fn alone_on_its_connection(&self) -> WebDriverResult<()> {
        let Some(browser) = &self.browser else { return Ok(()) };
        browser.cdp().send_raw("Network.enable", json!({})).await?;
        let headers = json!({ "headers": { "Connection": "close" } });
        browser.cdp().send_raw("Network.setExtraHTTPHeaders", headers).await.map(drop)
    }

    /// The browser behind it.
    pub(crate) fn browser(&self) -> Result<&WebDriver, BrowserError> {
        self.browser.as_ref().ok_or(BrowserError::Broken { reason: CLOSED })
    }

    /// Whether it serves recipes with this pass.
    pub(crate) fn is_at(&self, home: &Pass) -> bool {
        self.home == *home
    }

    /// Lets pages go where they may, until [`Self::clean`].
    pub(crate) fn admit(&self) {
        self.proxy.admit(self.home.clone());
    }

    /// How many connections of the current person's pages were refused, and why the last one was.
    pub(crate) fn refused(&self) -> (u32, Option<Refused>) {
        self.proxy.refused()
    }

    /// Whether another person may be served by it.
    pub(crate) fn is_usable(&self, options: &BrowserOptions) -> bool {
        self.driver.is_alive()
            && self.uses < options.session_uses_max
            && self.idle_since.elapsed() < options.session_idle
    }

    /// Removes what the last person left: the tab with its history and session storage, cookies, all storage, cache.
    pub(crate) async fn clean(&mut self) -> Result<(), BrowserError> {
        self.proxy.admit(Pass::Nowhere);
        self.wipe().await.map_err(|_| BrowserError::Broken { reason: "cleaning up between people failed" })
    }

    /// Begins to open the tab of the next person, which the browser does beside what is asked of it meanwhile.
    pub(crate) async fn prepare(&mut self) {
        let Some(browser) = &self.browser else { return };
        // without one the cleaning opens it, or finds out what is wrong
        self.next_tab = timeout(TABS_CHANGE_WITHIN, new_tab(browser)).await.ok().and_then(Result::ok);
    }

    async fn wipe(&mut self) -> WebDriverResult<()> {
        let Some(browser) = &self.browser else { return Ok(()) };
        let fresh = match self.next_tab.take() {
            Some(fresh) => fresh,
            None => new_tab(browser).await?,
        };
        self.change_tab(browser, fresh).await?;
        let cdp = browser.cdp();
        cdp.send_raw("Network.clearBrowserCache", json!({})).await?;
        // of one origin it would leave what its frames in other pages stored, which is kept apart by the page around them
        let what = json!({ "origin": "*", "storageTypes": STORAGE });
        cdp.send_raw("Storage.clearDataForOrigin", what).await?;
        Ok(())
    }

    /// A fresh tab in place of all others. With a tab end its session storage (no command clears that of a page that is gone:
    /// measured with Chromium 148), its history, its `window.name`, and what pages opened beside it.
    async fn change_tab(&self, browser: &WebDriver, fresh: WindowHandle) -> WebDriverResult<()> {
        browser.switch_to_window(fresh.clone()).await?;
        let deadline = Instant::now() + TABS_CHANGE_WITHIN;
        close_others(browser, &fresh).await?;
        // meanwhile they go
        self.alone_on_its_connection().await?;
        while close_others(browser, &fresh).await? > 0 {
            if Instant::now() >= deadline {
                return Err(WebDriverError::Json("a tab does not close".to_owned()));
            }
            tokio::time::sleep(TABS_POLL).await;
        }
        Ok(())
    }

    /// Ends the browser. False when it did not answer within `limit`: then a process may be left in the driver.
    pub(crate) async fn close(mut self, limit: Duration) -> bool {
        match self.browser.take() {
            Some(browser) => quit(browser, Arc::clone(&self.proxy), &self.driver, limit).await,
            None => true,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(browser) = self.browser.take() else { return };
        let proxy = Arc::clone(&self.proxy);
        // at once, whenever its task comes to run
        proxy.admit(Pass::Nowhere);
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let driver = Arc::clone(&self.driver);
                runtime.spawn(async move {
                    quit(browser, proxy, &driver, DROPPED_QUIT_TIMEOUT).await;
                    // not before: the driver's end is what ends a browser that does not answer
                    drop(driver);
                });
            }
            // thirtyfour would block; the driver's own end takes the browser with it
            Err(_) => {
                self.driver.keep(proxy);
                drop(browser.leak());
            }
        }
    }
}

/// By the browser and not by the driver, which waits until it is there. The driver's name of a tab is the browser's.
async fn new_tab(browser: &WebDriver) -> WebDriverResult<WindowHandle> {
    let made = browser.cdp().send_raw("Target.createTarget", json!({ "url": "about:blank" })).await?;
    let id = made.get("targetId").and_then(Value::as_str);
    id.map(|id| WindowHandle::from(id.to_owned())).ok_or_else(|| WebDriverError::Json("a new tab".to_owned()))
}

/// Asks all tabs but one to close; gives how many were still there. Not by the driver, which looks only every 50 ms whether one is
/// gone.
async fn close_others(browser: &WebDriver, kept: &WindowHandle) -> WebDriverResult<usize> {
    let others: Vec<_> = browser.windows().await?.into_iter().filter(|window| window != kept).collect();
    for window in &others {
        // one that is just going is not found
        drop(browser.cdp().send_raw("Target.closeTarget", json!({ "targetId": window.to_string() })).await);
    }
    Ok(others.len())
}

const DROPPED_QUIT_TIMEOUT: Duration = Duration::from_secs(30);

/// Ends a browser that goes nowhere from now on. Its proxy's port is given up only when it is gone.
async fn quit(browser: WebDriver, proxy: Arc<Proxy>, driver: &Driver, limit: Duration) -> bool {
    proxy.admit(Pass::Nowhere);
    let ended = timeout(limit, browser.clone().quit()).await;
    let ended = matches!(ended, Ok(Ok(())));
    if !ended {
        driver.keep(proxy);
        // so that its destructor does not block on the same silence
        drop(browser.leak());
    }
    ended
}

fn capabilities(options: &BrowserOptions, proxy: &Proxy) -> WebDriverResult<ChromeCapabilities> {
    let mut capabilities = DesiredCapabilities::chrome();
    capabilities.set_binary(&options.browser.to_string_lossy())?;
    for flag in FLAGS {
        capabilities.add_arg(flag)?;
    }
    capabilities.add_arg(&format!("--proxy-server=socks5://{}", proxy.address()))?;
    if !options.browser.ends_with("chromium-headless-shell") {
        capabilities.add_arg("--headless=new")?;
    }
    if is_root() {
        // the browser refuses to start otherwise
        capabilities.add_arg("--no-sandbox")?;
    }
    // a tracker that hangs must not hold up a form that is there
    capabilities.set_page_load_strategy(PageLoadStrategy::Eager)?;
    Ok(capabilities)
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

fn first_line(error: &thirtyfour::error::WebDriverError) -> String {
    let text = error.to_string();
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    line.chars().take(REASON_LENGTH_MAX).collect()
}
