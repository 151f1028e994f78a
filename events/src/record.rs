//! One message of the log: a few events of one registration, decided together, chained to the record before it.
//!
//! Bytes: `RF`, wire version (1 byte), then the envelope as postcard. Each event stands in it as tag, schema version
//! and its own postcard body, so that an unknown one is named instead of misread.

use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::event::Event;
use crate::fact::Fact;
use crate::id::{RecordId, RegistrationId, Sequence, Shard};
use crate::maker_event::MakerEvent;
use crate::time::Timestamp;

/// First bytes of every record.
const MAGIC: [u8; 2] = *b"RF";
/// The version of the envelope that is written today.
const WIRE_VERSION: u8 = 1;
/// Longest record, in bytes; a longer one is neither written nor read.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Most events in one record.
pub const EVENTS_PER_RECORD_MAX: usize = 16;

/// BLAKE3 of a record's bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RecordHash(pub [u8; 32]);

impl fmt::Debug for RecordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", hex::encode(&self.0[..8]))
    }
}

/// Where a registration's last record stands and what it hashes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Its sequence in the stream.
    pub sequence: Sequence,
    /// Its hash.
    pub hash: RecordHash,
}

/// Who wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Actor {
    /// regflow itself.
    System,
    /// A client, by the name it goes by.
    Client(String),
    /// A person at the service's desk.
    Operator(String),
    /// The owner of the product.
    Owner,
}

/// The trace that a record belongs to (W3C Trace Context).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceContext {
    /// 16 bytes of trace id.
    pub trace_id: [u8; 16],
    /// 8 bytes of span id.
    pub span_id: [u8; 8],
    /// Flags; 1 is "sampled".
    pub flags: u8,
}

/// A decoded record: of a registration, or with [`crate::MakerEvent`] of a maker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record<F = Event> {
    /// Its own id.
    pub id: RecordId,
    /// When it was decided.
    pub at: Timestamp,
    /// Who wanted it.
    pub actor: Actor,
    /// The record that made us decide it, if any.
    pub cause: Option<RecordId>,
    /// The trace, if any.
    pub trace: Option<TraceContext>,
    /// The record before it; nothing for the first.
    pub previous: Option<Link>,
    /// What happened; never empty.
    pub events: Vec<F>,
}

/// A record as it stands in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The shard in its subject.
    pub shard: Shard,
    /// The registration in its subject.
    pub registration: RegistrationId,
    /// What it says.
    pub record: Record,
    /// What its bytes hash to.
    pub hash: RecordHash,
}

impl Stored {
    /// The link that the next record of this registration carries.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { sequence: self.sequence, hash: self.hash }
    }
}

/// A maker's record as it stands in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMaker {
    /// Its place in the stream.
    pub sequence: Sequence,
    /// The connector in its subject.
    pub connector: String,
    /// What it says.
    pub record: Record<MakerEvent>,
    /// What its bytes hash to.
    pub hash: RecordHash,
}

impl StoredMaker {
    /// The link that the next record of this maker carries.
    #[must_use]
    pub const fn link(&self) -> Link {
        Link { sequence: self.sequence, hash: self.hash }
    }
}

/// Bytes that are no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Does not begin with the magic.
    #[error("not a regflow record: the first bytes are wrong")]
    NoMagic,
    /// Written by a newer program.
    #[error("record of wire version {0}; this program reads version {WIRE_VERSION}")]
    UnknownWireVersion(u8),
    /// The envelope does not decode.
    #[error("the record's envelope is damaged")]
    BadEnvelope,
    /// An event of a newer program.
    #[error("event with tag {tag} version {version} is not known to this program")]
    UnknownEvent {
        /// Its tag.
        tag: u16,
        /// Its version.
        version: u16,
    },
    /// An event's body does not decode.
    #[error("the body of event {tag} version {version} is damaged")]
    BadEvent {
        /// Its tag.
        tag: u16,
        /// Its version.
        version: u16,
    },
    /// Too long, or too many or no events.
    #[error("a record holds 1 to {EVENTS_PER_RECORD_MAX} events in at most {RECORD_BYTES_MAX} bytes")]
    OutOfBounds,
}

#[derive(Serialize, Deserialize)]
struct EnvelopeV1<'a> {
    #[serde(with = "serde_bytes")]
    id: [u8; 16],
    at_us: i64,
    actor: u8,
    actor_name: &'a str,
    #[serde(with = "serde_bytes")]
    cause: Option<[u8; 16]>,
    trace: Option<([u8; 16], [u8; 8], u8)>,
    previous_sequence: u64,
    previous_hash: Option<[u8; 32]>,
    #[serde(borrow)]
    events: Vec<RawEventV1<'a>>,
}

#[derive(Serialize, Deserialize)]
struct RawEventV1<'a> {
    tag: u16,
    version: u16,
    #[serde(borrow, with = "serde_bytes")]
    body: std::borrow::Cow<'a, [u8]>,
}

impl EnvelopeV1<'_> {
    const fn previous(&self) -> Result<Option<Link>, RecordError> {
        match (self.previous_sequence, self.previous_hash) {
            (0, None) => Ok(None),
            (sequence @ 1.., Some(hash)) => Ok(Some(Link { sequence, hash: RecordHash(hash) })),
            (0, Some(_)) | (1.., None) => Err(RecordError::BadEnvelope),
        }
    }
}

