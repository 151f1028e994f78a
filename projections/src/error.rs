//! What can go wrong with a view, and what is to be done about it.

use std::error::Error;
use std::io;

use events::Sequence;
use events::state::HistoryError;

use crate::fold::PAGE_RECORDS_MAX;

/// Why a view could not do something.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// The store says no: a full disk, a damaged file.
    #[error("cannot {doing} the view")]
    Store {
        /// What was wanted.
        doing: &'static str,
        /// Why not.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store panicked, as it does on some damaged files.
    #[error("cannot {doing} the view: its store panicked")]
    Panicked {
        /// What was wanted.
        doing: &'static str,
    },
    /// The store did not answer in time.
    #[error("cannot {doing} the view: its store hangs")]
    TimedOut {
        /// What was wanted.
        doing: &'static str,
    },
    /// A row or key is not what this program writes.
    #[error("an entry of the view cannot be decoded")]
    Undecodable,
    /// A record does not follow what the view holds.
    #[error("the record at sequence {sequence} does not follow what the view holds")]
    OutOfOrder {
        /// Where it stands in the log.
        sequence: Sequence,
        /// What does not fit; nothing when the page itself goes backwards.
        source: Option<HistoryError>,
    },
    /// An earlier error left the view in doubt.
    #[error("the view is in doubt since an earlier error and must be begun anew")]
    InDoubt,
    /// A caller's mistake.
    #[error("a page of {records} records is too long; at most {PAGE_RECORDS_MAX} are taken")]
    PageTooLong {
        /// How many came.
        records: usize,
    },
    /// It is being begun anew, or that failed.
    #[error("the view is not open")]
    Closed,
    /// Another process has it open.
    #[error("the folder of the view is in use by another process")]
    InUse,
    /// The folder cannot be moved or removed.
    #[error("cannot {doing} the folder of the view")]
    Folder {
        /// What was wanted.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl ViewError {
    /// Whether the view can only go on after `start_over`.
    #[must_use]
    pub const fn needs_rebuild(&self) -> bool {
        match self {
            Self::Store { .. }
            | Self::Panicked { .. }
            | Self::TimedOut { .. }
            | Self::Undecodable
            | Self::OutOfOrder { .. }
            | Self::InDoubt
            | Self::Closed => true,
            Self::PageTooLong { .. } | Self::InUse | Self::Folder { .. } => false,
        }
    }
}

/// Why a view that was found is not used.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    /// Written by another version of this program.
    #[error("it was written with schema {found}")]
    OtherSchema {
        /// The schema of its checkpoint.
        found: u32,
    },
    /// Built from another stream.
    #[error("it was built from another stream (incarnation {found})")]
    OtherStream {
        /// The incarnation in its checkpoint.
        found: i64,
    },
    /// Holds rows, but does not say up to where.
    #[error("it has no checkpoint")]
    NoCheckpoint,
    /// It cannot be opened or read.
    #[error(transparent)]
    Unreadable(ViewError),
    /// The caller asked for it, after an error or because the log says otherwise.
    #[error("it was given up while in use")]
    GivenUp,
}

/// Why a list is not given.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The token is not one of ours, or was given for another filter.
    #[error("the page token does not belong to this list; begin without one")]
    BadToken,
    /// The view itself.
    #[error(transparent)]
    View(#[from] ViewError),
}

/// The deadline came before the sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the view has come to sequence {position}, not yet to {wanted}")]
pub struct NotYet {
    /// How far it has come.
    pub position: Sequence,
    /// How far it should have.
    pub wanted: Sequence,
}
