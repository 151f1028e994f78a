//! The processes that draw packets: this program again, as `regflow packet-worker`.

use std::ffi::OsString;
use std::path::Path;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, bail};
use packet::{Press, PressOptions, WorkerOptions};

use crate::cli::PacketWorkerArgs;
use crate::config::PacketSettings;
use crate::serve::path;

/// This very file, also when another version has taken its place on the disk since.
const SELF: &str = "/proc/self/exe";
/// There are as many workers as processors: threads beside each would only get into each other's way.
const ONE_THREAD: (&str, &str) = ("RAYON_NUM_THREADS", "1");
/// Each keeps some 60 MB of memory, so that a machine with many processors does not fill up with them.
const WORKERS_MAX: usize = 4;
/// Less than the fonts and an ordinary packet take.
const MEMORY_MB_MIN: u64 = 256;

/// A press by these settings; bad ones and bad fonts are found here.
pub fn packets(settings: &PacketSettings) -> anyhow::Result<Press> {
    let fonts = path(&settings.fonts);
    // ours are not loaded for that: they would stay in the service's memory, which draws nothing itself
    fonts.as_deref().map_or(Ok(()), packet::check_fonts).context("failed to load the packet's fonts")?;
    if settings.render_ms == 0 || settings.memory_mb < MEMORY_MB_MIN {
        bail!("packet.render_ms must be at least 1, and packet.memory_mb at least {MEMORY_MB_MIN}");
    }
    let mut arguments: Vec<OsString> = vec!["packet-worker".into()];
    arguments.extend([OsString::from("--memory-mb"), settings.memory_mb.to_string().into()]);
    arguments.extend([OsString::from("--render-ms"), settings.render_ms.to_string().into()]);
    if let Some(fonts) = fonts {
        arguments.extend([OsString::from("--fonts"), fonts.into_os_string()]);
    }
    Ok(Press::new(PressOptions {
        program: Path::new(SELF).to_owned(),
        arguments,
        environment: vec![ONE_THREAD],
        workers_max: available_parallelism().map_or(1, usize::from).min(WORKERS_MAX),
        deadline: Duration::from_millis(settings.render_ms),
    }))
}

/// What such a process does.
pub fn work(args: &PacketWorkerArgs) -> anyhow::Result<()> {
    let options = WorkerOptions {
        fonts: args.fonts.clone(),
        memory_max: args.memory_mb << 20,
        deadline: Duration::from_millis(args.render_ms),
        template: template(),
    };
    Ok(packet::work(&options)?)
}

/// Ours, unless a test wants to see what a bad one does: the value of the failpoint names its file.
fn template() -> Option<String> {
    fail::fail_point!("packet_template", |file| std::fs::read_to_string(file.unwrap_or_default()).ok());
    None
}
