//! A process that does nothing but draw packets, within bounds that the kernel keeps (decision 15).

use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::wire::{self, Document, Job, Said};
use crate::{Packet, PacketError, PacketRenderer};

/// Processor time that one packet may take beyond its deadline on each of so many threads. The press ends a worker at the
/// deadline; this is for one whose press is gone.
const THREADS: u64 = 4;

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
    Renderer(#[from] PacketError),
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
    let (mut jobs, mut answers) = (io::stdin().lock(), io::stdout().lock());
    // says that it is ready
    wire::write(&mut answers, &[])?;
    answers.flush()?;
    while let Some(job) = wire::read(&mut jobs)? {
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
