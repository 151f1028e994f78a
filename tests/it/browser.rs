//! A person at a real browser: Chromium through chromedriver, with screenshots of what they see.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use thirtyfour::common::capabilities::chromium::ChromiumLikeCapabilities;
use thirtyfour::{By, DesiredCapabilities, WebDriver, WebElement};

use crate::support::PATIENCE;

const FLAGS: [&str; 7] = [
    // with a pipe the browser ends when its driver does, however that ends
    "--remote-debugging-pipe",
    "--no-sandbox",
    "--hide-scrollbars",
    "--disable-gpu",
    "--disable-background-networking",
    "--no-first-run",
    "--disable-quic",
];
/// How often a driver is started. It takes a free port of IPv6, then the same one of IPv4, and ends when anything has that.
const START_TRIES_MAX: u32 = 5;
/// Between two looks.
const POLL: Duration = Duration::from_millis(50);
/// What people see on a desk, and on a phone.
pub const DESK: (u32, u32) = (1280, 900);
pub const PHONE: (u32, u32) = (390, 844);

/// A browser and its driver; both end with the test.
pub struct Person {
    pub page: WebDriver,
    base: String,
    driver: Child,
    // profile and temporary files, which chromedriver leaves behind when it is killed
    _folder: tempfile::TempDir,
}

impl Drop for Person {
    fn drop(&mut self) {
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

impl Person {
    /// At a page of the service behind `base`.
    pub async fn at(base: &str, path: &str, (width, height): (u32, u32)) -> Self {
        let found = form::discover().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let started = (0..START_TRIES_MAX).find_map(|_| start(&found.chromedriver, folder.path()));
        let (driver, port) = started.expect("chromedriver starts");
        let mut capabilities = DesiredCapabilities::chrome();
        capabilities.set_binary(found.browser.to_str().unwrap()).unwrap();
        for flag in FLAGS {
            capabilities.add_arg(flag).unwrap();
        }
        capabilities.add_arg(&format!("--window-size={width},{height}")).unwrap();
        let url = format!("http://127.0.0.1:{port}");
        let page = WebDriver::new(url, capabilities).await.unwrap();
        let person = Self { page, base: base.to_owned(), driver, _folder: folder };
        person.goes_to(path).await;
        person
    }

    pub async fn goes_to(&self, path: &str) {
        let address = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.base) };
        self.page.goto(address).await.unwrap();
    }

    /// The element, once it is there and can be seen.
    pub async fn sees(&self, css: &str) -> WebElement {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Ok(element) = self.page.find(By::Css(css)).await
                && element.is_displayed().await.unwrap_or(false)
            {
                return element;
            }
            assert!(Instant::now() < deadline, "never seen: {css}\n{}", self.reads("body").await);
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until an element says it.
    pub async fn sees_text(&self, css: &str, text: &str) {
        self.waits(css, text, true).await;
    }

    /// Waits until an element does not say it.
    pub async fn sees_no_text(&self, css: &str, text: &str) {
        self.waits(css, text, false).await;
    }

    async fn waits(&self, css: &str, text: &str, says: bool) {
        let deadline = Instant::now() + PATIENCE;
        while self.reads(css).await.contains(text) != says {
            assert!(Instant::now() < deadline, "{css} and `{text}`: never {says}\n{}", self.reads("body").await);
            tokio::time::sleep(POLL).await;
        }
    }

    /// What an element says now.
    pub async fn reads(&self, css: &str) -> String {
        match self.page.find(By::Css(css)).await {
            Ok(element) => element.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        }
    }

    pub async fn types(&self, css: &str, text: &str) {
        let field = self.sees(css).await;
        field.clear().await.unwrap();
        field.send_keys(text).await.unwrap();
    }

    /// Sets a date or a choice, which would be typed in another way in each country.
    pub async fn sets(&self, css: &str, value: &str) {
        self.sees(css).await;
        let script = "const field = document.querySelector(arguments[0]); field.value = arguments[1]; \
            for (const kind of ['input', 'change', 'blur']) field.dispatchEvent(new Event(kind, { bubbles: true }));";
        self.page.execute(script, vec![css.into(), value.into()]).await.unwrap();
    }

    pub async fn presses(&self, css: &str) {
        let button = self.sees(css).await;
        button.scroll_into_view().await.unwrap();
        button.click().await.unwrap();
    }

    /// Milliseconds from the start of the page's load to its first paint.
    pub async fn first_paint_ms(&self) -> f64 {
        // under load the page can be there before its paint is
        let script = "const done = arguments[0];
            new PerformanceObserver((seen) => done(seen.getEntries()[0].startTime)).observe({ type: 'paint', buffered: true });";
        self.page.execute_async(script, vec![]).await.unwrap().json().as_f64().unwrap()
    }

    /// Keeps the whole page as a picture: below REGFLOW_SCREENSHOTS, else below target/tmp.
    pub async fn keeps_picture(&self, name: &str) {
        let kept = std::env::var_os("REGFLOW_SCREENSHOTS").map(PathBuf::from);
        let folder = kept.unwrap_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("pages"));
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        std::fs::create_dir_all(&folder).unwrap();
        let height = "return Math.min(document.documentElement.scrollHeight, 4000);";
        let height = self.page.execute(height, vec![]).await.unwrap().json().as_u64().unwrap();
        let width = self.page.get_window_rect().await.unwrap().width;
        let before = self.page.get_window_rect().await.unwrap();
        self.page.set_window_rect(0, 0, u32::try_from(width).unwrap(), u32::try_from(height).unwrap()).await.unwrap();
        // charts are drawn anew for the new size: in the first frame they hear of it, in the second they stand
        let drawn = "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));";
        self.page.execute_async(drawn, vec![]).await.unwrap();
        self.page.screenshot(&folder.join(format!("{name}.png"))).await.unwrap();
        let (width, height) = (u32::try_from(before.width).unwrap(), u32::try_from(before.height).unwrap());
        self.page.set_window_rect(0, 0, width, height).await.unwrap();
    }

    /// Closes the browser.
    pub async fn leaves(self) {
        self.page.clone().quit().await.unwrap();
    }
}

/// A driver and its port; none when it ended before it had one.
fn start(chromedriver: &Path, folder: &Path) -> Option<(Child, String)> {
    let mut driver = Command::new("setpriv")
        .args(["--pdeathsig", "KILL"])
        .arg(chromedriver)
        .args(["--port=0", "--log-level=SEVERE"])
        .env("TMPDIR", folder)
        .env("HOME", folder)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(driver.stdout.take().unwrap()).lines();
    let Some(port) = said.find_map(port_in) else {
        driver.wait().unwrap();
        return None;
    };
    std::thread::spawn(move || said.for_each(drop));
    Some((driver, port))
}

// "ChromeDriver was started successfully on port 40195."
fn port_in(line: std::io::Result<String>) -> Option<String> {
    let line = line.unwrap();
    line.split_once("successfully on port ").map(|(_, port)| port.trim_end_matches('.').to_owned())
}
