//! Live updates as server-sent events: the id of each is its place in the log, so that a browser that comes back goes on
//! exactly where it was.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures::{Stream, StreamExt};
use proto::v1;
use proto::v1::registrations_server::Registrations;
use serde::Serialize;
use tonic::Status;

use super::Http;
use super::params::Params;
use super::problem::Problem;
use super::registrations::ask;

/// The place of the last event that a browser has seen.
pub const LAST_EVENT_ID: &str = "last-event-id";
/// After so long without news a comment shows that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// When a browser comes back after its connection broke.
const COME_BACK: Duration = Duration::from_secs(1);
/// How long a browser waits here while the service reads its log: one that is refused would not come back by itself.
const READY_PATIENCE: Duration = Duration::from_secs(60);

/// GET /events
pub async fn watch(
    State(mut http): State<Http>,
    headers: HeaderMap,
    mut params: Params,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let (registration, owner_ref) = (params.one("registration")?, params.one("owner_ref")?);
    let after: Option<u64> = params.number("after")?;
    params.finish()?;
    if registration.is_some() && owner_ref.is_some() {
        return Err(Problem::field("owner_ref", "and registration exclude each other"));
    }
    let request = v1::WatchRequest {
        id: registration.unwrap_or_default(),
        after_sequence: last_event_id(&headers)?.or(after),
        owner_ref: owner_ref.unwrap_or_default(),
    };
    wait_until_ready(&mut http).await?;
    let updates = http.services.registrations.watch(ask(request)).await?.into_inner();
    Ok(stream("registration", updates, |update| Some(update.sequence)))
}

/// What a browser sends by itself when it comes back; it knows more than the address that it began with.
fn last_event_id(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(value) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let read = value.to_str().ok().and_then(|text| text.parse().ok());
    read.map(Some).ok_or_else(|| Problem::field("Last-Event-ID", "is not the id of an event of this service"))
}

pub async fn wait_until_ready(http: &mut Http) -> Result<(), Problem> {
    match tokio::time::timeout(READY_PATIENCE, http.ready.wait_for(|ready| *ready)).await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Problem::starting()),
    }
}

/// What a service streams, as events called `name`, each with its place in the log if it has one.
pub fn stream<T: Serialize>(
    name: &'static str,
    news: impl Stream<Item = Result<T, Status>> + Send + 'static,
    place: impl Fn(&T) -> Option<u64> + Send + 'static,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = news.map(move |news| Ok(told(name, news, &place)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("alive"))
}

fn told<T: Serialize>(name: &str, news: Result<T, Status>, place: impl Fn(&T) -> Option<u64>) -> Event {
    let event = match news {
        Ok(news) => {
            let event = Event::default().event(name).retry(COME_BACK);
            let event = match place(&news) {
                Some(sequence) => event.id(sequence.to_string()),
                None => event,
            };
            event.json_data(news)
        }
        // the stream ends behind it, and the browser comes back
        Err(status) => Event::default().event("problem").json_data(Problem::from(status)),
    };
    event.unwrap_or_else(|_| Event::default().comment("it could not be written"))
}
