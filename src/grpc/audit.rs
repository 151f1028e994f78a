//! regflow.v1.Audit: what is stored, as it is stored.

use std::sync::Arc;

use bus::EventLog;
use events::{Event, Stored};
use proto::v1::audit_server::Audit;
use proto::{Timestamp, v1};
use serde_json::Value;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::caller::sight;
use super::errors;
use super::views::Views;

/// The audit service.
#[derive(Clone)]
pub struct AuditService {
    pub log: Arc<dyn EventLog>,
    pub views: Arc<Views>,
}

#[tonic::async_trait]
impl Audit for AuditService {
    type ReplayStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::RecordView, Status>> + Send>>;

    async fn replay(&self, request: Request<v1::ReplayRequest>) -> Result<Response<Self::ReplayStream>, Status> {
        let (sight, text) = (sight(&request)?, request.into_inner().id);
        let (shard, id) = self.views.place(&text, &sight).await?;
        let history = self.log.load(shard, id).await.map_err(|error| errors::of_journal(&error.into()))?;
        let records: Vec<_> = history.iter().map(record).map(Ok).collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(records))))
    }
}

/// A stored record on the wire.
fn record(stored: &Stored) -> v1::RecordView {
    let record = &stored.record;
    v1::RecordView {
        sequence: stored.sequence,
        record_id: record.id.to_string(),
        registration_id: stored.registration.to_string(),
        at: Some(timestamp(record.at)),
        actor: record.actor.to_string(),
        cause: record.cause.map(|cause| cause.to_string()).unwrap_or_default(),
        trace: record.trace.map(|trace| hex::encode(trace.trace_id)).unwrap_or_default(),
        previous_sequence: record.previous.map(|link| link.sequence).unwrap_or_default(),
        previous_hash: record.previous.map(|link| hex::encode(link.hash.0)).unwrap_or_default(),
        hash: hex::encode(stored.hash.0),
        events: record.events.iter().map(event).collect(),
    }
}

/// An event on the wire: its fields as they are stored, bytes as hex digits, what is sealed as its length only.
pub fn event(event: &Event) -> v1::EventView {
    let mut fields = serde_json::to_value(event).unwrap_or_default();
    tidy(&mut fields);
    v1::EventView {
        name: event.name().to_owned(),
        tag: event.tag().into(),
        version: event.schema_version().into(),
        fields: serde_json::from_value(fields).ok(),
    }
}

fn tidy(value: &mut Value) {
    let Value::Object(fields) = value else { return };
    fields.retain(|_, value| !value.is_null());
    for (name, value) in fields {
        match (name.as_str(), &*value) {
            ("sealed", Value::Array(bytes)) => *value = format!("{} bytes, sealed", bytes.len()).into(),
            ("owner_ref" | "sha256", Value::Array(bytes)) => *value = hex_of(bytes).into(),
            _ => tidy(value),
        }
    }
}

fn hex_of(bytes: &[Value]) -> String {
    let bytes: Vec<u8> = bytes.iter().filter_map(|b| b.as_u64().and_then(|b| u8::try_from(b).ok())).collect();
    hex::encode(bytes)
}

/// A point in time on the wire.
pub fn timestamp(at: events::Timestamp) -> Timestamp {
    let nanos = at.0.rem_euclid(1_000_000) * 1_000;
    Timestamp { seconds: at.0.div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or_default() }
}
