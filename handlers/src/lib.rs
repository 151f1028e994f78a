//! Reactions to events, one file each, and the engine that gives them their turn.
//!
//! A record comes in, a pure rule (`events::next_step`) says what is wanted, one handler performs one effect, one append
//! records what came of it. Nothing here reads a view: what a handler knows it has folded from the log.

mod api_attempt;
mod automation_attempt;
pub mod desk;
mod dispatch;
mod driver;
mod engine;
pub mod intake;
mod journal;
mod manual_fallback;
mod notify;
mod queue;
mod world;

pub use engine::{Engine, EngineOptions};
pub use journal::JournalError;
pub use notify::Notifier;
pub use world::{Clock, PrivateError, World, WorldOptions, system_clock};
