//! Checks exported lines, with nothing but the file: that each is one of ours, that places ascend, that records are whole, and
//! that the chain of each registration and maker links wherever the record before is in the file.
//!
//! What it cannot see: whether the fields of an event are those whose stored bytes the hash was made of (the bytes are in the
//! log, not in the file), and records that are missing at the end of the file.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, Read};

use events::Sequence;
use serde::Deserialize;
use serde_json::Value;

use crate::lines::{SOURCE, TYPE_PREFIX, UNREADABLE};

/// Longest line, in bytes: a record has at most 256 KiB, and its bytes become two digits each.
pub const LINE_BYTES_MAX: u64 = 1024 * 1024;
/// Most registrations and makers in one file, each some 150 bytes in memory.
pub const SUBJECTS_MAX: usize = 2_000_000;
/// Most breaks that are kept to be shown; all are counted.
pub const BREAKS_KEPT_MAX: usize = 100;
/// Most different names of events and of makers that are counted apart.
const NAMES_MAX: usize = 10_000;

/// Why a file cannot be checked to its end.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Too much for one check.
    #[error("the file has more than {SUBJECTS_MAX} registrations; export it in ranges and inspect each")]
    TooMany,
}

/// One line, as far as it is checked.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Line {
    specversion: String,
    /// The record's id and the event's place in it.
    pub id: String,
    source: String,
    /// Which kind of event.
    pub r#type: String,
    /// The registration's id, or the maker's; empty for what could not be read.
    #[serde(default)]
    pub subject: String,
    /// When it was decided.
    #[serde(default)]
    pub time: String,
    sequence: String,
    #[serde(default)]
    recordplace: u64,
    #[serde(default)]
    recordevents: u64,
    #[serde(default)]
    recordhash: String,
    #[serde(default)]
    previoussequence: Option<String>,
    #[serde(default)]
    previoushash: Option<String>,
    /// Who wanted it.
    #[serde(default)]
    pub actor: String,
    /// The fields.
    pub data: Value,
}

/// A line that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Break {
    /// Its number, from 1.
    pub line: u64,
    /// The place of the log that it names; 0 when it names none.
    pub sequence: Sequence,
    /// What is wrong.
    pub problem: String,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Lines.
    pub lines: u64,
    /// Records.
    pub records: u64,
    /// Messages of the log that were no records.
    pub unreadable: u64,
    /// Lines by the event's name.
    pub events: BTreeMap<String, u64>,
    /// Registrations by maker, of those whose first record is in the file.
    pub makers: BTreeMap<String, u64>,
    /// Registrations and makers.
    pub subjects: u64,
    /// Those whose first record stands before the begin of the file.
    pub begun_before: u64,
    /// Place and time of the first record and of the last.
    pub first: Option<(Sequence, String)>,
    /// See `first`.
    pub last: Option<(Sequence, String)>,
    /// What does not fit, at most [`BREAKS_KEPT_MAX`] of it.
    pub breaks: Vec<Break>,
    /// How many lines do not fit.
    pub breaks_count: u64,
}

/// Reads all of `file`. `show` gets each good line, with its own text.
///
/// # Errors
/// [`InspectError`] when it cannot be read to its end; what does not fit is no error but a break.
pub fn inspect(
    mut file: impl BufRead,
    mut show: impl FnMut(&Line, &[u8]) -> io::Result<()>,
) -> Result<Summary, InspectError> {
    let (mut check, mut text) = (Check::default(), Vec::new());
    loop {
        text.clear();
        let read = file.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text)?;
        if read == 0 {
            return Ok(check.finish());
        }
        check.summary.lines += 1;
        let number = check.summary.lines;
        if text.last() != Some(&b'\n') {
            let is_long = text.len() as u64 > LINE_BYTES_MAX;
            let problem = if is_long { "is longer than a line can be" } else { "has no end: the file was cut" };
            check.break_at(number, 0, problem.to_owned());
            if is_long {
                skip_line(&mut file)?;
            }
            continue;
        }
        match serde_json::from_slice::<Line>(&text) {
            Ok(line) => {
                check.line(number, &line)?;
                show(&line, &text)?;
            }
            Err(error) => check.break_at(number, 0, format!("is no event of an export: {error}")),
        }
    }
}

fn skip_line(file: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = file.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let (length, is_over) = (end.map_or(buffer.len(), |end| end + 1), end.is_some() || buffer.is_empty());
        file.consume(length);
        if is_over {
            return Ok(());
        }
    }
}

/// The last record of a registration or a maker.
struct Last {
    sequence: Sequence,
    hash: Option<[u8; 32]>,
}

/// The record whose lines are being read.
struct Current {
    line: u64,
    sequence: Sequence,
    id: String,
    hash: String,
    seen: u64,
    of: u64,
}

#[derive(Default)]
struct Check {
    summary: Summary,
    /// By what it is and its id.
    subjects: HashMap<(bool, Box<str>), Last>,
    current: Option<Current>,
}

impl Check {
    fn finish(mut self) -> Summary {
        self.end_record();
        self.summary.subjects = self.subjects.len() as u64;
        self.summary
    }

    fn break_at(&mut self, line: u64, sequence: Sequence, problem: String) {
        self.summary.breaks_count += 1;
        if self.summary.breaks.len() < BREAKS_KEPT_MAX {
            self.summary.breaks.push(Break { line, sequence, problem });
        }
    }

