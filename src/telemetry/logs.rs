//! Log lines, for people or for machines; each one that belongs to a trace names it.

use std::fmt;

use handlers::trace;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{Format, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Log, LogFormat};

/// Lines on standard error. Our spans are not for them: with no collector they cost nothing.
pub fn lines<S>(log: &Log) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let level = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = level.and(filter_fn(is_for_people).with_max_level_hint(Level::TRACE));
    let lines = layer().with_writer(std::io::stderr);
    match log.format {
        LogFormat::Pretty => {
            let ansi = std::env::var("NO_COLOR").map_or(true, |value| value.is_empty());
            let format = Format::default().compact().with_target(false).with_ansi(ansi);
            lines.with_ansi(ansi).event_format(WithTrace { format, style: Style::Pretty }).with_filter(filter).boxed()
        }
        LogFormat::Json => {
            let format = Format::default().json().flatten_event(true).with_current_span(false).with_span_list(false);
            let lines = lines.with_ansi(false).fmt_fields(JsonFields::new());
            lines.event_format(WithTrace { format, style: Style::Json }).with_filter(filter).boxed()
        }
    }
}

/// No spans, and of the exporters' own chatter the warnings; that an export failed is said once, by us.
fn is_for_people(meta: &Metadata<'_>) -> bool {
    let of_exporters = meta.target().starts_with("opentelemetry");
    let chatter = *meta.level() > Level::WARN || meta.name().ends_with("ExportError");
    meta.target() != trace::TARGET && !(of_exporters && chatter)
}

enum Style {
    Pretty,
    Json,
}

/// A format that says the trace at the end of the line.
struct WithTrace<F> {
    format: F,
    style: Style,
}

impl<S, N, F> FormatEvent<S, N> for WithTrace<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(trace) = trace::current() else { return self.format.format_event(context, writer, event) };
        let mut line = String::with_capacity(256);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let (trace_id, span_id) = (Hex(&trace.trace_id), Hex(&trace.span_id));
        let line = line.trim_end();
        match self.style {
            Style::Pretty => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
            Style::Json => {
                let object = line.strip_suffix('}').unwrap_or(line);
                writeln!(writer, "{object},\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}")
            }
        }
    }
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    #[test]
    fn with_log_lines_alone_our_spans_are_nothing() {
        let log = Log { level: "trace".to_owned(), format: LogFormat::Json };
        tracing::subscriber::with_default(registry().with(lines(&log)), || {
            let span = || tracing::info_span!(target: trace::TARGET, "step", id = %"costly".repeat(1_000));
            assert!(span().is_disabled());
            let began = Instant::now();
            (0..1_000_000).for_each(|_| drop(span()));
            println!("{} ns a span", began.elapsed().as_nanos() / 1_000_000);
        });
    }
}
