//! Finds chromedriver and a browser, or says what to install.

use std::path::{Path, PathBuf};

use crate::BrowserError;

const CHROMEDRIVERS: &[&str] = &["/usr/bin/chromedriver", "/usr/local/bin/chromedriver"];
// The headless shell first: half the memory. By its real path: the script in /usr/bin leaks a browser per session.
const BROWSERS: &[&str] =
    &["/usr/lib/chromium/chromium-headless-shell", "/usr/lib/chromium/chromium", "/usr/bin/chromium"];

/// The programs that a form needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The driver.
    pub chromedriver: PathBuf,
    /// The browser.
    pub browser: PathBuf,
}

/// Looks where Debian's packages put them.
///
/// # Errors
/// [`BrowserError::Missing`] with the package to install.
pub fn discover() -> Result<Found, BrowserError> {
    Ok(Found {
        chromedriver: first("chromedriver", CHROMEDRIVERS, "chromium-driver")?,
        browser: first("a Chromium browser", BROWSERS, "chromium-headless-shell")?,
    })
}

/// Fails unless `path` is a file, with the remedy.
pub(crate) fn must_exist(what: &'static str, path: &Path, package: &'static str) -> Result<(), BrowserError> {
    if path.is_file() {
        return Ok(());
    }
    Err(BrowserError::Missing { what, looked_at: vec![path.to_owned()], package })
}

fn first(what: &'static str, paths: &[&str], package: &'static str) -> Result<PathBuf, BrowserError> {
    let looked_at: Vec<PathBuf> = paths.iter().map(PathBuf::from).collect();
    match looked_at.iter().find(|path| path.is_file()) {
        Some(path) => Ok(path.clone()),
        None => Err(BrowserError::Missing { what, looked_at, package }),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may")]
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        let error = must_exist("chromedriver", Path::new("/nowhere/chromedriver"), "chromium-driver").unwrap_err();
        assert_eq!(
            error.to_string(),
            "find chromedriver (looked at /nowhere/chromedriver); install it with `apt-get install chromium-driver` \
             or name it in the config"
        );
    }
}
