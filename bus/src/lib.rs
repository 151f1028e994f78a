//! The log on NATS JetStream, its keys and objects, and the embedded server. The only crate that names async-nats.
//!
//! - [`EventLog`]: append, load, follow; [`NatsLog`] on a server and [`MemoryLog`] in memory pass one contract suite;
//!   [`ReadOnlyLog`] is for those who only look
//! - [`Committer`]: group commit, by atomic batches when enough has gathered
//! - [`Topology`]: the streams of nats/topology.toml, created when missing, refused when different, never deleted
//! - [`KeyVault`], [`ObjectStore`], [`NotifyLog`]: person keys, files, what outside subscribers read
//! - [`Outbox`]: notifications on their way to programs elsewhere, acknowledged one by one
//! - [`Lease`]: which of several processes does the work
//! - [`WholeLog`], [`Trust`], [`Check`]: the stream as it is stored, its signed heads outside of it, and whether they agree
//! - [`Gate`]: closes the log for writing once they do not
//! - [`Embedded`]: a supervised nats-server of our own
//! - [`Bus`]: all of it behind one URL

mod ack;
mod batch;
mod bus;
mod committer;
mod connection;
mod convoy;
mod direct;
mod durability;
mod echo;
mod embedded;
mod ensure;
mod follow;
mod gate;
mod keeper;
mod kept;
mod key_file;
mod key_store;
mod keys;
mod launch;
mod lease;
mod log;
mod master_file;
mod masters;
mod memory_log;
mod meters;
mod nats_log;
mod notify;
mod objects;
mod outbox;
mod pool;
mod raw;
mod read_only;
mod rotation;
mod server_conf;
mod settle;
mod staging;
mod storing;
mod tail;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod topology;
mod trust;
mod whole;

pub use batch::Guard;
pub use bus::{Bus, BusError, BusOptions, Closer, ServerHealth, Writes};
pub use committer::{CommitMode, Committer};
pub use durability::Durability;
pub use embedded::{DiskSync, Embedded, EmbeddedError, EmbeddedOptions, Medic};
pub use ensure::TopologyError;
pub use gate::{Gate, GatedLog, Trouble};
pub use key_file::{KeyBytes, KeyFileError, key_from_hex, load_or_create_key};
pub use keys::{KeyError, KeyVault};
pub use lease::{Lease, LeaseOptions};
pub use log::{
    AppendError, EventLog, Follow, FollowError, FollowItem, Head, Incarnation, LoadError, Page, Unavailable,
};
pub use master_file::MasterFile;
pub use memory_log::MemoryLog;
pub use nats_log::NatsLog;
pub use notify::{Notification, NotifyError, NotifyLog};
pub use objects::{MemoryObjects, NatsObjects, OBJECT_BYTES_MAX, ObjectError, ObjectStore};
pub use outbox::{Again, Deliveries, Delivery, Outbox, Recipient, Since, Standing};
pub use raw::{RawError, raw_ceiling, raw_length, raw_notified, raw_read};
pub use read_only::ReadOnlyLog;
pub use staging::STREAMS_FOLDER;
pub use storing::StoringState;
pub use topology::{Topology, TopologyFileError};
pub use trust::{
    Accepted, Check, CheckError, Era, Flaw, FlawKind, Progress, ReadHead, Report, Trust, TrustError, TrustFolder,
    TrustOptions, TrustStatus,
};
pub use whole::{RawFollow, RawMessage, RawPage, ReadOptions, StreamFacts, WholeLog};
