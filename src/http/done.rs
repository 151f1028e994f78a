//! The page behind the link in the owner's mail. Looking at it changes nothing, so that mail scanners do no harm: only the
//! button's POST says that the registration is done. A short code does the same for those who have only paper.

use std::net::SocketAddr;
use std::num::NonZeroU32;

use anyhow::Context;
use axum::body::Bytes;
use axum::extract::{Extension, Multipart, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use events::{Actor, Registration, RegistrationId, Shard, Stage};
use handlers::desk::{self, DeskError, Receipt};
use jiff::tz::TimeZone;
use minijinja::{Environment, context};
use serde::Deserialize;

use super::body::Form;
use super::guard::Share;
use super::problem::Problem;
use super::{Http, body, pages};
use crate::access::Sight;
use crate::grpc::{convert, errors};

/// Codes that one address may try in a minute, and at once.
const CODES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(10).expect("not zero");
/// The pages that are filled in here.
const TEMPLATES: [&str; 2] = ["done.html", "code.html"];
/// How long the link behind a code works: long enough to fill the page in.
const AFTER_CODE: std::time::Duration = std::time::Duration::from_secs(3_600);

/// The pages' templates, and the count of tried codes.
pub struct Pages {
    templates: Environment<'static>,
    codes: Share,
}

impl Pages {
    /// # Errors
    /// When a template inside the binary is broken.
    pub fn new() -> anyhow::Result<Self> {
        let mut templates = Environment::new();
        for name in TEMPLATES {
            let text = pages::text(name).with_context(|| format!("web/{name} is not there"))?;
            templates.add_template_owned(name, text).with_context(|| format!("web/{name} is broken"))?;
        }
        Ok(Self { templates, codes: Share::per_minute(CODES_PER_MINUTE, CODES_PER_MINUTE) })
    }

    fn show(&self, name: &str, values: minijinja::Value) -> Result<Response, Problem> {
        let written = self.templates.get_template(name).and_then(|template| template.render(values));
        written.map(|text| Html(text).into_response()).map_err(|error| {
            tracing::error!(name, error = %error.kind(), "a page cannot be written");
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL", "the page cannot be written; see the log")
        })
    }

    /// The page for the short code, with what went wrong.
    fn code(&self, status: StatusCode, reference: &str, problem: &str) -> Response {
        match self.show("code.html", context! { reference, problem }) {
            Ok(page) => (status, page).into_response(),
            Err(problem) => problem.into_response(),
        }
    }
}

/// A registration that a link names.
struct Found {
    place: (Shard, RegistrationId),
    registration: Registration,
}

/// The registration behind a token, or the page that says why there is none.
async fn find(http: &Http, token: &str) -> Result<Found, Response> {
    let (world, key) = (http.world(), http.world().keys.link_key());
    let id = key.open(token, world.now()).map_err(|error| {
        let text = format!("{error}. Type the reference and the code that stand in the mail and on the packet.");
        http.pages.code(StatusCode::NOT_FOUND, "", &text)
    })?;
    let problem = |status: tonic::Status| Problem::from(status).into_response();
    let (shard, id) = http.views().place(&id.to_string(), &Sight::All).await.map_err(problem)?;
    let registration = handlers::load(world, shard, id).await.map_err(|error| problem(errors::of_journal(&error)))?;
    Ok(Found { place: (shard, id), registration })
}

/// GET /done/{token}
pub async fn show(State(http): State<Http>, Path(token): Path<String>) -> Response {
    let shown = match find(&http, &token).await {
        Ok(found) => page(&http, &token, &found.registration, "").await,
        Err(answer) => return answer,
    };
    shown.unwrap_or_else(Problem::into_response)
}

/// POST /done/{token}: the button
pub async fn finish(State(http): State<Http>, Path(token): Path<String>, multipart: Multipart) -> Response {
    let found = match find(&http, &token).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    let receipt = match read(multipart).await {
        Ok(receipt) => receipt,
        Err(problem) => return again(&http, &token, &found.registration, problem).await,
    };
    match desk::complete(http.world(), found.place, receipt, None, Actor::Owner).await {
        Ok(_) => Redirect::to(&format!("/done/{token}")).into_response(),
        Err(error) if was_done(&error) => Redirect::to(&format!("/done/{token}")).into_response(),
        Err(error) => again(&http, &token, &found.registration, errors::of_desk(&error).into()).await,
    }
}

fn was_done(error: &DeskError) -> bool {
    use handlers::JournalError::Refused;
    matches!(error, DeskError::Journal(Refused(events::Refusal::CompletedAlready)))
}

/// The same page with what was wrong.
async fn again(http: &Http, token: &str, registration: &Registration, problem: Problem) -> Response {
    match page(http, token, registration, problem.detail()).await {
        Ok(page) => (problem.status(), page).into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// POST /done/{token}/opened: a browser with a person before it says so; scanners follow links, but post nothing
pub async fn opened(State(http): State<Http>, Path(token): Path<String>) -> Response {
    let found = match find(&http, &token).await {
        Ok(found) => found,
        Err(answer) => return answer,
    };
    match desk::open_packet(http.world(), found.place).await {
        Ok(_) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => Problem::from(errors::of_desk(&error)).into_response(),
    }
}

/// The form's fields: a code, and a photo; both may be left out.
async fn read(mut multipart: Multipart) -> Result<Receipt, Problem> {
    let mut receipt = Receipt::default();
    let reading = async {
        while let Some(field) = multipart.next_field().await? {
            match field.name().unwrap_or_default() {
                "confirmation" => receipt.confirmation = Some(field.text().await?.trim().to_owned()),
                "photo" => receipt.photo = Some(field.bytes().await?),
                _ => {}
            }
        }
        Ok::<_, axum::extract::multipart::MultipartError>(())
    };
    let read = tokio::time::timeout(body::ARRIVAL_MAX, reading).await.map_err(|_| body::too_slow())?;
    read.map_err(|error| Problem::new(error.status(), "BODY_INVALID", error.body_text()))?;
    receipt.confirmation = receipt.confirmation.filter(|code| !code.is_empty());
    receipt.photo = receipt.photo.filter(|bytes: &Bytes| !bytes.is_empty());
    convert::check_text("confirmation", receipt.confirmation.as_deref())?;
    Ok(receipt)
}

async fn page(http: &Http, token: &str, registration: &Registration, problem: &str) -> Result<Response, Problem> {
    let world = http.world();
    let details = world.open(registration).await.map_err(|error| errors::of_private(&error))?;
    let connector = world.connector(registration);
    let view = connector.manual_view(&details).map_err(|error| {
        tracing::error!(connector = connector.id(), %error, "a guide cannot be filled in");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "GUIDE_BROKEN", "the maker's guide cannot be filled in")
    })?;
    let (product, today) = (&details.product, world.now().to_jiff().to_zoned(TimeZone::UTC).date());
    let days_left = registration.register_by.and_then(|day| today.until(day).ok()).map(|span| span.get_days());
    let maker = if connector.is_generic() { product.brand.as_str() } else { connector.name() };
    let fields: Vec<_> =
        view.fields.into_iter().map(|f| context! { label => f.label, value => f.value, note => f.note }).collect();
    http.pages.show(
        "done.html",
        context! {
            token,
            reference => registration.id.reference(),
            product => format!("{} {}", product.brand, product.model),
            maker,
            state => state(&registration.stage),
            state_words => state_words(registration),
            link => view.link,
            steps => view.steps,
            register_by => registration.register_by.map(|day| day.strftime("%-d %B %Y").to_string()),
            days_left,
            problem,
            fields,
            packet_url => matches!(registration.stage, Stage::PacketSent { .. }).then(|| format!("/done/{token}/packet")),
        },
    )
}

fn state(stage: &Stage) -> &'static str {
    match stage {
        Stage::PacketDue { .. } | Stage::PacketStuck { .. } | Stage::PacketSent { .. } => "open",
        // both could still be finished by hand
        Stage::Unknown { .. } | Stage::Expired { .. } => "open",
        Stage::Completed { .. } | Stage::Succeeded { .. } => "done",
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. }
        | Stage::NeedsCorrection { .. }
        | Stage::Cancelled => "other",
    }
}

