//! One endpoint's deliveries: what is told from now on, and beside it what an operator wants delivered again.

use std::sync::Arc;
use std::time::Duration;

use bus::{Deliveries, Delivery, Unavailable};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::send::{Tried, send};
use super::{Endpoint, Shared};

/// How long the server is asked to wait for something to deliver.
const WAIT: Duration = Duration::from_secs(2);
/// Pause after the server did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// How often the server is asked for redeliveries that another process began.
const LOOK: Duration = Duration::from_secs(30);

/// Runs until `shutdown`.
pub(super) async fn run(shared: Arc<Shared>, place: usize, shutdown: CancellationToken) {
    let permits = Arc::new(Semaphore::new(shared.options.concurrency));
    let mut again = JoinSet::new();
    let own = tokio::spawn(deliver(shared.clone(), place, None, permits.clone(), shutdown.clone()));
    while !shutdown.is_cancelled() {
        let endpoint = &shared.endpoints[place];
        for name in begun(&shared, endpoint).await {
            again.spawn(deliver(shared.clone(), place, Some(name), permits.clone(), shutdown.clone()));
        }
        tokio::select! {
            () = endpoint.asked.notified() => {}
            () = tokio::time::sleep(LOOK) => {}
            () = shutdown.cancelled() => {}
        }
        while again.try_join_next().is_some() {}
    }
    while again.join_next().await.is_some() {}
    if own.await.is_err() {
        tracing::error!(endpoint = shared.endpoints[place].name, "the deliveries of a webhook ended badly");
    }
}

/// Redeliveries that have no task yet.
async fn begun(shared: &Shared, endpoint: &Endpoint) -> Vec<String> {
    if !shared.lease.is_held() {
        return Vec::new();
    }
    let names = shared.outbox.again_names(&endpoint.recipient).await.unwrap_or_else(|error| {
        tracing::debug!(endpoint = endpoint.name, %error, "redeliveries are looked for again soon");
        Vec::new()
    });
    let mut known = endpoint.known();
    let new: Vec<String> = names.into_iter().filter(|name| known.again.insert(name.clone())).collect();
    // somebody asked, perhaps another process
    known.is_gone &= new.is_empty();
    new
}

