//! Which figures of the reports stand in which rows, and what they should be.

/// A figure of a run: the sum of what stands at some places (RFC 6901), divided by the sum at others if there are any.
pub struct Figure {
    pub places: &'static [&'static str],
    pub by: &'static [&'static str],
    /// Digits behind the point.
    pub decimals: usize,
}

/// What a figure should be.
pub enum Wanted {
    AtLeast(f64),
    AtMost(f64),
}

/// A figure that is wanted.
pub struct Target {
    pub name: &'static str,
    /// The file whose runs tell it.
    pub report: &'static str,
    pub figure: Figure,
    pub wanted: Wanted,
}

const fn sum(places: &'static [&'static str], decimals: usize) -> Figure {
    Figure { places, by: &[], decimals }
}

const RATE: &[&str] = &["/registrations_per_second"];
const SUBMIT_P50: &[&str] = &["/submit_ms/p50"];
const SUBMIT_P99: &[&str] = &["/submit_ms/p99"];
const SUCCESS_P50: &[&str] = &["/end_to_end_ms/p50"];
const SUCCESS_P99: &[&str] = &["/end_to_end_ms/p99"];
const CPU: &[&str] = &["/cpu_ms_per_registration/regflow"];
const CPU_OF_BOTH: &[&str] = &["/cpu_ms_per_registration/regflow", "/cpu_ms_per_registration/nats_server"];
const SERVER_CPU: &[&str] = &["/cpu_ms_per_registration/nats_server"];
const ALONE: &[&str] = &["/alone/end_to_end_ms/p50"];
const FOLD: &[&str] = &["/records_per_second"];
const REBUILD: &[&str] = &["/rebuild_with_analytics_ms"];
const READS: &[&str] = &["/reads_per_second"];
const READ_P99: &[&str] = &["/read_ms/p99"];
const PACKET: &[&str] = &["/one_at_a_time/ms/p50"];
const PACKETS: &[&str] = &["/at_once/packets_per_second"];
const PRESS_BEFORE: &[&str] = &["/rss_mb/before/own", "/rss_mb/before/children/0", "/rss_mb/before/children/1"];
const PRESS_AFTER: &[&str] = &["/rss_mb/after/own", "/rss_mb/after/children/0", "/rss_mb/after/children/1"];
const FORMS_FASTER: &[&str] = &["/playwright/fresh_context/regflow_is_faster_by"];
const MAILS: &[&str] = &["/as_fast_as_they_go/mails_per_second"];
const START: &[&str] = &["/start_to_first_accept_ms"];

