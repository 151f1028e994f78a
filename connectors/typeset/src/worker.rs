//! A process that does nothing but draw packets, within bounds that the kernel keeps (decision 15).

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use packet::wire::{self, Document, Job, Said};
use packet::{Packet, PacketError};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::{PacketRenderer, RendererError};

/// Processor time that one packet may take beyond its deadline on each of so many threads. The press ends a worker at the
/// deadline; this is for one whose press is gone.
const THREADS: u64 = 4;

/// How long what one packet left in the compiler's memory waits for the next one, whose drawing it shortens.
const REMEMBER_FOR: Duration = Duration::from_secs(1);

/// What a worker is started with.
#[derive(Debug, Clone, Default)]
pub struct WorkerOptions {
    /// A folder of further fonts.
    pub fonts: Option<PathBuf>,
    /// Memory that it may have, in bytes.
    pub memory_max: u64,
    /// How long one packet may take.
    pub deadline: Duration,
    /// Another template than ours, in tests.
    pub template: Option<String>,
}

/// Why a worker ends before its press does.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The kernel does not take a limit.
    #[error("limit the worker's memory and time")]
    Limit(#[from] rustix::io::Errno),
    /// The press cannot be heard or spoken to.
    #[error("speak to the press")]
    Press(#[from] io::Error),
    /// A job that is none.
    #[error("read a job")]
    Job(#[from] serde_json::Error),
    /// The fonts cannot be loaded.
    #[error(transparent)]
    Renderer(#[from] RendererError),
}

/// Draws what comes in on standard input, until that ends.
///
/// # Errors
/// [`WorkerError`]; the press starts another worker then.
pub fn work(options: &WorkerOptions) -> Result<(), WorkerError> {
    // no file with somebody's data in it when it ends badly
    limit(Resource::Core, 0)?;
    limit(Resource::Data, options.memory_max)?;
    let mut renderer = PacketRenderer::new(options.fonts.as_deref())?;
    if let Some(template) = &options.template {
        renderer = renderer.with_template(template)?;
    }
    let mut answers = io::stdout().lock();
    let jobs = read_jobs()?;
    // says that it is ready
    wire::write(&mut answers, &[])?;
    answers.flush()?;
    while let Some(job) = next_job(&jobs, REMEMBER_FOR, || renderer.forget())? {
        let job: Job = serde_json::from_slice(&job)?;
        limit(Resource::Cpu, processor_time_s() + THREADS * (options.deadline.as_secs() + 1))?;
        let (said, pdf) = match draw(&renderer, &job) {
            Ok(packet) => {
                let (pages, missing_glyphs, pdf_ua) = (packet.pages, packet.missing_glyphs, packet.pdf_ua);
                (Said::Drawn { pages, missing_glyphs, pdf_ua }, packet.pdf)
            }
            Err(error) => (Said::of(&error), Vec::new()),
        };
        wire::write(&mut answers, &serde_json::to_vec(&said)?)?;
        wire::write(&mut answers, &pdf)?;
        answers.flush()?;
    }
    Ok(())
}

/// Jobs as they come in, read on a thread of its own, because standard input cannot be waited for with a bound; one at a time, as
/// the press sends them.
fn read_jobs() -> io::Result<Receiver<io::Result<Option<Vec<u8>>>>> {
    let (sender, jobs) = sync_channel(1);
    std::thread::Builder::new().name("jobs".to_owned()).spawn(move || {
        let mut stdin = io::stdin().lock();
        loop {
            let read = wire::read(&mut stdin);
            let is_over = !matches!(read, Ok(Some(_)));
            // nobody listens when the worker ends
            if sender.send(read).is_err() || is_over {
                return;
            }
        }
    })?;
    Ok(jobs)
}

/// The next one; nothing when there will be none. What was drawn is forgotten when none comes soon.
fn next_job(
    jobs: &Receiver<io::Result<Option<Vec<u8>>>>,
    soon: Duration,
    forget: impl FnOnce(),
) -> io::Result<Option<Vec<u8>>> {
    match jobs.recv_timeout(soon) {
        Ok(read) => return read,
        Err(RecvTimeoutError::Timeout) => forget(),
        Err(RecvTimeoutError::Disconnected) => return Ok(None),
    }
    jobs.recv().unwrap_or(Ok(None))
}

fn draw(renderer: &PacketRenderer, job: &Job) -> Result<Packet, PacketError> {
    match &job.document {
        Document::Packet(data) => renderer.render(data, job.at),
        Document::Proof(proof) => renderer.render_proof(proof, job.at),
    }
}

fn limit(resource: Resource, at: u64) -> rustix::io::Result<()> {
    let hard = getrlimit(resource).maximum;
    let at = hard.map_or(at, |hard| hard.min(at));
    setrlimit(resource, Rlimit { current: Some(at), maximum: hard })
}

/// Seconds of processor time that were used so far.
fn processor_time_s() -> u64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed step fails the test")]
    use super::*;

    #[test]
    fn what_was_drawn_is_forgotten_when_no_job_comes_soon_and_before_the_next_one() {
        let (sender, jobs) = sync_channel(1);
        let mut forgotten = 0;
        let next = next_job(&jobs, Duration::from_millis(1), || {
            forgotten += 1;
            // not before, so that it is the silence that was noticed
            sender.send(Ok(Some(b"next".to_vec()))).unwrap();
        });
        assert_eq!((next.unwrap(), forgotten), (Some(b"next".to_vec()), 1));
    }

    #[test]
    fn what_was_drawn_is_there_for_a_job_that_waits_already() {
        let (sender, jobs) = sync_channel(1);
        sender.send(Ok(Some(b"next".to_vec()))).unwrap();
        let next = next_job(&jobs, Duration::from_secs(60), || panic!("forgotten"));
        assert_eq!(next.unwrap(), Some(b"next".to_vec()));
    }

    #[test]
    fn a_worker_whose_press_is_gone_has_no_next_job() {
        let (sender, jobs) = sync_channel(1);
        sender.send(Ok(None)).unwrap();
        assert_eq!(next_job(&jobs, REMEMBER_FOR, || panic!("forgotten")).unwrap(), None);
        drop(sender);
        assert_eq!(next_job(&jobs, REMEMBER_FOR, || panic!("forgotten")).unwrap(), None);
    }
}
