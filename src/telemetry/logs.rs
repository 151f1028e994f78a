//! Log lines, for people or for machines; each one that belongs to a trace names it.

use std::borrow::Cow;
use std::fmt;

use handlers::trace;
use tracing::field::Field;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::fmt::format::{Format, JsonFields, Writer, debug_fn};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields, MakeWriter, layer};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::{EnvFilter, Layer};

use crate::config::{Log, LogFormat};
use crate::show::moves;

/// Lines on standard error. Our spans are not for them: with no collector they cost nothing.
pub fn lines<S>(log: &Log) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
{
    let ansi = std::env::var("NO_COLOR").map_or(true, |value| value.is_empty());
    lines_to(log, ansi, std::io::stderr)
}

fn lines_to<S, W>(log: &Log, ansi: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a> + Send + Sync,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let filter = level.and(filter_fn(is_for_people).with_max_level_hint(Level::TRACE));
    let lines = layer().with_writer(writer);
    match log.format {
        LogFormat::Pretty => {
            let format = Format::default().compact().with_target(false).with_ansi(ansi);
            let lines = lines.with_ansi(ansi).fmt_fields(fields());
            lines.event_format(WithTrace { format, style: Style::Pretty }).with_filter(filter).boxed()
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
        let mut line = String::with_capacity(256);
        self.format.format_event(context, Writer::new(&mut line), event)?;
        let line = one_line(line.trim_end_matches('\n'));
        let Some(trace) = trace::current() else { return writeln!(writer, "{line}") };
        let (trace_id, span_id) = (Hex(&trace.trace_id), Hex(&trace.span_id));
        match self.style {
            Style::Pretty => writeln!(writer, "{line} trace_id={trace_id} span_id={span_id}"),
            Style::Json => {
                let object = line.strip_suffix('}').unwrap_or(&line);
                writeln!(writer, "{object},\"trace_id\":\"{trace_id}\",\"span_id\":\"{span_id}\"}}")
            }
        }
    }
}

/// Fields as the default shows them, but no value speaks to a terminal: the default lets escapes of `%value` through.
fn fields() -> impl for<'w> FormatFields<'w> + 'static {
    let field = debug_fn(|writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug| {
        let text = escaped(&format!("{value:?}"), moves).into_owned();
        match field.name() {
            "message" => write!(writer, "{text}"),
            name if writer.has_ansi_escapes() => write!(writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{text}"),
            name => write!(writer, "{name}={text}"),
        }
    });
    field.delimited(" ")
}

/// An event is one line, whatever its values hold. Colours stay, they are the format's own.
fn one_line(line: &str) -> Cow<'_, str> {
    escaped(line, |c| c != '\u{1b}' && moves(c))
}

/// What would end a line, or turn or move what a terminal shows, as JSON writes it.
fn escaped(text: &str, harms: fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(harms) {
        return Cow::Borrowed(text);
    }
    let one = |c: char| if harms(c) { format!("\\u{:04x}", u32::from(c)) } else { c.to_string() };
    Cow::Owned(text.chars().map(one).collect())
}

struct Hex<'a>(&'a [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;
    use crate::hostile_values as values;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("whole").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, ansi: bool, value: &str) -> String {
        let (sink, log) = (Sink::default(), Log { level: "info".to_owned(), format });
        let writer = {
            let sink = sink.clone();
            move || sink.clone()
        };
        tracing::subscriber::with_default(registry().with(lines_to(&log, ansi, writer)), || {
            tracing::warn!(shown = %value, debugged = ?value, text = value, "it says {value}");
        });
        let bytes = sink.0.lock().expect("whole").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn no_hostile_value_ends_a_line_or_reaches_a_terminal() {
        for value in values::all() {
            let json = logged(LogFormat::Json, false, &value);
            let read: serde_json::Value =
                serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json:?}"));
            assert!(read["debugged"].is_string(), "{json}");
            for line in [json, logged(LogFormat::Pretty, false, &value)] {
                let line = line.strip_suffix('\n').expect("a line");
                assert!(!line.contains(moves), "{line:?}");
            }
            let colours = |line: &str| line.matches('\u{1b}').count();
            let coloured = logged(LogFormat::Pretty, true, &value);
            let coloured = coloured.strip_suffix('\n').expect("a line");
            assert!(!coloured.contains(|c| c != '\u{1b}' && moves(c)), "{coloured:?}");
            assert_eq!(colours(coloured), colours(&logged(LogFormat::Pretty, true, "plain")), "{coloured:?}");
        }
    }

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
