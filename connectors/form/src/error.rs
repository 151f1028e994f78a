//! What can go wrong with chromedriver and the browser themselves.

use std::path::PathBuf;

/// Our browser failed, whatever the maker does. Holds no personal data.
#[derive(Debug, thiserror::Error)]
pub enum BrowserError {
    /// A program is not where it should be.
    #[error("find {what} (looked at {}); install it with `apt-get install {package}` or name it in the config", display(.looked_at))]
    Missing {
        /// What it is.
        what: &'static str,
        /// Where it was looked for.
        looked_at: Vec<PathBuf>,
        /// Debian's package.
        package: &'static str,
    },
    /// The folder for temporary files cannot be used.
    #[error("prepare the browser's temporary folder {}", .path.display())]
    TempDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The driver process could not be started.
    #[error("start chromedriver under setpriv (of util-linux)")]
    Spawn {
        /// Why.
        source: std::io::Error,
    },
    /// The driver said nothing of its port in time.
    #[error("wait for chromedriver to be ready")]
    NotReady,
    /// The driver ended before it was ready.
    #[error("start chromedriver: it ended before it was ready, as it does when its port is taken")]
    Ended,
    /// The HTTP client for the driver could not be made.
    #[error("make the client that speaks to chromedriver")]
    Client {
        /// Why.
        source: reqwest::Error,
    },
    /// The proxy that a browser goes through could not be started.
    #[error("start the proxy that pages go through")]
    Proxy {
        /// Why.
        source: std::io::Error,
    },
    /// No browser session could be opened.
    #[error("open a browser session: {reason}")]
    Session {
        /// The driver's words.
        reason: String,
    },
    /// A session broke in the middle of an attempt.
    #[error("speak to the browser: {reason}")]
    Broken {
        /// What kind of break.
        reason: &'static str,
    },
    /// All sessions were busy for as long as an attempt may take.
    #[error("wait for a free browser session")]
    Busy,
    /// Browsers were shut down.
    #[error("use browsers after their shutdown")]
    ShutDown,
}

fn display(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
