//! regflow.v1.Audit: what is stored, as it is stored, and how everything was then. It only reads the log.

mod past;
mod wire;
mod wish;

use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use audit::{About, Replay, ReplayError, lines};
use bus::{EventLog, FollowError, FollowItem};
use events::{RegistrationId, Sequence, Shard};
use futures::stream::{self, Stream, StreamExt, TryStreamExt};
use handlers::World;
use projections::Filter;
use proto::v1;
use proto::v1::audit_server::Audit;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::caller::{pass, sight};
use super::views::{CATCH_UP_TIMEOUT, Views};
use super::{errors, trust};
use crate::access::Sight;
pub use past::as_of;
pub use wire::{event, timestamp};

/// Questions after the past that are answered at once; others wait. Each reads the whole log and keeps what was open.
const PASTS_AT_ONCE: usize = 2;
/// Bytes of lines after which a chunk ends; one line more may be in it.
const CHUNK_BYTES: usize = 256 * 1024;

/// A stream of answers that nobody need wait for: it goes on when the client has taken what is there.
pub type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The audit service; clones share everything.
#[derive(Clone)]
pub struct AuditService {
    world: Arc<World>,
    views: Arc<Views>,
    pasts: Arc<Semaphore>,
    /// Ends the streams, which would hold up a stop.
    shutdown: CancellationToken,
}

/// Most registrations of a person that are looked up; of one with more the whole log is read.
const KNOWN_MAX: usize = 256;

impl AuditService {
    pub fn new(world: &Arc<World>, views: &Arc<Views>, shutdown: CancellationToken) -> Self {
        let pasts = Arc::new(Semaphore::new(PASTS_AT_ONCE));
        Self { world: world.clone(), views: views.clone(), pasts, shutdown }
    }

    /// All registrations of a person, if the status view is as far as the log and there are not too many: then only their
    /// records are read.
    async fn registrations_of(&self, tenant: &str, owner_ref: [u8; 16]) -> Option<Vec<(Shard, RegistrationId)>> {
        self.views.check_ready().ok()?;
        let head = self.world.log.head().await.ok()?.last_sequence;
        self.views.status.wait_for(head, Instant::now() + CATCH_UP_TIMEOUT).await.ok()?;
        let filter = Filter { owner_ref: Some(owner_ref), ..Filter::default() };
        let page = self.views.status.list(&filter, KNOWN_MAX, None).ok()?;
        let theirs = page.rows.iter().filter(|row| row.registration.tenant == tenant);
        let places = theirs.map(|row| (row.registration.shard, row.registration.id)).collect();
        page.next_token.is_none().then_some(places)
    }

    /// Begins what a request wishes.
    async fn begin(&self, request: &v1::ReplayRequest, sight: &Sight) -> Result<Replay, Status> {
        let mut wish = wish::wish(request)?;
        let is_one = matches!(wish.about, About::Registration { .. });
        if *sight != Sight::All && !is_one {
            let text = "you see single registrations: name one by its id";
            return Err(errors::status(Code::PermissionDenied, "ONE_AT_A_TIME", text));
        }
        match &mut wish.about {
            About::Registration { id, shard } => {
                let place = self.views.place(&request.id, sight).await?;
                (*shard, *id) = (Some(place.0), place.1);
            }
            About::Person { tenant, owner_ref, known } => *known = self.registrations_of(tenant, *owner_ref).await,
            About::Everything | About::Maker { .. } => {}
        }
        Replay::open(&*self.world.log, wish, self.world.options.shards).await.map_err(|error| of_replay(&error))
    }
}

#[tonic::async_trait]
impl Audit for AuditService {
    type ReplayStream = Answers<v1::RecordView>;
    type ExportStream = Answers<v1::ExportChunk>;
    type VerifyStream = Answers<v1::VerifyUpdate>;

    async fn replay(&self, request: Request<v1::ReplayRequest>) -> Result<Response<Self::ReplayStream>, Status> {
        let sight = sight(&request)?;
        let replay = self.begin(&request.into_inner(), &sight).await?;
        Ok(Response::new(Box::pin(records(replay, self.shutdown.clone()))))
    }

    async fn export(&self, request: Request<v1::ReplayRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let sight = sight(&request)?;
        let replay = self.begin(&request.into_inner(), &sight).await?;
        Ok(Response::new(Box::pin(chunks(replay, self.shutdown.clone()))))
    }

    async fn as_of(&self, request: Request<v1::AsOfRequest>) -> Result<Response<v1::AsOfResponse>, Status> {
        let _place = self.pasts.acquire().await;
        let answer = past::as_of(&*self.world.log, &self.world.catalog, request.into_inner());
        tokio::select! {
            answer = answer => Ok(Response::new(answer?)),
            () = self.shutdown.cancelled() => Err(stopping()),
        }
    }

