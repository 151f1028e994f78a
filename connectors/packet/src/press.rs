//! Draws packets in processes of their own: one that takes too long or too much memory ends, and the service goes on.
//!
//! A thread cannot be ended from outside, and the compiler has no bound of its own on time or memory. Workers stay for the
//! next packet, so that none waits for the fonts to be loaded (decision 15).

use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::wire::{self, Document, Job, Said};
use crate::{Packet, PacketData, PacketError, ProofDocument, link};

/// How long a worker may take to be ready; loading fonts on a busy machine.
const READY_TIMEOUT: Duration = Duration::from_secs(20);
/// The most that is told of why it cannot.
const SAID_CHARS_MAX: usize = 500;
/// Rust aborts when memory is refused.
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
/// Packets that one worker draws before another takes its place.
const PACKETS_MAX: u32 = 1_000;
/// All that a worker has of our environment: it reads what strangers wrote, and ours may hold keys and passwords.
/// `FAILPOINTS` names the places where tests make it fail; elsewhere nobody reads it.
const ENVIRONMENT: [&str; 7] = ["PATH", "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "FAILPOINTS", "RUST_BACKTRACE"];

/// How packets are drawn.
#[derive(Debug, Clone)]
pub struct PressOptions {
    /// A program that draws what comes in on its standard input, as [`crate::wire`] has it.
    pub program: PathBuf,
    /// What it is started with.
    pub arguments: Vec<OsString>,
    /// What makes it look whether it could draw instead: it says its version and ends with 0, or why not on its standard error.
    pub check: OsString,
    /// The version that it must have.
    pub version: &'static str,
    /// What it finds in its environment beside the little that it has of ours.
    pub environment: Vec<(&'static str, &'static str)>,
    /// Packets that are drawn at once.
    pub workers_max: usize,
    /// How long one packet may take.
    pub deadline: Duration,
}

/// Why packets cannot be drawn at all.
#[derive(Debug, thiserror::Error)]
pub enum PressError {
    /// The program is not there, or may not be started.
    #[error(
        "the program that draws packets, {program:?}, cannot be started; it belongs beside regflow (a build: `cargo build`)"
    )]
    Program {
        /// Where it should be.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It does not say whether it can draw.
    #[error("the program that draws packets, {program:?}, did not say within {} s whether it can draw", .within.as_secs())]
    Silent {
        /// Where it is.
        program: PathBuf,
        /// How long it had.
        within: Duration,
    },
    /// It cannot draw: bad fonts, or it is not what it should be.
    #[error("the program that draws packets, {program:?}, cannot draw: {said}")]
    Cannot {
        /// Where it is.
        program: PathBuf,
        /// Its own words.
        said: String,
    },
    /// It is of another release.
    #[error(
        "the program that draws packets, {program:?}, is of version {found} and this one of {expected}: install both of one release"
    )]
    Version {
        /// Where it is.
        program: PathBuf,
        /// What it said.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
}

/// All workers of this process.
#[derive(Debug)]
pub struct Press {
    options: PressOptions,
    /// The very file that was there at the start, also when another version has taken its place on the disk since.
    program: File,
    places: Semaphore,
    idle: Mutex<Vec<Worker>>,
}

impl Press {
    /// A press whose program says that it can draw; its workers are started when they are needed, and end with it.
    ///
    /// # Errors
    /// [`PressError`].
    pub async fn open(options: PressOptions) -> Result<Self, PressError> {
        let path = || options.program.clone();
        let no_program = |source| PressError::Program { program: path(), source };
        let program = File::open(&options.program).map_err(no_program)?;
        let mut command = command(&program, &options);
        command.arg(&options.check).stdin(Stdio::null()).stderr(Stdio::piped());
        let said = timeout(READY_TIMEOUT, command.output()).await;
        let said =
            said.map_err(|_| PressError::Silent { program: path(), within: READY_TIMEOUT })?.map_err(no_program)?;
        let in_words = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().chars().take(SAID_CHARS_MAX).collect();
        if !said.status.success() {
            return Err(PressError::Cannot { program: path(), said: in_words(&said.stderr) });
        }
        let found: String = in_words(&said.stdout);
        if found != options.version {
            return Err(PressError::Version { program: path(), found, expected: options.version });
        }
        let places = Semaphore::new(options.workers_max.clamp(1, Semaphore::MAX_PERMITS));
        Ok(Self { options, program, places, idle: Mutex::default() })
    }

