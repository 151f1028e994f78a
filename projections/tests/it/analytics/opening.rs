//! Reopening in the middle of a history, and folders that cannot be trusted.

use std::fs;

use regflow_projections::{AnalyticsOpened, AnalyticsView, Doubt, StatusView, ViewError};

use super::{all_of, open, story, view};
use crate::history::{Log, NOW, STREAM};

#[test]
fn a_restart_at_any_place_gives_the_numbers_of_one_run() {
    let log = story();
    let (_folder, whole) = view();
    whole.apply(&log.records, &log.makers).unwrap();
    let end = log.records.len() as u64 + log.makers.len() as u64;
    for stop in (1..end).step_by(97) {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("views/analytics");
        let view = open(&dir);
        let upto = |written: u64| {
            let registrations = log.records.partition_point(|record| record.sequence <= written);
            (registrations, log.makers.partition_point(|record| record.sequence <= written))
        };
        let (registrations, makers) = upto(stop);
        view.apply(&log.records[..registrations], &log.makers[..makers]).unwrap();
        view.write().unwrap();
        // taken in and never written: lost with the process, and read again
        let (registrations, makers) = upto(stop + 20);
        view.apply(&log.records[..registrations], &log.makers[..makers]).unwrap();
        drop(view);

        let AnalyticsOpened { view, checkpoint, set_aside } = AnalyticsView::open(&dir, STREAM, NOW).unwrap();
        assert!(set_aside.is_none());
        assert_eq!((view.position(), checkpoint.unwrap().sequence), (stop, stop));
        let (registrations, makers) = upto(stop);
        view.apply(&log.records[registrations..], &log.makers[makers..]).unwrap();
        assert_eq!(all_of(&view), all_of(&whole), "stopped at {stop}");
    }
}

/// A view that has taken in the story and written it, closed again.
fn written() -> (tempfile::TempDir, std::path::PathBuf, Log) {
    let (log, folder) = (story(), tempfile::tempdir().unwrap());
    let dir = folder.path().join("analytics");
    let view = open(&dir);
    view.apply(&log.records, &log.makers).unwrap();
    view.write().unwrap();
    (folder, dir, log)
}

#[test]
fn the_checkpoint_names_the_last_record_whichever_kind_it_is() {
    let (_folder, dir, log) = written();
    let checkpoint = AnalyticsView::open(&dir, STREAM, NOW).unwrap().checkpoint.unwrap();
    let last = log.makers.last().unwrap();
    assert_eq!((checkpoint.sequence, checkpoint.hash), (last.sequence, last.hash));
}

#[test]
fn what_is_not_written_yet_is_shown_and_a_tick_in_time_writes_it() {
    let log = story();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("analytics");
    let view = open(&dir);
    view.apply(&log.records, &log.makers).unwrap();
    let shown = all_of(&view);
    std::thread::sleep(regflow_projections::WRITE_EVERY);
    view.tick().unwrap();
    assert_eq!(all_of(&view), shown);
    drop(view);
    assert_eq!(all_of(&open(&dir)), shown);
}

#[test]
fn a_view_of_another_stream_or_another_kind_is_moved_aside() {
    let (folder, dir, log) = written();
    let opened = AnalyticsView::open(&dir, STREAM + 1, NOW).unwrap();
    assert_eq!((opened.view.position(), opened.checkpoint), (0, None));
    assert!(matches!(opened.set_aside.unwrap().why, Doubt::OtherStream { found: STREAM }));

    let status = folder.path().join("status");
    StatusView::open(&status, STREAM, NOW).unwrap().view.apply(&log.records[..9]).unwrap();
    let aside = AnalyticsView::open(&status, STREAM, NOW).unwrap().set_aside.unwrap();
    assert!(matches!(aside.why, Doubt::OtherSchema { .. }), "{}", aside.why);
}

#[test]
fn a_view_that_another_handle_has_open_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("analytics");
    let _first = open(&dir);
    assert!(matches!(AnalyticsView::open(&dir, STREAM, NOW), Err(ViewError::InUse)));
}

#[test]
fn no_damage_anywhere_in_the_file_is_read_as_something_else() {
    let log = story();
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let view = open(&whole);
    view.apply(&log.records, &log.makers).unwrap();
    view.write().unwrap();
    let shown = all_of(&view);
    drop(view);
    let bytes = fs::read(whole.join("db")).unwrap();
    // where the entries are: sled writes from the front
    let used = bytes.iter().rposition(|byte| *byte != 0).unwrap();
    for part in 0..24 {
        let dir = folder.path().join(format!("part-{part}"));
        fs::create_dir(&dir).unwrap();
        fs::copy(whole.join("conf"), dir.join("conf")).unwrap();
        let mut damaged = bytes.clone();
        damaged[used * part / 24] ^= 0x40;
        fs::write(dir.join("db"), damaged).unwrap();
        let AnalyticsOpened { view, .. } = AnalyticsView::open(&dir, STREAM, NOW).unwrap();
        let caught_up = view.apply(&log.records, &log.makers).and_then(|()| view.write());
        // whatever sled made of it, what is shown is right, or is an error that leads to a fresh start
        let read = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| all_of(&view)));
        match (caught_up, read) {
            (Ok(()), Ok(read)) => assert_eq!(read, shown, "damage in part {part}"),
            (Err(_), _) | (_, Err(_)) => {
                view.start_over(NOW).unwrap();
                view.apply(&log.records, &log.makers).unwrap();
                assert_eq!(all_of(&view), shown);
            }
        }
    }
}
