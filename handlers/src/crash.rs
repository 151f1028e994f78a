//! Places where a test may kill the process; in a build without the feature `failpoints` there is nothing here.

/// Dies as by kill -9 when the environment's FAILPOINTS says so for this place.
pub(crate) fn crash_point(place: &str) {
    fail::fail_point!(place, |_| die());
    let _ = place;
}

#[cfg(feature = "failpoints")]
fn die() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
    // the signal comes at any moment now; not one more line may run
    loop {
        std::thread::park();
    }
}
