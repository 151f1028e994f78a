//! regflow.v1.Registrations: hand over, ask, follow, finish.

use std::sync::Arc;
use std::time::{Duration, Instant};

use events::{Registration, RegistrationId, Sequence};
use futures::StreamExt;
use handlers::desk::{self, DeskError, Receipt, RetryWish};
use handlers::intake::{self, Accepted, Submission};
use handlers::{EngineHandle, World};
use projections::{Filter, ListError};
use proto::v1;
use proto::v1::registrations_server::Registrations;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};
use tonic_types::pb;

use super::caller::{caller, pass, sight};
use super::views::Views;
use super::watch::{Wanted, Watcher};
use super::{convert, errors, explain, own, wire};
use crate::access::{Pass, Sight};

/// Most submissions of one batch.
const BATCH_MAX: usize = 1_000;
/// Rows on a page when the client names no size.
const PAGE_ROWS_DEFAULT: usize = 50;
/// Updates that wait for a slow watcher before the view's own buffer is used.
const UPDATES_AHEAD: usize = 256;
/// How long a place of the log is waited for before it is asked whether there is such a place.
const PROMPT: Duration = Duration::from_millis(100);
/// The field that suggestions are about.
const SERIAL: &str = "product.serial";

/// The registrations service; clones share everything.
#[derive(Clone)]
pub struct RegistrationsService {
    pub world: Arc<World>,
    pub views: Arc<Views>,
    pub engine: EngineHandle,
    pub submit_timeout: Duration,
    /// Places for submissions that are on their way to the log. Without a bound each would wait longer the more there are.
    pub places: Arc<Semaphore>,
    /// Watchers that read the past at once.
    pub past: Arc<Semaphore>,
    /// Ends the streams of watchers, which would hold up a stop for ever.
    pub shutdown: CancellationToken,
}

impl RegistrationsService {
    /// Takes one submission in, or says what is wrong; within its deadline either way.
    async fn take_in(&self, request: v1::SubmitRequest, pass: &Pass) -> Result<v1::SubmitResponse, Status> {
        let validate_only = request.validate_only;
        let mut submission = convert::submission(request, handlers::trace::current())?;
        own::submission(&mut submission, pass, &self.world)?;
        if validate_only {
            return self.checked(&submission);
        }
        self.views.check_ready()?;
        // refused at once, before anything is kept: who is told to come again in a second need not hang for five
        let _place = self.places.try_acquire().map_err(|_| errors::overloaded())?;
        let kept_up = tokio::time::timeout(self.submit_timeout, self.engine.keeps_up()).await;
        kept_up.map_err(|_| errors::overloaded())?;
        let (own, reserved) = (intake::shard_of(&self.world, &submission), self.reservation(&submission));
        let known = match reserved {
            Some(id) => Some(self.views.reserve(id, own)?).filter(|shard| *shard != own),
            None => None,
        };
        let taken =
            tokio::time::timeout(self.submit_timeout, intake::submit(&self.world, &self.engine, submission, known))
                .await;
        match taken {
            Ok(Ok(accepted)) => self.answer(&accepted).await,
            Ok(Err(error)) => {
                if let Some(id) = reserved.filter(|_| error.surely_not_stored()) {
                    self.views.release(id);
                }
                Err(errors::of_intake(&error))
            }
            Err(_) => {
                let text = "the log did not answer in time; repeat the submission with the same request_id";
                Err(errors::passing(Code::Unavailable, "LOG_OUTCOME_UNKNOWN", text))
            }
        }
    }

    /// What would be warned about, with what may be meant; nothing is stored.
    fn checked(&self, submission: &Submission) -> Result<v1::SubmitResponse, Status> {
        let warnings = intake::check(&self.world, submission).map_err(|error| errors::of_intake(&error))?;
        let mut warnings = convert::problems(&warnings);
        let product = &submission.details.product;
        let connector = self.world.catalog.find_brand(&product.brand);
        let odd = Some(product.serial.as_str()).filter(|serial| !serial.is_empty());
        let odd = odd.and_then(|serial| connector.check_serial(serial));
        if let (Some(odd), Some(told)) = (odd, warnings.iter_mut().find(|told| told.field == SERIAL)) {
            told.suggestions = odd.suggestions;
        }
        let registration = v1::Registration { warnings, ..Default::default() };
        Ok(v1::SubmitResponse { registration: Some(registration), repeated_request: false })
    }

    /// The id that the submission's request always gets.
    fn reservation(&self, submission: &Submission) -> Option<RegistrationId> {
        let request = submission.request_id.as_ref()?;
        Some(RegistrationId::of_request(&submission.tenant, request))
    }

    async fn answer(&self, accepted: &Accepted) -> Result<v1::SubmitResponse, Status> {
        self.views.accepted(&accepted.registration);
        // a repeat is told what became of the first one; a new one is in no view yet
        let row = match accepted.repeated {
            true => self.views.row(accepted.registration.id, accepted.registration.last.sequence).await?,
            false => None,
        };
        let mut registration = match row {
            Some(row) => wire::row(&row, &self.world.catalog),
            None => wire::registration(&accepted.registration, &self.world.catalog),
        };
        registration.warnings = convert::problems(&accepted.warnings);
        Ok(v1::SubmitResponse { registration: Some(registration), repeated_request: accepted.repeated })
    }

