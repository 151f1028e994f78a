//! The chromedriver child: starts it, learns its port, and leaves no process behind however we end.
//!
//! Measured: a driver that is killed leaves its browsers, unless they were started with `--remote-debugging-pipe`;
//! and a driver outlives a `kill -9` of its parent, unless it has a parent-death signal.

use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use outbound::Proxy;
use tokio::sync::oneshot;

use crate::{BrowserError, BrowserOptions};

/// Where drivers and browsers put their temporary files, in the folder of the options.
pub(crate) const DRIVER_FOLDER: &str = "driver";
// a busy machine needs its time to load Chromium for the first time
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a driver is started that ends before it is ready. It takes a free port of IPv6, then the same one of IPv4, and gives
/// up when anything has that: where a hundred of the 28,232 usual ports are taken, one start in 282.
const START_TRIES_MAX: u32 = 5;
const KEEPER_POLL: Duration = Duration::from_millis(50);
const READY_LINES_MAX: usize = 50;
/// How often a folder that is still written into is emptied, and the pause between.
const EMPTY_TRIES_MAX: u32 = 40;
const EMPTY_PAUSE: Duration = Duration::from_millis(50);
/// All that driver and browsers have of our environment: they run what strangers wrote, and ours may hold keys and passwords.
const ENVIRONMENT: [&str; 10] = [
    "PATH",
    "LANG",
    "LANGUAGE",
    "LC_ALL",
    "LC_CTYPE",
    "LC_MESSAGES",
    "TZ",
    "LD_LIBRARY_PATH",
    "FONTCONFIG_FILE",
    "FONTCONFIG_PATH",
];
/// How long a browser may take to notice that its driver is gone.
const LINGER: Duration = Duration::from_secs(2);

/// Proxies whose browsers did not end when asked.
type Kept = Arc<Mutex<Vec<Arc<Proxy>>>>;

/// A running chromedriver; dropping the last handle ends it.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Where it listens.
    pub(crate) url: String,
    alive: Arc<AtomicBool>,
    kept: Kept,
    ended: oneshot::Receiver<()>,
    // the keeper thread ends the child when this is dropped
    _stop: Sender<()>,
}

impl Driver {
    /// Starts one on a free loopback port.
    pub(crate) async fn start(options: &BrowserOptions) -> Result<Self, BrowserError> {
        let mut tries = 1;
        loop {
            match Self::start_once(options).await {
                Err(BrowserError::Ended) if tries < START_TRIES_MAX => tries += 1,
                started => return started,
            }
        }
    }

    async fn start_once(options: &BrowserOptions) -> Result<Self, BrowserError> {
        // of this driver alone: the keeper of an earlier one may still be clearing up
        let temp_dir = options.temp_dir.join(DRIVER_FOLDER).join(uuid::Uuid::new_v4().simple().to_string());
        empty(&temp_dir)?;
        let alive = Arc::new(AtomicBool::new(true));
        let (stop, stopped) = channel();
        let (ready, port) = oneshot::channel();
        let (ending, ended) = oneshot::channel();
        let kept = Kept::default();
        let keeper = Keeper {
            chromedriver: options.chromedriver.clone(),
            temp_dir,
            alive: Arc::clone(&alive),
            kept: Arc::clone(&kept),
            stopped,
        };
        // A thread of its own, because the parent-death signal goes by the thread that started the child.
        thread::Builder::new()
            .name("chromedriver".into())
            .spawn(move || keeper.keep(ready, ending))
            .map_err(|source| BrowserError::Spawn { source })?;
        let port = tokio::time::timeout(READY_TIMEOUT, port).await.map_err(|_| BrowserError::NotReady)?;
        // the sender is dropped without a word when the driver's output ends
        let port = port.map_err(|_| BrowserError::Ended)??;
        Ok(Self { url: format!("http://127.0.0.1:{port}"), alive, kept, ended, _stop: stop })
    }

    /// Whether the process still runs, as far as the last look a moment ago knows, and has every browser in its hand.
    pub(crate) fn is_alive(&self) -> bool {
        self.alive.load(Ordering::Acquire) && locked(&self.kept).is_empty()
    }

    /// Keeps the proxy of a browser that may live on until the driver is gone, and that browser with it: its port must not
    /// become another proxy's. From then on the driver gets no new browsers, so that there are never more than it had.
    pub(crate) fn keep(&self, proxy: Arc<Proxy>) {
        locked(&self.kept).push(proxy);
    }

