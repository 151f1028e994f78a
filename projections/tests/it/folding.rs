//! What pages of the log make of the rows.

use events::event::{Corrected, RetryRequested, RetryScheduled, UserCompleted};
use events::{ErrorKind, ManualReason, Method, PersonKeyId, Registration, Status, Timestamp};
use regflow_projections::{Filter, Opened, PAGE_RECORDS_MAX, Row, StatusView, ViewError, Waiting};
use uuid::Uuid;

use crate::history::{Log, NOW, SEALED, STREAM, id, owner, packet};

fn view() -> (tempfile::TempDir, StatusView) {
    let folder = tempfile::tempdir().unwrap();
    let Opened { view, from, .. } = StatusView::open(&folder.path().join("status"), STREAM, NOW).unwrap();
    assert_eq!(from, 1);
    (folder, view)
}

fn row(view: &StatusView, n: u64) -> Row {
    view.get(id(n)).unwrap().unwrap()
}

#[test]
fn a_happy_registration_ends_with_its_confirmation() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    for record in &log.records {
        view.apply(std::slice::from_ref(record)).unwrap();
    }
    let row = row(&view, 1);
    assert_eq!((row.status(), row.method, row.confirmation()), (Status::Success, Some(Method::Api), Some("NR-000001")));
    assert_eq!((row.submission, row.registration.last.sequence, row.registration.attempts), (1, 3, 1));
    assert_eq!(view.counts().of(Status::Success), 1);
    assert_eq!(view.counts().total(), 1);
    assert_eq!(view.position(), 3);
}

#[test]
fn a_page_gives_the_same_rows_as_its_records_one_by_one() {
    let (_one, by_page) = view();
    let (_two, by_record) = view();
    let mut log = Log::default();
    log.happy(1);
    log.manual(2);
    log.needs_correction(3);
    let applied = by_page.apply(&log.records).unwrap();
    for record in &log.records {
        by_record.apply(std::slice::from_ref(record)).unwrap();
    }
    assert_eq!(applied, 11);
    for n in 1..=3 {
        assert_eq!(row(&by_page, n), row(&by_record, n));
    }
    assert_eq!(by_page.counts(), by_record.counts());
}

#[test]
fn a_row_is_the_fold_of_its_events_without_the_sealed_details() {
    let (folder, view) = view();
    let mut log = Log::default();
    log.manual(1);
    view.apply(&log.records).unwrap();
    view.write().unwrap();
    let mut folded = Registration::replay(&log.records).unwrap().unwrap();
    folded.sealed = Default::default();
    assert_eq!(row(&view, 1).registration, folded);
    drop(view);
    let files = std::fs::read_dir(folder.path().join("status")).unwrap().map(|file| file.unwrap().path());
    let bytes: Vec<u8> = files.filter(|path| path.is_file()).flat_map(|path| std::fs::read(path).unwrap()).collect();
    let holds = |text: &[u8]| bytes.windows(text.len()).any(|window| window == text);
    assert!(holds(b"VK 200"), "the row is in the files");
    assert!(!holds(SEALED));
}

#[test]
fn a_manual_row_tells_why_and_names_the_packet() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.manual(1);
    view.apply(&log.records).unwrap();
    let row = row(&view, 1);
    assert_eq!((row.status(), row.method), (Status::ManualRequired, Some(Method::AssistedManual)));
    assert_eq!((row.manual_reason, row.packet.as_ref()), (Some(ManualReason::Captcha), Some(&packet())));
    assert_eq!(row.evidence.as_deref(), Some("screenshot-1"));
    assert_eq!(row.last_error.map(|error| error.kind), Some(ErrorKind::Captcha));

    let code = Some("V-1".to_owned());
    let done = log.append(id(1), vec![UserCompleted { confirmation: code, photo: None }.into()]);
    view.apply(&[done]).unwrap();
    let row = self::row(&view, 1);
    assert_eq!((row.status(), row.confirmation()), (Status::UserCompleted, Some("V-1")));
}

