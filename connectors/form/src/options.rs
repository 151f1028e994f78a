//! What an operator can say about browsers.

use std::path::PathBuf;
use std::time::Duration;

use outbound::Resolver;

use crate::Found;

/// How browsers are started and bounded.
#[derive(Debug, Clone)]
pub struct BrowserOptions {
    /// The driver program.
    pub chromedriver: PathBuf,
    /// The browser itself, never a wrapper script: Debian's in /usr/bin leaks a browser per session.
    pub browser: PathBuf,
    /// How many forms are filled at once; a session takes 240 MB and more.
    pub sessions_max: usize,
    /// How long an unused session is kept.
    pub session_idle: Duration,
    /// How many people one session serves before a fresh one takes its place.
    pub session_uses_max: u32,
    /// How long one page may take to load.
    pub page_timeout: Duration,
    /// How long a loaded page may take to show a field or a sign (scripts that draw late).
    pub element_timeout: Duration,
    /// How long a whole attempt may take, the wait for a free session included.
    pub total_timeout: Duration,
    /// A folder of this process alone; what is in its subfolders `driver` and `uploads` is deleted at start.
    pub temp_dir: PathBuf,
    /// Turns the names that pages ask for into addresses.
    pub resolver: Resolver,
}

impl BrowserOptions {
    /// The defaults for the programs that [`crate::discover`] found.
    #[must_use]
    pub fn new(found: Found, temp_dir: PathBuf) -> Self {
        Self {
            chromedriver: found.chromedriver,
            browser: found.browser,
            sessions_max: 2,
            session_idle: Duration::from_secs(60),
            session_uses_max: 50,
            page_timeout: Duration::from_secs(20),
            element_timeout: Duration::from_secs(3),
            total_timeout: Duration::from_secs(120),
            temp_dir,
            resolver: Resolver::system(),
        }
    }
}