/// Delivers from the endpoint's own consumer, or until its end from one that delivers the past again.
async fn deliver(
    shared: Arc<Shared>,
    place: usize,
    again: Option<String>,
    permits: Arc<Semaphore>,
    shutdown: CancellationToken,
) {
    let endpoint = &shared.endpoints[place];
    let mut held = shared.lease.watch();
    while !shutdown.is_cancelled() {
        let work = async {
            // ends with the last handle of the lease, of which we hold one
            let _ = held.wait_for(|held| *held).await;
            deliver_while_held(&shared, place, again.as_deref(), &permits).await
        };
        let ended = tokio::select! {
            ended = work => ended,
            () = shutdown.cancelled() => return,
        };
        match ended {
            Ok(Ended::Done) => break,
            Ok(Ended::NotOurs) => {}
            Err(error) => {
                tracing::warn!(endpoint = endpoint.name, %error, "webhooks pause");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
    if let Some(name) = &again {
        endpoint.known().again.remove(name);
    }
}

/// Why delivering ended.
enum Ended {
    /// Everything that was to be delivered again is.
    Done,
    /// Another process does the work.
    NotOurs,
}

async fn deliver_while_held(
    shared: &Arc<Shared>,
    place: usize,
    again: Option<&str>,
    permits: &Arc<Semaphore>,
) -> Result<Ended, Unavailable> {
    let endpoint = &shared.endpoints[place];
    let deliveries = match again {
        None => shared.outbox.deliveries(&endpoint.recipient).await?,
        Some(name) => match shared.outbox.deliveries_again(name).await? {
            Some(deliveries) => deliveries,
            None => return Ok(Ended::Done),
        },
    };
    let mut under_way = JoinSet::new();
    while shared.lease.is_held() {
        if endpoint.known().is_gone {
            tokio::time::sleep(PAUSE).await;
            continue;
        }
        while under_way.len() >= shared.options.concurrency {
            under_way.join_next().await;
        }
        let room = shared.options.concurrency - under_way.len();
        let got = next(&deliveries, room).await?;
        if got.is_empty() && under_way.is_empty() && deliveries.remove_if_done().await? {
            tracing::info!(endpoint = endpoint.name, consumer = again, "everything was delivered again");
            return Ok(Ended::Done);
        }
        for delivery in got {
            under_way.spawn(one(shared.clone(), place, delivery, permits.clone()));
        }
        while under_way.try_join_next().is_some() {}
    }
    Ok(Ended::NotOurs)
}

/// The next ones, without those behind the end of what is delivered again: the endpoint's own consumer has them.
async fn next(deliveries: &Deliveries, room: usize) -> Result<Vec<Delivery>, Unavailable> {
    let mut wanted = Vec::new();
    for delivery in deliveries.next(room, WAIT).await? {
        if deliveries.is_behind_the_end(&delivery) {
            delivery.arrived().await?;
        } else {
            wanted.push(delivery);
        }
    }
    Ok(wanted)
}

/// One try of one notification, and the word about it.
async fn one(shared: Arc<Shared>, place: usize, delivery: Delivery, permits: Arc<Semaphore>) {
    // never closed; both kinds of deliveries of an endpoint share its bound
    let mut turn = std::pin::pin!(permits.acquire_owned());
    let _permit = loop {
        tokio::select! {
            permit = &mut turn => break permit,
            () = tokio::time::sleep(shared.options.timeout) => delivery.waits_on().await,
        }
    };
    if !shared.lease.is_held() {
        // whoever holds it gets the notification when its time is up
        return;
    }
    let (endpoint, sequence) = (&shared.endpoints[place], delivery.sequence);
    let said = if endpoint.known().is_gone {
        // it was asked for before that was known; put back, and nobody asks again
        delivery.again_after(Duration::ZERO).await
    } else {
        try_once(&shared, endpoint, delivery).await
    };
    if let Err(error) = said {
        tracing::warn!(endpoint = endpoint.name, sequence, %error, "a webhook's fate was not stored; it may be sent again");
    }
}

async fn try_once(shared: &Shared, endpoint: &Endpoint, delivery: Delivery) -> Result<(), Unavailable> {
    let (id, now) = (id_of(&delivery.body), (shared.options.clock)());
    let seconds = now.0.div_euclid(1_000_000);
    let tried =
        send(shared.clients.of(endpoint.reach), &endpoint.url, &endpoint.key, &id, seconds, delivery.body.clone())
            .await;
    crate::crash_point("after_webhook");
    match tried {
        Tried::Taken => {
            endpoint.known().succeeded_at = Some(now);
            delivery.arrived().await
        }
        Tried::Gone => {
            tracing::warn!(endpoint = endpoint.name, "a webhook answered 410 Gone: nothing more is sent to it");
            endpoint.gone(now);
            delivery.again_after(Duration::ZERO).await
        }
        Tried::Failed(why, retry_after) => {
            endpoint.known().failed = Some((now, why.clone()));
            let pause = shared.options.schedule.pause(delivery.number, retry_after, rand::random::<f64>());
            again_or_not(endpoint, delivery, &why, pause).await
        }
    }
}

async fn again_or_not(
    endpoint: &Endpoint,
    delivery: Delivery,
    why: &str,
    pause: Option<Duration>,
) -> Result<(), Unavailable> {
    let (endpoint, sequence, number) = (&endpoint.name, delivery.sequence, delivery.number);
    if let Some(pause) = pause {
        tracing::info!(endpoint, sequence, number, pause_s = pause.as_secs(), why, "a webhook was not taken");
        return delivery.again_after(pause).await;
    }
    tracing::error!(
        endpoint,
        sequence,
        number,
        why,
        "a webhook is given up; `regflow webhooks redeliver` sends it again"
    );
    delivery.give_up().await
}

/// The CloudEvent's id: the same for ever for the same fact.
fn id_of(body: &[u8]) -> String {
    let event = serde_json::from_slice::<Value>(body).unwrap_or_default();
    event["id"].as_str().unwrap_or_default().to_owned()
}