/// The rows of a table with a column a run, in this order; a report has those of which all its runs have the figures.
pub const ROWS: &[(&str, &[Figure])] = &[
    ("Get/s", &[sum(READS, 0)]),
    ("Get, p50 / p99 ms", &[sum(&["/read_ms/p50"], 1), sum(READ_P99, 1)]),
    ("registrations/s, first submit to last SUCCESS visible", &[sum(RATE, 0)]),
    ("refused", &[sum(&["/refused"], 0)]),
    ("submit, p50 / p99 ms", &[sum(SUBMIT_P50, 1), sum(SUBMIT_P99, 1)]),
    ("submit to SUCCESS visible, p50 / p99 ms", &[sum(SUCCESS_P50, 1), sum(SUCCESS_P99, 1)]),
    ("alone: submit / to SUCCESS, p50 ms", &[sum(&["/alone/submit_ms/p50"], 2), sum(ALONE, 2)]),
    ("CPU ms each: regflow / nats-server", &[sum(CPU, 3), sum(SERVER_CPU, 3)]),
    (
        "the same of the sandbox / the client",
        &[sum(&["/cpu_ms_per_registration/sandbox"], 3), sum(&["/cpu_ms_per_registration/client"], 3)],
    ),
    (
        "CPU ms each at 10,000: regflow / nats-server",
        &[sum(&["/early/cpu_ms_per_registration/regflow"], 3), sum(&["/early/cpu_ms_per_registration/nats_server"], 3)],
    ),
    (
        "the same at 1,000,000",
        &[sum(&["/late/cpu_ms_per_registration/regflow"], 3), sum(&["/late/cpu_ms_per_registration/nats_server"], 3)],
    ),
    ("the one by the other, regflow", &[sum(&["/late_to_early_cpu"], 2)]),
    ("the same of the sandbox, which has not changed", &[sum(&["/late_to_early_cpu_of_sandbox"], 2)]),
    (
        "peak memory MB: regflow / nats-server",
        &[sum(&["/peak_rss_mb/regflow"], 0), sum(&["/peak_rss_mb/nats_server"], 0)],
    ),
    (
        "memory MB at the end: regflow / nats-server",
        &[sum(&["/rss_mb/at_the_end/regflow"], 0), sum(&["/rss_mb/at_the_end/nats_server"], 0)],
    ),
    ("idle, ten seconds later", &[sum(&["/rss_mb/idle_then/regflow"], 0), sum(&["/rss_mb/idle_then/nats_server"], 0)]),
    ("after a restart", &[sum(&["/rss_mb/after_restart/regflow"], 0), sum(&["/rss_mb/after_restart/nats_server"], 0)]),
    ("start to first accept, ms", &[sum(START, 0)]),
    ("status view, bytes on disk by live bytes", &[sum(&["/views/status/disk_to_live"], 2)]),
    ("bytes on disk each", &[sum(&["/disk_bytes_per_registration"], 0)]),
    ("of these in the log", &[sum(&["/log_bytes_per_registration"], 0)]),
    ("notified after, ms", &[sum(&["/notified_after_ms"], 0)]),
    ("records/s", &[sum(FOLD, 0)]),
    ("the whole of it, both views, ms", &[sum(REBUILD, 0)]),
    ("a bare ordered read, messages/s", &[sum(&["/bare_read_per_second"], 0)]),
    ("ratio to it", &[sum(&["/ratio_to_bare_read"], 2)]),
    ("raw server, messages/s of the same number and size", &[sum(&["/raw_server_messages_per_second"], 0)]),
    ("share of it", &[sum(&["/share_of_raw_messages"], 3)]),
    ("packet, warm, by a worker, p50 ms", &[sum(PACKET, 2)]),
    ("packets/s, two workers", &[sum(PACKETS, 0)]),
    ("memory after by before", &[Figure { places: PRESS_AFTER, by: PRESS_BEFORE, decimals: 2 }]),
    ("mails/s, two connections", &[sum(MAILS, 0)]),
    ("at 300 mails a second, p50 / p99 ms", &[sum(&["/at_a_rate/ms/p50"], 1), sum(&["/at_a_rate/ms/p99"], 1)]),
    ("forms/s by regflow", &[sum(&["/regflow/forms_per_second"], 2)]),
    (
        "forms/s by Playwright, a fresh context each; regflow is faster by",
        &[sum(&["/playwright/fresh_context/forms_per_second"], 2), sum(FORMS_FASTER, 3)],
    ),
    (
        "the same, and a picture as we take one",
        &[
            sum(&["/playwright/fresh_context_with_picture/forms_per_second"], 2),
            sum(&["/playwright/fresh_context_with_picture/regflow_is_faster_by"], 3),
        ],
    ),
    (
        "a fresh tab and what `Session::clean` clears",
        &[sum(&["/playwright/fresh_tab/forms_per_second"], 2), sum(&["/playwright/fresh_tab/regflow_is_faster_by"], 3)],
    ),
    (
        "one page for all, cookies and storage cleared (weaker isolation)",
        &[
            sum(&["/playwright/reused_page/forms_per_second"], 2),
            sum(&["/playwright/reused_page/regflow_is_faster_by"], 3),
        ],
    ),
    (
        "machine: MB hashed a second; slowed, ms of a second",
        &[sum(&["/machine_hashes_mb_per_second"], 0), sum(&["/machine_is_slow_ms_per_second"], 0)],
    ),
];

/// The short table of README.md.
pub const SUMMARY: &[(&str, &str, &[Figure])] = &[
    ("registrations a second, each durable, over gRPC in hundreds", "happy", &[sum(RATE, 0)]),
    ("the same over HTTP", "http", &[sum(RATE, 0)]),
    ("where the first try fails and the second is taken", "fallback", &[sum(RATE, 0)]),
    ("one alone on an idle machine: submit to SUCCESS, ms", "latency", &[sum(ALONE, 1)]),
    (
        "at half of the peak, in tens: submit answered, p50 / p99 ms",
        "latency",
        &[sum(SUBMIT_P50, 1), sum(SUBMIT_P99, 1)],
    ),
    ("the same: submit to SUCCESS, p50 / p99 ms", "latency", &[sum(SUCCESS_P50, 1), sum(SUCCESS_P99, 1)]),
    ("processor time each, ms: regflow / nats-server", "happy", &[sum(CPU, 3), sum(SERVER_CPU, 3)]),
    ("bytes on disk each, with its key and notification", "happy", &[sum(&["/disk_bytes_per_registration"], 0)]),
    (
        "peak memory, MB: regflow / nats-server",
        "happy",
        &[sum(&["/peak_rss_mb/regflow"], 0), sum(&["/peak_rss_mb/nats_server"], 0)],
    ),
    (
        "with a million in the log, idle, MB: regflow / nats-server",
        "growth",
        &[sum(&["/rss_mb/idle_then/regflow"], 0), sum(&["/rss_mb/idle_then/nats_server"], 0)],
    ),
    ("the same: start to the first one taken, ms", "growth", &[sum(START, 0)]),
    ("beside BullMQ on Redis, doing the same: registrations a second, regflow by BullMQ", "peer", &[FASTER_THAN_PEER]),
    ("the same: processor time each", "peer", &[CHEAPER_THAN_PEER]),
];

const FASTER_THAN_PEER: Figure = Figure {
    places: &["/happy/regflow/registrations_per_second"],
    by: &["/happy/peer/registrations_per_second"],
    decimals: 2,
};
const CHEAPER_THAN_PEER: Figure = Figure {
    places: &["/happy/regflow/cpu_ms_per_registration"],
    by: &["/happy/peer/cpu_ms_per_registration"],
    decimals: 2,
};

