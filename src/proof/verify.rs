//! Checks a proof with nothing but the file: its signature, the chain of the records in it, and that it says what they say.

use bytes::Bytes;
use events::record::{Link, hash_of};
use events::{NoteError, NoteVerifier, Record, Sequence, Shard, Stored};

use super::account::Account;
use super::text;

/// The longest file, the text and its signature: a signed note is not read beyond it.
pub const NOTE_BYTES_MAX: usize = 1_000_000;
/// What every line of a signature begins with (c2sp.org/signed-note).
const SIGNATURE: &str = "\u{2014} ";

/// A proof that holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    pub account: Account,
    pub records: usize,
    /// The key that signed it.
    pub signer: NoteVerifier,
    /// Whether that key came from whoever checks; else the file named it, and says nothing of who signed.
    pub key_was_given: bool,
    pub written_at: events::Timestamp,
}

/// Why a proof does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("the file has {bytes} bytes; no proof has more than {NOTE_BYTES_MAX}")]
    TooLong { bytes: usize },
    #[error("the file is no text in UTF-8")]
    NoText,
    #[error(transparent)]
    Note(#[from] NoteError),
    #[error("the file has {0} signatures; a proof has one")]
    Signatures(usize),
    #[error("line {line}: {what}")]
    Unreadable { line: usize, what: String },
    #[error("record {sequence} (line {line}) cannot be read: {error}")]
    Record { sequence: Sequence, line: usize, error: events::record::RecordError },
    #[error("record {sequence} (line {line}) does not follow the record before it")]
    Chain { sequence: Sequence, line: usize },
    #[error("the records tell no registration: {0}")]
    History(#[from] super::account::AccountError),
    #[error("line {line} does not say what the records say")]
    Differs { line: usize },
}

/// Checks a proof against `key`, or without one against the key that the file names.
///
/// # Errors
/// [`ProofFault`]: the first thing that does not hold.
pub fn verify(file: &[u8], key: Option<&NoteVerifier>) -> Result<Verified, ProofFault> {
    if file.len() > NOTE_BYTES_MAX {
        return Err(ProofFault::TooLong { bytes: file.len() });
    }
    let note = std::str::from_utf8(file).map_err(|_| ProofFault::NoText)?;
    let signer = match key {
        Some(key) => key.clone(),
        None => named_key(note)?,
    };
    let text = signer.open(note)?;
    let signatures = note.get(text.len()..).unwrap_or_default().lines().filter(|line| line.starts_with(SIGNATURE));
    match signatures.count() {
        1 => {}
        other => return Err(ProofFault::Signatures(other)),
    }
    let mut read =
        text::read(&text).map_err(|error| ProofFault::Unreadable { line: error.line, what: error.what.to_owned() })?;
    let history = chain(&read)?;
    let account = Account::of(&history, read.maker.clone(), &mut read.shown)?;
    let records: Vec<(Sequence, Bytes)> = read.records.into_iter().map(|(at, bytes, _)| (at, bytes)).collect();
    let again = text::write(&read.head, &account, &records);
    if again != text {
        return Err(ProofFault::Differs { line: first_difference(&again, &text) });
    }
    if read.head.signer != signer.to_string() {
        return Err(NoteError::OtherKey.into());
    }
    let written_at = read.head.written_at;
    Ok(Verified { account, records: records.len(), signer, key_was_given: key.is_some(), written_at })
}

/// The key that the text names.
fn named_key(note: &str) -> Result<NoteVerifier, ProofFault> {
    let named = note.lines().find_map(|line| line.strip_prefix("signed by: "));
    Ok(named.ok_or(NoteError::Malformed)?.parse()?)
}

/// The records, decoded, once each follows the one before it.
fn chain(read: &text::Read) -> Result<Vec<Stored>, ProofFault> {
    let mut history: Vec<Stored> = Vec::with_capacity(read.records.len());
    for (sequence, bytes, line) in &read.records {
        let (sequence, line) = (*sequence, *line);
        let record = Record::decode(bytes).map_err(|error| ProofFault::Record { sequence, line, error })?;
        let before = history.last().map(Stored::link);
        let follows = record.previous == before && before.is_none_or(|Link { sequence: last, .. }| last < sequence);
        if !follows {
            return Err(ProofFault::Chain { sequence, line });
        }
        history.push(Stored { sequence, shard: Shard(0), registration: read.id, record, hash: hash_of(bytes) });
    }
    Ok(history)
}

/// The first line that differs, counted from 1.
fn first_difference(one: &str, other: &str) -> usize {
    one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count() + 1
}
