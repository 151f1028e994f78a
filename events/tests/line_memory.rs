//! What a backlog costs in memory; a test binary of its own, because it counts what everybody in it allocates.

use jiff::ToSpan;
use jiff::civil::date;
use regflow_events::{Ageing, Job, Line, Priority, RegistrationId, Timestamp};

#[global_allocator]
static COUNTED: dhat::Alloc = dhat::Alloc;

const JOBS: u32 = 100_000;
const BYTES_A_JOB_MAX: usize = 200;

/// As a big import makes them, under ids as a client's request ids give them.
fn job(number: u32, tenants: u32) -> Job {
    Job {
        id: RegistrationId::of_request("import", &number.to_string()),
        class: Priority::ALL[number as usize % 3],
        tenant: number % tenants,
        last_day: number.is_multiple_of(2).then(|| date(2026, 1, 1).saturating_add(i64::from(number % 90).days())),
        since: Timestamp(i64::from(number)),
        order: number.into(),
    }
}

/// What a job costs once all wait.
fn bytes_a_job(tenants: u32) -> usize {
    let before = dhat::HeapStats::get().curr_bytes;
    let mut line = Line::new(Ageing::default());
    for number in 0..JOBS {
        line.push(job(number, tenants));
    }
    assert_eq!(line.len(), JOBS as usize);
    (dhat::HeapStats::get().curr_bytes - before) / JOBS as usize
}

#[test]
fn a_backlog_of_a_hundred_thousand_costs_at_most_200_bytes_a_job() {
    for tenants in [1, 100, JOBS] {
        let _profiler = dhat::Profiler::builder().testing().build();
        let bytes = bytes_a_job(tenants);
        println!("{JOBS} jobs of {tenants} tenants: {bytes} bytes a job");
        assert!(bytes <= BYTES_A_JOB_MAX, "{bytes} bytes a job of {tenants} tenants");
    }
}
