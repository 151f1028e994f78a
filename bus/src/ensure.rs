//! Makes the server have the streams of the topology: creates what is missing, refuses what differs, never deletes.

use async_nats::jetstream::Context;
use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::context::GetStreamErrorKind;
use async_nats::jetstream::stream::Config;

use crate::log::Unavailable;
use crate::topology::{SHARDS_KEY, Topology};

/// Why the server's streams do not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopologyError {
    /// A stream is kept in another way than declared.
    #[error("stream {stream} has {setting} = {found}, but nats/topology.toml wants {wanted}; {remedy}")]
    Differs {
        /// The stream.
        stream: String,
        /// The setting.
        setting: &'static str,
        /// What is declared.
        wanted: String,
        /// What the server has.
        found: String,
        /// What to do.
        remedy: &'static str,
    },
    /// The server does not create a stream.
    #[error("the server refuses to create stream {stream}: {reason}")]
    Refused {
        /// The stream.
        stream: String,
        /// The server's words.
        reason: String,
    },
    /// JetStream is off, or the server is away.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// What to do about a setting that a running stream can change.
const EDIT: &str = "change it on the server (`nats stream edit`), or the declaration";
/// What to do about a setting that is fixed at creation.
const FIXED: &str =
    "it is fixed when the stream is created: use the declaration that it was created with, or another server";

/// Checks every stream of the topology and creates the missing ones.
pub(crate) async fn ensure(jetstream: &Context, topology: &Topology) -> Result<(), TopologyError> {
    for wanted in topology.configs() {
        match jetstream.get_stream(&wanted.name).await {
            Ok(stream) => compare(&wanted, &stream.cached_info().config)?,
            Err(error) => match error.kind() {
                GetStreamErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                    create(jetstream, wanted).await?;
                }
                GetStreamErrorKind::EmptyName
                | GetStreamErrorKind::Request
                | GetStreamErrorKind::InvalidStreamName
                | GetStreamErrorKind::JetStream(_) => {
                    return Err(Unavailable::new("look at the streams of the server", error).into());
                }
            },
        }
    }
    Ok(())
}

async fn create(jetstream: &Context, wanted: Config) -> Result<(), TopologyError> {
    let stream = wanted.name.clone();
    // another process may have created it meanwhile: the server says yes to the same configuration
    let created = jetstream.create_stream(wanted.clone()).await;
    let created =
        created.map_err(|error| TopologyError::Refused { stream: stream.clone(), reason: error.to_string() })?;
    tracing::info!(stream, "created a stream");
    compare(&wanted, &created.cached_info().config)
}

/// Refuses the first setting in which a stream differs. More copies than wanted are welcome.
fn compare(wanted: &Config, found: &Config) -> Result<(), TopologyError> {
    let mut wanted_subjects = wanted.subjects.clone();
    let mut found_subjects = found.subjects.clone();
    wanted_subjects.sort_unstable();
    found_subjects.sort_unstable();
    let shards = |config: &Config| config.metadata.get(SHARDS_KEY).cloned();
    let check = |setting, remedy, wanted_value: String, found_value: String| {
        if wanted_value == found_value {
            return Ok(());
        }
        Err(TopologyError::Differs {
            stream: wanted.name.clone(),
            setting,
            wanted: wanted_value,
            found: found_value,
            remedy,
        })
    };
    macro_rules! same {
        ($($setting:literal $remedy:ident: $wanted:expr, $found:expr;)+) => {
            $(check($setting, $remedy, format!("{:?}", $wanted), format!("{:?}", $found))?;)+
        };
    }
    same! {
        "subjects" EDIT: wanted_subjects, found_subjects;
        "shards" FIXED: shards(wanted), shards(found);
        "storage" FIXED: wanted.storage, found.storage;
        "retention" FIXED: wanted.retention, found.retention;
        "deny_delete" FIXED: wanted.deny_delete, found.deny_delete;
        "deny_purge" FIXED: wanted.deny_purge, found.deny_purge;
        "persist_mode" FIXED: wanted.persist_mode.unwrap_or_default(), found.persist_mode.unwrap_or_default();
        "discard" EDIT: wanted.discard, found.discard;
        "max_age" EDIT: wanted.max_age, found.max_age;
        "max_msgs" EDIT: wanted.max_messages, found.max_messages;
        "max_bytes" EDIT: wanted.max_bytes, found.max_bytes;
        "max_msgs_per_subject" EDIT: wanted.max_messages_per_subject, found.max_messages_per_subject;
        "max_msg_size" EDIT: wanted.max_message_size, found.max_message_size;
        "allow_direct" EDIT: wanted.allow_direct, found.allow_direct;
        "allow_atomic" EDIT: wanted.allow_atomic_publish, found.allow_atomic_publish;
        "allow_rollup_hdrs" EDIT: wanted.allow_rollup, found.allow_rollup;
        "sealed" FIXED: wanted.sealed, found.sealed;
        "num_replicas" EDIT: wanted.num_replicas, found.num_replicas.min(wanted.num_replicas);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config {
            name: "EVENTS".to_owned(),
            subjects: vec!["a".to_owned(), "b".to_owned()],
            num_replicas: 1,
            ..Config::default()
        }
    }

    #[test]
    fn the_order_of_subjects_and_more_copies_do_not_matter() {
        let found = Config { subjects: vec!["b".to_owned(), "a".to_owned()], num_replicas: 3, ..config() };
        assert_eq!(compare(&config(), &found), Ok(()));
    }

    #[test]
    fn a_difference_names_stream_setting_both_values_and_the_remedy() {
        let found = Config { allow_direct: true, ..config() };
        let text = compare(&config(), &found).map_err(|error| error.to_string());
        let text = text.expect_err("must be refused");
        assert_eq!(text, format!("stream EVENTS has allow_direct = true, but nats/topology.toml wants false; {EDIT}"));
    }

    #[test]
    fn fewer_copies_are_refused() {
        let wanted = Config { num_replicas: 3, ..config() };
        assert!(matches!(compare(&wanted, &config()), Err(TopologyError::Differs { setting: "num_replicas", .. })));
    }
}
