//! `regflow audit inspect`: checks an exported file offline.

use std::fs::File;
use std::io::{BufReader, Write};

use anyhow::Context;
use audit::inspect::{InspectError, inspect};
use serde_json::json;

use crate::cli::InspectArgs;
use crate::client::ClientError;
use crate::show::{self, Paint};

/// Prints what is in the file; false when something does not fit.
pub fn run(args: &InspectArgs) -> Result<bool, ClientError> {
    let failed = || format!("failed to read {}", args.file.display());
    let file = File::open(&args.file).with_context(failed)?;
    let mut out = std::io::stdout().lock();
    let summary = inspect(BufReader::new(file), |line, text| match &args.id {
        Some(id) if *id == line.subject => out.write_all(text),
        Some(_) | None => Ok(()),
    });
    let summary = summary.map_err(|error| match error {
        // reading failed, or whoever read our output has left
        InspectError::Io(error) if error.kind() == std::io::ErrorKind::BrokenPipe => ClientError::OutputClosed(error),
        InspectError::Io(_) | InspectError::TooMany => anyhow::Error::new(error).context(failed()).into(),
    })?;
    let is_whole = summary.breaks_count == 0;
    if args.id.is_some() && is_whole {
        return Ok(true);
    }
    if args.json {
        let breaks = summary.breaks.iter().map(
            |found| json!({ "line": found.line, "sequence": found.sequence.to_string(), "problem": found.problem }),
        );
        let edge = |edge: &Option<(u64, String)>| {
            edge.as_ref().map(|(at, time)| json!({ "sequence": at.to_string(), "time": time }))
        };
        let text = json!({
            "lines": summary.lines, "records": summary.records, "unreadable": summary.unreadable,
            "events": summary.events, "makers": summary.makers, "subjects": summary.subjects,
            "begunBefore": summary.begun_before, "first": edge(&summary.first), "last": edge(&summary.last),
            "breaksCount": summary.breaks_count, "breaks": breaks.collect::<Vec<_>>(),
        });
        show::say(&text.to_string())?;
    } else {
        let text = show::summary(&summary, Paint::stdout());
        if args.id.is_some() { eprintln!("{}", text.trim_end()) } else { show::say(text.trim_end())? }
    }
    Ok(is_whole)
}
