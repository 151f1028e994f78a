//! What goes into an attempt beside the recipe, and what comes out of it.

use std::fmt;
use std::time::Duration;

use events::Outcome;

use crate::BrowserError;

/// A file to upload; a field of kind `file` names it.
#[derive(Clone, PartialEq, Eq)]
pub struct FormFile {
    /// Its name as the maker sees it, with extension.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

// Without name and content: both are the owner's.
impl fmt::Debug for FormFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FormFile").field("bytes", &self.bytes.len()).finish_non_exhaustive()
    }
}

/// What one attempt came to.
#[derive(Debug)]
pub struct FormReport {
    /// For the ladder.
    pub outcome: Outcome,
    /// The last page as the owner would have seen it: PNG, holds personal data.
    pub screenshot: Option<Vec<u8>>,
    /// Whether the last step's button was clicked, or may have been.
    pub clicked_submit: bool,
    /// The step that was reached, counted from 0.
    pub step: usize,
    /// From the first wish for a browser to the last page read.
    pub latency: Duration,
    /// Connections that its pages wanted and were refused, because they led elsewhere than pages may go.
    pub refused_connections: u32,
    /// Set when our browser failed, not the maker: nothing to count toward the maker's circuit.
    pub trouble: Option<BrowserError>,
}
