//! A snapshot of what the engine folds from the log, as bytes: with it a start folds only what came behind it.
//!
//! It is a cache. Whoever finds it in doubt folds the log from its beginning, so there are no versions to read, only one
//! [`SCHEMA`]. Bytes: magic, schema (u32, little endian), then as postcard what stands before the registrations and each of
//! them, then BLAKE3 of all of that.

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::guards::Guards;
use crate::id::{RegistrationId, Shard};
use crate::policy::MakerPolicy;
use crate::record::Link;
use crate::state::Registration;
use crate::time::Timestamp;

/// What the bytes mean. Any change of a type that stands in them is a new number.
pub const SCHEMA: u32 = 1;
/// First bytes of every snapshot.
const MAGIC: [u8; 8] = *b"RFENGINE";
/// Bytes of the hash at the end.
const HASH_BYTES: usize = 32;
/// Bytes that are handed over at once.
const PIECE_BYTES: usize = 64 * 1024;

/// What the fold of the log up to a record is.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Which fold of which log it is.
    pub origin: Origin,
    /// The makers.
    pub guards: Guards,
    /// The registrations that something is to be done for, as the log up to that record tells them.
    pub open: Vec<Arc<Registration>>,
    /// Those that are to be read anew from the log, because they were with somebody at that moment, or ahead of that record.
    pub to_be_read: Vec<(RegistrationId, Shard)>,
    /// Those that are at rest, and when each is looked at again.
    pub alarms: Vec<(Timestamp, RegistrationId, Shard)>,
}

/// Which fold of which log a snapshot is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// Which stream: when it was created, nanoseconds since 1970.
    pub incarnation: i64,
    /// What it was folded by.
    pub rules: Rules,
    /// The last record that is in it.
    pub last: Link,
}

/// Names what a fold depends on besides the log: the catalog, and the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules([u8; 32]);

impl Rules {
    /// The rules that are spelt so.
    #[must_use]
    pub fn of(spelt: &str) -> Self {
        Self(blake3::derive_key("regflow 2026 rules of a snapshot", spelt.as_bytes()))
    }
}

/// Why a snapshot is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// Something else, or cut short before its end began.
    #[error("it is no snapshot")]
    NoSnapshot,
    /// Written by another program.
    #[error("it has schema {0}; this program reads schema {SCHEMA}")]
    OtherSchema(u32),
    /// Not what was written.
    #[error("it is damaged")]
    Damaged,
    /// Of another log.
    #[error("it is of another stream")]
    OtherStream,
    /// Folded by other rules: what rests or waits by them may be another thing by those of today.
    #[error("it was made by another program, or for another catalog")]
    OtherRules,
}

/// It cannot be written, which no snapshot of ours should cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a snapshot cannot be put into bytes")]
pub struct Unwritable;

/// What stands before the registrations: incarnation, rules, last record, makers, whom to read, alarms, how many follow.
type Head = (i64, Rules, Link, Guards, Vec<(RegistrationId, Shard)>, Vec<(Timestamp, RegistrationId, Shard)>, u64);

/// Hands the bytes of `snapshot` to `put`, some 64 KB at once, and stops at its first error.
///
/// # Errors
/// That of `put`, or [`Unwritable`].
pub fn encode<E: From<Unwritable>>(snapshot: &Snapshot, mut put: impl FnMut(&[u8]) -> Result<(), E>) -> Result<(), E> {
    let Origin { incarnation, rules, last } = &snapshot.origin;
    let (guards, open) = (&snapshot.guards, snapshot.open.len() as u64);
    let head = (incarnation, rules, last, guards, &snapshot.to_be_read, &snapshot.alarms, open);
    let mut hasher = blake3::Hasher::new();
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    piece.extend_from_slice(&MAGIC);
    piece.extend_from_slice(&SCHEMA.to_le_bytes());
    piece = written(&head, piece)?;
    for registration in &snapshot.open {
        if piece.len() >= PIECE_BYTES {
            hasher.update(&piece);
            put(&piece)?;
            piece.clear();
        }
        piece = written(registration.as_ref(), piece)?;
    }
    hasher.update(&piece);
    piece.extend_from_slice(hasher.finalize().as_bytes());
    put(&piece)
}

