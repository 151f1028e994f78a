//! Secrets come in by the environment or by files, and come out nowhere.

use proto::v1::RegistrationState as State;

use crate::nats::Nats;
use crate::support::{Stage, files_with, product, regflow};

/// What must be seen nowhere.
const SECRETS: [&str; 5] = ["hunter2-nats", "hunter2-smtp", "hunter2-query", "hunter2-path", "hunter2-webhook"];

#[tokio::test(flavor = "multi_thread")]
async fn the_settings_are_shown_without_a_secret_and_with_where_each_comes_from() {
    let folder = tempfile::tempdir().unwrap();
    let (file, key) = (folder.path().join("mine.toml"), folder.path().join("master"));
    std::fs::write(&key, "ab".repeat(32)).unwrap();
    let settings = "[[webhooks]]\ntenant = \"default\"\nname = \"crm\"\nurl = \"https://hooks.example/hunter2-path\"\n\
        secret_env = \"REGFLOW_WEBHOOK_CRM\"\n[nats]\nurl = \"nats://regflow:hunter2-nats@127.0.0.1:4222\"\n\
        [catalog]\nsandbox = \"http://127.0.0.1:1/?key=hunter2-query\"\n";
    std::fs::write(&file, settings).unwrap();
    let mut command = regflow();
    command.arg("config").arg("--config").arg(&file).env("REGFLOW_MASTER_KEY_FILE", &key);
    command.env("REGFLOW_SMTP_PASSWORD", "hunter2-smtp").env("REGFLOW_WEBHOOK_CRM", "hunter2-webhook");
    let output = command.output().await.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(SECRETS.iter().all(|secret| !text.contains(secret)) && !text.contains("abab"), "{text}");
    let says = |name: &str, state: &str| text.lines().any(|line| line.contains(name) && line.contains(state));
    assert!(text.contains("nats://****@127.0.0.1:4222") && text.contains("https://hooks.example/****"), "{text}");
    assert!(says("REGFLOW_SMTP_PASSWORD", "****, from the environment"), "{text}");
    assert!(says("REGFLOW_MASTER_KEY", "****, from the file"), "{text}");
    assert!(says("REGFLOW_SIGNING_KEY", "not set") && says("REGFLOW_WEBHOOK_CRM", "****"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_works_as_its_own_user_of_nats_and_writes_its_key_nowhere() {
    let (stage, seed_folder) = (Stage::new().await, tempfile::tempdir().unwrap());
    let (nats, seed) = Nats::with_accounts();
    let seed_file = seed_folder.path().join("regflow.nk");
    std::fs::write(&seed_file, format!("{seed}\n")).unwrap();
    let command = || {
        let mut command = stage.command();
        command.env("REGFLOW__NATS__URL", &nats.url).env("REGFLOW__NATS__MONITOR_URL", &nats.monitor_url);
        command
    };
    let refused = command().output().await.unwrap();
    assert!(!refused.status.success(), "nobody comes in without a key");

    let mut own = command();
    own.env("REGFLOW_NATS_NKEY_FILE", &seed_file).env("REGFLOW__LOG__LEVEL", "debug");
    own.stderr(std::fs::File::create(stage.data.path().join("own.log")).unwrap());
    let mut service = stage.start_with(own).await;
    let api = service.submit(product("Norrland", "VK 200", "NL12000001")).await.id;
    let manual = service.submit(product("Nobodys", "One", "A-1")).await.id;
    service.wait_for_state(&api, State::Success).await;
    service.wait_for_packet(&manual).await;
    assert_eq!(service.stop().await, Some(0));
    assert_eq!(files_with(stage.data.path(), &[&seed]), [] as [std::path::PathBuf; 0]);
}
