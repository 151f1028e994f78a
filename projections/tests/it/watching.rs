//! Waiting for a sequence, and hearing of each record.

use std::time::{Duration, Instant};

use events::event::UserCompleted;
use events::{Event, Status};
use regflow_projections::{NotYet, StatusView, UPDATES_MAX};
use tokio::sync::broadcast::error::TryRecvError;

use crate::history::{Log, NOW, STREAM, id, owner};

fn view() -> (tempfile::TempDir, StatusView) {
    let folder = tempfile::tempdir().unwrap();
    let view = StatusView::open(&folder.path().join("status"), STREAM, NOW).unwrap().view;
    (folder, view)
}

#[tokio::test]
async fn a_reader_of_its_own_write_waits_until_it_is_there() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    let (reader, deadline) = (view.clone(), Instant::now() + Duration::from_secs(10));
    let waiting = tokio::spawn(async move {
        let position = reader.wait_for(3, deadline).await;
        (position, reader.get(id(1)).unwrap().unwrap().status())
    });
    tokio::task::spawn_blocking(move || view.apply(&log.records).map(|_| ()).unwrap()).await.unwrap();
    assert_eq!(waiting.await.unwrap(), (Ok(3), Status::Success));
}

#[tokio::test]
async fn a_wait_ends_at_its_deadline_and_tells_how_far_the_view_is() {
    let (_folder, view) = view();
    let reached = view.wait_for(7, Instant::now()).await;
    assert_eq!(reached, Err(NotYet { position: 0, wanted: 7 }));
}

#[tokio::test]
async fn what_is_about_no_registration_is_passed_and_holds_nobody_up() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    view.apply(&log.records).unwrap();
    view.pass(5);
    assert_eq!(view.wait_for(5, Instant::now()).await, Ok(5));
    view.pass(2);
    assert_eq!(view.position(), 5);
}

#[test]
fn a_packet_is_found_by_its_reference_while_it_is_its_owners_turn() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.manual(1);
    log.happy(2);
    view.apply(&log.records).unwrap();
    let found = |n| view.waiting_for_owner(&id(n).reference()).unwrap();
    assert_eq!(found(1).iter().map(|row| row.registration.id).collect::<Vec<_>>(), [id(1)]);
    assert_eq!(found(2), []);
    let done = log.append(id(1), vec![UserCompleted { confirmation: None, photo: None }.into()]);
    view.apply(&[done]).unwrap();
    assert_eq!(found(1), []);
}

#[test]
fn a_watcher_hears_of_each_record_in_order_with_the_row_after_it() {
    let (_folder, view) = view();
    let mut updates = view.updates();
    let mut log = Log::default();
    log.happy(1);
    view.apply(&log.records).unwrap();
    let mut heard = Vec::new();
    while let Ok(update) = updates.try_recv() {
        let names: Vec<_> = update.events.iter().map(Event::name).collect();
        heard.push((update.sequence, update.row.status(), names.join(" ")));
    }
    assert_eq!(
        heard,
        [
            (1, Status::Pending, "submitted".to_owned()),
            (2, Status::Processing, "dispatched attempt_started".to_owned()),
            (3, Status::Success, "attempt_succeeded registration_succeeded".to_owned()),
        ]
    );
    view.apply(&log.records).unwrap();
    assert!(matches!(updates.try_recv(), Err(TryRecvError::Empty)), "a page twice is told once");
}

#[test]
fn a_watcher_that_lags_is_told_so() {
    let (_folder, view) = view();
    let mut updates = view.updates();
    let mut log = Log::default();
    for n in 0..=UPDATES_MAX as u64 {
        log.submit(n, "norrland", owner(n));
    }
    for page in log.records.chunks(1_000) {
        view.apply(page).unwrap();
    }
    assert!(matches!(updates.try_recv(), Err(TryRecvError::Lagged(1))));
    assert_eq!(updates.try_recv().map(|update| update.sequence), Ok(2));
}