    fn line(&mut self, number: u64, line: &Line) -> Result<(), InspectError> {
        let Some(sequence) = line.sequence.parse().ok().filter(|sequence| *sequence > 0) else {
            self.break_at(number, 0, "has no sequence".to_owned());
            return Ok(());
        };
        if line.specversion != "1.0" || line.source != SOURCE || !line.r#type.starts_with(TYPE_PREFIX) {
            self.break_at(number, sequence, "is a CloudEvent, but none of an export".to_owned());
            return Ok(());
        }
        if self.goes_on(number, sequence, line) {
            self.count(line);
            return Ok(());
        }
        self.end_record();
        let last = self.summary.last.as_ref().map_or(0, |(last, _)| *last);
        if sequence <= last {
            let problem = format!("comes after sequence {last}; places must ascend");
            self.break_at(number, sequence, problem);
        }
        let here = (sequence.max(last), line.time.clone());
        self.summary.first.get_or_insert_with(|| here.clone());
        self.summary.last = Some(here);
        if line.r#type == UNREADABLE {
            self.summary.unreadable += 1;
            return Ok(());
        }
        self.summary.records += 1;
        self.begin_record(number, sequence, line);
        self.link(number, sequence, line)?;
        self.count(line);
        Ok(())
    }

    /// Whether it is a later line of the record that is being read.
    fn goes_on(&mut self, number: u64, sequence: Sequence, line: &Line) -> bool {
        let Some(current) = &mut self.current else { return false };
        let is_next = sequence == current.sequence && line.recordplace == current.seen && line.recordplace > 0;
        if !is_next {
            return false;
        }
        current.seen += 1;
        let is_same = line.recordhash == current.hash
            && line.recordevents == current.of
            && line.id.rsplit_once('-').map(|(id, _)| id) == Some(current.id.as_str());
        if !is_same {
            self.break_at(number, sequence, "differs in its head from the line before, of the same record".to_owned());
        }
        true
    }

    fn begin_record(&mut self, number: u64, sequence: Sequence, line: &Line) {
        if line.recordplace != 0 {
            let problem = format!("is event {} of its record, and those before it are missing", line.recordplace);
            self.break_at(number, sequence, problem);
        }
        let id = line.id.rsplit_once('-').map_or("", |(id, _)| id).to_owned();
        let (hash, seen, of) = (line.recordhash.clone(), line.recordplace + 1, line.recordevents);
        self.current = Some(Current { line: number, sequence, id, hash, seen, of });
    }

    fn end_record(&mut self) {
        if let Some(Current { line, sequence, seen, of, .. }) = self.current.take()
            && seen != of
        {
            self.break_at(line, sequence, format!("begins a record of {of} events, of which {seen} are here"));
        }
    }

    /// Whether the chain links.
    fn link(&mut self, number: u64, sequence: Sequence, line: &Line) -> Result<(), InspectError> {
        let hash = digits(&line.recordhash);
        if hash.is_none() {
            self.break_at(number, sequence, "has no recordhash of 64 hex digits".to_owned());
        }
        let named = match (&line.previoussequence, &line.previoushash) {
            (None, None) => None,
            (Some(at), Some(hash)) => Some((at.parse().unwrap_or(0), digits(hash))),
            (Some(_), None) | (None, Some(_)) => Some((0, None)),
        };
        let first = self.summary.first.as_ref().map_or(0, |(first, _)| *first);
        let key = (line.r#type.starts_with("io.regflow.log.maker."), line.subject.as_str().into());
        let known = self.subjects.insert(key, Last { sequence, hash });
        if self.subjects.len() > SUBJECTS_MAX {
            return Err(InspectError::TooMany);
        }
        let problem = match (known, named) {
            (None, None) => None,
            (None, Some((at, _))) if at > 0 && at < first => {
                self.summary.begun_before += 1;
                None
            }
            (None, Some((at, _))) => Some(format!("is chained to sequence {at}, which is missing")),
            (Some(known), None) => {
                Some(format!("says that it is the first, and sequence {} is before it", known.sequence))
            }
            (Some(known), Some((at, _))) if at != known.sequence => {
                Some(format!("is chained to sequence {at}, and the one before it here is {}", known.sequence))
            }
            (Some(known), Some((at, hash))) if hash.is_none() || hash != known.hash => {
                Some(format!("is chained to another record than the one at sequence {at}: the hashes differ"))
            }
            (Some(_), Some(_)) => None,
        };
        problem.into_iter().for_each(|problem| self.break_at(number, sequence, problem));
        Ok(())
    }

    fn count(&mut self, line: &Line) {
        let name = name_of(&line.r#type);
        count(&mut self.summary.events, name);
        if name == "submitted" {
            count(&mut self.summary.makers, line.data["connector"].as_str().unwrap_or("?"));
        }
    }
}

/// The event's name in a type such as `io.regflow.log.registration.attempt_failed.v1`.
#[must_use]
pub fn name_of(kind: &str) -> &str {
    kind.rsplit('.').nth(1).unwrap_or(kind)
}

fn count(counts: &mut BTreeMap<String, u64>, name: &str) {
    if counts.len() < NAMES_MAX || counts.contains_key(name) {
        *counts.entry(name.to_owned()).or_default() += 1;
    }
}

/// 64 hex digits.
fn digits(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let text = text.as_bytes();
    if text.len() != 2 * bytes.len() {
        return None;
    }
    let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    for (byte, pair) in bytes.iter_mut().zip(text.chunks(2)) {
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
