//! How many messages a second a check reads, and the verifier takes in: printed, for a log as long as
//! `REGFLOW_VERIFY_MESSAGES` says.

use std::time::Instant;

use regflow_bus::EventLog;

use super::store::{check, fresh, verify};
use crate::records::{SHARD, new_id, record};

/// When nobody says.
const MESSAGES: usize = 2_000;

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_is_verified_and_checked() {
    let given = std::env::var("REGFLOW_VERIFY_MESSAGES").ok().and_then(|count| count.parse().ok());
    let count: usize = given.unwrap_or(MESSAGES);
    let (_server, bus) = fresh().await;
    let folder = tempfile::tempdir().unwrap();
    for first in (0..count).step_by(1_000) {
        let appends = (first..count.min(first + 1_000)).map(async |_| {
            let id = new_id();
            bus.log.append(SHARD, id, &record(None)).await.unwrap()
        });
        futures::future::join_all(appends).await;
    }
    let begun = Instant::now();
    let trust = verify(bus.whole.clone(), folder.path()).await;
    let verified = begun.elapsed();
    let report = check(&bus.whole, folder.path()).await;
    assert!(report.is_good() && report.compared == count as u64, "{report:?}");
    assert_eq!(trust.status().verified, count as u64);
    let rate = |seconds: f64| f64::from(u32::try_from(count).unwrap()) / seconds;
    eprintln!("verifier {:.0}/s, check {:.0}/s", rate(verified.as_secs_f64()), rate(report.seconds));
}