    /// Refuses to wait for a place that the log has not come to.
    async fn check_place(&self, sequence: Sequence, sight: &Sight) -> Result<(), Status> {
        // the view is mostly some milliseconds behind: only who waits longer is worth a question to the server
        if self.views.status.wait_for(sequence, Instant::now() + PROMPT).await.is_ok() {
            return Ok(());
        }
        let head = self
            .world
            .log
            .head()
            .await
            .map_err(|error| errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", error.to_string()))?;
        if sequence <= head.last_sequence {
            return Ok(());
        }
        let text = match sight {
            Sight::All => format!("is {sequence}, but the log has only come to {}", head.last_sequence),
            // how far it has come tells how much everybody does
            Sight::Tenant(_) | Sight::Own { .. } => format!("is {sequence}, and the log has not come so far"),
        };
        Err(errors::invalid_field("min_sequence", &text))
    }

    /// The registration after a wish was fulfilled.
    async fn after(&self, acted: Result<Registration, DeskError>) -> Result<Response<v1::Registration>, Status> {
        let registration = acted.map_err(|error| errors::of_desk(&error))?;
        Ok(Response::new(self.shown(&registration).await))
    }

    /// A registration of the log as the view shows it. A view that is behind is no reason to answer with an error.
    async fn shown(&self, registration: &Registration) -> v1::Registration {
        let row = self.views.row(registration.id, registration.last.sequence).await.ok().flatten();
        match row {
            Some(row) => wire::row(&row, &self.world.catalog),
            None => wire::registration(registration, &self.world.catalog),
        }
    }
}

#[tonic::async_trait]
impl Registrations for RegistrationsService {
    type WatchStream = std::pin::Pin<Box<dyn Stream<Item = Result<v1::Update, Status>> + Send>>;

    async fn submit(&self, request: Request<v1::SubmitRequest>) -> Result<Response<v1::SubmitResponse>, Status> {
        let (pass, request) = (pass(&request)?.clone(), request.into_inner());
        self.take_in(request, &pass).await.map(Response::new)
    }

    async fn submit_batch(
        &self,
        request: Request<v1::SubmitBatchRequest>,
    ) -> Result<Response<v1::SubmitBatchResponse>, Status> {
        let (pass, requests) = (pass(&request)?.clone(), request.into_inner().requests);
        if requests.len() > BATCH_MAX {
            let text = format!("has {} submissions; at most {BATCH_MAX} are taken at once", requests.len());
            return Err(errors::invalid_field("requests", &text));
        }
        // side by side, so that they are committed together; in order, so that answers stand in their places
        let answers = futures::stream::iter(requests).map(|request| self.take_in(request, &pass)).buffered(BATCH_MAX);
        let results = answers.map(|answer| v1::SubmitResult { result: Some(result(answer)) }).collect().await;
        Ok(Response::new(v1::SubmitBatchResponse { results }))
    }

    async fn get(&self, request: Request<v1::GetRequest>) -> Result<Response<v1::Registration>, Status> {
        let (sight, request) = (sight(&request)?, request.into_inner());
        let id = convert::id(&request.id)?;
        self.check_place(request.min_sequence, &sight).await?;
        let row = self.views.seen(id, request.min_sequence, &sight).await?;
        let row = row.ok_or_else(|| errors::not_found(&request.id))?;
        Ok(Response::new(wire::row(&row, &self.world.catalog)))
    }

    async fn list(&self, request: Request<v1::ListRequest>) -> Result<Response<v1::ListResponse>, Status> {
        let (sight, request) = (sight(&request)?, request.into_inner());
        self.views.check_ready()?;
        let Some(filter) = own::filter(filter(&request)?, &sight) else {
            return Ok(Response::new(v1::ListResponse::default()));
        };
        let rows_max = match request.page_size {
            0 => PAGE_ROWS_DEFAULT,
            size => usize::try_from(size).map_err(|_| errors::invalid_field("page_size", "must not be negative"))?,
        };
        let token = convert::optional(request.page_token);
        let page = self.views.status.list(&filter, rows_max, token.as_deref()).map_err(|error| match error {
            ListError::BadToken => {
                errors::invalid_field("page_token", "was not given for this list; begin again without it")
            }
            ListError::View(error) => errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", error.to_string()),
        })?;
        Ok(Response::new(v1::ListResponse {
            registrations: page.rows.iter().map(|row| wire::row(row, &self.world.catalog)).collect(),
            next_page_token: page.next_token.unwrap_or_default(),
            total_size: total(&self.views, &filter),
        }))
    }

