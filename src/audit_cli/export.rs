//! `regflow audit export`: lines to a file, whole or not at all, or to standard output.

use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures::TryStreamExt;
use futures::stream::BoxStream;
use proto::v1;

use super::Outcome;
use super::source::Source;
use crate::cli::ExportArgs;
use crate::client::ClientError;

/// What a file is called until it is whole.
const PART: &str = "part";
/// Between two words about how far it has come.
const TELL_EVERY: Duration = Duration::from_millis(250);

pub async fn run(args: ExportArgs) -> Outcome {
    let source = Source::open(&args.source).await?;
    let written = match source.chunks(super::request(&args.wish)).await {
        Ok(chunks) => match &args.out {
            Some(file) => to_file(chunks, file).await,
            None => write(chunks, std::io::stdout().lock()).await,
        },
        Err(error) => Err(error),
    };
    source.close().await;
    let written = written?;
    eprintln!("{} events, up to sequence {}", written.events, written.sequence);
    Ok(())
}

/// How far it has come.
#[derive(Default)]
struct Written {
    events: u64,
    sequence: u64,
}

async fn to_file(
    chunks: BoxStream<'static, Result<v1::ExportChunk, ClientError>>,
    path: &Path,
) -> Result<Written, ClientError> {
    let part = part_of(path);
    let failed = || format!("failed to write {}", part.display());
    let file = File::create(&part).with_context(failed)?;
    let written = write(chunks, BufWriter::new(&file)).await;
    let kept = match written {
        Ok(written) => {
            file.sync_all().with_context(failed)?;
            std::fs::rename(&part, path).with_context(|| format!("failed to name {}", path.display()))?;
            Ok(written)
        }
        // a full disk is no reader who has left
        Err(ClientError::OutputClosed(error)) => Err(anyhow::Error::new(error).context(failed()).into()),
        Err(error) => Err(error),
    };
    if kept.is_err() {
        // what is there is no export
        let _ = std::fs::remove_file(&part);
    }
    kept
}

fn part_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(PART);
    PathBuf::from(name)
}

async fn write(
    mut chunks: BoxStream<'static, Result<v1::ExportChunk, ClientError>>,
    mut out: impl Write,
) -> Result<Written, ClientError> {
    let (mut written, mut told) = (Written::default(), Progress::new());
    while let Some(chunk) = chunks.try_next().await? {
        out.write_all(&chunk.lines)?;
        written.events += u64::from(chunk.count);
        written.sequence = chunk.sequence;
        told.tell(&written, chunk.end_sequence);
    }
    out.flush()?;
    told.end();
    Ok(written)
}

/// One line that is written over again, on a terminal only.
struct Progress {
    told: Option<Instant>,
    shows: bool,
}

impl Progress {
    fn new() -> Self {
        Self { told: None, shows: std::io::stderr().is_terminal() }
    }

    fn tell(&mut self, written: &Written, end: u64) {
        if self.shows && self.told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.told = Some(Instant::now());
            let percent = written.sequence.saturating_mul(100) / end.max(1);
            eprint!("\r{percent:>3} %  {} events", written.events);
        }
    }

    fn end(&self) {
        if self.told.is_some() {
            // clears the line
            eprint!("\r\x1b[K");
        }
    }
}
