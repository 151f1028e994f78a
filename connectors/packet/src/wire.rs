//! What the press and its workers say to each other: frames of a length (four bytes, big end first) and so many bytes.

use std::io::{self, Read, Write};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::{Packet, PacketData, PacketError, ProofDocument};

/// Longest frame: a whole packet with a person's QR code and fonts is far below.
pub const FRAME_BYTES_MAX: u32 = 64 << 20;

/// One document to draw.
#[derive(Serialize, Deserialize)]
pub struct Job {
    /// What to draw.
    pub document: Document,
    /// The day that it names, and its time of creation.
    pub at: Timestamp,
}

/// What is drawn.
#[derive(Serialize, Deserialize)]
pub enum Document {
    /// A packet for an owner.
    Packet(Box<PacketData>),
    /// The proof of a registration.
    Proof(Box<ProofDocument>),
}

/// What a worker says of a job; for a packet its file follows in a frame of its own.
#[derive(Serialize, Deserialize)]
pub enum Said {
    /// As in [`Packet`].
    Drawn {
        /// Number of A4 pages.
        pages: usize,
        /// Names of fields with signs that no font has.
        missing_glyphs: Vec<String>,
        /// Whether it conforms to PDF/UA-1.
        pdf_ua: bool,
    },
    /// As [`PacketError::Layout`].
    Layout {
        /// Line of the template, 0 when unknown.
        line: usize,
    },
    /// As [`PacketError::Export`].
    Export,
}

impl Said {
    /// What went wrong, for the press; everything else was refused before the job was sent.
    #[must_use]
    pub fn of(error: &PacketError) -> Self {
        match error {
            PacketError::Layout { line } => Self::Layout { line: *line },
            PacketError::TooLong { .. }
            | PacketError::TooMany { .. }
            | PacketError::BadText { .. }
            | PacketError::BadLink
            | PacketError::Encode(_)
            | PacketError::TookTooLong { .. }
            | PacketError::WorkerEnded { .. }
            | PacketError::Worker(_)
            | PacketError::Export => Self::Export,
        }
    }

    /// The packet, with the file that followed.
    ///
    /// # Errors
    /// What the worker said.
    pub fn with(self, pdf: Vec<u8>) -> Result<Packet, PacketError> {
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
pub fn length(bytes: &[u8]) -> io::Result<[u8; 4]> {
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= FRAME_BYTES_MAX);
    length.map(u32::to_be_bytes).ok_or_else(too_long)
}

/// How many bytes follow.
///
/// # Errors
/// More than any frame has.
pub fn expected(length: [u8; 4]) -> io::Result<usize> {
    let length = u32::from_be_bytes(length);
    if length > FRAME_BYTES_MAX { Err(too_long()) } else { usize::try_from(length).map_err(|_| too_long()) }
}

/// Writes a frame.
///
/// # Errors
/// It is longer than any, or cannot be written.
pub fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    to.write_all(&length(bytes)?)?;
    to.write_all(bytes)
}

/// The next frame; nothing at the end.
///
/// # Errors
/// It is longer than any, or cannot be read.
pub fn read(from: &mut impl Read) -> io::Result<Option<Vec<u8>>> {
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
