//! API attempt: one call of the maker's API.

use std::time::Instant;

use connectors::{ApiRequest, Connector};
use events::decide::retry_at;
use events::{Conclusion, Details, Method, ObjectRef, Outcome, Registration};

use crate::world::World;

/// Calls the maker and tells what came of it.
pub(crate) async fn attempt(
    world: &World,
    connector: &Connector,
    registration: &Registration,
    details: &Details,
) -> Conclusion {
    let started = Instant::now();
    crate::crash_point("before_call");
    let (outcome, received) = world.api.exchange(connector, &request(registration, details)).await;
    Conclusion { received, ..conclusion(world, connector, registration, outcome, started, None) }
}

/// The registration's present attempt as a request.
pub(crate) fn request<'a>(registration: &Registration, details: &'a Details) -> ApiRequest<'a> {
    ApiRequest {
        registration: registration.id,
        attempt: registration.attempts,
        idempotency_key: idempotency_key(registration),
        details,
    }
}

/// One key for a run of tries, named by its first attempt: a try whose answer was lost is known again by the maker.
fn idempotency_key(registration: &Registration) -> String {
    let first_of_run = registration.attempts + 1 - registration.tries.clamp(1, registration.attempts.max(1));
    format!("{}-{first_of_run}", registration.id)
}

/// What an attempt of the registration's present method came to, with the times of what may follow.
pub(crate) fn conclusion(
    world: &World,
    connector: &Connector,
    registration: &Registration,
    outcome: Outcome,
    started: Instant,
    evidence: Option<ObjectRef>,
) -> Conclusion {
    let policy = connector.retry(registration.method().unwrap_or(Method::Api));
    let (now, random) = (world.now(), rand::random::<f64>());
    let failure = if let Outcome::Failed(failure) = &outcome { Some(failure) } else { None };
    let retry_at = failure.and_then(|failure| retry_at(failure, registration.tries, &policy, random, now));
    let throttled_until = failure.and_then(|failure| Some(now.plus(failure.retry_after?)));
    let ask_at = connector.can_look_up().then(|| now.plus(world.options.lookup.first_after));
    let latency_ms = u32::try_from(started.elapsed().as_millis()).unwrap_or(u32::MAX);
    let asks = connector.asking();
    let plain = Conclusion::of(registration.attempts, outcome, latency_ms);
    Conclusion { evidence, retry_at, throttled_until, ask_at, asks, ..plain }
}
