//! The OpenAPI document against the running server, by a well-known tester of such documents: schemathesis.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::support::Stage;

/// Checks that do not fit, and why: a text that the document calls a text may still be no e-mail address (positive data),
/// and protobuf's JSON form takes more than the document names, such as numbers in quotation marks (negative data).
const LEFT_OUT: &str = "positive_data_acceptance,negative_data_rejection";
/// The longest that it may take.
const PATIENCE: Duration = Duration::from_secs(180);

#[tokio::test(flavor = "multi_thread")]
async fn the_server_does_what_its_document_says() {
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join(".tools/test-venv/bin/schemathesis");
    assert!(tool.exists(), "{} is missing: type `make test`, or scripts/setup --tests", tool.display());
    let stage = Stage::new().await;
    let mut command = stage.command();
    command.env("REGFLOW__SERVER__HTTP_REQUESTS_PER_S", "100000");
    let service = stage.start_with(command).await;
    let run = Command::new(tool)
        .args(["run", &format!("{}/openapi.json", service.http)])
        // what stays open for ever is tested in live.rs
        .args(["--exclude-path-regex", "^/events$|^/analytics/overview$"])
        .args(["--phases", "coverage,fuzzing", "--max-examples", "5", "--seed", "1", "--continue-on-failure"])
        .args(["--exclude-checks", LEFT_OUT, "--suppress-health-check", "all", "--warnings", "off"])
        .args(["--request-timeout", "10"])
        .current_dir(stage.data.path())
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let ended = tokio::time::timeout(PATIENCE, run).await.expect("it ends in time").unwrap();
    let said = String::from_utf8_lossy(&ended.stdout);
    assert!(ended.status.success(), "{said}");
    assert!(said.contains("Operations:") && said.contains("Fuzzing"), "it has tested something: {said}");
}