fn state_words(registration: &Registration) -> String {
    match &registration.stage {
        Stage::Completed { .. } => "You told us that it is registered. Thank you.".to_owned(),
        Stage::Succeeded { .. } => "It is registered with the maker; nothing is left to do.".to_owned(),
        Stage::Cancelled => "This registration was withdrawn.".to_owned(),
        Stage::NeedsCorrection { .. } => "The maker wants some of the data corrected first.".to_owned(),
        Stage::Expired { last_day } => format!("The maker's last day, {last_day}, has passed."),
        Stage::Unknown { .. } => "We do not know whether the maker took it.".to_owned(),
        Stage::PacketDue { .. } | Stage::PacketStuck { .. } | Stage::PacketSent { .. } => {
            "One step is left for you.".to_owned()
        }
        Stage::Fresh { .. }
        | Stage::Attempting { .. }
        | Stage::Backoff { .. }
        | Stage::Held { .. }
        | Stage::MethodFailed { .. }
        | Stage::Skipped { .. } => "We are trying once more to register it for you.".to_owned(),
    }
}

/// GET /done/{token}/packet
pub async fn packet(State(http): State<Http>, Path(token): Path<String>) -> Response {
    match find(&http, &token).await {
        Ok(found) => {
            let id = found.registration.id.to_string();
            super::files::packet(State(http), Path(id)).await.unwrap_or_else(Problem::into_response)
        }
        Err(answer) => answer,
    }
}

/// What is typed on the page for the short code.
#[derive(Deserialize, Default)]
#[serde(default)]
pub struct Typed {
    reference: String,
    code: String,
}

/// GET /done
pub async fn code(State(http): State<Http>, Query(typed): Query<Typed>) -> Response {
    http.pages.code(StatusCode::OK, &typed.reference, "")
}

/// POST /done: leads to the page of the registration that reference and code name together
pub async fn by_code(
    State(http): State<Http>,
    Extension(peer): Extension<SocketAddr>,
    Form(typed): Form<Typed>,
) -> Response {
    if let Err(problem) = http.pages.codes.take(peer.ip()) {
        return http.pages.code(problem.status(), &typed.reference, "Too many tries; wait a minute, then try again.");
    }
    let reference = typed.reference.trim().to_uppercase();
    let view = http.views().status.clone();
    let asked = reference.clone();
    let rows = tokio::task::spawn_blocking(move || view.waiting_for_owner(&asked)).await;
    let Ok(Ok(rows)) = rows else {
        let text = "The service cannot look it up at this moment; try again soon.";
        return http.pages.code(StatusCode::SERVICE_UNAVAILABLE, &reference, text);
    };
    let (world, key) = (http.world(), http.world().keys.link_key());
    match rows.iter().map(|row| row.registration.id).find(|id| key.is_code(*id, &typed.code)) {
        Some(id) => {
            let token = key.token(id, world.now().plus(AFTER_CODE));
            Redirect::to(&format!("/done/{token}")).into_response()
        }
        None => {
            let text =
                "No open registration has this reference and this code. Both stand on the packet and in the mail.";
            http.pages.code(StatusCode::NOT_FOUND, &reference, text)
        }
    }
}
