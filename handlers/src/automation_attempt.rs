//! Automation attempt: the maker's form, filled in a real browser; a screenshot is kept as evidence.

use std::sync::Arc;
use std::time::Instant;

use connectors::Connector;
use events::{Conclusion, Details, ErrorKind, Failure, ObjectRef, Outcome, Registration};
use form::{FormFile, FormReport};
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

use crate::api_attempt::conclusion;
use crate::forget::screenshot_name;
use crate::intake::kind_of_file;
use crate::trace;
use crate::world::World;

/// Fills the form and tells what came of it.
pub(crate) async fn attempt(
    world: &World,
    connector: &Connector,
    registration: &Registration,
    details: &Details,
) -> Conclusion {
    let started = Instant::now();
    let (outcome, evidence) = match fill(world, connector, registration, details).await {
        Ok(report) => {
            let evidence = keep_screenshot(world, registration, &report).await;
            (report.outcome, evidence)
        }
        Err(failure) => (Outcome::Failed(failure), None),
    };
    conclusion(world, connector, registration, outcome, started, evidence)
}

async fn fill(
    world: &World,
    connector: &Connector,
    registration: &Registration,
    details: &Details,
) -> Result<FormReport, Failure> {
    let recipe = connector
        .form_recipe(details)
        .map_err(|error| Failure::new(ErrorKind::FormChanged, format!("the recipe cannot be rendered: {error}")))?;
    let files = proof_of_purchase(world, registration).await?;
    crate::crash_point("before_form");
    let lease = world.lease.clone();
    let span = browser_span(registration);
    let filled = world.browsers.run(&recipe, files, Arc::new(move || lease.is_held()));
    let report = filled.instrument(span.clone()).await;
    span.record("regflow.form.steps", report.step + 1);
    span.record("regflow.form.sent", report.clicked_submit);
    if let Outcome::Failed(failure) = &report.outcome {
        span.record("error.type", failure.kind.as_str());
    }
    crate::crash_point("after_form");
    Ok(report)
}

/// One span for the whole visit: what the browser's library would say of its steps quotes what is filled in.
fn browser_span(registration: &Registration) -> Span {
    info_span!(
        target: trace::TARGET,
        "fill form",
        otel.kind = "internal",
        regflow.registration.id = %registration.id,
        regflow.maker = registration.connector,
        regflow.attempt = registration.attempts,
        regflow.form.steps = Empty,
        regflow.form.sent = Empty,
        error.r#type = Empty,
    )
}

/// The proof of purchase as a file to upload; none when there is none.
async fn proof_of_purchase(world: &World, registration: &Registration) -> Result<Vec<FormFile>, Failure> {
    let Some(proof) = &registration.proof else { return Ok(Vec::new()) };
    let bytes = world.fetch_sealed(registration, &proof.name).await.map_err(|error| {
        tracing::warn!(id = %registration.id, %error, "the proof of purchase cannot be read");
        Failure::new(ErrorKind::Internal, "the proof of purchase cannot be read from the object store")
    })?;
    // nothing else was taken in
    let extension = kind_of_file(&bytes).map_or("pdf", |kind| kind.extension);
    Ok(vec![FormFile { name: format!("proof-of-purchase.{extension}"), bytes }])
}

/// Evidence is wanted, but an attempt's outcome never hangs on it.
async fn keep_screenshot(world: &World, registration: &Registration, report: &FormReport) -> Option<ObjectRef> {
    let png = report.screenshot.as_deref()?;
    let name = screenshot_name(registration.id, registration.attempts);
    let kept = match world.key(registration).await {
        Ok(key) => world.keep_sealed(&key, registration.id, &name, png).await,
        Err(error) => Err(error),
    };
    kept.inspect_err(|error| tracing::warn!(id = %registration.id, %error, "a screenshot is not kept")).ok()
}
