//! The command line against a running service: what it prints, as text and as JSON, and its exit codes.

use std::path::{Path, PathBuf};

use proto::v1::RegistrationState as State;
use serde_json::Value;

use crate::support::{Service, Stage, product, regflow};

/// Runs a command against the service: exit code, standard output, standard error.
pub async fn run(service: &Service, args: &[&str]) -> (i32, String, String) {
    let mut command = regflow();
    command.args(args).env("REGFLOW_SERVER", &service.grpc).env("REGFLOW_OPERATOR", "ada");
    output(&mut command).await
}

async fn output(command: &mut tokio::process::Command) -> (i32, String, String) {
    let output = command.output().await.unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap(), text(&output.stdout), text(&output.stderr))
}

async fn json(service: &Service, args: &[&str]) -> Vec<Value> {
    let (code, stdout, stderr) = run(service, &[args, &["--json"]].concat()).await;
    assert_eq!(code, 0, "{args:?}: {stderr}");
    stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{args:?}: {line}"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_product_is_handed_over_followed_and_its_history_printed() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let submit = [
        "submit",
        "--brand",
        "Norrland",
        "--model",
        "VK 200",
        "--serial",
        "NL90000001",
        "--purchased",
        "2026-11-02",
        "--name",
        "Ada Example",
        "--email",
        "ada@example.org",
        "--wait",
    ];
    let done = json(&service, &submit).await.remove(0);
    assert_eq!(
        (done["state"].as_str(), done["method"].as_str()),
        (Some("REGISTRATION_STATE_SUCCESS"), Some("METHOD_API"))
    );
    let id = done["id"].as_str().unwrap();
    assert_eq!(json(&service, &["status", id]).await[0]["confirmation"], done["confirmation"]);
    assert_eq!(json(&service, &["list", "--state", "success"]).await[0]["id"], id);
    let history = json(&service, &["audit", id]).await;
    assert_eq!(history.len(), 2);
    assert_eq!(history[1]["events"][1]["name"], "registration_succeeded");
    let updates = json(&service, &["watch", id, "--after", "0"]).await;
    assert_eq!(updates.last().unwrap()["registration"]["state"], "REGISTRATION_STATE_SUCCESS");
    let (_, text, _) = run(&service, &["audit", id]).await;
    assert!(text.contains("registration_succeeded"), "{text}");
    assert!(!text.contains("Ada Example"), "{text}");
    service.wait_for_state(id, State::Success).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_manual_one_is_retried_cancelled_and_completed_from_the_shell() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let first = service.submit(product("Hartmann", "Kaffeemühle", "HS-3")).await.id;
    let second = service.submit(product("Hartmann", "Kaffeemühle", "HS-4")).await.id;
    service.wait_for_packet(&first).await;
    service.wait_for_packet(&second).await;
    assert_eq!(
        json(&service, &["complete", &first, "--code", "HS-OK"]).await[0]["state"],
        "REGISTRATION_STATE_USER_COMPLETED"
    );
    assert_eq!(
        json(&service, &["cancel", &second, "--reason", "sold"]).await[0]["state"],
        "REGISTRATION_STATE_CANCELLED"
    );
    assert_eq!(json(&service, &["retry", &second]).await[0]["state"], "REGISTRATION_STATE_PENDING");
    service.wait_for_packet(&second).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_are_the_documented_ones() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL90000002")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let unknown = "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d";
    assert_eq!(run(&service, &["status", &id]).await.0, 0);
    assert_eq!(run(&service, &["frobnicate"]).await.0, 2);
    let bad = ["submit", "--brand", "Norrland", "--model", "VK 200", "--name", "Ada", "--email", "nobody"];
    let (code, _, stderr) = run(&service, &bad).await;
    assert_eq!(code, 2);
    assert!(stderr.contains("owner.email is no e-mail address; write it like ada@example.org"), "{stderr}");
    assert_eq!(run(&service, &["status", unknown]).await.0, 3);
    assert_eq!(run(&service, &["complete", &id]).await.0, 4);
    let nobody_there = regflow().args(["status", unknown, "--server", "http://127.0.0.1:9"]).output().await.unwrap();
    assert_eq!(nobody_there.status.code(), Some(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn makers_are_shown_paused_and_resumed_from_the_shell() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let (code, overview, _) = run(&service, &["makers"]).await;
    assert_eq!(code, 0);
    assert!(overview.starts_with("MAKER") && overview.contains("norrland"), "{overview}");
    assert!(!overview.contains('\u{1b}'), "colours belong on a terminal: {overview}");

    let paused = json(&service, &["pause", "norrland", "--reason", "their maintenance"]).await.remove(0);
    let sequence: u64 = paused["sequence"].as_str().unwrap().parse().unwrap();
    let id = service.submit(product("Norrland", "VK 200", "NS00000001")).await.id;
    service.wait_for_state(&id, State::Waiting).await;
    let makers = json(&service, &["makers"]).await;
    let norrland = makers.iter().find(|maker| maker["maker"] == "norrland").unwrap();
    assert_eq!(norrland["methods"][0]["pause"]["by"], "operator ada");
    assert!(run(&service, &["makers", "norrland"]).await.1.contains("paused by operator ada: their maintenance"));

    assert_eq!(json(&service, &["explain", &id]).await[0]["waitsFor"]["kind"], "WAIT_KIND_OPERATOR");
    let (_, text, _) = run(&service, &["explain", &id]).await;
    assert!(text.contains("waits for     an operator to resume the maker's API"), "{text}");
    assert!(text.contains("paused by     operator ada") && text.contains("because       their maintenance"), "{text}");

    let (code, text, _) = run(&service, &["resume", "norrland", "--reason", "they are back"]).await;
    assert!(code == 0 && text.starts_with("norrland is resumed (sequence "), "{text}");
    service.wait_for_state(&id, State::Success).await;
    let held = json(&service, &["circuit", "open", "norrland", "--method", "api", "--reason", "their release"]).await;
    assert!(held[0]["sequence"].as_str().unwrap().parse::<u64>().unwrap() > sequence);
    let (code, text, _) =
        run(&service, &["circuit", "release", "norrland", "--method", "api", "--reason", "done"]).await;
    assert!(
        code == 0 && text.starts_with("norrland: the circuit of the API is left to itself again (sequence "),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redrive_from_the_shell_changes_nothing_until_it_is_told_yes() {
    let stage = Stage::new().await;
    stage.maker("norrland", &[("tries_max = 4", "tries_max = 1")], "");
    stage.fault(sandbox::Maker::Norrland, Stage::answers(503, Some(1)));
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NS00000011")).await.id;
    let by_hand = service.submit(product("Hartmann", "Kaffeemühle", "10007")).await.id;
    service.wait_for_packet(&id).await;
    service.wait_for_packet(&by_hand).await;
    let redrive = ["redrive", "--from", "api", "--reason", "the API is back"];
    let (code, text, _) = run(&service, &redrive).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("2 match\n1 would be tried again\n") && text.contains(&id), "{text}");
    assert!(text.contains("1 cannot be") && text.ends_with("the same with --yes does it\n"), "{text}");
    assert_eq!(json(&service, &redrive).await[0]["ids"][0], id.as_str());
    assert_eq!(service.get(&id).await.state(), State::ManualRequired);

    let (code, text, stderr) = run(&service, &[&redrive[..], &["--yes"]].concat()).await;
    assert_eq!(code, 4, "{text}");
    assert!(text.starts_with("2 match\n1 tried again\n") && stderr.contains("1 of 2 could not be"), "{text}{stderr}");
    service.wait_for_state(&id, State::Success).await;
    let (code, text, _) = run(&service, &[&redrive[..], &["--yes", "--maker", "norrland"]].concat()).await;
    assert_eq!((code, text.as_str()), (0, "no registration matches\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operators_mistakes_have_their_exit_codes_and_remedies() {
    let stage = Stage::new().await;
    let service = stage.start().await;
    let (code, _, stderr) = run(&service, &["pause", "norland", "--reason", "x"]).await;
    assert!(code == 3 && stderr.contains("did you mean `norrland`?"), "{stderr}");
    let (code, _, stderr) = run(&service, &["pause", "norrland"]).await;
    assert!(code == 2 && stderr.contains("--reason"), "{stderr}");
    let (code, _, stderr) = run(&service, &["pause", "norrland", "--method", "assisted-manual", "--reason", "x"]).await;
    assert!(code == 2 && stderr.contains("\n  method is ASSISTED_MANUAL"), "{stderr}");
    let (code, _, stderr) = run(&service, &["redrive", "--state", "expired", "--reason", "x"]).await;
    assert!(code == 2 && stderr.contains("\n  states names EXPIRED"), "{stderr}");
    let mut nameless = regflow();
    nameless.args(["pause", "norrland", "--reason", "x", "--server", &service.grpc]);
    let (code, _, stderr) = output(nameless.env_remove("USER").env_remove("REGFLOW_OPERATOR")).await;
    assert!(code == 2 && stderr.contains("--operator NAME or REGFLOW_OPERATOR"), "{stderr}");
    let (code, ..) = run(&service, &["explain", "0192f0c4-7b9e-7cc2-b5f3-9d8f1a2b3c4d"]).await;
    assert_eq!(code, 3);
}

fn catalog_file(id: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("connectors/catalog/{id}.toml"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_is_looked_at_for_who_writes_its_file() {
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let look = |file: &Path| {
        let mut command = regflow();
        command.args(["connectors", "look"]).arg(file).env("REGFLOW__CATALOG__SANDBOX", stage.sandbox.url("/"));
        command
    };
    let built_in = std::fs::read_to_string(catalog_file("brightwell")).unwrap();
    let (before, baseline) = built_in.split_at(built_in.find("[form.baseline]").unwrap());
    let (baseline, after) = baseline.split_at(baseline.find("[manual]").unwrap());
    let file = folder.path().join("brightwell.toml");
    let write = |baseline: &str| std::fs::write(&file, [before, baseline, after].concat()).unwrap();
    write("");
    let (code, printed, stderr) = output(&mut look(&file)).await;
    assert!(
        code == 0 && printed.starts_with("[form.baseline]\naction = ") && !printed.contains('#'),
        "{printed}{stderr}"
    );
    // what it prints is what the file wants, and nothing differs from it then
    write(&printed);
    assert_eq!(output(&mut look(&file)).await.1, printed);
    write(&baseline.replace("serial_number", "serial_no"));
    let (_, printed, _) = output(&mut look(&file)).await;
    assert!(printed.contains("# not as in the file: ") && printed.contains("`serial_no`"), "{printed}");

    let (code, _, stderr) = output(&mut look(&catalog_file("norrland"))).await;
    assert!(code == 1 && stderr.contains("norrland.toml has no form"), "{stderr}");
    write(&baseline.replace("form.baseline", "from"));
    let (code, printed, _) = output(&mut look(&file)).await;
    assert!(code == 2 && printed.contains("unknown key `from`"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn connector_files_are_checked_by_line_and_column_and_listed() {
    let folder = tempfile::tempdir().unwrap();
    let built_in = catalog_file("norrland");
    let built_in = built_in.to_str().unwrap();
    let broken = folder.path().join("broken.toml");
    let text = std::fs::read_to_string(built_in).unwrap().replace("tries_max = 4", "tries = 4");
    std::fs::write(&broken, text).unwrap();
    let broken = broken.to_str().unwrap();

    let (code, text, _) = output(regflow().args(["connectors", "check", built_in])).await;
    assert_eq!((code, text), (0, format!("{built_in}: fine, Norrland Appliances\n")));
    let (code, text, _) = output(regflow().args(["connectors", "check", built_in, broken])).await;
    let mistake = text.lines().last().unwrap();
    assert!(code == 2 && mistake.starts_with(&format!("{broken}:")) && mistake.contains("tries"), "{text}");
    let (code, text, _) = output(regflow().args(["connectors", "check", broken, "--json"])).await;
    let found: Value = serde_json::from_str(&text).unwrap();
    assert!(code == 2 && found["mistakes"][0]["line"].as_u64().is_some_and(|line| line > 1), "{text}");
    let twin = folder.path().join("twin.toml");
    std::fs::copy(built_in, &twin).unwrap();
    let twin = twin.to_str().unwrap();
    let (code, text, _) = output(regflow().args(["connectors", "check", built_in, twin])).await;
    let claimed = text.lines().filter(|line| line.contains("belongs to `norrland` already")).count();
    assert!(code == 2 && claimed == 3 && text.contains(&format!("{twin}:")), "{text}");
    let (code, _, stderr) = output(regflow().args(["connectors", "check", "nowhere.toml"])).await;
    assert!(code == 2 && stderr.contains("failed to read nowhere.toml"), "{stderr}");

    let (code, text, _) = output(regflow().args(["connectors", "list"]).current_dir(folder.path())).await;
    assert!(code == 0 && text.contains("Norrland Appliances  API, by hand"), "{text}");
    let (_, text, _) = output(regflow().args(["connectors", "list", "--json"]).current_dir(folder.path())).await;
    let all: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(all.iter().any(|one| one["id"] == "hartmann" && one["methods"][0] == "ASSISTED_MANUAL"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_a_table_or_one_object() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let id = service.submit(product("Norrland", "VK 200", "NL90000077")).await.id;
    service.wait_for_state(&id, State::Success).await;
    let asked = std::time::Instant::now();
    let answer = loop {
        let answer = json(&service, &["metrics", "--maker", "norrland", "--window", "15m"]).await.remove(0);
        if answer["total"]["attempts"] == "1" {
            break answer;
        }
        assert!(asked.elapsed() < crate::support::PATIENCE, "never counted: {answer}");
    };
    assert_eq!(
        (&answer["resolution"], &answer["total"]["successPercent"]),
        (&"RESOLUTION_MINUTE".into(), &100.0.into())
    );
    let (code, text, _) = run(&service, &["metrics"]).await;
    let words: Vec<&str> = text.lines().nth(1).unwrap().split_whitespace().take(5).collect();
    assert_eq!((code, words.as_slice()), (0, ["norrland", "API", "1", "100.0", "%"].as_slice()));
    let (code, _, problem) = run(&service, &["metrics", "--window", "soon"]).await;
    assert!(code == 2 && problem.contains("write it like 90s, 15m, 1h or 7d"), "{problem}");
}