#[test]
fn a_corrected_row_begins_again_with_the_mended_model() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.needs_correction(1);
    view.apply(&log.records).unwrap();
    assert_eq!(row(&view, 1).corrections()[0].field, "product.serial");

    let person_key = PersonKeyId(Uuid::from_u128(6));
    let mended = Corrected {
        model: "VK 300".into(),
        purchased_on: None,
        person_key,
        sealed: SEALED.to_vec(),
        register_by: None,
        owner_ref: Some(owner(2)),
    };
    let again = log.append(id(1), vec![mended.into(), RetryRequested { from: None, reason: None }.into()]);
    view.apply(&[again]).unwrap();
    let row = row(&view, 1);
    assert_eq!((row.status(), row.registration.model.as_str()), (Status::Pending, "VK 300"));
    assert!(row.registration.sealed.is_empty() && row.corrections().is_empty());
    let of = |owner_ref| {
        let filter = Filter { owner_ref: Some(owner_ref), ..Filter::default() };
        view.list(&filter, 10, None).unwrap().rows.len()
    };
    assert_eq!((of(owner(1)), of(owner(2))), (0, 1), "it stands in the list of whoever has the mended address");
}

#[test]
fn a_waiting_row_tells_until_when() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.submit(1, "norrland", owner(1));
    log.start(1, 1, Method::Api);
    let (method, until) = (Method::Api, Timestamp(99));
    let failed = events::event::AttemptFailed {
        attempt: 1,
        kind: ErrorKind::Server,
        detail: "503".into(),
        latency_ms: 1,
        evidence: None,
    };
    log.append(id(1), vec![failed.into(), RetryScheduled { method, at: until }.into()]);
    view.apply(&log.records).unwrap();
    let after = ErrorKind::Server;
    assert_eq!(row(&view, 1).waiting(), Some(Waiting::Retry { method, after, until }));
    assert_eq!(view.counts().of(Status::Waiting), 1);
}

#[test]
fn the_same_page_twice_changes_nothing() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    log.manual(2);
    view.apply(&log.records).unwrap();
    let (first, counts) = (row(&view, 1), view.counts());
    assert_eq!(view.apply(&log.records).unwrap(), 8);
    assert_eq!((row(&view, 1), view.counts()), (first, counts));
}

#[test]
fn a_page_that_overlaps_is_taken_in_from_where_it_is_new() {
    let (_folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    view.apply(&log.records[..2]).unwrap();
    assert_eq!(view.counts().of(Status::Processing), 1);
    assert_eq!(view.apply(&log.records).unwrap(), 3);
    assert_eq!((view.counts().of(Status::Processing), view.counts().of(Status::Success)), (0, 1));
}

#[test]
fn a_record_whose_predecessor_was_not_seen_puts_the_view_in_doubt_until_it_starts_over() {
    let (folder, view) = view();
    let mut log = Log::default();
    log.happy(1);
    view.apply(&log.records[..1]).unwrap();
    let refused = view.apply(&log.records[2..]).unwrap_err();
    assert!(matches!(refused, ViewError::OutOfOrder { sequence: 3, .. }) && refused.needs_rebuild());
    assert!(matches!(view.apply(&log.records), Err(ViewError::InDoubt)));
    assert_eq!(view.position(), 1);

    let aside = view.start_over(NOW).unwrap();
    assert!(aside.path.unwrap().starts_with(folder.path()));
    assert_eq!((view.position(), view.counts().total(), view.get(id(1)).unwrap()), (0, 0, None));
    view.apply(&log.records).unwrap();
    assert_eq!(row(&view, 1).status(), Status::Success);
}

#[test]
fn a_first_record_that_is_no_submission_and_a_page_that_goes_backwards_are_refused() {
    let mut log = Log::default();
    log.happy(1);
    let (_one, view) = view();
    assert!(matches!(view.apply(&log.records[1..]), Err(ViewError::OutOfOrder { sequence: 2, .. })));
    let (_two, view) = self::view();
    log.records.reverse();
    assert!(matches!(view.apply(&log.records), Err(ViewError::OutOfOrder { .. })));
}

#[test]
fn a_page_over_the_limit_is_refused_without_harm() {
    let (_folder, view) = view();
    let mut log = Log::default();
    for n in 0..=PAGE_RECORDS_MAX as u64 {
        log.submit(n, "norrland", owner(n));
    }
    let refused = view.apply(&log.records).unwrap_err();
    assert!(matches!(refused, ViewError::PageTooLong { .. }) && !refused.needs_rebuild());
    view.apply(&log.records[1..]).unwrap();
    assert_eq!(view.counts().of(Status::Pending), PAGE_RECORDS_MAX as u64);
}