    /// Ends it and waits until it is gone.
    pub(crate) async fn stop(self) {
        let Self { ended, _stop, .. } = self;
        drop(_stop);
        // an error means that the keeper is gone already
        let _ = tokio::time::timeout(READY_TIMEOUT, ended).await;
    }
}

struct Keeper {
    chromedriver: PathBuf,
    temp_dir: PathBuf,
    alive: Arc<AtomicBool>,
    kept: Kept,
    stopped: Receiver<()>,
}

impl Keeper {
    fn keep(self, ready: oneshot::Sender<Result<u16, BrowserError>>, ending: oneshot::Sender<()>) {
        match self.spawn() {
            Ok((mut child, stdout)) => {
                self.announce(stdout, ready);
                self.wait_for_the_end(&mut child);
            }
            Err(source) => drop(ready.send(Err(BrowserError::Spawn { source }))),
        }
        self.alive.store(false, Ordering::Release);
        // what a killed browser left
        let _ = std::fs::remove_dir_all(&self.temp_dir);
        let _ = ending.send(());
        if !locked(&self.kept).is_empty() {
            thread::sleep(LINGER);
        }
    }

    fn spawn(&self) -> std::io::Result<(Child, Option<ChildStdout>)> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&self.chromedriver)
            // not OFF: that keeps the port to itself as well
            .args(["--port=0", "--log-level=SEVERE"])
            .env_clear()
            .envs(ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
            .env("TMPDIR", &self.temp_dir)
            // browsers write caches and key stores there
            .env("HOME", &self.temp_dir)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let stdout = child.stdout.take();
        Ok((child, stdout))
    }

    /// Tells the port once the driver has said it, then drains what else it says so that it never blocks.
    fn announce(&self, stdout: Option<ChildStdout>, ready: oneshot::Sender<Result<u16, BrowserError>>) {
        let Some(stdout) = stdout else { return };
        let drain = thread::Builder::new().name("chromedriver-says".into()).spawn(move || {
            let mut lines = BufReader::new(stdout);
            // without a port the sender is dropped, which the waiting side reads as its end
            if let Some(port) = port_said(&mut lines) {
                let _ = ready.send(Ok(port));
            }
            let _ = std::io::copy(&mut lines, &mut std::io::sink());
        });
        if drain.is_err() {
            tracing::warn!("no thread to read what chromedriver says");
        }
    }

    fn wait_for_the_end(&self, child: &mut Child) {
        while matches!(self.stopped.recv_timeout(KEEPER_POLL), Err(RecvTimeoutError::Timeout)) {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
        }
        // both fail only when it is gone
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A panic while it was held leaves it whole: proxies are only put in.
fn locked(kept: &Mutex<Vec<Arc<Proxy>>>) -> std::sync::MutexGuard<'_, Vec<Arc<Proxy>>> {
    kept.lock().unwrap_or_else(PoisonError::into_inner)
}

fn port_said(lines: &mut impl BufRead) -> Option<u16> {
    let said = lines.lines().take(READY_LINES_MAX).map_while(Result::ok);
    said.filter_map(|line| port_in(&line)).next()
}

// "ChromeDriver was started successfully on port 40195."
fn port_in(line: &str) -> Option<u16> {
    let (_, rest) = line.split_once("started successfully on port ")?;
    rest.trim_end().trim_end_matches('.').parse().ok()
}

/// Makes an empty folder, whatever was there. Browsers of a process that was just killed may still be writing into it.
pub(crate) fn empty(path: &Path) -> Result<(), BrowserError> {
    let fail = |source| BrowserError::TempDir { path: path.to_owned(), source };
    let mut tries = 1;
    loop {
        match std::fs::remove_dir_all(path) {
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty && tries < EMPTY_TRIES_MAX => {
                thread::sleep(EMPTY_PAUSE);
                tries += 1;
            }
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(fail(error)),
            Ok(()) | Err(_) => return std::fs::create_dir_all(path).map_err(fail),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_what_the_driver_says() {
        assert_eq!(port_in("ChromeDriver was started successfully on port 40195."), Some(40195));
        assert_eq!(port_in("Starting ChromeDriver 156.0 on port 0"), None);
        assert_eq!(port_in("ChromeDriver was started successfully on port 700000."), None);
    }
}