const fn at_least(name: &'static str, report: &'static str, figure: Figure, limit: f64) -> Target {
    Target { name, report, figure, wanted: Wanted::AtLeast(limit) }
}

const fn at_most(name: &'static str, report: &'static str, figure: Figure, limit: f64) -> Target {
    Target { name, report, figure, wanted: Wanted::AtMost(limit) }
}

/// What is wanted, in the order in which docs/performance.md tells it.
pub const TARGETS: &[Target] = &[
    at_least("registrations/s, durable, over gRPC", "happy", sum(RATE, 0), 12_000.0),
    at_least("share of the raw server for the same messages", "tenth/happy", sum(&["/share_of_raw_messages"], 2), 0.6),
    at_most("CPU ms each, regflow", "happy", sum(CPU, 3), 0.15),
    at_most("CPU ms each, with nats-server's", "happy", sum(CPU_OF_BOTH, 3), 0.25),
    at_least("fallback, registrations/s", "fallback", sum(RATE, 0), 8_000.0),
    at_most("half of the peak: submit, p50 ms", "latency", sum(SUBMIT_P50, 1), 5.0),
    at_most("half of the peak: submit, p99 ms", "latency", sum(SUBMIT_P99, 1), 20.0),
    at_most("half of the peak: SUCCESS, p50 ms", "latency", sum(SUCCESS_P50, 1), 16.0),
    at_most("half of the peak: SUCCESS, p99 ms", "latency", sum(SUCCESS_P99, 1), 60.0),
    at_most("alone: submit to SUCCESS, p50 ms", "latency", sum(ALONE, 1), 8.0),
    at_least("views fold, records/s", "rebuild", sum(FOLD, 0), 200_000.0),
    at_most("a million rebuilt, ms", "rebuild-million", sum(REBUILD, 0), 15_000.0),
    at_least("Get/s at half rate, in hundreds", "read-by-hundreds", sum(READS, 0), 20_000.0),
    at_most("Get, p99 ms", "read-by-hundreds", sum(READ_P99, 1), 5.0),
    at_most("CPU each at 1,000,000 by that at 10,000", "growth", sum(&["/late_to_early_cpu"], 2), 1.1),
    at_most("memory MB then", "growth", sum(&["/rss_mb/at_the_end/regflow"], 0), 300.0),
    at_most("memory MB then, idle", "growth", sum(&["/rss_mb/idle_then/regflow"], 0), 120.0),
    at_most("start to first accept then, ms", "growth", sum(START, 0), 2_000.0),
    at_most("status view, bytes on disk by live bytes", "growth", sum(&["/views/status/disk_to_live"], 1), 4.0),
    at_most("bytes on disk each, in the log", "tenth/happy", sum(&["/log_bytes_per_registration"], 0), 1_500.0),
    at_most("a packet, warm, p50 ms", "pdf", sum(PACKET, 2), 7.0),
    at_least("packets/s, two workers", "pdf", sum(PACKETS, 0), 200.0),
    at_most("their memory after by before", "pdf", Figure { places: PRESS_AFTER, by: PRESS_BEFORE, decimals: 2 }, 1.1),
    at_least("forms/s by those of Playwright, a fresh context each", "form", sum(FORMS_FASTER, 3), 1.3),
    at_least("mails/s of 133 KB", "mail", sum(MAILS, 0), 300.0),
    at_most(
        "twice the capacity: SUCCESS of what is taken, p99 ms (our bound)",
        "overload",
        sum(SUCCESS_P99, 0),
        1_000.0,
    ),
];

/// Where figures stand below `regflow` and `peer` in a part of the report, and their digits behind the point.
pub type Places = &'static [(&'static str, usize)];

/// The rows of the table beside the peer: label, part of the report, figures.
pub const PEER: &[(&str, &str, Places)] = &[
    ("by hundreds, as fast as it goes: registrations/s", "happy", &[("/registrations_per_second", 0)]),
    ("the same: CPU ms each, all processes of either", "happy", &[("/cpu_ms_per_registration", 3)]),
    ("the same: bytes on disk each", "happy", &[("/disk_bytes_per_registration", 0)]),
    ("the same: peak memory MB", "happy", &[("/peak_rss_mb", 0)]),
    ("the same: submit to SUCCESS, p50 / p99 ms", "happy", &[("/end_to_end_ms/p50", 0), ("/end_to_end_ms/p99", 0)]),
    (
        "in tens, half of BullMQ's peak: submit, p50 / p99 ms",
        "open_loop",
        &[("/submit_ms/p50", 1), ("/submit_ms/p99", 0)],
    ),
    ("the same: submit to SUCCESS, p50 / p99 ms", "open_loop", &[("/end_to_end_ms/p50", 1), ("/end_to_end_ms/p99", 0)]),
    ("the same: CPU ms each", "open_loop", &[("/cpu_ms_per_registration", 3)]),
    ("the first try answered 503: registrations/s", "fallback", &[("/registrations_per_second", 0)]),
    ("the same: submit / SUCCESS, p50 ms", "fallback", &[("/submit_ms/p50", 0), ("/end_to_end_ms/p50", 0)]),
];