    async fn verify(&self, _: Request<v1::VerifyRequest>) -> Result<Response<Self::VerifyStream>, Status> {
        Ok(Response::new(Box::pin(trust::verify(&self.world.trust, &self.views))))
    }

    async fn accept_log(
        &self,
        request: Request<v1::AcceptLogRequest>,
    ) -> Result<Response<v1::AcceptLogResponse>, Status> {
        let pass = pass(&request)?.clone();
        let mut request = request.into_inner();
        request.operator = pass.operator(request.operator);
        trust::accept(&self.world.trust, &request).map(Response::new)
    }

    async fn get_log_state(&self, _: Request<v1::GetLogStateRequest>) -> Result<Response<v1::LogState>, Status> {
        Ok(Response::new(trust::state(&self.world.trust)))
    }
}

/// Begins a replay of a log that no service stands before.
pub async fn open(log: &dyn EventLog, request: &v1::ReplayRequest, shards: u16) -> Result<Replay, Status> {
    Replay::open(log, wish::wish(request)?, shards).await.map_err(|error| of_replay(&error))
}

/// A page, and where it ends.
struct Leaf {
    items: Vec<FollowItem>,
    position: Sequence,
    end: Sequence,
}

/// What a replay hands out, a page when the one before is taken. A stop is an error: nobody may take a part for the whole.
fn leaves(replay: Replay, shutdown: CancellationToken) -> impl Stream<Item = Result<Leaf, Status>> {
    stream::try_unfold((replay, shutdown), |(mut replay, shutdown)| async move {
        let page = tokio::select! {
            page = replay.next_page() => page.map_err(|error| of_replay(&error))?,
            () = shutdown.cancelled() => return Err(stopping()),
        };
        let (position, end) = (replay.position(), replay.range().1);
        Ok(page.map(|items| (Leaf { items, position, end }, (replay, shutdown))))
    })
}

fn stopping() -> Status {
    errors::passing(Code::Unavailable, "STOPPING", "the service stops, and this was not all; ask again")
}

/// Decoded records, until all are there or `shutdown`.
pub fn records(replay: Replay, shutdown: CancellationToken) -> impl Stream<Item = Result<v1::RecordView, Status>> {
    let views = |leaf: Leaf| stream::iter(leaf.items).map(|item| Ok(wire::item(&item)));
    leaves(replay, shutdown).map_ok(views).try_flatten()
}

/// Lines in chunks, until all are there or `shutdown`.
pub fn chunks(replay: Replay, shutdown: CancellationToken) -> impl Stream<Item = Result<v1::ExportChunk, Status>> {
    leaves(replay, shutdown).map_ok(|leaf| stream::iter(chunks_of(&leaf)).map(Ok)).try_flatten()
}

/// At least one, so that whoever waits sees how far it has come.
fn chunks_of(leaf: &Leaf) -> Vec<v1::ExportChunk> {
    let (mut chunks, mut text, mut count) = (Vec::new(), Vec::new(), 0);
    let mut end_chunk = |text: &mut Vec<u8>, count: &mut usize, sequence| {
        let (lines, count) = (std::mem::take(text).into(), u32::try_from(std::mem::take(count)).unwrap_or(u32::MAX));
        chunks.push(v1::ExportChunk { lines, count, sequence, end_sequence: leaf.end });
    };
    for item in &leaf.items {
        count += lines::write(item, &mut text);
        if text.len() >= CHUNK_BYTES {
            end_chunk(&mut text, &mut count, item.sequence());
        }
    }
    end_chunk(&mut text, &mut count, leaf.position);
    chunks
}

/// Why there is no replay, as clients see it.
fn of_replay(error: &ReplayError) -> Status {
    match error {
        ReplayError::NotFound(id) => errors::not_found(&id.to_string()),
        ReplayError::NotYet { .. } => errors::status(Code::OutOfRange, "LOG_ENDS_BEFORE", error.to_string()),
        ReplayError::Unavailable(_)
        | ReplayError::Stalled { .. }
        | ReplayError::Follow(FollowError::Unavailable(_)) => {
            errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", error.to_string())
        }
        ReplayError::Follow(FollowError::Rewound { .. } | FollowError::Replaced) => {
            errors::status(Code::DataLoss, "LOG_CHANGED", error.to_string())
        }
        ReplayError::Load(cause) => errors::of_journal(&cause.clone().into()),
        ReplayError::Fold(_) => errors::status(Code::DataLoss, "HISTORY_BROKEN", error.to_string()),
    }
}
