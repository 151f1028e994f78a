//! How everything was: the question, and the answer in the words of the live services.

use ::audit::AsOf;
use bus::EventLog;
use connectors::Catalog;
use events::maker::GUARDED;
use events::{FieldProblem, Guards, Method, Status as Standing, Timestamp};
use handlers::{MakerStatus, MethodStatus};
use projections::{MetricsError, MetricsFilter, PAGE_ROWS_MAX, Wanted, Window};
use proto::v1;
use tonic::Status;

use super::super::{analytics, convert, errors, makers, registrations, wire as words};
use super::wire::timestamp;
use super::wish;

/// The window of metrics when a request names none, in seconds.
const WINDOW_S: u64 = 3_600;
/// As long as anything is kept: three years, in seconds.
const WINDOW_S_MAX: u64 = 3 * 365 * 86_400;

/// Answers from the log alone; `catalog` has the policies and names of today.
pub async fn as_of(
    log: &dyn EventLog,
    catalog: &Catalog,
    request: v1::AsOfRequest,
) -> Result<v1::AsOfResponse, Status> {
    let mut problems = Vec::new();
    let moment = wish::moment(("sequence", request.sequence), ("time", request.time), &mut problems);
    if request.window_seconds > WINDOW_S_MAX {
        problems.push(FieldProblem::new("window_seconds", format!("must be 0 (for an hour) to {WINDOW_S_MAX}")));
    }
    if !problems.is_empty() {
        return Err(errors::invalid(&problems));
    }
    let (wanted, filter) = (wanted(&request)?, metrics_filter(&request)?);

    let guards = Guards::new(catalog.iter().map(|connector| (connector.id(), connector.policy().clone())));
    let all = ::audit::as_of(log, moment, wanted, guards).await.map_err(|error| super::of_replay(&error))?;
    let metrics =
        all.past.metrics(window(request.window_seconds, all.time), &filter).map_err(|error| of_metrics(&error))?;
    Ok(answer(&all, catalog, analytics::metrics_on_the_wire(metrics)))
}

fn wanted(request: &v1::AsOfRequest) -> Result<Wanted, Status> {
    let id = match request.id.as_str() {
        "" => None,
        text => Some(convert::id(text)?),
    };
    let list = v1::ListRequest {
        states: request.states.clone(),
        maker: request.maker.clone(),
        owner_ref: request.owner_ref.clone(),
        ..Default::default()
    };
    let rows_max = usize::try_from(request.page_size).ok().filter(|rows| *rows <= PAGE_ROWS_MAX);
    let rows_max = rows_max
        .ok_or_else(|| errors::invalid_field("page_size", &format!("must be 0 (for none) to {PAGE_ROWS_MAX}")))?;
    Ok(Wanted { id, filter: registrations::filter(&list)?, rows_max })
}

fn metrics_filter(request: &v1::AsOfRequest) -> Result<MetricsFilter, Status> {
    Ok(MetricsFilter {
        connector: convert::optional(request.maker.clone()),
        method: None,
        resolution: analytics::resolution(request.resolution)?,
    })
}

fn window(seconds: u64, end: Timestamp) -> Window {
    let seconds = if seconds == 0 { WINDOW_S } else { seconds };
    let length = i64::try_from(seconds.saturating_mul(1_000_000)).unwrap_or(i64::MAX);
    // a window ends before its end, and what happened at the moment itself counts
    Window { start: Timestamp(end.0.saturating_sub(length)), end: Timestamp(end.0.saturating_add(1)) }
}

fn of_metrics(error: &MetricsError) -> Status {
    match error {
        MetricsError::TooManyPoints { .. } => {
            errors::invalid_field("resolution", &format!("is too fine: {error}; use a coarser one or a shorter window"))
        }
        MetricsError::View(_) => errors::status(tonic::Code::Internal, "HISTORY_BROKEN", error.to_string()),
    }
}

fn answer(all: &AsOf, catalog: &Catalog, metrics: v1::MetricsResponse) -> v1::AsOfResponse {
    let (rows, is_complete) = all.past.rows();
    let (counts, funnel) = (all.past.counts(), all.past.funnel());
    let state = |status: &Standing| v1::StateCount { state: words::state(*status).into(), count: counts.of(*status) };
    v1::AsOfResponse {
        sequence: all.sequence,
        time: Some(timestamp(all.time)),
        registration: all.past.row().map(|row| words::row(row, catalog)),
        registrations: rows.into_iter().map(|row| words::row(row, catalog)).collect(),
        list_incomplete: !is_complete,
        states: Standing::ALL.iter().map(state).collect(),
        makers: statuses(&all.guards, catalog, all.time).into_iter().map(|of| makers::maker(of, catalog)).collect(),
        metrics: Some(metrics),
        funnel: Some(v1::ManualFunnel {
            required: funnel.required,
            sent: funnel.sent,
            opened: funnel.opened,
            completed: funnel.completed,
        }),
    }
}

/// As the engine tells them, but for what it alone knows: its lines, and when it will check.
fn statuses(guards: &Guards, catalog: &Catalog, at: Timestamp) -> Vec<MakerStatus> {
    let mut statuses: Vec<_> = guards
        .makers()
        .map(|(index, maker)| {
            let ladder = catalog.get(&maker.connector).map(|known| known.ladder().to_vec()).unwrap_or_default();
            let method = |method: Method| {
                Some(MethodStatus {
                    method,
                    circuit: maker.circuit(method)?.view(),
                    pause: maker.pause(method).cloned(),
                    under_way: guards.under_way(index, method),
                    waiting: 0,
                    oldest: Vec::new(),
                })
            };
            let methods = GUARDED.into_iter().filter(|method| ladder.contains(method)).filter_map(method).collect();
            MakerStatus::of(maker, methods, at)
        })
        .collect();
    statuses.sort_by(|one, other| one.connector.cmp(&other.connector));
    statuses
}
