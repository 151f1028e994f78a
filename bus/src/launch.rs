//! The process of the embedded server: how it is started, when it is up, how it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize;

use crate::embedded::{EmbeddedError, EmbeddedOptions};
use crate::server_conf::{Ports, Values, find_binary, render, which};
use crate::staging::Staging;

/// Longest time until the server answers; it reads its whole store first (a million subjects take 1-2 s).
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for the folder: the server of a killed process ends a moment after it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two looks at something that takes milliseconds.
const LOOK_EVERY: Duration = Duration::from_millis(3);
/// Longest greeting that is read from the port.
const GREETING_BYTES_MAX: u64 = 64 * 1024;

/// Everything that is needed to start the server, again and again on the same ports.
pub(crate) struct Launch {
    binary: PathBuf,
    setpriv: Option<PathBuf>,
    data_dir: PathBuf,
    options: EmbeddedOptions,
    pub ports: Ports,
    /// Tells our server from another one on the port.
    name: String,
    /// Locked; the child holds it as its standard input, so an orphan keeps its folder.
    lock: File,
    staging: Option<Arc<Staging>>,
}

fn io(doing: &'static str) -> impl FnOnce(std::io::Error) -> EmbeddedError {
    move |source| EmbeddedError::Io { doing, source }
}

impl Launch {
    pub fn prepare(options: &EmbeddedOptions, staging: Option<Arc<Staging>>) -> Result<Self, EmbeddedError> {
        let binary = find_binary(options.binary.as_deref())?;
        let data_dir = std::path::absolute(&options.data_dir).map_err(io("find the data folder"))?;
        std::fs::create_dir_all(&data_dir).map_err(io("make the data folder"))?;
        let lock = lock(&data_dir)?;
        let name = format!("regflow-{:08x}", rand::random::<u32>());
        let ports = Ports::choose(options.port).map_err(io("find a free port"))?;
        let (setpriv, options) = (which("setpriv"), options.clone());
        Ok(Self { binary, setpriv, data_dir, options, ports, name, lock, staging })
    }

    /// Other ports than before, because somebody else has one of those.
    pub fn choose_ports(&mut self) -> Result<(), EmbeddedError> {
        self.ports = Ports::choose(self.options.port).map_err(io("find a free port"))?;
        Ok(())
    }

    /// Starts the server and waits until it answers.
    pub fn start(&self) -> Result<Child, EmbeddedError> {
        let values =
            Values { name: &self.name, ports: self.ports, data_dir: &self.data_dir, disk_sync: self.options.disk_sync };
        let conf = self.data_dir.join("server.conf");
        std::fs::write(&conf, render(&values)?).map_err(io("write the server's configuration"))?;
        let child = self.command(&conf)?.spawn().map_err(io("start nats-server"))?;
        let child = self.wait_until_up(child)?;
        if let Some(staging) = &self.staging {
            staging.link();
        }
        Ok(child)
    }

    fn command(&self, conf: &Path) -> Result<Command, EmbeddedError> {
        let output = File::create(self.output()).map_err(io("write the server's output"))?;
        let input = self.lock.try_clone().map_err(io("pass on the folder's lock"))?;
        let mut command = match &self.setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "KILL", "--"]).arg(&self.binary);
                command
            }
            None => Command::new(&self.binary),
        };
        // a group of its own: Ctrl-C on the terminal is for us, we end it when our work is stored
        command.arg("-c").arg(conf).stdin(input).process_group(0);
        command.stdout(output.try_clone().map_err(io("write the server's output"))?).stderr(output);
        Ok(command)
    }

    fn wait_until_up(&self, mut child: Child) -> Result<Child, EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        while Instant::now() < deadline {
            if answers(self.ports.client, &self.name) {
                return Ok(child);
            }
            if child.try_wait().map_err(io("watch nats-server"))?.is_some() {
                return Err(EmbeddedError::NotUp { says: self.last_words() });
            }
            std::thread::sleep(LOOK_EVERY);
        }
        end(child, Duration::ZERO);
        Err(EmbeddedError::NotUp { says: format!("no answer within {START_TIMEOUT:?}") })
    }

    fn output(&self) -> PathBuf {
        self.data_dir.join("server.out")
    }

    /// The last lines of its output and its log.
    pub fn last_words(&self) -> String {
        let text = [self.output(), self.data_dir.join("server.log")]
            .map(|path| std::fs::read_to_string(path).unwrap_or_default());
        let lines: Vec<_> =
            text.iter().flat_map(|text| text.lines().rev().take(2)).filter(|line| !line.is_empty()).collect();
        lines.join("; ")
    }
}

/// How the child ended, if it did.
pub(crate) fn ended(child: &mut Child) -> Option<String> {
    match child.try_wait() {
        Ok(None) => None,
        Ok(Some(status)) => Some(status.to_string()),
        Err(error) => Some(error.to_string()),
    }
}

/// Ends the child: politely if it may take a while, then forcibly; waits until it is gone.
pub(crate) fn end(mut child: Child, patience: Duration) {
    let deadline = Instant::now() + patience;
    if !patience.is_zero()
        && let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw)
        && kill_process(pid, Signal::TERM).is_ok()
    {
        while Instant::now() < deadline {
            if ended(&mut child).is_some() {
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
    if let Err(error) = child.kill().and_then(|()| child.wait()) {
        tracing::error!(%error, "nats-server could not be ended");
    }
}

fn lock(data_dir: &Path) -> Result<File, EmbeddedError> {
    let file = OpenOptions::new().create(true).truncate(false).write(true).read(true).open(data_dir.join("lock"));
    let file = file.map_err(io("open the data folder's lock"))?;
    let deadline = Instant::now() + LOCK_TIMEOUT;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(LOOK_EVERY),
            Err(TryLockError::WouldBlock) => return Err(EmbeddedError::InUse(data_dir.to_owned())),
            Err(TryLockError::Error(source)) => {
                return Err(EmbeddedError::Io { doing: "lock the data folder", source });
            }
        }
    }
}

/// Whether our server, with its store read, stands on the port: it greets with its name.
fn answers(port: u16, name: &str) -> bool {
    #[derive(Deserialize)]
    struct Greeting {
        server_name: String,
        #[serde(default)]
        jetstream: bool,
    }
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_secs(1)) else {
        return false;
    };
    let mut line = String::new();
    let greeted = stream
        .set_read_timeout(Some(Duration::from_secs(1)))
        .and_then(|()| BufReader::new(stream.take(GREETING_BYTES_MAX)).read_line(&mut line));
    let greeting = greeted.ok().and_then(|_| serde_json::from_str::<Greeting>(line.strip_prefix("INFO ")?).ok());
    greeting.is_some_and(|greeting| greeting.jetstream && greeting.server_name == name)
}