    /// Draws one packet; `at` is the day that it names and its time of creation.
    ///
    /// # Errors
    /// [`PacketError`]; a worker that took too long was ended.
    pub async fn render(&self, mut data: PacketData, at: Timestamp) -> Result<Packet, PacketError> {
        // what is refused need not be sent
        data.check()?;
        data.link.as_deref().map(link::parse).transpose()?;
        self.draw(Document::Packet(Box::new(data)), at).await
    }

    /// Draws one proof; `at` is its time of creation.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub async fn render_proof(&self, mut proof: ProofDocument, at: Timestamp) -> Result<Packet, PacketError> {
        // as for packets
        proof.check()?;
        self.draw(Document::Proof(Box::new(proof)), at).await
    }

    async fn draw(&self, document: Document, at: Timestamp) -> Result<Packet, PacketError> {
        let job = serde_json::to_vec(&Job { document, at }).map_err(PacketError::Encode)?;
        // never closed
        let Ok(_place) = self.places.acquire().await else { return Err(ended(None)) };
        let idle = self.idle().pop();
        let mut worker = match idle {
            Some(worker) => worker,
            None => self.start().await?,
        };
        match timeout(self.options.deadline, worker.draw(&job)).await {
            Ok(Ok((said, pdf))) => {
                if worker.drawn < PACKETS_MAX {
                    self.idle().push(worker);
                }
                said.with(pdf)
            }
            Ok(Err(error)) => Err(worker.epitaph(error).await),
            // dropping it ends it
            Err(_) => Err(PacketError::TookTooLong { deadline: self.options.deadline }),
        }
    }

    async fn start(&self) -> Result<Worker, PacketError> {
        let mut child = command(&self.program, &self.options).spawn().map_err(PacketError::Worker)?;
        let (Some(stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Err(ended(None)) };
        let mut worker = Worker { child, stdin, stdout, drawn: 0 };
        match timeout(READY_TIMEOUT, worker.read()).await {
            Ok(Ok(_ready)) => Ok(worker),
            Ok(Err(error)) => Err(worker.epitaph(error).await),
            Err(_) => Err(PacketError::TookTooLong { deadline: READY_TIMEOUT }),
        }
    }

    /// A panic while it was held leaves it whole: workers are only put in and taken out.
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Worker>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn command(program: &File, options: &PressOptions) -> Command {
    let passed_on = ENVIRONMENT.into_iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command
        // what lists of processes show
        .arg0(&options.program)
        .args(&options.arguments)
        .env_clear()
        .envs(passed_on)
        .envs(options.environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        // what a panic says may quote somebody's data
        .stderr(Stdio::null())
        .kill_on_drop(true);
    command
}

/// A process that draws; dropping it ends it.
#[derive(Debug)]
struct Worker {
    child: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    drawn: u32,
}

impl Worker {
    async fn draw(&mut self, job: &[u8]) -> std::io::Result<(Said, Vec<u8>)> {
        self.stdin.write_all(&wire::length(job)?).await?;
        self.stdin.write_all(job).await?;
        self.stdin.flush().await?;
        let said = serde_json::from_slice(&self.read().await?)?;
        let pdf = self.read().await?;
        self.drawn += 1;
        Ok((said, pdf))
    }

    async fn read(&mut self) -> std::io::Result<Vec<u8>> {
        let mut length = [0; 4];
        self.stdout.read_exact(&mut length).await?;
        let mut bytes = vec![0; wire::expected(length)?];
        self.stdout.read_exact(&mut bytes).await?;
        Ok(bytes)
    }

    /// What ended it, or else what broke between us.
    async fn epitaph(mut self, error: std::io::Error) -> PacketError {
        // both ends of its pipes are closed: either it is ending, or it is of no use
        match timeout(READY_TIMEOUT, self.child.wait()).await {
            Ok(Ok(status)) => ended(Some(status)),
            Ok(Err(_)) | Err(_) => PacketError::Worker(error),
        }
    }
}

fn ended(status: Option<ExitStatus>) -> PacketError {
    use std::os::unix::process::ExitStatusExt;
    let signal = status.and_then(|status| status.signal());
    let how = match signal {
        Some(SIGABRT) => "it was refused more memory",
        Some(SIGKILL) => "it was killed, perhaps for want of memory",
        Some(SIGXCPU) => "it used up its processor time",
        Some(_) => "it crashed",
        None => "it ended by itself",
    };
    PacketError::WorkerEnded { how }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    /// A press whose worker is `program`; what it is asked at the start is `check`.
    fn options(program: &str, check: &str) -> PressOptions {
        PressOptions {
            program: program.into(),
            arguments: Vec::new(),
            check: check.into(),
            version: "1",
            environment: vec![("OF_ITS_OWN", "1")],
            workers_max: 1,
            deadline: READY_TIMEOUT,
        }
    }

    #[tokio::test]
    async fn a_worker_has_nothing_of_our_environment_but_what_is_named() {
        let options = options("/usr/bin/env", "");
        let said = command(&File::open(&options.program).unwrap(), &options).output().await.unwrap().stdout;
        let said = String::from_utf8(said).unwrap();
        assert!(said.lines().any(|line| line == "OF_ITS_OWN=1"), "{said}");
        assert!(said.lines().any(|line| line.starts_with("PATH=")), "{said}");
        // cargo tells its tests so
        assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some());
        assert!(!said.contains("CARGO_MANIFEST_DIR="), "{said}");
    }

    #[tokio::test]
    async fn a_program_that_is_missing_or_of_another_release_or_cannot_draw_is_named_at_the_start() {
        for (program, check, told) in [
            ("/nonexistent/worker", "1", "\"/nonexistent/worker\", cannot be started; it belongs beside regflow"),
            // root may start anything, and is told that this is no program
            ("/etc/hostname", "1", "\"/etc/hostname\", cannot be started; "),
            ("/bin/echo", "2", "is of version 2 and this one of 1: install both of one release"),
            ("/bin/ls", "/nonexistent/fonts", "\"/bin/ls\", cannot draw: /bin/ls: cannot access '/nonexistent/fonts'"),
        ] {
            let refused = Press::open(options(program, check)).await.unwrap_err().to_string();
            assert!(refused.contains(told), "{refused}");
        }
    }

    #[tokio::test]
    async fn the_file_that_was_there_at_the_start_is_what_draws() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("worker");
        std::fs::copy("/bin/echo", &program).unwrap();
        let press = Press::open(options(program.to_str().unwrap(), "1")).await.unwrap();
        std::fs::remove_file(&program).unwrap();
        std::fs::copy("/bin/false", &program).unwrap();
        let said = command(&press.program, &press.options).arg("still").output().await.unwrap().stdout;
        assert_eq!(said, b"still\n");
    }

    #[tokio::test]
    async fn a_press_names_the_field_before_a_worker_is_asked() {
        let proof: ProofDocument = serde_json::from_str(include_str!("../../typeset/examples/proof.json")).unwrap();
        let press = Press::open(options("/bin/echo", "1")).await.unwrap();
        for sign in ['\u{202E}', '\u{200F}', '\u{FEFF}', '\u{FFFE}'] {
            assert!(!ProofDocument::prints(sign), "{sign:?}");
            let mut proof = proof.clone();
            proof.maker.push(sign);
            let refused = press.render_proof(proof, Timestamp::UNIX_EPOCH).await.unwrap_err();
            assert!(matches!(&refused, PacketError::BadText { field } if field == "maker"), "{refused}");
        }
        // it says nothing that a worker would
        let ended = press.render_proof(proof, Timestamp::UNIX_EPOCH).await.unwrap_err();
        assert!(matches!(ended, PacketError::WorkerEnded { .. }), "{ended}");
    }
}
