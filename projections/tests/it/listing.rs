//! Lists, page by page, while the world goes on.

use std::collections::HashSet;

use events::event::{Cancelled, PersonForgotten};
use events::{ForgetReason, Forgetting, Method, RegistrationId, Status};
use regflow_projections::{Filter, ListError, Opened, StatusView};

use crate::history::{Log, NOW, STREAM, id, owner};

const ROWS: u64 = 700;
const MAKERS: [&str; 3] = ["norrland", "kestrel", "aurora"];

/// Registrations 0..ROWS of three makers and five owners: every second one done, every fifth one cancelled.
fn filled() -> (tempfile::TempDir, StatusView, Log) {
    let folder = tempfile::tempdir().unwrap();
    let Opened { view, .. } = StatusView::open(&folder.path().join("status"), STREAM, NOW).unwrap();
    let mut log = Log::default();
    for n in 0..ROWS {
        log.submit(n, MAKERS[usize::try_from(n % 3).unwrap()], owner(n % 5));
        if n % 2 == 0 {
            log.start(n, 1, Method::Api);
            log.succeed(n);
        } else if n % 5 == 0 {
            log.append(id(n), vec![Cancelled { reason: None }.into()]);
        }
    }
    view.apply(&log.records).unwrap();
    (folder, view, log)
}

/// All pages of a list; between two of them a new registration comes that fits most filters.
fn all_pages(view: &StatusView, log: &mut Log, filter: &Filter, rows_max: usize) -> Vec<RegistrationId> {
    let (mut ids, mut token) = (Vec::new(), None);
    for _ in 0..2_000 {
        let page = view.list(filter, rows_max, token.as_deref()).unwrap();
        assert!(page.rows.len() <= rows_max);
        ids.extend(page.rows.iter().map(|row| row.registration.id));
        let Some(next) = page.next_token else { return ids };
        token = Some(next);
        let new = log.submit(1_000_000 + log.records.len() as u64, "norrland", owner(0));
        view.apply(&[new]).unwrap();
    }
    panic!("the list does not end");
}

fn expected(fits: impl Fn(u64) -> bool) -> Vec<RegistrationId> {
    (0..ROWS).rev().filter(|n| fits(*n)).map(id).collect()
}

fn of_tenant(tenant: &str) -> Filter {
    Filter { tenant: Some(tenant.to_owned()), ..Filter::default() }
}

fn statuses(statuses: &[Status]) -> Filter {
    Filter { statuses: statuses.to_vec(), ..Filter::default() }
}

#[test]
fn the_pages_of_every_filter_are_complete_and_newest_first_while_new_rows_arrive() {
    let done = |n: u64| n.is_multiple_of(2);
    let cancelled = move |n: u64| !done(n) && n.is_multiple_of(5);
    let maker = Some("kestrel".to_owned());
    let cases: [(Filter, Vec<RegistrationId>); 10] = [
        (Filter::default(), expected(|_| true)),
        (statuses(&[Status::Success]), expected(done)),
        (statuses(&[Status::Cancelled]), expected(cancelled)),
        (statuses(&[Status::Cancelled, Status::Pending, Status::Cancelled]), expected(|n| !done(n))),
        (statuses(&[Status::Success, Status::Cancelled]), expected(|n| done(n) || cancelled(n))),
        (Filter { maker: maker.clone(), ..Filter::default() }, expected(|n| n % 3 == 1)),
        (Filter { owner_ref: Some(owner(4)), ..Filter::default() }, expected(|n| n % 5 == 4)),
        (
            Filter { statuses: vec![Status::Pending], maker, owner_ref: Some(owner(4)), ..Filter::default() },
            expected(|n| n % 5 == 4 && n % 3 == 1 && !done(n)),
        ),
        (Filter { statuses: vec![Status::Success], ..of_tenant("shop") }, expected(done)),
        (of_tenant("another"), Vec::new()),
    ];
    for rows_max in [1, 7, 256, 1_000] {
        let (_folder, view, mut log) = filled();
        for (filter, expected) in &cases {
            // what came during an earlier list stands before all that is expected here
            let mut ids = all_pages(&view, &mut log, filter, rows_max);
            ids.retain(|id| expected.contains(id) || (0..ROWS).any(|n| self::id(n) == *id));
            assert_eq!(ids, *expected, "{filter:?} by {rows_max}");
        }
    }
}

