//! What the audit service tells of the log itself: its check, its state, and the decision about one that is not to be trusted.

use std::sync::Arc;

use bus::{CheckError, Report, Trust, TrustError};
use handlers::operations;
use proto::v1;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::audit::timestamp;
use super::errors;
use super::views::Views;
use crate::view_check;

/// Updates that may wait for a slow reader; progress beyond that is left out.
const UPDATES_MAX: usize = 16;

type Updates = ReceiverStream<Result<v1::VerifyUpdate, Status>>;

/// A check of the whole log, under way when this returns. It ends early when nobody listens any more.
pub fn verify(trust: &Trust, views: &Arc<Views>) -> Updates {
    let (sender, updates) = mpsc::channel(UPDATES_MAX);
    let (trust, views) = (trust.clone(), views.clone());
    tokio::spawn(async move {
        let told = tokio::select! {
            told = check(&trust, &views, &sender) => told,
            () = sender.closed() => return,
        };
        // fails only when nobody listens any more
        drop(sender.send(told).await);
    });
    ReceiverStream::new(updates)
}

async fn check(
    trust: &Trust,
    views: &Views,
    sender: &mpsc::Sender<Result<v1::VerifyUpdate, Status>>,
) -> Result<v1::VerifyUpdate, Status> {
    let check = trust.check();
    let report = Box::pin(check.run(|progress| {
        let progress = v1::VerifyProgress { sequence: progress.sequence, last: progress.last };
        let what = Some(v1::verify_update::What::Progress(progress));
        // whoever reads slowly misses some of it, and the report is what counts
        drop(sender.try_send(Ok(v1::VerifyUpdate { what })));
    }));
    let report = report.await.map_err(|error| unreadable(&error))?;
    if let Some(trouble) = report.trouble()
        && let Err(error) = trust.distrust(trouble)
    {
        tracing::error!(error = &error as &dyn std::error::Error, "read-only until the next start only");
    }
    let views = Box::pin(view_check::check(&check.log, &views.status, &views.analytics)).await;
    let views = views.map_err(|error| {
        errors::passing(Code::Unavailable, "VIEW_UNAVAILABLE", format!("the views cannot be checked: {error:#}"))
    })?;
    let what = Some(v1::verify_update::What::Report(of_report(&report, trust.key().to_string(), views)));
    Ok(v1::VerifyUpdate { what })
}

fn unreadable(error: &CheckError) -> Status {
    errors::passing(Code::Unavailable, "LOG_UNAVAILABLE", format!("the log cannot be checked: {error}"))
}

/// A report on the wire.
pub fn of_report(report: &Report, key: String, views: Vec<v1::ViewCheck>) -> v1::VerifyReport {
    let flaw = |flaw: &bus::Flaw| v1::LogFlaw {
        sequence: flaw.sequence,
        kind: flaw.kind.word().to_owned(),
        text: flaw.text.clone(),
    };
    v1::VerifyReport {
        good: report.is_good() && views.iter().all(|view| view.good),
        messages: report.messages,
        last: report.last,
        compared: report.compared,
        heads: report.heads,
        signed: report.signed,
        root: report.root.clone(),
        histories: report.histories,
        no_records: report.no_records,
        settled: report.settled,
        flaws: report.flaws,
        first_flaws: report.first_flaws.iter().map(flaw).collect(),
        seconds: report.seconds,
        key,
        views,
    }
}

/// An operator's decision.
pub fn accept(trust: &Trust, request: &v1::AcceptLogRequest) -> Result<v1::AcceptLogResponse, Status> {
    let problems = operations::said_why(&request.reason, &request.operator);
    if !problems.is_empty() {
        return Err(errors::invalid(&problems));
    }
    let accepted = trust.accept(&request.operator, &request.reason).map_err(|error: TrustError| {
        errors::passing(Code::Unavailable, "TRUST_UNAVAILABLE", format!("the decision cannot be kept: {error}"))
    })?;
    let Some(accepted) = accepted else {
        let text = "the log is not read-only; there is nothing to accept";
        return Err(errors::status(Code::FailedPrecondition, "LOG_NOT_READ_ONLY", text));
    };
    tracing::warn!(
        operator = accepted.operator,
        era = accepted.era,
        "an operator has accepted the log as it is; starting anew"
    );
    Ok(v1::AcceptLogResponse { era: accepted.era, trouble: accepted.trouble.to_string(), aside: accepted.aside })
}

/// How far the log is verified.
pub fn state(trust: &Trust) -> v1::LogState {
    let status = trust.status();
    v1::LogState {
        read_only: status.trouble.is_some(),
        trouble: status.trouble.as_ref().map(ToString::to_string).unwrap_or_default(),
        first_bad: status.trouble.as_ref().map_or(0, bus::Trouble::first_bad),
        verified: status.verified,
        last: status.last,
        signed: status.head.as_ref().map_or(0, |head| head.size),
        signed_at: status.head.as_ref().map(|head| timestamp(head.at)),
        root: status.head.as_ref().map(|head| head.root.to_string()).unwrap_or_default(),
        era: status.era,
        broken_links: status.broken,
        key: trust.key().to_string(),
    }
}