fn written(what: &impl Serialize, behind: Vec<u8>) -> Result<Vec<u8>, Unwritable> {
    postcard::to_extend(what, behind).map_err(|_| Unwritable)
}

/// The snapshot in `bytes`, if it is one of this stream by these rules; its makers get the policies of today.
///
/// # Errors
/// [`Doubt`]; nothing of it is used then.
pub fn decode<'a>(
    bytes: &[u8],
    (incarnation, rules): (i64, Rules),
    policies: impl IntoIterator<Item = (&'a str, MakerPolicy)>,
) -> Result<Snapshot, Doubt> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(Doubt::NoSnapshot)?;
    let (schema, _) = rest.split_first_chunk().ok_or(Doubt::NoSnapshot)?;
    match u32::from_le_bytes(*schema) {
        SCHEMA => {}
        other => return Err(Doubt::OtherSchema(other)),
    }
    let (hashed, hash) = bytes.split_last_chunk::<HASH_BYTES>().ok_or(Doubt::NoSnapshot)?;
    if blake3::hash(hashed) != *hash {
        return Err(Doubt::Damaged);
    }
    let body = hashed.get(MAGIC.len() + schema.len()..).ok_or(Doubt::Damaged)?;
    let (head, mut rest): (Head, _) = read(body)?;
    let (of, by, last, guards, to_be_read, alarms, count) = head;
    if of != incarnation {
        return Err(Doubt::OtherStream);
    }
    if by != rules {
        return Err(Doubt::OtherRules);
    }
    let mut open = Vec::new();
    for _ in 0..count {
        let registration;
        (registration, rest) = read(rest)?;
        open.push(Arc::new(registration));
    }
    if !rest.is_empty() {
        return Err(Doubt::Damaged);
    }
    let origin = Origin { incarnation, rules, last };
    Ok(Snapshot { origin, guards: guards.with_policies(policies), open, to_be_read, alarms })
}

fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<(T, &[u8]), Doubt> {
    postcard::take_from_bytes(bytes).map_err(|_| Doubt::Damaged)
}

/// Sealed details, shared in memory, as plain bytes.
pub(crate) mod shared_bytes {
    use bytes::Bytes;
    use serde::{Deserializer, Serializer};

    pub fn serialize<S: Serializer>(bytes: &Bytes, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Bytes, D::Error> {
        serde_bytes::deserialize::<Vec<u8>, D>(deserializer).map(Bytes::from)
    }
}

/// What operators are still to be told: facts as they stand in a record, with tag and version.
pub(crate) mod unmailed {
    use std::collections::BTreeMap;

    use serde::de::Error as _;
    use serde::ser::Error as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use crate::fact::Fact;
    use crate::id::Sequence;
    use crate::maker_event::MakerEvent;
    use crate::time::Timestamp;

    type Told = BTreeMap<Sequence, (Timestamp, Vec<MakerEvent>)>;
    type Raw = BTreeMap<Sequence, (Timestamp, Vec<(u16, u16, Vec<u8>)>)>;

    pub fn serialize<S: Serializer>(told: &Told, serializer: S) -> Result<S::Ok, S::Error> {
        let mut raw = Raw::new();
        for (sequence, (at, events)) in told {
            let fact = |event: &MakerEvent| Ok((event.tag(), event.schema_version(), event.body()?));
            let facts: postcard::Result<_> = events.iter().map(fact).collect();
            raw.insert(*sequence, (*at, facts.map_err(S::Error::custom)?));
        }
        raw.serialize(serializer)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Told, D::Error> {
        let mut told = Told::new();
        for (sequence, (at, facts)) in Raw::deserialize(deserializer)? {
            let event = |(tag, version, body): (u16, u16, Vec<u8>)| match MakerEvent::from_body(tag, version, &body) {
                Some(Ok(event)) => Ok(event),
                Some(Err(_)) | None => Err(D::Error::custom("a fact that is not known")),
            };
            told.insert(sequence, (at, facts.into_iter().map(event).collect::<Result<_, _>>()?));
        }
        Ok(told)
    }
}