#[test]
fn a_rare_status_is_found_at_once_and_among_the_rows_of_a_tenant_page_by_page() {
    let folder = tempfile::tempdir().unwrap();
    let view = StatusView::open(&folder.path().join("status"), STREAM, NOW).unwrap().view;
    let mut log = Log::default();
    log.happy(0);
    for n in 1..=6_000 {
        log.submit(n, "norrland", owner(n));
    }
    for page in log.records.chunks(regflow_projections::PAGE_RECORDS_MAX) {
        view.apply(page).unwrap();
    }
    let of_all = statuses(&[Status::Success]);
    let found = view.list(&of_all, 50, None).unwrap();
    assert_eq!((found.rows.len(), found.next_token), (1, None));
    // how long a page takes must not tell of other tenants' rows, so it looks at those of its own
    let filter = Filter { tenant: Some("shop".to_owned()), ..of_all };
    let first = view.list(&filter, 50, None).unwrap();
    assert!(first.rows.is_empty() && first.next_token.is_some());
    let second = view.list(&filter, 50, first.next_token.as_deref()).unwrap();
    assert_eq!((second.rows.len(), second.next_token), (1, None));
}

#[test]
fn a_row_that_changes_its_status_leaves_one_list_and_enters_the_other() {
    let (_folder, view, mut log) = filled();
    let pending = view.list(&statuses(&[Status::Pending]), 1_000, None).unwrap().rows;
    let newest = pending[0].registration.id;
    let cancelled = log.append(newest, vec![Cancelled { reason: None }.into()]);
    view.apply(&[cancelled]).unwrap();
    let ids = |status| -> HashSet<_> {
        let rows = view.list(&statuses(&[status]), 1_000, None).unwrap().rows;
        rows.into_iter().map(|row| row.registration.id).collect()
    };
    assert!(!ids(Status::Pending).contains(&newest) && ids(Status::Cancelled).contains(&newest));
    assert_eq!(ids(Status::Pending).len() as u64, view.counts().of(Status::Pending));
}

#[test]
fn a_token_of_another_filter_is_refused() {
    let (_folder, view, _log) = filled();
    let token = view.list(&Filter::default(), 10, None).unwrap().next_token;
    let other = view.list(&statuses(&[Status::Success]), 10, token.as_deref());
    assert!(matches!(other, Err(ListError::BadToken)));
    assert!(matches!(view.list(&Filter::default(), 10, Some("nonsense")), Err(ListError::BadToken)));
    assert!(view.list(&Filter::default(), 99, token.as_deref()).is_ok(), "the size may change");
}

#[test]
fn who_is_forgotten_has_no_list_any_more_and_their_rows_say_nothing_of_them() {
    let (_folder, view, mut log) = filled();
    let of = |n| Filter { owner_ref: Some(owner(n)), ..Filter::default() };
    let before = view.list(&of(2), 500, None).unwrap().rows;
    assert_eq!(before.len(), 140);
    let mut page = Vec::new();
    for row in &before {
        let forgotten = PersonForgotten { reason: ForgetReason::PersonAsked };
        page.push(log.append(row.registration.id, vec![forgotten.into()]));
    }
    // one comes and goes within the same page
    let short = 2_000_002;
    page.push(log.submit(short, "norrland", owner(2)));
    page.push(log.append(id(short), vec![PersonForgotten { reason: ForgetReason::WrongData }.into()]));
    view.apply(&page).unwrap();
    assert_eq!(view.list(&of(2), 500, None).unwrap().rows, []);
    for id in before.iter().map(|row| row.registration.id).chain([id(short)]) {
        let row = view.get(id).unwrap().unwrap();
        assert_eq!((row.registration.owner_ref, row.registration.forgetting), ([0; 16], Some(Forgetting::Due)));
        assert_eq!((row.confirmation(), &row.packet, &row.evidence, &row.last_error), (None, &None, &None, &None));
    }
    assert_eq!(view.list(&of(3), 500, None).unwrap().rows.len(), 140, "others stay");
}
