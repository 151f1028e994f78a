//! Exported lines: what they hold, and what a check of them finds.

use std::io;

use bus::EventLog;
use regflow_audit::inspect::{LINE_BYTES_MAX, Summary, inspect};
use regflow_audit::{Replay, Wish, lines};
use serde_json::Value;

use crate::story::{SHARDS, Teller};

async fn export(log: &dyn EventLog) -> Vec<u8> {
    let mut replay = Replay::open(log, Wish::default(), SHARDS).await.unwrap();
    let (mut out, mut written) = (Vec::new(), 0);
    while let Some(page) = replay.next_page().await.unwrap() {
        written += page.iter().map(|item| lines::write(item, &mut out)).sum::<usize>();
    }
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), written);
    out
}

async fn exported(steps: usize) -> Vec<String> {
    let mut teller = Teller::new(11);
    for _ in 0..steps {
        teller.tell().await;
    }
    let text = String::from_utf8(export(&teller.log).await).unwrap();
    text.lines().map(str::to_owned).collect()
}

fn check(lines: &[String]) -> Summary {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    inspect(text.as_bytes(), |_, _| Ok(())).unwrap()
}

/// The first break: its line and what is wrong.
fn broken(lines: &[String]) -> (u64, String) {
    let summary = check(lines);
    let first = summary.breaks.first().unwrap_or_else(|| panic!("nothing was found: {summary:?}"));
    (first.line, first.problem.clone())
}

#[tokio::test]
async fn each_line_is_a_cloud_event_that_says_who_why_and_where_in_the_log() {
    let lines = exported(400).await;
    for line in &lines {
        let event: Value = serde_json::from_str(line).unwrap();
        let text = |key: &str| event[key].as_str().unwrap_or_else(|| panic!("{key} is no text in {line}")).to_owned();
        assert_eq!((text("specversion"), text("source")), ("1.0".into(), "/regflow/log".into()));
        assert!(text("type").starts_with("io.regflow.log.") && text("time").ends_with('Z'), "{line}");
        assert!(!text("subject").is_empty() && !text("actor").is_empty() && event["data"].is_object(), "{line}");
        assert_eq!(text("recordhash").len(), 64);
        for name in event.as_object().unwrap().keys() {
            let is_attribute = name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase());
            assert!(is_attribute, "CloudEvents names attributes in up to 20 small letters: {name}");
        }
        assert!(!line.contains('\u{1b}'), "what came from outside is escaped: {line}");
    }
    let submitted: Value = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|line| line["type"] == "io.regflow.log.registration.submitted.v3")
        .unwrap();
    assert_eq!(
        (&submitted["data"]["sealed"], &submitted["data"]["priority"]),
        (&"200 bytes, sealed".into(), &"NORMAL".into())
    );
    assert_eq!(submitted["data"]["owner_ref"].as_str().unwrap().len(), 32);
}

#[tokio::test]
async fn a_whole_export_has_no_break_and_is_summed_up() {
    let lines = exported(1_000).await;
    let summary = check(&lines);
    assert_eq!((summary.breaks_count, summary.records, summary.lines), (0, 1_000, lines.len() as u64));
    assert_eq!(summary.events.values().sum::<u64>(), summary.lines);
    assert_eq!(summary.makers.values().sum::<u64>(), summary.events["submitted"]);
    assert_eq!((summary.first.unwrap().0, summary.last.unwrap().0, summary.begun_before), (1, 1_000, 0));
}