    async fn watch(&self, request: Request<v1::WatchRequest>) -> Result<Response<Self::WatchStream>, Status> {
        let (sight, request) = (sight(&request)?, request.into_inner());
        let wanted = match (request.id.as_str(), request.owner_ref.as_str()) {
            ("", "") => Wanted::All,
            (text, "") => Wanted::One(self.views.place(text, &sight).await?.1),
            ("", text) => Wanted::Owner(convert::owner_ref(text)?),
            (_, _) => return Err(errors::invalid_field("owner_ref", "and id exclude each other")),
        };
        let (updates, receiver) = mpsc::channel(UPDATES_AHEAD);
        let watcher = Watcher {
            views: self.views.clone(),
            log: self.world.log.clone(),
            catalog: self.world.catalog.clone(),
            wanted,
            sight,
            after: request.after_sequence.unwrap_or_else(|| self.views.status.position()),
            updates,
            past: self.past.clone(),
        };
        let shutdown = self.shutdown.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = watcher.run() => {}
                () = shutdown.cancelled() => {}
            }
        });
        Ok(Response::new(Box::pin(ReceiverStream::new(receiver))))
    }

    async fn complete(&self, request: Request<v1::CompleteRequest>) -> Result<Response<v1::Registration>, Status> {
        let (actor, sight, request) = (caller(&request), sight(&request)?, request.into_inner());
        let place = self.views.place(&request.id, &sight).await?;
        let confirmation = convert::optional(request.confirmation);
        convert::check_text("confirmation", confirmation.as_deref())?;
        let seen = convert::etag(&request.etag)?;
        let receipt = Receipt { confirmation, photo: None };
        self.after(desk::complete(&self.world, place, receipt, seen, actor).await).await
    }

    async fn cancel(&self, request: Request<v1::CancelRequest>) -> Result<Response<v1::Registration>, Status> {
        let (actor, sight, request) = (caller(&request), sight(&request)?, request.into_inner());
        let place = self.views.place(&request.id, &sight).await?;
        let reason = convert::optional(request.reason);
        convert::check_text("reason", reason.as_deref())?;
        let seen = convert::etag(&request.etag)?;
        self.after(desk::cancel(&self.world, place, reason, seen, actor).await).await
    }

    async fn retry(&self, request: Request<v1::RetryRequest>) -> Result<Response<v1::Registration>, Status> {
        let (actor, sight, request) = (caller(&request), sight(&request)?, request.into_inner());
        let place = self.views.place(&request.id, &sight).await?;
        let seen = convert::etag(&request.etag)?;
        let from = convert::method("from_method", request.from_method)?;
        let reason = convert::optional(request.reason);
        convert::check_text("reason", reason.as_deref())?;
        let correction = match request.correction {
            Some(correction) => {
                let before = desk::details(&self.world, place).await.map_err(|error| errors::of_desk(&error))?;
                own::correction(&correction, &sight, &self.world)?;
                Some(convert::corrected(correction, before)?)
            }
            None => None,
        };
        let wish = RetryWish { from, reason, correction };
        self.after(desk::retry(&self.world, place, wish, seen, actor).await).await
    }

    async fn explain(&self, request: Request<v1::ExplainRequest>) -> Result<Response<v1::Explanation>, Status> {
        let (sight, request) = (sight(&request)?, request.into_inner());
        let place = self.views.place(&request.id, &sight).await?;
        let explained = handlers::explain(&self.world, &self.engine, place).await;
        let explanation = explained.map_err(|error| errors::of_journal(&error))?;
        let registration = self.shown(&explanation.registration).await;
        Ok(Response::new(explain::explanation(explanation, registration, &sight)))
    }
}

fn result(answer: Result<v1::SubmitResponse, Status>) -> v1::submit_result::Result {
    match answer {
        Ok(submitted) => v1::submit_result::Result::Submitted(submitted),
        Err(status) => {
            let error: pb::Status = errors::as_message(&status);
            v1::submit_result::Result::Error(error)
        }
    }
}

/// What a list is narrowed to.
pub fn filter(request: &v1::ListRequest) -> Result<Filter, Status> {
    let mut statuses = Vec::new();
    for number in &request.states {
        let state = v1::RegistrationState::try_from(*number)
            .map_err(|_| errors::invalid_field("states", "has an unknown state"))?;
        statuses.extend(wire::status(state));
    }
    let owner_ref = match request.owner_ref.as_str() {
        "" => None,
        text => Some(convert::owner_ref(text)?),
    };
    Ok(Filter { statuses, maker: convert::optional(request.maker.clone()), owner_ref, tenant: None })
}

/// How many there are in all, where the view counts them: by status only.
fn total(views: &Views, filter: &Filter) -> i64 {
    if filter.maker.is_some() || filter.owner_ref.is_some() || filter.tenant.is_some() {
        return 0;
    }
    let counts = views.status.counts();
    let all = events::Status::ALL.iter().filter(|s| filter.statuses.is_empty() || filter.statuses.contains(s));
    all.map(|status| i64::try_from(counts.of(*status)).unwrap_or(i64::MAX)).sum()
}
