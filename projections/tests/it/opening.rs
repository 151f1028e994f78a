//! Reopening, and what happens to a folder that cannot be trusted.

use std::fs;
use std::path::Path;

use events::Status;
use regflow_projections::{Doubt, Opened, StatusView, ViewError};

use crate::history::{Log, NOW, STREAM, id, owner};

fn open(dir: &Path) -> Opened {
    StatusView::open(dir, STREAM, NOW).unwrap()
}

/// A view of three registrations, closed.
fn written(dir: &Path) -> Log {
    let mut log = Log::default();
    log.happy(1);
    log.manual(2);
    log.submit(3, "kestrel", owner(3));
    let view = open(dir).view;
    view.apply(&log.records).unwrap();
    log
}

#[test]
fn a_reopened_view_continues_at_the_right_place_with_rows_and_counts() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("views/status");
    let mut log = written(&dir);
    let Opened { view, from, checkpoint, set_aside } = open(&dir);
    assert!(set_aside.is_none());
    let last = log.records.last().unwrap();
    assert_eq!((from, checkpoint.unwrap().hash), (last.sequence + 1, last.hash));
    assert_eq!((view.counts().total(), view.counts().of(Status::ManualRequired)), (3, 1));
    assert_eq!(view.get(id(1)).unwrap().unwrap().status(), Status::Success);

    let next = log.start(3, 1, events::Method::Api);
    view.apply(&[next]).unwrap();
    assert_eq!(view.get(id(3)).unwrap().unwrap().status(), Status::Processing);
}

#[test]
fn a_page_is_seen_before_it_is_written_and_what_a_kill_leaves_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let (dir, killed) = (folder.path().join("status"), folder.path().join("killed"));
    let view = open(&dir).view;
    let mut log = Log::default();
    log.happy(1);
    view.apply(&log.records).unwrap();
    view.write().unwrap();
    log.manual(2);
    view.apply(&log.records).unwrap();
    assert_eq!(view.get(id(2)).unwrap().unwrap().status(), Status::ManualRequired);
    // what a process leaves that has no time to write
    fs::create_dir(&killed).unwrap();
    for file in ["conf", "db"] {
        fs::copy(dir.join(file), killed.join(file)).unwrap();
    }
    let Opened { view, from, .. } = open(&killed);
    assert_eq!((from, view.counts().total(), view.get(id(2)).unwrap()), (4, 1, None));
    view.apply(&log.records[3..]).unwrap();
    assert_eq!(view.counts().of(Status::ManualRequired), 1);
}

#[test]
fn a_view_of_another_stream_is_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("status");
    written(&dir);
    let opened = StatusView::open(&dir, STREAM + 1, NOW).unwrap();
    assert_eq!((opened.from, opened.view.counts().total()), (1, 0));
    let aside = opened.set_aside.unwrap();
    assert!(matches!(aside.why, Doubt::OtherStream { found: STREAM }), "{}", aside.why);
    assert!(aside.path.unwrap().is_dir());
    assert_eq!(opened.view.get(id(1)).unwrap(), None);
}

#[test]
fn a_damaged_view_is_moved_aside_and_rebuilt_from_the_log() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("status");
    let log = written(&dir);
    for file in ["conf", "db"] {
        let path = dir.join(file);
        let mut bytes = fs::read(&path).unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x5A);
        fs::write(&path, bytes).unwrap();
    }
    let Opened { view, from, set_aside, .. } = open(&dir);
    assert_eq!(from, 1);
    assert!(matches!(set_aside.unwrap().why, Doubt::Unreadable(_)));
    view.apply(&log.records).unwrap();
    assert_eq!((view.counts().total(), view.position()), (3, 9));
}

#[test]
fn no_damage_anywhere_in_the_file_is_read_as_something_else() {
    let folder = tempfile::tempdir().unwrap();
    let whole = folder.path().join("whole");
    let log = written(&whole);
    let rows: Vec<_> = (1..=3).map(|n| open(&whole).view.get(id(n)).unwrap()).collect();
    let length = fs::metadata(whole.join("db")).unwrap().len();
    for part in 0..24 {
        let dir = folder.path().join(format!("part-{part}"));
        fs::create_dir(&dir).unwrap();
        fs::copy(whole.join("conf"), dir.join("conf")).unwrap();
        let mut bytes = fs::read(whole.join("db")).unwrap();
        // where the entries are: sled writes from the front
        let place = usize::try_from(part * 100 % length).unwrap();
        bytes[place] ^= 0x40;
        fs::write(dir.join("db"), bytes).unwrap();
        let Opened { view, from, .. } = open(&dir);
        // whatever sled made of it, the rest of the log must lead to the same rows, perhaps after a fresh start
        let rest = &log.records[usize::try_from(from).unwrap() - 1..];
        let read = |view: &StatusView| (1..=3).map(|n| view.get(id(n))).collect::<Result<Vec<_>, _>>();
        if view.apply(rest).and_then(|_| read(&view)).is_err() {
            view.start_over(NOW).unwrap();
            view.apply(&log.records).unwrap();
        }
        assert_eq!(read(&view).unwrap(), rows, "damage at {place}");
    }
}

#[test]
fn a_view_that_another_handle_has_open_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("status");
    let first = open(&dir);
    assert!(matches!(StatusView::open(&dir, STREAM, NOW), Err(ViewError::InUse)));
    let mut log = Log::default();
    log.happy(1);
    first.view.apply(&log.records).unwrap();
    assert_eq!(first.view.counts().total(), 1);
}