#[tokio::test]
async fn an_export_that_begins_in_the_middle_links_where_it_can() {
    let lines = exported(1_000).await;
    let begin = lines.iter().position(|line| line.contains(r#""sequence":"500""#)).unwrap();
    let summary = check(&lines[begin..]);
    assert_eq!((summary.breaks_count, summary.records), (0, 501));
    assert!(summary.begun_before > 0);
}

#[tokio::test]
async fn every_missing_record_inside_a_chain_is_named_with_its_line() {
    let lines = exported(150).await;
    let place = |line: &String| {
        let line: Value = serde_json::from_str(line).unwrap();
        let sequence: u64 = line["sequence"].as_str().unwrap().parse().unwrap();
        (sequence, line["subject"].as_str().unwrap().to_owned())
    };
    let places: Vec<_> = lines.iter().map(place).collect();
    let mut tried = 0;
    for gone in 2..=150 {
        let subject = &places.iter().find(|(sequence, _)| *sequence == gone).unwrap().1;
        let left: Vec<_> = (0..lines.len()).filter(|line| places[*line].0 != gone).collect();
        let next = left.iter().position(|line| places[*line].1 == *subject && places[*line].0 > gone);
        // the last record of a chain leaves no trace when it goes: docs/audit.md says so
        let Some(next) = next else { continue };
        let left: Vec<String> = left.into_iter().map(|line| lines[line].clone()).collect();
        let (line, problem) = broken(&left);
        assert_eq!(line, next as u64 + 1, "{gone}: {problem}");
        assert!(problem.contains("is chained to sequence"), "{problem}");
        tried += 1;
    }
    assert!(tried > 50, "{tried}");
}

#[tokio::test]
async fn what_was_changed_swapped_doubled_or_cut_is_named_with_its_line() {
    let lines = exported(300).await;
    let place = lines.iter().position(|line| line.contains("attempt_started")).unwrap();
    let changed = |change: &dyn Fn(&mut Vec<String>)| {
        let mut copy = lines.clone();
        change(&mut copy);
        broken(&copy)
    };
    let (line, problem) = changed(&|lines| lines[0] = lines[0].replace(r#""recordhash":""#, r#""recordhash":"0"#));
    assert!(line == 1 && problem.contains("no recordhash"), "{problem}");
    let flip = |text: &str| {
        let at = text.find(r#""recordhash":""#).unwrap() + 14;
        let digit = if &text[at..=at] == "0" { "1" } else { "0" };
        format!("{}{digit}{}", &text[..at], &text[at + 1..])
    };
    let (line, problem) = changed(&|lines| lines[0] = flip(&lines[0]));
    assert!(line > 1 && problem.contains("hashes differ"), "{line} {problem}");
    let (line, problem) = changed(&|lines| lines[place] = flip(&lines[place]));
    assert!(line == place as u64 + 1 && problem.contains("differs in its head"), "{line} {problem}");
    let (line, problem) = changed(&|lines| lines.swap(10, 20));
    assert!(line <= 22 && !problem.is_empty(), "{line} {problem}");
    let single = lines.iter().position(|line| line.contains(r#""recordevents":1,"#)).unwrap();
    let (line, problem) = changed(&|lines| lines.insert(single, lines[single].clone()));
    assert!(line == single as u64 + 2 && problem.contains("places must ascend"), "{line} {problem}");
    let (line, problem) = changed(&|lines| drop(lines.remove(place)));
    assert!(
        line == place as u64 && problem.contains("begins a record of 2 events, of which 1 are here"),
        "{line} {problem}"
    );
    let (line, problem) = changed(&|lines| lines[3] = "{}".into());
    assert!(line == 4 && problem.contains("is no event of an export"), "{line} {problem}");
    let (line, problem) = changed(&|lines| lines[3] = lines[3].replace("/regflow/log", "/other"));
    assert!(line == 4 && problem.contains("none of an export"), "{line} {problem}");
}

#[test]
fn a_line_without_end_and_one_that_is_too_long_are_breaks_and_cost_no_memory() {
    let cut = inspect(&b"{\"specversion\":"[..], |_, _| Ok(())).unwrap();
    assert!(cut.breaks[0].problem.contains("the file was cut"));
    let long = io::Read::chain(io::Read::take(io::repeat(b'x'), 3 * LINE_BYTES_MAX), &b"\nx\n"[..]);
    let long = inspect(io::BufReader::new(long), |_, _| Ok(())).unwrap();
    assert_eq!((long.lines, long.breaks_count), (2, 2));
    assert!(long.breaks[0].problem.contains("longer than a line can be"));
}

#[test]
fn what_could_not_be_read_has_a_line_of_its_own() {
    let item = bus::FollowItem::Unreadable { sequence: 9, reason: "not a \"record\"".into() };
    let mut out = Vec::new();
    assert_eq!(lines::write(&item, &mut out), 1);
    let summary = inspect(out.as_slice(), |line, _| {
        assert_eq!((line.r#type.as_str(), &line.data["reason"]), (lines::UNREADABLE, &"not a \"record\"".into()));
        Ok(())
    });
    let summary = summary.unwrap();
    assert_eq!((summary.breaks_count, summary.unreadable, summary.last.unwrap().0), (0, 1, 9));
}
