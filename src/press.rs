//! The processes that draw packets: a program of its own beside this one.

use std::ffi::OsString;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, bail};
use packet::{Press, PressOptions};

use crate::config::PacketSettings;
use crate::serve::path;

/// Its file, in the folder of this program's.
const PROGRAM: &str = "regflow-packet-worker";
/// There are as many workers as processors: threads beside each would only get into each other's way.
const ONE_THREAD: (&str, &str) = ("RAYON_NUM_THREADS", "1");
/// Each keeps some 60 MB of memory, so that a machine with many processors does not fill up with them.
const WORKERS_MAX: usize = 4;
/// Less than the fonts and an ordinary packet take.
const MEMORY_MB_MIN: u64 = 256;

/// A press by these settings; bad ones and bad fonts are found here.
pub async fn packets(settings: &PacketSettings) -> anyhow::Result<Press> {
    if settings.render_ms == 0 || settings.memory_mb < MEMORY_MB_MIN {
        bail!("packet.render_ms must be at least 1, and packet.memory_mb at least {MEMORY_MB_MIN}");
    }
    let mut arguments: Vec<OsString> = vec!["--memory-mb".into(), settings.memory_mb.to_string().into()];
    arguments.extend([OsString::from("--render-ms"), settings.render_ms.to_string().into()]);
    if let Some(fonts) = path(&settings.fonts) {
        arguments.extend([OsString::from("--fonts"), fonts.into_os_string()]);
    }
    let options = PressOptions {
        program: program()?,
        arguments,
        check: "--check".into(),
        version: env!("CARGO_PKG_VERSION"),
        environment: vec![ONE_THREAD],
        workers_max: available_parallelism().map_or(1, usize::from).min(WORKERS_MAX),
        deadline: Duration::from_millis(settings.render_ms),
    };
    Ok(Press::open(options).await?)
}

fn program() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("failed to find the folder of this program")?;
    Ok(own.with_file_name(PROGRAM))
}
