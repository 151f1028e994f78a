//! Records for tests, and waiting for what should come.

use std::time::Duration;

use events::event::Cancelled;
use events::maker_event::CircuitClosed;
use events::record::Link;
use events::{Actor, MakerEvent, Method, Record, RecordId, RegistrationId, Shard, Timestamp};
use regflow_bus::{Follow, FollowItem};
use uuid::Uuid;

/// The shard of all test registrations.
pub const SHARD: Shard = Shard(3);
/// Longest wait for something that should happen.
pub const SOON: Duration = Duration::from_secs(10);

pub fn new_id() -> RegistrationId {
    RegistrationId(Uuid::now_v7())
}

/// A record with `text` in it, chained to `previous`.
pub fn record_saying(text: &str, previous: Option<Link>) -> Record {
    Record {
        id: RecordId(Uuid::now_v7()),
        at: Timestamp(1),
        actor: Actor::System,
        cause: None,
        trace: None,
        previous,
        events: vec![Cancelled { reason: Some(text.to_owned()) }.into()],
    }
}

pub fn record(previous: Option<Link>) -> Record {
    record_saying("because", previous)
}

/// A record of a maker, chained to `previous`.
pub fn maker_record(previous: Option<Link>) -> Record<MakerEvent> {
    let id = RecordId(Uuid::now_v7());
    let events = vec![CircuitClosed { method: Method::Api }.into()];
    Record { id, at: Timestamp(1), actor: Actor::System, cause: None, trace: None, previous, events }
}

/// Reads until `count` items have come.
pub async fn read(follow: &mut dyn Follow, count: usize) -> Vec<FollowItem> {
    let mut items = Vec::new();
    let reading = async {
        while items.len() < count {
            items.extend(follow.next_page(count - items.len(), Duration::from_millis(200)).await.unwrap().items);
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("the items should have come");
    items
}

pub fn sequences(items: &[FollowItem]) -> Vec<u64> {
    items.iter().map(FollowItem::sequence).collect()
}
