//! The one object of a run: its parts put together, and how it is printed.

use std::io;

use anyhow::Context;
use serde::Serialize;
use serde_json::ser::{Formatter, PrettyFormatter};
use serde_json::{Value, json};

use super::stage::{Service, Usage};
use super::stats::{float, round, round3};
use super::usage;
use crate::cli::BenchArgs;

/// Messages in one batch of the raw server's run: the most that it takes.
const RAW_BATCH: usize = 1_000;
/// Messages of that run at most: its rate does not change any more.
const RAW_MESSAGES_MAX: usize = 300_000;

/// Puts the members of an object into another one.
pub fn add(told: &mut Value, more: Value) {
    if let (Value::Object(told), Value::Object(more)) = (told, more) {
        told.extend(more);
    }
}

/// How a load stands to what the server alone takes: messages of the same number and size, in the same run. Those of a registration
/// are its records and its notification; keys, of which 32 persons share one message, are left out.
pub async fn raw(
    service: &Service,
    before: &Usage,
    after: &Usage,
    accepted: usize,
    per_second: f64,
) -> anyhow::Result<Value> {
    let messages = after.messages_since(before);
    let bytes = after.message_bytes(before);
    let raw = bus::raw_ceiling(&service.file.nats_url, messages.min(RAW_MESSAGES_MAX), bytes, RAW_BATCH).await;
    let raw = raw.context("failed to measure the raw server")?;
    let each = float(messages) / float(accepted);
    Ok(json!({
        "records_per_registration": round3(float(after.records_since(before)) / float(accepted)),
        "messages_per_registration": round3(each),
        "raw_server_message_bytes": bytes,
        "raw_server_messages_per_second": round(raw),
        "share_of_raw_messages": round3(per_second * each / raw),
    }))
}

/// Adds what every report has.
pub async fn finished(mut told: Value, args: &BenchArgs, service: &Service) -> Value {
    let machine = usage::machine(Some(&service.file.nats_url)).await;
    add(&mut told, json!({ "durable": !args.relaxed, "connections": args.connections, "machine": machine }));
    told
}

/// Adds the machine to the report of a part that was measured by itself.
pub async fn of_part(mut told: Value) -> anyhow::Result<Value> {
    add(&mut told, json!({ "machine": usage::machine(None).await }));
    Ok(told)
}

/// The text of a report: an object with a member a line, lists in one line.
pub fn text(told: &Value) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    told.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, ListsInLine(PrettyFormatter::new())))?;
    Ok(String::from_utf8(bytes)?)
}

/// As `PrettyFormatter`, but for lists.
struct ListsInLine(PrettyFormatter<'static>);

impl Formatter for ListsInLine {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.0.begin_object_key(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.begin_object_value(writer)
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.0.end_object_value(writer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_has_a_member_a_line_and_a_list_is_one() {
        let told = json!({ "course": { "window_ms": 100, "done": [1.5, null, 2] }, "scenario": "happy" });
        let text = text(&told).expect("a text");
        for line in ["  \"course\": {\n", "    \"done\": [1.5, null, 2]", "\n  \"scenario\": \"happy\""] {
            assert!(text.contains(line), "{line} in {text}");
        }
        assert_eq!(serde_json::from_str::<Value>(&text).expect("json"), told);
    }

    #[test]
    fn parts_make_one_object() {
        let mut told = json!({ "scenario": "happy" });
        add(&mut told, json!({ "durable": true }));
        assert_eq!(told, json!({ "scenario": "happy", "durable": true }));
    }
}
