//! The master key is rotated while products come in; afterwards only the new one opens anything, and old links still work.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::v1::persons_client::PersonsClient;
use proto::v1::registrations_client::RegistrationsClient;
use proto::v1::{self, RegistrationState as State};
use reqwest::StatusCode;
use tonic::transport::Channel;

use crate::cli::run;
use crate::done::{link_and_code, press};
use crate::http::Web;
use crate::support::{Service, Stage, product};

/// How many are handed over while the key changes.
const UNDER_LOAD_MIN: usize = 20;

/// Hands products over until told to stop; each must be taken.
async fn hand_over(mut client: RegistrationsClient<Channel>, stop: Arc<AtomicBool>) -> Vec<String> {
    let mut ids = Vec::new();
    while !stop.load(Ordering::Relaxed) || ids.len() < UNDER_LOAD_MIN {
        let request = product("Norrland", "VK 200", &format!("NL66{:06}", ids.len()));
        let answer = client.submit(request).await.unwrap_or_else(|status| panic!("refused: {status}"));
        ids.push(answer.into_inner().registration.unwrap().id);
    }
    ids
}

fn key(stage: &Stage) -> String {
    std::fs::read_to_string(stage.data.path().join("master.key")).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_master_key_is_rotated_under_load_and_no_request_fails() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let manual = service.submit(product("Hartmann", "Kaffeem\u{fc}hle", "18873")).await;
    service.wait_for_packet(&manual.id).await;
    let (link, _) = link_and_code(&stage, &service).await;
    let old_key = key(&stage);

    let stop = Arc::new(AtomicBool::new(false));
    let load = tokio::spawn(hand_over(service.client.clone(), stop.clone()));
    let (code, told, problem) = run(&service, &["keys", "rotate"]).await;
    stop.store(true, Ordering::Relaxed);
    assert_eq!((code, told.contains("wrapped anew")), (0, true), "{told}{problem}");
    let ids = load.await.unwrap();
    for id in &ids {
        service.wait_for_state(id, State::Success).await;
    }
    let new_key = key(&stage);
    assert_ne!(old_key, new_key);
    assert_eq!(service.stop().await, Some(0));

    // the new key alone: old registrations open, and so does the link
    let mut service = stage.start().await;
    let web = Web::of(&service);
    let packet = web.get(&format!("/api/registration/{}/packet", manual.id)).await;
    assert_eq!(packet.status(), StatusCode::OK);
    let page = web.get(&link).await.text().await.unwrap();
    assert!(page.contains("18873"), "{page}");
    assert_eq!(press(&web, &link, "HS-1", b"").await.status(), StatusCode::SEE_OTHER);
    service.wait_for_state(&manual.id, State::UserCompleted).await;
    let same_person = service.submit(product("Norrland", "VK 200", "NL67000001")).await;
    assert_eq!(same_person.owner_ref, manual.owner_ref, "the pseudonym stays");
    assert_eq!(service.stop().await, Some(0));

    // the old key alone opens nothing any more
    std::fs::write(stage.data.path().join("master.key"), &old_key).unwrap();
    let refused = stage.try_start_at(stage.data.path(), &mut stage.command()).await.err().unwrap();
    assert!(refused.contains("ended at its start"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_is_cut_off_at_any_place_is_finished_at_the_next_start() {
    let stage = Stage::new().await;
    let mut service = stage.start().await;
    let manual = service.submit(product("Hartmann", "Kaffeem\u{fc}hle", "18873")).await;
    service.wait_for_packet(&manual.id).await;
    assert_eq!(service.stop().await, Some(0));
    for place in ["before_rotation", "in_rotation", "after_rotation"] {
        let before = key(&stage);
        let mut command = stage.command();
        // `resume` passes two of the places at each start
        let passes = if place == "before_rotation" { 0 } else { 1 };
        command.env("FAILPOINTS", format!("{place}={passes}*off->1*return")).env("REGFLOW__LOG__LEVEL", "off");
        let Ok(mut dying) = stage.try_start_at(stage.data.path(), &mut command).await else { continue };
        PersonsClient::new(dying.channel().await).rotate_master_key(v1::RotateMasterKeyRequest {}).await.unwrap_err();
        tokio::time::timeout(crate::support::PATIENCE, dying.child.wait()).await.expect("it dies there").unwrap();
        let mut service = stage.start().await;
        is_whole(&mut service, &manual).await;
        // also when it was cut off before anything was wrapped anew: the new key was there already
        rotated(&stage, &before).await;
        assert_eq!(service.stop().await, Some(0));
    }
}

async fn is_whole(service: &mut Service, manual: &v1::Registration) {
    let packet = Web::of(service).get(&format!("/api/registration/{}/packet", manual.id)).await;
    assert_eq!(packet.status(), StatusCode::OK);
    let new = service.submit(product("Norrland", "VK 200", "NL68000001")).await;
    service.wait_for_state(&new.id, State::Success).await;
    assert_eq!(new.owner_ref, manual.owner_ref);
}

async fn rotated(stage: &Stage, before: &str) {
    let deadline = std::time::Instant::now() + crate::support::PATIENCE;
    while key(stage) == before || stage.data.path().join("master.key.next").exists() {
        assert!(std::time::Instant::now() < deadline, "the rotation is not finished");
        tokio::time::sleep(crate::support::POLL).await;
    }
}
