//! Reactions to events, one file each, and the engine that gives them their turn.
//!
//! A record comes in, a pure rule (`events::next_step`) says what is wanted, one handler performs one effect, one append
//! records what came of it. Nothing here reads a view: what a handler knows it has folded from the log.

mod alert;
mod another_try;
mod api_attempt;
mod arrival;
mod automation_attempt;
mod crash;
pub mod desk;
mod dispatch;
mod driver;
mod engine;
mod explain;
pub mod forget;
mod health_check;
pub mod intake;
mod journal;
mod log_trouble;
mod manual_fallback;
mod meters;
mod notify;
pub mod operations;
mod owner_mail;
mod packet_letter;
mod reconcile;
pub mod rehearsal;
pub mod rotation;
pub mod told;
pub mod trace;
mod turns;
mod waits;
pub mod webhooks;
mod world;

use crash::crash_point;
pub use engine::{Engine, EngineHandle, EngineOptions, Explanation, MakerStatus, MethodStatus, Tried, WaitsFor};
pub use explain::explain;
pub use journal::{JournalError, load};
pub use log_trouble::tell_of_trouble;
pub use notify::Notifier;
pub use packet_letter::PacketMail;
pub use waits::{LongestWait, longest_waits};
pub use world::{Clock, LookupOptions, PrivateError, World, WorldOptions, system_clock};
