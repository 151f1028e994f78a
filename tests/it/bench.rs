//! The benchmark: each scenario in a small run of its own, and what it prints for programs and for people.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::regflow;

/// The longest wait for a service, and for its end.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// What every load tells. Processor time comes in ticks of 10 ms: a load must be large enough for one of the server's.
const OF_A_LOAD: [&str; 18] = [
    "/registrations_per_second",
    "/submit_ms/p50",
    "/submit_ms/p99",
    "/end_to_end_ms/p50",
    "/end_to_end_ms/p99",
    "/cpu_ms_per_registration/regflow",
    "/cpu_ms_per_registration/nats_server",
    "/peak_rss_mb/regflow",
    "/disk_bytes_per_registration",
    "/notified_after_ms",
    "/raw_server_messages_per_second",
    "/log_bytes_per_registration",
    "/records_per_registration",
    "/messages_per_registration",
    "/share_of_raw_messages",
    "/course/window_ms",
    "/machine/cpus",
    "/machine_hashes_mb_per_second",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_happy_path_is_told_with_all_its_figures() {
    let report = bench("--registrations 300 --batch 50").await;
    assert_eq!((&report["scenario"], &report["durable"]), (&json!("happy"), &json!(true)));
    assert_positive(&report, &OF_A_LOAD);
    let done: f64 = report["course"]["done_per_second"].as_array().unwrap().iter().filter_map(Value::as_f64).sum();
    let window_s = report["course"]["window_ms"].as_f64().unwrap() / 1_000.0;
    assert!((done * window_s - 300.0).abs() < 30.0, "the windows hold all of them: {report}");
    for (name, starts) in [("nats_server", "2."), ("regflow", env!("CARGO_PKG_VERSION"))] {
        assert!(report["machine"][name].as_str().is_some_and(|version| version.starts_with(starts)), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn registrations_arrive_at_a_rate_and_those_that_are_refused_are_counted() {
    let report = bench("--registrations 100 --batch 10 --rate 50").await;
    assert_eq!((&report["scenario"], &report["offered_per_second"]), (&json!("open_loop"), &json!(50)));
    assert_eq!(report["refused"], 0);
    // the last ten are due after 1.8 s
    assert!(report["registrations_per_second"].as_f64().is_some_and(|rate| rate <= 56.0), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_it_is_the_same_in_batches_and_one_by_one() {
    for batch in ["20", "1"] {
        let report = bench(&format!("--registrations 400 --over http --batch {batch}")).await;
        assert_eq!((&report["over"], &report["refused"]), (&json!("http"), &json!(0)));
        assert_positive(&report, &OF_A_LOAD);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn latency_is_measured_at_half_of_the_peak_and_alone() {
    let report = bench("latency --registrations 60").await;
    let (peak, offered) = (report["peak_per_second"].as_f64().unwrap(), report["offered_per_second"].as_f64().unwrap());
    assert!((peak / 2.0 - offered).abs() <= 1.0, "{report}");
    assert_eq!((&report["submit_batch"], &report["alone"]["submit_ms"]["samples"]), (&json!(10), &json!(20)));
    assert_positive(&report, &["/alone/submit_ms/p50", "/alone/end_to_end_ms/p50", "/submit_ms/p99"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fallback_takes_two_attempts_of_each() {
    let report = bench("fallback --registrations 200 --batch 20").await;
    assert_eq!((&report["scenario"], &report["attempts_per_registration"]), (&json!("fallback"), &json!(2)));
    assert!(report["second_method"].as_str().is_some_and(|method| method.contains("plain call")), "{report}");
    assert_positive(&report, &OF_A_LOAD);
}

#[tokio::test(flavor = "multi_thread")]
async fn growth_compares_the_beginning_with_the_end_and_starts_again() {
    let report = bench("growth --registrations 80 --batch 10").await;
    assert_eq!((&report["early"]["first"], &report["late"]["first"]), (&json!(20), &json!(60)));
    assert_positive(
        &report,
        &[
            "/early/cpu_ms_per_registration/regflow",
            "/late/cpu_ms_per_registration/regflow",
            "/late_to_early_cpu",
            "/rss_mb/idle_then/regflow",
            "/rss_mb/after_restart/regflow",
            "/start_to_first_accept_ms",
            "/views/status/live_bytes",
            "/views/status/disk_to_live",
            "/views/analytics/disk_bytes",
            "/raw_server_messages_per_second",
        ],
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_reads_every_record_again() {
    let report = bench("rebuild --registrations 50 --batch 10").await;
    // one with the submission, perhaps with the attempt's beginning, and one with its end
    assert!(report["records"].as_u64().is_some_and(|records| records >= 100), "{report}");
    let figures =
        ["/start_with_views_ms", "/rebuild_ms", "/records_per_second", "/bare_read_per_second", "/ratio_to_bare_read"];
    assert_positive(&report, &figures);
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_go_on_while_registrations_arrive() {
    let report = bench("read --registrations 50 --rate 100 --readers 4").await;
    assert_eq!((&report["readers"], &report["offered_per_second"]), (&json!(4), &json!(100)));
    assert_positive(&report, &["/reads_per_second", "/read_ms/p50", "/read_ms/p99", "/submit_ms/p50"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_are_summed_up_compared_with_earlier_ones_and_drawn() {
    let folder = tempfile::tempdir().unwrap();
    let (earlier, plot) = (folder.path().join("earlier.json"), folder.path().join("course.svg"));
    let output = ran("--registrations 40 --batch 20 --runs 2").await;
    std::fs::write(&earlier, &output.stdout).unwrap();
    assert_eq!(objects(&output).len(), 2);
    assert!(told(&output).contains("happy, medians of 2 runs"), "{}", told(&output));

    let compare = format!("--compare {} --plot {}", earlier.display(), plot.display());
    let output = ran(&format!("--registrations 40 --batch 20 {compare}")).await;
    assert_eq!(objects(&output).len(), 1, "tables go to standard error");
    let text = told(&output);
    for words in ["happy, one run beside medians of 2 earlier ones", "registrations_per_second", "submit_ms.p50"] {
        assert!(text.contains(words), "{words} in {text}");
    }
    let picture = std::fs::read_to_string(&plot).unwrap();
    assert!(picture.starts_with("<svg") && picture.contains("earlier") && picture.contains("run 1"), "{picture}");

    let output = ran(&format!("growth --compare {}", earlier.display())).await;
    assert!(
        !output.status.success() && told(&output).contains("no run of `growth`, only of happy"),
        "{}",
        told(&output)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_are_drawn_one_at_a_time_and_by_two_workers_at_once() {
    let report = bench("pdf --count 3").await;
    assert_eq!(
        (&report["scenario"], &report["packets"], &report["at_once"]["workers"]),
        (&json!("pdf"), &json!(3), &json!(2))
    );
    let figures = [
        "/pdf_bytes_mean",
        "/one_at_a_time/ms/p50",
        "/one_at_a_time/packets_per_second",
        "/at_once/ms/p50",
        "/at_once/packets_per_second",
        "/rss_mb/before/own",
        "/rss_mb/after/own",
        "/machine/cpus",
    ];
    assert_positive(&report, &figures);
    for when in ["before", "after"] {
        let workers = report["rss_mb"][when]["children"].as_array().unwrap();
        assert_eq!(workers.len(), 2, "the same two workers: {report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_go_out_as_fast_as_they_can_and_at_a_rate() {
    let report = bench("mail --count 6").await;
    assert_eq!((&report["scenario"], &report["mails"], &report["connections"]), (&json!("mail"), &json!(6), &json!(2)));
    // the packet, the picture, and what a mail adds to both
    assert!(report["bytes_each"].as_u64().is_some_and(|bytes| bytes > 100_000), "{report}");
    assert_eq!(report["at_a_rate"]["mails_per_second"], 300);
    let figures = [
        "/as_fast_as_they_go/mails_per_second",
        "/as_fast_as_they_go/ms/p50",
        "/at_a_rate/ms/p50",
        "/at_a_rate/ms/p99",
        "/rss_mb/after/own",
    ];
    assert_positive(&report, &figures);
}

#[tokio::test(flavor = "multi_thread")]
async fn forms_are_filled_and_who_has_no_playwright_is_told_how_to_get_it() {
    let elsewhere = tempfile::tempdir().unwrap();
    let output = ran_in(elsewhere.path(), "form --count 1").await;
    let reports = objects(&output);
    let [report] = reports.as_slice() else { panic!("{}", told(&output)) };
    assert_eq!(
        (&report["scenario"], &report["rounds"], &report["playwright"]),
        (&json!("form"), &json!(5), &Value::Null)
    );
    assert_positive(
        report,
        &["/regflow/forms_per_second", "/regflow/ms/p50", "/rss_mb/before/own", "/rss_mb/after/own"],
    );
    assert_eq!(report["regflow"]["each_round"].as_array().map(Vec::len), Some(5), "{report}");
    assert!(told(&output).contains("scripts/setup --bench"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_peer_to_compare_with_is_told_how_to_get_it() {
    let elsewhere = tempfile::tempdir().unwrap();
    let output = ran_in(elsewhere.path(), "peer").await;
    assert!(!output.status.success() && objects(&output).is_empty());
    assert!(told(&output).contains("type in the repository's folder: scripts/setup --bench"), "{}", told(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_stopped_leaves_no_process_and_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let output = ended_by("TERM", folder.path()).await;
    assert!(!output.status.success() && told(&output).contains("stopped by a signal"), "{}", told(&output));
    until_none_is_left(folder.path()).await;
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_killed_leaves_no_process() {
    let folder = tempfile::tempdir().unwrap();
    let output = ended_by("KILL", folder.path()).await;
    assert!(!output.status.success());
    until_none_is_left(folder.path()).await;
}

/// Starts a bench with this folder for what is temporary, and sends it a signal as soon as its service runs.
async fn ended_by(signal: &str, folder: &Path) -> Output {
    let mut command = regflow();
    command.args(["bench", "--registrations", "5000", "--rate", "50"]).env("TMPDIR", folder);
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (pid, started) = (child.id().unwrap(), Instant::now());
    while !started_service(folder) {
        assert!(started.elapsed() < PATIENCE, "no service within {PATIENCE:?}");
        tokio::time::sleep(LOOK).await;
    }
    assert!(!told_of(folder).is_empty());
    assert!(std::process::Command::new("kill").args(["-s", signal, &pid.to_string()]).status().unwrap().success());
    tokio::time::timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

async fn until_none_is_left(folder: &Path) {
    let stopped = Instant::now();
    while !told_of(folder).is_empty() {
        assert!(stopped.elapsed() < PATIENCE, "{:?}", told_of(folder));
        tokio::time::sleep(LOOK).await;
    }
}

/// Whether a service of the bench has told where it is.
fn started_service(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().flatten().any(|run| run.path().join("service/service.json").is_file())
}

/// Processes that have this folder for what is temporary.
fn told_of(folder: &Path) -> Vec<u32> {
    let needle = folder.as_os_str().as_encoded_bytes();
    let all =
        std::fs::read_dir("/proc").unwrap().flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|pid: &u32| {
        let told = std::fs::read(format!("/proc/{pid}/environ"));
        told.is_ok_and(|told| told.windows(needle.len()).any(|part| part == needle))
    })
    .collect()
}

fn assert_positive(report: &Value, keys: &[&str]) {
    for key in keys {
        assert!(report.pointer(key).and_then(Value::as_f64).is_some_and(|value| value > 0.0), "{key} in {report}");
    }
}

async fn bench(arguments: &str) -> Value {
    let output = ran(arguments).await;
    let mut objects = objects(&output);
    assert_eq!(objects.len(), 1, "{}", told(&output));
    objects.remove(0)
}

async fn ran(arguments: &str) -> Output {
    ran_in(env!("CARGO_MANIFEST_DIR").as_ref(), arguments).await
}

async fn ran_in(folder: &Path, arguments: &str) -> Output {
    let mut command = regflow();
    command.arg("bench").args(arguments.split_whitespace()).current_dir(folder);
    command.output().await.unwrap()
}

fn objects(output: &Output) -> Vec<Value> {
    let objects = serde_json::Deserializer::from_slice(&output.stdout).into_iter();
    objects.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {}", told(output)))
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}
