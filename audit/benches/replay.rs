//! How fast the log is replayed, in one run against a real nats-server: a bare ordered read, decoded records, lines, lines over
//! gRPC, and a fold as of the end. Prints one JSON object.
//!
//! `cargo bench -p regflow-audit`; `REGFLOW_BENCH_REGISTRATIONS` says how many registrations (three records and five events
//! each) are stored first, 40,000 by default.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, reason = "a measurement stops where it breaks")]

#[allow(dead_code, reason = "each bench uses a part of it")]
#[path = "../../events/benches/happy/mod.rs"]
mod happy;

use std::io::Write;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bus::testing::TestServer;
use bus::{EventLog, FollowItem, ReadOnlyLog, ReadOptions};
use events::{Actor, Guards, Link, PersonKeyId, Record, RecordId, RegistrationId, Shard, Timestamp};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use projections::Wanted;
use proto::v1;
use proto::v1::audit_client::AuditClient;
use proto::v1::audit_server::{Audit, AuditServer};
use regflow_audit::{Replay, Wish, as_of, lines};
use serde_json::{Value, json};
use tonic::{Request, Response, Status};
use uuid::Uuid;

/// Registrations being stored at once, so that the server gets full batches.
const AT_ONCE: usize = 1_000;
/// Runs of each measurement; the quickest counts, because the others had to share the machine.
const RUNS: usize = 3;
/// Bytes of lines in one message, as the service has it.
const CHUNK_BYTES: usize = 256 * 1024;
const BEGIN: Timestamp = Timestamp(1_795_000_000_000_000);

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    println!("{:#}", runtime.block_on(measure()));
}

async fn measure() -> Value {
    let registrations: usize =
        std::env::var("REGFLOW_BENCH_REGISTRATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(40_000);
    let server = TestServer::start().await.unwrap();
    let bus = server.bus().await.unwrap();
    let log: Arc<dyn EventLog> = Arc::new(bus.log.clone());
    let numbers = stream::iter(0..registrations as u128).map(|number| store(log.clone(), number));
    let events: u64 = numbers.buffer_unordered(AT_ONCE).fold(0, async |sum, stored| sum + stored).await;
    let log: Arc<dyn EventLog> = Arc::new(ReadOnlyLog::open(&server.url(), ReadOptions::default()).await.unwrap());

    let (mut bare, mut decoded, mut written, mut over_grpc, mut folded) =
        (f64::MAX, f64::MAX, f64::MAX, f64::MAX, f64::MAX);
    let mut line_bytes = 0;
    let grpc = serve(log.clone()).await;
    for _ in 0..RUNS {
        bare = bare.min(bus::raw_read(&server.url()).await.unwrap().1.as_secs_f64());
        decoded = decoded.min(timed(decode(&*log, events)).await);
        let started = Instant::now();
        line_bytes = export(&*log, &mut std::fs::File::create("/dev/null").unwrap(), events).await;
        written = written.min(started.elapsed().as_secs_f64());
        over_grpc = over_grpc.min(timed(receive(grpc.clone(), events)).await);
        folded = folded.min(timed(fold(&*log, registrations)).await);
    }
    let rate = |seconds: f64| (events as f64 / seconds).round();
    let ratio = |seconds: f64| (bare / seconds * 1_000.0).round() / 1_000.0;
    json!({
        "scenario": "replay",
        "events": events,
        "records": registrations * 3,
        "line_bytes_mean": line_bytes / events,
        "events_per_second": {
            "bare_read": rate(bare), "decoded": rate(decoded), "lines_to_dev_null": rate(written),
            "lines_over_grpc": rate(over_grpc), "as_of": rate(folded),
        },
        "ratio_to_bare_read": {
            "decoded": ratio(decoded), "lines_to_dev_null": ratio(written), "lines_over_grpc": ratio(over_grpc),
            "as_of": ratio(folded),
        },
    })
}

async fn timed(work: impl Future<Output = ()>) -> f64 {
    let started = Instant::now();
    work.await;
    started.elapsed().as_secs_f64()
}

async fn decode(log: &dyn EventLog, expected: u64) {
    let (mut replay, mut events) = (Replay::open(log, Wish::default(), 1).await.unwrap(), 0);
    while let Some(page) = replay.next_page().await.unwrap() {
        events += page.iter().map(events_in).sum::<u64>();
    }
    assert_eq!(events, expected);
}

fn events_in(item: &FollowItem) -> u64 {
    match item {
        FollowItem::Record(stored) => stored.record.events.len() as u64,
        FollowItem::Maker(stored) => stored.record.events.len() as u64,
        FollowItem::Unreadable { .. } => 0,
    }
}

/// As the command does it; gives the number of bytes.
async fn export(log: &dyn EventLog, out: &mut impl Write, expected: u64) -> u64 {
    let mut replay = Replay::open(log, Wish::default(), 1).await.unwrap();
    let (mut text, mut count, mut bytes) = (Vec::new(), 0, 0);
    while let Some(page) = replay.next_page().await.unwrap() {
        text.clear();
        count += page.iter().map(|item| lines::write(item, &mut text)).sum::<usize>() as u64;
        out.write_all(&text).unwrap();
        bytes += text.len() as u64;
    }
    assert_eq!(count, expected);
    bytes
}

async fn fold(log: &dyn EventLog, expected: usize) {
    let all = as_of(log, None, Wanted::default(), Guards::default()).await.unwrap();
    assert_eq!(all.past.counts().total(), expected as u64);
}

/// One happy registration; gives how many events it has.
async fn store(log: Arc<dyn EventLog>, number: u128) -> u64 {
    let id = RegistrationId(Uuid::from_u128(number.wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)));
    let story = happy::story(u64::try_from(number).unwrap(), PersonKeyId(id.0), vec![0xC0; 300]);
    let (mut previous, mut cause, mut count) = (None::<Link>, None, 0);
    for (place, events) in (0..).zip(story) {
        count += events.len() as u64;
        let record_id = RecordId(Uuid::from_u128(number * 3 + place));
        let at = BEGIN.plus(Duration::from_millis(u64::try_from(number).unwrap()));
        let record = Record { id: record_id, at, actor: Actor::System, cause, trace: None, previous, events };
        previous = Some(log.append(Shard(1), id, &record).await.unwrap());
        cause = Some(record_id);
    }
    count
}

