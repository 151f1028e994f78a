//! Files that belong to a registration: they are sealed in the object store and opened here.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use events::{Event, ObjectRef, Registration};
use handlers::intake::kind_of_file;

use super::problem::Problem;
use super::{Http, admit};
use crate::grpc::errors;

/// GET /api/registration/{id}/packet
pub async fn packet(State(http): State<Http>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (registration, events) = story(&http, &id).await?;
    let sent =
        events.iter().rev().find_map(|event| if let Event::PacketSent(sent) = event { Some(&sent.pdf) } else { None });
    let name = format!("{}.pdf", registration.id.reference());
    open(&http, &registration, sent, &name).await
}

/// GET /api/registration/{id}/evidence/{attempt}
pub async fn evidence(
    State(http): State<Http>,
    Path((id, attempt)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let attempt: u32 = attempt.parse().map_err(|_| Problem::field("attempt", "is no number of an attempt"))?;
    let (registration, events) = story(&http, &id).await?;
    let taken = events.iter().rev().filter_map(evidence_of).find(|(number, _)| *number == attempt);
    let taken = taken.map(|(_, object)| object);
    let name = format!("{}-attempt-{attempt}.png", registration.id.reference());
    open(&http, &registration, taken, &name).await
}

/// The attempt that an event is the end of, and its screenshot.
fn evidence_of(event: &Event) -> Option<(u32, &ObjectRef)> {
    if let Event::AttemptSucceeded(ended) = event {
        return Some((ended.attempt, ended.evidence.as_ref()?));
    }
    if let Event::AttemptFailed(ended) = event {
        return Some((ended.attempt, ended.evidence.as_ref()?));
    }
    None
}

/// GET /api/registration/{id}/photo
pub async fn photo(State(http): State<Http>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (registration, events) = story(&http, &id).await?;
    let sent = events
        .iter()
        .rev()
        .find_map(|event| if let Event::UserCompleted(done) = event { done.photo.as_ref() } else { None });
    let name = format!("{}-confirmation", registration.id.reference());
    open(&http, &registration, sent, &name).await
}

/// GET /api/registration/{id}/proof
pub async fn proof(State(http): State<Http>, Path(id): Path<String>) -> Result<Response, Problem> {
    let (registration, _) = story(&http, &id).await?;
    let name = format!("{}-proof", registration.id.reference());
    open(&http, &registration, registration.proof.as_ref(), &name).await
}

/// The registration and all its events, from the log.
async fn story(http: &Http, text: &str) -> Result<(Registration, Vec<Event>), Problem> {
    let (shard, id) = http.views().place(text, &admit::sight()?).await?;
    let history = http.world().log.load(shard, id).await.map_err(|error| errors::of_journal(&error.into()))?;
    let registration = Registration::replay(&history)
        .map_err(|error| errors::of_journal(&error.into()))?
        .ok_or_else(|| errors::not_found(text))?;
    Ok((registration, history.into_iter().flat_map(|stored| stored.record.events).collect()))
}

async fn open(
    http: &Http,
    registration: &Registration,
    object: Option<&ObjectRef>,
    name: &str,
) -> Result<Response, Problem> {
    let Some(object) = object else {
        let text = "there is no such file of this registration";
        return Err(Problem::new(StatusCode::NOT_FOUND, "FILE_NOT_FOUND", text));
    };
    let opened = http.world().fetch_sealed(registration, &object.name).await;
    let bytes = opened.map_err(|error| errors::of_private(&error))?;
    let media_type = kind_of_file(&bytes).map_or("application/octet-stream", |kind| kind.media_type);
    let headers =
        [(CONTENT_TYPE, media_type.to_owned()), (CONTENT_DISPOSITION, format!("inline; filename=\"{name}\""))];
    Ok((headers, bytes).into_response())
}
