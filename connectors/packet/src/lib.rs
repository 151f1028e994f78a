//! The packet that an owner finishes by hand, and the proof of a registration: what they say, and the press that has them drawn by
//! processes of a program of its own (`connectors/typeset`).

mod check;
mod data;
mod link;
mod press;
mod proof;
pub mod wire;

pub use check::{ADDRESS_LINES_MAX, FIELDS_MAX, NOTES_MAX, STEPS_MAX, TEXT_CHARS_MAX, TEXT_CHARS_TOTAL_MAX};
pub use data::{PacketData, PacketField, PacketMaker, PacketOwner, PacketProduct, PacketPurchase};
pub use link::parse as parse_link;
pub use press::{Press, PressError, PressOptions};
pub use proof::{DELIVERIES_MAX, FILES_MAX, ProofDelivery, ProofDocument, ProofFile, ProofValue, VALUES_MAX};

/// A finished packet.
#[derive(Clone, Debug)]
pub struct Packet {
    /// The file; the same data at the same time give the same bytes.
    pub pdf: Vec<u8>,
    /// Number of A4 pages.
    pub pages: usize,
    /// Names of the fields with signs that the fonts cannot carry (`owner.name`, `fields[2].value`); the packet says so too.
    pub missing_glyphs: Vec<String>,
    /// Whether the file conforms to PDF/UA-1, the standard for screen readers.
    pub pdf_ua: bool,
}

/// Why no packet could be made; no text of it holds personal data.
#[derive(Debug, thiserror::Error)]
pub enum PacketError {
    /// A text is longer than a form or a page has use for.
    #[error("{field} is longer than {max_chars} characters")]
    TooLong {
        /// Where in the data, for example `owner.name` or `fields[2].value`.
        field: String,
        /// The bound that was passed.
        max_chars: usize,
    },
    /// A list has more entries than a packet of a few pages can show.
    #[error("{field} has more than {max} entries")]
    TooMany {
        /// Which list.
        field: &'static str,
        /// The bound that was passed.
        max: usize,
    },
    /// Control characters, direction overrides or non-characters, which could make the page say what the data do not.
    #[error("{field} holds a control character or a direction override")]
    BadText {
        /// Where in the data.
        field: String,
    },
    /// Not an absolute http or https address without credentials.
    #[error("link is not a plain http or https address")]
    BadLink,
    /// The data could not be written down for the template.
    #[error("encoding the packet's data")]
    Encode(#[source] serde_json::Error),
    /// The template failed; the compiler's own words may quote data, so only the place is told.
    #[error("laying out the packet: the template failed at line {line}")]
    Layout {
        /// Line of the template, 0 when unknown.
        line: usize,
    },
    /// The laid-out packet could not be written as a PDF.
    #[error("writing the packet as a PDF")]
    Export,
    /// It was not done when its time was over.
    #[error("drawing the packet took longer than {} ms and was given up", .deadline.as_millis())]
    TookTooLong {
        /// The time that it had.
        deadline: std::time::Duration,
    },
    /// The process that drew it ended.
    #[error("the packet's worker did not finish: {how}")]
    WorkerEnded {
        /// What ended it.
        how: &'static str,
    },
    /// The process that draws could not be started or spoken to.
    #[error("using the packet's worker")]
    Worker(#[source] std::io::Error),
}

impl PacketError {
    /// Whether another try may go better: the machine was short of something, not the data wrong.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Self::TookTooLong { .. } | Self::WorkerEnded { .. } | Self::Worker(_) => true,
            Self::TooLong { .. }
            | Self::TooMany { .. }
            | Self::BadText { .. }
            | Self::BadLink
            | Self::Encode(_)
            | Self::Layout { .. }
            | Self::Export => false,
        }
    }
}