fn envelope(bytes: &[u8]) -> Result<EnvelopeV1<'_>, RecordError> {
    let rest = bytes.strip_prefix(&MAGIC).ok_or(RecordError::NoMagic)?;
    let (&version, rest) = rest.split_first().ok_or(RecordError::NoMagic)?;
    if version != WIRE_VERSION {
        return Err(RecordError::UnknownWireVersion(version));
    }
    if bytes.len() > RECORD_BYTES_MAX {
        return Err(RecordError::OutOfBounds);
    }
    match postcard::take_from_bytes::<EnvelopeV1<'_>>(rest) {
        Ok((envelope, [])) => Ok(envelope),
        Ok(_) | Err(_) => Err(RecordError::BadEnvelope),
    }
}

/// What the record in stored bytes names as its predecessor, whatever its events are.
///
/// # Errors
/// [`RecordError`] when the bytes are no record.
pub fn previous_of(bytes: &[u8]) -> Result<Option<Link>, RecordError> {
    envelope(bytes)?.previous()
}

impl Actor {
    const fn to_wire(&self) -> (u8, &str) {
        match self {
            Self::System => (0, ""),
            Self::Client(name) => (1, name.as_str()),
            Self::Operator(name) => (2, name.as_str()),
            Self::Owner => (3, ""),
        }
    }

    fn from_wire(kind: u8, name: &str) -> Result<Self, RecordError> {
        match kind {
            0 => Ok(Self::System),
            1 => Ok(Self::Client(name.to_owned())),
            2 => Ok(Self::Operator(name.to_owned())),
            3 => Ok(Self::Owner),
            4.. => Err(RecordError::BadEnvelope),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System => f.write_str("regflow"),
            Self::Client(name) => write!(f, "client {name}"),
            Self::Operator(name) => write!(f, "operator {name}"),
            Self::Owner => f.write_str("owner"),
        }
    }
}

impl<F: Fact> Record<F> {
    /// The stored bytes.
    ///
    /// # Errors
    /// [`RecordError::OutOfBounds`] when it is empty or over a limit; [`RecordError::BadEnvelope`] when it cannot be written.
    pub fn encode(&self) -> Result<Bytes, RecordError> {
        if self.events.is_empty() || self.events.len() > EVENTS_PER_RECORD_MAX {
            return Err(RecordError::OutOfBounds);
        }
        let (actor, actor_name) = self.actor.to_wire();
        let envelope = EnvelopeV1 {
            id: self.id.0.into_bytes(),
            at_us: self.at.0,
            actor,
            actor_name,
            cause: self.cause.map(|cause| cause.0.into_bytes()),
            trace: self.trace.map(|trace| (trace.trace_id, trace.span_id, trace.flags)),
            previous_sequence: self.previous.map_or(0, |link| link.sequence),
            previous_hash: self.previous.map(|link| link.hash.0),
            events: self.events.iter().map(raw).collect::<Result<_, _>>()?,
        };
        let mut bytes = Vec::with_capacity(512);
        bytes.extend_from_slice(&MAGIC);
        bytes.push(WIRE_VERSION);
        let bytes = postcard::to_extend(&envelope, bytes).map_err(|_| RecordError::BadEnvelope)?;
        if bytes.len() > RECORD_BYTES_MAX {
            return Err(RecordError::OutOfBounds);
        }
        Ok(Bytes::from(bytes))
    }

    /// What stored bytes say.
    ///
    /// # Errors
    /// [`RecordError`] naming what is wrong; nothing is guessed and no remainder is passed over.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        Self::from_envelope(&envelope(bytes)?)
    }

    fn from_envelope(envelope: &EnvelopeV1<'_>) -> Result<Self, RecordError> {
        if envelope.events.is_empty() || envelope.events.len() > EVENTS_PER_RECORD_MAX {
            return Err(RecordError::OutOfBounds);
        }
        let previous = envelope.previous()?;
        // with a capacity of what there is: gathered into a result it would be that of four, and readers keep thousands of them
        let mut events = Vec::with_capacity(envelope.events.len());
        for event in &envelope.events {
            events.push(fact(event)?);
        }
        Ok(Self {
            id: RecordId(Uuid::from_bytes(envelope.id)),
            at: Timestamp(envelope.at_us),
            actor: Actor::from_wire(envelope.actor, envelope.actor_name)?,
            cause: envelope.cause.map(|cause| RecordId(Uuid::from_bytes(cause))),
            trace: envelope.trace.map(|(trace_id, span_id, flags)| TraceContext { trace_id, span_id, flags }),
            previous,
            events,
        })
    }
}

/// The hash of a record's stored bytes.
#[must_use]
pub fn hash_of(bytes: &[u8]) -> RecordHash {
    RecordHash(*blake3::hash(bytes).as_bytes())
}

fn raw<F: Fact>(fact: &F) -> Result<RawEventV1<'static>, RecordError> {
    let body = fact.body().map_err(|_| RecordError::BadEnvelope)?;
    Ok(RawEventV1 { tag: fact.tag(), version: fact.schema_version(), body: body.into() })
}

fn fact<F: Fact>(raw: &RawEventV1<'_>) -> Result<F, RecordError> {
    let (tag, version) = (raw.tag, raw.version);
    match F::from_body(tag, version, &raw.body) {
        Some(Ok(fact)) => Ok(fact),
        Some(Err(_)) => Err(RecordError::BadEvent { tag, version }),
        None => Err(RecordError::UnknownEvent { tag, version }),
    }
}
