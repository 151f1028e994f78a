//! What streams there are and how they are kept: nats/topology.toml, the one declaration for code and people.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};
use serde::Deserialize;

/// The committed declaration.
const TOPOLOGY_TOML: &str = include_str!("../../nats/topology.toml");
/// The key in a stream's metadata that keeps the number of shards it was created with.
pub(crate) const SHARDS_KEY: &str = "regflow_shards";
/// The shortest that the server takes. No message of ours has an id by which it would know it again (`Nats-Msg-Id`): what is
/// stored twice is kept out by its place in the stream or in its subject. And the server reads all that came within the window
/// again when it starts: with its own two minutes, a second more for a million registrations.
const DUPLICATE_WINDOW: Duration = Duration::from_millis(100);

/// All streams, buckets and object stores.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Topology {
    /// Into how many shards registrations are divided; fixed when the stream of records is created.
    pub shards: u16,
    /// Copies of each message: 1, or 3 on a cluster.
    pub replicas: usize,
    streams: BTreeMap<String, Kept>,
}

/// How one stream is kept.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    subjects: Vec<String>,
    description: String,
    /// 0: no limit but the server's.
    max_message_bytes: i32,
    /// 0: for ever.
    #[serde(default)]
    max_age_days: u64,
    /// 0: no limit.
    #[serde(default)]
    max_messages_per_subject: i64,
    #[serde(default)]
    allow_atomic: bool,
    #[serde(default)]
    allow_rollup: bool,
    deny_delete: bool,
    deny_purge: bool,
    /// Whether the number of shards is kept with this stream.
    #[serde(default)]
    sharded: bool,
}

/// The declaration cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the topology: {0}")]
pub struct TopologyFileError(#[from] toml::de::Error);

impl Topology {
    /// The declaration that was compiled in.
    ///
    /// # Errors
    /// [`TopologyFileError`] when it does not parse; a test sees to it that it does.
    pub fn committed() -> Result<Self, TopologyFileError> {
        Self::parse(TOPOLOGY_TOML)
    }

    /// A declaration in the format of nats/topology.toml.
    ///
    /// # Errors
    /// [`TopologyFileError`] with line and column.
    pub fn parse(text: &str) -> Result<Self, TopologyFileError> {
        Ok(toml::from_str(text)?)
    }

    /// The same with other numbers of copies.
    #[must_use]
    pub fn with_replicas(mut self, replicas: usize) -> Self {
        self.replicas = replicas;
        self
    }

    /// Each stream as the server is to have it.
    pub(crate) fn configs(&self) -> Vec<Config> {
        self.streams.iter().map(|(name, kept)| self.config(name, kept)).collect()
    }

    fn config(&self, name: &str, kept: &Kept) -> Config {
        let shards = kept.sharded.then(|| (SHARDS_KEY.to_owned(), self.shards.to_string()));
        Config {
            name: name.to_owned(),
            description: Some(kept.description.clone()),
            subjects: kept.subjects.clone(),
            retention: RetentionPolicy::Limits,
            storage: StorageType::File,
            discard: DiscardPolicy::New,
            num_replicas: self.replicas,
            max_message_size: unlimited(kept.max_message_bytes, 0, -1),
            max_messages_per_subject: unlimited(kept.max_messages_per_subject, 0, -1),
            max_messages: -1,
            max_bytes: -1,
            max_consumers: -1,
            max_age: Duration::from_secs(kept.max_age_days * 86_400),
            duplicate_window: DUPLICATE_WINDOW,
            allow_direct: true,
            allow_atomic_publish: kept.allow_atomic,
            allow_rollup: kept.allow_rollup,
            deny_delete: kept.deny_delete,
            deny_purge: kept.deny_purge,
            metadata: shards.into_iter().collect::<HashMap<_, _>>(),
            ..Config::default()
        }
    }
}

/// The server's word for "no limit" in place of ours.
fn unlimited<T: PartialEq>(limit: T, ours: T, servers: T) -> T {
    if limit == ours { servers } else { limit }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that panics has failed")]
    use super::*;
    use events::subject::{EVENTS_STREAM, LEASES_STREAM, NOTIFY_STREAM};

    #[test]
    fn the_committed_topology_names_every_stream_that_the_code_uses() {
        let names: Vec<_> = Topology::committed().unwrap().streams.into_keys().collect();
        assert_eq!(names, [EVENTS_STREAM, "KV_KEYS", LEASES_STREAM, NOTIFY_STREAM, "OBJ_OBJECTS"]);
    }

    #[test]
    fn the_log_of_events_is_kept_for_ever_and_nothing_in_it_can_be_deleted() {
        let configs = Topology::committed().unwrap().configs();
        let events = configs.iter().find(|config| config.name == EVENTS_STREAM).unwrap();
        assert!(events.deny_delete && events.deny_purge && events.max_age.is_zero());
        assert_eq!(events.metadata.get(SHARDS_KEY).map(String::as_str), Some("64"));
        assert!(usize::try_from(events.max_message_size).unwrap() > events::record::RECORD_BYTES_MAX);
    }

    #[test]
    fn no_stream_looks_for_duplicates_by_id() {
        let configs = Topology::committed().unwrap().configs();
        let windows: Vec<_> = configs.iter().map(|config| config.duplicate_window).collect();
        assert_eq!(windows, vec![DUPLICATE_WINDOW; configs.len()]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_place() {
        let refused = Topology::parse("shards = 64\nreplicas = 1\nstream = 3\n").unwrap_err().to_string();
        assert!(refused.contains("line 3") && refused.contains("stream"), "{refused}");
    }
}