/// The Export of the service, with nothing around it.
struct Exporter {
    log: Arc<dyn EventLog>,
}

type Answers<T> = std::pin::Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Audit for Exporter {
    type ReplayStream = Answers<v1::RecordView>;
    type ExportStream = Answers<v1::ExportChunk>;
    type VerifyStream = Answers<v1::VerifyUpdate>;

    async fn replay(&self, _: Request<v1::ReplayRequest>) -> Result<Response<Self::ReplayStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn export(&self, _: Request<v1::ReplayRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let replay = Replay::open(&*self.log, Wish::default(), 1).await.unwrap();
        let pages = stream::try_unfold(replay, |mut replay| async move {
            let page = replay.next_page().await.map_err(|error| Status::internal(error.to_string()))?;
            Ok::<_, Status>(page.map(|page| (chunks(&page), replay)))
        });
        let chunks = pages.map_ok(|chunks| stream::iter(chunks).map(Ok)).try_flatten();
        Ok(Response::new(Box::pin(chunks)))
    }

    async fn as_of(&self, _: Request<v1::AsOfRequest>) -> Result<Response<v1::AsOfResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn verify(&self, _: Request<v1::VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn accept_log(&self, _: Request<v1::AcceptLogRequest>) -> Result<Response<v1::AcceptLogResponse>, Status> {
        Err(Status::unimplemented("not measured"))
    }

    async fn get_log_state(&self, _: Request<v1::GetLogStateRequest>) -> Result<Response<v1::LogState>, Status> {
        Err(Status::unimplemented("not measured"))
    }
}

fn chunks(page: &[FollowItem]) -> Vec<v1::ExportChunk> {
    let (mut chunks, mut text, mut count) = (Vec::new(), Vec::new(), 0);
    for (place, item) in page.iter().enumerate() {
        count += u32::try_from(lines::write(item, &mut text)).unwrap();
        if text.len() >= CHUNK_BYTES || place + 1 == page.len() {
            let lines = std::mem::take(&mut text).into();
            chunks.push(v1::ExportChunk { lines, count: std::mem::take(&mut count), ..Default::default() });
        }
    }
    chunks
}

async fn serve(log: Arc<dyn EventLog>) -> AuditClient<tonic::transport::Channel> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    let server = tonic::transport::Server::builder().add_service(AuditServer::new(Exporter { log }));
    tokio::spawn(server.serve_with_incoming(incoming));
    AuditClient::connect(format!("http://{address}")).await.unwrap()
}

async fn receive(mut client: AuditClient<tonic::transport::Channel>, expected: u64) {
    let mut stream = client.export(v1::ReplayRequest::default()).await.unwrap().into_inner();
    let mut count = 0;
    while let Some(chunk) = stream.message().await.unwrap() {
        count += u64::from(chunk.count);
    }
    assert_eq!(count, expected);
}
