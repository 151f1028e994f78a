//! The thread that owns the embedded server's process: starts it, watches it, starts it again, ends it.

use std::process::Child;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::embedded::{EmbeddedError, EmbeddedOptions, Vitals};
use crate::launch::{Launch, end, ended};
use crate::server_conf::Ports;
use crate::staging::Staging;

/// How often ports are chosen again when somebody was quicker.
const START_TRIES_MAX: usize = 3;
/// Longest wait for the server to end by itself when we stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// The same when it is started again because it stores nothing any more.
const RESTART_PATIENCE: Duration = Duration::from_secs(1);
/// How soon a dead child is noticed.
const WATCH_EVERY: Duration = Duration::from_millis(20);
/// Pauses between restarts: the first, and the longest.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));
/// A server that lived this long starts again without a longer pause.
const STEADY_AFTER: Duration = Duration::from_secs(30);

/// The owner wants the server stopped; answered when it is done.
pub(crate) type Stop = oneshot::Sender<()>;

/// The body of the keeper's thread; ends when told to, when the owner is gone, or when the first start fails.
pub(crate) fn keep(
    options: &EmbeddedOptions,
    vitals: &Vitals,
    staging: Option<Arc<Staging>>,
    orders: &Receiver<Stop>,
    started: oneshot::Sender<Result<Ports, EmbeddedError>>,
) {
    let (launch, child) = match first_start(options, staging) {
        Ok(running) => running,
        Err(error) => {
            // nobody waits any more when the start was given up
            let _ = started.send(Err(error));
            return;
        }
    };
    vitals.pid.store(child.id(), Ordering::Relaxed);
    let ports = launch.ports;
    if started.send(Ok(ports)).is_ok() {
        Keeper { launch, vitals, orders }.watch(child);
    } else {
        end(child, Duration::ZERO);
    }
}

fn first_start(options: &EmbeddedOptions, staging: Option<Arc<Staging>>) -> Result<(Launch, Child), EmbeddedError> {
    let mut launch = Launch::prepare(options, staging)?;
    let mut tries = 1;
    loop {
        match launch.start() {
            Ok(child) => return Ok((launch, child)),
            Err(EmbeddedError::NotUp { .. }) if tries < START_TRIES_MAX && options.port.is_none() => {
                tries += 1;
                launch.choose_ports()?;
            }
            Err(error) => return Err(error),
        }
    }
}

/// How a time of running ended.
enum Ending {
    Stopped(Stop),
    Abandoned,
    Ill,
    Died,
}

struct Keeper<'a> {
    launch: Launch,
    vitals: &'a Vitals,
    orders: &'a Receiver<Stop>,
}

impl Keeper<'_> {
    /// Keeps the server running until told to stop or abandoned.
    fn watch(&self, mut child: Child) {
        let mut pause = BACKOFF.0;
        loop {
            let since = Instant::now();
            let first_pause = match self.until_ending(&mut child) {
                Ending::Stopped(done) => {
                    end(child, STOP_PATIENCE);
                    return answer(done);
                }
                Ending::Abandoned => return end(child, Duration::ZERO),
                Ending::Ill => {
                    end(child, RESTART_PATIENCE);
                    Duration::ZERO
                }
                Ending::Died => {
                    pause = if since.elapsed() > STEADY_AFTER { BACKOFF.0 } else { longer(pause) };
                    pause
                }
            };
            self.vitals.pid.store(0, Ordering::Relaxed);
            let Some(revived) = self.revive(first_pause) else {
                return;
            };
            child = revived;
        }
    }

    fn until_ending(&self, child: &mut Child) -> Ending {
        loop {
            match self.orders.recv_timeout(WATCH_EVERY) {
                Ok(done) => return Ending::Stopped(done),
                Err(RecvTimeoutError::Disconnected) => return Ending::Abandoned,
                Err(RecvTimeoutError::Timeout) => {
                    if self.vitals.is_ill.swap(false, Ordering::Relaxed) {
                        return Ending::Ill;
                    }
                    if let Some(status) = ended(child) {
                        let says = self.launch.last_words();
                        tracing::error!(status, says, "nats-server ended; starting it again");
                        return Ending::Died;
                    }
                }
            }
        }
    }

    /// Starts the server again and again with longer and longer pauses; nothing when it is no longer wanted.
    fn revive(&self, first_pause: Duration) -> Option<Child> {
        let mut pause = first_pause;
        loop {
            match self.orders.recv_timeout(pause) {
                Ok(done) => {
                    answer(done);
                    return None;
                }
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) => {}
            }
            // on the same ports: the clients are looking for it there
            match self.launch.start() {
                Ok(child) => {
                    // what was said of the one before
                    self.vitals.is_ill.store(false, Ordering::Relaxed);
                    self.vitals.restarts.fetch_add(1, Ordering::Relaxed);
                    self.vitals.pid.store(child.id(), Ordering::Relaxed);
                    return Some(child);
                }
                Err(error) => tracing::error!(%error, "nats-server cannot be started again; trying on"),
            }
            pause = longer(pause);
        }
    }
}

fn longer(pause: Duration) -> Duration {
    (pause * 2).clamp(BACKOFF.0, BACKOFF.1)
}

fn answer(done: Stop) {
    // whoever asked may have given up
    let _ = done.send(());
}
