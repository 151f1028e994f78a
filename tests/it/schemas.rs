//! The published schemas and what the program tells: each type has a schema, each schema a type, and they agree.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use events::record::Record;
use events::{
    AlertKind, Event, HealthState, MakerEvent, ManualReason, Method, RecordHash, RegistrationId, Shard, Stored,
    StoredMaker,
};
use handlers::told;
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::subscribers::python;

const REPOSITORY: &str = env!("CARGO_MANIFEST_DIR");
const ID: &str = "0190a5c2-7d5e-7000-8000-0000000000aa";

/// The golden bytes of all events in the versions that are written today.
fn golden_records() -> impl Iterator<Item = Vec<u8>> {
    let tags = Event::TAGS.iter().chain(MakerEvent::TAGS);
    tags.map(|(tag, version, name)| {
        let path = Path::new(REPOSITORY).join(format!("events/tests/golden/{tag:03}-v{version}-{name}.hex"));
        hex::decode(std::fs::read_to_string(path).unwrap().trim()).unwrap()
    })
}

fn of_registration(record: Record) -> Vec<bus::Notification> {
    let registration = RegistrationId(ID.parse().unwrap());
    let stored = Stored { sequence: 7, shard: Shard(1), registration, record, hash: RecordHash([0; 32]) };
    told::of_registration(&stored, "default").into_iter().map(|(told, _)| told).collect()
}

fn of_maker(record: Record<MakerEvent>) -> Vec<bus::Notification> {
    told::of_maker(&StoredMaker { sequence: 7, connector: "norrland".into(), record, hash: RecordHash([0; 32]) })
}

/// One notification of each type that the program can send.
fn every_notification() -> Vec<Value> {
    let told = golden_records().flat_map(|bytes| match Record::<Event>::decode(&bytes) {
        Ok(record) => of_registration(record),
        Err(_) => of_maker(Record::<MakerEvent>::decode(&bytes).unwrap()),
    });
    told.map(|notification| serde_json::from_slice(&notification.body).unwrap()).collect()
}

fn schema_files() -> Vec<PathBuf> {
    let files = std::fs::read_dir(Path::new(REPOSITORY).join("nats/schemas")).unwrap();
    files.map(|file| file.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "json")).collect()
}

fn schema(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// `$id`, type as the file is named, type as the schema says.
fn published() -> BTreeSet<(String, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let of_type = schema_files().into_iter().filter_map(|path| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let schema = schema(&path);
        name.starts_with("io.").then(|| (text(&schema["$id"]), name, text(&schema["properties"]["type"]["const"])))
    });
    of_type.collect()
}

#[test]
fn each_type_has_a_schema_and_each_schema_a_type() {
    let told = every_notification().into_iter().map(|event| {
        let (id, kind) = (event["dataschema"].as_str().unwrap(), event["type"].as_str().unwrap());
        (id.to_owned(), kind.to_owned(), kind.to_owned())
    });
    assert_eq!(told.collect::<BTreeSet<_>>(), published());
}

#[test]
fn the_facts_that_a_webhook_can_choose_are_those_that_are_told() {
    let told = every_notification().into_iter().filter_map(|event| {
        let kind = event["type"].as_str().unwrap().strip_prefix("io.regflow.registration.")?;
        Some(kind.strip_suffix(".v1").unwrap().to_owned())
    });
    assert_eq!(told.collect::<Vec<_>>(), told::FACTS);
}

#[test]
fn the_words_of_the_schemas_are_the_words_of_the_program() {
    let words = schema(&Path::new(REPOSITORY).join("nats/schemas/words.v1.json"));
    let listed = |name: &str| -> Vec<String> {
        serde_json::from_value(words["$defs"][name]["enum"].clone()).unwrap_or_else(|_| panic!("{name} is not there"))
    };
    assert_eq!(listed("method"), Method::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(listed("manual_reason"), ManualReason::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(listed("alert_kind"), AlertKind::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
    assert_eq!(listed("health_state"), HealthState::ALL.iter().map(|word| word.as_str()).collect::<Vec<_>>());
}

#[tokio::test]
async fn each_type_is_valid_against_its_schema_and_a_spoilt_one_is_not() {
    let events = every_notification();
    let mut check = python();
    check.arg("tests/it/check_schemas.py").stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
    let mut child = check.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    for event in &events {
        input.write_all(format!("{event}\n").as_bytes()).await.unwrap();
    }
    drop(input);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said.trim(), format!("{} are valid", events.len()));
}
