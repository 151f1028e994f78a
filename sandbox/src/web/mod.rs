//! What the makers' HTTP sides have in common, and the sandbox's own pages.

use std::sync::Arc;

use crate::desk::Desk;

pub(crate) mod api;
pub(crate) mod console;
pub(crate) mod control;
pub(crate) mod door;
pub(crate) mod edits;
pub(crate) mod forms;
pub(crate) mod intake;
pub(crate) mod pages;
pub(crate) mod server;
pub(crate) mod sessions;
pub(crate) mod tokens;

/// What every handler gets as its state.
pub(crate) type Shared = Arc<Desk>;
