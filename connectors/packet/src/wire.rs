//! What the press and its workers say to each other: frames of a length (four bytes, big end first) and so many bytes.

use std::io::{self, Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Packet, PacketData, PacketError, ProofDocument};

/// Longest frame: a whole packet with a person's QR code and fonts is far below.
pub(crate) const FRAME_BYTES_MAX: u32 = 64 << 20;

/// One document to draw.
#[derive(Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) document: Document,
    pub(crate) at: Timestamp,
}

/// What is drawn.
#[derive(Serialize, Deserialize)]
pub(crate) enum Document {
    Packet(Box<PacketData>),
    Proof(Box<ProofDocument>),
}

/// What a worker says of a job; for a packet its file follows in a frame of its own.
#[derive(Serialize, Deserialize)]
pub(crate) enum Said {
    Drawn { pages: usize, missing_glyphs: Vec<String>, pdf_ua: bool },
    Layout { line: usize },
    Export,
}

impl Said {
    /// Everything else was refused before the job was sent.
    pub(crate) fn of(error: &PacketError) -> Self {
        match error {
            PacketError::Layout { line } => Self::Layout { line: *line },
            PacketError::TooLong { .. }
            | PacketError::TooMany { .. }
            | PacketError::BadText { .. }
            | PacketError::BadLink
            | PacketError::Fonts { .. }
            | PacketError::BadFont { .. }
            | PacketError::Encode(_)
            | PacketError::TookTooLong { .. }
            | PacketError::WorkerEnded { .. }
            | PacketError::Worker(_)
            | PacketError::Export => Self::Export,
        }
    }

    pub(crate) fn with(self, pdf: Vec<u8>) -> Result<Packet, PacketError> {
        match self {
            Self::Drawn { pages, missing_glyphs, pdf_ua } => Ok(Packet { pdf, pages, missing_glyphs, pdf_ua }),
            Self::Layout { line } => Err(PacketError::Layout { line }),
            Self::Export => Err(PacketError::Export),
        }
    }
}

/// The length in front of a frame.
///
/// # Errors
/// The frame is longer than any.
pub(crate) fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    length.map(u32::to_be_bytes).ok_or_else(too_long)
}

/// How many bytes follow.
///
/// # Errors
/// More than any frame has.
pub(crate) fn expected(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX { Err(too_long()) } else { usize::try_from(length).map_err(|_| too_long()) }
}

pub(crate) fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&length(bytes)?)?;
    to.write_all(bytes)
}

/// The next frame; nothing at the end.
pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match from.read_exact(&mut length) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    let mut bytes = vec![0; expected(length)?];
    from.read_exact(&mut bytes)?;
    Ok(Some(bytes))
}

fn too_long() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a frame longer than any")
}
