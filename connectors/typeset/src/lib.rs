//! Draws packets and proofs as PDFs, in processes of a program of its own: data in as values, bytes out, no clock, no file system
//! after the start.

mod codes;
mod fonts;
mod frames;
#[cfg(test)]
mod hostile_tests;
mod proof;
mod qr;
mod render;
mod view;
mod worker;
mod world;

use std::path::PathBuf;

pub use fonts::{FONT_BYTES_MAX, FONT_FILES_MAX, check_fonts};
pub use render::PacketRenderer;
pub use worker::{WorkerError, WorkerOptions, work};

/// Why nothing can be drawn.
#[derive(Debug, thiserror::Error)]
pub enum RendererError {
    /// The configured fonts folder could not be read.
    #[error("reading the fonts folder {path:?}")]
    Fonts {
        /// The folder or the file in it.
        path: PathBuf,
        /// What the file system said.
        source: std::io::Error,
    },
    /// A font file is unreadable, too big, or there are too many.
    #[error("loading the font {path:?}: {problem}")]
    BadFont {
        /// The file (or the folder, when there are too many in it).
        path: PathBuf,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The compiler does not take the name of a template; it takes those of ours.
    #[error("the template has no name")]
    Template,
}
